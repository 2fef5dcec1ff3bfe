import { openSync, readSync, closeSync } from 'node:fs';
import type { Digest } from '../ard/index.ts';
import { summing } from './checksum.ts';

/** What a thread of {@link sumOf} runs: it has nothing else to do, and waits for the disk. */
export default async function sumOfFile({ path, digest }: { path: string; digest: Digest }): Promise<string> {
  const sum = await summing(digest);
  const buffer = Buffer.allocUnsafe(1 << 20);
  const file = openSync(path, 'r');
  try {
    const next = (): number => readSync(file, buffer, 0, buffer.length, null);
    for (let read = next(); read > 0; read = next()) sum.update(buffer.subarray(0, read));
    return await sum.finish();
  } finally {
    closeSync(file);
  }
}
