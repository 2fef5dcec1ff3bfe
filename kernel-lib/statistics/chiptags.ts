import {
  type Cell, type StepOptions, cellsOnDisk, chipIds, eachUnit,
} from '../ard/index.ts'; // prettier-ignore
import { type BrokenElement, chipCoverage, elements, readOsm } from '../osm/index.ts';
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

/** The tags of a zone, chip by chip. */
export interface ZoneChipTags {
  rows: ChipTag[];
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
 * @throws {Error} naming the cell whose OSM file is missing or damaged
 */
export async function chipTags(
  dataPath: string,
  zone: number,
  { only, ...options }: { only?: ReadonlySet<string> } & StepOptions = {},
): Promise<ZoneChipTags> {
  const cells = await cellsOnDisk(dataPath, zone);
  if (cells.length === 0) throw new Error(`no cell of zone ${zone} under ${dataPath}/ard: sync a delivery first`);
  const tally = new ElementTally();
  const perCell = await eachUnit(cells, 'cells', (cell) => tagsOfCell(dataPath, cell, { only, tally }), {
    concurrency: 1,
    ...options,
  });
  return {
    rows: perCell.flatMap(({ rows }) => rows),
    cells,
    broken: perCell.flatMap(({ broken }) => broken),
    elements: tally.tags(),
  };
}

async function tagsOfCell(
  dataPath: string,
  cell: Cell,
  { only, tally }: { only: ReadonlySet<string> | undefined; tally: ElementTally },
): Promise<{ rows: ChipTag[]; broken: BrokenElement[] }> {
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
  return { rows: [...rows.values()], broken };
}
