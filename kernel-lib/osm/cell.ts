import { type ArdQuadkey, type Cell, boundsOf, children, polygonOf, squareBounds } from '../ard/index.ts';
import { OverpassError } from './answer.ts';
import { type OverpassOptions, fetchOverpass } from './overpass.ts';
import { onGlobe } from './bbox.ts';
import { overpassQuery } from './query.ts';
import { OSM_ATTRIBUTION, type OsmMeta, type Squares } from './read.ts';
import type { OsmData, OsmElement, OverpassAnswer } from './schema.ts';

/** How {@link fetchCell} asks. */
export interface CellOptions extends OverpassOptions {
  /** Address of the interpreter. */
  endpoint: string;
  /** The map as it stood then, ISO 8601. Default: the server's latest. */
  date?: string | undefined;
  /** How often a square that is too much for the server is cut in four. Default: 4, down to 312.5 m. */
  splits?: number | undefined;
  /** Where the answers for parts of a cell wait for the others. Default: nowhere; a second call asks for all again. */
  squares?: Squares | undefined;
}

/** A cell's map data and where they come from. */
export interface FetchedCell {
  data: OsmData;
  meta: OsmMeta;
}

/**
 * Everything that OpenStreetMap has in a cell.
 *
 * Where the server breaks off because it is too much, the square is cut into its four children, in UTM, and what they
 * answer is merged; an element on a border comes several times and is kept once. With `squares`, a call after one
 * that was cut short goes on with the part at which that one stopped.
 *
 * @throws {OverpassError} naming the cell
 */
export async function fetchCell(cell: Cell, options: CellOptions): Promise<FetchedCell> {
  const { endpoint, splits = 4 } = options;
  try {
    const answer = mergeAnswers(await fetchSquare(cell, cell.quadkey, splits, options));
    const data = dataOf(cell, answer.elements);
    return { data, meta: metaOf(endpoint, cellQueries(cell, cell.quadkey, options.date).join('\n'), answer, data) };
  } catch (error) {
    if (!(error instanceof OverpassError)) throw error;
    throw new OverpassError(error.kind, `${cell.id}: ${error.message}`, { cause: error });
  }
}

async function fetchSquare(
  cell: Cell,
  square: ArdQuadkey,
  splits: number,
  options: CellOptions,
): Promise<OverpassAnswer[]> {
  const { squares, date } = options;
  const queries = cellQueries(cell, square, date);
  if (splits === 0) return fetchParts(queries, options);
  if (await squares?.isTooMuch(queries[0])) return fetchQuarters(cell, square, splits, options);
  try {
    const isWhole = square === cell.quadkey && queries.length === 1; // stored at once, as the cell
    return await fetchParts(queries, isWhole ? { ...options, squares: undefined } : options);
  } catch (error) {
    if (!(error instanceof OverpassError) || error.kind !== 'remark') throw error;
  }
  await squares?.markTooMuch(queries[0]);
  return fetchQuarters(cell, square, splits, options);
}

async function fetchQuarters(
  cell: Cell,
  square: ArdQuadkey,
  splits: number,
  options: CellOptions,
): Promise<OverpassAnswer[]> {
  const quarters: OverpassAnswer[] = [];
  for (const child of children(square)) quarters.push(...(await fetchSquare(cell, child, splits - 1, options)));
  return quarters;
}

async function fetchParts(queries: string[], options: CellOptions): Promise<OverpassAnswer[]> {
  const { endpoint, squares } = options;
  const answers: OverpassAnswer[] = [];
  for (const query of queries) {
    const kept = await squares?.read(query);
    const answer = kept ?? (await fetchOverpass(endpoint, query, options));
    if (!kept) await squares?.write(query, answer);
    answers.push(answer);
  }
  return answers;
}

/**
 * The query for a cell, or a square of it; two where it lies across the antimeridian.
 *
 * @param date the map as it stood then. Default: the latest
 */
export function cellQueries(cell: Cell, square: ArdQuadkey = cell.quadkey, date?: string): string[] {
  const bounds = boundsOf(polygonOf(cell.epsg, squareBounds(square)).coordinates[0]);
  return onGlobe(bounds).map((box) => overpassQuery(box, { date }));
}

/**
 * Several answers as one: every element once, by type and id, in order of coming; the oldest of the timestamps.
 *
 * @param answers one or more
 */
export function mergeAnswers(answers: readonly OverpassAnswer[]): OverpassAnswer {
  const elements = new Map<string, OsmElement>();
  for (const element of answers.flatMap((answer) => answer.elements)) {
    const key = `${element.type}/${element.id}`;
    if (!elements.has(key)) elements.set(key, element);
  }
  const times = answers.map(({ osm3s }) => osm3s.timestamp_osm_base).sort();
  const copyright = answers.find(({ osm3s }) => osm3s.copyright !== undefined)?.osm3s.copyright;
  const remarks = [...new Set(answers.flatMap(({ remark }) => (remark === undefined ? [] : [remark.trim()])))].join(
    '; ',
  );
  return {
    osm3s: { timestamp_osm_base: times[0] ?? '', copyright },
    elements: [...elements.values()],
    ...(remarks === '' ? {} : { remark: remarks }),
  };
}

function dataOf({ quadkey }: Cell, elements: OsmElement[]): OsmData {
  return {
    quadkey,
    nodes: elements.filter((element) => element.type === 'node'),
    ways: elements.filter((element) => element.type === 'way'),
    relations: elements.filter((element) => element.type === 'relation'),
  };
}

function metaOf(
  endpoint: string,
  query: string,
  { osm3s, remark }: OverpassAnswer,
  { nodes, ways, relations }: OsmData,
): OsmMeta {
  return {
    endpoint,
    query,
    timestamp_osm_base: osm3s.timestamp_osm_base,
    fetchedAt: new Date().toISOString(),
    counts: { nodes: nodes.length, ways: ways.length, relations: relations.length },
    ...(remark === undefined ? {} : { remark }),
    attribution: attributionOf(osm3s.copyright),
  };
}

/** What must be shown with the data: OpenStreetMap's attribution, unless the server says that they are under other terms. */
function attributionOf(copyright: string | undefined): string {
  return copyright === undefined || /ODbL/i.test(copyright) ? OSM_ATTRIBUTION : copyright;
}
