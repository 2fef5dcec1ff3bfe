import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { z } from 'zod';
import { dataRoot, readJson, writeWhole } from '../ard/index.ts';
import type { LabelSchema } from '../statistics/index.ts';
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
}

/** Terms that some of the data came under, and with it whatever is made of them. */
export interface Licence {
  /** What it covers: `imagery 1040010076B31B00`, `labels`. */
  source: string;
  /** Its name: `CC BY-NC 4.0`, `ODbL 1.0`. */
  licence: string;
  /** What must be said wherever the data are shown; empty where nothing is asked. */
  attribution: string;
}

/** What a version is made of, and what it may be used for. */
export interface DatasetManifest {
  format: 1;
  name: string;
  /** First twelve digits of the SHA-256 of chips.parquet and of this manifest's own facts. */
  version: string;
  zone: number;
  labels: string[];
  schema: LabelSchema;
  /** How it was split: block zoom, buffer rings, shares, seed. */
  split: Record<string, number | string>;
  /** Rows by split. */
  counts: Record<Split, number>;
  /** Licence and attribution of imagery and labels, carried on into models. */
  licences: Licence[];
  sha256: string;
}

/** A dataset version on disk or just made. */
export interface DatasetVersion {
  manifest: DatasetManifest;
  rows: DatasetRow[];
  /** `datasets/<name>/<version>`. */
  folder: string;
}

const COLUMN = 'label:';
const manifestSchema: z.ZodType<DatasetManifest> = z.looseObject({
  format: z.literal(1),
  name: z.string(),
  version: z.string().regex(/^[0-9a-f]{12}$/),
  zone: z.number().int(),
  labels: z.array(z.string()).min(1),
  schema: z.custom<LabelSchema>((value) => typeof value === 'object' && value !== null && 'labels' in value),
  split: z.record(z.string(), z.union([z.number(), z.string()])),
  counts: z.object({ train: z.number(), validation: z.number(), test: z.number(), buffer: z.number() }),
  licences: z.array(z.object({ source: z.string(), licence: z.string(), attribution: z.string() })),
  sha256: z.string(),
});

/**
 * Writes a dataset version: chips.parquet, then manifest.json, then the name of the newest version.
 *
 * The version is the content's own hash: the same rows, schema and split give the same version, on any machine, on any day.
 *
 * @param facts all of the manifest that does not follow from the rows
 */
export async function writeDataset(
  dataPath: string,
  facts: Pick<DatasetManifest, 'name' | 'zone' | 'schema' | 'split' | 'licences'>,
  rows: readonly DatasetRow[],
): Promise<DatasetVersion> {
  if (rows.length === 0)
    throw new RangeError(`writeDataset requires at least one row for ${facts.name}, got none: chip the zone first`);
  const sorted = rows.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const parquet = Buffer.from(writeParquet(sorted, facts.schema));
  const sha256 = createHash('sha256').update(parquet).digest('hex');
  const version = createHash('sha256')
    .update(JSON.stringify({ ...facts, sha256 }))
    .digest('hex')
    .slice(0, 12);
  const labels = facts.schema.labels.map(({ label }) => label);
  const manifest: DatasetManifest = { format: 1, ...facts, version, labels, counts: countSplits(sorted), sha256 };
  const folder = join(dataRoot(dataPath), 'datasets', facts.name, version);
  await writeWhole(join(folder, 'chips.parquet'), parquet);
  await writeWhole(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await writeWhole(join(folder, '..', 'latest'), `${version}\n`);
  return { manifest, rows: sorted, folder };
}

/**
 * Reads a dataset version and checks that its rows are those that were written.
 *
 * @param version default: the newest
 * @throws {Error} naming the file that is missing, damaged or changed
 */
export async function readDataset(dataPath: string, name: string, version?: string): Promise<DatasetVersion> {
  const home = join(dataRoot(dataPath), 'datasets', name);
  if (!existsSync(home))
    throw new Error(`no dataset ${name} in ${dataRoot(dataPath)}/datasets: run notebook 05-datasets`);
  const wanted = version ?? (await readFile(join(home, 'latest'), 'utf8')).trim();
  const folder = join(home, wanted);
  const path = join(folder, 'manifest.json');
  const { success, data: manifest, error } = manifestSchema.safeParse(await readJson(path));
  if (!success) throw new Error(`${path} is damaged at ${error.issues[0].path.join('.')}: write the dataset again`);
  const file = join(folder, 'chips.parquet');
  const found = createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
  if (found !== manifest.sha256)
    throw new Error(`${file} is not the file that was written (SHA-256 ${found}): write the dataset again`);
  return { manifest, rows: await readRows(file, manifest.labels), folder };
}

/** How often a label is present on each side of a split, and how often it is not known where it would be learnt from. */
export interface LabelCount {
  label: string;
  train: number;
  validation: number;
  test: number;
  unknownInTrain: number;
}

/** Counts every label of a dataset version, in the order of its manifest. */
export function countLabels({ manifest, rows }: DatasetVersion): LabelCount[] {
  const count = (label: string, split: Split, value: LabelValue): number =>
    rows.filter((row) => row.split === split && row.labels[label] === value).length;
  return manifest.labels.map((label) => ({
    label,
    train: count(label, 'train', 1),
    validation: count(label, 'validation', 1),
    test: count(label, 'test', 1),
    unknownInTrain: count(label, 'train', null),
  }));
}

function keyOf({ id, catid }: DatasetRow): string {
  return `${id}_${catid}`;
}

function countSplits(rows: readonly DatasetRow[]): Record<Split, number> {
  const counts: Record<Split, number> = { train: 0, validation: 0, test: 0, buffer: 0 };
  for (const { split } of rows) counts[split]++;
  return counts;
}

function writeParquet(rows: readonly DatasetRow[], { labels }: LabelSchema): ArrayBuffer {
  return parquetWriteBuffer({
    columnData: [
      { name: 'id', data: rows.map(({ id }) => id), type: 'STRING' },
      { name: 'catid', data: rows.map(({ catid }) => catid), type: 'STRING' },
      { name: 'date', data: rows.map(({ date }) => date), type: 'STRING' },
      { name: 'split', data: rows.map(({ split }) => split), type: 'STRING' },
      { name: 'weight', data: rows.map(({ weight }) => weight), type: 'DOUBLE' },
      ...labels.map(({ label }) => ({
        name: COLUMN + label,
        data: rows.map((row) => row.labels[label] ?? null),
        type: 'INT32' as const,
        nullable: true,
      })),
    ],
  });
}

async function readRows(file: string, labels: readonly string[]): Promise<DatasetRow[]> {
  const records = await parquetReadObjects({ file: await asyncBufferFromFile(file) });
  return records.map((record) => ({
    id: record['id'],
    catid: record['catid'],
    date: record['date'],
    split: record['split'],
    weight: record['weight'],
    labels: Object.fromEntries(labels.map((label) => [label, record[COLUMN + label] ?? null])),
  }));
}
