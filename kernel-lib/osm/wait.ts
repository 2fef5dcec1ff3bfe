import { createHash } from 'node:crypto';
import { readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder, partName, staleParts } from '../ard/index.ts';

/** Why a question waits, and how long. */
export interface Wait {
  /** What the server said or did, in one line. */
  reason: string;
  /** How long from now, milliseconds. */
  waitMs: number;
  /** When it goes on. */
  until: Date;
}

/**
 * How long until the server grants a slot, by its `/api/status` page.
 *
 * Read by label, not by line number. A slot is written `Slot available after: 2021-03-15T09:30:24Z, in 968 seconds.`;
 * where the seconds are missing they are counted from the page's own `Current time:`.
 *
 * @param page the text of the page
 * @returns milliseconds; 0 when a slot is free now, there is no limit, or the page names none
 */
export function slotWaitMs(page: string): number {
  if (/^\s*Rate limit:\s*0\s*$/im.test(page) || /^\s*[1-9]\d*\s+slots?\s+available\s+now/im.test(page)) return 0;
  const now = Date.parse(/^\s*Current time:\s*(\S+)/im.exec(page)?.[1] ?? '');
  const slots = [...page.matchAll(/Slots?\s+available\s+after:\s*([^\s,]+)(?:\s*,?\s*in\s+(-?\d+)\s+seconds?)?/gi)];
  const waits = slots.map(([, time, seconds]) =>
    seconds === undefined ? Date.parse(time) - (Number.isNaN(now) ? Date.now() : now) : Number(seconds) * 1000,
  );
  const known = waits.filter(Number.isFinite);
  return known.length === 0 ? 0 : Math.max(0, Math.min(...known));
}

/**
 * Wait before the next try under load: doubles with every try, then between half and the whole of that at random.
 *
 * @param attempt tries that failed so far, 1 or more
 * @param options.baseMs the first wait
 * @param options.random 0 to 1, seeded by the caller
 * @returns milliseconds, at most five minutes
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("equal jitter")
 */
export function backoffMs(attempt: number, { baseMs, random }: { baseMs: number; random: () => number }): number {
  const whole = Math.min(baseMs * 2 ** (attempt - 1), 300_000);
  return whole / 2 + (whole / 2) * random();
}

/** How a wait is ended, and who is told of it. */
export interface WaitOptions {
  /** Ends the wait at once. */
  signal?: AbortSignal | undefined;
  /** Called before every wait. Default: silence. */
  onWait?: ((wait: Wait) => void) | undefined;
}

/** Says why and until when, then waits. @throws the signal's reason when it stops the wait */
export async function waitAloud(reason: string, waitMs: number, { signal, onWait }: WaitOptions): Promise<void> {
  onWait?.({ reason, waitMs, until: new Date(Date.now() + waitMs) });
  try {
    await sleep(waitMs, undefined, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** How often a waiting process looks whether it is its turn. */
const LOOK_MS = 200;
/** How often a claim is renewed, and after how long without it is a dead process's. */
const RENEW_MS = 5_000;
const DEAD_MS = 30_000;

/** Endpoints that this process asked last, as far as it knows. */
const asked = new Set<string>();

/**
 * Does something while no other process of this user on this machine does it for the same endpoint.
 *
 * Processes see each other by files in the system's temporary folder; one that was killed is not waited for. Whoever
 * had the last turn lets one that waits go first. Where there is no temporary folder to write to, nobody is waited for.
 */
export async function inTurn<Result>(
  endpoint: string,
  work: () => Promise<Result>,
  options: WaitOptions,
): Promise<Result> {
  const claim = await claimTurn(endpoint, options).catch((error: unknown) => {
    options.signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined; // the disk's refusal: etiquette is not worth failing for
  });
  if (claim === undefined) return work();
  const renewal = setInterval(() => void renew(claim), RENEW_MS).unref();
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    await drop(claim);
  }
}

/** A claim that was alone when it was made: made first and looked round after, so that of two, one sees the other. */
async function claimTurn(endpoint: string, options: WaitOptions): Promise<string> {
  const folder = join(tmpdir(), `imagesim-turns-${process.getuid?.() ?? 0}`);
  const name = createHash('sha256').update(endpoint).digest('hex').slice(0, 16);
  await makeFolder(folder);
  const wish = partName(join(folder, `${name}-wish`));
  const claim = partName(join(folder, name));
  const wait = async (reason: string, waitMs: number): Promise<void> => {
    await writeFile(wish, '');
    await waitAloud(`another imagesim on this machine ${reason}, which wants one question at a time`, waitMs, options);
  };
  try {
    if (asked.delete(name) && (await areOthers(folder, wish, `${name}-wish`)))
      await wait(`has its turn at ${endpoint}`, 2.5 * LOOK_MS);
    while (!(await isAlone(folder, claim, name))) await wait(`asks ${endpoint}`, LOOK_MS * (1 + Math.random()));
  } finally {
    await drop(wish);
  }
  asked.add(name);
  return claim;
}

async function isAlone(folder: string, claim: string, name: string): Promise<boolean> {
  await writeFile(claim, '');
  if (!(await areOthers(folder, claim, name))) return true;
  await drop(claim);
  return false;
}

/** Whether living processes have files of this name; those of dead ones are removed. */
async function areOthers(folder: string, mine: string, name: string): Promise<boolean> {
  for (const { path } of await staleParts(folder)) await drop(path);
  const others = (await readdir(folder)).filter((file) => file.startsWith(`.${name}.`) && file !== basename(mine));
  const found = await Promise.all(others.map((file) => stat(join(folder, file)).catch(() => undefined)));
  return found.some((file) => file !== undefined && Date.now() - file.mtimeMs < DEAD_MS);
}

async function renew(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined); // swept away by someone: then it is not ours to keep
}

async function drop(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined); // renewed no more, it is taken for dead
}
