import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ardRoot, readJson } from '../ard/index.ts';
import { type Chip } from '../chips/index.ts';
import type { ChipTag, LabelSchema } from '../statistics/index.ts';
import { labelChips } from './labels.ts';
import { type SplitOptions, splitByPlace } from './splits.ts';
import { type DatasetRow, type DatasetVersion, writeDataset } from './version.ts';

/** What {@link makeDataset} puts together. */
export interface DatasetParts {
  name: string;
  zone: number;
  /** The chips on disk, every date. */
  chips: readonly Chip[];
  /** Which tags lie in which chips. */
  tags: readonly ChipTag[];
  schema: LabelSchema;
  split?: SplitOptions;
  /** Weight of a chip in which nothing is mapped, 0–1. Default 0.5. */
  unmappedWeight?: number;
}

/**
 * Labels chips, splits them by place, and writes the result as a version with the licences of what it is made from.
 *
 * @throws {RangeError} when there is no chip, or too little ground to hold anything out
 */
export async function makeDataset(
  dataPath: string,
  { name, zone, chips, tags, schema, split = {}, unmappedWeight = 0.5 }: DatasetParts,
): Promise<DatasetVersion> {
  const labelled = labelChips(new Set(chips.map(({ id }) => id)), tags, schema, { unmappedWeight });
  const options = { blockZoom: 15, buffer: 1, validation: 0.15, test: 0.25, seed: 1, ...split };
  const sides = splitByPlace(labelled, options);
  const rows = chips.map(({ id, catid, date }): DatasetRow => {
    const { labels, weight } = labelled.get(id)!;
    return { id, catid, date, split: sides.get(id)!, weight, labels };
  });
  const catids = new Set(chips.map(({ catid }) => catid));
  const licences = [...(await imageryLicences(dataPath, catids)), 'labels: © OpenStreetMap contributors, ODbL 1.0'];
  return writeDataset(dataPath, { name, zone, schema, split: { ...options, unmappedWeight }, licences }, rows);
}

/** The licence of each acquisition, as its collection states it. */
async function imageryLicences(dataPath: string, catids: ReadonlySet<string>): Promise<string[]> {
  const folder = join(ardRoot(dataPath), 'acquisition_collections');
  const names = existsSync(folder) ? await readdir(folder) : [];
  const licences = new Map<string, string[]>();
  for (const catid of [...catids].sort()) {
    const stated = names.includes(`${catid}_collection.json`)
      ? ((await readJson(join(folder, `${catid}_collection.json`))) as { license?: string }).license
      : undefined;
    const licence = stated ?? 'not stated';
    licences.set(licence, [...(licences.get(licence) ?? []), catid]);
  }
  return [...licences].map(([licence, acquisitions]) => `imagery ${acquisitions.join(', ')}: ${licence}`);
}
