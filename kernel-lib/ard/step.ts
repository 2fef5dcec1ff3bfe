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
 */
export async function eachUnit<Unit, Result>(
  units: readonly Unit[],
  unit: string,
  work: (unit: Unit, index: number) => Promise<Result>,
  { signal, onProgress, concurrency = 2 }: StepOptions = {},
): Promise<Result[]> {
  const results: Result[] = Array.from({ length: units.length });
  let next = 0;
  let done = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < units.length && !failed) {
      signal?.throwIfAborted();
      const index = next++;
      try {
        results[index] = await work(units[index], index);
      } catch (error) {
        failed = true;
        throw error;
      }
      onProgress?.({ done: ++done, total: units.length, unit });
    }
  };
  const workers = Array.from({ length: Math.min(concurrency, units.length) }, worker);
  const failure = (await Promise.allSettled(workers)).find((ended) => ended.status === 'rejected');
  if (failure) throw failure.reason;
  return results;
}
