import { toUtm } from '../ard/index.ts';
import { type MapTile, ZOOM_0, fromMercator, mapTileBounds } from './mercator.ts';

/** A picture of ground in Web Mercator: where its pixels lie. */
export interface View {
  /** Pixels along a side. */
  size: number;
  /** West and north edge, Web-Mercator metres. */
  west: number;
  north: number;
  /** Web-Mercator metres of a pixel. */
  metres: number;
}

/** A rectangle of pixels: first column and row, and the ones after the last. */
export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Where the pixels of a box lie in UTM: exact at the nodes of a grid, interpolated between them. */
export interface Warp {
  box: Box;
  /** Grid cells along a side. */
  cells: number;
  /** Pixels of a grid cell. */
  across: number;
  down: number;
  /** UTM metres of each node, `[row, col]`, `(cells + 1)²`. */
  east: Float64Array;
  north: Float64Array;
}

/** Largest error of an interpolated place that is let pass, pixels of the view: gdalwarp allows 0.125. */
export const TOLERANCE = 0.1;
const MOST_CELLS = 64;

/** The view of a map tile. @param size pixels along its side. Default 256 */
export function viewOf(tile: MapTile, size = 256): View {
  const [west, , , north] = mapTileBounds(tile);
  return { size, west, north, metres: (ZOOM_0 * 256) / size / 2 ** tile.z };
}

/** Degrees lon, lat of a place in a view, pixels from its north-west corner. */
export function lonLatIn({ west, north, metres }: View, x: number, y: number): [lon: number, lat: number] {
  return fromMercator([west + x * metres, north - y * metres]);
}

/**
 * Finds where the pixels of a box lie in a UTM zone.
 *
 * Places between the nodes are interpolated bilinearly. In the middle of each grid cell, where that errs most, the exact
 * place is computed too: the grid is made finer until none errs by more than {@link TOLERANCE}.
 *
 * @param epsg of the UTM zone
 * @param cells of the first grid along a side. Default 4
 * @throws {RangeError} when no grid of 64 × 64 is fine enough: the box lies too far from the zone
 */
export function warpOf(view: View, box: Box, epsg: number, cells = 4): Warp {
  for (let side = cells; side <= MOST_CELLS; side *= 2) {
    const warp = gridOf(view, box, epsg, side);
    if (errorOf(view, warp, epsg) <= TOLERANCE) return warp;
  }
  throw new RangeError(`pixels ${box.left}–${box.right} of a view of ${view.metres} m lie too far from EPSG:${epsg}`);
}

function gridOf(view: View, box: Box, epsg: number, cells: number): Warp {
  const [across, down] = [(box.right - box.left) / cells, (box.bottom - box.top) / cells];
  const [east, north] = [new Float64Array((cells + 1) ** 2), new Float64Array((cells + 1) ** 2)];
  for (let row = 0, at = 0; row <= cells; row++) {
    for (let column = 0; column <= cells; column++, at++) {
      const place = lonLatIn(view, box.left + column * across, box.top + row * down);
      [east[at], north[at]] = toUtm(epsg, place);
    }
  }
  return { box, cells, across, down, east, north };
}

/** The largest error in the middle of a grid cell, pixels of the view. */
function errorOf(view: View, warp: Warp, epsg: number): number {
  const { box, cells, across, down } = warp;
  let most = 0;
  for (let row = 0; row < cells; row++) {
    for (let column = 0; column < cells; column++) {
      const [x, y] = [box.left + (column + 0.5) * across, box.top + (row + 0.5) * down];
      const [east, north] = toUtm(epsg, lonLatIn(view, x, y));
      const [nearEast, nearNorth] = placeIn(warp, x, y);
      most = Math.max(most, Math.hypot(east - nearEast, north - nearNorth));
    }
  }
  return most / metresPerPixelOf(warp);
}

/** UTM metres of a place in a box, pixels of the view, interpolated. */
export function placeIn({ box, cells, across, down, east, north }: Warp, x: number, y: number): [number, number] {
  const [column, row] = [(x - box.left) / across, (y - box.top) / down];
  const at = Math.min(cells - 1, Math.floor(row)) * (cells + 1) + Math.min(cells - 1, Math.floor(column));
  const [right, low] = [column - Math.min(cells - 1, Math.floor(column)), row - Math.min(cells - 1, Math.floor(row))];
  const mix = (values: Float64Array): number => {
    const above = values[at] + (values[at + 1] - values[at]) * right;
    const below = values[at + cells + 1] + (values[at + cells + 2] - values[at + cells + 1]) * right;
    return above + (below - above) * low;
  };
  return [mix(east), mix(north)];
}

/** Metres on the ground of a pixel in the middle of the box: the finer of its two sides. */
export function metresPerPixelOf({ cells, across, down, east, north }: Warp): number {
  const corner = (cells >> 1) * (cells + 2) - (cells > 1 ? cells + 2 : 0);
  const below = corner + cells + 1;
  const along = Math.hypot(east[corner + 1] - east[corner], north[corner + 1] - north[corner]) / across;
  const aside = Math.hypot(east[below] - east[corner], north[below] - north[corner]) / down;
  return Math.min(along, aside);
}
