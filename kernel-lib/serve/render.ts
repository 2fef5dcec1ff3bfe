import type { Bounds } from '../ard/index.ts';
import { type Canvas, type Window, isFilled, paint, paintPixel } from './canvas.ts';
import type { Catalogue, Hit } from './catalogue.ts';
import type { Ground } from './ground.ts';
import { OVERVIEW_METRES } from './overviews.ts';
import type { Selection } from './selection.ts';
import { type Box, type View, type Warp, lonLatIn, metresPerPixelOf, placeIn, warpOf } from './warp.ts';

/** Where a cell lies in a view. */
interface Part {
  box: Box;
  warp: Warp;
  /** Metres on the ground of a pixel. */
  metres: number;
  /** The cell is smaller than a pixel either way. */
  isPoint: boolean;
}

/** Windows that are read ahead of the painting. */
type Ahead = Map<number, Window | undefined | Promise<Window | undefined>>;

/**
 * Paints what a selection shows in a view.
 *
 * Tile after tile is painted where nothing is yet, in the order of the selection, each within its own cell. A cell smaller
 * than a pixel is painted as one, so that it never vanishes between the pixels' centres.
 *
 * @throws {NotReadyError} where overviews are needed that are not there yet
 */
export async function render(
  canvas: Canvas,
  view: View,
  catalogue: Catalogue,
  selection: Selection,
  ground: Ground,
): Promise<void> {
  const side = view.size * view.metres;
  const bounds: Bounds = [view.west, view.north - side, view.west + side, view.north];
  const hits = catalogue.find(bounds);
  const order = catalogue.ordered(hits, selection);
  if (order.length === 0) return;
  const parts = partsOf(view, hits);
  const inView = order.filter((index) => parts.has(index));
  const metres = Math.min(...inView.map((index) => parts.get(index)?.metres ?? Infinity));
  ground.check(firsts(inView, catalogue), metres);
  const read = (index: number, { box, warp, metres: wanted }: Part): ReturnType<Ground['read']> =>
    ground.read(index, boundsUnder(box, warp, catalogue.tiles[index].cell.cellBounds, wanted), wanted);
  const ahead: Ahead = new Map();
  for (const index of firsts(inView, catalogue)) ahead.set(index, quiet(read(index, parts.get(index) as Part)));
  try {
    for (const index of inView) {
      const part = parts.get(index) as Part;
      if (canvas.left === 0) break;
      if (isFilled(canvas, part.box)) continue;
      const coming = ahead.has(index) ? ahead.get(index) : read(index, part);
      const window = coming instanceof Promise ? await coming : coming;
      if (window) show(canvas, part, window, catalogue.tiles[index].cell.cellBounds);
    }
  } finally {
    await Promise.allSettled([...ahead.values()].map(async (coming) => coming)); // nothing is read any more when this has ended
  }
}

/** A promise whose failure is told to who awaits it, and to nobody before. */
function quiet<Result>(coming: Result): Result {
  if (coming instanceof Promise) coming.catch(() => undefined);
  return coming;
}

/** Of each cell the tile that is painted first. */
function firsts(order: readonly number[], { tiles }: Catalogue): number[] {
  const seen = new Set<string>();
  return order.filter((index) => {
    const { id } = tiles[index].cell;
    return !seen.has(id) && seen.add(id);
  });
}

function show(canvas: Canvas, { box, warp, isPoint }: Part, window: Window, cell: Bounds): void {
  if (!isPoint) return paint(canvas, box, warp, window, cell);
  paintPixel(canvas, box.left, box.top, window.pixels);
}

/** For each tile where its cell lies; nothing of a cell that touches the view only with its bounds. */
function partsOf(view: View, hits: readonly Hit[]): Map<number, Part> {
  const warps = new Map<number, Warp>();
  const parts = new Map<number, Part>();
  for (const hit of hits) {
    const part = partOf(view, hit, warps);
    if (part) for (const index of hit.place.tiles) if (!parts.has(index)) parts.set(index, part);
  }
  return parts;
}

function partOf(view: View, { place, bounds }: Hit, warps: Map<number, Warp>): Part | undefined {
  const { size, west, north, metres } = view;
  const [left, right] = [(bounds[0] - west) / metres, (bounds[2] - west) / metres];
  const [top, bottom] = [(north - bounds[3]) / metres, (north - bounds[1]) / metres];
  const { epsg } = place.cell;
  if (right - left < 1 || bottom - top < 1) {
    const [column, row] = [Math.floor((left + right) / 2), Math.floor((top + bottom) / 2)];
    if (column < 0 || row < 0 || column >= size || row >= size) return undefined;
    const box = { left: column, top: row, right: column + 1, bottom: row + 1 };
    return { box, warp: POINT, metres: Infinity, isPoint: true };
  }
  const box = {
    left: Math.max(0, Math.floor(left)),
    top: Math.max(0, Math.floor(top)),
    right: Math.min(size, Math.ceil(right)),
    bottom: Math.min(size, Math.ceil(bottom)),
  };
  if (box.left >= box.right || box.top >= box.bottom) return undefined;
  const isCoarse = groundMetres(view, box) >= OVERVIEW_METRES;
  const whole = { left: 0, top: 0, right: size, bottom: size };
  const warp = isCoarse ? warpOf(view, box, epsg, 1) : (warps.get(epsg) ?? warpOf(view, whole, epsg));
  if (!isCoarse) warps.set(epsg, warp);
  return { box, warp, metres: metresPerPixelOf(warp), isPoint: false };
}

const POINT: Warp = { box: { left: 0, top: 0, right: 1, bottom: 1 }, cells: 1, across: 1, down: 1, east: new Float64Array(4), north: new Float64Array(4) }; // prettier-ignore

/** Metres on the ground of a pixel in the middle of a box, about. */
function groundMetres(view: View, { left, top, right, bottom }: Box): number {
  const [, lat] = lonLatIn(view, (left + right) / 2, (top + bottom) / 2);
  return view.metres * Math.cos((lat * Math.PI) / 180);
}

/** UTM bounds of a box, within a cell; edges are looked at where the warp's grid has its nodes. */
function boundsUnder(box: Box, warp: Warp, cell: Bounds, metres: number): Bounds {
  const bounds: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  const xs = stops(box.left, box.right, warp.box.left, warp.across);
  const ys = stops(box.top, box.bottom, warp.box.top, warp.down);
  for (const y of ys) {
    for (const x of xs) {
      const [east, north] = placeIn(warp, x, y);
      bounds[0] = Math.min(bounds[0], east);
      bounds[1] = Math.min(bounds[1], north);
      bounds[2] = Math.max(bounds[2], east);
      bounds[3] = Math.max(bounds[3], north);
    }
  }
  return [
    Math.max(bounds[0], cell[0]) - metres,
    Math.max(bounds[1], cell[1]) - metres,
    Math.min(bounds[2], cell[2]) + metres,
    Math.min(bounds[3], cell[3]) + metres,
  ];
}

/** Both ends of a stretch and the nodes between. */
function stops(from: number, to: number, start: number, step: number): number[] {
  const first = Math.floor((from - start) / step) + 1;
  const count = Math.max(0, Math.ceil((to - start) / step) - first);
  return [from, ...Array.from({ length: count }, (_, node) => start + (first + node) * step), to];
}
