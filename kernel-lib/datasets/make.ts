import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type StepOptions, ardRoot, parseCell, readJson } from '../ard/index.ts';
import { type Chip } from '../chips/index.ts';
import { OSM_ATTRIBUTION, readOsmMeta } from '../osm/index.ts';
import { type ChipTag, type LabelSchema, type NearPoints, completeness } from '../statistics/index.ts';
import { labelChips } from './labels.ts';
import { type SplitOptions, splitByPlace } from './splits.ts';
import type { Licence } from './manifest.ts';
import type { DatasetRow } from './row.ts';
import { hashSource, readSource } from './source.ts';
import { type DatasetVersion, writeDataset } from './version.ts';

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
  /** Points with a buffer, for rules that measure `near`. Default: none */
  near?: readonly NearPoints[] | undefined;
  /** Weight of a chip in which nothing is mapped, 0–1. Default: how complete the map of its cell is. */
  unmappedWeight?: number | undefined;
  /** Version that this one is made from; `null` for none. Default: the newest of that name. */
  parent?: string | null | undefined;
}

/**
 * Labels chips, splits them by place, and writes the result as a version with the licences of what it is made from.
 *
 * @throws {RangeError} when there is no chip, or too little ground to hold anything out
 * @throws {Error} naming a chip that is gone
 */
export async function makeDataset(
  dataPath: string,
  { name, zone, chips, tags, near, schema, split = {}, unmappedWeight, parent }: DatasetParts,
  steps: Pick<StepOptions, 'signal' | 'onProgress'> = {},
): Promise<DatasetVersion> {
  const hashing = hashSource(chips, steps); // on its threads, while labels and sides are found here
  hashing.catch(() => undefined); // told where it is waited for
  const ids = new Set(chips.map(({ id }) => id));
  const scores = completeness(ids, tags).map(({ cell, score }) => [cell, score] as const);
  const weights = unmappedWeight === undefined ? { completeness: new Map(scores) } : { unmappedWeight };
  const labelled = labelChips(ids, tags, schema, { ...weights, near });
  const options = { blockZoom: 15, buffer: 1, validation: 0.15, test: 0.25, seed: 1, ...split };
  const sides = splitByPlace(labelled, options);
  const { facts, ...source } = await readSource(dataPath, chips);
  const rows = chips.map(({ id, catid, date }, index): DatasetRow => {
    const { labels, weight } = labelled.get(id)!;
    return { ...facts[index], id, catid, date, split: sides.get(id)!, weight, labels, sha256: undefined }; // room for it: added later, it takes twice as much
  });
  const catids = new Set(chips.map(({ catid }) => catid));
  const licences = [
    ...(await imageryLicences(ardRoot(dataPath), catids)),
    ...(await labelLicences(dataPath, new Set(chips.map(({ cell }) => cell)))),
  ];
  return writeDataset(
    dataPath,
    {
      name,
      zone,
      schema,
      split: { ...options, unmappedWeight: unmappedWeight ?? 'completeness of the cell' },
      licences,
      ...source,
      parent,
    },
    rows,
    hashing,
  );
}

const collectionSchema = z.looseObject({
  license: z.string().optional(),
  providers: z.array(z.looseObject({ name: z.string() })).optional(),
});

/**
 * The licences of acquisitions, as their collections state them; `not stated` where there is none.
 *
 * @param folder that holds `acquisition_collections`: a delivery's `ard`
 */
export async function imageryLicences(folder: string, catids: ReadonlySet<string>): Promise<Licence[]> {
  const stated = await Promise.all([...catids].sort().map((catid) => imageryLicence(folder, catid)));
  const licences = new Map<string, Licence>();
  for (const { source, licence, attribution } of stated) {
    const key = `${licence} ${attribution}`;
    const known = licences.get(key);
    licences.set(key, { source: known ? `${known.source}, ${source}` : `imagery ${source}`, licence, attribution });
  }
  return [...licences.values()];
}

async function imageryLicence(folder: string, catid: string): Promise<Licence> {
  const path = join(folder, 'acquisition_collections', `${catid}_collection.json`);
  if (!existsSync(path)) return { source: catid, licence: 'not stated', attribution: '' };
  const { success, data } = collectionSchema.safeParse(await readJson(path));
  if (!success) throw new Error(`${path} is no STAC collection: fetch it again`);
  const attribution = (data.providers ?? []).map(({ name }) => name).join(', ');
  return { source: catid, licence: data.license ?? 'not stated', attribution };
}

/** The terms of the labels, as the map's own record of each cell says. */
async function labelLicences(dataPath: string, cells: ReadonlySet<string>): Promise<Licence[]> {
  const metas = await Promise.all([...cells].sort().map((cell) => readOsmMeta(dataPath, parseCell(cell))));
  const attributions = [...new Set(metas.map(({ attribution }) => attribution))];
  return attributions.map((attribution) => ({
    source: 'labels',
    licence: attribution === OSM_ATTRIBUTION ? 'ODbL 1.0' : 'as the map server states',
    attribution,
  }));
}
