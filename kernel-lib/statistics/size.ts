import type { Position } from 'geojson';
import { median } from 'simple-statistics';
import type { Element } from '../osm/index.ts';

/** Square metres of a chip; and of a row of its pixels, as a share of it. */
const CHIP_AREA = 78.125 ** 2;
const PIXEL_ROW = 1 / 256;

/** Mean radius of the earth, metres. */
const RADIUS = 6_371_008.8;
const RADIANS = Math.PI / 180;

/** How large what a tag names is, against a chip of 78 m. */
export type SizeWord =
  | 'point'
  | 'line'
  | 'below a pixel row'
  | 'part of a chip'
  | 'larger than a chip'
  | 'larger than ten chips'
  | 'unknown';

/** Sizes of the elements of one tag. */
export interface Sizes {
  points: number;
  lines: number;
  /** Areas of whole elements, chips. */
  areas: number[];
}

/** Typical size of the elements of one tag. */
export interface TypicalSize {
  /** Median area of the elements that are areas, whole, in chips. `NaN` where none is. */
  medianChips: number;
  size: SizeWord;
}

/**
 * The size that most elements of a tag have: `point` or `line` where most are that, else the median of the areas in a word.
 *
 * A row of a chip's pixels is 78 m × 0.31 m, 24 m².
 */
export function typicalSize({ points, lines, areas }: Sizes): TypicalSize {
  const medianChips = areas.length > 0 ? median(areas) : NaN;
  const most = Math.max(points, lines, areas.length);
  if (most === 0) return { medianChips, size: 'unknown' };
  if (areas.length === most) return { medianChips, size: areaWord(medianChips) };
  return { medianChips, size: lines === most ? 'line' : 'point' };
}

function areaWord(chips: number): SizeWord {
  if (chips < PIXEL_ROW) return 'below a pixel row';
  if (chips <= 1) return 'part of a chip';
  return chips <= 10 ? 'larger than a chip' : 'larger than ten chips';
}

/** Counts an element to the sizes of a tag. */
export function addSize(sizes: Sizes, area: number | undefined, { type }: Element['geometry']): void {
  if (area !== undefined) sizes.areas.push(area);
  else if (type === 'Point') sizes.points++;
  else sizes.lines++;
}

/**
 * Area of a whole element, in chips, holes left out; nothing for points and lines.
 *
 * On the sphere, where it goes beyond the cell too: true to 0.5 %.
 *
 * @see Chamberlain & Duquette 2007, Some Algorithms for Polygons on a Sphere, JPL 07-03, eq. 2
 */
export function areaInChips(geometry: Element['geometry']): number | undefined {
  if (geometry.type === 'Point' || geometry.type === 'LineString') return undefined;
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
  const areas = polygons.map(([outer, ...holes]) =>
    holes.reduce((left, hole) => left - ringArea(hole), ringArea(outer)),
  );
  return areas.reduce((sum, area) => sum + area, 0) / CHIP_AREA;
}

function ringArea(ring: readonly Position[]): number {
  let sum = 0;
  for (let at = 1; at < ring.length; at++) {
    const [[lon, lat], [next, nextLat]] = [ring[at - 1], ring[at]];
    const turn = next - lon - 360 * Math.round((next - lon) / 360); // across the antimeridian
    sum += turn * RADIANS * (2 + Math.sin(lat * RADIANS) + Math.sin(nextLat * RADIANS));
  }
  return Math.abs((sum * RADIUS ** 2) / 2);
}
