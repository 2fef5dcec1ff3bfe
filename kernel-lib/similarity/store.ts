import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type Table } from '@lancedb/lancedb';
import { chipBounds, dataRoot, makeFolder, parseChip, toLonLat } from '../ard/index.ts';
import type { DatasetRow } from '../datasets/index.ts';
import { labelAgreement, labelsOfRow } from './report.ts';
import type { Vectors } from './nearest.ts';
import { vectorAt } from './nearest.ts';

/** LanceDB's own name for the distance of an answer. */
const DISTANCE = '_distance';

/** One chip of the store, and an answer of a search. */
export interface Embedding {
  id: string;
  catid: string;
  date: string;
  cell: string;
  /** Centre of the chip, degrees. */
  lon: number;
  lat: number;
  /** Labels it has, with commas around each: `,building=house,`; so that a filter finds one whole. */
  labels: string;
  /** Model that made the vector: `name/version`. */
  model: string;
}

/** An answer of {@link searchStore}. */
export interface SearchHit extends Embedding {
  /** Cosine, −1 to 1. */
  similarity: number;
}

/**
 * Puts chips and their vectors into the similarity store, replacing what was there under this name.
 *
 * @param table name of the table, such as `zone33`
 * @param rows the chips, in the order of `vectors`
 * @returns where the store lies and how many rows it holds
 */
export async function deployStore(
  dataPath: string,
  table: string,
  rows: readonly DatasetRow[],
  vectors: Vectors,
  model: string,
): Promise<{ path: string; rows: number }> {
  if (rows.length === 0) throw new RangeError(`deployStore requires at least one chip for ${table}, got none`);
  if (vectors.values.length !== rows.length * vectors.width) {
    throw new RangeError(
      `deployStore got ${rows.length} rows and ${vectors.values.length / vectors.width} vectors: one each`,
    );
  }
  const path = join(dataRoot(dataPath), 'embeddings');
  await makeFolder(path);
  const store = await connect(path);
  const records = rows.map((row, index) => ({ ...embeddingOf(row, model), vector: [...vectorAt(vectors, index)] }));
  const mode = (await store.tableNames()).includes(table) ? 'overwrite' : 'create'; // to overwrite nothing makes LanceDB warn
  const made = await store.createTable(table, records, { mode });
  return { path, rows: await made.countRows() };
}

function embeddingOf({ id, catid, date, labels }: DatasetRow, model: string): Embedding {
  const { cell } = parseChip(id);
  const [west, south, east, north] = chipBounds(id);
  const [lon, lat] = toLonLat(cell.epsg, [(west + east) / 2, (south + north) / 2]);
  return { id, catid, date, cell: cell.id, lon, lat, labels: `,${labelsOfRow({ labels }).join(',')},`, model };
}

/** Options of {@link searchStore}. */
export interface SearchOptions {
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
 * The chips most like a vector, by exact search over the whole table.
 *
 * Filters hold before the search, so that none of the k answers is lost to them.
 *
 * @throws {Error} when there is no such table
 */
export async function searchStore(
  dataPath: string,
  table: string,
  vector: Float32Array,
  { k = 12, notAt, date, label }: SearchOptions = {},
): Promise<SearchHit[]> {
  const store = await openTable(dataPath, table);
  let query = store.query().nearestTo(vector).distanceType('cosine').limit(k);
  const filters = [
    notAt ? `id <> ${quoted(notAt)}` : '',
    date ? `date = ${quoted(date)}` : '',
    label ? `labels LIKE ${quoted(`%,${label.replace(/[\\%_]/g, (mark) => `\\${mark}`)},%`)}` : '',
  ].filter(Boolean);
  if (filters.length > 0) query = query.where(filters.join(' AND '));
  const columns: (keyof Embedding)[] = ['id', 'catid', 'date', 'cell', 'lon', 'lat', 'labels', 'model'];
  const found = (await query.select([...columns, DISTANCE]).toArray()) as (Embedding & { [DISTANCE]: number })[];
  return found.map(({ [DISTANCE]: distance, ...hit }) => ({ ...hit, similarity: 1 - distance }));
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

async function openTable(dataPath: string, table: string): Promise<Table> {
  const path = join(dataRoot(dataPath), 'embeddings');
  const store = existsSync(path) ? await connect(path) : undefined; // connect would make the folder
  const names = (await store?.tableNames()) ?? [];
  if (!store || !names.includes(table)) {
    throw new Error(
      `no table ${table} in ${path} (it holds ${names.join(', ') || 'none'}): run notebook 07-similarity`,
    );
  }
  return store.openTable(table);
}

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
  options: Omit<SearchOptions, 'notAt'> = {},
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
