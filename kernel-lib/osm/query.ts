import type { Bounds } from '../ard/index.ts';

/** Seconds that the server may work on a query. The client waits a little longer. */
export const SERVER_TIMEOUT_S = 180;
const MAX_BYTES = 536_870_912;
const DECIMALS = 1e7;
/** Relations of the nodes and ways before: multipolygons with their members' lines, the others without. */
const RELATIONS = '(rel(bn)->.a;rel(bw)->.a;)->.r;rel.r[type=multipolygon]->.m;(.r;-.m;);out body qt;.m out geom qt;';

/**
 * The Overpass query for everything in a rectangle: every node and way with its geometry, and the relations they
 * belong to.
 *
 * Overpass orders a rectangle south, west, north, east; it is rounded outward to 7 decimals (about a centimetre). Of a
 * multipolygon the lines of all members come with it, wherever they lie: an area that goes on beyond the rectangle
 * could not be closed otherwise. Other relations name their members only: whole borders and routes would come.
 *
 * @param bounds `[west, south, east, north]`, degrees
 * @param options.date the map as it stood then, ISO 8601; servers that keep no history refuse it. Default: the
 * server's latest
 * @throws {RangeError} when the bounds are no rectangle on the globe, or the date is none
 */
export function overpassQuery(bounds: Bounds, { date }: { date?: string | undefined } = {}): string {
  const [west, south, east, north] = bounds;
  if (
    !(west < east && south < north && Math.abs(south) <= 90 && Math.abs(north) <= 90 && west >= -180 && east <= 180)
  ) {
    throw new RangeError(`no rectangle of degrees: ${bounds.join(', ')}; expected west, south, east, north`);
  }
  const box = [floor7(south), floor7(west), ceil7(north), ceil7(east)].join(',');
  const settings = `[out:json][timeout:${SERVER_TIMEOUT_S}][maxsize:${MAX_BYTES}]${date === undefined ? '' : dateSetting(date)}`;
  return `${settings};\n(node(${box});way(${box}););out geom qt;${RELATIONS}`;
}

function dateSetting(date: string): string {
  return `[date:"${secondOf(date)}"]`;
}

const TIME = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?$/;

/**
 * A time as Overpass writes it, to the second: `2023-05-17T00:00:00Z`.
 *
 * @param text ISO 8601, a day or a day and a time; without a zone it is UTC, without a time it is midnight
 * @throws {RangeError} when it is no such text, or no day of the calendar
 */
export function secondOf(text: string): string {
  const [, day, time = 'T00:00', , , zone = 'Z'] = TIME.exec(text) ?? [];
  const midnight = Date.parse(`${day}T00:00Z`); // 30 February is read as 2 March
  const at = Date.parse(`${day}${time}${zone}`);
  if (Number.isNaN(at) || Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== day)
    throw new RangeError(`no such date: "${text}"; expected ISO 8601, as in 2023-05-17 or 2023-05-17T00:00:00Z`);
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** The date that a query asks for, as {@link overpassQuery} writes it; nothing when it asks for the latest. */
export function dateOf(query: string): string | undefined {
  return /\[date:"([^"]+)"\]/.exec(query)?.[1];
}

const QUERY = /^\[out:json\][^;]*;\s*\(node\(([-\d.,]+)\);way\(([-\d.,]+)\);\);out geom qt;(.*)$/s;

/**
 * The rectangle that a query of {@link overpassQuery} asks for: its inverse.
 *
 * @returns `[west, south, east, north]`, degrees
 * @throws {RangeError} when the query is of another form
 */
export function queryBounds(query: string): Bounds {
  const [, nodes, ways, rest] = QUERY.exec(query) ?? [];
  const numbers = (nodes ?? '').split(',').map(Number);
  const isWhole = nodes !== undefined && nodes === ways && rest.trim() === RELATIONS;
  if (!isWhole || numbers.length !== 4 || !numbers.every(Number.isFinite)) {
    throw new RangeError(`not the query for everything in a rectangle: ${query.replace(/\s+/g, ' ').slice(0, 80)}`);
  }
  const [south, west, north, east] = numbers as Bounds;
  return [west, south, east, north];
}

function floor7(degrees: number): string {
  return (stepsBelow(degrees) / DECIMALS).toFixed(7);
}

function ceil7(degrees: number): string {
  return (-stepsBelow(-degrees) / DECIMALS).toFixed(7);
}

/** Whole ten-millionths of a degree, never above: the multiplication itself may round up past the last digit. */
function stepsBelow(degrees: number): number {
  const steps = Math.floor(degrees * DECIMALS);
  return steps / DECIMALS > degrees ? steps - 1 : steps;
}
