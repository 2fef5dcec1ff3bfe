import * as tf from '@tensorflow/tfjs-core';
import type { StepOptions } from '../ard/index.ts';
import { readyBackend } from './backend.ts';
import { batchesOf } from './sampler.ts';
import { backboneOf, layersOf } from './layers.ts';
import type { Network } from './network.ts';
import { imageBytes } from './settings.ts';

/** Options of {@link encode} and {@link classify}. */
export interface EncodeOptions extends Omit<StepOptions, 'concurrency'> {
  /** Images at once. Default: 64. */
  batchSize?: number | undefined;
}

/**
 * Embeddings of images.
 *
 * @param images `[n, size, size, 3]`, 0–255, of the network's input size
 * @returns `[n, embeddingWidth]`, each row of unit length: their dot product is the cosine
 * @throws {RangeError} when the bytes are no whole number of images of that size
 */
export async function encode(network: Network, images: Uint8Array, options: EncodeOptions = {}): Promise<Float32Array> {
  return forward(network, images, 0, network.embeddingWidth, options);
}

/**
 * Probabilities of the classes in images, each class by itself: a row need not sum to one.
 *
 * @param images `[n, size, size, 3]`, 0–255, of the network's input size
 * @returns `[n, classes]`, 0–1, in the order of `network.classes`
 * @throws {RangeError} when the bytes are no whole number of images of that size
 */
export async function classify(
  network: Network,
  images: Uint8Array,
  options: EncodeOptions = {},
): Promise<Float32Array> {
  return forward(network, images, 1, network.classes.length, options);
}

/** One of the network's two outputs for all images, batch after batch. */
async function forward(
  network: Network,
  images: Uint8Array,
  output: 0 | 1,
  width: number,
  options: EncodeOptions,
): Promise<Float32Array> {
  const { batchSize = 64, signal, onProgress } = options;
  const { inputSize } = network;
  const each = imageBytes(network);
  const n = images.length / each;
  if (!Number.isInteger(n))
    throw new RangeError(
      `images: ${images.length} bytes are no whole number of ${inputSize} × ${inputSize} × 3 images`,
    );
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new RangeError(`a positive whole batchSize is required, got ${batchSize}`);
  await readyBackend();
  const model = layersOf(network);
  const rows = new Float32Array(n * width);
  const all = Uint32Array.from({ length: n }, (_, i) => i);
  for (const batch of batchesOf(all, batchSize)) {
    signal?.throwIfAborted();
    const pixels = images.subarray(batch[0] * each, (batch[0] + batch.length) * each);
    const values = network.body.kind === 'frozen' ? await backboneOf(network).features(pixels) : Float32Array.from(pixels); // prettier-ignore
    const result = tf.tidy(() => {
      const [, ...shape] = model.inputs[0].shape as number[];
      return (model.apply(tf.tensor(values, [batch.length, ...shape]), { training: false }) as tf.Tensor[])[output];
    });
    rows.set(await result.data(), batch[0] * width);
    result.dispose();
    onProgress?.({ done: batch[0] + batch.length, total: n, unit: 'images' });
    await new Promise(setImmediate); // lets progress show and an abort arrive
  }
  return rows;
}
