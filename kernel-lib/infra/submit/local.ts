/** Workers as processes of this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { makeFolder } from '../../ard/index.ts';
import { type ArrayJob, type ArrayState, type Engine, type ShardFault, PROGRAM, filesOf, quoted, wordsOf } from './array.ts'; // prettier-ignore
import { faultOf, progressOf } from './shards.ts';

/** Runs at most `atOnce` workers at once, as many as there are cores if nothing is said; they end with this process. */
export class LocalEngine implements Engine {
  readonly name = 'local';
  readonly #children = new Set<ChildProcess>();
  #faults: ShardFault[] = [];
  #waiting: number[] = [];
  #finished = 0;
  #restarts = 0;
  #left = false;
  #broken: unknown;

  draft(job: ArrayJob): string {
    const lines = job.shards.map((shard) => `imagesim ${wordsOf(job, shard).map(quoted).join(' ')}`);
    return [`# ${atOnce(job)} of these at once, with IMAGESIM_DATA=${quoted(job.dataPath)}`, ...lines].join('\n');
  }

  async submit(job: ArrayJob): Promise<string> {
    if (job.after !== undefined) throw new Error('local waits for nothing: leave out --after, and submit one job after another'); // prettier-ignore
    await makeFolder(job.folder);
    [this.#waiting, this.#faults, this.#finished, this.#restarts] = [[...job.shards], [], 0, 0];
    for (let lane = 0; lane < atOnce(job); lane++)
      void this.#lane(job).catch((error: unknown) => (this.#broken ??= error)); // told by look
    return `process ${process.pid}`;
  }

  async #lane(job: ArrayJob): Promise<void> {
    while (this.#waiting.length > 0 && !this.#left) {
      const shard = this.#waiting.shift()!;
      const code = await this.#run(job, shard);
      if (code === 0) this.#finished++;
      else this.#faults.push(await faultOf(job, shard, code));
    }
  }

  /** Runs a worker to its end, again where it was killed. @returns its exit code, or the signal that killed it last */
  async #run(job: ArrayJob, shard: number): Promise<number | string> {
    for (let tries = 0; ; tries++) {
      const end = await this.#once(job, shard);
      if (typeof end === 'number' || this.#left || tries >= job.retries) return end;
      this.#restarts++;
    }
  }

  async #once(job: ArrayJob, shard: number): Promise<number | string> {
    const { log, progress } = filesOf(job.folder, shard);
    const output = await open(log, 'a');
    try {
      const child = spawn(process.execPath, [PROGRAM, ...wordsOf(job, shard)], {
        stdio: ['ignore', output.fd, output.fd],
        env: { ...process.env, IMAGESIM_DATA: job.dataPath, IMAGESIM_PROGRESS: progress },
      });
      this.#children.add(child);
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
      this.#children.delete(child);
      return code ?? `killed by ${signal}`;
    } finally {
      await output.close();
    }
  }

  async look(job: ArrayJob): Promise<ArrayState> {
    if (this.#broken !== undefined) throw this.#broken;
    const failed = this.#faults.length;
    const running = job.shards.length - this.#waiting.length - this.#finished - failed;
    return {
      waiting: this.#waiting.length, running, finished: this.#finished, failed, restarts: this.#restarts,
      faults: [...this.#faults], progress: await progressOf(job),
    }; // prettier-ignore
  }

  async leave(): Promise<string> {
    this.#left = true;
    const ends = [...this.#children].map((child) => once(child, 'close'));
    for (const child of this.#children) child.kill('SIGINT');
    await Promise.all(ends);
    return 'the workers have ended: the same command again goes on';
  }
}

function atOnce({ atOnce: wanted = availableParallelism(), shards }: ArrayJob): number {
  return Math.min(wanted, shards.length);
}
