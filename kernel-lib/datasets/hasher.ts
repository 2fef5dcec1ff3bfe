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
const QUIETLY = { throwIfNoEntry: false } as const;

export default function hashCell({ folder, stems, again }: HashTask): HashAnswer {
  const known = readKnown(join(folder, 'hashes.bin'));
  const settled = Date.now() - SETTLED_MS;
  const changed = new Map<string, Known | undefined>();
  let read = 0;
  const hashOf = (stem: string): string => {
    const found = findFile(`${folder}/${stem}`);
    const place = known.find(stem);
    if (!found) {
      if (place >= 0) changed.set(stem, undefined);
      return '';
    }
    if (!again && known.numbers[2 * place] === found.size && known.numbers[2 * place + 1] === found.mtimeMs)
      return known.hash(place);
    const sha256 = hash('sha256', readFileSync(found.path));
    read++;
    changed.set(stem, found.mtimeMs < settled ? { size: found.size, time: found.mtimeMs, sha256 } : undefined);
    return sha256;
  };
  const hashes = stems.map((lines) => lines.split('\n').map(hashOf).join('\n'));
  return { hashes, read, cache: changed.size > 0 ? bytesOf(known, changed) : undefined };
}

function findFile(stem: string): { path: string; size: number; mtimeMs: number } | undefined {
  for (const ending of ENDINGS) {
    const path = `${stem}.${ending}`;
    const stats = statSync(path, QUIETLY);
    if (stats) return { path, size: stats.size, mtimeMs: stats.mtimeMs };
  }
  return undefined;
}

/** What the cache holds, in its own order: the files are mostly asked after in the same. */
class KnownFiles {
  readonly stems: readonly string[];
  /** Size and time of each. */
  readonly numbers: Float64Array;
  readonly #digits: string;
  #next = 0;
  #places: Map<string, number> | undefined;

  constructor(stems: readonly string[] = [], numbers = new Float64Array(), digits = '') {
    this.stems = stems;
    this.numbers = numbers;
    this.#digits = digits;
  }

  /** The place of a file, -1 where nothing is known of it. */
  find(stem: string): number {
    if (this.stems[this.#next] === stem) return this.#next++;
    this.#places ??= new Map(this.stems.map((known, place) => [known, place]));
    const place = this.#places.get(stem) ?? -1;
    if (place >= 0) this.#next = place + 1;
    return place;
  }

  hash(place: number): string {
    return this.#digits.slice(64 * place, 64 * place + 64);
  }
}

/** The cache: its own SHA-256, the number of files, of each size and time, then the hashes, then a line of text a file. */
function readKnown(path: string): KnownFiles {
  if (!existsSync(path)) return new KnownFiles();
  const bytes = readFileSync(path);
  const isWhole = bytes.length > 40 && hash('sha256', bytes.subarray(32)) === bytes.toString('hex', 0, 32);
  if (!isWhole) return new KnownFiles(); // it only saves time
  const count = bytes.readDoubleLE(32);
  const numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset + 40, bytes.byteOffset + 40 + 16 * count));
  const digits = bytes.toString('hex', 40 + 16 * count, 40 + 48 * count);
  const stems = bytes.toString('latin1', 40 + 48 * count);
  return new KnownFiles(stems === '' ? [] : stems.split('\n'), numbers, digits);
}

function bytesOf(known: KnownFiles, changed: ReadonlyMap<string, Known | undefined>): Uint8Array {
  const entries = new Map<string, Known | undefined>(
    known.stems.map((stem, place) => [stem, { size: known.numbers[2 * place], time: known.numbers[2 * place + 1], sha256: known.hash(place) }]), // prettier-ignore
  );
  for (const [stem, entry] of changed) entries.set(stem, entry);
  const kept = [...entries].filter((pair): pair is [string, Known] => pair[1] !== undefined);
  const numbers = Float64Array.from([kept.length, ...kept.flatMap(([, { size, time }]) => [size, time])]);
  const digits = kept.map(([, { sha256 }]) => sha256).join('');
  const stems = kept.map(([stem]) => stem).join('\n');
  const body = Buffer.concat([new Uint8Array(numbers.buffer), Buffer.from(digits, 'hex'), Buffer.from(stems, 'latin1')]); // prettier-ignore
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}
