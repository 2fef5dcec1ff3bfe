/** What training takes, and the checks at its door. */
import type { StepOptions } from '../ard/index.ts';
import type { Augmentation } from './batches.ts';
import type { Network } from './network.ts';

/** Images with what is known of them. */
export interface TrainingSet {
  /** `[n, size, size, 3]`, 0–255. */
  images: Uint8Array;
  /** `[n, classes]`: 1 present, 0 absent, NaN unknown. */
  labels: Float32Array;
  /** `[n]`: how much each image counts. Default: 1 each. */
  weights?: Float32Array | undefined;
}

/** Options of {@link train}. */
export interface TrainOptions extends Omit<StepOptions, 'concurrency'> {
  /** Passes over the training set. Default: 30. */
  epochs?: number | undefined;
  /** Images a step. Default: 32. */
  batchSize?: number | undefined;
  /** Largest step of Adam, falling to zero along a cosine. Default: 0.002. */
  learningRate?: number | undefined;
  /** Order and variation of the images; on the wasm backend the same seed gives the same weights. Default: 1. */
  seed?: number | string | undefined;
  /** Images that are never trained on; their loss is reported after each epoch. */
  validation?: TrainingSet | undefined;
  /** `[classes]`: how much each class counts in the cross-entropy. Default: 1 each. */
  classWeights?: Float32Array | undefined;
  /** Share of the supervised contrastive loss beside the cross-entropy of weight 1; 0 leaves it out. Default: 0.3. */
  contrastiveWeight?: number | undefined;
  /** Temperature of the contrastive loss, at least 0.03: lower ones look at fewer, nearer images. Default: 0.1. */
  temperature?: number | undefined;
  /** How much images are varied, or false for not at all. Default: as {@link Augmentation} says. */
  augmentation?: Augmentation | false | undefined;
  /** File for the log, one line of JSON an epoch (`training-log.jsonl`). Default: none. */
  logPath?: string | undefined;
  /** File that holds the state after the last epoch; where it is there and of the same run, training goes on from it, else anew. Default: none. */
  checkpointPath?: string | undefined;
}

/** What one epoch came to. */
export interface EpochLog {
  /** From 1. */
  epoch: number;
  /** Mean loss over the images as they were trained on, varied and under moving weights. */
  loss: number;
  /** Mean loss over the validation set, unvaried. */
  validationLoss?: number;
  seconds: number;
  imagesPerSecond: number;
}

/** The options that decide what is learnt, with their defaults filled in. */
export interface Settings {
  epochs: number;
  batchSize: number;
  learningRate: number;
  seed: number | string;
  contrastiveWeight: number;
  temperature: number;
  augmentation: Augmentation | false;
  classWeights: Float32Array;
}

/** Throws where a set's arrays do not fit the network. */
export function checkSet(
  { inputSize, classes }: Network,
  { images, labels, weights }: TrainingSet,
  what: string,
): void {
  const pixels = inputSize * inputSize * 3;
  const n = labels.length / classes.length;
  if (!Number.isInteger(n))
    throw new RangeError(`labels of ${what}: ${labels.length} values are no rows of ${classes.length} classes`);
  if (images.length !== n * pixels) {
    const remedy = `give ${inputSize} × ${inputSize} × 3 bytes an image, or build the network for another input size`;
    throw new RangeError(
      `images of ${what}: ${images.length} bytes, where ${n} rows of labels ask for ${n * pixels}: ${remedy}`,
    );
  }
  if (weights && weights.length !== n)
    throw new RangeError(`weights of ${what}: ${weights.length}, where there are ${n} images`);
  const wrong = labels.find((label) => label !== 0 && label !== 1 && !Number.isNaN(label));
  if (wrong !== undefined) throw new RangeError(`labels of ${what} are 1, 0 or NaN for unknown, got ${wrong}`);
  const unfit = weights?.find((weight) => !(weight >= 0 && weight < Infinity));
  if (unfit !== undefined) throw new RangeError(`weights of ${what} are zero or more, got ${unfit}`);
  if (labels.every((label) => Number.isNaN(label)))
    throw new RangeError(`${what} has no known label: nothing can be learnt from ${n} images without one`);
}

/** The settings of a run. Throws where one is out of range. */
export function settingsOf({ classes }: Network, options: TrainOptions): Settings {
  const {
    epochs = 30,
    batchSize = 32,
    learningRate = 0.002,
    seed = 1,
    contrastiveWeight = 0.3,
    temperature = 0.1,
    augmentation = {},
  } = options;
  const { classWeights = new Float32Array(classes.length).fill(1) } = options;
  for (const [name, value] of Object.entries({ epochs, batchSize })) {
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`train requires a positive whole ${name}, got ${value}`);
  }
  if (!(learningRate > 0)) throw new RangeError(`train requires a positive learningRate, got ${learningRate}`);
  if (!(contrastiveWeight >= 0))
    throw new RangeError(`train requires a contrastiveWeight of zero or more, got ${contrastiveWeight}`);
  if (!(temperature >= 0.03)) throw new RangeError(`train requires a temperature of at least 0.03, got ${temperature}`);
  if (classWeights.length !== classes.length)
    throw new RangeError(`train requires ${classes.length} class weights, got ${classWeights.length}`);
  return { epochs, batchSize, learningRate, seed, contrastiveWeight, temperature, augmentation, classWeights };
}
