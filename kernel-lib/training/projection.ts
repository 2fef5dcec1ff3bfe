/** Fits the layer before a network's embedding to a set, without a gradient. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { fitProjection } from './fit.ts';
import { type FeatureScale, type Inputs, scaleOf } from './inputs.ts';
import { layersOf } from './layers.ts';
import type { Network } from './network.ts';
import { evenly, randomFor, shuffled } from './sampler.ts';
import type { Settings, TrainingSet } from './settings.ts';

/** Images that a fit looks at, at most: more make it slower, not better. */
const ROWS = 8192;
const AT_ONCE = 64;

/**
 * Sets the weights of the layer `projection` so that embeddings of chips that share labels lie together, and else apart as their features are.
 *
 * @param inputs of the set: pixels, or the features that the network takes
 * @param byLabels whether the labels have a part in it
 */
export async function fitNetwork(
  network: Network,
  set: TrainingSet,
  inputs: Inputs,
  { seed }: Settings,
  byLabels: boolean,
): Promise<void> {
  const layers = layersOf(network);
  const classes = network.classes.length;
  const projection = layers.getLayer('projection');
  const n = set.labels.length / classes;
  const rows = shuffled(n, randomFor(seed, 'fit')).slice(0, ROWS).sort();
  const features = await featuresBefore(layers, projection, inputs, rows);
  const width = features.length / rows.length;
  const scale = scaleOf({ values: features, width, views: 1 });
  const labels = new Float32Array(rows.length * classes);
  for (const [i, row] of rows.entries()) labels.set(set.labels.subarray(row * classes, (row + 1) * classes), i * classes); // prettier-ignore
  const fitted = await fitProjection(scaled(features, scale), width, {
    width: network.embeddingWidth,
    ...(byLabels && { labels, classes }),
    seed,
  });
  tf.tidy(() => {
    const kernel = tf.div(
      tf.tensor2d(fitted.kernel, [width, network.embeddingWidth]),
      tf.tensor2d(scale.deviation, [width, 1]),
    );
    const bias = tf.neg(tf.sum(tf.mul(kernel, tf.tensor2d(scale.mean, [width, 1])), 0));
    projection.setWeights([kernel, tf.add(bias, tf.tensor1d(fitted.bias))]);
  });
}

/** What goes into a layer, for some rows. */
async function featuresBefore(
  layers: tfl.LayersModel,
  layer: tfl.layers.Layer,
  inputs: Inputs,
  rows: Uint32Array,
): Promise<Float32Array> {
  const before = layer.input as tfl.SymbolicTensor;
  const isInput = layers.inputs.some(({ id }) => id === before.id);
  const body = isInput ? undefined : tfl.model({ inputs: layers.inputs, outputs: before });
  const found = new Float32Array(rows.length * (before.shape[1] as number));
  let at = 0;
  for (const part of evenly(rows, Math.ceil(rows.length / AT_ONCE), 1)) {
    const shard = await inputs.plain(part);
    const values = 'features' in shard ? shard.features : Float32Array.from(shard.images);
    const [, ...shape] = layers.inputs[0].shape as number[];
    const made = body && tf.tidy(() => body.apply(tf.tensor(values, [part.length, ...shape]), { training: false }) as tf.Tensor); // prettier-ignore
    const block = made ? ((await made.data()) as Float32Array) : values;
    found.set(block, at);
    at += block.length;
    made?.dispose();
  }
  return found;
}

function scaled(values: Float32Array, { mean, deviation }: FeatureScale): Float32Array {
  const width = mean.length;
  return values.map((value, i) => (value - mean[i % width]) / deviation[i % width]);
}
