import { type Cell, type StepOptions, cellsOnDisk, eachUnit } from '../ard/index.ts';
import { chipIndex } from './join.ts';
import { elements } from './elements.ts';
import { placeInCell } from './place.ts';
import { readOsm, readOsmMeta } from './read.ts';

/** What the map data of one cell hold: a row of a table. */
export interface CellSurvey {
  cell: Cell;
  nodes: number;
  ways: number;
  relations: number;
  /** Tagged elements of which some lies in the cell. */
  placed: number;
  /** Chips that any of them reaches into, of 4,096. */
  chips: number;
  /** Elements whose geometry is not whole, with the reason. */
  broken: { key: string; reason: string }[];
  /** How fresh the map is, as the server or the file said: ISO 8601, or empty. */
  mapOf: string;
  /** Share of the cell that the data cover, 0–1: less than 1 where an extract ended within it. */
  covered: number;
  /** What must be shown with them. */
  attribution: string;
}

/**
 * What the map data of every cell of a zone hold, one cell in memory at a time.
 *
 * @param dataPath the data folder or its `ard` folder
 * @throws {Error} naming the file, when a cell's map data are missing or damaged
 */
export async function surveyOsm(
  dataPath: string,
  zone: number,
  options: Omit<StepOptions, 'concurrency'> = {},
): Promise<CellSurvey[]> {
  const cells = await cellsOnDisk(dataPath, zone);
  return eachUnit(cells, 'cells', (cell) => surveyCell(dataPath, cell), { ...options, concurrency: 1 });
}

async function surveyCell(dataPath: string, cell: Cell): Promise<CellSurvey> {
  const osm = await readOsm(dataPath, cell);
  const { covered = 1, timestamp_osm_base: mapOf, attribution } = await readOsmMeta(dataPath, cell);
  const { elements: found, broken } = elements(osm);
  const placed = placeInCell(found, cell);
  const index = chipIndex(cell, placed);
  return {
    cell,
    nodes: osm.nodes.length,
    ways: osm.ways.length,
    relations: osm.relations.length,
    placed: placed.length,
    chips: index.counts().filter((count) => count > 0).length,
    broken: broken.map(({ key, reason }) => ({ key, reason })),
    mapOf,
    covered,
    attribution,
  };
}
