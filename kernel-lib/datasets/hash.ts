import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import { type StepOptions, WriteError, eachUnit, partName, writeWhole } from '../ard/index.ts';
import { ROWS_AT_ONCE } from '../chips/index.ts';
import { readLines, readSince } from './hashcache.ts';
import hashCell, { type HashAnswer, type HashTask } from './hasher.ts';
import { type DatasetRow, compare } from './row.ts';
import { touchedFolders } from './touched.ts';

/** Hashes of chips, and what it took. */
export interface HashedChips {
  /** SHA-256 of each, hexadecimal, in the order asked for; `undefined` where there is no such file. */
  sha256: (string | undefined)[];
  /** Files that were read; the others are as they were when they were read last. */
  read: number;
}

type ChipName = Pick<DatasetRow, 'id' | 'catid' | 'date'>;

/**
 * Days' folders that were touched, and chips of a cell of which all was known, that are looked at in this thread: that takes a tenth of
 * a second, a thread as long to start. More would keep progress and abort waiting.
 */
const [FEW_DAYS, FEW_CHIPS] = [2, 10_000];

let threads: Piscina | undefined;

/**
 * SHA-256 of the files of chips, a cell at a time.
 *
 * What is read is kept in `hashes.bin` in the cell's own folder of chips, by path, size and time of writing; a file that
 * still has both is not read again, and where nothing in a cell was touched since all in it was known, no file is even asked after.
 * The cache only saves time: damaged or not to be written, it is done without.
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
  const cells = cellsOf(chipDir, chips);
  const touched = again ? undefined : touchedFolders(cells.flatMap(({ days, since }) => Array.from(days, (folder) => ({ folder, since }))), options); // prettier-ignore
  const work = async (cell: Cell): Promise<void> => {
    const { folder, places, days } = cell;
    const isKnown = touched !== undefined && putKnown(sha256, cell, chips); // while `find` looks for what was touched
    if (isKnown && !holdsAny(await touched, days)) return;
    options.signal?.throwIfAborted();
    const isHere = isKnown && (await touched).size <= FEW_DAYS && places.length <= FEW_CHIPS;
    const stems: string[] = [];
    for (let start = 0; start < places.length; start += ROWS_AT_ONCE)
      stems.push(places.slice(start, start + ROWS_AT_ONCE).map((place) => stemOf(chips[place])).join('\n')); // prettier-ignore
    const part = partName(cacheIn(folder));
    const task: HashTask = { folder, stems, again, part };
    const answer = isHere ? hashCell(task) : ((await pool().run(task)) as HashAnswer);
    if (answer.cache) await writeCache(cacheIn(folder), answer.cache);
    const found = answer.hashes.flatMap((lines) => lines.split('\n'));
    for (let index = 0; index < found.length; index++) sha256[places[index]] = found[index] || undefined;
    read += answer.read;
  };
  await eachUnit(cells, 'cells of chips', work, { concurrency: cells.length, ...options });
  return { sha256, read };
}

/** Chips of one cell. */
interface Cell {
  /** `chips/33/<quadkey>`. */
  folder: string;
  /** Which of the chips asked for they are. */
  places: number[];
  /** The folders, one a day, that they lie in. */
  days: Set<string>;
  /** Since when its files are known, milliseconds since 1970; 0 where they are not. */
  since: number;
}

function cellsOf(chipDir: string, chips: readonly ChipName[]): Cell[] {
  const cells = new Map<string, Cell>();
  let [quadkey, cell]: [string, Cell | undefined] = ['', undefined];
  for (let place = 0; place < chips.length; place++) {
    const { id, date } = chips[place];
    if (!cell || !id.startsWith(quadkey, 4)) {
      quadkey = id.slice(4, 16); // neighbours are mostly of one cell
      cell = cells.get(quadkey) ?? emptyCell(join(chipDir, quadkey));
      cells.set(quadkey, cell);
    }
    const before = cell.places.at(-1) ?? -1;
    if (date !== chips[before]?.date) cell.days.add(join(cell.folder, date));
    cell.places.push(place);
  }
  return [...cells.values()];
}

function emptyCell(folder: string): Cell {
  return { folder, places: [], days: new Set(), since: readSince(cacheIn(folder)) };
}

function cacheIn(folder: string): string {
  return join(folder, 'hashes.bin');
}

/**
 * Puts what is known of a cell's chips into their places. They are mostly asked for in the order in which they are known: where that
 * is not so, they are put into it.
 *
 * @returns whether all are known, and since when they were when it was asked
 */
function putKnown(sha256: (string | undefined)[], cell: Cell, chips: readonly ChipName[]): boolean {
  if (cell.since === 0) return false;
  if (putInOrder(sha256, cell, chips)) return true;
  const { places } = cell;
  const isOrdered = places.every((place, index) => index === 0 || compareStems(chips[places[index - 1]], chips[place]) <= 0); // prettier-ignore
  if (isOrdered) return false;
  places.sort((a, b) => compareStems(chips[a], chips[b]));
  return putInOrder(sha256, cell, chips);
}

/** @returns whether all are known, when they are asked for in order of their paths */
function putInOrder(
  sha256: (string | undefined)[],
  { folder, places, since }: Cell,
  chips: readonly ChipName[],
): boolean {
  const known = readLines(cacheIn(folder));
  if (!known || known.since < since) return false;
  let [index, line] = [0, 0];
  for (const lines of known.texts)
    for (let start = 0; start < lines.length && index < places.length; line++) {
      const place = places[index];
      if (hasStem(lines, start, chips[place])) {
        sha256[place] = known.hashes.toString('hex', 32 * line, 32 * line + 32);
        index++;
      }
      start = lines.indexOf('\n', start) + 1 || lines.length;
    }
  return index === places.length;
}

function compareStems(a: ChipName, b: ChipName): number {
  return compare(a.date, b.date) || compare(a.id, b.id) || compare(a.catid, b.catid);
}

/** Whether a line of text that begins at `start` is {@link stemOf} a chip, without making that: there may be half a million. */
function hasStem(text: string, start: number, { id, catid, date }: ChipName): boolean {
  const [idAt, catidAt] = [start + date.length + 1, start + date.length + id.length + 2];
  const isLine = text.startsWith(date, start) && text.startsWith(id, idAt) && text.startsWith(catid, catidAt);
  const next = text[catidAt + catid.length];
  return isLine && (next === '\n' || next === undefined);
}

function holdsAny(all: ReadonlySet<string>, some: Iterable<string>): boolean {
  for (const one of some) if (all.has(one)) return true;
  return false;
}

/** Where a chip lies in its cell's folder, without the ending. */
function stemOf({ id, catid, date }: ChipName): string {
  return `${date}/${id}_${catid}`;
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
