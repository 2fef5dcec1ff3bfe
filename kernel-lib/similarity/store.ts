/** A store of rows and vectors that are in memory, as a notebook has them. */
import type { DatasetRow } from '../datasets/index.ts';
import { type ChangeOptions, type StoreBatch, changeTable } from './commit.ts';
import { type Vectors, vectorAt } from './nearest.ts';
import { openStore } from './open.ts';
import { storePlace } from './place.ts';
import { labelAgreement, labelsOfRow } from './report.ts';
import { type RowFacts, storeRow } from './row.ts';
import { type Hit, search } from './search.ts';

/** Rows written at once. */
const BATCH = 65_536;

/**
 * Puts chips and their vectors into the similarity store, in place of what was there under this name. Who is reading goes on with what was there.
 *
 * @param table name of the table, such as `zone33`
 * @param rows the chips, in the order of `vectors`; their labels become tags
 * @param vectors each of unit length
 * @param model `name@version`
 * @returns where the store lies and how many rows it holds
 * @throws {RangeError} when there is no chip, or not one vector for each
 */
export async function deployStore(
  dataPath: string,
  table: string,
  rows: readonly DatasetRow[],
  vectors: Vectors,
  model: string,
  options: ChangeOptions = {},
): Promise<{ path: string; rows: number }> {
  const batches = batchesOf('deployStore', table, rows, vectors, model);
  const path = storePlace(dataPath);
  const facts = { model, width: vectors.width, change: `${rows.length} rows from memory`, cells: {}, licences: [] };
  await changeTable(path, table, async () => ({ facts, remove: 'all', batches }), options);
  return { path, rows: rows.length };
}

/**
 * Adds chips to a table that is there; rows of the same cells go. The others are not touched, so that it takes no longer in a big table.
 *
 * @returns where the store lies and how many rows the table holds now
 * @throws {RangeError} when the vectors are not of the table's model and width
 */
export async function extendStore(
  dataPath: string,
  table: string,
  rows: readonly DatasetRow[],
  vectors: Vectors,
  model: string,
  options: ChangeOptions = {},
): Promise<{ path: string; rows: number }> {
  const batches = batchesOf('extendStore', table, rows, vectors, model);
  const path = storePlace(dataPath);
  const cells = [...new Set(batches.flatMap((batch) => batch.rows.map(({ cell }) => cell)))];
  const changed = await changeTable(path, table, async (live) => {
    if (!live) throw new Error(`no table ${table} in ${path} to extend: make it with deployStore, or imagesim similarity deploy`);
    if (live.model !== model || live.width !== vectors.width)
      throw new RangeError(`table ${table} is of ${live.model}, ${live.width} numbers; these vectors are of ${model}, ${vectors.width} numbers: encode with that model, or take another table`);
    const known = Object.fromEntries(cells.map((cell) => [cell, 'from memory']));
    return { facts: { ...live, change: `${rows.length} rows from memory added`, cells: { ...live.cells, ...known } }, remove: cells, batches };
  }, options);
  return { path, rows: changed!.facts.rows };
} // prettier-ignore

/** Rows of the store, some ten thousand at once. @throws {RangeError} when there is no chip, or not one vector for each */
function batchesOf(who: string, table: string, rows: readonly DatasetRow[], { values, width }: Vectors, model: string): StoreBatch[] {
  if (rows.length === 0) throw new RangeError(`${who} requires at least one chip for ${table}, got none`);
  if (values.length !== rows.length * width) throw new RangeError(`${who} got ${rows.length} rows and ${values.length / width} vectors: one each`);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new RangeError(`${who}: the vector of ${rows[Math.floor(bad / width)].id} holds ${values[bad]}: encode that chip again`);
  return Array.from({ length: Math.ceil(rows.length / BATCH) }, (_, at) => ({
    rows: rows.slice(at * BATCH, (at + 1) * BATCH).map((row) => storeRow({ ...factsOf(row), tags: labelsOfRow(row), model })),
    values: values.slice(at * BATCH * width, (at + 1) * BATCH * width),
  }));
} // prettier-ignore

function factsOf({ id, catid, date, cloudPercent, offNadir, gsd }: DatasetRow): Omit<RowFacts, 'tags' | 'model'> {
  return { id, catid, date, cloudPercent: cloudPercent ?? null, offNadir: offNadir ?? null, gsd: gsd ?? null };
}

/** Options of {@link searchStore}. */
export interface StoreOptions {
  /** Answers wanted. Default 12. */
  k?: number;
  /** Chip whose own ground is no answer. Default: none. */
  notAt?: string;
  /** Only this date. Default: any. */
  date?: string;
  /** Only chips that have this label. Default: any. */
  label?: string;
}

/**
 * The acquisitions most like a vector, each date of a square by itself, by exact search. {@link search} does more.
 *
 * @throws {Error} when there is no such table, or the filter leaves nothing
 */
export async function searchStore(
  dataPath: string,
  table: string,
  vector: Float32Array,
  { k = 12, notAt, date, label }: StoreOptions = {},
): Promise<Hit[]> {
  const store = await openStore(dataPath, table);
  try {
    const { columns } = await store.load();
    const admitted = notAt === undefined ? k : k + columns.ids.filter((id) => id === notAt).length;
    const filter = { ...(date !== undefined && { since: date, until: date }), ...(label !== undefined && { tags: [label] }) };
    const { hits } = await search(store, { vector }, { k: admitted, allDates: true, exact: true, ...filter });
    return hits.filter(({ id }) => id !== notAt).slice(0, k);
  } finally {
    store.close();
  }
} // prettier-ignore

/** An answer beside the chip that it was asked for. */
export interface Answer {
  row: DatasetRow;
  /** Cosine, −1 to 1. */
  similarity: number;
  /** How far the map agrees, 0–1, as {@link labelAgreement}. */
  agreement: number;
}

/**
 * Asks the store with one of the chips in it; its own ground is no answer.
 *
 * @param rows the chips in the store, in the order of `vectors`
 * @param index the chip to ask with
 * @throws {Error} when the store holds a chip that is not among `rows`: it was made of others
 */
export async function askStore(
  dataPath: string,
  table: string,
  rows: readonly DatasetRow[],
  vectors: Vectors,
  index: number,
  options: Omit<StoreOptions, 'notAt'> = {},
): Promise<Answer[]> {
  const asked = rows[index];
  const hits = await searchStore(dataPath, table, vectorAt(vectors, index), { ...options, notAt: asked.id });
  const byChip = new Map(rows.map((row) => [`${row.id} ${row.catid}`, row]));
  return hits.map(({ id, catid, similarity }) => {
    const row = byChip.get(`${id} ${catid}`);
    if (!row)
      throw new Error(
        `table ${table} holds ${id} of ${catid}, which is not among the chips asked with: deploy it again`,
      );
    return { row, similarity, agreement: labelAgreement(asked, row) };
  });
}
