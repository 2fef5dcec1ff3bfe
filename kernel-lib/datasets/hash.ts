import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import { type StepOptions, WriteError, eachUnit, writeWhole } from '../ard/index.ts';
import type { HashAnswer, HashTask } from './hasher.ts';
import type { DatasetRow } from './row.ts';

/** Hashes of chips, and what it took. */
export interface HashedChips {
  /** SHA-256 of each, hexadecimal, in the order asked for; `undefined` where there is no such file. */
  sha256: (string | undefined)[];
  /** Files that were read; the others are as they were when they were read last. */
  read: number;
}

/** What is known of files: by stem its place in the three arrays. */
interface Known {
  places: Map<string, number>;
  sizes: Float64Array;
  times: Float64Array;
  hashes: Uint8Array;
}

const CACHE = 'hashes.bin';
const FILES_AT_ONCE = 1024;
const NOTHING: Known = {
  places: new Map(),
  sizes: new Float64Array(),
  times: new Float64Array(),
  hashes: new Uint8Array(),
};
/** A file written so shortly before it was read may be written again within the same tick of the disk's clock. */
const SETTLED_MS = 2000;

let threads: Piscina | undefined;

/**
 * SHA-256 of the files of chips.
 *
 * What is read is kept in `hashes.bin` beside the chips, by path, size and time of writing; a file that still has both is
 * not read again. The cache only saves time: damaged or not to be written, it is done without.
 *
 * @param chipDir `chips/33` in the data folder, say
 * @param again read every file, whatever is known of it. Default: only what has changed
 */
export async function hashChips(
  chipDir: string,
  chips: readonly Pick<DatasetRow, 'id' | 'catid' | 'date'>[],
  { again = false, ...options }: { again?: boolean } & StepOptions = {},
): Promise<HashedChips> {
  const stems = chips.map(stemOf);
  const path = join(chipDir, CACHE);
  const known = await readKnown(path);
  const now: Known = { ...emptyOf(stems.length), places: new Map() };
  const started = Date.now();
  const starts = Array.from({ length: Math.ceil(stems.length / FILES_AT_ONCE) }, (_, k) => k * FILES_AT_ONCE);
  let read = 0;
  const work = async (start: number): Promise<void> => {
    const task = taskOf(chipDir, stems.slice(start, start + FILES_AT_ONCE), again ? NOTHING : known);
    const answer = (await pool().run(task)) as HashAnswer;
    read += answer.read;
    now.sizes.set(answer.sizes, start);
    now.times.set(answer.times, start);
    now.hashes.set(answer.hashes, start * 32);
  };
  await eachUnit(starts, 'thousands of chips', work, { concurrency: workers() + 1, ...options });
  if (read > 0) await writeKnown(path, merged(known, stems, now, started - SETTLED_MS));
  return { sha256: stems.map((_, index) => (now.sizes[index] < 0 ? undefined : hex(now.hashes, index))), read };
}

/** Where a chip lies in its folder, without the ending. */
export function stemOf({ id, catid, date }: Pick<DatasetRow, 'id' | 'catid' | 'date'>): string {
  return `${id.slice(4, 16)}/${date}/${id}_${catid}`;
}

/** Threads wait for the disk as much as they compute: two to a core. */
function workers(): number {
  return Math.min(16, 2 * availableParallelism());
}

function pool(): Piscina {
  threads ??= new Piscina({
    filename: new URL('./hasher.js', import.meta.url).href,
    maxThreads: workers(),
    idleTimeout: 2000,
    execArgv: [], // what the process itself was started with would be loaded in every thread
  });
  return threads;
}

function taskOf(folder: string, stems: string[], known: Known): HashTask {
  const task = { folder, stems, ...emptyOf(stems.length) };
  for (const [index, stem] of stems.entries()) {
    const place = known.places.get(stem);
    if (place !== undefined) copyEntry(known, place, task, index);
  }
  return task;
}

function emptyOf(length: number): Omit<Known, 'places'> {
  const sizes = new Float64Array(length).fill(-1);
  return { sizes, times: new Float64Array(length), hashes: new Uint8Array(32 * length) };
}

type Entries = Omit<Known, 'places'>;

function copyEntry(from: Entries, place: number, to: Entries, index: number): void {
  to.sizes[index] = from.sizes[place];
  to.times[index] = from.times[place];
  to.hashes.set(from.hashes.subarray(32 * place, 32 * place + 32), 32 * index);
}

/** What was known and what is known now; of files that are gone, or not yet settled, nothing. */
function merged(before: Known, stems: readonly string[], now: Entries, settled: number): Known {
  const asked = new Set(stems);
  const kept = [...before.places].filter(([stem]) => !asked.has(stem));
  const fresh = stems.flatMap((_, index) => (now.sizes[index] >= 0 && now.times[index] < settled ? [index] : []));
  const all: Known = { places: new Map(), ...emptyOf(kept.length + fresh.length) };
  const add = (stem: string, from: Entries, place: number): void => {
    copyEntry(from, place, all, all.places.size);
    all.places.set(stem, all.places.size);
  };
  for (const [stem, place] of kept) add(stem, before, place);
  for (const index of fresh) add(stems[index], now, index);
  return all;
}

function hex(hashes: Uint8Array, index: number): string {
  return Buffer.from(hashes.buffer, hashes.byteOffset + 32 * index, 32).toString('hex');
}

/** The cache: its own SHA-256, the number of files, sizes, times and hashes, then a line of text a file. */
async function readKnown(path: string): Promise<Known> {
  if (!existsSync(path)) return NOTHING;
  const bytes = await readFile(path);
  const body = bytes.subarray(32);
  if (bytes.length < 40 || !createHash('sha256').update(body).digest().equals(bytes.subarray(0, 32))) return NOTHING;
  const count = body.readDoubleLE(0);
  const { buffer } = new Uint8Array(bytes); // numbers of eight bytes are read at multiples of eight
  const end = 40 + 48 * count;
  return {
    places: new Map(bytes.toString('latin1', end).split('\n').map((stem, index) => [stem, index])), // prettier-ignore
    sizes: new Float64Array(buffer, 40, count),
    times: new Float64Array(buffer, 40 + 8 * count, count),
    hashes: new Uint8Array(buffer, 40 + 16 * count, 32 * count),
  };
}

async function writeKnown(path: string, { places, sizes, times, hashes }: Known): Promise<void> {
  const count = Buffer.from(Float64Array.of(places.size).buffer);
  const bytes = ({ buffer, byteOffset, byteLength }: Float64Array | Uint8Array): Buffer => Buffer.from(buffer, byteOffset, byteLength); // prettier-ignore
  const parts = [count, bytes(sizes), bytes(times), bytes(hashes), Buffer.from([...places.keys()].join('\n'), 'latin1')]; // prettier-ignore
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  await writeWhole(path, Buffer.concat([hash.digest(), ...parts])).catch((error: unknown) => {
    if (!(error instanceof WriteError)) throw error; // a folder that may only be read is hashed anew each time
  });
}
