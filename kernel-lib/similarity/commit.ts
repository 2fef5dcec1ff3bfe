/** How a table changes: one writer at a time, and readers see the whole of it or nothing. */
import type { Connection, Table } from '@lancedb/lancedb';
import { type IndexOptions, tendIndex } from './ann.ts';
import { arrowTable } from './arrow.ts';
import { type StoreFacts, readFacts, writeFacts } from './facts.ts';
import { LIVE, checkTableName, connectTo, tableNames, versionsOf } from './place.ts';
import type { StoreRow } from './row.ts';
import { type WriterOptions, forget, oneWriter, standOnLive } from './writer.ts';

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
    const table = (await tableNames(place)).includes(name) ? await store.openTable(name) : undefined;
    const from = table && (await versionsOf(table)).live;
    if (table && from !== undefined) await table.checkout(LIVE);
    const change = await plan(table && from !== undefined ? await readFacts(table) : undefined);
    if (!change) return undefined;
    const base = from === undefined ? undefined : table;
    const index = base && change.remove !== 'all' ? (await readFacts(base)).index : undefined;
    const written = await writeRows(store, name, base, change);
    const rows = await written.countRows();
    if (rows === 0) throw new RangeError(`nothing would be left in table ${name}: deploy cells that have chips`);
    if (from !== undefined) await forget(written, (options.keep ?? KEEP_VERSIONS) - 1);
    const made = new Date().toISOString();
    const tended = await tendIndex(written, { index, rows, width: change.facts.width }, options);
    const facts: StoreFacts = { ...change.facts, format: 1, rows, made, index: tended };
    await writeFacts(written, facts);
    const version = await goLive(written, from);
    return { version, facts };
  });
}

async function writeRows(store: Connection, name: string, base: Table | undefined, change: Change): Promise<Table> {
  const { remove, batches, facts: { width } } = change; // prettier-ignore
  let table = remove === 'all' ? undefined : base;
  if (table) await standOnLive(table);
  if (table && remove.length > 0) await table.delete(`cell IN (${(remove as string[]).map((cell) => `'${cell}'`).join(', ')})`); // prettier-ignore
  for await (const { rows, values } of batches) {
    if (rows.length === 0) continue;
    const data = arrowTable(rows, values, width);
    if (table) await table.add(data);
    else table = await store.createTable(name, data, { mode: base || (await tableNamed(store, name)) ? 'overwrite' : 'create' }); // prettier-ignore
  }
  if (!table) throw new RangeError(`no chip for table ${name}: deploy cells that have chips`);
  return table;
}

async function tableNamed(store: Connection, name: string): Promise<boolean> {
  return store.openTable(name).then(() => true, () => false); // prettier-ignore
}

/** Names the version that the table is at, and has readers follow it. @returns its tag */
async function goLive(table: Table, from: number | undefined): Promise<string> {
  const { live, named } = await versionsOf(table);
  if (live !== from) throw new Error(`table ${table.name} was deployed by another process meanwhile: deploy again`);
  const last = Math.max(0, ...[...named.keys()].map((name) => Number(name.slice(1))));
  const tags = await table.tags();
  const version = await table.version();
  await tags.create(`v${last + 1}`, version);
  await (live === undefined ? tags.create(LIVE, version) : tags.update(LIVE, version));
  return `v${last + 1}`;
}
