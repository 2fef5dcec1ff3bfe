import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import seedrandom from 'seedrandom';
import type { Backbone } from './backbone.ts';
import type { Network } from './network.ts';

/** Convolutions from scratch. */
export interface ConvolutionBody {
  kind: 'convolutions';
  /** Filters of each, from the image on; each halves rows and columns. */
  widths: readonly number[];
}

/** Which pretrained network a network stands on. */
interface Pretrained {
  /** Its file or folder. */
  backbone: string;
  /** SHA-256 of the file. */
  sha256: string;
}

/** A head on the features of a pretrained network that stays as it is. */
export interface FrozenBody extends Pretrained {
  kind: 'frozen';
  /** Whether the features are of all its stages. */
  stages: boolean;
  /** Length of the features. */
  width: number;
  /** Units of the hidden layer; 0: none. */
  hidden: number;
}

/** A pretrained network of tfjs layers that is trained further. */
export interface TunedBody extends Pretrained {
  kind: 'tuned';
  /** Pixels `x`, 0–255, go in as `scale · x + offset`. */
  scale: number;
  offset: number;
}

/** What turns an image, or its features, into what the embedding is made from. */
export type Body = ConvolutionBody | FrozenBody | TunedBody;

/** What a network is built from; see `NetworkOptions` for what each means. */
export interface NetworkSpec {
  inputSize: number;
  classes: readonly string[];
  embeddingWidth: number;
  body: Body;
  seed: number | string;
}

/** How much of the running batch statistics each batch leaves. */
export const BATCH_MEMORY = 0.9;
/** Steepness of the heads: they see an embedding of this length, so that a cosine of one can say yes firmly. */
const HEAD_SCALE = 8;

/**
 * The layers of a network: images `[n, size, size, 3]`, 0–255, or features `[n, width]` → embeddings `[n, width]` of unit length and
 * probabilities `[n, classes]`.
 *
 * Layers of tfjs alone, so that every tfjs loads the model. It has none that brings rows to unit length: layer normalisation
 * gives them mean 0 and length √width, and the next layer divides by that.
 */
export function buildLayers(spec: NetworkSpec, backbone?: tfl.LayersModel): tfl.LayersModel {
  const { inputs, pooled, fresh } = bodyOf(spec, backbone);
  const { embeddingWidth: width, classes } = spec;
  const tail: tfl.layers.Layer[] = [
    tfl.layers.dense({ units: width, kernelInitializer: 'zeros', name: 'projection' }),
    tfl.layers.layerNormalization({ trainable: false, epsilon: 1e-9, name: 'normalised' }), // its scale and centre stay 1 and 0: a layer without them has no gradient
    tfl.layers.rescaling({ scale: 1 / Math.sqrt(width), name: 'embedding' }),
  ];
  const embedding = chained(pooled, tail);
  const heads: tfl.layers.Layer[] = [
    tfl.layers.rescaling({ scale: HEAD_SCALE, name: 'scaled' }),
    tfl.layers.dense({ units: classes.length, kernelInitializer: 'zeros', name: 'logits' }),
    tfl.layers.activation({ activation: 'sigmoid', name: 'probabilities' }),
  ];
  const probabilities = chained(embedding, heads);
  const model = tfl.model({ inputs, outputs: [embedding, probabilities], name: 'imagesim' });
  const drawn = [...fresh, ...tail, ...heads].flatMap(({ trainableWeights }) => trainableWeights);
  initialise(drawn, spec.seed);
  return model;
}

/** Where a network begins, and what its embedding is made from; `fresh` layers have no weights yet. */
interface BodyLayers {
  inputs: tfl.SymbolicTensor;
  pooled: tfl.SymbolicTensor;
  fresh: tfl.layers.Layer[];
}

function bodyOf({ inputSize, body }: NetworkSpec, backbone: tfl.LayersModel | undefined): BodyLayers {
  if (body.kind === 'frozen') return headOn(body.width, body.hidden);
  const inputs = tfl.input({ shape: [inputSize, inputSize, 3], name: 'image' });
  if (body.kind === 'tuned') return tunedBody(inputs, body, backbone!);
  return convolutions(inputs, body.widths);
}

/**
 * Strided convolutions. What is pooled is of every one of them, not of the last alone: the early ones tell colours and textures, which say more
 * of a place than most of what a small network learns above them.
 */
function convolutions(inputs: tfl.SymbolicTensor, widths: readonly number[]): BodyLayers {
  let x = chained(inputs, [tfl.layers.rescaling({ scale: 1 / 127.5, offset: -1, name: 'centred' })]);
  const fresh: tfl.layers.Layer[] = [];
  const means: tfl.SymbolicTensor[] = [];
  for (const [i, filters] of widths.entries()) {
    const layers = block(filters, i + 1);
    fresh.push(...layers);
    x = chained(x, layers);
    means.push(chained(x, [tfl.layers.globalAveragePooling2d({ name: `mean${i + 1}` })]));
  }
  const pooled = means.length === 1 ? means[0] : tfl.layers.concatenate({ name: 'pooled' }).apply(means);
  return { inputs, pooled: pooled as tfl.SymbolicTensor, fresh };
}

/** A hidden layer, or none, on the features of a frozen backbone. */
function headOn(width: number, hidden: number): BodyLayers {
  const inputs = tfl.input({ shape: [width], name: 'features' });
  if (hidden === 0) return { inputs, pooled: inputs, fresh: [] };
  const fresh = [tfl.layers.dense({ units: hidden, activation: 'relu', kernelInitializer: 'zeros', name: 'hidden' })];
  return { inputs, pooled: chained(inputs, fresh), fresh };
}

/** A pretrained network of layers, all its weights to be trained further; its last maps pooled where they still have rows and columns. */
function tunedBody(inputs: tfl.SymbolicTensor, { scale, offset }: TunedBody, backbone: tfl.LayersModel): BodyLayers {
  const pixels = tfl.layers.rescaling({ scale, offset, name: 'normalised_pixels' }).apply(inputs);
  const features = backbone.apply(pixels) as tfl.SymbolicTensor;
  const pooling = tfl.layers.globalAveragePooling2d({ name: 'pooled' });
  return { inputs, pooled: features.shape.length === 4 ? chained(features, [pooling]) : features, fresh: [] };
}

function chained(x: tfl.SymbolicTensor, layers: readonly tfl.layers.Layer[]): tfl.SymbolicTensor {
  return layers.reduce((tensor, layer) => layer.apply(tensor) as tfl.SymbolicTensor, x);
}

/** A 3 × 3 convolution by a step of two, batch normalisation and ReLU. */
function block(filters: number, index: number): tfl.layers.Layer[] {
  return [
    tfl.layers.conv2d({
      filters, kernelSize: 3, strides: 2, padding: 'same', useBias: false, kernelInitializer: 'zeros', name: `convolution${index}`,
    }),
    tfl.layers.batchNormalization({ momentum: BATCH_MEMORY, name: `norm${index}` }),
    tfl.layers.reLU({ name: `relu${index}` }),
  ]; // prettier-ignore
}

/** Two dense layers through which views of a place are compared (SimCLR, VICReg); drawn from the seed. */
export function projector(embedding: tfl.SymbolicTensor, seed: number | string): tfl.SymbolicTensor {
  const units = embedding.shape[1] as number;
  const dense = (name: string, activation: 'relu' | 'linear', useBias: boolean): tfl.layers.Layer =>
    tfl.layers.dense({ units: 2 * units, activation, useBias, kernelInitializer: 'zeros', name });
  const layers = [dense('projector1', 'relu', true), dense('projector2', 'linear', false)];
  const scaled = tfl.layers.rescaling({ scale: HEAD_SCALE, name: 'projector0' }).apply(embedding);
  const projected = layers.reduce((x, layer) => layer.apply(x) as tfl.SymbolicTensor, scaled as tfl.SymbolicTensor);
  initialise(layers.flatMap(({ trainableWeights }) => trainableWeights), seed); // prettier-ignore
  return projected;
}

/** Draws every filter and matrix anew: normal, variance 2 / fan-in (He et al. 2015, arXiv:1502.01852). The same seed gives the same weights. */
function initialise(weights: tfl.LayersModel['trainableWeights'], seed: number | string): void {
  for (const weight of weights) {
    if (weight.shape.length < 2) continue; // biases and batch statistics begin at zero or one
    const random = seedrandom.alea(`${seed}/${weight.originalName}`);
    const shape = weight.shape as number[];
    const fanIn = shape.slice(0, -1).reduce((product, length) => product * length, 1);
    const values = Float32Array.from(
      { length: fanIn * shape[shape.length - 1] },
      () => Math.sqrt(2 / fanIn) * normal(random),
    );
    tf.tidy(() => void weight.write(tf.tensor(values, shape)));
  }
}

/** A standard normal number from two uniform ones (Box and Muller 1958). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** What stands behind a network. */
interface Behind {
  layers: tfl.LayersModel;
  backbone: Backbone | undefined;
  /** Whether it has been trained: a head then takes features as they are, while new weights are drawn for scaled ones. */
  learnt: boolean;
}

const kept = new WeakMap<object, Behind>();

/**
 * A network around layers that were built or read. The layers are kept beside it, so that its public type is free of tfjs's.
 *
 * @param backbone the frozen network whose features the layers take
 */
export function asNetwork(spec: NetworkSpec, layers: tfl.LayersModel, backbone?: Backbone, learnt = false): Network {
  const parameters = layers.trainableWeights.reduce(
    (sum, { shape }) => sum + tf.util.sizeFromShape(shape as number[]),
    0,
  );
  const dispose = (): void => {
    if (kept.delete(network)) layers.dispose();
  };
  const network: Network = { ...spec, parameters, dispose };
  kept.set(network, { layers, backbone, learnt });
  return network;
}

/** @throws {TypeError} when `network` is none of ours, or is disposed of */
export function layersOf(network: Network): tfl.LayersModel {
  return behind(network).layers;
}

/**
 * Moves the scale of features into the first layer of a head that was trained on scaled ones: from now on it takes them as they are.
 *
 * @param scale mean and deviation of each feature
 */
export function foldScale(
  network: Network,
  { mean, deviation }: { mean: Float32Array; deviation: Float32Array },
): void {
  const found = behind(network);
  found.learnt = true;
  changeFirst(found.layers, (kernel, bias) => {
    const scaled = tf.div(kernel, column(deviation));
    return [scaled, tf.sub(bias, tf.sum(tf.mul(scaled, column(mean)), 0))];
  });
}

/** Undoes {@link foldScale} with whatever scale, for a head that has learnt: it is to be trained on, on scaled features. */
export function unfoldScale(
  network: Network,
  { mean, deviation }: { mean: Float32Array; deviation: Float32Array },
): void {
  const found = behind(network);
  if (!found.learnt) return;
  changeFirst(found.layers, (kernel, bias) => [
    tf.mul(kernel, column(deviation)),
    tf.add(bias, tf.sum(tf.mul(kernel, column(mean)), 0)),
  ]);
}

const column = (values: Float32Array): tf.Tensor => tf.tensor2d(values, [values.length, 1]);

function changeFirst(layers: tfl.LayersModel, change: (kernel: tf.Tensor, bias: tf.Tensor) => tf.Tensor[]): void {
  const first = layers.layers.find((layer) => layer.getClassName() === 'Dense')!;
  tf.tidy(() => {
    const [kernel, bias] = first.getWeights();
    first.setWeights(change(kernel, bias));
  });
}

/** Whether a network has been trained, here or before it was saved. */
export function hasLearnt(network: Network): boolean {
  return behind(network).learnt;
}

export function markLearnt(network: Network): void {
  behind(network).learnt = true;
}

/** The frozen network that a network stands on. @throws {Error} when its file was not opened with the network */
export function backboneOf(network: Network): Backbone {
  const { backbone } = behind(network);
  if (backbone) return backbone;
  const { body } = network;
  const name = body.kind === 'frozen' ? body.backbone : 'a backbone';
  throw new Error(
    `the network stands on ${name}, which is not open: open it with openBackbone, and load the model with it`,
  );
}

function behind(network: Network): Behind {
  const found = kept.get(network);
  if (!found)
    throw new TypeError('this is no network in memory: build one with buildNetwork, or load one with loadModel');
  return found;
}
