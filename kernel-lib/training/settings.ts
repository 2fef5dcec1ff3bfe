/** What training takes, and the checks at its door. */
import type { StepOptions } from '../ard/index.ts';
import { type Augmentation, type Ranges, STRONG, rangesOf } from './augment.ts';
import { LOSSES, type LossName, type LossSettings } from './losses.ts';
import type { Network } from './network.ts';

/** Images that are read as they are needed. */
export interface ImageSource {
  /** What the images are, so that a run goes on only with the same: the dataset version and the split, say. */
  identity: string;
  /** @returns `[rows, size, size, 3]`, 0–255 */
  read(rows: Uint32Array): Promise<Uint8Array>;
}

/** Images with what is known of them. */
export interface TrainingSet {
  /** `[n, size, size, 3]`, 0–255, or where they come from. */
  images: Uint8Array | ImageSource;
  /** `[n, classes]`: 1 present, 0 absent, NaN unknown. */
  labels: Float32Array;
  /** `[n]`: how much each image counts. Default: 1 each. */
  weights?: Float32Array | undefined;
  /** `[n]`: what ground each image shows; another date of the same ground is a view of the same place. Default: each its own. */
  places?: readonly string[] | undefined;
}

/** Options of {@link train}. */
export interface TrainOptions extends Omit<StepOptions, 'concurrency'> {
  /** Passes over the training set; 0 where a fit is to be all. Default: 30. */
  epochs?: number | undefined;
  /** Images a step, views counted singly. Default: 64. */
  batchSize?: number | undefined;
  /** Parts of a batch that are computed apart, and so the most members that can help: the result depends on it, not on how many do. Default: 4. */
  shards?: number | undefined;
  /** Members at most, threads or GPUs. Default: as many as the machine has. */
  members?: number | undefined;
  /** Largest step of Adam, falling to zero along a cosine. Default: 0.002. */
  learningRate?: number | undefined;
  /** Share of each filter and matrix that a step of rate 1 takes away. Default: 0.01. */
  decay?: number | undefined;
  /** Order and variation of the images; on the wasm backend the same seed gives the same weights. Default: 1. */
  seed?: number | string | undefined;
  /** Images that are never trained on: after each epoch they are scored, by loss and by how well they find each other. */
  validation?: TrainingSet | undefined;
  /** Epochs without a better validation mAP after which it stops; the best epoch's weights are kept either way. 0: never. Default: 10. */
  patience?: number | undefined;
  /** How far rare classes come up more often than they are there, 0–1; of no account where no loss goes by labels. Default: 0.5, by the square root of their number. */
  balance?: number | undefined;
  /** `[classes]`: how much each class counts in the cross-entropy. Default: 1 each. */
  classWeights?: Float32Array | undefined;
  /** How much each loss counts. Default: cross-entropy 1 and contrastive 0.3. */
  losses?: Partial<Record<LossName, number>> | undefined;
  /** Temperature of contrastive losses, at least 0.03: lower ones look at fewer, nearer images. Default: 0.1. */
  temperature?: number | undefined;
  /** By how much the triplet loss wants others farther, in squared distance, 0–4. Default: 0.3. */
  margin?: number | undefined;
  /**
   * Whether the layer before the embedding is fitted without a gradient: of a head on a frozen backbone before training, of what was
   * trained without labels after it. Default: true.
   */
  fit?: boolean | undefined;
  /** How much images are varied, or false for not at all. Default: as {@link Augmentation} says; more where views alone teach. */
  augmentation?: Augmentation | false | undefined;
  /** Views of each image that a frozen backbone sees before training: the first as it is, the others varied. Default: 4. */
  featureViews?: number | undefined;
  /** What an hour of this machine costs, dollars: the cost so far and to come is then told. Default: not told. */
  dollarsPerHour?: number | undefined;
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
  /** Mean cross-entropy of the validation set, unvaried; where the losses hold cross-entropy. */
  validationLoss?: number;
  /** Mean over classes of the average precision with which validation images find each other, 0–1. */
  validationMap?: number;
  /** Of the training steps. */
  seconds: number;
  /** Views counted singly. */
  imagesPerSecond: number;
  /** Of the whole epoch, in dollars, where the price of an hour is known. */
  dollars?: number;
}

/** The options that decide what is learnt, with their defaults filled in. */
export interface Settings extends LossSettings {
  epochs: number;
  batchSize: number;
  shards: number;
  learningRate: number;
  decay: number;
  seed: number | string;
  patience: number;
  balance: number;
  fit: boolean;
  /** 2 where two views of each place are compared. */
  views: 1 | 2;
  ranges: Ranges | false;
  /** Views of each image that a frozen backbone sees. */
  featureViews: number;
  classWeights: Float32Array;
}

/** Bytes of an image of a network. */
export function imageBytes({ inputSize }: Pick<Network, 'inputSize'>): number {
  return 3 * inputSize * inputSize;
}

/** Throws where a set's arrays do not fit the network. */
export function checkSet(network: Network, { images, labels, weights, places }: TrainingSet, what: string): void {
  const { inputSize, classes } = network;
  const n = labels.length / classes.length;
  if (labels.length === 0) throw new RangeError(`${what} is empty: choose splits that hold chips`);
  if (!Number.isInteger(n))
    throw new RangeError(`labels of ${what}: ${labels.length} values are no rows of ${classes.length} classes`);
  if (images instanceof Uint8Array && images.length !== n * imageBytes(network)) {
    const remedy = `give ${inputSize} × ${inputSize} × 3 bytes an image, or build the network for another input size`;
    throw new RangeError(
      `images of ${what}: ${images.length} bytes, where ${n} rows of labels ask for ${n * imageBytes(network)}: ${remedy}`,
    );
  }
  for (const [name, values] of Object.entries({ weights, places }))
    if (values && values.length !== n)
      throw new RangeError(`${name} of ${what}: ${values.length}, where there are ${n} images`);
  const wrong = labels.find((label) => label !== 0 && label !== 1 && !Number.isNaN(label));
  if (wrong !== undefined) throw new RangeError(`labels of ${what} are 1, 0 or NaN for unknown, got ${wrong}`);
  const unfit = weights?.find((weight) => !(weight >= 0 && weight < Infinity));
  if (unfit !== undefined) throw new RangeError(`weights of ${what} are zero or more, got ${unfit}`);
}

/** Throws where there is nothing to learn a class from, and a loss that goes by labels asks for it. */
export function checkClasses({ classes }: Network, { labels }: TrainingSet, settings: Settings): void {
  if (!learnsLabels(settings)) return;
  const has = new Uint8Array(classes.length);
  let known = 0;
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 1) has[i % classes.length] = 1;
    if (!Number.isNaN(labels[i])) known++;
  }
  if (known === 0)
    throw new RangeError(
      `the training set has no known label: nothing can be learnt from ${labels.length / classes.length} images without one, but by simclr or vicreg`,
    );
  const missing = classes.filter((_, k) => has[k] === 0);
  if (missing.length > 0)
    throw new RangeError(
      `the training set has no example of ${missing.join(', ')}: leave the class out (learnableLabels says which to keep), or split again`,
    );
}

/** The settings of a run. Throws where one is out of range. */
export function settingsOf({ classes }: Network, options: TrainOptions): Settings {
  const {
    epochs = 30,
    batchSize = 64,
    shards = 4,
    learningRate = 0.002,
    decay = 0.01,
    seed = 1,
    patience = 10,
    balance = 0.5,
    losses = { entropy: 1, contrastive: 0.3 },
    temperature = 0.1,
    margin = 0.3,
    fit = true,
    augmentation = {},
    featureViews = 4,
    classWeights = new Float32Array(classes.length).fill(1),
  } = options;
  if (!Number.isInteger(epochs) || epochs < 0)
    throw new RangeError(`train requires a whole number of epochs, 0 or more, got ${epochs}`);
  for (const [name, value] of Object.entries({ batchSize, shards, featureViews, members: options.members ?? 1 })) {
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`train requires a positive whole ${name}, got ${value}`);
  }
  const limits = { learningRate: [1e-9, 10], decay: [0, 1], patience: [0, Infinity], balance: [0, 1], margin: [0, 4], temperature: [0.03, 10] }; // prettier-ignore
  for (const [name, value] of Object.entries({ learningRate, decay, patience, balance, margin, temperature })) {
    const [least, most] = limits[name as keyof typeof limits];
    if (!(value >= least && value <= most))
      throw new RangeError(`train takes ${name} from ${least} to ${most}, got ${value}`);
  }
  if (classWeights.length !== classes.length)
    throw new RangeError(`train requires ${classes.length} class weights, got ${classWeights.length}`);
  const unfit = classWeights.find((weight) => !(weight >= 0 && weight < Infinity));
  if (unfit !== undefined) throw new RangeError(`train requires class weights of zero or more, got ${unfit}`);
  const used = checkedLosses(losses);
  const views = Math.max(...Object.keys(used).map((name) => LOSSES[name as LossName].views)) as 1 | 2;
  if (batchSize < 2 * views) throw new RangeError(`train requires a batchSize of at least ${2 * views}, got ${batchSize}`); // prettier-ignore
  const ranges = augmentation && rangesOf(augmentation, views === 2 ? STRONG : undefined);
  const settings = { epochs, batchSize, shards, learningRate, decay, seed, patience, balance, losses: used, temperature, margin, fit, views, ranges, featureViews, classWeights }; // prettier-ignore
  return learnsLabels(settings) ? settings : { ...settings, balance: 0 }; // else labels would choose what is learnt from
}

/** Whether any of the losses goes by labels. */
export function learnsLabels({ losses }: Pick<Settings, 'losses'>): boolean {
  return Object.keys(losses).some((name) => LOSSES[name as LossName].labels);
}

function checkedLosses(losses: Partial<Record<LossName, number>>): Partial<Record<LossName, number>> {
  const used = Object.entries(losses).filter(([, weight]) => weight !== 0);
  for (const [name, weight] of used) {
    if (!Object.hasOwn(LOSSES, name))
      throw new RangeError(`train knows the losses ${Object.keys(LOSSES).join(', ')}, got ${name}`);
    if (!(weight > 0 && weight < Infinity)) throw new RangeError(`the loss ${name} counts zero or more, got ${weight}`);
  }
  if (used.length === 0) throw new RangeError('train requires at least one loss that counts, got none');
  return Object.fromEntries(used);
}
