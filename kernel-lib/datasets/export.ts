import { constants, copyFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import {
  type StepOptions,
  cannotWrite,
  eachUnit,
  makeFolder,
  parseChip,
  partName,
  replaceWhole,
} from '../ard/index.ts';
import { chipFile, readPixels } from '../chips/index.ts';
import { croissantOf } from './croissant.ts';
import { type NpzArray, floatArray, unicodeArray, writeNpz } from './npz.ts';
import { type DatasetRow, columnsOf, valuesOf } from './row.ts';
import { chipFolder, requireChips } from './verify.ts';
import type { DatasetVersion } from './version.ts';

/** What a version is exported as. */
export type ExportFormat = 'croissant' | 'folder' | 'npz';

/** Options of {@link exportDataset}. */
export interface ExportOptions extends Pick<StepOptions, 'signal' | 'onProgress'> {
  /** Where it goes: a folder that is not there or is empty. */
  to: string;
  format: ExportFormat;
  /** Side of the images of `npz` in pixels, 1–256. Default 256, a chip as it is. */
  size?: number | undefined;
  /** Where a `croissant` is to be published. Default: none */
  url?: string | undefined;
  /** Where the chips lie. Default: `chips/<zone>` in the data folder. */
  chipDir?: string | undefined;
}

/**
 * Writes a version in a form that other programs read. The folder gets its name when all is in it.
 *
 * - `croissant`: chips.parquet and croissant.json, its description for machines, without a picture.
 * - `folder`: `<split>/<chip>.jpg` and labels.csv.
 * - `npz`: arrays `images` uint8 `[n, size, size, 3]`, `labels` float32 `[n, labels]` with NaN for unknown, `weights`, `ids`,
 *   `catids`, `dates`, `splits` and `label_names`.
 *
 * The manifest, and with it the terms of the data, comes along in each.
 *
 * @returns the files written, or the folder where they are many
 * @throws {Error} when something is in the folder; or naming a chip that is missing or changed since
 */
export async function exportDataset(dataPath: string, dataset: DatasetVersion, options: ExportOptions): Promise<string[]> {
  const { format, size = 256, signal, onProgress } = options;
  if (!(Number.isInteger(size) && size >= 1 && size <= 256)) throw new RangeError(`exportDataset requires a size of 1 to 256 pixels, got ${size}`);
  const to = resolve(options.to);
  if (existsSync(to) && (!(await stat(to)).isDirectory() || (await readdir(to)).length > 0)) throw new Error(`${to} is there and not empty: give a new folder, nothing is written over`);
  const chipDir = options.chipDir ?? chipFolder(dataPath, dataset.manifest);
  if (format !== 'croissant') await requireChips(chipDir, dataset, { signal, onProgress });
  const part = partName(to);
  try {
    await makeFolder(part);
    await writers[format](part, dataset, { ...options, size, chipDir });
    await copyFile(join(dataset.folder, 'manifest.json'), join(part, 'manifest.json'));
    await rm(to, { recursive: true, force: true });
    await rename(part, to);
  } catch (error) {
    throw cannotWrite(to, part, error);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
  return (await readdir(to)).sort().map((name) => join(to, name));
} // prettier-ignore

type Settled = ExportOptions & { size: number; chipDir: string };
type Writer = (folder: string, dataset: DatasetVersion, options: Settled) => Promise<void>;

const writers: Record<ExportFormat, Writer> = {
  croissant: async (folder, { manifest, folder: from }, { url }) => {
    const table = join(from, 'chips.parquet');
    await copyOf(table, join(folder, 'chips.parquet'));
    const facts = { made: (await stat(from)).mtime, bytes: (await stat(table)).size, url };
    await writeFile(join(folder, 'croissant.json'), `${JSON.stringify(croissantOf(manifest, facts), null, 2)}\n`);
  },
  folder: async (folder, { manifest, rows }, { chipDir, signal, onProgress }) => {
    for (const split of new Set(rows.map((row) => row.split))) await makeFolder(join(folder, split));
    const names = await eachUnit(rows, 'chips', (row) => copyChip(row, chipDir, folder), { signal, onProgress, concurrency: 16 }); // prettier-ignore
    const head = ['file', ...columnsOf(manifest.labels).map(({ name }) => name)];
    const lines = rows.map((row, index) => [names[index], ...valuesOf(row, manifest.labels)]);
    await writeFile(join(folder, 'labels.csv'), `${[head, ...lines].map(csvLine).join('\n')}\n`);
  },
  npz: async (folder, dataset, { size, chipDir, signal }) => {
    await replaceWhole(join(folder, `${dataset.manifest.name}-${dataset.manifest.version}.npz`), (path) =>
      writeNpz(path, arraysOf(dataset, chipDir, size, signal)),
    );
  },
};

function pathOf({ id, catid, date }: DatasetRow, chipDir: string): string {
  return chipFile(chipDir, { cell: parseChip(id).cell, date, catid }, id);
}

async function copyChip(row: DatasetRow, chipDir: string, folder: string): Promise<string> {
  const from = pathOf(row, chipDir);
  const name = `${row.split}/${basename(from)}`;
  await copyOf(from, join(folder, name));
  return name;
}

/** A file of its own, so that who changes an export changes no version; without room of its own where the disk can. */
async function copyOf(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}

/** Values with a comma, a quote or a line's end in quotes, RFC 4180; nothing where a value is unknown. */
function csvLine(values: readonly (string | number | null)[]): string {
  return values.map((value) => { const text = String(value ?? ''); return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; }).join(','); // prettier-ignore
}

const IMAGES_AT_ONCE = 64;

function arraysOf({ manifest, rows }: DatasetVersion, chipDir: string, size: number, signal?: AbortSignal): NpzArray[] {
  const { labels } = manifest;
  const values = Float32Array.from(rows.flatMap((row) => labels.map((label) => row.labels[label] ?? Number.NaN)));
  async function* images(): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < rows.length; start += IMAGES_AT_ONCE) {
      const paths = rows.slice(start, start + IMAGES_AT_ONCE).map((row) => pathOf(row, chipDir));
      yield await readPixels(paths, size, { signal });
    }
  }
  return [
    { name: 'images', dtype: '|u1', shape: [rows.length, size, size, 3], pieces: images() },
    floatArray('labels', [rows.length, labels.length], values),
    floatArray('weights', [rows.length], Float32Array.from(rows, ({ weight }) => weight)),
    unicodeArray('ids', rows.map(({ id }) => id)),
    unicodeArray('catids', rows.map(({ catid }) => catid)),
    unicodeArray('dates', rows.map(({ date }) => date)),
    unicodeArray('splits', rows.map(({ split }) => split)),
    unicodeArray('label_names', labels),
  ]; // prettier-ignore
}
