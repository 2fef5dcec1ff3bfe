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
  const claim = await claimOn(`${path}.lock`, signal);
  const signs = setInterval(() => void sign(claim), SIGN_MS).unref();
  try {
    return await work();
  } finally {
    clearInterval(signs);
    await rm(claim, { force: true });
  }
}

/** Shows that the holder lives; one whose claim is gone goes on all the same. */
function sign(claim: string): Promise<void> {
  const now = new Date();
  return utimes(claim, now, now).catch(() => undefined);
}

async function claimOn(lock: string, signal: AbortSignal | undefined): Promise<string> {
  await makeFolder(dirname(lock)).catch((error: unknown) => {
    throw cannotWrite(lock, lock, error);
  });
  const others = new Claims(lock);
  for (;;) {
    signal?.throwIfAborted();
    if (!(await others.areThere())) {
      const claim = partName(lock);
      await writeFile(claim, '').catch((error: unknown) => {
        throw cannotWrite(lock, claim, error);
      });
      if (!(await others.areThere(claim))) return claim;
      await rm(claim, { force: true });
    }
    await pause((0.2 + 0.8 * Math.random()) * PAUSE_MS); // not in step with another that waits
  }
}

/** The claims of others, as one who waits sees them. */
class Claims {
  readonly #lock: string;
  /** When each was last signed, by its own disk's clock, and when that was first seen, by this process's. */
  readonly #seen = new Map<string, { signed: number; at: number }>();

  constructor(lock: string) {
    this.#lock = lock;
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
    const seen = this.#seen.get(path);
    if (seen?.signed === signed) return performance.now() - seen.at < DEAD_MS;
    this.#seen.set(path, { signed, at: performance.now() });
    return true;
  }
}
