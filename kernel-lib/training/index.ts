// Stage 06: a network that learns from labelled chips to place those that look alike near each other.
// Takes images as bytes with labels that may be unknown; makes a trained network, its embeddings, and a model folder.
// Computes on native TensorFlow where it is installed, else on WebAssembly; all calls choose by themselves.
export { type Backend, type BackendName, type BackendOptions, trainingBackend } from './backend.ts';
export { type Network, type NetworkOptions, type Weights, buildNetwork, weightsOf } from './network.ts';
export type { Augmentation } from './batches.ts';
export type { EpochLog, TrainingSet, TrainOptions } from './settings.ts';
export { train } from './loop.ts';
export { type EncodeOptions, classify, encode } from './encode.ts';
export type { ModelCard, ModelFacts } from './card.ts';
export { type Model, loadModel, saveModel } from './model.ts';
export { type OnnxModel, onnxBytes, parseOnnx, readOnnx } from './onnx.ts';
export { checkOnnx } from './onnxcheck.ts';
export { type ExportOptions, exportEncoder } from './onnxexport.ts';
export { type BatchOptions, type RuntimeOptions, RuntimeMissingError } from './onnxsession.ts';
export { type Encoder, openEncoder } from './encoder.ts';
export { type Backbone, type FeatureOptions, appendHead, openBackbone } from './backbone.ts';
export type { BackboneOptions, PixelScale } from './backboneplan.ts';
export { type LayersFile, readLayers } from './layersfile.ts';
export {
  type CodeKind, type CodeLoss, type CodeLossOptions, type CodeOptions, type Codes, type Rows,
  codeBytes, codeLoss, codeSimilarity, codesFrom, hamming, meanOf, packCodes, unpackCodes,
} from './codes.ts'; // prettier-ignore
