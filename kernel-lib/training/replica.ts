/** A copy of the network where it is trained: one in each member of a team, all with the same weights. */
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { type Ranges, varyImage } from './augment.ts';
import { binaryCrossEntropy } from './losses.ts';
import { randomFor } from './sampler.ts';

/** Part of a batch, as it travels to a member. */
export type Shard = ImageShard | FeatureShard;

interface ImageShard {
  /** `[n, size, size, 3]`, 0–255. */
  images: Uint8Array;
  size: number;
  /** How they are varied. Not there: not at all. */
  ranges?: Ranges | undefined;
  /** What the variations are drawn from. */
  seed: string;
}

interface FeatureShard {
  /** `[n, width]`, what a frozen backbone says of the images. */
  features: Float32Array;
  width: number;
}

/** What a shard is to be improved by. */
export type Objective =
  | { /** Gradient of the batch's loss for each output. */ outputs: Float32Array[] }
  | { /** `[n, classes]`; see `binaryCrossEntropy`. */ present: Float32Array; counts: Float32Array };

/** What a shard says of the weights. */
export interface ShardGradients {
  /** Of the trained weights, one after another. */
  gradients: Float32Array;
  /** The other weights, batch statistics, as the shard leaves them. */
  statistics: Float32Array;
  /** The shard's part of the loss, where the objective is labels; else 0. */
  loss: number;
}

/** A network up to the outputs that are trained on. */
export interface Replica {
  setWeights(values: Float32Array): void;
  /** Each output for a shard. @param training with the statistics of the shard itself; without, as it will encode */
  outputs(shard: Shard, training: boolean): Promise<Float32Array[]>;
  gradients(shard: Shard, objective: Objective): Promise<ShardGradients>;
  /** Gives back its memory; it is of no use afterwards. */
  dispose(): void;
}

/** Builds a replica. @param topology the layers as JSON, without weights */
export async function openReplica(topology: string): Promise<Replica> {
  const model = await tfl.loadLayersModel({ load: async () => ({ modelTopology: JSON.parse(topology) as object }) });
  return replicaOf(model);
}

function replicaOf(model: tfl.LayersModel): Replica {
  const trained = model.trainableWeights;
  const others = model.nonTrainableWeights;
  const trainedSize = sizeOf(trained);
  let statistics = new Float32Array(0);
  const varied = new Map<string, Float32Array>(); // by seed, for a step passes each shard through twice

  const inputOf = (shard: Shard): tf.Tensor => {
    if ('features' in shard) return tf.tensor2d(shard.features, [shard.features.length / shard.width, shard.width]);
    const { images, size, ranges, seed } = shard;
    const n = images.length / (3 * size * size);
    const input = varied.get(seed) ?? variedImages(shard);
    if (ranges) varied.set(seed, input);
    return tf.tensor4d(input, [n, size, size, 3]);
  };
  const applied = (shard: Shard, training: boolean): tf.Tensor[] => {
    const outputs = model.apply(inputOf(shard), { training }) as tf.Tensor | tf.Tensor[];
    return Array.isArray(outputs) ? outputs : [outputs];
  };
  return {
    setWeights(values) {
      varied.clear();
      write(trained, values.subarray(0, trainedSize));
      statistics = values.slice(trainedSize);
      write(others, statistics);
    },
    async outputs(shard, training) {
      if (training) write(others, statistics);
      const tensors = tf.tidy(() => applied(shard, training));
      return taken(tensors);
    },
    async gradients(shard, objective) {
      write(others, statistics);
      const variables = trained.map((weight) => weight.read() as tf.Variable);
      const { value, grads } = tf.tidy(() =>
        tf.variableGrads(() => scoreOf(applied(shard, true), objective), variables),
      );
      const left = others.map((weight) => tf.clone(weight.read()));
      const ordered = variables.map((variable) => grads[variable.name] ?? tf.zerosLike(variable)); // a weight may have no part in it
      const [[loss], ...values] = await taken([value, ...ordered, ...left]);
      return {
        gradients: joined(values.slice(0, ordered.length)),
        statistics: joined(values.slice(ordered.length)),
        loss: 'present' in objective ? loss : 0,
      };
    },
    dispose: () => void model.dispose(),
  };
}

/** A number whose gradients are those wanted: the shard's loss, or its outputs along the gradients that came back for them. */
function scoreOf(outputs: tf.Tensor[], objective: Objective): tf.Scalar {
  if ('present' in objective) return binaryCrossEntropy(outputs[1] as tf.Tensor2D, objective.present, objective.counts);
  const parts = outputs.map((output, i) => tf.sum(tf.mul(output, tf.tensor(objective.outputs[i], output.shape))));
  return tf.addN(parts) as tf.Scalar;
}

/** Pixels of a shard as they go into the network, `[n, size, size, 3]`, 0–255: varied, where it says so. */
export function variedImages({ images, size, ranges, seed }: ImageShard): Float32Array {
  if (!ranges) return Float32Array.from(images);
  const random = randomFor(seed, 'augmentation');
  const each = 3 * size * size;
  const out = new Float32Array(images.length);
  for (let at = 0; at < images.length; at += each)
    varyImage(images.subarray(at, at + each), out.subarray(at, at + each), size, ranges, random);
  return out;
}

function sizeOf(weights: tfl.LayersModel['weights']): number {
  return weights.reduce((sum, { shape }) => sum + tf.util.sizeFromShape(shape as number[]), 0);
}

/** All weights of a model, trained ones first, one after another. */
export async function weightValues(model: tfl.LayersModel): Promise<Float32Array> {
  const weights = [...model.trainableWeights, ...model.nonTrainableWeights];
  return joined(await Promise.all(weights.map((weight) => weight.read().data() as Promise<Float32Array>)));
}

/** Puts values as {@link weightValues} gives them into a model. */
export function setWeightValues(model: tfl.LayersModel, values: Float32Array): void {
  write([...model.trainableWeights, ...model.nonTrainableWeights], values);
}

function write(weights: tfl.LayersModel['weights'], values: Float32Array): void {
  let at = 0;
  tf.tidy(() => {
    for (const weight of weights) {
      const shape = weight.shape as number[];
      weight.write(tf.tensor(values.subarray(at, (at += tf.util.sizeFromShape(shape))), shape));
    }
  });
}

/** Values of tensors, which are disposed of. */
async function taken(tensors: tf.Tensor[]): Promise<Float32Array[]> {
  const values = await Promise.all(tensors.map((tensor) => tensor.data() as Promise<Float32Array>));
  tf.dispose(tensors);
  return values.map((value) => Float32Array.from(value)); // a backend may hand out a view of its own memory
}

/** Arrays one after another. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
