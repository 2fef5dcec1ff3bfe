// Stage 06: a network that learns from labelled chips to place those that look alike near each other.
// Takes images as bytes with labels that may be unknown; makes a trained network, its embeddings, and a model folder.
// Computes on native TensorFlow where it is installed, else on a GPU through WebGPU, else on WebAssembly; all calls choose by themselves.
export { type Backend, type BackendName, type BackendOptions, trainingBackend } from './backend.ts';
export { type Seat, type SeatOptions, seatsOf } from './seats.ts';
export { type Network, type NetworkOptions, type Weights, buildNetwork, weightsOf } from './network.ts';
export type { Augmentation } from './augment.ts';
export { LOSSES, type LossName, rarityOf } from './losses.ts';
export type { EpochLog, ImageSource, TrainingSet, TrainOptions } from './settings.ts';
export { train } from './loop.ts';
export {
  type ClassRetrieval,
  type RetrievalScores,
  type RetrievalSet,
  type ScoreOptions,
  type Scored,
  chancePrecision,
  retrieval,
  retrievalScores,
} from './retrieval.ts';
export { type EncodeOptions, classify, encode } from './encode.ts';
export type { ModelCard, ModelFacts } from './card.ts';
export { type Model, exportNetwork, loadModel, saveModel } from './model.ts';
export { type OnnxModel, onnxBytes, parseOnnx, readOnnx } from './onnx/file.ts';
export { checkOnnx } from './onnx/check.ts';
export { type ExportOptions, exportEncoder } from './onnx/export.ts';
export { type Products, openProducts } from './onnx/products.ts';
export { type BatchOptions, type RuntimeOptions, RuntimeMissingError } from './onnx/session.ts';
export { type Encoder, openEncoder } from './encoder.ts';
export { type ModelEncoder, openModelEncoder } from './modelencoder.ts';
export { type Backbone, type FeatureOptions, appendHead, openBackbone } from './backbone.ts';
export { type BackboneOptions, type PixelScale, pixelScale } from './backboneplan.ts';
export { type LayersFile, readLayers } from './layersfile.ts';
export {
  type CodeKind, type CodeLoss, type CodeLossOptions, type CodeOptions, type Codes, type Rows,
  codeBytes, codeLoss, codeSimilarity, codesFrom, hamming, meanOf, packCodes, unpackCodes,
} from './codes.ts'; // prettier-ignore
export { colourHistograms } from './histogram.ts';
export { type LearnableLabels, columnsOf, learnableLabels } from './learnable.ts';
export { type ModelOptions, type ModelPlace, modelPlace, ownFeatures, trainModel, unitRows } from './make.ts';
export {
  type FollowOptions,
  type JobState,
  type JobStatus,
  type TrainingJob,
  followTraining,
  progressFile,
  startTraining,
  stopTraining,
  trainingStatus,
} from './job.ts';
export { type ComparedModel, compareModels } from './compare.ts';
export { type ViewOptions, augmentedViews } from './views.ts';
export { type ListedModel, findModel, listModels, readCard } from './name.ts';
export { type PartPlace, modelFolder, partPlace } from './handover.ts';
export { type EncodeChipsOptions, type EncodeReport, encodeChips } from './encodechips.ts';
export { type Embeddings, type PartFacts, embeddingParts, readEmbeddings, readPartFacts } from './part.ts';
