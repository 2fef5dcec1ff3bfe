import { readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MultiPolygon, Polygon } from 'geojson';
import { z } from 'zod';
import { chipIds, dataRoot, parseChip, readJson } from '../../ard/index.ts';
import type { DatasetRow } from '../../datasets/index.ts';
import { type Element, chipCoverage } from '../../osm/index.ts';
import type { ChipPair, Visit } from './pairs.ts';

/** How much one square of ground changed between two dates. */
export interface ChipChange<Row extends Visit = DatasetRow> extends ChipPair<Row> {
  /** Larger where it changed more. */
  change: number;
}

/** A change that is known from elsewhere. */
export interface KnownChange {
  geometry: Polygon | MultiPolygon;
  properties: Record<string, unknown>;
}

/**
 * The known changes of `demo-ard/vectors/*.geojson`; none where there is no such folder.
 *
 * @throws {Error} naming a file that is not GeoJSON of polygons in degrees
 */
export async function readKnownChanges(dataPath: string): Promise<KnownChange[]> {
  const folder = join(dataRoot(dataPath), 'demo-ard', 'vectors');
  return existsSync(folder) ? readChangeVectors(folder) : [];
}

/**
 * The known changes of every `.geojson` of a folder, in order of names.
 *
 * @throws {Error} naming the folder that holds none, or a file that is not GeoJSON of polygons in degrees
 */
export async function readChangeVectors(folder: string): Promise<KnownChange[]> {
  const listed = await readdir(folder).catch((error: unknown) => {
    throw new Error(`cannot read the folder of vectors ${folder}: ${(error as NodeJS.ErrnoException).code}; give one that holds .geojson files`, { cause: error }); // prettier-ignore
  });
  const names = listed.filter((name) => name.endsWith('.geojson')).sort();
  const perFile = await Promise.all(names.map((name) => readPolygons(join(folder, name))));
  return perFile.flat();
}

const position = z.tuple([z.number().min(-180).max(180), z.number().min(-90).max(90)]).rest(z.number());
const rings = z.array(z.array(position).min(4)).min(1);
const collection = z.looseObject({
  type: z.literal('FeatureCollection'),
  features: z.array(
    z.looseObject({
      geometry: z.discriminatedUnion('type', [
        z.looseObject({ type: z.literal('Polygon'), coordinates: rings }),
        z.looseObject({ type: z.literal('MultiPolygon'), coordinates: z.array(rings).min(1) }),
      ]),
      properties: z.record(z.string(), z.unknown()).nullish(),
    }),
  ),
});

async function readPolygons(path: string): Promise<KnownChange[]> {
  const { success, data, error } = collection.safeParse(await readJson(path));
  if (success) return data.features.map(({ geometry, properties }) => ({ geometry, properties: properties ?? {} }));
  const [issue] = error.issues;
  const at = issue.path.join('.') || 'the top';
  const remedy =
    'origin' in issue && issue.origin === 'number'
      ? 'its coordinates are no degrees: bring it to lon/lat, as ogr2ogr -t_srs EPSG:4326 does'
      : 'draw known changes as polygons in lon/lat';
  throw new Error(`${path} is no GeoJSON FeatureCollection of polygons (at ${at}): ${remedy}`);
}

/**
 * The chips that known changes touch: those of whose square a polygon covers some part, holes left out.
 *
 * @param ids chips to look at
 */
export function touchedChips(changes: readonly KnownChange[], ids: Iterable<string>): Set<string> {
  const shares = changedShares(changes, ids);
  return new Set([...shares].filter(([, share]) => share > 0).map(([id]) => id));
}

/**
 * How much of each chip's square known changes cover, 0–1, holes left out; where polygons overlap each counts, up to 1.
 *
 * @param ids chips to look at
 * @returns a share for each of them, in their order
 */
export function changedShares(changes: readonly KnownChange[], ids: Iterable<string>): Map<string, number> {
  const shapes = changes.map(({ geometry }, id): Element => ({
    type: 'way',
    id,
    key: `way/${id}`,
    tags: {},
    geometry,
  }));
  const shares = new Map(Array.from(ids, (id) => [id, 0]));
  const cells = new Map([...shares.keys()].map((id) => [id.slice(0, 16), parseChip(id).cell]));
  for (const cell of cells.values()) {
    const names = chipIds(cell);
    for (const { chip, area } of chipCoverage(shapes, cell)) {
      const share = shares.get(names[chip]);
      if (share !== undefined) shares.set(names[chip], Math.min(1, share + area));
    }
  }
  return shares;
}
