import { readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MultiPolygon, Polygon } from 'geojson';
import { z } from 'zod';
import { chipIds, dataRoot, parseChip, readJson } from '../ard/index.ts';
import type { DatasetRow } from '../datasets/index.ts';
import { type Element, chipCoverage } from '../osm/index.ts';
import { averagePrecision } from './report.ts';
import { type Vectors, cosine, vectorAt } from './nearest.ts';

/** How much one square of ground changed between two dates. */
export interface ChipChange {
  id: string;
  before: DatasetRow;
  after: DatasetRow;
  /** One minus the cosine of the two embeddings, 0–2. */
  change: number;
}

/**
 * Every square of ground that was seen whole on two days or more, its first acquisition against its last, the most changed first.
 *
 * One row a square, whatever the dates of its cell.
 *
 * @param rows the chips, in the order of `vectors`; leave out those of dates that are not to count
 */
export function rankChange(vectors: Vectors, rows: readonly DatasetRow[]): ChipChange[] {
  if (vectors.values.length !== rows.length * vectors.width) {
    throw new RangeError(
      `rankChange got ${rows.length} rows and ${vectors.values.length / vectors.width} vectors: one each`,
    );
  }
  const visits = new Map<string, number[]>();
  rows.forEach(({ id }, index) => visits.set(id, [...(visits.get(id) ?? []), index]));
  const when = (index: number): string => `${rows[index].date} ${rows[index].catid}`;
  const changes = [...visits].flatMap(([id, indices]): ChipChange[] => {
    const inOrder = indices.toSorted((a, b) => (when(a) < when(b) ? -1 : 1));
    const [first, last] = [inOrder[0], inOrder.at(-1)!];
    if (rows[first].date === rows[last].date) return [];
    const change = 1 - cosine(vectorAt(vectors, first), vectorAt(vectors, last));
    return [{ id, before: rows[first], after: rows[last], change }];
  });
  return changes.sort((a, b) => b.change - a.change || (a.id < b.id ? -1 : 1));
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
  if (!existsSync(folder)) return [];
  const names = (await readdir(folder)).filter((name) => name.endsWith('.geojson')).sort();
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
  const at = error.issues[0].path.join('.') || 'the top';
  throw new Error(
    `${path} is no GeoJSON FeatureCollection of polygons (at ${at}): draw known changes as polygons in lon/lat`,
  );
}

/**
 * The chips that known changes touch: those of whose square a polygon covers some part, holes left out.
 *
 * @param ids chips to look at
 */
export function touchedChips(changes: readonly KnownChange[], ids: Iterable<string>): Set<string> {
  const shapes = changes.map(({ geometry }, id): Element => ({
    type: 'way',
    id,
    key: `way/${id}`,
    tags: {},
    geometry,
  }));
  const wanted = [...ids];
  const cells = new Map(wanted.map((id) => [id.slice(0, 16), parseChip(id).cell]));
  const covered = new Set(
    [...cells.values()].flatMap((cell) => {
      const names = chipIds(cell);
      return chipCoverage(shapes, cell).map(({ chip }) => names[chip]);
    }),
  );
  return new Set(wanted.filter((id) => covered.has(id)));
}

/** Average precision of a change list: how early the chips come that a known change touches, 0–1. */
export function changeScore(changes: readonly ChipChange[], touched: ReadonlySet<string>): number {
  return averagePrecision(changes.map(({ id }) => (touched.has(id) ? 1 : 0)));
}
