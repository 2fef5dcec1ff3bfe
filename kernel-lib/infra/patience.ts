import pRetry from 'p-retry';
import { SourceError } from '../ard/index.ts';

/**
 * Tries again, after longer and longer pauses, what a bucket that is away for some seconds has failed; another error is thrown at
 * once.
 *
 * @param options.retries how often in a row it may fail; 8 are about a minute
 */
export function patiently<Result>(
  work: () => Promise<Result>,
  { retries, signal }: { retries: number; signal?: AbortSignal | undefined },
): Promise<Result> {
  return pRetry(work, {
    retries,
    minTimeout: 250,
    maxTimeout: 20_000,
    randomize: true,
    ...(signal ? { signal } : {}),
    shouldRetry: ({ error }) => error instanceof SourceError && error.transient,
  });
}
