import { clipPolyline } from 'lineclip';
import type { Bounds } from '../ard/index.ts';

/** A place in degrees. */
export type LonLat = [lon: number, lat: number];

/** Degrees that run on across the antimeridian, cut there. */
export function onGlobe([west, south, east, north]: Bounds): Bounds[] {
  if (west >= -180 && east <= 180) return [[west, south, east, north]];
  const shift = west < -180 ? 360 : 0;
  return [
    [west + shift, south, 180, north],
    [-180, south, east + shift - 360, north],
  ];
}

/** Smallest rectangle around places; none holds it where there is no place. */
export function extentOf(places: Iterable<LonLat>): Bounds {
  const bounds: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [lon, lat] of places) {
    bounds[0] = Math.min(bounds[0], lon);
    bounds[1] = Math.min(bounds[1], lat);
    bounds[2] = Math.max(bounds[2], lon);
    bounds[3] = Math.max(bounds[3], lat);
  }
  return bounds;
}

/** Whether a point or a line has a node in a rectangle, or crosses it: Overpass's own sense of a bbox. */
export function touches(line: LonLat[], bounds: Bounds): boolean {
  const [west, south, east, north] = bounds;
  if (line.some(([lon, lat]) => lon >= west && lon <= east && lat >= south && lat <= north)) return true;
  return line.length > 1 && clipPolyline(line, bounds).length > 0;
}

/** Whether two rectangles have a place in common. */
export function overlap(a: Bounds, b: Bounds): boolean {
  return a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];
}

/** Whether a rectangle lies wholly in another. */
export function isWithin(inner: Bounds, outer: Bounds): boolean {
  return inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3];
}
