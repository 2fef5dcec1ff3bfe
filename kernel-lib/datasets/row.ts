import { createHash } from 'node:crypto';
import { parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { LabelValue } from './labels.ts';
import type { Split } from './splits.ts';

/** One chip of a dataset: a square of ground in one acquisition. */
export interface DatasetRow {
  /** `Z33-<18 digits>`. */
  id: string;
  catid: string;
  date: string;
  split: Split;
  weight: number;
  labels: Record<string, LabelValue>;
  /** SHA-256 of the chip's file, 64 hexadecimal digits. A version that is written or read has it in every row. */
  sha256?: string | undefined;
  /** Days from the acquisition to the map: above 0 the map is newer than the picture. Not there: the map's date is unknown. */
  gapDays?: number | undefined;
  /** Cloud of the acquisition over the tile, percent. Not there, like the two below: not known. */
  cloudPercent?: number | undefined;
  /** Degrees off the vertical. */
  offNadir?: number | undefined;
  /** Ground sample distance in metres. */
  gsd?: number | undefined;
}

/** Columns of numbers that may be unknown, by their name in Parquet. */
const FACTS = { gap_days: 'gapDays', cloud_percent: 'cloudPercent', off_nadir: 'offNadir', gsd: 'gsd' } as const;
const TEXTS = ['id', 'catid', 'date', 'split', 'sha256'] as const;
const LABEL = 'label:';

/** What a column of chips.parquet holds. */
export interface Column {
  name: string;
  type: 'text' | 'number' | 'label';
  about: string;
}

/** The columns of chips.parquet, in order. @param labels as the manifest lists them */
export function columnsOf(labels: readonly string[]): Column[] {
  return [
    { name: 'id', type: 'text', about: 'Square of ground: UTM zone and quadkey of level 18' },
    { name: 'catid', type: 'text', about: 'Catalogue id of the acquisition' },
    { name: 'date', type: 'text', about: 'Day of the acquisition' },
    {
      name: 'split',
      type: 'text',
      about: 'What the chip is for: train, validation, test, or buffer, which is left out',
    },
    { name: 'weight', type: 'number', about: 'How far an absent label is to be believed, 0 to 1' },
    { name: 'sha256', type: 'text', about: 'SHA-256 of the chip’s file' },
    { name: 'gap_days', type: 'number', about: 'Days from the acquisition to the map; above 0 the map is newer' },
    { name: 'cloud_percent', type: 'number', about: 'Cloud over the tile, percent' },
    { name: 'off_nadir', type: 'number', about: 'Degrees off the vertical' },
    { name: 'gsd', type: 'number', about: 'Ground sample distance, metres' },
    ...labels.map((label): Column => ({ name: LABEL + label, type: 'label', about: `${label}: 1 present, 0 absent, empty unknown` })), // prettier-ignore
  ];
}

/** A row's value in each column, in the order of {@link columnsOf}; `null` where it is unknown. */
export function valuesOf(row: DatasetRow, labels: readonly string[]): (string | number | null)[] {
  const { id, catid, date, split, weight, sha256 = null } = row;
  const facts = Object.values(FACTS).map((fact) => row[fact] ?? null);
  return [id, catid, date, split, weight, sha256, ...facts, ...labels.map((label) => row.labels[label] ?? null)];
}

/** What tells one row of a version from the others. */
export function keyOf({ id, catid, date }: Pick<DatasetRow, 'id' | 'catid' | 'date'>): string {
  return `${id}_${catid} of ${date}`;
}

/** Order of rows in a version: by square, acquisition, day; less than 0 where `a` comes first. */
export function compareRows(a: DatasetRow, b: DatasetRow): number {
  return compare(a.id, b.id) || compare(a.catid, b.catid) || compare(a.date, b.date);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Rows by column: taken apart once, for their hash and for their file. */
export interface Table {
  length: number;
  texts: Record<(typeof TEXTS)[number], string[]>;
  /** Weight, facts and labels by their name in Parquet, in order; `null` where a value is unknown. */
  numbers: Map<string, (number | null)[]>;
}

/** Rows by column. @param rows in order, each with its chip's hash */
export function tableOf(rows: readonly DatasetRow[], labels: readonly string[]): Table {
  const text = (name: (typeof TEXTS)[number]): string[] => rows.map((row) => row[name]!);
  const texts = Object.fromEntries(TEXTS.map((name) => [name, text(name)])) as Table['texts'];
  const numbers = new Map<string, (number | null)[]>([['weight', rows.map(({ weight }) => weight)]]);
  for (const [name, fact] of Object.entries(FACTS)) numbers.set(name, rows.map((row) => row[fact] ?? null)); // prettier-ignore
  for (const label of labels) numbers.set(LABEL + label, rows.map((row) => row.labels[label] ?? null)); // prettier-ignore
  return { length: rows.length, texts, numbers };
}

/**
 * SHA-256 of what rows say: column after column, whatever program writes them into whichever file.
 *
 * Of a column of text the lines, of numbers and labels the 64-bit floats, little-endian, NaN where a value is unknown.
 */
export function hashRows({ length, texts, numbers }: Table, labels: readonly string[]): string {
  const hash = createHash('sha256').update(`${length} ${JSON.stringify(labels)}`);
  for (const name of TEXTS) hash.update(`${texts[name].join('\n')}\n`);
  const floats = new Float64Array(length);
  for (const values of numbers.values()) {
    for (let index = 0; index < length; index++) floats[index] = values[index] ?? Number.NaN;
    hash.update(floats);
  }
  return hash.digest('hex');
}

/** Rows as the bytes of a Parquet file. */
export function parquetOf({ texts, numbers }: Table): Buffer {
  const text = (name: 'catid' | 'date' | 'split'): object => ({ name, data: texts[name], type: 'STRING' });
  const plain = { type: 'STRING', encoding: 'PLAIN', codec: 'UNCOMPRESSED', statistics: false };
  const number = (name: string): object => ({ name, data: numbers.get(name), type: name.startsWith(LABEL) ? 'INT32' : 'DOUBLE', nullable: name !== 'weight', statistics: false }); // prettier-ignore
  const [weight, ...others] = [...numbers.keys()].map(number);
  const columnData = [
    { name: 'id', data: encoded(texts.id), ...plain, codec: 'SNAPPY' },
    text('catid'),
    text('date'),
    text('split'),
    weight,
    { name: 'sha256', data: encoded(texts.sha256), ...plain }, // digits of a hash neither repeat nor shrink
    ...others,
  ];
  return Buffer.from(parquetWriteBuffer({ columnData: columnData as Parameters<typeof parquetWriteBuffer>[0]['columnData'] })); // prettier-ignore
}

/** Words of one length in ASCII, as bytes: the writer encodes strings one by one, a second for half a million. */
function encoded(words: readonly string[]): Uint8Array[] {
  const bytes = Buffer.from(words.join(''), 'latin1');
  let end = 0;
  return words.map(({ length }) => new Uint8Array(bytes.buffer, bytes.byteOffset + end, ((end += length), length)));
}

/** The rows in the bytes of a Parquet file. */
export async function rowsOfParquet(bytes: Buffer, labels: readonly string[]): Promise<DatasetRow[]> {
  const { buffer, byteOffset, byteLength } = bytes;
  const file = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  const records = await parquetReadObjects({ file });
  return records.map((record) => {
    const row: DatasetRow = {
      id: record['id'],
      catid: record['catid'],
      date: record['date'],
      split: record['split'],
      weight: record['weight'],
      labels: Object.fromEntries(labels.map((label) => [label, record[LABEL + label] ?? null])),
      sha256: record['sha256'],
    };
    for (const [name, fact] of Object.entries(FACTS)) if (typeof record[name] === 'number') row[fact] = record[name];
    return row;
  });
}
