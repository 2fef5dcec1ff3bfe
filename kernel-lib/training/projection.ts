/** Fits the layer before a network's embedding to a set, without a gradient. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { gathered } from './feed.ts';
import { type Projection, fitDiscriminant, fitProjection } from './fit.ts';
import { type FeatureScale, type Inputs, scaleOf } from './inputs.ts';
import { layersOf } from './layers.ts';
import type { Network } from './network.ts';
import { type Shard, variedImages } from './replica.ts';
import { evenly, randomFor, shuffled } from './sampler.ts';
import type { Settings, TrainingSet } from './settings.ts';

/** Images that a fit looks at, at most: more make it slower, not better. */
const ROWS = 2048;
/** Views of each image by which a fit without labels tells what is a place's own. */
const VIEWS = 6;
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
  const views = byLabels ? inputs.views : VIEWS;
  const features = byLabels
    ? await viewsBefore(layers, projection, inputs, rows)
    : await featuresBefore(layers, projection, inputs, rows, views);
  const d = features.length / rows.length / views;
  const scale = scaleOf({ values: features, width: d, views });
  const plain = scaled(features, scale);
  const width = network.embeddingWidth;
  const fitted = byLabels
    ? await fitProjection(plain, d, {
        width,
        labels: repeatedly(gathered(set.labels, rows, classes), views),
        classes,
        seed,
      })
    : await fitEarly(plain, d, views, network);
  tf.tidy(() => {
    const kernel = tf.div(tf.tensor2d(fitted.kernel, [d, width]), tf.tensor2d(scale.deviation, [d, 1]));
    const bias = tf.neg(tf.sum(tf.mul(kernel, tf.tensor2d(scale.mean, [d, 1])), 0));
    projection.setWeights([kernel, tf.add(bias, tf.tensor1d(fitted.bias))]);
  });
}

/** Without labels the last convolution, which has learnt the least, tells least: it is left out, its weights zero. */
async function fitEarly(
  features: Float32Array,
  d: number,
  views: number,
  { body, embeddingWidth }: Network,
): Promise<Projection> {
  const last = body.kind === 'convolutions' && body.widths.length > 2 ? body.widths[body.widths.length - 1] : 0;
  const used = d - last;
  const early = features.filter((_, i) => i % d < used);
  const { kernel, bias } = await fitDiscriminant(early, used, views, embeddingWidth);
  const whole = new Float32Array(d * embeddingWidth);
  whole.set(kernel);
  return { kernel: whole, bias };
}

/** `times` copies, one after another. */
function repeatedly(values: Float32Array, times: number): Float32Array {
  const copies = new Float32Array(times * values.length);
  for (let at = 0; at < times; at++) copies.set(values, at * values.length);
  return copies;
}

/** What goes into a layer for some rows, all of them in one view after another. */
async function viewsBefore(layers: tfl.LayersModel, layer: tfl.layers.Layer, inputs: Inputs, rows: Uint32Array): Promise<Float32Array> {
  const views: Float32Array[] = [];
  for (let view = 0; view < inputs.views; view++) {
    const plain = (some: Uint32Array): Promise<Shard> => inputs.plain(some, view);
    views.push(await featuresBefore(layers, layer, { ...inputs, plain }, rows, 1));
  }
  const joined = new Float32Array(views.length * views[0].length);
  views.forEach((values, view) => joined.set(values, view * values.length));
  return joined;
} // prettier-ignore

/** What goes into a layer for some rows, in views one after another; one view is the image as it is. */
async function featuresBefore(
  layers: tfl.LayersModel,
  layer: tfl.layers.Layer,
  inputs: Inputs,
  rows: Uint32Array,
  views: number,
): Promise<Float32Array> {
  const before = layer.input as tfl.SymbolicTensor;
  const isInput = layers.inputs.some(({ id }) => id === before.id);
  const body = isInput ? undefined : tfl.model({ inputs: layers.inputs, outputs: before });
  const found = new Float32Array(rows.length * views * (before.shape[1] as number));
  let at = 0;
  const repeated = Uint32Array.from({ length: rows.length * views }, (_, i) => rows[Math.floor(i / views)]);
  for (const part of evenly(repeated, Math.ceil(repeated.length / AT_ONCE), 1)) {
    const shard = views === 1 ? await inputs.plain(part) : await inputs.varied(part, `fit ${at}`);
    const values = 'features' in shard ? shard.features : variedImages(shard);
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
