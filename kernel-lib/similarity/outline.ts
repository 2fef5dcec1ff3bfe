/** Outlines of chips as other programs take them: cut where they cross the antimeridian. */
import type { MultiPolygon, Polygon, Position } from 'geojson';
import { type Bounds, chipBounds, parseChip, polygonOf } from '../ard/index.ts';
import { within180 } from './store/row.ts';

/** A chip on the ground, degrees of −180 to 180: one polygon, or one on either side of the antimeridian. */
export type Outline = Polygon | MultiPolygon;

/** The four corners of a chip, counter-clockwise; cut in two where it crosses the antimeridian. @see RFC 7946, 3.1.9 */
export function outlineOf(id: string): Outline {
  const [ring] = polygonOf(parseChip(id).cell.epsg, chipBounds(id)).coordinates;
  const lons = ring.map(([lon]) => lon);
  const [least, most] = [Math.min(...lons), Math.max(...lons)];
  const edge = most > 180 ? 180 : least < -180 ? -180 : undefined;
  if (edge === undefined) return { type: 'Polygon', coordinates: [ring] };
  const sides = [cut(ring, (lon) => lon - edge, edge), cut(ring, (lon) => edge - lon, edge)].filter((side) => side.length > 3); // prettier-ignore
  const parts = sides.map((side) => [moved(side)]);
  return parts.length === 1 ? { type: 'Polygon', coordinates: parts[0] } : { type: 'MultiPolygon', coordinates: parts };
}

/** The part of a convex ring where `over` is not negative, closed. @see Sutherland & Hodgman 1974, Communications of the ACM 17(1) 32–42 */
function cut(ring: readonly Position[], over: (lon: number) => number, edge: number): Position[] {
  const kept: Position[] = [];
  for (let at = 1; at < ring.length; at++) {
    const [[x, y], [u, v]] = [ring[at - 1], ring[at]];
    if (over(x) > 0 !== over(u) > 0 && x !== u) kept.push([edge, y + ((edge - x) / (u - x)) * (v - y)]);
    if (over(u) > 0) kept.push([u, v]);
  }
  return kept.length > 2 ? [...kept, kept[0]] : [];
}

/** A ring on one side of the antimeridian, by turns of the earth between −180 and 180. */
function moved(ring: readonly Position[]): Position[] {
  const middle = ring.reduce((sum, [lon]) => sum + lon / ring.length, 0);
  const turn = within180(middle) - middle;
  return ring.map(([lon, lat]) => [lon + turn, lat]);
}

/** The smallest box around outlines; across the antimeridian west is above east. @see RFC 7946, 5.2 */
export function boxAround(outlines: readonly Outline[]): Bounds {
  const plain: Bounds = [180, 90, -180, -90];
  const turned: Bounds = [360, 90, 0, -90]; // longitudes of 0 to 360
  for (const { type, coordinates } of outlines)
    for (const [lon, lat] of (type === 'Polygon' ? [coordinates] : coordinates).flat(2)) {
      widen(plain, lon, lat);
      widen(turned, lon < 0 ? lon + 360 : lon, lat);
    }
  if (plain[2] - plain[0] <= turned[2] - turned[0]) return plain;
  return [within180(turned[0]), turned[1], within180(turned[2]), turned[3]];
}

function widen(box: Bounds, lon: number, lat: number): void {
  box[0] = Math.min(box[0], lon);
  box[1] = Math.min(box[1], lat);
  box[2] = Math.max(box[2], lon);
  box[3] = Math.max(box[3], lat);
}
