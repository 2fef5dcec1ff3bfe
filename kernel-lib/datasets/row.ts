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
export const FACTS = { gap_days: 'gapDays', cloud_percent: 'cloudPercent', off_nadir: 'offNadir', gsd: 'gsd' } as const;
/** What comes before a label in its column's name. */
export const LABEL = 'label:';

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

/** Order of texts, by their UTF-16 units; less than 0 where `a` comes first. */
export function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
