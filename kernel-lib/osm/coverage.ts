import type { Position } from 'geojson';
import { clipPolyline } from 'lineclip';
import { type Bounds, type Cell, lonLatBounds, toUtm } from '../ard/index.ts';
import { type Ledger, addLine, addPoint, addRing, clip } from './cut.ts';
import { type Element, elements } from './elements.ts';
import type { OsmData } from './schema.ts';

/** One element in one chip. */
export interface ChipCoverage {
  /** Row × 64 + column, counted from the cell's north-west: the index into `chipIds(cell)`. */
  chip: number;
  /** Index into the elements covered. */
  element: number;
  /** Share of the chip that its area takes, 0 to 1, holes left out. 0 for lines and points. */
  area: number;
  /** Metres of its line inside, in the UTM grid (true to 0.1 %). 0 for areas and points. */
  length: number;
  /** 1 where the element is a point, else 0. */
  points: number;
}

/** Metres along a chip's side. */
const CHIP_SIDE = 78.125;
/** Degrees around a cell beyond which geometry is cut off before it is projected: UTM fails far from its zone. */
const MARGIN = 0.5;
/** Less than this share of a chip, or of a metre, is the rounding of what takes none of it. */
const NOTHING = 1e-9;

/**
 * What lies in each chip of a cell, and how much of the chip it covers.
 *
 * Elements are projected to the cell's UTM and cut along the chips' borders. A border belongs to the chip to its east
 * and south. Overlapping elements are counted each for itself.
 *
 * @param source a cell's data, or the elements already made of it
 * @returns rows ordered by element, then chip; none for what does not reach the cell
 */
export function chipCoverage(source: OsmData | readonly Element[], cell: Cell): ChipCoverage[] {
  const list = 'quadkey' in source ? elements(source).elements : source;
  const place = placer(cell);
  return list.flatMap(({ geometry }, element) => {
    const ledger: Ledger = new Map();
    const measure = measureInto(ledger, geometry, place);
    const chips = [...ledger].filter(([, amount]) => amount > NOTHING).sort(([a], [b]) => a - b);
    return chips.map(([chip, amount]) => ({ chip, element, area: 0, length: 0, points: 0, ...measure(amount) }));
  });
}

/** Lon/lat positions as a cell counts them. */
interface Placer {
  /** Degrees within which positions are projected. */
  margin: Bounds;
  /** Columns and rows of chips from the cell's north-west corner. */
  inChips: (position: Position) => Position;
}

function placer(cell: Cell): Placer {
  const [west, south, east, north] = lonLatBounds(cell);
  const [left, , , top] = cell.cellBounds;
  return {
    margin: [west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN],
    inChips: ([lon, lat]) => {
      const [easting, northing] = toUtm(cell.epsg, [lon, lat]);
      return [(easting - left) / CHIP_SIDE, (top - northing) / CHIP_SIDE];
    },
  };
}

/** Enters a geometry, and says what its amounts are. */
function measureInto(
  ledger: Ledger,
  geometry: Element['geometry'],
  place: Placer,
): (amount: number) => Partial<ChipCoverage> {
  if (geometry.type === 'Point') {
    for (const [point] of nearRings([geometry.coordinates], place)) addPoint(point, ledger);
    return (points) => ({ points });
  }
  if (geometry.type === 'LineString') {
    for (const line of turns(geometry.coordinates, place.margin)) {
      for (const part of clipPolyline(line, place.margin)) addLine(part.map(place.inChips), ledger);
    }
    return (sides) => ({ length: sides * CHIP_SIDE });
  }
  for (const [outer, ...holes] of geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates) {
    for (const ring of nearRings(outer, place)) addRing(ring, 1, ledger);
    for (const ring of holes.flatMap((hole) => nearRings(hole, place))) addRing(ring, -1, ledger);
  }
  return (area) => ({ area: Math.min(1, area) });
}

/** A ring, or a single point, in chips and cut at the margin: none when it lies far away. */
function nearRings(positions: Position[], { margin, inChips }: Placer): Position[][] {
  const rings = turns(positions, margin).map((ring) => clip(ring, margin));
  return rings.filter((ring) => ring.length > 0).map((ring) => ring.map(inChips));
}

/**
 * Positions whose longitudes run on across the antimeridian, at each full turn that may bring them to the margin;
 * nearly always one.
 */
function turns(positions: Position[], [west]: Bounds): Position[][] {
  let [last] = positions[0] as [number];
  let [least, most] = [last, last];
  const joined = positions.map(([lon, lat]) => {
    last = lon - 360 * Math.round((lon - last) / 360);
    least = Math.min(least, last);
    most = Math.max(most, last);
    return [last, lat];
  });
  const first = Math.round((west - most) / 360);
  const count = Math.round((west - least) / 360) - first + 1;
  return Array.from({ length: count }, (_, k) => joined.map(([lon, lat]) => [lon + 360 * (first + k), lat]));
}

/** How many elements reach into each chip that has any; by chip index. */
export function countPerChip(rows: readonly ChipCoverage[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { chip } of rows) counts.set(chip, (counts.get(chip) ?? 0) + 1);
  return counts;
}
