/** How far a long step is: reported after every unit (a cell, a file, an epoch). */
export interface Progress {
  /** Units finished, those found done from an earlier run included. */
  done: number;
  /** Units in all. */
  total: number;
  /** What a unit is, in the plural: `cells`, `tiles`, `epochs`. */
  unit: string;
  /** Bytes moved so far, where the step moves bytes. */
  bytes?: number;
  /** Bytes to move in all, where they are known: a better measure of what is left than units of unequal size. */
  totalBytes?: number;
  /** What is going on just now, in a few words: the unit's name, or why the step waits and until when. */
  note?: string;
}

/** What every long step takes. */
export interface StepOptions {
  /** Stops the step before its next unit; what is finished stays finished. */
  signal?: AbortSignal | undefined;
  /** Called after every unit. Default: silence. */
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Units under way at once. Each step states its default. */
  concurrency?: number | undefined;
}

/**
 * Runs `work` on every unit, at most `concurrency` at once, and reports after each.
 *
 * The first error stops the dealing out of further units and is thrown once those under way have ended.
 *
 * @param units what to work on, in order
 * @param unit what a unit is, in the plural
 * @returns the results, in the order of `units`
 * @throws {RangeError} when `concurrency` is less than 1
 */
export async function eachUnit<Unit, Result>(
  units: readonly Unit[],
  unit: string,
  work: (unit: Unit, index: number) => Promise<Result>,
  { signal, onProgress, concurrency = 2 }: StepOptions = {},
): Promise<Result[]> {
  if (!(concurrency >= 1)) throw new RangeError(`concurrency is ${concurrency}: expected 1 or more ${unit} at once`);
  const results: Result[] = Array.from({ length: units.length });
  let next = 0;
  let done = 0;
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    try {
      while (next < units.length && failures.length === 0) {
        signal?.throwIfAborted();
        const index = next++;
        results[index] = await work(units[index], index);
        onProgress?.({ done: ++done, total: units.length, unit });
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, units.length) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
