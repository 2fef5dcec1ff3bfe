/** Submits an array, and follows it to its end. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type StepOptions, dataRoot } from '../../ard/index.ts';
import { type ArrayJob, type ArrayState, type Engine, type ShardFault, quoted, rangesText } from './array.ts';

/** Options of {@link submitArray}. */
export interface SubmitOptions extends Omit<StepOptions, 'concurrency'> {
  /** Among how many workers the cells are dealt out. */
  array: number;
  /** Only these of them, from 0: those that failed, say. Default: all. */
  only?: readonly number[] | undefined;
  /** Processors of a worker. Default: 1. */
  cpus?: number | undefined;
  /** Memory of a worker, MiB. Default: 3072. */
  memoryMiB?: number | undefined;
  /** How often a worker is started again whose machine or process died. Default: 5. */
  retries?: number | undefined;
  /** At most so many workers at once. Default: as many as the engine has room for; of `local` one a core. */
  atOnce?: number | undefined;
  /** Id of a job that must have ended well before this one begins. Default: none. */
  after?: string | undefined;
  /** Whether one worker with `--shard 0/1` puts together what all have done, once they have ended well. Default: the verb needs none. */
  merges?: boolean | undefined;
  /** Submits, and does not wait for the end. Default: waits. */
  detach?: boolean | undefined;
  /** How often it is looked how far they are. Default: 2,000 */
  everyMs?: number | undefined;
  /** Called with the id when the job is submitted. */
  onSubmit?: ((id: string) => void) | undefined;
}

/** What {@link submitArray} did. */
export interface SubmitReport {
  id: string;
  /** Where script and logs are, of Slurm and `local`. */
  folder: string;
  /** As it ended; as it stood at once where it was not waited for. */
  state: ArrayState;
  seconds: number;
  /** What failed: of each the reason and the log. */
  failed: ShardFault[];
  /** How the merge ended; none where none was needed, or it has not begun because of what failed. */
  merge?: { folder: string; failed: ShardFault[] } | undefined;
}

/**
 * What is submitted.
 *
 * @param words the verb and its arguments, as after `imagesim`, without `--shard`
 * @throws {RangeError} when there is no such array, or no such worker in it
 */
export function arrayJob(words: readonly string[], dataPath: string, options: SubmitOptions): ArrayJob {
  const { array, only, cpus = 1, memoryMiB = 3072, retries = 5, atOnce, after } = options;
  const positive = { array, cpus, memoryMiB, ...(atOnce !== undefined && { atOnce }) };
  for (const [name, value] of Object.entries(positive))
    if (!Number.isInteger(value) || value < 1) throw new RangeError(`submit requires a positive whole ${name}, got ${value}`); // prettier-ignore
  const shards = [...new Set(only ?? Array.from({ length: array }, (_, shard) => shard))].sort((a, b) => a - b);
  const strange = shards.find((shard) => !Number.isInteger(shard) || shard < 0 || shard >= array);
  if (strange !== undefined || shards.length === 0)
    throw new RangeError(`an array of ${array} has no worker ${strange ?? 'to run'}: they are 0 to ${array - 1}`);
  const at = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const root = dataRoot(dataPath);
  const folder = join(root, 'jobs', `${words[0]}-${at}-${process.pid}`);
  return { words, count: array, shards, dataPath: root, folder, cpus, memoryMiB, retries, atOnce, after };
}

/**
 * Submits a verb as an array and follows it to its end, with one progress for all workers.
 *
 * A worker that fails by itself stays failed, for it would again; one whose machine or process died is started again. What
 * one has done stays done: the same array again does what is missing. A merge, where the verb needs one, begins when all have
 * ended well, and may be done again. So do those alone that failed, unless tiles have
 * changed since: cells are dealt out by the bytes of their tiles.
 *
 * @throws {Error} naming what the engine said, where it takes no job; how to go on, where `signal` ends the following
 */
export async function submitArray(engine: Engine, job: ArrayJob, options: SubmitOptions): Promise<SubmitReport> {
  const start = performance.now();
  const merge = options.merges && job.count > 1 ? mergeOf(job) : undefined;
  if (merge && options.detach && engine.name === 'local')
    throw new Error('local cannot be left before it has merged what its workers have done: leave out --detach');
  const id = await engine.submit(job);
  options.onSubmit?.(id);
  if (options.detach) {
    const last = merge ? await engine.submit({ ...merge, after: id }) : id;
    return { id: last, folder: job.folder, state: await engine.look(job, id), seconds: secondsSince(start), failed: [] };
  }
  const state = await follow(engine, job, id, options);
  const merged = merge && state.failed === 0 ? await mergeAll(engine, merge, options) : undefined;
  const report = { id, folder: job.folder, state, seconds: secondsSince(start), failed: state.faults };
  return { ...report, ...(merged && { merge: merged }) };
} // prettier-ignore

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}

/** One worker that puts together what those of an array have done: the only one of its array, it finds all of it there. */
export function mergeOf(job: ArrayJob): ArrayJob {
  return { ...job, count: 1, shards: [0], folder: join(job.folder, 'merge'), atOnce: undefined };
}

async function mergeAll(engine: Engine, merge: ArrayJob, options: SubmitOptions): Promise<NonNullable<SubmitReport['merge']>> {
  const id = await engine.submit({ ...merge, after: undefined });
  options.onSubmit?.(id);
  const { faults } = await follow(engine, merge, id, options);
  return { folder: merge.folder, failed: faults };
} // prettier-ignore

async function follow(
  engine: Engine,
  job: ArrayJob,
  id: string,
  { signal, onProgress, everyMs = 2000 }: SubmitOptions,
): Promise<ArrayState> {
  for (;;) {
    const state = await engine.look(job, id);
    const { waiting, running, finished, failed } = state;
    onProgress?.({
      done: finished + failed,
      total: job.shards.length,
      unit: job.folder.endsWith('/merge') ? 'merge' : 'shards',
      note: noteOf(state),
    });
    if (waiting + running === 0) return state;
    await pause(everyMs, undefined, { signal }).catch(() => undefined); // an abort is told below
    if (signal?.aborted) throw new Error(await engine.leave(id), { cause: signal.reason });
  }
}

function noteOf({ waiting, running, failed, restarts, progress, note }: ArrayState): string {
  const counts = { running, waiting, failed, 'started again': restarts };
  const some = Object.entries(counts).filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`); // prettier-ignore
  const done = progress ? [`${progress.done} of ${progress.total} ${progress.unit}`] : [];
  return [...some, ...done, ...(note ? [note] : [])].join(', ');
}

/** The command that does only what failed again. @param flags of the engine and of its machines, to be kept */
export function redoCommand(
  engine: Engine,
  { words, count }: ArrayJob,
  failed: readonly ShardFault[],
  flags: readonly string[] = [],
): string {
  const only = rangesText(failed.map(({ shard }) => shard));
  const options = ['--engine', engine.name, '--array', String(count), '--only', only, ...flags];
  return `imagesim submit ${[...options, '--', ...words].map(quoted).join(' ')}`;
}
