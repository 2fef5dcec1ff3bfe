import pRetry from 'p-retry';
import { SourceError } from '../ard/index.ts';

/** Options of {@link patiently}. */
export interface PatienceOptions {
  /** How often in a row it may fail; 8 are about a minute. */
  retries: number;
  signal?: AbortSignal | undefined;
  /** Told why an attempt has failed after which another is made. Default: silence. */
  onFailed?: ((why: string) => void) | undefined;
}

/**
 * Tries again, after longer and longer pauses, what a bucket that is away for some seconds has failed; another error is thrown at
 * once.
 */
export function patiently<Result>(
  work: () => Promise<Result>,
  { retries, signal, onFailed }: PatienceOptions,
): Promise<Result> {
  const passes = (error: unknown): boolean => error instanceof SourceError && error.transient;
  return pRetry(work, {
    retries,
    minTimeout: 250,
    maxTimeout: 20_000,
    randomize: true,
    ...(signal ? { signal } : {}),
    shouldRetry: ({ error }) => passes(error),
    onFailedAttempt: ({ error, retriesLeft }) => {
      if (retriesLeft > 0 && passes(error)) onFailed?.(error.message);
    },
  });
}
