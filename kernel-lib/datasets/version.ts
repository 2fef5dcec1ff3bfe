import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cannotWrite, makeFolder, partName, staleParts, withLock, writeWhole } from '../ard/index.ts';
import type { LabelValue } from './labels.ts';
import type { HashedChips } from './hash.ts';
import { type DatasetManifest, checksumOf, readManifest, versionId } from './manifest.ts';
import { checkName, datasetHome, findVersion, latestOf } from './name.ts';
import { encodeParquet, rowsOfParquet } from './parquet.ts';
import { type DatasetRow, compareRows, keyOf } from './row.ts';
import type { Split } from './splits.ts';
import { hashRows, tableOf } from './table.ts';

/** A dataset version on disk or just made. */
export interface DatasetVersion {
  manifest: DatasetManifest;
  rows: DatasetRow[];
  /** `datasets/<name>/<version>`. */
  folder: string;
}

/** All of a manifest that does not follow from the rows. */
export type DatasetFacts = Pick<DatasetManifest, 'name' | 'zone' | 'schema' | 'split' | 'licences'> &
  Partial<Pick<DatasetManifest, 'osmDates' | 'nodataIndex'>> & {
    /** Version that this one is made from. Default: the newest of that name. */
    parent?: string | null | undefined;
  };

const { version: codeVersion } = createRequire(import.meta.url)('imagesim/package.json') as { version: string };

/**
 * Writes a dataset version: a folder of chips.parquet and manifest.json, then its id as the newest.
 *
 * The version is the content's own hash, as {@link versionId} says. One that is there is never written again: it only
 * becomes the newest. The folder gets its name when it is whole, and writers of one dataset take turns at that.
 *
 * @param rows in any order, each with its chip's SHA-256, as `hashChips` finds it
 * @param hashing finds the SHA-256 of each row's chip, in the rows' order, and is waited for as late as can be; it is put into the
 *   rows. Default: they have it
 * @returns what lies on disk, its rows by square, acquisition and day
 * @throws {RangeError} when there is no row, one twice, or one without a hash; or when the name cannot be a folder's
 */
export async function writeDataset(
  dataPath: string,
  { osmDates = {}, nodataIndex = null, parent, ...facts }: DatasetFacts,
  rows: readonly DatasetRow[],
  hashing?: Promise<HashedChips>,
): Promise<DatasetVersion> {
  hashing?.catch(() => undefined); // told where it is waited for
  checkName(facts.name);
  const sorted = sortedRows(facts.name, rows);
  const labels = facts.schema.labels.map(({ label }) => label);
  const table = tableOf(sorted, labels);
  const [endHash, writeParquet] = [hashRows(table, labels), encodeParquet(table, labels)];
  putHashes(rows, (await hashing)?.sha256);
  const inputs = { ...facts, osmDates, rows: endHash() };
  const version = versionId(inputs);
  const home = datasetHome(dataPath, facts.name);
  const folder = join(home, version);
  const part = partName(folder);
  try {
    if (!existsSync(folder)) {
      await sweepFolders(home);
      await makeFolder(part);
      const sha256 = writeTable(join(part, 'chips.parquet'), writeParquet);
      const manifest = { ...inputs, format: 3, version, labels, counts: countSplits(sorted), nodataIndex, sha256, codeVersion } as const; // prettier-ignore
      await publish(folder, part, (newest) => ({ ...manifest, parent: parent === undefined ? newest : parent }));
    } else {
      await requireTable(folder);
      await publish(folder, part);
    }
  } catch (error) {
    throw cannotWrite(folder, part, error);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
  return { manifest: await readManifest(folder), rows: sorted, folder };
}

/** @returns SHA-256 of the file */
function writeTable(path: string, writeParquet: ReturnType<typeof encodeParquet>): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'w');
  try {
    writeParquet((piece) => {
      hash.update(piece);
      writeFileSync(file, piece);
    });
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}

/** Gives a folder its name, unless another writer was first, and makes it the newest; one writer of a dataset at a time. */
async function publish(
  folder: string,
  part: string,
  manifestAfter?: (newest: string | null) => Omit<DatasetManifest, 'checksum'>,
): Promise<void> {
  const home = join(folder, '..');
  await withLock(join(home, 'latest'), async () => {
    if (manifestAfter && !existsSync(folder)) {
      const manifest = manifestAfter((await latestOf(home)) ?? null);
      const whole = { ...manifest, checksum: checksumOf(manifest) };
      await writeFile(join(part, 'manifest.json'), `${JSON.stringify(whole, null, 2)}\n`);
      await rename(part, folder);
    }
    const { version } = await readManifest(folder); // a damaged one does not become the newest
    await writeWhole(join(home, 'latest'), `${version}\n`);
  });
}

/** @throws {Error} when the table of a version that is there is not the one that was written */
async function requireTable(folder: string): Promise<void> {
  const file = join(folder, 'chips.parquet');
  const { sha256 } = await readManifest(folder);
  if (existsSync(file) && sha256Of(await readFile(file)) === sha256) return;
  throw new Error(
    `${file} is missing or not the file that was written: move ${folder} away, and make the dataset again`,
  );
}

/** Removes folders that writers who are no more left half-written. */
async function sweepFolders(home: string): Promise<void> {
  const stale = await staleParts(home);
  await Promise.all(stale.map(({ path }) => rm(path, { recursive: true, force: true })));
}

/** Gives each row its hash where they come apart, and checks that each has one. */
function putHashes(rows: readonly DatasetRow[], hashes: HashedChips['sha256'] | undefined): void {
  for (const [index, row] of rows.entries()) {
    if (hashes) row.sha256 = hashes[index];
    if (!isHash(row.sha256))
      throw new RangeError(`the chip ${keyOf(row)} has no SHA-256: hash the chips first, with hashChips`);
  }
}

function sortedRows(name: string, rows: readonly DatasetRow[]): DatasetRow[] {
  if (rows.length === 0)
    throw new RangeError(`writeDataset requires at least one row for ${name}, got none: chip the zone first`);
  const sorted = rows.toSorted(compareRows);
  const again = sorted.find((row, index) => index > 0 && compareRows(sorted[index - 1], row) === 0);
  if (again) throw new RangeError(`the chip ${keyOf(again)} is there twice: give each chip one row`);
  return sorted;
}

/** Whether it is 64 digits; as a regular expression, the check took longer than sorting the rows. */
function isHash(text = ''): boolean {
  let index = 0;
  for (let code = text.charCodeAt(0); (code >= 48 && code <= 57) || (code >= 97 && code <= 102); ) code = text.charCodeAt(++index); // prettier-ignore
  return index === 64 && text.length === 64;
}

/**
 * Reads a dataset version and checks that its rows are those that were written.
 *
 * @param version its id or a beginning of it that no other has. Default: the newest
 * @throws {Error} naming the file that is missing, damaged or changed; or what there is instead
 */
export async function readDataset(dataPath: string, name: string, version?: string): Promise<DatasetVersion> {
  const folder = await findVersion(dataPath, name, version);
  const manifest = await readManifest(folder);
  return { manifest, rows: await readRows(folder, manifest), folder };
}

/** The rows of a version. @throws {Error} when chips.parquet is missing or is not as it was written */
export async function readRows(folder: string, { labels, sha256 }: DatasetManifest): Promise<DatasetRow[]> {
  const file = join(folder, 'chips.parquet');
  const bytes = await readFile(file);
  const found = sha256Of(bytes);
  if (found !== sha256)
    throw new Error(
      `${file} is not the file that was written (SHA-256 ${found}): move the folder away, and make the dataset again`,
    );
  return rowsOfParquet(bytes, labels);
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Chips of one acquisition date and so many days from it to the map. */
export interface GapCount {
  date: string;
  /** Above 0 the map is newer; not there where its day is unknown. */
  gapDays: number | undefined;
  chips: number;
}

/** How many days lie between pictures and map, in order of date. */
export function countGaps(rows: readonly DatasetRow[]): GapCount[] {
  const counts = new Map<string, GapCount>();
  for (const { date, gapDays } of rows) {
    const known = counts.get(`${date} ${gapDays}`) ?? { date, gapDays, chips: 0 };
    counts.set(`${date} ${gapDays}`, { ...known, chips: known.chips + 1 });
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, count]) => count);
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

/** Rows by split. */
export function countSplits(rows: readonly DatasetRow[]): Record<Split, number> {
  const counts: Record<Split, number> = { train: 0, validation: 0, test: 0, buffer: 0 };
  for (const { split } of rows) counts[split]++;
  return counts;
}
