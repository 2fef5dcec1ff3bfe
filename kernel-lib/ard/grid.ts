import type { Polygon } from 'geojson';
import { toLonLat, toUtm } from './projection.ts';

/**
 * A quadkey of the ARD grid of one UTM zone. Not a Web-Mercator quadkey, though it has the same alphabet and length:
 * read as one it points to another continent. Not unique without its zone.
 */
export type ArdQuadkey = string & { readonly quadtree: 'ard' };

/** A quadkey of the Web-Mercator quadtree (Bing, MosaicJSON). See {@link ArdQuadkey} for the other kind. */
export type MercatorQuadkey = string & { readonly quadtree: 'web-mercator' };

/** `[west, south, east, north]`, in metres of the cell's UTM or in degrees; each function says which. */
export type Bounds = [west: number, south: number, east: number, north: number];

/** One level-12 square of the ARD grid, 5 km wide: what a delivered tile covers, its apron apart. */
export interface Cell {
  /** `Z33-031133012203`: the zone in two digits, then twelve digits of quadkey. */
  id: string;
  /** UTM zone, 1 to 60. */
  zone: number;
  /** Southern cells count northings from 10,000,000 m south of the equator. */
  hemisphere: 'N' | 'S';
  quadkey: ArdQuadkey;
  /** 326zz in the north, 327zz in the south. */
  epsg: number;
  /** The cell itself, UTM metres of `epsg`. */
  cellBounds: Bounds;
  /** The delivered tile: the cell and an apron of 156.25 m (512 px) on every side. UTM metres. */
  tileBounds: Bounds;
  /** The cell's four corners, degrees lon, lat, counter-clockwise. */
  geometry: Polygon;
}

const ROOT_WEST = -9_740_000;
const ROOT_NORTH = 10_240_000;
const ROOT_SIDE = 20_480_000;
const FALSE_NORTHING = 10_000_000;
const APRON = 156.25;

/** Zoom of a cell, of a chip, and of one visual pixel (0.30517578125 m). */
export const CELL_ZOOM = 12;
export const CHIP_ZOOM = 18;
export const METRES_PER_PIXEL: number = ROOT_SIDE / 2 ** 26;

/** Pixels: a chip, a cell, the apron on each side, a tile; and chips along a cell's side. */
export const CHIP_PIXELS = 256;
export const CELL_PIXELS = 16_384;
export const APRON_PIXELS = 512;
export const TILE_PIXELS = 17_408;
export const CHIPS_PER_SIDE = 64;

const SQUARE = /^(?:MXRA-)?Z(\d{1,2})-([0-3]+)$|^(\d{1,2})\/([0-3]+)$/i;

function parseSquare(text: string, zoom: number, kind: string): { zone: number; quadkey: ArdQuadkey } {
  const match = SQUARE.exec(text.trim());
  const zone = Number(match?.[1] ?? match?.[3]);
  const quadkey = match?.[2] ?? match?.[4] ?? '';
  if (!match || zone < 1 || zone > 60 || quadkey.length !== zoom) {
    const example = zoom === CELL_ZOOM ? 'Z33-031133012203' : 'Z33-031133012203000000';
    throw new RangeError(
      `unknown ${kind} id "${text}": expected a zone of 1 to 60 and ${zoom} digits of 0 to 3, as in ${example}`,
    );
  }
  return { zone, quadkey: quadkey as ArdQuadkey };
}

/**
 * The cell of an id in any of its spellings: `Z33-…`, `z4-…`, `MXRA-Z4-…` (as STAC writes it), `04/…` (as in paths).
 *
 * @throws {RangeError} when the text is no id of a level-12 cell
 */
export function parseCell(text: string): Cell {
  const { zone, quadkey } = parseSquare(text, CELL_ZOOM, 'cell');
  return cellOf(zone, quadkey);
}

/** The cell of a zone and a quadkey of twelve digits. @throws {RangeError} when there is none. */
export function cellOf(zone: number, quadkey: string): Cell {
  const checked = parseSquare(`${zone}/${quadkey}`, CELL_ZOOM, 'cell').quadkey;
  const hemisphere = checked < '2' ? 'N' : 'S';
  const epsg = (hemisphere === 'N' ? 32600 : 32700) + zone;
  const cellBounds = squareBounds(checked);
  const [west, south, east, north] = cellBounds;
  return {
    id: squareId(zone, checked),
    zone,
    hemisphere,
    quadkey: checked,
    epsg,
    cellBounds,
    tileBounds: [west - APRON, south - APRON, east + APRON, north + APRON],
    geometry: polygonOf(epsg, cellBounds),
  };
}

/** The id of a square at any zoom: `Z<zone, two digits>-<quadkey>`. */
export function squareId(zone: number, quadkey: string): string {
  return `Z${paddedZone(zone)}-${quadkey}`;
}

/** A zone as paths and ids write it: two digits. */
export function paddedZone(zone: number): string {
  return String(zone).padStart(2, '0');
}

/**
 * Bounds of a quadkey of any length, UTM metres; exact in double precision.
 *
 * First digit 0 or 1: north of the equator. 2 or 3: south, where the false northing of 10,000,000 m is added.
 */
export function squareBounds(quadkey: string): Bounds {
  const side = ROOT_SIDE / 2 ** quadkey.length;
  const [x, y] = columnRow(quadkey);
  const west = ROOT_WEST + x * side;
  const north = ROOT_NORTH - y * side + (quadkey < '2' ? 0 : FALSE_NORTHING);
  return [west, north - side, west + side, north];
}

/** Column from the west and row from the north of a quadkey among the 2^length squares of its zoom. */
export function columnRow(quadkey: string): [column: number, row: number] {
  let column = 0;
  let row = 0;
  for (const digit of quadkey) {
    column = column * 2 + (Number(digit) & 1);
    row = row * 2 + (Number(digit) >> 1);
  }
  return [column, row];
}

/** The quadkey of a column and a row at a zoom. @throws {RangeError} outside the grid. */
export function quadkeyAt(column: number, row: number, zoom: number): ArdQuadkey {
  const side = 2 ** zoom;
  if (!(column >= 0 && column < side && row >= 0 && row < side)) {
    throw new RangeError(`no square at column ${column}, row ${row} of zoom ${zoom}: each is from 0 to ${side - 1}`);
  }
  let quadkey = '';
  for (let bit = side / 2; bit >= 1; bit /= 2) {
    quadkey += (Math.floor(column / bit) % 2) + 2 * (Math.floor(row / bit) % 2);
  }
  return quadkey as ArdQuadkey;
}

/** Zone of a longitude: six degrees each, without the exceptions that maps make for Norway and Svalbard. */
export function zoneOf(lon: number): number {
  return (((Math.floor((lon + 180) / 6) % 60) + 60) % 60) + 1;
}

/**
 * The quadkey under a place, in its zone.
 *
 * @param lonLat degrees
 * @param options.zone another zone than the longitude's own: zones overlap at their edges
 * @throws {RangeError} when the place is no longitude and latitude, or lies outside the grid
 */
export function quadkeyUnder(
  [lon, lat]: [lon: number, lat: number],
  { zoom = CELL_ZOOM, zone = zoneOf(lon) }: { zoom?: number; zone?: number } = {},
): ArdQuadkey {
  if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 90)) {
    throw new RangeError(`no such place: lon ${lon}, lat ${lat}; expected degrees, longitude first`);
  }
  const [easting, northing] = toUtm(32600 + zone, [lon, lat]); // north UTM runs on across the equator
  const side = ROOT_SIDE / 2 ** zoom;
  return quadkeyAt(Math.floor((easting - ROOT_WEST) / side), Math.ceil((ROOT_NORTH - northing) / side) - 1, zoom);
}

/** The cell under a place (degrees lon, lat), in the longitude's own zone unless another is given. */
export function cellAt(lonLat: [lon: number, lat: number], zone: number = zoneOf(lonLat[0])): Cell {
  return cellOf(zone, quadkeyUnder(lonLat, { zone }));
}

/** How a cell lies to its zone's six degrees; zones overlap, so the same ground may have a cell in either. */
export type ZoneMembership = 'inside' | 'spans-west-boundary' | 'spans-east-boundary' | 'outside';

/** Whether the cell's four corners lie in the longitudes of its zone, all, some or none of them. */
export function zoneMembership(cell: Cell): ZoneMembership {
  const centralMeridian = cell.zone * 6 - 183;
  const offsets = cell.geometry.coordinates[0].map(([lon]) => lon - centralMeridian);
  const fromMeridian = offsets.map((offset) => offset - 360 * Math.round(offset / 360));
  const west = fromMeridian.some((offset) => offset < -3);
  const east = fromMeridian.some((offset) => offset > 3);
  if (!west && !east) return 'inside';
  if (fromMeridian.every((offset) => Math.abs(offset) > 3)) return 'outside';
  return west ? 'spans-west-boundary' : 'spans-east-boundary';
}

/** The square one zoom (or `levels` zooms) up. @throws {RangeError} above the root. */
export function parent(quadkey: ArdQuadkey, levels = 1): ArdQuadkey {
  if (!(levels >= 0 && levels <= quadkey.length)) {
    throw new RangeError(`no parent ${levels} levels above "${quadkey}", which has ${quadkey.length} digits`);
  }
  return quadkey.slice(0, quadkey.length - levels) as ArdQuadkey;
}

/** The four squares one zoom down, or all those `levels` down: north-west, north-east, south-west, south-east. */
export function children(quadkey: ArdQuadkey, levels = 1): ArdQuadkey[] {
  let squares = [quadkey];
  for (let level = 0; level < levels; level++) {
    squares = squares.flatMap((square) => ['0', '1', '2', '3'].map((digit) => (square + digit) as ArdQuadkey));
  }
  return squares;
}

/** Whether one square holds the other (or is it). */
export function contains(outer: ArdQuadkey, inner: ArdQuadkey): boolean {
  return inner.startsWith(outer);
}

/** The eight directions of {@link neighbours}. */
export type Direction = 'N' | 'NE' | 'E' | 'SE' | 'S' | 'SW' | 'W' | 'NW';

const STEPS: [Direction, number, number][] = [
  ['N', 0, -1], ['NE', 1, -1], ['E', 1, 0], ['SE', 1, 1], ['S', 0, 1], ['SW', -1, 1], ['W', -1, 0], ['NW', -1, -1],
]; // prettier-ignore

/** The eight quadkeys around a square, of the same zone; fewer at the edge of the grid. They carry across the equator. */
export function neighbours(quadkey: ArdQuadkey): Partial<Record<Direction, ArdQuadkey>> {
  const [column, row] = columnRow(quadkey);
  const last = 2 ** quadkey.length - 1;
  const inside = STEPS.map(([name, dx, dy]) => [name, column + dx, row + dy] as const).filter(
    ([, x, y]) => x >= 0 && y >= 0 && x <= last && y <= last,
  );
  return Object.fromEntries(inside.map(([name, x, y]) => [name, quadkeyAt(x, y, quadkey.length)]));
}

/**
 * Smallest longitudes and latitudes that hold the cell's four corners. Degrees.
 *
 * Never misses the cell by more than the bulge of its edges.
 */
export function lonLatBounds(cell: Cell): Bounds {
  return boundsOf(cell.geometry.coordinates[0]);
}

/** Smallest bounds of positions. */
export function boundsOf(positions: number[][]): Bounds {
  const xs = positions.map(([x]) => x);
  const ys = positions.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** Lon/lat ring of a UTM rectangle's corners, counter-clockwise; longitudes run on across the antimeridian. */
export function polygonOf(epsg: number, [west, south, east, north]: Bounds): Polygon {
  const corners: [number, number][] = [[west, north], [west, south], [east, south], [east, north]]; // prettier-ignore
  const ring = corners.map((corner) => toLonLat(epsg, corner));
  const first = ring[0][0];
  const whole = ring.map(([lon, lat]) => [lon - 360 * Math.round((lon - first) / 360), lat]);
  return { type: 'Polygon', coordinates: [[...whole, whole[0]]] };
}
