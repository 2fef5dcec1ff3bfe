import { readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MultiPolygon, Polygon, Position } from 'geojson';
import { clipPolygon } from 'lineclip';
import { type Bounds, boundsOf, chipBounds, dataRoot, parseChip, readJson, toUtm } from '../ard/index.ts';
import type { DatasetRow } from '../datasets/index.ts';
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
 * Every chip that is there at both dates, the most changed first.
 *
 * @param rows the chips, in the order of `vectors`
 * @param dates the earlier and the later one
 */
export function rankChange(
  vectors: Vectors,
  rows: readonly DatasetRow[],
  [earlier, later]: [string, string],
): ChipChange[] {
  const first = new Map<string, number>();
  rows.forEach((row, index) => row.date === earlier && first.set(row.id, index));
  const changes = rows.flatMap((row, index): ChipChange[] => {
    const before = row.date === later ? first.get(row.id) : undefined;
    if (before === undefined) return [];
    const change = 1 - cosine(vectorAt(vectors, before), vectorAt(vectors, index));
    return [{ id: row.id, before: rows[before], after: row, change }];
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
 * @throws {Error} naming a file that is not GeoJSON of polygons
 */
export async function readKnownChanges(dataPath: string): Promise<KnownChange[]> {
  const folder = join(dataRoot(dataPath), 'demo-ard', 'vectors');
  if (!existsSync(folder)) return [];
  const names = (await readdir(folder)).filter((name) => name.endsWith('.geojson')).sort();
  const perFile = await Promise.all(names.map((name) => readPolygons(join(folder, name))));
  return perFile.flat();
}

async function readPolygons(path: string): Promise<KnownChange[]> {
  const json = (await readJson(path)) as { type?: string; features?: KnownChange[] };
  const good = json.features?.every(
    ({ geometry }) => geometry?.type === 'Polygon' || geometry?.type === 'MultiPolygon',
  );
  if (json.type !== 'FeatureCollection' || !good) {
    throw new Error(`${path} is no GeoJSON FeatureCollection of polygons: draw known changes as polygons in lon/lat`);
  }
  return json.features!;
}

/**
 * The chips that known changes touch: those of whose square a polygon covers some part.
 *
 * @param ids chips to look at, of one zone and hemisphere
 */
export function touchedChips(changes: readonly KnownChange[], ids: Iterable<string>): Set<string> {
  const touched = new Set<string>();
  let rings: Ring[] | undefined;
  for (const id of ids) {
    rings ??= ringsIn(parseChip(id).cell.epsg, changes);
    const square = chipBounds(id);
    if (rings.some(({ bounds, ring }) => overlap(square, bounds) && clipPolygon(ring, square).length > 2))
      touched.add(id);
  }
  return touched;
}

interface Ring {
  bounds: Bounds;
  ring: Position[];
}

/** Outer rings in UTM metres. */
function ringsIn(epsg: number, changes: readonly KnownChange[]): Ring[] {
  const outer = changes.flatMap(({ geometry }) =>
    (geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates).map(([ring]) => ring),
  );
  const rings = outer.map((ring) => ring.map(([lon, lat]) => toUtm(epsg, [lon, lat])));
  return rings.map((ring) => ({ bounds: boundsOf(ring), ring }));
}

function overlap(a: Bounds, b: Bounds): boolean {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/** Average precision of a change list: how early the chips come that a known change touches, 0–1. */
export function changeScore(changes: readonly ChipChange[], touched: ReadonlySet<string>): number {
  return averagePrecision(changes.map(({ id }) => (touched.has(id) ? 1 : 0)));
}
