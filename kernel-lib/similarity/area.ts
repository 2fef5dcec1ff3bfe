/** Ground that a search is bounded by. */
import type { Feature, FeatureCollection, MultiPolygon, Polygon, Position } from 'geojson';
import { z } from 'zod';

/** GeoJSON of polygons, degrees. */
export type Area = Polygon | MultiPolygon | Feature<Polygon | MultiPolygon> | FeatureCollection<Polygon | MultiPolygon>;

const position = z.tuple([z.number().min(-180).max(180), z.number().min(-90).max(90)]).rest(z.number());
const rings = z.array(z.array(position).min(4)).min(1);
const geometry = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('Polygon'), coordinates: rings }),
  z.looseObject({ type: z.literal('MultiPolygon'), coordinates: z.array(rings).min(1) }),
]);
const feature = z.looseObject({ type: z.literal('Feature'), geometry });
const schema = z.discriminatedUnion('type', [
  ...geometry.options,
  feature,
  z.looseObject({ type: z.literal('FeatureCollection'), features: z.array(feature).min(1) }),
]);

/** The polygons of an area, each as its outer ring and its holes. @throws {RangeError} saying where it is none */
export function polygonsOf(area: unknown): Position[][][] {
  const { success, data, error } = schema.safeParse(area);
  if (!success)
    throw new RangeError(`within is no GeoJSON of polygons (at ${error.issues[0].path.join('.') || 'the top'}): draw one or more in lon/lat`); // prettier-ignore
  if (data.type === 'FeatureCollection') return data.features.flatMap((each) => polygonsIn(each.geometry));
  return polygonsIn(data.type === 'Feature' ? data.geometry : data);
}

function polygonsIn(found: z.infer<typeof geometry>): Position[][][] {
  return found.type === 'Polygon' ? [found.coordinates] : found.coordinates;
}

/** Whether a place lies inside an odd number of rings: in the outer one and in no hole. */
export function isInside(of: Position[][], lon: number, lat: number): boolean {
  let inside = false;
  for (const ring of of) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [[x, y], [u, v]] = [ring[i], ring[j]];
      if (y > lat !== v > lat && lon < ((u - x) * (lat - y)) / (v - y) + x) inside = !inside;
    }
  }
  return inside;
}
