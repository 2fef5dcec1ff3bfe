import type { Position } from 'geojson';
import type { Cell } from '../ard/index.ts';
import { type Ledger, addLine, addPoint, addRing } from './cut.ts';
import { type Element, elements } from './elements.ts';
import { type PlacedGeometry, groundOf, linesIn, polygonsIn } from './place.ts';
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
  const ground = groundOf(cell);
  return list.flatMap(({ geometry }, element) => {
    const utm = ground.cut(geometry);
    return utm ? rowsOf(utm, element, cell) : [];
  });
}

/** What a geometry that lies in the cell, UTM metres, leaves in its chips. */
export function rowsOf(utm: PlacedGeometry, element: number, { cellBounds: [west, , , north] }: Cell): ChipCoverage[] {
  const inChips = ([x, y]: Position): Position => [(x - west) / CHIP_SIDE, (north - y) / CHIP_SIDE];
  const ledger: Ledger = new Map();
  if (utm.type === 'Point') addPoint(inChips(utm.coordinates), ledger);
  for (const line of linesIn(utm)) addLine(line.map(inChips), ledger);
  for (const [outer, ...holes] of polygonsIn(utm)) {
    addRing(outer.map(inChips), 1, ledger);
    for (const hole of holes) addRing(hole.map(inChips), -1, ledger);
  }
  const measure = measureOf(utm);
  const chips = [...ledger].filter(([, amount]) => amount > NOTHING).sort(([a], [b]) => a - b);
  return chips.map(([chip, amount]) => ({ chip, element, area: 0, length: 0, points: 0, ...measure(amount) }));
}

/** What the amounts in a ledger are. */
function measureOf({ type }: PlacedGeometry): (amount: number) => Partial<ChipCoverage> {
  if (type === 'Point') return (points) => ({ points });
  if (type.endsWith('LineString')) return (sides) => ({ length: sides * CHIP_SIDE });
  return (area) => ({ area: Math.min(1, area) });
}
