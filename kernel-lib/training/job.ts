/** Training that outlives its notebook: a process of its own, which a cell starts, leaves, and finds again. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type Progress, readJson, withLock, writeWhole } from '../ard/index.ts';
import { type ModelOptions, type ModelPlace, modelPlace } from './make.ts';
import type { EpochLog } from './settings.ts';

/** Where a job stands. `interrupted`: its process is gone before its end, and starting it again goes on from the last checkpoint. */
export type JobState = 'not started' | 'running' | 'finished' | 'failed' | 'interrupted';

/** What is known of a job just now. */
export interface JobStatus {
  state: JobState;
  /** The epochs that are done. */
  log: EpochLog[];
  /** Where it is within an epoch. */
  progress?: Progress | undefined;
  /** Why it failed, or how to go on. */
  note: string;
}

/** A training job, as {@link startTraining} gives it: plain data, which a cell can hold. */
export interface TrainingJob extends ModelPlace {
  /** Number of its process. */
  pid: number;
}

const recordSchema = z.object({ pid: z.number().int(), started: z.string(), boot: z.string() });
const progressSchema = z.looseObject({ done: z.number(), total: z.number(), unit: z.string() });

/** How often a follower looks. */
const LOOK_MS = 500;

/**
 * Starts training as a process that goes on when the notebook, the browser and the kernel are gone; or finds the one that runs already.
 *
 * It does what {@link trainModel} does and writes beside its checkpoint, in `models/<name>/<version>.run`, what it says:
 * `output.log`, `progress.json`, `training-log.jsonl`. A model that is there already is finished at once.
 *
 * @param options as of {@link trainModel}, without what cannot be written down
 * @throws {Error} when the dataset is not there, or the folder cannot be written
 */
export async function startTraining(
  dataPath: string,
  options: Omit<ModelOptions, 'signal' | 'onProgress'>,
): Promise<TrainingJob> {
  const place = await modelPlace(dataPath, options);
  await mkdir(place.run, { recursive: true });
  return withLock(join(place.run, 'job.json'), async () => {
    const running = await runningProcess(place);
    if (running !== undefined) return { ...place, pid: running };
    await writeWhole(join(place.run, 'options.json'), `${JSON.stringify(options, null, 2)}\n`);
    const pid = await spawnTraining(dataPath, place);
    const record = { pid, started: new Date().toISOString(), boot: await bootMark() };
    await writeWhole(join(place.run, 'job.json'), `${JSON.stringify(record)}\n`);
    return { ...place, pid };
  });
}

async function spawnTraining(dataPath: string, { run }: ModelPlace): Promise<number> {
  const output = await open(join(run, 'output.log'), 'w');
  try {
    const cli = fileURLToPath(new URL('../cli.js', import.meta.url));
    const child = spawn(process.execPath, [cli, 'train', '--options', join(run, 'options.json')], {
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
      env: { ...process.env, IMAGESIM_DATA: dataPath, IMAGESIM_JOB: run },
    });
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('spawn', () => resolve(child.pid!)).once('error', reject);
    });
    child.unref();
    return pid;
  } finally {
    await output.close();
  }
}

/** Tells this run of the machine from the one before, whose process numbers mean nothing now. */
async function bootMark(): Promise<string> {
  return readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((text) => text.trim(), () => ''); // prettier-ignore
}

/** Number of the process of a job, where it still runs. */
async function runningProcess({ run }: ModelPlace): Promise<number | undefined> {
  const path = join(run, 'job.json');
  if (!existsSync(path)) return undefined;
  const { success, data } = recordSchema.safeParse(await readJson(path).catch(() => undefined));
  if (!success || data.boot !== (await bootMark())) return undefined;
  return (await isTraining(data.pid)) ? data.pid : undefined;
}

/** Whether a process is there and is one of ours: its number may be another's by now. */
async function isTraining(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0); // signal 0 only asks
  } catch {
    return false;
  }
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
  if (words === '') return false; // ended, and not yet asked after by whoever started it
  return words === undefined || words.includes('train');
}

/** Where a job stands. @param place as {@link startTraining} or {@link modelPlace} gives it */
export async function trainingStatus(place: ModelPlace): Promise<JobStatus> {
  const isRunning = (await runningProcess(place)) !== undefined; // asked first: it may end while the rest is read
  const log = await logOf(place);
  if (existsSync(join(place.folder, 'card.json'))) return { state: 'finished', log, note: place.folder };
  if (isRunning) return { state: 'running', log, progress: await progressOf(place), note: `process in ${place.run}` };
  if (!existsSync(join(place.run, 'job.json'))) return { state: 'not started', log, note: 'startTraining starts it' };
  const said = await lastWords(place);
  if (said.startsWith('imagesim: ') && !said.startsWith('imagesim: interrupted'))
    return { state: 'failed', log, note: said.slice('imagesim: '.length) };
  return { state: 'interrupted', log, note: 'start it again: it goes on from its last checkpoint' };
}

/** The finished epochs; a line that is just being written does not count. */
async function logOf({ folder, run }: ModelPlace): Promise<EpochLog[]> {
  for (const path of [join(folder, 'training-log.jsonl'), join(run, 'training-log.jsonl')]) {
    if (!existsSync(path)) continue;
    const lines = (await readFile(path, 'utf8')).split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as EpochLog);
  }
  return [];
}

async function progressOf({ run }: ModelPlace): Promise<Progress | undefined> {
  const json = await readJson(join(run, 'progress.json')).catch(() => undefined);
  const { success, data } = progressSchema.safeParse(json);
  return success ? data : undefined;
}

async function lastWords({ run }: ModelPlace): Promise<string> {
  const text = await readFile(join(run, 'output.log'), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').at(-1) ?? '';
}

/** Options of {@link followTraining}. */
export interface FollowOptions {
  /** Stops following; the job goes on. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Called with all finished epochs after each new one. */
  onEpoch?: ((log: EpochLog[]) => void) | undefined;
}

/**
 * Follows a job until it ends, from whichever notebook, however long it has run: what a cell shows while it waits.
 *
 * @returns the status that it ended with
 * @throws {Error} with the job's own words, when it failed or its process died
 */
export async function followTraining(
  place: ModelPlace,
  { signal, onProgress, onEpoch }: FollowOptions = {},
): Promise<JobStatus> {
  let epochs = -1;
  for (;;) {
    const status = await trainingStatus(place);
    if (status.log.length !== epochs) onEpoch?.(status.log);
    epochs = status.log.length;
    if (status.progress) onProgress?.(status.progress);
    if (status.state === 'finished') {
      onProgress?.({ done: epochs, total: epochs, unit: 'epochs' });
      return status;
    }
    if (status.state !== 'running') throw new Error(`training of ${place.name} ${place.version}: ${status.state}: ${status.note}`); // prettier-ignore
    await pause(LOOK_MS, undefined, { signal });
  }
}

/** Asks a job to stop at its next batch, its state written first; it goes on when it is started again. @returns once it has ended */
export async function stopTraining(place: ModelPlace): Promise<void> {
  const pid = await runningProcess(place);
  if (pid === undefined) return;
  process.kill(pid, 'SIGINT');
  while (await isTraining(pid)) await pause(LOOK_MS / 5);
}

/** Writes down how far a job is, at most twice a second, where followers look. @param run `IMAGESIM_JOB` of the job's environment */
export function progressFile(run: string): (progress: Progress) => void {
  let last = 0;
  let writing: Promise<void> | undefined;
  return (progress) => {
    const now = performance.now();
    if (writing || now - last < LOOK_MS) return;
    last = now;
    writing = writeWhole(join(run, 'progress.json'), `${JSON.stringify(progress)}\n`)
      .catch(() => undefined) // it only tells: the job goes on, and what it cannot write otherwise it says itself
      .finally(() => (writing = undefined));
  };
}
