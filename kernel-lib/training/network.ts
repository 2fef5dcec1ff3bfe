import type { Backbone } from './backbone.ts';
import { readyBackend } from './backend.ts';
import { type Body, type NetworkSpec, asNetwork, buildLayers, layersOf } from './layers.ts';
import { readLayers } from './layersfile.ts';

/** A network that turns an image into an embedding, and into one probability a class. */
export interface Network {
  /** Rows and columns of its input, pixels. */
  readonly inputSize: number;
  /** Names of the classes, in the order of the labels' columns. */
  readonly classes: readonly string[];
  /** Length of an embedding. */
  readonly embeddingWidth: number;
  /** What it is made of: convolutions from scratch, or a pretrained network, frozen or trained further. */
  readonly body: Body;
  /** What its weights were drawn from. */
  readonly seed: number | string;
  /** Number of weights that training changes. */
  readonly parameters: number;
  /** Frees its memory; it cannot be used afterwards. */
  dispose(): void;
}

/** Options of {@link buildNetwork}. */
export interface NetworkOptions {
  /** Names of the classes, in the order of the labels' columns. */
  classes: readonly string[];
  /** Rows and columns of the images, pixels, at least 16. Default: those of the backbone, else 64. */
  inputSize?: number | undefined;
  /** Length of an embedding. Default: 128. */
  embeddingWidth?: number | undefined;
  /** Filters of each convolution; each halves rows and columns. Default: 32, 64, 128, 256. Only without a backbone. */
  widths?: readonly number[] | undefined;
  /** A pretrained network to stand on, as `openBackbone` gives it. Default: none, convolutions from scratch. */
  backbone?: Backbone | undefined;
  /** Whether the backbone's weights are trained further; it must be one of tfjs layers. Default: false, it stays as it is. */
  tune?: boolean | undefined;
  /** Units of a hidden layer between a frozen backbone and the embedding; 0: none, and training begins from a fit. Default: 0. */
  hidden?: number | undefined;
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
 * Builds a network for square RGB images. From scratch: strided 3 × 3 convolutions, each with batch normalisation and ReLU, and the
 * mean of each over the image. On a backbone: what that says of the image, and a hidden layer. Then a dense layer to an embedding of
 * unit length, and on it one sigmoid head a class.
 *
 * It takes pixels as they are, 0–255, and normalises inside. Embeddings are compared by their dot product, which is the cosine.
 *
 * @throws {RangeError} when a size or width is not a positive whole number, or when there is no class, or one twice
 * @throws {TypeError} when a backbone that is not of tfjs layers is to be trained further
 */
export async function buildNetwork({
  classes,
  backbone,
  inputSize = backbone?.inputSize ?? 64,
  embeddingWidth = 128,
  widths = [32, 64, 128, 256],
  tune = false,
  hidden = 0,
  seed = 1,
}: NetworkOptions): Promise<Network> {
  const body = bodyOf(backbone, { widths, tune, hidden });
  const spec: NetworkSpec = { inputSize, classes: [...classes], embeddingWidth, body, seed };
  checkSpec(spec, backbone);
  await readyBackend();
  const pretrained = body.kind === 'tuned' ? (await readLayers(body.backbone))?.model : undefined;
  return asNetwork(spec, buildLayers(spec, pretrained), body.kind === 'frozen' ? backbone : undefined);
}

function bodyOf(
  backbone: Backbone | undefined,
  { widths, tune, hidden }: { widths: readonly number[]; tune: boolean; hidden: number },
): Body {
  if (!backbone) {
    if (tune) throw new TypeError('buildNetwork can train only a backbone further, and was given none');
    return { kind: 'convolutions', widths: [...widths] };
  }
  const { kind, path, sha256, width, pixels, stages } = backbone;
  if (!tune) return { kind: 'frozen', backbone: path, sha256, stages, width, hidden };
  if (kind !== 'layers')
    throw new TypeError(`${path} is an ONNX file: it can be used frozen; to train it further give a tfjs layers model`);
  if (!('scale' in pixels))
    throw new TypeError(`${path} takes each band by a mean of its own: use it frozen, or give one scale and offset`);
  return { kind: 'tuned', backbone: path, sha256, ...pixels };
}

/** A copy of all weights, batch statistics included, in the order of the layers. */
export async function weightsOf(network: Network): Promise<Weights[]> {
  const weights = layersOf(network).weights.map(async (weight) => ({
    name: weight.originalName,
    shape: [...weight.shape] as number[],
    values: Float32Array.from(await weight.read().data()),
  }));
  return Promise.all(weights);
}

function checkSpec({ inputSize, classes, embeddingWidth, body }: NetworkSpec, backbone: Backbone | undefined): void {
  if (!Number.isInteger(inputSize) || inputSize < 16)
    throw new RangeError(`buildNetwork requires an input size of at least 16 pixels, got ${inputSize}`);
  if (backbone && inputSize !== backbone.inputSize)
    throw new RangeError(
      `${backbone.path} takes images of ${backbone.inputSize} pixels, buildNetwork got ${inputSize}`,
    );
  if (classes.length === 0)
    throw new RangeError('buildNetwork requires at least one class, got none: name them in the order of the labels');
  const twice = classes.find((name, i) => classes.indexOf(name) !== i);
  if (twice !== undefined) throw new RangeError(`buildNetwork requires distinct classes, got ${twice} twice`);
  const widths = body.kind === 'convolutions' ? body.widths : [];
  for (const width of [embeddingWidth, ...widths]) {
    if (!Number.isInteger(width) || width < 1)
      throw new RangeError(`buildNetwork requires positive whole widths, got ${width}`);
  }
  if (embeddingWidth < 2) throw new RangeError(`buildNetwork requires an embedding of at least 2 numbers, got ${embeddingWidth}`); // prettier-ignore
  if (body.kind === 'convolutions' && widths.length === 0)
    throw new RangeError('buildNetwork requires at least one convolution, got no widths');
  if (body.kind === 'frozen' && !(Number.isInteger(body.hidden) && body.hidden >= 0))
    throw new RangeError(`buildNetwork requires a whole number of hidden units, 0 or more, got ${body.hidden}`);
}
