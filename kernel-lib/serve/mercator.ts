import type { Bounds } from '../ard/index.ts';

/** A square of the Web-Mercator quadtree, as XYZ counts: x from the west, y from the north. */
export interface MapTile {
  z: number;
  x: number;
  y: number;
}

const RADIUS = 6_378_137;
/** Half the side of the Web-Mercator square, metres. */
export const HALF: number = Math.PI * RADIUS;
/** Metres of one pixel of 256 at zoom 0. */
export const ZOOM_0: number = (2 * HALF) / 256;
/** Where the square ends, degrees. */
export const MOST_LAT = 85.051_128_779_806_59;
/** Finest zoom that is answered: 7 cm at the equator, a quarter of an ARD pixel. */
export const MOST_ZOOM = 22;
/** The zoom whose pixels are about as fine as those of a visual raster. */
export const NATIVE_ZOOM = 19;

/** Degrees to Web-Mercator metres (EPSG:3857). Latitudes beyond the square are taken to its edge. */
export function toMercator([lon, lat]: readonly number[]): [x: number, y: number] {
  const within = Math.max(-MOST_LAT, Math.min(MOST_LAT, lat));
  return [(lon * HALF) / 180, RADIUS * Math.log(Math.tan(Math.PI / 4 + (within * Math.PI) / 360))];
}

/** Web-Mercator metres to degrees lon, lat. */
export function fromMercator([x, y]: readonly number[]): [lon: number, lat: number] {
  return [(x * 180) / HALF, (360 / Math.PI) * Math.atan(Math.exp(y / RADIUS)) - 90];
}

/** What a map tile covers, Web-Mercator metres. */
export function mapTileBounds({ z, x, y }: MapTile): Bounds {
  const side = (2 * HALF) / 2 ** z;
  return [x * side - HALF, HALF - (y + 1) * side, (x + 1) * side - HALF, HALF - y * side];
}

/** The map tile under a place, degrees lon, lat. */
export function mapTileAt(lonLat: readonly number[], z: number): MapTile {
  const side = (2 * HALF) / 2 ** z;
  const [x, y] = toMercator(lonLat);
  const inside = (at: number): number => Math.max(0, Math.min(2 ** z - 1, Math.floor(at)));
  return { z, x: inside((x + HALF) / side), y: inside((HALF - y) / side) };
}

/** Whether a map tile is one of the 4^z that its zoom has. */
export function isMapTile({ z, x, y }: MapTile): boolean {
  const side = 2 ** z;
  return z >= 0 && z <= MOST_ZOOM && x >= 0 && x < side && y >= 0 && y < side;
}
