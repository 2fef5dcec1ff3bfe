/** The state of a training run between two epochs, in one file, so that an interrupted run goes on where it was. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { z } from 'zod';
import { writeWhole } from '../ard/index.ts';
import type { EpochLog } from './settings.ts';

/** The parts of a run that change as it learns. */
interface State {
  model: LayersModel;
  optimiser: tf.AdamOptimizer;
}

const entry = z.object({
  epoch: z.number(),
  loss: z.number(),
  validationLoss: z.number().exactOptional(),
  seconds: z.number(),
  imagesPerSecond: z.number(),
});
const headSchema = z.object({
  run: z.string(),
  log: z.array(entry),
  weights: z.number(),
  moments: z.array(z.object({ name: z.string(), shape: z.array(z.number()) })),
});

/**
 * Writes the state: one line of JSON, then all values as float32, weights first and Adam's iterations and moments after them.
 *
 * @param run describes the run: only a run of the same description goes on from it
 */
export async function writeCheckpoint(
  path: string,
  run: string,
  { model, optimiser }: State,
  log: EpochLog[],
): Promise<void> {
  const moments = await optimiser.getWeights();
  const weights = model.weights.map((weight) => weight.read());
  const head = {
    run,
    log,
    weights: weights.length,
    moments: moments.map(({ name, tensor }) => ({ name, shape: tensor.shape })),
  };
  const values = await Promise.all([...weights, ...moments.map(({ tensor }) => tensor)].map((tensor) => tensor.data()));
  moments[0].tensor.dispose(); // the count of iterations is made for the occasion
  const blocks = values.map((block) => Buffer.from(Float32Array.from(block).buffer));
  await writeWhole(path, Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...blocks]));
}

/**
 * Reads the state into a network and its optimiser, where the file is there.
 *
 * @returns the log so far; empty where there is no file
 * @throws {Error} when the file is damaged, or of another run
 */
export async function readCheckpoint(path: string, run: string, { model, optimiser }: State): Promise<EpochLog[]> {
  if (!existsSync(path)) return [];
  const bytes = await readFile(path);
  const head = headOf(path, bytes);
  if (head.run !== run)
    throw new Error(
      `${path} is the checkpoint of another run (other network, data or options): remove it, or give another checkpointPath`,
    );
  const shapes = [...model.weights.map(({ shape }) => shape as number[]), ...head.moments.map(({ shape }) => shape)];
  const values = Float32Array.from(new Float32Array(Uint8Array.from(bytes.subarray(bytes.indexOf('\n') + 1)).buffer));
  const length = shapes.reduce((sum, shape) => sum + tf.util.sizeFromShape(shape), 0);
  if (values.length !== length) throw damaged(path, `${values.length} values, where it says ${length}`);
  let at = 0;
  const tensors = shapes.map((shape) => tf.tensor(values.subarray(at, (at += tf.util.sizeFromShape(shape))), shape));
  model.weights.forEach((weight, i) => weight.write(tensors[i]));
  await optimiser.setWeights(head.moments.map(({ name }, i) => ({ name, tensor: tensors[model.weights.length + i] })));
  tf.dispose(tensors);
  return head.log;
}

function headOf(path: string, bytes: Buffer): z.infer<typeof headSchema> {
  const line = bytes.subarray(0, Math.max(0, bytes.indexOf('\n'))).toString();
  try {
    return headSchema.parse(JSON.parse(line));
  } catch (error) {
    throw damaged(path, `it begins with ${JSON.stringify(line.slice(0, 40))}`, error);
  }
}

function damaged(path: string, found: string, cause?: unknown): Error {
  return new Error(`${path} is no whole checkpoint (${found}): remove it, and training begins again`, { cause });
}
