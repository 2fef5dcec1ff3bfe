import { readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cannotWrite, makeFolder, partName, staleParts } from './files.ts';

/** Of another machine's process nobody here can tell whether it lives: without a sign of life for so long it is dead. */
const DEAD_MS = 60_000;
const SIGN_MS = DEAD_MS / 6;
/** Longest pause before it is looked again whether the lock is free. */
const PAUSE_MS = 100;

/**
 * Waits until nobody else has the lock on a file, then holds it while `work` runs.
 *
 * Each puts a claim of its own beside the file, then looks: who finds no other's claim has the lock, who finds one takes
 * its own back and tries again. Of two at least the later sees the other, so that both never have it. Claims are named as
 * temporary files are: that of a dead process of this machine does not count, nor does one that has shown no sign of life
 * for a minute of this process's own clock; both are removed.
 *
 * @param path of what is locked; it need not be there
 * @throws {WriteError} when no claim can be written
 */
export async function withLock<Result>(
  path: string,
  work: () => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const own = await claimOn(`${path}.lock`, signal);
  const signs = setInterval(() => void sign(own), SIGN_MS).unref();
  try {
    return await work();
  } finally {
    clearInterval(signs);
    await rm(own, { force: true });
  }
}

/**
 * Runs `work` with a sign beside a file that somebody is at it, and tells whether nobody else is when it has ended: who is the
 * last then puts together what all have done. Of several that end at once one at least is the last.
 *
 * A sign of a dead process of this machine does not count, nor does one that is a minute old by this machine's clock.
 *
 * @param path that the work is about; it need not be there
 * @throws {WriteError} when no sign can be written
 */
export async function atWork<Result>(
  path: string,
  work: () => Promise<Result>,
): Promise<{ result: Result; isLast: boolean }> {
  const name = `${path}.work`;
  const own = await claim(name);
  const signs = setInterval(() => void sign(own), SIGN_MS).unref();
  try {
    const result = await work();
    await rm(own, { force: true }); // before the look at the others, so that the last finds none
    return { result, isLast: !(await new Claims(name, (signed) => Date.now() - signed < DEAD_MS).areThere()) };
  } finally {
    clearInterval(signs);
    await rm(own, { force: true });
  }
}

/** Shows that the holder lives; one whose claim is gone goes on all the same. */
function sign(path: string): Promise<void> {
  const now = new Date();
  return utimes(path, now, now).catch(() => undefined);
}

async function claimOn(lock: string, signal: AbortSignal | undefined): Promise<string> {
  await makeFolder(dirname(lock)).catch((error: unknown) => {
    throw cannotWrite(lock, lock, error);
  });
  const others = new Claims(lock);
  for (;;) {
    signal?.throwIfAborted();
    if (!(await others.areThere())) {
      const own = await claim(lock);
      if (!(await others.areThere(own))) return own;
      await rm(own, { force: true });
    }
    await pause((0.2 + 0.8 * Math.random()) * PAUSE_MS); // not in step with another that waits
  }
}

/** Puts a claim of this process beside a file. @returns its path */
async function claim(path: string): Promise<string> {
  const own = partName(path);
  await makeFolder(dirname(path))
    .then(() => writeFile(own, ''))
    .catch((error: unknown) => {
      throw cannotWrite(path, own, error);
    });
  return own;
}

/** The claims of others, as one who waits sees them. */
class Claims {
  readonly #lock: string;
  /** When each was last signed, by its own disk's clock, and when that was first seen, by this process's. */
  readonly #seen = new Map<string, { signed: number; at: number }>();

  readonly #isFresh: ((signedMs: number) => boolean) | undefined;

  /** @param isFresh whether a sign of life of such a time counts, for one look. Default: as long looks see it change */
  constructor(lock: string, isFresh?: (signedMs: number) => boolean) {
    this.#lock = lock;
    this.#isFresh = isFresh;
  }

  /** Whether a living process has one; those of dead ones are removed. */
  async areThere(own?: string): Promise<boolean> {
    const [folder, name] = [dirname(this.#lock), `.${basename(this.#lock)}.`];
    const claims = (await readdir(folder)).filter((entry) => entry.startsWith(name) && entry.endsWith('.part'));
    const others = claims.map((entry) => join(folder, entry)).filter((path) => path !== own);
    if (others.length === 0) return false;
    const dead = new Set((await staleParts(folder)).map(({ path }) => path));
    const alive = await Promise.all(
      others.map(async (path) => {
        if (!dead.has(path) && (await this.#showsLife(path))) return true;
        await rm(path, { force: true });
        return false;
      }),
    );
    return alive.includes(true);
  }

  async #showsLife(path: string): Promise<boolean> {
    const signed = await stat(path).then(({ mtimeMs }) => mtimeMs, () => undefined); // prettier-ignore
    if (signed === undefined) return false; // given back meanwhile
    if (this.#isFresh) return this.#isFresh(signed);
    const seen = this.#seen.get(path);
    if (seen?.signed === signed) return performance.now() - seen.at < DEAD_MS;
    this.#seen.set(path, { signed, at: performance.now() });
    return true;
  }
}
