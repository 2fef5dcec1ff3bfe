import type { BackendName } from './backend.ts';

/** Imports a package by its name. */
export type Load = (name: string) => Promise<unknown>;

/** What came of trying one way to compute: what runs now, or what stood against it. */
export type Attempt = { found: BackendName; why: string } | { missing: string };

/** The first line of an error, plain where the package is simply not there. */
export function reasonOf(error: unknown, packageName: string): string {
  const { code, message = String(error) } = error as { code?: string; message?: string };
  const [line] = message.split('\n');
  const isMissing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return isMissing && line.includes(`'${packageName}'`)
    ? `${packageName} is not installed`
    : `${packageName} does not load: ${line}`;
}
