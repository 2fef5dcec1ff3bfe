import { existsSync } from 'node:fs';
import {
  type Cell,
  type Progress,
  type StepOptions,
  ardRoot,
  cellsOnDisk,
  eachUnit,
  paddedZone,
} from '../ard/index.ts';
import { type CellOptions, fetchCell } from './cell.ts';
import { dateOf, overpassQuery } from './query.ts';
import { osmPath, readOsm, readOsmMeta, writeOsm } from './read.ts';
import type { OsmData } from './schema.ts';
import { TagTally, type ZoneTags } from './tags.ts';
import type { Wait } from './wait.ts';

/** The public server, for a few cells; for many, an own one or a planet extract. */
export const PUBLIC_OVERPASS = 'https://overpass-api.de/api/interpreter';

/** How {@link fetchOsmByQuadkey} works. */
export interface FetchOsmOptions extends Omit<StepOptions, 'concurrency'>, Omit<CellOptions, 'endpoint' | 'onWait'> {
  /** Address of the Overpass interpreter. Default: `IMAGESIM_OVERPASS`, else the public server. */
  endpoint?: string | undefined;
  /** Fetches what is there already too. Default: `false`. */
  force?: boolean | undefined;
}

/**
 * Fetches everything that OpenStreetMap has in every delivered cell of a zone, and counts its tags.
 *
 * Writes `osm_data.json` (`quadkey`, `nodes`, `ways`, `relations`: raw elements, none left out) and
 * `osm_data.meta.json` (where they come from) into each cell's folder, whole or not at all. A cell that is there is
 * read, not fetched, unless `date` asks for another day's map; a damaged one is named in a progress note and fetched.
 * One request at a time.
 *
 * @param zone UTM zone, 1 to 60
 * @param dataPath the data folder or its `ard` folder
 * @returns tags of nodes, ways and relations, over all cells of the zone
 * @throws {Error} when the zone has no cell on disk; {@link OverpassError} naming the cell, when the server gives no
 * answer
 */
export async function fetchOsmByQuadkey(
  zone: number,
  dataPath: string,
  options: FetchOsmOptions = {},
): Promise<ZoneTags> {
  const { endpoint = process.env['IMAGESIM_OVERPASS'] || PUBLIC_OVERPASS, signal, onProgress } = options;
  if (options.date !== undefined) overpassQuery([0, 0, 1, 1], options); // a wrong date is refused before any work
  const cells = await zoneCells(zone, dataPath);
  const tally = new TagTally();
  let latest: Progress = { done: 0, total: cells.length, unit: 'cells' };
  const report = (progress: Progress): void => onProgress?.((latest = progress));
  const note = (text: string): void => report({ ...latest, note: text });
  const work = async (cell: Cell): Promise<void> => {
    tally.add(await cellData(cell, dataPath, { ...options, endpoint, note }));
  };
  await eachUnit(cells, 'cells', work, { signal, onProgress: report, concurrency: 1 });
  return tally.zoneTags();
}

async function zoneCells(zone: number, dataPath: string): Promise<Cell[]> {
  if (!Number.isInteger(zone) || zone < 1 || zone > 60)
    throw new RangeError(`no such UTM zone: ${zone}; expected 1 to 60`);
  const cells = await cellsOnDisk(dataPath, zone);
  if (cells.length > 0) return cells;
  throw new Error(
    `no cell under ${ardRoot(dataPath)}/${paddedZone(zone)}: sync a delivery first: imagesim sync <delivery> --zone ${zone}`,
  );
}

type CellWork = FetchOsmOptions & { endpoint: string; note: (text: string) => void };

async function cellData(cell: Cell, dataPath: string, options: CellWork): Promise<OsmData> {
  const { note } = options;
  const kept = await keptData(cell, dataPath, options);
  if (kept) return kept;
  note(`${cell.id}: fetching`);
  const onWait = ({ reason, until }: Wait): void => note(`${cell.id} waits until ${until.toISOString()}: ${reason}`);
  const { data, meta } = await fetchCell(cell, { ...options, onWait });
  await writeOsm(dataPath, cell, data, meta);
  return data;
}

/** The data that are there and may be used; nothing when the cell must be fetched. */
async function keptData(
  cell: Cell,
  dataPath: string,
  { force = false, date, note }: CellWork,
): Promise<OsmData | undefined> {
  if (force || !existsSync(osmPath(dataPath, cell))) return undefined;
  try {
    if (date !== undefined && !(await isOfDate(cell, dataPath, date))) return undefined;
    return await readOsm(dataPath, cell);
  } catch (error) {
    note(`${cell.id} is fetched again: ${(error as Error).message}`);
    return undefined;
  }
}

async function isOfDate(cell: Cell, dataPath: string, date: string): Promise<boolean> {
  const asked = dateOf((await readOsmMeta(dataPath, cell)).query);
  return asked !== undefined && Date.parse(asked) === Date.parse(date);
}
