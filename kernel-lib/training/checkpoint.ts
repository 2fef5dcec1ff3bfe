/** The state of a training run, in one file, so that an interrupted run goes on where it was, to the same result. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { writeWhole } from '../ard/index.ts';
import { type AdamState, freshAdam } from './adam.ts';
import type { EpochLog } from './settings.ts';

/** The parts of a run that change as it learns. */
export interface RunState {
  /** All weights, the trained ones first. */
  weights: Float32Array;
  adam: AdamState;
  /** Weights of the epoch with the best validation mAP so far; as `weights` where there is none yet. */
  best: Float32Array;
  /** Finished epochs. */
  log: EpochLog[];
  /** Steps done of the epoch under way, the sum of their losses over images, their images, and the seconds that they took. */
  step: number;
  lossSum: number;
  images: number;
  seconds: number;
}

const entry = z.object({
  epoch: z.number(),
  loss: z.number(),
  validationLoss: z.number().exactOptional(),
  validationMap: z.number().exactOptional(),
  seconds: z.number(),
  imagesPerSecond: z.number(),
  dollars: z.number().exactOptional(),
});
const count = z.number().int().min(0);
const headSchema = z.object({
  format: z.literal(2),
  run: z.string(),
  log: z.array(entry),
  step: count,
  lossSum: z.number(),
  images: count,
  seconds: z.number(),
  adamSteps: count,
  weights: count,
  trained: count,
});

/** A run before its first step. @param trained how many of the weights are trained */
export function freshState(weights: Float32Array, trained: number): RunState {
  return { weights, adam: freshAdam(trained), best: weights.slice(), log: [], step: 0, lossSum: 0, images: 0, seconds: 0 }; // prettier-ignore
}

/**
 * Writes the state: one line of JSON, then as float32 the weights, the best weights and Adam's two moments.
 *
 * @param run describes the run: only a run of the same description goes on from it
 */
export async function writeCheckpoint(path: string, run: string, state: RunState): Promise<void> {
  const { weights, best, adam, log, step, lossSum, images, seconds } = state;
  const head: z.infer<typeof headSchema> = {
    format: 2, run, log, step, lossSum, images, seconds, adamSteps: adam.steps, weights: weights.length, trained: adam.first.length,
  }; // prettier-ignore
  const blocks = [weights, best, adam.first, adam.second].map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
  await writeWhole(path, Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...blocks]));
}

/** What a checkpoint gave. */
export interface Resumed {
  /** Where the run goes on; not there where it begins. */
  state?: RunState;
  /** Whether there was a checkpoint, but of another run: it was left unread. */
  ofAnotherRun: boolean;
}

/**
 * Reads the state of a run, where the file is there and of this run.
 *
 * @throws {Error} naming the file, when it is damaged
 */
export async function readCheckpoint(path: string, run: string): Promise<Resumed> {
  if (!existsSync(path)) return { ofAnotherRun: false };
  const bytes = await readFile(path);
  const head = headOf(path, bytes);
  if (head.run !== run) return { ofAnotherRun: true };
  const body = bytes.subarray(bytes.indexOf('\n') + 1);
  const lengths = [head.weights, head.weights, head.trained, head.trained];
  const length = 4 * lengths.reduce((sum, each) => sum + each, 0);
  if (body.length !== length) throw damaged(path, `${body.length} bytes of values, where it says ${length}`);
  const values = new Float32Array(Uint8Array.from(body).buffer); // a copy, for a file's bytes need not lie at a multiple of four
  let at = 0;
  const [weights, best, first, second] = lengths.map((each) => values.slice(at, (at += each)));
  const { log, step, lossSum, images, seconds, adamSteps } = head;
  const adam = { steps: adamSteps, first, second };
  return { state: { weights, best, adam, log, step, lossSum, images, seconds }, ofAnotherRun: false };
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
