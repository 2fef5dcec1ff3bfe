/** A verb dealt out to several workers, and what an engine that runs them can do. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Progress } from '../../ard/index.ts';

/** A verb that several workers do, each with `--shard i/n`. */
export interface ArrayJob {
  /** The verb and its arguments, as after `imagesim`, without `--shard`. */
  words: readonly string[];
  /** Among how many workers the cells are dealt out. */
  count: number;
  /** Those of them that run, from 0, in order. */
  shards: readonly number[];
  dataPath: string;
  /** Where script, logs and exit codes go, on a disk that all workers see: `<data>/jobs/<verb>-<time>`. */
  folder: string;
  /** Of each worker. */
  cpus: number;
  memoryMiB: number;
  /** How often a worker is started again whose machine or process died. */
  retries: number;
  /** At most so many at once. Default: as many as the engine has room for. */
  atOnce?: number | undefined;
  /** Id of a job that must have ended well before this one begins. */
  after?: string | undefined;
}

/** A worker that failed. */
export interface ShardFault {
  shard: number;
  /** In one line. */
  why: string;
  /** Where it says more. */
  log: string;
}

/** How an array stands just now. */
export interface ArrayState {
  waiting: number;
  running: number;
  finished: number;
  failed: number;
  /** Starts after a death, of all workers. */
  restarts: number;
  /** Of the failed, where the engine tells which they are: at the latest when none waits or runs. */
  faults: ShardFault[];
  /** What all workers have done together, where they write it to a disk that is seen here. */
  progress?: Progress | undefined;
  /** Why nothing goes on just now. */
  note?: string | undefined;
}

/** What runs arrays. */
export interface Engine {
  readonly name: string;
  /** What would be submitted, for people to read and to submit themselves. */
  draft(job: ArrayJob): string;
  /** @returns the id of the job @throws {Error} naming what the engine said */
  submit(job: ArrayJob): Promise<string>;
  look(job: ArrayJob, id: string): Promise<ArrayState>;
  /** Ends what was submitted, where it ends with this process; else says how it is ended. */
  leave(id: string): Promise<string>;
}

/** The arguments of one worker. */
export function wordsOf({ words, count }: Pick<ArrayJob, 'words' | 'count'>, shard: number | string): string[] {
  return [...words, '--shard', `${shard}/${count}`];
}

/** The program that workers run. */
export const PROGRAM: string = fileURLToPath(new URL('../../cli.js', import.meta.url));

/** Files of a worker in the job's folder. */
export function filesOf(folder: string, shard: number | string): { log: string; exit: string; progress: string } {
  return {
    log: join(folder, `${shard}.log`),
    exit: join(folder, `${shard}.exit`),
    progress: join(folder, `${shard}.progress.json`),
  };
}

/** A text as one word of a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Numbers in order as `0-3,7`. */
export function rangesText(numbers: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const number of numbers) {
    const range = ranges.at(-1);
    if (range && range[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}
