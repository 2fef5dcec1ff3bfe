// A member of a team: a worker thread, or a process with a GPU of its own, that holds a replica and answers for its shards.
import { parentPort } from 'node:worker_threads';
import type { BackendName } from './backend.ts';
import { readyBackend, trainingBackend } from './backend.ts';
import { type Objective, type Replica, type Shard, openReplica } from './replica.ts';

/** What a member is asked. */
export type Request =
  | { ask: 'open'; topology: string; backend: BackendName }
  | { ask: 'weights'; values: Float32Array }
  | { ask: 'outputs'; shard: Shard; training: boolean }
  | { ask: 'gradients'; shard: Shard; objective: Objective }
  | { ask: 'close' };

/** A numbered request: its answer carries the same number. */
export interface Envelope {
  id: number;
  request: Request;
}

/** What comes back for a request. */
export type Reply = { id: number; answer: unknown } | { id: number; error: string };

let replica: Replica | undefined;

async function answer(request: Request): Promise<unknown> {
  if (request.ask === 'open') {
    await trainingBackend({ name: request.backend });
    replica = await openReplica(request.topology);
    return undefined;
  }
  if (request.ask === 'close') return replica?.dispose();
  await readyBackend();
  if (request.ask === 'weights') return replica!.setWeights(request.values);
  if (request.ask === 'outputs') return replica!.outputs(request.shard, request.training);
  return replica!.gradients(request.shard, request.objective);
}

/** Buffers of an answer, which move to the other thread instead of being copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (value instanceof Float32Array) return [value.buffer as ArrayBuffer];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((part) => buffersOf(part));
}

/** One request after another: a backend computes one thing at a time. */
let turn: Promise<void> = Promise.resolve();

function take(envelope: Envelope): void {
  turn = turn.then(() => reply(envelope));
}

async function reply({ id, request }: Envelope): Promise<void> {
  const made = await answer(request).then(
    (value): Reply => ({ id, answer: value }),
    (error: unknown): Reply => ({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
  if (parentPort) parentPort.postMessage(made, 'answer' in made ? buffersOf(made.answer) : []);
  else process.send!(made);
}

if (parentPort) parentPort.on('message', take);
else process.on('message', take).on('disconnect', () => process.exit());
