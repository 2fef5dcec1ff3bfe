// A thread of hash.ts: asks after the chips of a cell, and reads those that are not as they were known.
import { createHash, hash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A thread's share: chips of one cell. */
export interface HashTask {
  /** `chips/33/<quadkey>`; what is known of its files is in `hashes.bin` there. */
  folder: string;
  /** The chips' paths in the folder, without their endings, a line each. */
  stems: string;
  /** Whether all are read, whatever is known. */
  again: boolean;
}

/** What was found. */
export interface HashAnswer {
  /** SHA-256 of each, 32 bytes. */
  hashes: Uint8Array;
  /** Places of those that are not there. */
  gone: number[];
  /** Files read. */
  read: number;
  /** What `hashes.bin` should hold, where that is not what it holds. */
  cache?: Uint8Array | undefined;
}

/** A file as it was when it was read: bytes, milliseconds since 1970, SHA-256. */
interface Known {
  size: number;
  time: number;
  sha256: Uint8Array;
}

/** What chips are written as. */
const ENDINGS = ['jpg', 'png', 'webp'];
/** A file written so shortly before it was read may be written again within the same tick of the disk's clock. */
const SETTLED_MS = 2000;

export default function hashCell({ folder, stems, again }: HashTask): HashAnswer {
  const known = readKnown(join(folder, 'hashes.bin'));
  const names = stems.split('\n');
  const answer: HashAnswer = { hashes: new Uint8Array(32 * names.length), gone: [], read: 0 };
  const settled = Date.now() - SETTLED_MS;
  for (const [index, stem] of names.entries()) {
    const found = findFile(`${folder}/${stem}`);
    let entry = known.get(stem);
    if (!found) {
      answer.gone.push(index);
      known.delete(stem);
      continue;
    }
    if (again || entry?.size !== found.size || entry.time !== found.mtimeMs) {
      entry = { size: found.size, time: found.mtimeMs, sha256: hash('sha256', readFileSync(found.path), 'buffer') };
      answer.read++;
      if (found.mtimeMs < settled) known.set(stem, entry);
      else known.delete(stem);
    }
    answer.hashes.set(entry.sha256, 32 * index);
  }
  return answer.read > 0 ? { ...answer, cache: bytesOf(known) } : answer;
}

function findFile(stem: string): { path: string; size: number; mtimeMs: number } | undefined {
  for (const ending of ENDINGS) {
    const path = `${stem}.${ending}`;
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats) return { path, size: stats.size, mtimeMs: stats.mtimeMs };
  }
  return undefined;
}

/** The cache: its own SHA-256, the number of files, of each size and time, then the hashes, then a line of text a file. */
function readKnown(path: string): Map<string, Known> {
  if (!existsSync(path)) return new Map();
  const bytes = readFileSync(path);
  const isWhole = bytes.length > 40 && createHash('sha256').update(bytes.subarray(32)).digest().equals(bytes.subarray(0, 32)); // prettier-ignore
  if (!isWhole) return new Map(); // it only saves time
  const count = bytes.readDoubleLE(32);
  const hashes = 40 + 16 * count;
  const stems = bytes.toString('latin1', hashes + 32 * count).split('\n');
  const entry = (index: number): Known => ({
    size: bytes.readDoubleLE(40 + 16 * index),
    time: bytes.readDoubleLE(48 + 16 * index),
    sha256: bytes.subarray(hashes + 32 * index, hashes + 32 * index + 32),
  });
  return new Map(stems.slice(0, count).map((stem, index) => [stem, entry(index)]));
}

function bytesOf(known: ReadonlyMap<string, Known>): Uint8Array {
  const numbers = Float64Array.from([known.size, ...[...known.values()].flatMap(({ size, time }) => [size, time])]);
  const hashes = [...known.values()].map(({ sha256 }) => sha256);
  const body = Buffer.concat([new Uint8Array(numbers.buffer), ...hashes, Buffer.from([...known.keys()].join('\n'), 'latin1')]); // prettier-ignore
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}
