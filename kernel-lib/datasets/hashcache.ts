// What is known of the chips of a cell: hashes.bin in the cell's folder of chips.
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';

/** A file as it was when it was read: bytes, milliseconds since 1970, SHA-256 in hexadecimal. */
export interface Known {
  size: number;
  time: number;
  sha256: string;
}

/** Stands before what is hashed; another word for another layout, so that an older file counts as damaged. */
const LAYOUT = 'hashes 2';
/** Bytes before those of the files: SHA-256 of the rest, the number of files, since when they are known. */
const HEAD = 48;
/** Bytes of lines that are made into a text at a time, less than what V8 asks the system for new memory for. */
const TEXT = 1 << 16;

/** What hashes.bin holds, taken apart; views of its bytes. */
interface Parts {
  /** See {@link bytesOf}. */
  since: number;
  /** Size and time of each file, 64-bit floats. */
  numbers: Buffer;
  /** 32 bytes each. */
  hashes: Buffer;
  /** Path of each in the cell's folder, without the ending, a line each; no line feed after the last. */
  text: Buffer;
}

/** @returns `undefined` where the bytes are not what was written: they only save time */
function partsOf(bytes: Buffer): Parts | undefined {
  const isWhole = bytes.length >= HEAD && checksumOf(bytes.subarray(32)).equals(bytes.subarray(0, 32));
  if (!isWhole) return undefined;
  const count = bytes.readDoubleLE(32);
  const [hashesAt, textAt] = [HEAD + 16 * count, HEAD + 48 * count];
  return {
    since: bytes.readDoubleLE(40),
    numbers: bytes.subarray(HEAD, hashesAt),
    hashes: bytes.subarray(hashesAt, textAt),
    text: bytes.subarray(textAt),
  };
}

/** What is known of the files of a cell, in the cache's own order: they are mostly asked after in the same. */
export class KnownFiles {
  /** See {@link bytesOf}. */
  readonly since: number;
  readonly stems: readonly string[];
  readonly #numbers: Float64Array;
  readonly #digits: string;
  #places: Map<string, number> | undefined;
  #next = 0;

  constructor({ since, numbers, hashes, text }: Parts) {
    this.since = since;
    this.stems = text.length === 0 ? [] : text.toString('latin1').split('\n');
    this.#numbers = new Float64Array(Uint8Array.from(numbers).buffer);
    this.#digits = hashes.toString('hex');
  }

  /** The place of a file, -1 where nothing is known of it. */
  find(stem: string): number {
    if (this.stems[this.#next] === stem) return this.#next++;
    this.#places ??= new Map(this.stems.map((known, place) => [known, place]));
    const place = this.#places.get(stem) ?? -1;
    if (place >= 0) this.#next = place + 1;
    return place;
  }

  /** Whether a file is as it was when it was read, by size and time; not where nothing is known of it. */
  isAs(place: number, { size, mtimeMs }: { size: number; mtimeMs: number }): boolean {
    return this.#numbers[2 * place] === size && this.#numbers[2 * place + 1] === mtimeMs;
  }

  hash(place: number): string {
    return this.#digits.slice(64 * place, 64 * place + 64);
  }

  at(place: number): Known {
    return { size: this.#numbers[2 * place], time: this.#numbers[2 * place + 1], sha256: this.hash(place) };
  }
}

const NOTHING: Parts = { since: 0, numbers: Buffer.of(), hashes: Buffer.of(), text: Buffer.of() };

/** What is known of the files of a cell. @param path of hashes.bin; where it is missing or damaged, nothing is known */
export function readKnown(path: string): KnownFiles {
  return new KnownFiles((existsSync(path) && partsOf(readFileSync(path))) || NOTHING);
}

/** Where {@link readLines} reads to, cell after cell: to get new memory takes longer than to read into it. */
let room = Buffer.of();

/** What is known of the files of a cell, as it lies in the cache. */
export interface KnownLines {
  /** See {@link bytesOf}. */
  since: number;
  /** 32 bytes each. */
  hashes: Buffer;
  /** Their paths in the folder, without the endings, a line each, in texts of some thousand lines; in order. */
  texts: Iterable<string>;
}

/**
 * What is known of the files of a cell, to be used before that of another cell is read.
 *
 * @param path of hashes.bin
 * @returns `undefined` where it is missing or damaged
 */
export function readLines(path: string): KnownLines | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (room.length < size) room = Buffer.alloc(2 * size);
  const parts = size > 0 && partsOf(room.subarray(0, readHead(path, room.subarray(0, size))));
  return parts ? { since: parts.since, hashes: parts.hashes, texts: textsOf(parts.text) } : undefined;
}

function* textsOf(lines: Buffer): Generator<string> {
  for (let start = 0, end = 0; start < lines.length; start = end) {
    end = start + TEXT < lines.length ? lines.lastIndexOf('\n', start + TEXT) + 1 : lines.length;
    yield lines.toString('latin1', start, end);
  }
}

/** Since when the files of a cell are known, as {@link bytesOf} was told; 0 where there is no cache, or the time is of another disk's clock. */
export function readSince(path: string): number {
  const head = Buffer.alloc(HEAD);
  if (!existsSync(path) || readHead(path, head) < HEAD) return 0;
  const since = head.readDoubleLE(40);
  return since < statSync(path).ctimeMs ? since : 0;
}

/** Fills `bytes` with the beginning of a file. @returns how many there were */
function readHead(path: string, bytes: Uint8Array): number {
  const file = openSync(path, 'r');
  try {
    return readSync(file, bytes);
  } finally {
    closeSync(file);
  }
}

/**
 * The bytes of hashes.bin: its own SHA-256, the number of files, since when they are known, of each size and time, then the
 * hashes, then a line of text a file; in order of the lines.
 *
 * @param changed by file what is known now, `undefined` where nothing is
 * @param since what was changed last before then, milliseconds since 1970 by the disk's clock, is as it is said here; 0: nothing is known to be
 */
export function bytesOf(known: KnownFiles, changed: ReadonlyMap<string, Known | undefined>, since: number): Uint8Array {
  const entries = new Map<string, Known | undefined>(known.stems.map((stem, place) => [stem, known.at(place)]));
  for (const [stem, entry] of changed) entries.set(stem, entry);
  const kept = [...entries].filter((pair): pair is [string, Known] => pair[1] !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)); // prettier-ignore
  const numbers = Float64Array.from([kept.length, since, ...kept.flatMap(([, { size, time }]) => [size, time])]);
  const digits = kept.map(([, { sha256 }]) => sha256).join('');
  const stems = kept.map(([stem]) => stem).join('\n');
  const body = Buffer.concat([new Uint8Array(numbers.buffer), Buffer.from(digits, 'hex'), Buffer.from(stems, 'latin1')]); // prettier-ignore
  return Buffer.concat([checksumOf(body), body]);
}

function checksumOf(body: Uint8Array): Buffer {
  return createHash('sha256').update(LAYOUT).update(body).digest();
}
