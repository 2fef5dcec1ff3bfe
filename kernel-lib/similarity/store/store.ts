/** A store of rows and vectors that are in memory, as a notebook has them. */
import type { DatasetRow, Licence } from '../../datasets/index.ts';
import { type ChangeOptions, type StoreBatch, changeTable } from './commit.ts';
import type { Vectors } from '../nearest.ts';
import { storePlace } from './place.ts';
import { labelsOfRow } from '../report.ts';
import { type RowFacts, storeRow } from './row.ts';

/** Rows written at once. */
const BATCH = 65_536;

/** Options of {@link deployStore}. */
export interface DeployStoreOptions extends ChangeOptions {
  /** Whose data the rows are made of: goes with every answer. Default: none is known. */
  licences?: readonly Licence[] | undefined;
}

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
  { licences = [], ...options }: DeployStoreOptions = {},
): Promise<{ path: string; rows: number }> {
  const batches = batchesOf('deployStore', table, rows, vectors, model);
  const path = storePlace(dataPath);
  const facts = {
    model,
    width: vectors.width,
    change: `${rows.length} rows from memory`,
    cells: cellsOf(batches),
    licences,
  };
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
  const known = cellsOf(batches);
  const changed = await changeTable(path, table, async (live) => {
    if (!live) throw new Error(`no table ${table} in ${path} to extend: make it with deployStore, or imagesim similarity deploy`);
    if (live.model !== model || live.width !== vectors.width)
      throw new RangeError(`table ${table} is of ${live.model}, ${live.width} numbers; these vectors are of ${model}, ${vectors.width} numbers: encode with that model, or take another table`);
    return { facts: { ...live, change: `${rows.length} rows from memory added`, cells: { ...live.cells, ...known } }, remove: Object.keys(known), batches };
  }, options);
  return { path, rows: changed!.facts.rows };
} // prettier-ignore

/** The cells of some rows, as the facts of a table name them. */
function cellsOf(batches: readonly StoreBatch[]): Record<string, string> {
  return Object.fromEntries(batches.flatMap(({ rows }) => rows.map(({ cell }) => [cell, 'from memory'])));
}

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
