/** What goes into a network for some rows of a set: their pixels, or what a frozen backbone says of them. */
import type { StepOptions } from '../ard/index.ts';
import { type Ranges, varyImage } from './augment.ts';
import type { Backbone } from './backbone.ts';
import type { Network } from './network.ts';
import type { Shard } from './replica.ts';
import { evenly, randomFor } from './sampler.ts';
import { type TrainingSet, imageBytes } from './settings.ts';

/** The inputs of a set. */
export interface Inputs {
  /** Views of each image that are at hand; the first is the image as it is. */
  views: number;
  /** Of some rows, varied at random, the same for the same seed. */
  varied(rows: Uint32Array, seed: string): Promise<Shard>;
  /** Of some rows, in one of the views. Default: as they are. */
  plain(rows: Uint32Array, view?: number): Promise<Shard>;
}

/** Images of some rows, `[rows, size, size, 3]`, from memory or from where they are. */
async function imagesOf(network: Network, { images }: TrainingSet, rows: Uint32Array): Promise<Uint8Array> {
  const each = imageBytes(network);
  if (!(images instanceof Uint8Array)) {
    const read = await images.read(rows);
    if (read.length === rows.length * each) return read;
    throw new RangeError(
      `${images.identity}: ${read.length} bytes for ${rows.length} images, where the network takes ${each} each: read them at its input size`,
    );
  }
  const out = new Uint8Array(rows.length * each);
  for (const [i, row] of rows.entries()) out.set(images.subarray(row * each, (row + 1) * each), i * each);
  return out;
}

/** Pixels, which the members vary. */
export function imageInputs(network: Network, set: TrainingSet, ranges: Ranges | false): Inputs {
  const { inputSize: size } = network;
  return {
    views: 1,
    varied: async (rows, seed) => ({
      images: await imagesOf(network, set, rows),
      size,
      ranges: ranges || undefined,
      seed,
    }),
    plain: async (rows) => ({ images: await imagesOf(network, set, rows), size, seed: '' }),
  };
}

/** Mean and standard deviation of each feature of the training set, which training divides by. */
export interface FeatureScale {
  mean: Float32Array;
  deviation: Float32Array;
}

/** Features that a frozen backbone gave. */
export interface Features {
  /** `[n, views, width]`; the first view of each image is the image as it is. */
  values: Float32Array;
  width: number;
  views: number;
}

/** Options of {@link featuresOf}. */
export interface FeatureOptions extends Pick<StepOptions, 'signal' | 'onProgress'> {
  /** Views of each image: the first as it is, the others varied. */
  views: number;
  ranges: Ranges | false;
  seed: number | string;
}

/** Images that go through the backbone together: as many as keep all cores busy and memory small. */
const AT_ONCE = 16;

/** What a frozen backbone says of all images of a set, in as many views as asked for. */
export async function featuresOf(
  backbone: Backbone,
  network: Network,
  set: TrainingSet,
  { views, ranges, seed, signal, onProgress }: FeatureOptions,
): Promise<Features> {
  const n = set.labels.length / network.classes.length;
  const { width } = backbone;
  const used = ranges ? views : 1;
  const values = new Float32Array(n * used * width);
  const all = Uint32Array.from({ length: n }, (_, i) => i);
  let done = 0;
  for (const rows of evenly(all, Math.ceil(n / AT_ONCE), 1)) {
    const images = await imagesOf(network, set, rows);
    for (let view = 0; view < used; view++) {
      signal?.throwIfAborted();
      const seen = view === 0 || !ranges ? images : variedView(network, images, ranges, `${seed}/${rows[0]}/${view}`);
      const found = await backbone.features(seen, { signal });
      for (const [i, row] of rows.entries())
        values.set(found.subarray(i * width, (i + 1) * width), (row * used + view) * width);
    }
    onProgress?.({ done: (done += rows.length), total: n, unit: 'images', note: 'through the backbone' });
  }
  return { values, width, views: used };
}

function variedView(network: Network, images: Uint8Array, ranges: Ranges, seed: string): Uint8Array {
  const random = randomFor(seed, 'view');
  const each = imageBytes(network);
  const seen = new Uint8Array(images.length);
  const out = new Float32Array(each);
  for (let at = 0; at < images.length; at += each) {
    varyImage(images.subarray(at, at + each), out, network.inputSize, ranges, random);
    seen.set(out.map(Math.round), at);
  }
  return seen;
}

/** Mean and deviation of each feature over all views. A feature that hardly varies is not blown up: a twentieth of the mean deviation is added to each. */
export function scaleOf({ values, width }: Features): FeatureScale {
  const [sum, squares] = [new Float64Array(width), new Float64Array(width)];
  const rows = values.length / width;
  for (let row = 0, at = 0; row < rows; row++) for (let k = 0; k < width; k++, at++) sum[k] += values[at];
  const mean = Float32Array.from(sum, (total) => total / rows);
  for (let row = 0, at = 0; row < rows; row++)
    for (let k = 0; k < width; k++, at++) squares[k] += (values[at] - mean[k]) ** 2;
  const plain = Float32Array.from(squares, (total) => Math.sqrt(total / rows));
  const floor = (0.05 * plain.reduce((total, each) => total + each, 0)) / width || 1;
  return { mean, deviation: plain.map((each) => each + floor) };
}

/** Features, each less its mean and over its deviation in the training set. */
export function featureInputs({ values, width, views }: Features, { mean, deviation }: FeatureScale): Inputs {
  const scaled = (rows: Uint32Array, viewOf: () => number): Shard => {
    const features = new Float32Array(rows.length * width);
    for (const [i, row] of rows.entries()) {
      const from = (row * views + viewOf()) * width;
      for (let k = 0; k < width; k++) features[i * width + k] = (values[from + k] - mean[k]) / deviation[k];
    }
    return { features, width };
  };
  return {
    views,
    varied: async (rows, seed) => {
      const random = randomFor(seed, 'views');
      return scaled(rows, () => Math.floor(random() * views));
    },
    plain: async (rows, view = 0) => scaled(rows, () => view),
  };
}
