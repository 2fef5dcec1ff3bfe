import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Cell, type SourceFile, type Tile, eachUnit, makeFolder, paddedZone } from '../ard/index.ts';
import { type Outbox, filesBelow } from '../infra/index.ts';
import { type Chip, type Cut, agreeOnCut, chipNamed, cutFrom, writeCut } from './cut.ts';
import { mergeRecords } from './merge.ts';
import { type CellRecord, recordFolder, recordFrom, recordPath } from './record.ts';

/** What the bucket holds of a cell: it is not made again. */
export interface Held {
  /** Chips, and the record, by key. */
  objects: ReadonlyMap<string, SourceFile>;
  /** Not there: none of the cell is. */
  record: CellRecord | undefined;
}

/** Cells whose chips are listed at once. */
const CELLS_AT_ONCE = 16;
/** Times that records are merged while others come. */
const ROUNDS = 3;

/** Hands over to a bucket what is made of a cell: its chips, then its record; and reads there what was handed over before. */
export class Handover {
  readonly #outbox: Outbox;
  readonly #filename: string;
  readonly #chipDir: string;
  #cutPut: Promise<void> | undefined;

  /**
   * @param filename of the index below the outbox's folder
   * @param chipDir of the zone's chips, below it too
   */
  constructor(outbox: Outbox, filename: string, chipDir: string) {
    this.#outbox = outbox;
    this.#filename = filename;
    this.#chipDir = chipDir;
  }

  /** Where in the bucket something goes. */
  addressOf(path: string): string {
    return `${this.#outbox.address}/${this.#outbox.keyOf(path)}`;
  }

  /** Makes sure that the zone's chips in the bucket were cut as is asked for now. @throws {Error} when they were not */
  async agree(wanted: Cut, again: boolean): Promise<void> {
    const path = join(this.#chipDir, 'cut.json');
    const there = await cutAt(this.#outbox, this.#outbox.keyOf(path));
    agreeOnCut(this.addressOf(this.#chipDir), there, wanted, again);
  }

  /** Says in the bucket how chips are cut, before the first of them goes there. */
  async sayCut(cut: Cut): Promise<void> {
    const say = async (): Promise<void> => {
      await writeCut(this.#chipDir, cut);
      const path = join(this.#chipDir, 'cut.json');
      await this.#outbox.put({ files: [path], there: await this.#outbox.list(this.#outbox.keyOf(path)) });
    };
    this.#cutPut ??= say();
    await this.#cutPut.catch((error: unknown) => {
      this.#cutPut = undefined; // the next cell tries again
      throw error;
    });
  }

  /** What the bucket holds of a cell. @param hasChips whether it is to be looked which chips are there */
  async held({ id, quadkey }: Cell, hasChips: boolean): Promise<Held> {
    const key = this.#outbox.keyOf(recordPath(this.#filename, id));
    const chips = hasChips ? await this.#outbox.list(`${this.#keyOfChips(quadkey)}/`) : [];
    const records = await this.#outbox.list(key);
    const bytes = records.has(key) ? await this.#outbox.read(key) : undefined;
    return { objects: new Map([...chips, ...records]), record: bytes && recordFrom(bytes, id) };
  }

  /** Names of the files that the bucket holds beside a tile's chips: those of its cell and date. */
  names({ objects }: Held, { cell, date }: Pick<Tile, 'cell' | 'date'>): string[] {
    const folder = `${this.#keyOfChips(cell.quadkey)}/${date}/`;
    return [...objects.keys()].filter((key) => key.startsWith(folder)).map((key) => key.slice(folder.length));
  }

  /**
   * Puts what was made of a cell, and removes it here.
   *
   * @param hasRecord whether the record was written too
   * @throws {Error} naming the object that could not be put: then all of it is still here
   */
  async hand({ id, quadkey }: Cell, { objects }: Held, hasRecord: boolean): Promise<void> {
    const folder = join(this.#chipDir, quadkey);
    const record = hasRecord ? recordPath(this.#filename, id) : undefined;
    await this.#outbox.put({ files: await filesBelow(folder), record, there: objects });
    await rm(folder, { recursive: true, force: true });
  }

  /**
   * Merges the records that the bucket holds into its index, and lists the zone's chips in its `index.parquet`; each is put whole. What
   * is the same as before is not put again.
   *
   * Of several that merge at once, of other zones too, one may put an index that is older than what it is put over. So each looks
   * afterwards whether there are other records than it knew, and merges again: the last to put knows them all. Where records still
   * come after some rounds, workers are at it, and are merged when they have ended.
   *
   * @throws {Error} naming the index or record that is damaged
   */
  async merge(signal: AbortSignal | undefined): Promise<void> {
    for (let round = 0, isLast = false; round < ROUNDS && !isLast; round++) isLast = await this.#mergeKnown(signal);
  }

  /** @returns whether no record is there that it did not know */
  async #mergeKnown(signal: AbortSignal | undefined): Promise<boolean> {
    const folder = `${this.#outbox.keyOf(recordFolder(this.#filename))}/`;
    await makeFolder(this.#outbox.root);
    const root = await mkdtemp(join(this.#outbox.root, 'merge-'));
    try {
      const records = await this.#mergeIn(root, signal);
      return isDeepStrictEqual(await this.#outbox.list(folder), records);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new Error(error.message.replaceAll(`${root}/`, `${this.#outbox.address}/`), { cause: error });
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }

  /** @returns the records as they were listed */
  async #mergeIn(root: string, signal: AbortSignal | undefined): Promise<Map<string, SourceFile>> {
    const here = this.#outbox.at(root);
    const inRoot = (path: string): string => join(root, this.#outbox.keyOf(path));
    const [filename, chipDir] = [inRoot(this.#filename), inRoot(this.#chipDir)];
    const table = join(chipDir, 'index.parquet');
    const results = [filename, table].map((path) => here.keyOf(path));
    const [records, ...lists] = await Promise.all(
      [`${here.keyOf(recordFolder(filename))}/`, ...results].map((key) => here.list(key)),
    );
    const there = new Map([records, ...lists].flatMap((list) => [...list]));
    await here.bring([...there.values()]);
    const hasChips = (await here.folders(here.keyOf(chipDir))).length > 0;
    await mergeRecords(filename, hasChips ? chipDir : undefined, { signal, chips: () => chipsIn(here, chipDir) });
    await here.put({ files: [filename, table].filter((path) => existsSync(path)), there });
    return records;
  }

  #keyOfChips(quadkey: string): string {
    return this.#outbox.keyOf(join(this.#chipDir, quadkey));
  }
}

/** How the chips of a zone were cut that a bucket holds; nothing where it holds none. @throws {Error} naming a `cut.json` that is damaged */
export function heldCut(outbox: Outbox, zone: number): Promise<Cut | undefined> {
  return cutAt(outbox, `chips/${paddedZone(zone)}/cut.json`);
}

async function cutAt(outbox: Outbox, key: string): Promise<Cut | undefined> {
  const bytes = await outbox.read(key);
  return bytes && cutFrom(bytes, `${outbox.address}/${key}`);
}

/** What a bucket holds of the masks of a cell; nothing where it has no record. */
export async function heldRecord(outbox: Outbox, cell: string): Promise<CellRecord | undefined> {
  const bytes = await outbox.read(`nodata-index.parts/${cell}.json`);
  return bytes && recordFrom(bytes, cell);
}

/** The chips of a zone that a bucket holds, in order of cell, date and name. */
async function* chipsIn(outbox: Outbox, chipDir: string): AsyncGenerator<Chip[]> {
  const folder = outbox.keyOf(chipDir);
  const quadkeys = (await outbox.folders(folder)).filter((name) => /^[0-3]{12}$/.test(name));
  for (let first = 0; first < quadkeys.length; first += CELLS_AT_ONCE) {
    const some = quadkeys.slice(first, first + CELLS_AT_ONCE);
    const listed = await eachUnit(some, 'cells', (quadkey) => outbox.list(`${folder}/${quadkey}/`), { concurrency: CELLS_AT_ONCE }); // prettier-ignore
    for (const [at, keys] of listed.entries()) yield* byDate([...keys.keys()], chipDir, some[at]);
  }
}

/** Keys `…/<date>/<name>` of a cell, those of a date at a time. */
function* byDate(keys: readonly string[], chipDir: string, quadkey: string): Generator<Chip[]> {
  const dates = new Map<string, Chip[]>();
  for (const key of keys) {
    const [date, name] = key.split('/').slice(-2);
    const chip = chipNamed(chipDir, quadkey, date, name);
    if (!dates.has(date)) dates.set(date, []);
    if (chip) dates.get(date)!.push(chip);
  }
  const inOrder = [...dates].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [, chips] of inOrder) yield chips.sort((a, b) => (a.path < b.path ? -1 : 1));
}
