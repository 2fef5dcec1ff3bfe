/** Which rows of the store may be an answer. */
import { type Bounds, boundsOf } from '../ard/index.ts';
import { type Area, isInside, polygonsOf } from './area.ts';
import type { Columns } from './store/columns.ts';

/** What an answer has to be. A chip lies where its centre does. */
export interface SearchFilter {
  /** `[west, south, east, north]`, degrees; across the antimeridian west is above east, as RFC 7946 has it. Default: anywhere. */
  bbox?: Bounds | undefined;
  /** GeoJSON of one or more polygons, degrees; holes are left out. Default: anywhere. */
  within?: Area | undefined;
  /** Ids of cells, or their beginnings: `Z33-0311`. Default: any. */
  cells?: readonly string[] | undefined;
  /** First and last day, as `2023-05-01`. Default: any. */
  since?: string | undefined;
  until?: string | undefined;
  /** Tags, all of which it has. Default: none is asked for. */
  tags?: readonly string[] | undefined;
  /** Percent; where the cloud is not known, it is no answer. Default: any. */
  maxCloud?: number | undefined;
  /** Degrees off the vertical; where they are not known, it is no answer. Default: any. */
  maxOffNadir?: number | undefined;
  /** Metres from every place asked with within which nothing is an answer. Default: 0. */
  awayMetres?: number | undefined;
}

/** Where a question was asked from. */
export interface Origin {
  /** Squares that are no answer. */
  ids: ReadonlySet<string>;
  /** Places that distances are from, degrees. */
  places: readonly (readonly [lon: number, lat: number])[];
}

/** Whether a filter leaves out more than what lies around the question. */
export function isSelective(filter: SearchFilter): boolean {
  return Object.entries(filter).some(([name, value]) => name !== 'awayMetres' && value !== undefined);
}

/**
 * Rows that may be an answer, in order.
 *
 * @param among rows to look at. Default: all
 * @throws {RangeError} naming the part of the filter that means nothing
 */
export function sift(columns: Columns, filter: SearchFilter, origin: Origin, among?: readonly number[]): Uint32Array {
  checkSearchFilter(filter);
  const tests = testsOf(columns, filter, origin);
  const n = among?.length ?? columns.n;
  const left = new Uint32Array(n);
  let count = 0;
  for (let at = 0; at < n; at++) {
    const row = among ? among[at] : at;
    if (tests.every((test) => test(row))) left[count++] = row;
  }
  return left.subarray(0, count);
}

type Test = (row: number) => boolean;

function testsOf(columns: Columns, filter: SearchFilter, { ids, places }: Origin): Test[] {
  const { lons, lats, dates, clouds, offNadirs } = columns;
  const { bbox, within, cells, since, until, tags, maxCloud, maxOffNadir, awayMetres = 0 } = filter;
  const tests: Test[] = [];
  if (since !== undefined) tests.push((row) => dates[row] >= since);
  if (until !== undefined) tests.push((row) => dates[row] <= until);
  if (maxCloud !== undefined) tests.push((row) => clouds[row] <= maxCloud);
  if (maxOffNadir !== undefined) tests.push((row) => offNadirs[row] <= maxOffNadir);
  if (bbox) tests.push((row) => inBox(bbox, lons[row], lats[row]));
  if (cells) tests.push((row) => cells.some((cell) => columns.ids[row].startsWith(cell)));
  for (const tag of tags ?? []) tests.push(hasTag(columns, tag));
  if (within) tests.push(isWithin(columns, within));
  if (ids.size > 0) tests.push((row) => !ids.has(columns.ids[row]));
  if (awayMetres > 0) tests.push((row) => places.every((place) => isFarther(place, lons[row], lats[row], awayMetres)));
  return tests;
}

/** @see RFC 7946, 5.2 */
function inBox([west, south, east, north]: Bounds, lon: number, lat: number): boolean {
  if (lat < south || lat > north) return false;
  const past = west > east ? east + 360 : east;
  return [lon - 360, lon, lon + 360].some((each) => each >= west && each <= past);
}

function hasTag({ tagNames, tagStarts, tags }: Columns, name: string): Test {
  const wanted = tagNames.indexOf(name);
  return (row) => {
    for (let at = tagStarts[row]; at < tagStarts[row + 1]; at++) if (tags[at] === wanted) return true;
    return false;
  };
}

function isWithin({ lons, lats }: Columns, area: Area): Test {
  const polygons = polygonsOf(area).map((rings) => ({ rings, box: boundsOf(rings[0]) }));
  return (row) =>
    polygons.some(({ rings, box }) => inBox(box, lons[row], lats[row]) && isInside(rings, lons[row], lats[row]));
}

const EARTH_RADIUS = 6_371_008.8;
const radians = (degrees: number): number => (degrees * Math.PI) / 180;

/** Metres between two places on a sphere of the earth's mean radius: true to 0.5 %. */
export function metresBetween([lon, lat]: readonly [number, number], [x, y]: readonly [number, number]): number {
  const across = Math.cos(radians(lat)) * Math.cos(radians(y)) * Math.sin(radians(x - lon) / 2) ** 2;
  return 2 * EARTH_RADIUS * Math.asin(Math.min(1, Math.sqrt(Math.sin(radians(y - lat) / 2) ** 2 + across)));
}

function isFarther(place: readonly [number, number], lon: number, lat: number, metres: number): boolean {
  if (radians(Math.abs(lat - place[1])) * EARTH_RADIUS > metres) return true; // most rows need no more
  return metresBetween(place, [lon, lat]) > metres;
}

/** @throws {RangeError} naming the part that means nothing, what was found and what was expected */
function checkSearchFilter({ bbox, since, until, maxCloud, maxOffNadir, awayMetres, cells }: SearchFilter): void {
  if (bbox && !(bbox.length === 4 && bbox.every(Number.isFinite) && bbox[0] !== bbox[2] && bbox[1] < bbox[3]))
    refuse(
      'bbox',
      bbox.join(','),
      'west,south,east,north in degrees, south < north, west < east but across the antimeridian',
    );
  for (const [name, day] of Object.entries({ since, until }))
    if (day !== undefined && !isDay(day)) refuse(name, day, 'a day, as 2023-05-01');
  if (since !== undefined && until !== undefined && since > until) refuse('since', since, `a day no later than ${until}`); // prettier-ignore
  if (maxCloud !== undefined && !(maxCloud >= 0 && maxCloud <= 100)) refuse('maxCloud', maxCloud, 'percent, 0 to 100');
  if (maxOffNadir !== undefined && !(maxOffNadir >= 0 && maxOffNadir <= 90)) refuse('maxOffNadir', maxOffNadir, 'degrees, 0 to 90'); // prettier-ignore
  if (awayMetres !== undefined && !(awayMetres >= 0)) refuse('awayMetres', awayMetres, 'metres, 0 or more');
  const odd = cells?.find((cell) => !/^Z\d{2}-[0-3]{0,18}$/.test(cell));
  if (odd !== undefined) refuse('cells', odd, 'ids of cells or their beginnings, as Z33-0311');
}

function isDay(text: string): boolean {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T00:00:00Z`) : undefined;
  return time !== undefined && !Number.isNaN(time.getTime()) && time.toISOString().startsWith(text); // of 31 June comes 1 July
}

function refuse(what: string, found: string | number, expected: string): never {
  throw new RangeError(`${what} is ${found}: expected ${expected}`);
}
