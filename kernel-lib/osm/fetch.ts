import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Cell,
  type Progress,
  type Shard,
  type StepOptions,
  ardRoot,
  cellFolder,
  cellsOnDisk,
  eachUnit,
  paddedZone,
  shardOf,
} from '../ard/index.ts';
import { OverpassError } from './answer.ts';
import { type CellOptions, type FetchedCell, fetchCell } from './cell.ts';
import { coveredShare, readExtract } from './extract.ts';
import { fileHeader } from './planet.ts';
import { dateOf, secondOf } from './query.ts';
import { type OsmPlace, cellsInBucket, osmPlace } from './handover.ts';
import {
  type OsmMeta,
  dropSquares,
  keptSquares,
  mapTime,
  osmPath,
  readOsm,
  readOsmMeta,
  tidyOsm,
  writeOsm,
} from './read.ts';
import type { OsmData } from './schema.ts';
import { TagTally, type ZoneTags } from './tags.ts';
import type { Wait } from './wait.ts';

/** The public server, for a few cells; for many, an own one or a planet extract. */
export const PUBLIC_OVERPASS = 'https://overpass-api.de/api/interpreter';

/** How {@link fetchOsmByQuadkey} works. */
export interface FetchOsmOptions
  extends Omit<StepOptions, 'concurrency'>, Omit<CellOptions, 'endpoint' | 'onWait' | 'squares'> {
  /** Address of the Overpass interpreter. Default: `IMAGESIM_OVERPASS`, else the public server. */
  endpoint?: string | undefined;
  /**
   * An OpenStreetMap file, `.osm.pbf`, `.osm` or `.osm.gz`, that is read in place of a server: no network. It has the map
   * of one day: `date` does not go with it. A cell that lies partly beyond its bounds is read as far as it goes, and is
   * not taken for done by a later run on more ({@link OsmMeta.covered}).
   */
  source?: string | undefined;
  /** Fetches what is there already too, from the first cell on. Default: `false`. */
  force?: boolean | undefined;
  /**
   * Fetches again the cells whose map is of a time before this one (`timestamp_osm_base`, or the `date` it was asked
   * for), and keeps the others: a refresh that goes on where it was stopped. ISO 8601, UTC. Default: any age will do.
   */
  since?: string | undefined;
  /**
   * Only the cells that fall to this one of several workers. From a file, or a server that is not the public one, which
   * takes two requests at once of everybody. Default: all.
   */
  shard?: Shard | undefined;
  /**
   * `s3://` prefix that maps go to, a cell at a time, under the same keys; what lies there is not fetched again. Where no cell of the
   * zone lies in the data folder, those whose tiles lie there are meant. Default: the data folder.
   */
  to?: string | undefined;
  /** Told of each cell that is there, fetched now or before, and where its map comes from. Default: silence. */
  onCell?: ((cell: Cell, meta: OsmMeta) => void) | undefined;
}

/**
 * Fetches everything that OpenStreetMap has in every delivered cell of a zone, and counts its tags.
 *
 * Writes `osm_data.json` (`quadkey`, `nodes`, `ways`, `relations`: raw elements, none left out) and
 * `osm_data.meta.json` (where they come from) into each cell's folder, whole or not at all. A cell that is there is
 * read, not fetched, unless `date` asks for another day's map or `since` for a newer one; a damaged one is named in a
 * progress note and fetched. One request at a time. A cell that the server fails on, though asked again and again, is
 * put off to the end once, and the others are fetched; two in a row end the run, unless they are just too much. Killed at any moment, the next run repeats one request at most.
 *
 * @param zone UTM zone, 1 to 60
 * @param dataPath the data folder or its `ard` folder
 * With `to` each cell's map is put into the bucket and removed here; one that could not be put stays here, and the others go on.
 *
 * @returns tags of nodes, ways and relations, over all cells of the zone, or of the shard
 * @throws {RangeError} when `date` or `since` is no time, or both are given
 * @throws {Error} when the zone has no cell on disk; {@link OverpassError} naming the cell, when the server gives no
 * answer
 */
export async function fetchOsmByQuadkey(
  zone: number,
  dataPath: string,
  options: FetchOsmOptions = {},
): Promise<ZoneTags> {
  const { endpoint = process.env['IMAGESIM_OVERPASS'] || PUBLIC_OVERPASS } = options;
  refuseTimes(options);
  if (options.shard && options.source === undefined && endpoint === PUBLIC_OVERPASS)
    throw new RangeError(
      `${endpoint} is not for ${options.shard.count} workers at once: give --source with a planet extract, or an endpoint of your own`,
    );
  const cells = await osmCells(zone, dataPath, options.shard, options.to);
  const place = osmPlace(dataPath, options.to, options);
  const tags =
    options.source === undefined
      ? await fromServer(cells, place, { ...options, endpoint })
      : await fromExtract(options.source, cells, place, options);
  if (place.failed.length === 0) return tags;
  const [first, ...others] = place.failed;
  throw new Error(`${first}${others.length > 0 ? ` (and ${others.length} other cells)` : ''}; the maps stay in ${place.root}, for the same command again`); // prettier-ignore
}

/** Cell by cell; those that the server fails on once more at the end. */
async function fromServer(
  cells: readonly Cell[],
  place: OsmPlace,
  options: FetchOsmOptions & { endpoint: string },
): Promise<ZoneTags> {
  const { signal, onProgress } = options;
  const tally = new TagTally();
  let latest: Progress = { done: 0, total: cells.length, unit: 'cells' };
  const report = (progress: Progress): void => onProgress?.((latest = progress));
  const note = (text: string): void => report({ ...latest, note: text });
  const work = async (cell: Cell): Promise<void> => {
    const { data, meta } = await cellData(cell, place, { ...options, note });
    tally.add(data);
    options.onCell?.(cell, meta);
  };
  const steps = { signal, onProgress: report, concurrency: 1 };
  const later = new Later(work, note);
  await eachUnit(cells, 'cells', (cell) => later.orNow(cell), steps);
  const second = new Later(work, note);
  await eachUnit(later.cells, 'cells that were put off', (cell) => second.orNow(cell), steps);
  second.throwFirst(cells.length);
  return tally.zoneTags();
}

/**
 * Puts off the cells that fail by what may pass; two in a row are taken for a server that is down. What is too much for it
 * even in its smallest squares says nothing of the next cell.
 */
class Later {
  readonly cells: Cell[] = [];
  #first: OverpassError | undefined;
  readonly #work: (cell: Cell) => Promise<void>;
  readonly #note: (text: string) => void;
  #failed = false;

  constructor(work: (cell: Cell) => Promise<void>, note: (text: string) => void) {
    this.#work = work;
    this.#note = note;
  }

  async orNow(cell: Cell): Promise<void> {
    try {
      await this.#work(cell);
      this.#failed = false;
    } catch (error) {
      if (!(error instanceof OverpassError && (PASSING.has(error.kind) || error.kind === 'remark'))) throw error;
      if (this.#failed && error.kind !== 'remark') throw error;
      this.#failed = error.kind !== 'remark';
      this.#first ??= error;
      this.cells.push(cell);
      this.#note(`${cell.id} is put off to the end: ${error.message}`);
    }
  }

  /** @throws {OverpassError} naming the cells that were put off, if any was */
  throwFirst(total: number): void {
    if (this.#first) throw lackingError(this.#first, this.cells, total);
  }
}

/** Cells that were put off twice have no map. */
function lackingError(first: OverpassError, cells: readonly Cell[], total: number): OverpassError {
  const [, ...others] = cells.map(({ id }) => id);
  const more = others.length > 0 ? `; no map of ${others.join(', ')} either` : '';
  return new OverpassError(
    first.kind,
    `${first.message}${more} (${total - cells.length} of ${total} cells are there)`,
    {
      cause: first,
    },
  );
}

const PASSING = new Set(['rate', 'load', 'html', 'truncated', 'dropped', 'timeout']);

/** Refuses, before any work, times that are none or contradict each other. */
function refuseTimes({ date, since }: FetchOsmOptions): void {
  for (const time of [date, since]) if (time !== undefined) secondOf(time);
  if (date !== undefined && since !== undefined)
    throw new RangeError(
      `date ${date} and since ${since} contradict each other: one day's map, or the latest; give one`,
    );
}

/** The cells that are not there, from a file; then the tags of all. */
async function fromExtract(
  source: string,
  cells: Cell[],
  place: OsmPlace,
  { date, since, force, signal, onProgress, onCell }: FetchOsmOptions,
): Promise<ZoneTags> {
  if (date !== undefined) throw new RangeError(`${source} has the map of one day: leave out date, or the source`);
  const tally = new TagTally();
  const latest: Progress = { done: 0, total: cells.length, unit: 'cells' };
  const note = (text: string): void => onProgress?.({ ...latest, note: text });
  const lacking: Cell[] = [];
  const header = await fileHeader(source);
  const add = (cell: Cell, { data, meta }: FetchedCell): void => {
    tally.add(data);
    onCell?.(cell, meta);
    latest.done++;
    onProgress?.({ ...latest });
  };
  for (const cell of cells) {
    const share = coveredShare(header, cell) ?? 1;
    const kept = await keptData(cell, place, {
      force,
      since,
      note,
      endpoint: source,
      share,
      latest: header.timestamp,
    });
    if (kept) add(cell, kept);
    else lacking.push(cell);
  }
  const take = async (cell: Cell, fetched: FetchedCell): Promise<void> => {
    const { data, meta } = fetched;
    await writeOsm(place.root, cell, data, meta);
    await place.hand(cell);
    if ((meta.covered ?? 1) < 1) note(`${cell.id} is not whole: ${meta.endpoint}`);
    add(cell, fetched);
  };
  if (lacking.length > 0) await readExtract(source, lacking, take, { signal, note });
  return tally.zoneTags();
}

/**
 * The cells of a zone whose map is fetched: all that are on disk, or those of one worker, by the bytes of their rasters.
 *
 * @param to s3:// prefix whose cells are meant where none of the zone is on disk. Default: none are
 * @throws {Error} when the zone has no cell on disk
 */
export async function osmCells(zone: number, dataPath: string, shard?: Shard, to?: string): Promise<Cell[]> {
  refuseZone(zone);
  const there = await cellsInBucket(dataPath, zone, to);
  if (there) return shard ? shardOf([...there.keys()], shard, (cell) => there.get(cell)!) : [...there.keys()];
  const cells = await zoneCells(zone, dataPath);
  if (!shard) return cells;
  const bytes = new Map<Cell, number>();
  for (const cell of cells) bytes.set(cell, await rasterBytes(cellFolder(dataPath, cell)));
  return shardOf(cells, shard, (cell) => bytes.get(cell)!);
}

async function rasterBytes(folder: string): Promise<number> {
  const files = await readdir(folder, { recursive: true });
  const sizes = files
    .filter((file) => file.endsWith('.tif'))
    .map(async (file) => (await stat(join(folder, file))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function refuseZone(zone: number): void {
  if (!Number.isInteger(zone) || zone < 1 || zone > 60)
    throw new RangeError(`no such UTM zone: ${zone}; expected 1 to 60`);
}

async function zoneCells(zone: number, dataPath: string): Promise<Cell[]> {
  const cells = await cellsOnDisk(dataPath, zone);
  if (cells.length > 0) return cells;
  throw new Error(
    `no cell under ${ardRoot(dataPath)}/${paddedZone(zone)}: sync a delivery first: imagesim sync <delivery> --zone ${zone}`,
  );
}

interface CellWork extends FetchOsmOptions {
  endpoint: string;
  note: (text: string) => void;
  /** What of the cell the source has, 0–1. Default: 1, all. */
  share?: number;
  /** How fresh the source is, ISO 8601, where that is known before it is asked. */
  latest?: string;
}

async function cellData(cell: Cell, place: OsmPlace, options: CellWork): Promise<FetchedCell> {
  const { note } = options;
  const dataPath = place.root;
  const kept = await keptData(cell, place, options);
  if (kept) return kept;
  note(`${cell.id}: fetching`);
  if (options.force) await dropSquares(dataPath, cell);
  const since = options.since === undefined ? undefined : Date.parse(secondOf(options.since));
  const squares = keptSquares(dataPath, cell, { endpoint: options.endpoint, since });
  const onWait = ({ reason, until }: Wait): void => note(`${cell.id} waits until ${until.toISOString()}: ${reason}`);
  const { data, meta } = await fetchCell(cell, { ...options, squares, onWait });
  await writeOsm(dataPath, cell, data, meta);
  await place.hand(cell);
  if (since !== undefined && !(mapTime(meta) >= since))
    note(`${cell.id}: the server's own map is of ${meta.timestamp_osm_base}, before ${options.since}`);
  return { data, meta };
}

/** The data that are there and may be used; nothing when the cell must be fetched. */
async function keptData(
  cell: Cell,
  place: OsmPlace,
  { force = false, date, since, note, endpoint, share = 1, latest }: CellWork,
): Promise<FetchedCell | undefined> {
  const dataPath = place.root;
  await place.bring(cell);
  if (force || !existsSync(osmPath(dataPath, cell))) return undefined;
  try {
    if (date !== undefined && !(await isOfDate(cell, dataPath, date))) return undefined;
    const data = await readOsm(dataPath, cell);
    const meta = await readOsmMeta(dataPath, cell);
    if ((meta.covered ?? 1) < share) return undefined;
    if (since !== undefined && !(mapTime(meta) >= Date.parse(secondOf(since)))) {
      if (!(Date.parse(latest ?? '') <= mapTime(meta))) return undefined;
      note(`${cell.id} keeps its map of ${meta.timestamp_osm_base}: ${endpoint} is of ${latest}, before ${since}`);
    }
    refuseMixture(cell, data, meta);
    await tidyOsm(dataPath, cell);
    await place.hand(cell);
    return { data, meta };
  } catch (error) {
    note(`${cell.id} is fetched again: ${(error as Error).message}`);
    return undefined;
  }
}

/** A map and its origin may be of two times where a worker died while it put them. */
function refuseMixture({ id }: Cell, data: OsmData, { counts }: OsmMeta): void {
  for (const kind of ['nodes', 'ways', 'relations'] as const)
    if (data[kind].length !== counts[kind])
      throw new Error(`${id} has ${data[kind].length} ${kind}, and its origin says ${counts[kind]}`);
}

async function isOfDate(cell: Cell, dataPath: string, date: string): Promise<boolean> {
  const asked = dateOf((await readOsmMeta(dataPath, cell)).query);
  return asked === secondOf(date);
}
