// A thread of hash.ts: asks after files, and reads those that are not as they were known.
import { hash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A thread's share: files without their endings, and what is known of each. */
export interface HashTask {
  folder: string;
  stems: string[];
  /** Bytes of each when it was last read; −1 where that is not known, and for a file that is not there. */
  sizes: Float64Array;
  /** When each was last written, milliseconds since 1970. */
  times: Float64Array;
  /** SHA-256 of each, 32 bytes. */
  hashes: Uint8Array;
}

/** The same, as it is now, and how many files were read for it. */
export interface HashAnswer extends Pick<HashTask, 'sizes' | 'times' | 'hashes'> {
  read: number;
}

/** What chips are written as. */
const ENDINGS = ['jpg', 'png', 'webp'];

export default function hashFiles({ folder, stems, sizes, times, hashes }: HashTask): HashAnswer {
  let read = 0;
  for (const [index, stem] of stems.entries()) {
    const found = findFile(join(folder, stem));
    const isKnown = found?.size === sizes[index] && found.mtimeMs === times[index];
    sizes[index] = found?.size ?? -1;
    times[index] = found?.mtimeMs ?? 0;
    if (!found || isKnown) continue;
    hashes.set(hash('sha256', readFileSync(found.path), 'buffer'), index * 32);
    read++;
  }
  return { sizes, times, hashes, read };
}

function findFile(stem: string): { path: string; size: number; mtimeMs: number } | undefined {
  for (const ending of ENDINGS) {
    const path = `${stem}.${ending}`;
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats) return { path, size: stats.size, mtimeMs: stats.mtimeMs };
  }
  return undefined;
}
