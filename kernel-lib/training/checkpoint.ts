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

/** What a checkpoint gave. */
interface Resumed {
  /** The epochs that are done; empty where training begins. */
  log: EpochLog[];
  /** Whether there was a checkpoint, but of another run: it was left unread. */
  ofAnotherRun: boolean;
}

/** Where there is no checkpoint. */
export const nothingDone = (): Resumed => ({ log: [], ofAnotherRun: false });

/**
 * Reads the state into a network and its optimiser, where the file is there and of this run. Else both stay as they are.
 *
 * @throws {Error} naming the file, when it is damaged
 */
export async function readCheckpoint(path: string, run: string, { model, optimiser }: State): Promise<Resumed> {
  if (!existsSync(path)) return nothingDone();
  const bytes = await readFile(path);
  const head = headOf(path, bytes);
  if (head.run !== run) return { log: [], ofAnotherRun: true };
  const shapes = [...model.weights.map(({ shape }) => shape as number[]), ...head.moments.map(({ shape }) => shape)];
  const body = bytes.subarray(bytes.indexOf('\n') + 1);
  const length = 4 * shapes.reduce((sum, shape) => sum + tf.util.sizeFromShape(shape), 0);
  if (body.length !== length) throw damaged(path, `${body.length} bytes of values, where it says ${length}`);
  const values = new Float32Array(Uint8Array.from(body).buffer); // a copy, for a file's bytes need not lie at a multiple of four
  let at = 0;
  const tensors = shapes.map((shape) => tf.tensor(values.subarray(at, (at += tf.util.sizeFromShape(shape))), shape));
  model.weights.forEach((weight, i) => weight.write(tensors[i]));
  await optimiser.setWeights(head.moments.map(({ name }, i) => ({ name, tensor: tensors[model.weights.length + i] })));
  tf.dispose(tensors);
  return { log: head.log, ofAnotherRun: false };
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
  return new Error(`${path} is no whole checkpoint (${found}): delete it, and training begins again`, { cause });
}
