// A thread of hash.ts: asks after the chips of a cell, and reads those that are not as they were known.
import { createHash, hash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A thread's share: chips of one cell. */
export interface HashTask {
  /** `chips/33/<quadkey>`; what is known of its files is in `hashes.bin` there. */
  folder: string;
  /** The chips' paths in the folder, without their endings, a line each; in texts of less than 128 kB, which V8 makes and sends faster. */
  stems: string[];
  /** Whether all are read, whatever is known. */
  again: boolean;
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

/** A file as it was when it was read: bytes, milliseconds since 1970, SHA-256 in hexadecimal. */
interface Known {
  size: number;
  time: number;
  sha256: string;
}

/** What chips are written as. */
const ENDINGS = ['jpg', 'png', 'webp'];
/** A file written so shortly before it was read may be written again within the same tick of the disk's clock. */
const SETTLED_MS = 2000;

export default function hashCell({ folder, stems, again }: HashTask): HashAnswer {
  const known = readKnown(join(folder, 'hashes.bin'));
  const settled = Date.now() - SETTLED_MS;
  let read = 0;
  const hashOf = (stem: string): string => {
    const found = findFile(`${folder}/${stem}`);
    if (!found) {
      known.delete(stem);
      return '';
    }
    const entry = known.get(stem);
    if (!again && entry?.size === found.size && entry.time === found.mtimeMs) return entry.sha256;
    const sha256 = hash('sha256', readFileSync(found.path));
    read++;
    if (found.mtimeMs < settled) known.set(stem, { size: found.size, time: found.mtimeMs, sha256 });
    else known.delete(stem);
    return sha256;
  };
  const hashes = stems.map((lines) => lines.split('\n').map(hashOf).join('\n'));
  return { hashes, read, cache: read > 0 ? bytesOf(known) : undefined };
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
  const numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset + 40, bytes.byteOffset + 40 + 16 * count));
  const digits = bytes.toString('hex', 40 + 16 * count, 40 + 48 * count);
  const stems = bytes.toString('latin1', 40 + 48 * count).split('\n');
  const known = new Map<string, Known>();
  for (let index = 0; index < count; index++)
    known.set(stems[index], { size: numbers[2 * index], time: numbers[2 * index + 1], sha256: digits.slice(64 * index, 64 * index + 64) }); // prettier-ignore
  return known;
}

function bytesOf(known: ReadonlyMap<string, Known>): Uint8Array {
  const numbers = Float64Array.from([known.size, ...[...known.values()].flatMap(({ size, time }) => [size, time])]);
  const digits = [...known.values()].map(({ sha256 }) => sha256).join('');
  const body = Buffer.concat([new Uint8Array(numbers.buffer), Buffer.from(digits, 'hex'), Buffer.from([...known.keys()].join('\n'), 'latin1')]); // prettier-ignore
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}
