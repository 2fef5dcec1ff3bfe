import type { Position } from 'geojson';
import {
  type Cell, type StepOptions, CHIP_PIXELS, CHIPS_PER_SIDE, METRES_PER_PIXEL, cellsOnDisk, chipIds, eachUnit, toUtm,
} from '../ard/index.ts'; // prettier-ignore
import { type BrokenElement, type Element, chipCoverage, elements, readOsm } from '../osm/index.ts';
import { ElementTally, type TagElements } from './elementtally.ts';

/** How much of one tag lies in one chip, over all elements that carry it. */
export interface ChipTag {
  /** Chip id, `Z33-<18 digits>`. */
  chip: string;
  /** `key=value`. */
  tag: string;
  /** Elements that carry the tag and reach into the chip. */
  elements: number;
  /** Share of the chip under its areas, 0–1; overlapping areas are added up, to 1 at most. */
  area: number;
  /** Metres of its lines inside. */
  length: number;
  /** Its points inside. */
  points: number;
}

/** Tagged points in a chip or so near to it that they may be seen in it. */
export interface NearPoints {
  chip: string;
  tag: string;
  near: number;
}

/** The tags of a zone, chip by chip. */
export interface ZoneChipTags {
  rows: ChipTag[];
  /** Points with a buffer: those of a tag within so many metres of a chip of the same cell. */
  near: NearPoints[];
  cells: Cell[];
  /** Elements whose geometry is not whole; their tags are not counted. */
  broken: BrokenElement[];
  /** The elements of every tag in the data of the cells, whether or not they lie in a chip that was looked at. */
  elements: TagElements[];
}

/**
 * Which tags lie in which chips, from every `osm_data.json` of a zone; one cell in memory at a time.
 *
 * @param only chips to look at, such as those that imagery covers. Default: all of every cell
 * @param pointBuffer metres from a point within which a chip of its cell counts it as near. Default: 10
 * @throws {Error} naming the cell whose OSM file is missing or damaged
 */
export async function chipTags(
  dataPath: string,
  zone: number,
  { only, pointBuffer = 10, ...options }: { only?: ReadonlySet<string>; pointBuffer?: number } & StepOptions = {},
): Promise<ZoneChipTags> {
  const cells = await cellsOnDisk(dataPath, zone);
  if (cells.length === 0) throw new Error(`no cell of zone ${zone} under ${dataPath}/ard: sync a delivery first`);
  const tally = new ElementTally();
  const perCell = await eachUnit(cells, 'cells', (cell) => tagsOfCell(dataPath, cell, { only, tally, pointBuffer }), {
    concurrency: 1,
    ...options,
  });
  return {
    rows: perCell.flatMap(({ rows }) => rows),
    near: perCell.flatMap(({ near }) => near),
    cells,
    broken: perCell.flatMap(({ broken }) => broken),
    elements: tally.tags(),
  };
}

async function tagsOfCell(
  dataPath: string,
  cell: Cell,
  { only, tally, pointBuffer }: { only: ReadonlySet<string> | undefined; tally: ElementTally; pointBuffer: number },
): Promise<{ rows: ChipTag[]; near: NearPoints[]; broken: BrokenElement[] }> {
  const osm = await readOsm(dataPath, cell);
  const { elements: found, broken } = elements(osm);
  tally.add(osm, found);
  const ids = chipIds(cell);
  const rows = new Map<string, ChipTag>();
  for (const { chip, element, area, length, points } of chipCoverage(found, cell)) {
    const id = ids[chip];
    if (only && !only.has(id)) continue;
    for (const [key, value] of Object.entries(found[element].tags)) {
      const tag = `${key}=${value}`;
      const name = `${id} ${tag}`;
      const row = rows.get(name) ?? { chip: id, tag, elements: 0, area: 0, length: 0, points: 0 };
      row.elements++;
      row.area = Math.min(1, row.area + area);
      row.length += length;
      row.points += points;
      rows.set(name, row);
    }
  }
  return { rows: [...rows.values()], near: nearPoints(found, cell, { only, pointBuffer }), broken };
}

/**
 * Tagged points within so many metres of each chip of a cell, those inside it included.
 *
 * @param only chips to look at. Default: all of the cell
 * @param pointBuffer metres. Default: 10, as of {@link chipTags}
 */
export function nearPoints(
  found: readonly Element[],
  cell: Cell,
  { only, pointBuffer = 10 }: { only?: ReadonlySet<string> | undefined; pointBuffer?: number } = {},
): NearPoints[] {
  const ids = chipIds(cell);
  const counts = new Map<string, NearPoints>();
  for (const { geometry, tags } of found) {
    if (geometry.type !== 'Point') continue;
    for (const chip of chipsAround(geometry.coordinates, cell, pointBuffer)) {
      if (only && !only.has(ids[chip])) continue;
      for (const [key, value] of Object.entries(tags)) {
        const name = `${ids[chip]} ${key}=${value}`;
        const known = counts.get(name) ?? { chip: ids[chip], tag: `${key}=${value}`, near: 0 };
        counts.set(name, { ...known, near: known.near + 1 });
      }
    }
  }
  return [...counts.values()];
}

/** The chips of a cell whose square lies within so many metres of a place, as row × 64 + column. */
function chipsAround(place: Position, { epsg, cellBounds: [west, , , north] }: Cell, metres: number): number[] {
  const [easting, northing] = toUtm(epsg, place as [number, number]);
  const [x, y] = [easting - west, north - northing];
  const side = CHIP_PIXELS * METRES_PER_PIXEL;
  const from = (at: number): number => Math.max(0, Math.floor((at - metres) / side));
  const to = (at: number): number => Math.min(CHIPS_PER_SIDE - 1, Math.floor((at + metres) / side));
  const chips: number[] = [];
  for (let row = from(y); row <= to(y); row++) {
    for (let column = from(x); column <= to(x); column++) {
      const [dx, dy] = [gap(x, column * side, side), gap(y, row * side, side)];
      if (Math.hypot(dx, dy) <= metres) chips.push(row * CHIPS_PER_SIDE + column);
    }
  }
  return chips;
}

/** Metres from a place to a stretch of an axis; 0 within it. */
function gap(at: number, from: number, length: number): number {
  return Math.max(0, from - at, at - from - length);
}
