/** Workers as an array job of Slurm, on a cluster whose machines share the data folder. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { join } from 'node:path';
import pRetry from 'p-retry';
import { makeFolder, writeWhole } from '../../ard/index.ts';
import { type ArrayJob, type ArrayState, type Engine, PROGRAM, filesOf, quoted, rangesText } from './array.ts';
import { exitOf, faultOf, progressOf } from './shards.ts';

const run = promisify(execFile);

/** A worker as `squeue` lists it: what is not listed has ended. */
interface Queued {
  shard: number;
  /** PENDING, RUNNING, COMPLETING, … */
  state: string;
  /** Why it waits. */
  reason: string;
}

/**
 * Runs workers by `sbatch --array`.
 *
 * A worker whose machine dies is put into the queue again by Slurm; one whose process is killed by its own script; one whose
 * script is killed too by whoever follows the job. Needs no accounting: a worker leaves its exit code in the job's folder.
 *
 * @see https://slurm.schedmd.com/job_array.html
 */
export class SlurmEngine implements Engine {
  readonly name = 'slurm';
  readonly #partition: string | undefined;
  /** How often each worker was put into the queue again from here, by `<job>_<shard>`. */
  readonly #again = new Map<string, number>();

  /** @param partition default: the cluster's own default */
  constructor(partition?: string) {
    this.#partition = partition;
  }

  draft(job: ArrayJob): string {
    const { folder, words, cpus, memoryMiB, atOnce, after } = job;
    const { log, exit, progress } = filesOf(folder, '$shard');
    const settings = [
      `--job-name=imagesim-${words[0]}`,
      `--array=${rangesText(job.shards)}${atOnce === undefined ? '' : `%${atOnce}`}`,
      `--cpus-per-task=${cpus}`,
      `--mem=${memoryMiB}M`,
      '--requeue', // where the machine dies
      '--open-mode=append',
      `--output=${log.replace('$shard', '%a')}`,
      ...(this.#partition === undefined ? [] : [`--partition=${this.#partition}`]),
      ...(after === undefined ? [] : [`--dependency=afterok:${after}`, '--kill-on-invalid-dep=yes']),
    ];
    return `#!/bin/bash
${settings.map((setting) => `#SBATCH ${setting}`).join('\n')}
shard=$SLURM_ARRAY_TASK_ID
rm -f ${doubleQuoted(exit)}
export IMAGESIM_DATA=${quoted(job.dataPath)} IMAGESIM_PROGRESS=${doubleQuoted(progress)}
${[process.execPath, PROGRAM, ...words].map(quoted).join(' ')} --shard "$shard/${job.count}"
code=$?
# 129 and more: killed. Ctrl-C (130) and scancel (143) are meant, the others are an accident.
if ((code > 128 && code != 130 && code != 143 && \${SLURM_RESTART_COUNT:-0} < ${job.retries})); then
  scontrol requeue "\${SLURM_ARRAY_JOB_ID}_$shard" && exit $code
fi
echo $code >${doubleQuoted(`${exit}.part`)} && mv ${doubleQuoted(`${exit}.part`)} ${doubleQuoted(exit)}
exit $code
`;
  }

  async submit(job: ArrayJob): Promise<string> {
    await makeFolder(job.folder);
    const script = join(job.folder, 'job.sh');
    await writeWhole(script, this.draft(job));
    const id = (await slurm('sbatch', ['--parsable', script])).trim().split(';')[0];
    if (!/^\d+$/.test(id)) throw new Error(`sbatch answered ${JSON.stringify(id)}: expected the number of a job`);
    return id;
  }

  /** The controller may be away for some minutes, and the job goes on meanwhile. */
  async look(job: ArrayJob, id: string): Promise<ArrayState> {
    const queued = await pRetry(() => queueOf(id), { retries: 10, minTimeout: 500, maxTimeout: 30_000 });
    const listed = new Map(queued.map((one) => [one.shard, one]));
    const state: ArrayState = { waiting: 0, running: 0, finished: 0, failed: 0, restarts: 0, faults: [], progress: await progressOf(job) }; // prettier-ignore
    for (const shard of job.shards) await this.#count(job, id, shard, listed.get(shard), state);
    state.restarts += job.shards.reduce((sum, shard) => sum + (this.#again.get(`${id}_${shard}`) ?? 0), 0);
    return state;
  }

  async #count(job: ArrayJob, id: string, shard: number, queued: Queued | undefined, state: ArrayState): Promise<void> {
    if (queued?.state === 'PENDING') {
      state.waiting++;
      if (!(await this.#release(id, queued))) state.note ??= waits(queued.reason);
    } else if (queued) state.running++;
    else {
      const code = await exitOf(job, shard);
      if (code === 0) state.finished++;
      else if (code === undefined && (await this.#requeue(job, id, shard))) state.waiting++;
      else {
        state.failed++;
        state.faults.push(await faultOf(job, shard, code ?? (await endOf(id, shard))));
      }
    }
  }

  /** Where a machine died as it was starting a worker, Slurm holds that back until somebody has looked. */
  async #release(id: string, { shard, reason }: Queued): Promise<boolean> {
    if (!/requeued.held/i.test(reason)) return false;
    await slurm('scontrol', ['release', `${id}_${shard}`]);
    return true;
  }

  /** Puts a worker into the queue again that ended without an exit code, unless somebody ended it on purpose. */
  async #requeue({ retries }: ArrayJob, id: string, shard: number): Promise<boolean> {
    const times = this.#again.get(`${id}_${shard}`) ?? 0;
    if (times >= retries || !/^(FAILED|NODE_FAIL|OUT_OF_MEMORY|BOOT_FAIL)/.test(await endOf(id, shard))) return false;
    await slurm('scontrol', ['requeue', `${id}_${shard}`]);
    this.#again.set(`${id}_${shard}`, times + 1);
    return true;
  }

  leave(id: string): Promise<string> {
    return Promise.resolve(`job ${id} goes on: squeue -j ${id} shows it, scancel ${id} ends it`);
  }
}

/** In double quotes `$shard` is filled in, and all else stays as it is. */
function doubleQuoted(path: string): string {
  return `"${path.replaceAll(/[\\"`]|\$(?!shard\b)/g, '\\$&')}"`;
}

function waits(reason: string): string | undefined {
  return ['None', 'Priority', 'Resources', ''].includes(reason) ? undefined : `Slurm says ${reason}`;
}

/** The workers of a job that have not ended. */
async function queueOf(id: string): Promise<Queued[]> {
  const text = await slurm('squeue', ['--noheader', '--array', `--jobs=${id}`, '--format=%K|%T|%r']).catch(forgotten);
  return text.trim().split('\n').filter(Boolean).map((line) => {
    const [shard, state, reason] = line.split('|');
    return { shard: Number(shard), state, reason };
  }); // prettier-ignore
}

/** How a worker ended that left no exit code: `FAILED`, `CANCELLED`, …; some minutes later Slurm itself has forgotten. */
async function endOf(id: string, shard: number): Promise<string> {
  const text = await slurm('scontrol', ['show', 'job', '--oneliner', `${id}_${shard}`]).catch(forgotten);
  return /JobState=(\S+)/.exec(text)?.[1] ?? 'ended without an exit code';
}

function forgotten(error: Error): string {
  if (/Invalid job id/i.test(error.message)) return '';
  throw error;
}

/** Runs a command of Slurm. @throws {Error} with what it said, in one line */
async function slurm(command: string, words: string[]): Promise<string> {
  try {
    return (await run(command, words)).stdout;
  } catch (error) {
    const { code, stderr = '' } = error as { code?: string | number; stderr?: string };
    if (code === 'ENOENT') throw new Error(`found no ${command}: run this on a machine of the cluster, or give --engine local`, { cause: error }); // prettier-ignore
    throw new Error(`${command}: ${stderr.trim().split('\n').at(-1)?.replace(/^\w+: error: /, '') || String(error)}`, { cause: error }); // prettier-ignore
  }
}
