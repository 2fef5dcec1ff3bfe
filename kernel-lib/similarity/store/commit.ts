/** How a table changes: one writer at a time, and readers see the whole of it or nothing. */
import type { Connection, Table } from '@lancedb/lancedb';
import { type IndexOptions, tendIndex } from './ann.ts';
import { arrowTable } from './arrow.ts';
import { type StoreFacts, readFacts, writeFacts } from './facts.ts';
import { LIVE, checkTableName, connectTo, openLatest, tableNames, versionsOf } from './place.ts';
import type { StoreRow } from './row.ts';
import { type WriterOptions, forget, oneWriter, prune, standOnLive } from './writer.ts';

/** Rows and their vectors, `[n, width]`. */
export interface StoreBatch {
  rows: StoreRow[];
  values: Float32Array;
}

/** What is to become of a table. */
export interface Change {
  /** What the new version says of itself; the rest follows from its rows. */
  facts: Omit<StoreFacts, 'format' | 'rows' | 'made' | 'index'>;
  /** Cells whose rows go; `all`: the table is made anew. */
  remove: readonly string[] | 'all';
  /** Rows that come, batch after batch. */
  batches: AsyncIterable<StoreBatch> | Iterable<StoreBatch>;
}

/** Options of {@link changeTable}. */
export interface ChangeOptions extends IndexOptions, WriterOptions {
  /** Versions that are kept; older ones are pruned. Default: 10. */
  keep?: number | undefined;
}

/** What {@link changeTable} made. */
export interface Changed {
  /** `v1`, `v2` and so on. */
  version: string;
  facts: StoreFacts;
}

/** Versions kept unless told otherwise: rows that did not change are stored once, whatever the number. */
export const KEEP_VERSIONS = 10;

/**
 * Makes a version of a table: of nothing, or of the version that is live.
 *
 * LanceDB writes a version of its own with every step; readers follow the tag `live`, which moves once, at the end. What a process that died has left
 * between is not built on: the next one begins at what is live.
 *
 * @param plan told the facts of what is live, if anything is; returns `undefined` where nothing is to change
 * @throws {Error} when another process is writing the table
 */
export async function changeTable(
  place: string,
  name: string,
  plan: (live: StoreFacts | undefined) => Promise<Change | undefined>,
  options: ChangeOptions = {},
): Promise<Changed | undefined> {
  checkTableName(name);
  return oneWriter(place, name, options, async () => {
    const store = await connectTo(place);
    const table = (await tableNames(place)).includes(name) ? await openLatest(store, name) : undefined;
    const from = table && (await versionsOf(table)).live;
    if (table && from !== undefined) await table.checkout(LIVE);
    const change = await plan(table && from !== undefined ? await readFacts(table) : undefined);
    if (!change) return undefined;
    const base = from === undefined ? undefined : table;
    const index = base && change.remove !== 'all' ? (await readFacts(base)).index : undefined;
    return undisturbed(name, async () => {
      const { table: written, rows } = await writeRows(store, name, base, change);
      if (rows === 0) throw new RangeError(`nothing would be left in table ${name}: deploy cells that have chips`);
      await checkRows(written, rows);
      if (from !== undefined)
        await ifAllowed(name, () => forget(written, (options.keep ?? KEEP_VERSIONS) - 1), options);
      const made = new Date().toISOString();
      const tended = await tendIndex(written, { index, rows, width: change.facts.width }, options);
      const facts: StoreFacts = { ...change.facts, format: 1, rows, made, index: tended };
      await writeFacts(written, facts);
      const version = await goLive(written, from, rows);
      if (options.keep === 1) await ifAllowed(name, () => prune(written, 1), options); // what was live until now
      return { version, facts };
    });
  });
}

/** What LanceDB says where a bucket lets a writer delete nothing. */
const DENIED = /AccessDenied|lacked the necessary privileges/;

/** Forgets old versions; those that may not be deleted stay, which is told. */
async function ifAllowed(name: string, work: () => Promise<unknown>, { onNote }: ChangeOptions): Promise<void> {
  await work().catch((error: unknown) => {
    if (!DENIED.test(String(error))) throw error;
    onNote?.(`old versions of table ${name} stay, for nothing may be deleted there: ask for s3:DeleteObject, or give a higher --keep`); // prettier-ignore
  });
}

/** What LanceDB says of a writer whose version another has overtaken. */
const CONFLICT = /conflict|concurrent|preempted|retry the (?:transaction|commit)|already exists/i;

/** Runs what writes a table; a collision with another process, which LanceDB tells at length, is told in one line. */
async function undisturbed<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  return work().catch((error: unknown) => {
    if (CONFLICT.test(String(error))) throw disturbed(name, error);
    throw error;
  });
}

function disturbed(name: string, cause?: unknown): Error {
  return new Error(`table ${name} was deployed by another process meanwhile: deploy again`, { cause });
}

/** In a bucket LanceDB puts together what several append at once. @throws {Error} when other rows are in the table than this writer left there */
async function checkRows(table: Table, rows: number): Promise<void> {
  await table.checkoutLatest();
  if ((await table.countRows()) !== rows) throw disturbed(table.name);
}

/** Writes what is to change. @returns the table, and how many rows this writer left in it */
async function writeRows(store: Connection, name: string, base: Table | undefined, change: Change): Promise<{ table: Table; rows: number }> {
  const { remove, batches, facts: { width } } = change;
  let table = remove === 'all' ? undefined : base;
  let count = 0;
  if (table) count = await remaining(table, remove as string[]);
  for await (const { rows, values } of batches) {
    if (rows.length === 0) continue;
    const data = arrowTable(rows, values, width);
    if (table) await alone(table, () => table!.add(data));
    else table = await store.createTable(name, data, { mode: base || (await openLatest(store, name)) ? 'overwrite' : 'create' });
    count += rows.length;
  }
  if (!table) throw new RangeError(`no chip for table ${name}: deploy cells that have chips`);
  return { table, rows: count };
} // prettier-ignore

/** Goes on from what is live, without the rows of some cells. @returns how many others there are */
async function remaining(table: Table, cells: readonly string[]): Promise<number> {
  await table.checkout(LIVE);
  const named = `cell IN (${cells.map((cell) => `'${cell}'`).join(', ')})`;
  const rows = (await table.countRows()) - (cells.length > 0 ? await table.countRows(named) : 0);
  await standOnLive(table);
  if (cells.length > 0) await alone(table, () => table.delete(named));
  return rows;
}

/** Runs a step of a writer. @throws {Error} when LanceDB puts it on top of another writer's, which it takes for what was wanted */
async function alone(table: Table, step: () => Promise<unknown>): Promise<void> {
  const before = await table.version();
  await step();
  if ((await table.version()) > before + 1) throw disturbed(table.name);
}

/** Names the version that the table is at, and has readers follow it. @returns its tag */
async function goLive(table: Table, from: number | undefined, rows: number): Promise<string> {
  await checkRows(table, rows);
  const { live, named } = await versionsOf(table);
  if (live !== from) throw disturbed(table.name);
  const last = Math.max(0, ...[...named.keys()].map((name) => Number(name.slice(1))));
  const tags = await table.tags();
  const version = await table.version();
  await tags.create(`v${last + 1}`, version);
  await (live === undefined ? tags.create(LIVE, version) : tags.update(LIVE, version));
  return `v${last + 1}`;
}
