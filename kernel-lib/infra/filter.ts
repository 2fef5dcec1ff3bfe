import { setting } from './settings.ts';
import { type BareTile, type Bounds, type Tile, lonLatBounds } from '../ard/index.ts';

/** Which tiles of a delivery are wanted. */
export interface TileFilter {
  /** Only this UTM zone. Default: every zone of the delivery. */
  zone?: number | undefined;
  /** Only cells whose quadkey begins so: `0311`. Default: all. */
  quadkey?: string | undefined;
  /** Only cells that this box touches: `[west, south, east, north]`, degrees. Default: all. */
  bbox?: Bounds | undefined;
  /** Only acquisitions of this UTC day or later, `2023-05-01`. Default: all. */
  since?: string | undefined;
  /** Only acquisitions of this UTC day or before, `2023-05-31`. Default: all. */
  until?: string | undefined;
  /** Only tiles with no more of their data under cloud, percent, 0 to 100. Default: all. */
  maxCloudPercent?: number | undefined;
  /** Only acquisitions from no further aside, degrees from nadir, 0 to 90. Default: all. */
  maxOffNadir?: number | undefined;
  /** Only tiles with at least this share of real pixels, 0 to 1. Default: all. */
  minFilled?: number | undefined;
}

/**
 * The filter that the environment asks for: IMAGESIM_QUADKEY, IMAGESIM_BBOX (`w,s,e,n`), IMAGESIM_SINCE, IMAGESIM_UNTIL,
 * IMAGESIM_MAX_CLOUD (percent), IMAGESIM_MAX_OFF_NADIR (degrees), IMAGESIM_MIN_FILLED (share). What is not set asks for nothing.
 *
 * @throws {RangeError} naming the variable that means nothing
 */
export function tileFilter(): TileFilter {
  const word = (name: string): string | undefined => setting(name, '') || undefined;
  const number = (name: string): number | undefined => (word(name) === undefined ? undefined : setting(name, 0));
  const filter = {
    quadkey: word('IMAGESIM_QUADKEY'),
    bbox: word('IMAGESIM_BBOX')?.split(',').map(Number) as Bounds | undefined,
    since: word('IMAGESIM_SINCE'),
    until: word('IMAGESIM_UNTIL'),
    maxCloudPercent: number('IMAGESIM_MAX_CLOUD'),
    maxOffNadir: number('IMAGESIM_MAX_OFF_NADIR'),
    minFilled: number('IMAGESIM_MIN_FILLED'),
  };
  checkFilter(filter);
  return filter;
}

/**
 * Refuses a filter that can mean nothing.
 *
 * @throws {RangeError} naming the part, what was found and what was expected
 */
export function checkFilter(filter: TileFilter): void {
  const { quadkey, bbox, since, until, maxCloudPercent, maxOffNadir, minFilled } = filter;
  if (quadkey !== undefined && !/^[0-3]{1,12}$/.test(quadkey)) refuse('quadkey', quadkey, '1 to 12 digits of 0 to 3');
  if (bbox && !isBox(bbox)) refuse('bbox', bbox.join(','), 'west,south,east,north in degrees, west < east, south < north');
  for (const [name, day] of [['since', since], ['until', until]] as const)
    if (day !== undefined && !isDay(day)) refuse(name, day, 'a day, as 2023-05-01');
  if (since && until && since > until) refuse('since', since, `a day no later than ${until}`);
  if (maxCloudPercent !== undefined && !(maxCloudPercent >= 0 && maxCloudPercent <= 100))
    refuse('max cloud', maxCloudPercent, 'a percentage of 0 to 100');
  if (maxOffNadir !== undefined && !(maxOffNadir >= 0 && maxOffNadir <= 90))
    refuse('max off nadir', maxOffNadir, 'degrees, 0 to 90');
  if (minFilled !== undefined && !(minFilled >= 0 && minFilled <= 1)) refuse('min filled', minFilled, 'a share of 0 to 1');
} // prettier-ignore

function refuse(what: string, found: string | number, expected: string): never {
  throw new RangeError(`${what} is ${found}: expected ${expected}`);
}

function isBox(box: Bounds): boolean {
  const [west, south, east, north] = box;
  if (box.length !== 4) return false;
  return west >= -180 && west < east && east <= 180 && south >= -90 && south < north && north <= 90;
}

function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

/** Whether a tile is wanted, as far as its name tells. */
export function isWanted({ cell, date }: BareTile, { zone, quadkey, bbox, since, until }: TileFilter): boolean {
  return (
    (zone === undefined || cell.zone === zone) &&
    cell.quadkey.startsWith(quadkey ?? '') &&
    (!bbox || touches(lonLatBounds(cell), bbox)) &&
    (!since || date >= since) &&
    (!until || date <= until)
  );
}

/** Whether two rectangles of degrees have ground in common; a common edge is none. */
export function touches([west, south, east, north]: Bounds, box: Bounds): boolean {
  return west < box[2] && east > box[0] && south < box[3] && north > box[1];
}

/** Why a tile is not wanted, as its STAC item tells; empty where it is. What an item does not state cannot be vouched for. */
export function whyUnfit({ metadata }: Tile, { maxCloudPercent, maxOffNadir, minFilled }: TileFilter): string {
  const { cloudPercent, offNadir, filled } = metadata ?? {};
  if (maxCloudPercent !== undefined) {
    if (cloudPercent === undefined) return 'its STAC item states no cloud, or there is none';
    if (cloudPercent > maxCloudPercent) return `${cloudPercent} % cloud`;
  }
  if (maxOffNadir !== undefined) {
    if (offNadir === undefined) return 'its STAC item states no angle from nadir, or there is none';
    if (offNadir > maxOffNadir) return `${offNadir}° from nadir`;
  }
  if (minFilled !== undefined) {
    if (filled === undefined) return 'its STAC item states no data area, or there is none';
    if (filled < minFilled) return `${(filled * 100).toFixed(0)} % filled`;
  }
  return '';
}
