import PQueue from 'p-queue';

/** More waits than can be done soon. */
export class OverloadError extends Error {
  override readonly name = 'OverloadError';
}

/** Work that several may wait for. */
interface Job<Result> {
  promise: Promise<Result>;
  /** How many wait. */
  waiting: number;
  started: boolean;
}

/**
 * A bounded queue of work by name: who asks for what is asked for already waits for that, and what nobody waits for any
 * more before it has begun is dropped.
 */
export class Queue<Result> {
  readonly #queue: PQueue;
  readonly #jobs = new Map<string, Job<Result>>();
  readonly #most: number;

  /** @param atOnce jobs under way at once @param most jobs that may wait */
  constructor({ atOnce, most }: { atOnce: number; most: number }) {
    this.#queue = new PQueue({ concurrency: atOnce });
    this.#most = most;
  }

  /** Jobs that wait, and those under way. */
  get state(): { waiting: number; underWay: number } {
    return { waiting: this.#queue.size, underWay: this.#queue.pending };
  }

  /**
   * @param key of the work: two of the same are one
   * @param signal aborted when who asks has gone away
   * @throws {OverloadError} when too many wait already
   */
  async run(key: string, work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    signal.throwIfAborted();
    const known = this.#jobs.get(key);
    if (known) known.waiting++;
    const job = known ?? this.#add(key, work);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        job.waiting--;
        if (!job.started && job.waiting === 0) this.#jobs.delete(key); // the next who asks begins anew
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', leave, { once: true });
      job.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    });
  }

  #add(key: string, work: () => Promise<Result>): Job<Result> {
    if (this.#queue.size >= this.#most) throw new OverloadError(`${this.#queue.size} map tiles wait already: try again in a second`); // prettier-ignore
    const job: Job<Result> = { promise: Promise.resolve() as Promise<never>, waiting: 1, started: false };
    job.promise = this.#queue.add(async () => {
      if (job.waiting === 0) throw new Error('nobody waits any more');
      job.started = true;
      return work();
    });
    this.#jobs.set(key, job);
    job.promise.catch(() => undefined).finally(() => { if (this.#jobs.get(key) === job) this.#jobs.delete(key); }); // prettier-ignore
    return job;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    return this.#queue.onIdle();
  }
}
