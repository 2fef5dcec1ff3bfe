// What hash.ts has done on threads, and itself where it is little: asks after the chips of a cell, and reads those that are not as they were known.
import { hash } from 'node:crypto';
import { readFileSync, rmSync, statSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Known, bytesOf, readKnown } from './hashcache.ts';

/** Chips of one cell. */
export interface HashTask {
  /** `chips/33/<quadkey>`; what is known of its files is in `hashes.bin` there. */
  folder: string;
  /** The chips' paths in the folder, without their endings, a line each; in texts of less than 128 kB, which V8 makes and sends faster. */
  stems: string[];
  /** Whether all are read, whatever is known. */
  again: boolean;
  /** A file that may be written in the folder for a moment, to learn what time it is by its disk. */
  part: string;
}

/** What was found. */
export interface HashAnswer {
  /** SHA-256 of each, hexadecimal, in as many texts, a line each; empty where there is no such file. */
  hashes: string[];
  /** Files read. */
  read: number;
  /** What `hashes.bin` should hold, where that is not what it holds. */
  cache?: Uint8Array | undefined;
}

/** What chips are written as. */
const ENDINGS = ['jpg', 'png', 'webp'];
/** A file written so shortly before it was read may be written again within the same tick of the disk's clock. */
const SETTLED_MS = 2000;
/** Files of NFS, EFS among them, are as this machine saw them last for so long; its number for statfs. */
const [CACHED_MS, NFS] = [60_000, 0x6969];
const QUIETLY = { throwIfNoEntry: false } as const;

export default function hashCell({ folder, stems, again, part }: HashTask): HashAnswer {
  const known = readKnown(join(folder, 'hashes.bin'));
  const settled = timeOf(part) - SETTLED_MS;
  const changed = new Map<string, Known | undefined>();
  let read = 0;
  const asked = new Set<string>();
  const hashOf = (stem: string): string => {
    const found = findFile(`${folder}/${stem}`);
    const place = known.find(stem);
    asked.add(stem);
    if (!found) {
      if (place >= 0) changed.set(stem, undefined);
      return '';
    }
    if (!again && known.isAs(place, found)) return known.hash(place);
    const sha256 = hash('sha256', readFileSync(found.path));
    read++;
    changed.set(stem, found.mtimeMs < settled ? { size: found.size, time: found.mtimeMs, sha256 } : undefined);
    return sha256;
  };
  const hashes = stems.map((lines) => lines.split('\n').map(hashOf).join('\n'));
  for (const [place, stem] of known.stems.entries()) {
    const found = asked.has(stem) ? undefined : findFile(`${folder}/${stem}`);
    if (!asked.has(stem) && !(found && known.isAs(place, found))) changed.set(stem, undefined); // nobody asked: it is only forgotten
  }
  const since = settled > 0 ? settled - (isNetwork(folder) ? CACHED_MS : 0) : 0;
  return { hashes, read, cache: changed.size > 0 || since > known.since ? bytesOf(known, changed, since) : undefined };
}

/** Whether a folder lies on another machine's disk, of whose files this one may believe for a while what they were. */
function isNetwork(folder: string): boolean {
  return statfsSync(folder).type === NFS;
}

/** Milliseconds since 1970, by the disk that a file would lie on; `-Infinity` where none may be written. */
function timeOf(part: string): number {
  try {
    writeFileSync(part, '');
    return statSync(part).mtimeMs;
  } catch {
    return -Infinity; // nothing can be kept there either
  } finally {
    rmSync(part, { force: true });
  }
}

function findFile(stem: string): { path: string; size: number; mtimeMs: number } | undefined {
  for (const ending of ENDINGS) {
    const path = `${stem}.${ending}`;
    const stats = statSync(path, QUIETLY);
    if (stats) return { path, size: stats.size, mtimeMs: stats.mtimeMs };
  }
  return undefined;
}
