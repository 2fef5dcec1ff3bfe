import { readyBackend } from './backend.ts';
import { asNetwork, buildLayers, layersOf, type NetworkSpec } from './layers.ts';

/** A network that turns an image into an embedding, and into one probability a class. */
export interface Network {
  /** Rows and columns of its input, pixels. */
  readonly inputSize: number;
  /** Names of the classes, in the order of the labels' columns. */
  readonly classes: readonly string[];
  /** Length of an embedding. */
  readonly embeddingWidth: number;
  /** Filters of each convolution, from the image on; each halves rows and columns. */
  readonly widths: readonly number[];
  /** What its weights were drawn from. */
  readonly seed: number | string;
  /** Number of weights that training changes. */
  readonly parameters: number;
  /** Frees its memory; it cannot be used afterwards. */
  dispose(): void;
}

/** Options of {@link buildNetwork}. */
export interface NetworkOptions {
  /** Rows and columns of the images, pixels, at least 16. */
  inputSize: number;
  /** Names of the classes, in the order of the labels' columns. */
  classes: readonly string[];
  /** Length of an embedding. Default: 128. */
  embeddingWidth?: number | undefined;
  /** Filters of each convolution; each halves rows and columns. Default: 32, 64, 128, 256. */
  widths?: readonly number[] | undefined;
  /** The same seed gives the same weights. Default: 1. */
  seed?: number | string | undefined;
}

/** One array of a network's weights. */
export interface Weights {
  /** Layer and kind: `convolution1/kernel`, `norm1/gamma`, `projection/bias`. */
  name: string;
  /** A convolution's is `[row, col, band, filter]`, a dense layer's `[input, output]`. */
  shape: number[];
  values: Float32Array;
}

/**
 * Builds a small network for square RGB images: strided 3 × 3 convolutions, each with batch normalisation and ReLU, the mean over the image, a dense layer
 * to an embedding of unit length, and on it one sigmoid head a class.
 *
 * It takes pixels as they are, 0–255, and normalises inside. Embeddings are compared by their dot product, which is the cosine.
 *
 * @throws {RangeError} when a size or width is not a positive whole number, or when there is no class, or one twice
 */
export async function buildNetwork({
  inputSize,
  classes,
  embeddingWidth = 128,
  widths = [32, 64, 128, 256],
  seed = 1,
}: NetworkOptions): Promise<Network> {
  const spec: NetworkSpec = { inputSize, classes: [...classes], embeddingWidth, widths: [...widths], seed };
  checkSpec(spec);
  await readyBackend();
  return asNetwork(spec, buildLayers(spec));
}

/** A copy of all weights, batch statistics included, in the order of the layers. */
export function weightsOf(network: Network): Weights[] {
  return layersOf(network).weights.map((weight) => ({
    name: weight.originalName,
    shape: [...weight.shape] as number[],
    values: Float32Array.from(weight.read().dataSync()),
  }));
}

function checkSpec({ inputSize, classes, embeddingWidth, widths }: NetworkSpec): void {
  if (!Number.isInteger(inputSize) || inputSize < 16)
    throw new RangeError(`buildNetwork requires an input size of at least 16 pixels, got ${inputSize}`);
  if (classes.length === 0)
    throw new RangeError('buildNetwork requires at least one class, got none: name them in the order of the labels');
  const twice = classes.find((name, i) => classes.indexOf(name) !== i);
  if (twice !== undefined) throw new RangeError(`buildNetwork requires distinct classes, got ${twice} twice`);
  for (const width of [embeddingWidth, ...widths]) {
    if (!Number.isInteger(width) || width < 1)
      throw new RangeError(`buildNetwork requires positive whole widths, got ${width}`);
  }
  if (widths.length === 0) throw new RangeError('buildNetwork requires at least one convolution, got no widths');
}
