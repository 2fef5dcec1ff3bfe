import { setTimeout as sleep } from 'node:timers/promises';

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

/** Says why and until when, then waits. @throws the signal's reason when it stops the wait */
export async function waitAloud(
  reason: string,
  waitMs: number,
  { signal, onWait }: { signal?: AbortSignal | undefined; onWait?: ((wait: Wait) => void) | undefined },
): Promise<void> {
  onWait?.({ reason, waitMs, until: new Date(Date.now() + waitMs) });
  try {
    await sleep(waitMs, undefined, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
