/** An opened version of a table, which questions are put to. */
import { totalmem } from 'node:os';
import type { Table } from '@lancedb/lancedb';
import { type Columns, Filling, NEEDED } from './columns.ts';
import { INDEX_NAME, type StoreFacts, readFacts } from './facts.ts';
import type { Vectors } from '../nearest.ts';
import { LIVE, isGone, openTable, storePlace, versionsOf } from './place.ts';
import type { StoreRow } from './row.ts';

/** All rows of a table in memory. */
export interface Loaded {
  columns: Columns;
  /** `[n, width]` */
  values: Float32Array;
  /** LanceDB's names of the rows, ascending. */
  names: BigUint64Array;
}

/** A version of a table. It stays the same whatever is deployed meanwhile: open it again to see that. */
export interface Store extends StoreFacts {
  /** Data folder, where models are looked for. */
  dataPath: string;
  /** Folder or s3:// prefix of the tables. */
  place: string;
  name: string;
  /** `v1`, `v2` and so on. */
  version: string;
  table: Table;
  /** Brings all rows into memory, once: what exact search and filters need. */
  load: () => Promise<Loaded>;
  /** What {@link Store.load} has brought or is bringing, if it was asked for. */
  loaded: () => Promise<Loaded> | undefined;
  close: () => void;
}

/** Options of {@link openStore}. */
export interface OpenStoreOptions {
  /** Folder or s3:// prefix above `embeddings`. Default: the data folder. */
  store?: string | undefined;
  /** A version as `listStores` names it. Default: the one that is live. */
  version?: string | undefined;
}

/** Part of the machine's memory that a table may take. */
const SHARE = 0.5;
/** Bytes of a row beside its vector: its id, 5 numbers, its name at LanceDB, some tags. */
const ROW_BYTES = 150;

/**
 * Opens a table of the similarity store.
 *
 * @throws {Error} when there is no such table or version, listing those that there are
 */
export async function openStore(dataPath: string, name: string, { store = dataPath, version }: OpenStoreOptions = {}): Promise<Store> {
  const place = storePlace(store);
  const table = await openTable(place, name, version);
  const facts = await readFacts(table);
  const opened = version ?? (await nameOf(table));
  let loaded: Promise<Loaded> | undefined;
  const loadAll = (): Promise<Loaded> => load(table, facts).catch((error: unknown) => {
    loaded = undefined; // it may do better the next time
    throw error;
  });
  return {
    ...facts, dataPath, place, name, table,
    version: opened,
    load: () => (loaded ??= whileThere({ name, version: opened }, loadAll)),
    loaded: () => loaded,
    close: () => table.close(),
  };
} // prettier-ignore

/** The newest name of the version that is checked out. */
async function nameOf(table: Table): Promise<string> {
  const [{ named }, number] = [await versionsOf(table), await table.version()];
  const fitting = [...named].filter(([, version]) => version === number).map(([name]) => name);
  return fitting.at(-1) ?? LIVE;
}

/**
 * Reads of an opened version, which a writer may prune at any time.
 *
 * @throws {Error} saying so, when it was
 */
export async function whileThere<Result>({ name, version }: Pick<Store, 'name' | 'version'>, work: () => Promise<Result>): Promise<Result> {
  return work().catch((error: unknown) => {
    if (!isGone(error)) throw error;
    throw new Error(`version ${version} of table ${name} was pruned: open the store again`, { cause: error });
  });
} // prettier-ignore

async function load(table: Table, { rows, width, index }: StoreFacts): Promise<Loaded> {
  const bytes = rows * ((index ? 2 : 1) * 4 * width + ROW_BYTES); // the index holds the vectors once more
  if (bytes > SHARE * totalmem())
    throw new Error(`table ${table.name} takes ${(bytes / 1e9).toFixed(1)} GB of memory, this machine has ${(totalmem() / 1e9).toFixed(1)} GB: search it without filters, or on a larger machine`); // prettier-ignore
  const values = new Float32Array(rows * width);
  const names = new BigUint64Array(rows);
  const filling = new Filling(rows);
  const wanted = table.query().select([...NEEDED, 'vector']).withRowId(); // prettier-ignore
  let from = 0;
  for await (const batch of wanted) {
    values.set(batch.getChild('vector')!.getChildAt(0)!.toArray() as Float32Array, from * width);
    names.set(batch.getChild('_rowid')!.toArray() as BigUint64Array, from);
    filling.add(batch);
    from += batch.numRows;
  }
  if (names.some((name, row) => row > 0 && name <= names[row - 1]))
    throw new Error(`LanceDB gave the rows of table ${table.name} out of order: deploy it again, and tell us of it`);
  if (index) await table.prewarmIndex(INDEX_NAME); // else the first questions read their groups from the disk: 33 ms each instead of 5, of a million rows
  return { columns: filling.columns, values, names };
}

/** The row of a name. */
export function rowNamed(names: BigUint64Array, name: bigint): number {
  let [low, high] = [0, names.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (names[middle] < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The vectors of some chips, in their order: what feedback, report card and change list work on.
 *
 * @throws {Error} naming the first chip that the table lacks
 */
export async function vectorsFor(store: Store, rows: readonly Pick<StoreRow, 'id' | 'catid' | 'date'>[]): Promise<Vectors> {
  const { columns, values } = await store.load();
  const { width } = store;
  const places = new Map(columns.ids.map((id, at) => [`${id} ${columns.catids[at]} ${columns.dates[at]}`, at]));
  const vectors = { values: new Float32Array(rows.length * width), width };
  for (const [index, { id, catid, date }] of rows.entries()) {
    const at = places.get(`${id} ${catid} ${date}`);
    if (at === undefined) throw new Error(`table ${store.name} has no vector of chip ${id} of ${catid} (${date}): deploy again`);
    vectors.values.set(values.subarray(at * width, (at + 1) * width), index * width);
  }
  return vectors;
} // prettier-ignore
