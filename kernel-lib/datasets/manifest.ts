import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson } from '../ard/index.ts';
import type { LabelSchema } from '../statistics/index.ts';
import type { Split } from './splits.ts';

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
  format: 3;
  name: string;
  /** The version's id: twelve digits, as {@link versionId} says. */
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
  /** The day that each cell's map is of, ISO 8601, by cell id. */
  osmDates: Record<string, string>;
  /** SHA-256 of nodata-index.json as it was; `null` where there was none. It is of all zones, so it does not make the id. */
  nodataIndex: string | null;
  /** SHA-256 of what the rows say, the chips' own hashes among it; whatever wrote the Parquet file. */
  rows: string;
  /** SHA-256 of chips.parquet. */
  sha256: string;
  /** Version of this library that wrote it first. Does not make the id. */
  codeVersion: string;
  /** Id of the version that it was made from; `null` for the first. Does not make the id. */
  parent: string | null;
  /** SHA-256 of all the above, as {@link checksumOf} says: also of what does not make the id. */
  checksum: string;
}

/** What a version's id follows from. */
export type DatasetInputs = Pick<DatasetManifest, 'zone' | 'schema' | 'split' | 'licences' | 'osmDates' | 'rows'>;

/**
 * The id of a version: the first twelve hexadecimal digits of the SHA-256 of its inputs.
 *
 * Chips by hash, labels, sides, schema, options of the split, dates of the map and licences make it: the same of these give
 * the same id on any machine, on any day, under any name, in whatever order rows come. Parent and code version are written
 * down but do not make it: another history, or a release that changes nothing, leads to the same data. Nor does the form of
 * the Parquet file, which is the writing program's own.
 */
export function versionId({ zone, schema, split, licences, osmDates, rows }: DatasetInputs): string {
  const inputs = inOrder({ zone, schema, split, licences, osmDates, rows });
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 12);
}

/** SHA-256 of what a manifest says beside its checksum: of its JSON without spaces, the keys of all objects in order. */
export function checksumOf(manifest: object): string {
  const others = inOrder({ ...manifest, checksum: undefined });
  return createHash('sha256').update(JSON.stringify(others)).digest('hex');
}

/** A value with the keys of its objects in order, all the way down. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, part]) => [key, inOrder(part)]));
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const id = z.string().regex(/^[0-9a-f]{12}$/);
const manifestSchema: z.ZodType<DatasetManifest> = z.looseObject({
  format: z.literal(3),
  name: z.string(),
  version: id,
  zone: z.number().int(),
  labels: z.array(z.string()).min(1),
  schema: z.custom<LabelSchema>((value) => typeof value === 'object' && value !== null && 'labels' in value),
  split: z.record(z.string(), z.union([z.number(), z.string()])),
  counts: z.object({ train: z.number(), validation: z.number(), test: z.number(), buffer: z.number() }),
  licences: z.array(z.object({ source: z.string(), licence: z.string(), attribution: z.string() })),
  osmDates: z.record(z.string(), z.string()),
  nodataIndex: sha256.nullable(),
  rows: sha256,
  sha256,
  codeVersion: z.string(),
  parent: id.nullable(),
  checksum: sha256,
});

/** What older formats know no hash of. */
const LACKS = new Map<unknown, string>([[1, 'a chip'], [2, 'the manifest']]); // prettier-ignore

/**
 * Reads the manifest of a version.
 *
 * Older formats are refused: 1 knows no hash of a chip, 2 none of the manifest, so not all that a version promises can be
 * held of them.
 *
 * @param folder `datasets/<name>/<version>`
 * @throws {Error} naming the file that is missing, damaged, changed since it was written, or of another format
 */
export async function readManifest(folder: string): Promise<DatasetManifest> {
  const path = join(folder, 'manifest.json');
  const remedy = 'move the folder away, and make the dataset again with imagesim dataset create';
  const json = await readJson(path).catch((cause: unknown) => {
    throw new Error(`${(cause as Error).message.replace(/: fetch it again$/, '')}: ${remedy}`, { cause });
  });
  const format = (json as { format?: unknown } | null)?.format;
  const lack = LACKS.get(format);
  if (lack) throw new Error(`${path} is of format ${format as number}, which knows no hash of ${lack}: ${remedy}`);
  const { success, data, error } = manifestSchema.safeParse(json);
  if (!success) {
    const [issue] = error.issues;
    throw new Error(`${path} is damaged at ${issue.path.join('.') || 'the top'}: ${issue.message}; ${remedy}`);
  }
  const found = checksumOf(json as object); // of all that it says, known here or not
  if (found !== data.checksum)
    throw new Error(`${path} was changed after it was written (its checksum is ${found}, not ${data.checksum}): ${remedy}`); // prettier-ignore
  return data;
}
