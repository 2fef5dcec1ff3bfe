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

/**
 * Loads the chips of some splits, reduced to a square, with their labels.
 *
 * @param size side in pixels, at most 256
 * @throws {RangeError} when no row is in the splits
 */
export async function loadImages(
  dataPath: string,
  { manifest, rows }: DatasetVersion,
  { splits, size, ...options }: { splits: readonly Split[]; size: number } & StepOptions,
): Promise<LabelledImages> {
  const chosen = rows.filter(({ split }) => splits.includes(split));
  if (chosen.length === 0)
    throw new RangeError(`dataset ${manifest.name} ${manifest.version} has no row in ${splits.join(', ')}`);
  const images = await readPixels(chosen.map((row) => rowPath(dataPath, row)), size, options); // prettier-ignore
  const labels = Float32Array.from(
    chosen.flatMap((row) => manifest.labels.map((label) => row.labels[label] ?? Number.NaN)),
  );
  return { rows: chosen, images, size, labels, weights: Float32Array.from(chosen, ({ weight }) => weight) };
}
