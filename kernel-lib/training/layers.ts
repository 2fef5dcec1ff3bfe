import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import seedrandom from 'seedrandom';
import type { Network } from './network.ts';

/** What a network is built from; see `NetworkOptions` for what each means. */
export interface NetworkSpec {
  inputSize: number;
  classes: readonly string[];
  embeddingWidth: number;
  widths: readonly number[];
  seed: number | string;
}

/** Steepness of the heads: they see an embedding of this length, so that a cosine of one can say yes firmly. */
const headScale = 8;

/** Rows scaled to unit length; the Keras layer of that name, which tfjs-layers lacks. */
class UnitNormalization extends tfl.layers.Layer {
  static readonly className: string = 'UnitNormalization';

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape | tfl.Shape[] {
    return inputShape;
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const rows = Array.isArray(inputs) ? inputs[0] : inputs;
    return tf.tidy(() => tf.mul(rows, tf.rsqrt(tf.add(tf.sum(tf.square(rows), -1, true), 1e-12))));
  }
}
tf.serialization.registerClass(UnitNormalization);

/**
 * The layers of a network: images `[n, size, size, 3]`, 0–255 → embeddings `[n, width]` of unit length and probabilities `[n, classes]`.
 *
 * 3 × 3 convolutions by a step of two, each with batch normalisation and ReLU, then the mean over the image, a dense layer, unit length; on it, scaled,
 * one sigmoid head a class.
 */
export function buildLayers({ inputSize, classes, embeddingWidth, widths, seed }: NetworkSpec): tfl.LayersModel {
  const input = tfl.input({ shape: [inputSize, inputSize, 3], name: 'image' });
  let x = tfl.layers.rescaling({ scale: 1 / 127.5, offset: -1, name: 'centred' }).apply(input) as tfl.SymbolicTensor;
  for (const [i, filters] of widths.entries()) x = block(x, filters, i + 1);
  x = tfl.layers.globalAveragePooling2d({ name: 'pooled' }).apply(x) as tfl.SymbolicTensor;
  x = tfl.layers
    .dense({ units: embeddingWidth, kernelInitializer: 'zeros', name: 'projection' })
    .apply(x) as tfl.SymbolicTensor;
  const embedding = new UnitNormalization({ name: 'embedding' }).apply(x) as tfl.SymbolicTensor;
  x = tfl.layers.rescaling({ scale: headScale, name: 'scaled' }).apply(embedding) as tfl.SymbolicTensor;
  x = tfl.layers
    .dense({ units: classes.length, kernelInitializer: 'zeros', name: 'logits' })
    .apply(x) as tfl.SymbolicTensor;
  x = tfl.layers.activation({ activation: 'sigmoid', name: 'probabilities' }).apply(x) as tfl.SymbolicTensor;
  const model = tfl.model({ inputs: input, outputs: [embedding, x], name: 'imagesim' });
  initialise(model, seed);
  return model;
}

function block(x: tfl.SymbolicTensor, filters: number, index: number): tfl.SymbolicTensor {
  const shape = {
    filters,
    kernelSize: 3,
    strides: 2,
    padding: 'same',
    useBias: false,
    kernelInitializer: 'zeros',
  } as const;
  const convolved = tfl.layers.conv2d({ ...shape, name: `convolution${index}` }).apply(x) as tfl.SymbolicTensor;
  const normalised = tfl.layers
    .batchNormalization({ momentum: 0.9, name: `norm${index}` })
    .apply(convolved) as tfl.SymbolicTensor;
  return tfl.layers.reLU({ name: `relu${index}` }).apply(normalised) as tfl.SymbolicTensor;
}

/** Draws every filter and matrix anew: normal, variance 2 / fan-in (He et al. 2015, arXiv:1502.01852). The same seed gives the same weights. */
function initialise(model: tfl.LayersModel, seed: number | string): void {
  for (const weight of model.trainableWeights) {
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

const kept = new WeakMap<object, tfl.LayersModel>();

/** A network around layers that were built or read. The layers are kept beside it, so that its public type is free of tfjs's. */
export function asNetwork(spec: NetworkSpec, model: tfl.LayersModel): Network {
  const parameters = model.trainableWeights.reduce(
    (sum, { shape }) => sum + tf.util.sizeFromShape(shape as number[]),
    0,
  );
  const dispose = (): void => {
    kept.get(network)?.dispose();
    kept.delete(network);
  };
  const network: Network = { ...spec, parameters, dispose };
  kept.set(network, model);
  return network;
}

/** @throws {TypeError} when `network` is none of ours, or is disposed of */
export function layersOf(network: Network): tfl.LayersModel {
  const model = kept.get(network);
  if (!model)
    throw new TypeError('this is no network in memory: build one with buildNetwork, or load one with loadModel');
  return model;
}
