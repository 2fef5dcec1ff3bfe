import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import { type StepOptions, WriteError, eachUnit, writeWhole } from '../ard/index.ts';
import type { HashAnswer, HashTask } from './hasher.ts';
import type { DatasetRow } from './row.ts';
import { BLOCK } from './table.ts';

/** Hashes of chips, and what it took. */
export interface HashedChips {
  /** SHA-256 of each, hexadecimal, in the order asked for; `undefined` where there is no such file. */
  sha256: (string | undefined)[];
  /** Files that were read; the others are as they were when they were read last. */
  read: number;
}

type ChipName = Pick<DatasetRow, 'id' | 'catid' | 'date'>;

let threads: Piscina | undefined;

/**
 * SHA-256 of the files of chips, a cell at a time.
 *
 * What is read is kept in `hashes.bin` in the cell's own folder of chips, by path, size and time of writing; a file that
 * still has both is not read again. The cache only saves time: damaged or not to be written, it is done without.
 *
 * @param chipDir `chips/33` in the data folder, say
 * @param again read every file, whatever is known of it. Default: only what has changed
 */
export async function hashChips(
  chipDir: string,
  chips: readonly ChipName[],
  { again = false, ...options }: { again?: boolean } & StepOptions = {},
): Promise<HashedChips> {
  const sha256: (string | undefined)[] = Array.from({ length: chips.length });
  let read = 0;
  const work = async ([quadkey, places]: [string, number[]]): Promise<void> => {
    const folder = join(chipDir, quadkey);
    const stems: string[] = [];
    for (let start = 0; start < places.length; start += BLOCK)
      stems.push(places.slice(start, start + BLOCK).map((place) => stemOf(chips[place])).join('\n')); // prettier-ignore
    const answer = (await pool().run({ folder, stems, again } satisfies HashTask)) as HashAnswer;
    if (answer.cache) await writeCache(join(folder, 'hashes.bin'), answer.cache);
    const found = answer.hashes.flatMap((lines) => lines.split('\n'));
    for (let index = 0; index < found.length; index++) sha256[places[index]] = found[index] || undefined;
    read += answer.read;
  };
  const cells = [...byCell(chips)];
  await eachUnit(cells, 'cells of chips', work, { concurrency: cells.length, ...options });
  return { sha256, read };
}

/** Where a chip lies in its cell's folder, without the ending. */
function stemOf({ id, catid, date }: ChipName): string {
  return `${date}/${id}_${catid}`;
}

function byCell(chips: readonly ChipName[]): Map<string, number[]> {
  const cells = new Map<string, number[]>();
  for (const [place, { id }] of chips.entries()) {
    const quadkey = id.slice(4, 16);
    const places = cells.get(quadkey);
    if (places) places.push(place);
    else cells.set(quadkey, [place]);
  }
  return cells;
}

/** Threads wait for the disk as much as they compute: two to a core. */
function workers(): number {
  return Math.min(16, 2 * availableParallelism());
}

function pool(): Piscina {
  threads ??= new Piscina({
    filename: new URL('./hasher.js', import.meta.url).href,
    maxThreads: workers(),
    concurrentTasksPerWorker: 8, // so that they go on while this thread is busy with labels and rows
    idleTimeout: 2000,
    execArgv: [], // what the process itself was started with would be loaded in every thread
  });
  return threads;
}

async function writeCache(path: string, bytes: Uint8Array): Promise<void> {
  await writeWhole(path, bytes).catch((error: unknown) => {
    if (!(error instanceof WriteError)) throw error; // a folder that may only be read is hashed anew each time
  });
}
