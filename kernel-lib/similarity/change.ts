import { readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MultiPolygon, Polygon, Position } from 'geojson';
import { boundsOf, chipBounds, dataRoot, parseChip, polygonOf, readJson } from '../ard/index.ts';
import type { DatasetRow } from '../datasets/index.ts';
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
export function rankChange(vectors: Vectors, rows: readonly DatasetRow[], [earlier, later]: [string, string]): ChipChange[] {
  const first = new Map<string, number>();
  rows.forEach((row, index) => row.date === earlier && first.set(row.id, index));
  const changes = rows.flatMap((row, index): ChipChange[] => {
    const before = row.date === later ? first.get(row.id) : undefined;
    if (before === undefined) return [];
    const change = 1 - cosine(vectorAt(vectors, before), vectorAt(vectors, index));
    return [{ id: row.id, before: rows[before]!, after: row, change }];
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
  const good = json.features?.every(({ geometry }) => geometry?.type === 'Polygon' || geometry?.type === 'MultiPolygon');
  if (json.type !== 'FeatureCollection' || !good) {
    throw new Error(`${path} is no GeoJSON FeatureCollection of polygons: draw known changes as polygons in lon/lat`);
  }
  return json.features!;
}

/**
 * The chips that known changes touch: those whose square and a polygon share a vertex, an edge or an inside.
 *
 * @param ids chips to look at
 */
export function touchedChips(changes: readonly KnownChange[], ids: Iterable<string>): Set<string> {
  const rings = changes.flatMap(({ geometry }) =>
    (geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates).map((polygon) => polygon[0]!),
  );
  const boxes = rings.map((ring) => ({ ring, box: boundsOf(ring) }));
  const touched = new Set<string>();
  for (const id of ids) {
    const square = polygonOf(parseChip(id).cell.epsg, chipBounds(id)).coordinates[0]!;
    const box = boundsOf(square);
    if (boxes.some((other) => overlap(box, other.box) && meet(square, other.ring))) touched.add(id);
  }
  return touched;
}

function overlap(a: number[], b: number[]): boolean {
  return a[0]! <= b[2]! && b[0]! <= a[2]! && a[1]! <= b[3]! && b[1]! <= a[3]!;
}

function meet(a: Position[], b: Position[]): boolean {
  return inside(a[0]!, b) || inside(b[0]!, a) || edges(a).some((edge) => edges(b).some((other) => cross(edge, other)));
}

type Edge = [Position, Position];

function edges(ring: Position[]): Edge[] {
  return ring.slice(1).map((end, index) => [ring[index]!, end]);
}

function cross([a, b]: Edge, [c, d]: Edge): boolean {
  const side = (p: Position, q: Position, r: Position): number =>
    Math.sign((q[0]! - p[0]!) * (r[1]! - p[1]!) - (q[1]! - p[1]!) * (r[0]! - p[0]!));
  return side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b);
}

/** Even-odd rule. */
function inside([x, y]: Position, ring: Position[]): boolean {
  let within = false;
  for (const [[x1, y1], [x2, y2]] of edges(ring) as [number[], number[]][]) {
    if (y1! > y! !== y2! > y! && x! < ((x2! - x1!) * (y! - y1!)) / (y2! - y1!) + x1!) within = !within;
  }
  return within;
}
