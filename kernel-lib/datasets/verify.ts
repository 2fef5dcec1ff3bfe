import { basename, dirname, join } from 'node:path';
import { type StepOptions, dataRoot, paddedZone } from '../ard/index.ts';
import { hashChips } from './hash.ts';
import { type DatasetManifest, readManifest, versionId } from './manifest.ts';
import { findVersion } from './name.ts';
import { type DatasetRow, keyOf } from './row.ts';
import { hashRows, tableOf } from './table.ts';
import { type DatasetVersion, countSplits, readRows } from './version.ts';

/** How a version stands on disk. */
export interface VersionVerdict {
  name: string;
  version: string;
  /** Chips that it has; 0 where its own files cannot be read. */
  chips: number;
  /** What is wrong with its own files, a line each. */
  faults: string[];
  /** Chips that are not there, and chips that are another file now: `Z33-…_<acquisition> of <day>`. */
  missing: string[];
  changed: string[];
}

/** Options of {@link verifyDataset}. */
export interface VerifyOptions extends Pick<StepOptions, 'signal' | 'onProgress'> {
  /** Believe a chip whose size and time of writing are those at which it was read before. Default: read every chip. */
  quick?: boolean | undefined;
  /** Where the chips lie. Default: `chips/<zone>` in the data folder. */
  chipDir?: string | undefined;
}

/**
 * Compares a version with itself and with the chips: that the manifest says what was written and its id follows from it, that
 * chips.parquet is the file that was written, and that every chip has the bytes that it had.
 *
 * @param version its id or a beginning of it. Default: the newest
 * @throws {Error} when there is no such version
 */
export async function verifyDataset(
  dataPath: string,
  name: string,
  version?: string,
  { quick = false, chipDir, ...steps }: VerifyOptions = {},
): Promise<VersionVerdict> {
  const folder = await findVersion(dataPath, name, version);
  const verdict: VersionVerdict = { name, version: folder.slice(-12), chips: 0, faults: [], missing: [], changed: [] };
  try {
    const manifest = await readManifest(folder);
    const rows = await readRows(folder, manifest);
    verdict.faults.push(...faultsOf(folder, manifest, rows));
    const dir = chipDir ?? chipFolder(dataPath, manifest);
    return { ...verdict, chips: rows.length, ...(await compareChips(dir, rows, { again: !quick, ...steps })) };
  } catch (error) {
    steps.signal?.throwIfAborted();
    return { ...verdict, faults: [...verdict.faults, (error as Error).message] };
  }
}

/** Where the chips of a version lie when no other folder is named. */
export function chipFolder(dataPath: string, { zone }: Pick<DatasetManifest, 'zone'>): string {
  return join(dataRoot(dataPath), 'chips', paddedZone(zone));
}

function faultsOf(folder: string, manifest: DatasetManifest, rows: readonly DatasetRow[]): string[] {
  const path = join(folder, 'manifest.json');
  const remedy = 'it was changed after it was written; move the folder away, and make the dataset again';
  const counts = countSplits(rows);
  const checks: [string, boolean][] = [
    ['labels', manifest.labels.join('\n') === manifest.schema.labels.map(({ label }) => label).join('\n')],
    ['rows', manifest.rows === hashRows(tableOf(rows, manifest.labels), manifest.labels)()],
    ['counts', Object.entries(counts).every(([split, count]) => manifest.counts[split as keyof typeof counts] === count)],
    ['version', manifest.version === versionId(manifest) && folder.endsWith(manifest.version)],
    ['name', basename(dirname(folder)) === manifest.name],
  ]; // prettier-ignore
  return checks.filter(([, holds]) => !holds).map(([entry]) => `${path} does not agree with itself at ${entry}: ${remedy}`); // prettier-ignore
}

/** Chips that are not there, and chips that are not as a version has them. */
export async function compareChips(
  chipDir: string,
  rows: readonly DatasetRow[],
  options: { again?: boolean } & StepOptions = {},
): Promise<Pick<VersionVerdict, 'missing' | 'changed'>> {
  const { sha256 } = await hashChips(chipDir, rows, options);
  const differing = rows.filter((row, index) => sha256[index] !== undefined && sha256[index] !== row.sha256);
  return { missing: rows.filter((_, index) => sha256[index] === undefined).map(keyOf), changed: differing.map(keyOf) };
}

/** @throws {Error} naming the first chip that is missing or changed, and how many are */
export async function requireChips(chipDir: string, { manifest, rows }: DatasetVersion, steps: StepOptions = {}): Promise<void> {
  const { missing, changed } = await compareChips(chipDir, rows, steps);
  const tell = (what: string, [first, ...more]: string[]): string =>
    `the chip ${first} of ${manifest.name}@${manifest.version} is ${what} in ${chipDir}${more.length > 0 ? `, and ${more.length} more are` : ''}: imagesim dataset verify lists them; cut them again, or make a new version`;
  if (missing.length > 0) throw new Error(tell('missing', missing));
  if (changed.length > 0) throw new Error(tell('another file now', changed));
} // prettier-ignore
