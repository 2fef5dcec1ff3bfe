import { constants } from 'node:buffer';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { type StepOptions, dataRoot, paddedZone, parseChip } from '../ard/index.ts';
import { chipFile, readPixels } from '../chips/index.ts';
import type { Split } from './splits.ts';
import type { DatasetRow } from './row.ts';
import type { DatasetVersion } from './version.ts';

/** The images and labels of some rows of a dataset, as a network takes them. */
export interface LabelledImages {
  rows: DatasetRow[];
  /** `[n, size, size, 3]`, uint8. */
  images: Uint8Array;
  /** Side in pixels. */
  size: number;
  /** `[n, classes]` in the order of the manifest's labels: 1 present, 0 absent, NaN unknown. */
  labels: Float32Array;
  /** `[n]`, 0–1. */
  weights: Float32Array;
}

/** Where the chip of a row lies under the data folder. */
export function rowPath(dataPath: string, { id, catid, date }: Pick<DatasetRow, 'id' | 'catid' | 'date'>): string {
  const { zone, cell } = parseChip(id);
  return chipFile(join(dataRoot(dataPath), 'chips', paddedZone(zone)), { cell, date, catid }, id);
}

/** Rows of a dataset with their labels, and the images as they are asked for. */
export interface LabelledSource extends Omit<LabelledImages, 'images'> {
  /** Where the images come from; see `ImageSource` of training. */
  images: { identity: string; read(rows: Uint32Array): Promise<Uint8Array> };
  /** `[n]`: the square of ground of each row, the same at every date. */
  places: string[];
}

/** Chips read at once: half again as many as decode, so that none waits for the disk. */
const READ_AT_ONCE = 6;
/** Part of the machine's memory that read images may stay in. */
const KEPT_SHARE = 0.25;

/**
 * Opens the chips of some splits: they are read and reduced when they are asked for, and stay in memory where a quarter of it holds them all.
 *
 * @param size side in pixels, at most 256
 * @param keepBytes how much of the images may stay in memory. Default: a quarter of the machine's
 * @throws {RangeError} when no row is in the splits
 */
export function openImages(
  dataPath: string,
  { manifest, rows }: DatasetVersion,
  { splits, size, keepBytes = KEPT_SHARE * totalmem() }: { splits: readonly Split[]; size: number; keepBytes?: number },
): LabelledSource {
  const chosen = rows.filter(({ split }) => splits.includes(split));
  if (chosen.length === 0)
    throw new RangeError(
      `dataset ${manifest.name} ${manifest.version} has no row in ${splits.join(', ')}: split it so that it has`,
    );
  const each = size * size * 3;
  const bytes = chosen.length * each;
  const kept = bytes <= Math.min(keepBytes, constants.MAX_LENGTH) ? new Uint8Array(bytes) : undefined; // no array is longer
  const there = new Uint8Array(chosen.length);
  const load = async (wanted: readonly number[]): Promise<Uint8Array> =>
    readPixels(wanted.map((row) => rowPath(dataPath, chosen[row])), size, { concurrency: READ_AT_ONCE }); // prettier-ignore
  const read = async (wanted: Uint32Array): Promise<Uint8Array> => {
    if (!kept) return load([...wanted]);
    const missing = [...new Set(wanted)].filter((row) => !there[row]);
    const pixels = await load(missing);
    for (const [i, row] of missing.entries()) {
      kept.set(pixels.subarray(i * each, (i + 1) * each), row * each);
      there[row] = 1;
    }
    const out = new Uint8Array(wanted.length * each);
    for (const [i, row] of wanted.entries()) out.set(kept.subarray(row * each, (row + 1) * each), i * each);
    return out;
  };
  return {
    rows: chosen,
    size,
    labels: labelsOf(chosen, manifest.labels),
    weights: Float32Array.from(chosen, ({ weight }) => weight),
    images: { identity: `${manifest.name} ${manifest.version} ${splits.join('+')} at ${size}`, read },
    places: chosen.map(({ id }) => id),
  };
}

/** `[rows, names]`: 1 present, 0 absent, NaN unknown. */
function labelsOf(rows: readonly DatasetRow[], names: readonly string[]): Float32Array {
  const labels = new Float32Array(rows.length * names.length);
  let at = 0;
  for (const row of rows) for (const name of names) labels[at++] = row.labels[name] ?? Number.NaN;
  return labels;
}

/**
 * Loads the chips of some splits, reduced to a square, with their labels.
 *
 * @param size side in pixels, at most 256
 * @throws {RangeError} when no row is in the splits
 */
export async function loadImages(
  dataPath: string,
  dataset: DatasetVersion,
  { splits, size, ...options }: { splits: readonly Split[]; size: number } & StepOptions,
): Promise<LabelledImages> {
  const { rows, labels, weights } = openImages(dataPath, dataset, { splits, size, keepBytes: 0 });
  const images = await readPixels(rows.map((row) => rowPath(dataPath, row)), size, options); // prettier-ignore
  return { rows, images, size, labels, weights };
}
