import type { Bounds } from '../ard/index.ts';
import type { Box, Warp } from './warp.ts';

/** A picture that is painted upon. */
export interface Canvas {
  /** Pixels along a side. */
  size: number;
  /** `[row, col, 3]`, 0–255. */
  pixels: Uint8Array;
  /** `[row, col]`: 255 where something is painted. */
  filled: Uint8Array;
  /** Pixels where nothing is yet. */
  left: number;
}

/** Pixels of a level within a rectangle. */
export interface Window {
  /** First column and row of the level. */
  left: number;
  top: number;
  width: number;
  height: number;
  /** `[row, col, 3]`, 0–255. */
  pixels: Uint8Array;
  /** `[row, col]`: 0 where a pixel is not real; undefined where all are. */
  mask: Uint8Array | undefined;
  /** West and north edge of the level, UTM metres. */
  origin: readonly [west: number, north: number];
  /** Metres of one of its pixels. */
  metres: number;
}

export function emptyCanvas(size: number): Canvas {
  return { size, pixels: new Uint8Array(size * size * 3), filled: new Uint8Array(size * size), left: size * size };
}

/** Whether nothing is left to paint in a box. */
export function isFilled({ size, filled, left }: Canvas, box: Box): boolean {
  if (left === 0) return true;
  for (let row = box.top; row < box.bottom; row++) {
    const at = filled.subarray(row * size + box.left, row * size + box.right).indexOf(0);
    if (at >= 0) return false;
  }
  return true;
}

/** Paints one pixel, where nothing is painted yet. */
export function paintPixel(canvas: Canvas, column: number, row: number, colour: ArrayLike<number>): void {
  const at = row * canvas.size + column;
  if (canvas.filled[at]) return;
  canvas.filled[at] = 255;
  canvas.left--;
  canvas.pixels[3 * at] = colour[0];
  canvas.pixels[3 * at + 1] = colour[1];
  canvas.pixels[3 * at + 2] = colour[2];
}

/** A run of pixels along a row of the canvas, and where its first lies in a window. */
interface Run {
  from: number;
  to: number;
  /** Column and row of the window, centres at whole numbers, of the first pixel. */
  u: number;
  v: number;
  /** What they grow by a pixel. */
  du: number;
  dv: number;
}

/**
 * Paints what a window shows within some bounds, where nothing is painted yet; bilinear between the centres of its pixels.
 *
 * A pixel that is not real weighs nothing; where the nearest one is not, nothing is painted.
 *
 * @param box of the canvas that is painted, within the warp's
 * @param bounds UTM metres: a place on their west or north edge belongs to them, one on the east or south edge does not
 */
export function paint(canvas: Canvas, box: Box, warp: Warp, window: Window, bounds: Bounds): void {
  const { origin, metres, left, top } = window;
  const column = (east: number): number => (east - origin[0]) / metres - 0.5 - left;
  const row = (north: number): number => (origin[1] - north) / metres - 0.5 - top;
  const limits: Limits = [column(bounds[0]), row(bounds[3]), column(bounds[2]), row(bounds[1])];
  const work = window.mask ? paintMasked : paintReal;
  for (let y = box.top; y < box.bottom; y++)
    for (const run of runsOf(warp, box, y, column, row)) if (cropped(run, limits)) work(canvas, y * canvas.size, run, window); // prettier-ignore
}

/** One run for each column of the warp's grid that a row of the box touches. */
function* runsOf(
  { box: whole, cells, across, down, east, north }: Warp,
  box: Box,
  y: number,
  columnOf: (east: number) => number,
  rowOf: (north: number) => number,
): Generator<Run> {
  const gridRow = Math.min(cells - 1, Math.floor((y + 0.5 - whole.top) / down));
  const low = (y + 0.5 - whole.top) / down - gridRow;
  const node = (values: Float64Array, column: number): number => {
    const at = gridRow * (cells + 1) + column;
    return values[at] + (values[at + cells + 1] - values[at]) * low;
  };
  for (let column = 0; column < cells; column++) {
    const start = whole.left + column * across;
    const from = Math.max(box.left, Math.ceil(start - 0.5));
    const to = Math.min(box.right, Math.ceil(start + across - 0.5));
    if (from >= to) continue;
    const [u, v] = [columnOf(node(east, column)), rowOf(node(north, column))];
    const du = (columnOf(node(east, column + 1)) - u) / across;
    const dv = (rowOf(node(north, column + 1)) - v) / across;
    yield { from, to, u: u + du * (from + 0.5 - start), v: v + dv * (from + 0.5 - start), du, dv };
  }
}

/** Least column and row, and the ones that are no longer within. */
type Limits = [left: number, top: number, right: number, bottom: number];

/** Shortens a run to what lies within the limits. @returns whether anything is left */
function cropped(run: Run, [left, top, right, bottom]: Limits): boolean {
  const inside = (u: number, v: number): boolean => u >= left && u < right && v >= top && v < bottom;
  while (run.from < run.to && !inside(run.u, run.v)) {
    run.from++;
    run.u += run.du;
    run.v += run.dv;
  }
  let last = run.to - 1 - run.from;
  while (last >= 0 && !inside(run.u + last * run.du, run.v + last * run.dv)) last--;
  run.to = run.from + last + 1;
  return last >= 0;
}

/** Places in a window as whole numbers, 1/65536 of a pixel each: what a tile is wide is off by 0.004 of a pixel at most. */
const ONE = 16;
const fixed = (pixels: number): number => Math.round(pixels * (1 << ONE));

/** The hot loop where all pixels of the window are real: whole numbers, weights of 8 bits. */
function paintReal(canvas: Canvas, start: number, run: Run, { width, height, pixels }: Window): void {
  const { filled, pixels: out } = canvas;
  const [right, bottom, line, end] = [(width - 1) << ONE, (height - 1) << ONE, 3 * width, start + run.to];
  const [du, dv] = [fixed(run.du), fixed(run.dv)];
  let [u, v] = [fixed(run.u), fixed(run.v)];
  let painted = 0;
  for (let at = start + run.from; at < end; at++, u = (u + du) | 0, v = (v + dv) | 0) {
    if (filled[at] !== 0) continue;
    const x = u < 0 ? 0 : u > right ? right : u;
    const y = v < 0 ? 0 : v > bottom ? bottom : v;
    const fx = (x >> 8) & 255;
    const fy = (y >> 8) & 255;
    const a = Math.imul(y >> ONE, line) + Math.imul(x >> ONE, 3);
    const b = x < right ? a + 3 : a;
    const c = y < bottom ? a + line : a;
    const d = (c + b - a) | 0;
    const wd = Math.imul(fx, fy);
    const wc = (fy << 8) - wd;
    const wb = (fx << 8) - wd;
    const wa = 65536 - wb - wc - wd;
    const to = Math.imul(3, at);
    for (let band = 0; band < 3; band++) {
      const sum = Math.imul(pixels[a + band], wa) + Math.imul(pixels[b + band], wb) + Math.imul(pixels[c + band], wc) + Math.imul(pixels[d + band], wd); // prettier-ignore
      out[to + band] = (sum + 32768) >>> 16;
    }
    filled[at] = 255;
    painted++;
  }
  canvas.left -= painted;
}

/** The same where some are not real. */
function paintMasked(canvas: Canvas, start: number, run: Run, { width, height, pixels, mask }: Window): void {
  if (!mask) return;
  const { filled, pixels: out } = canvas;
  const [right, bottom] = [width - 1, height - 1];
  for (let at = start + run.from, k = 0; at < start + run.to; at++, k++) {
    if (filled[at] !== 0) continue;
    const x = Math.min(right, Math.max(0, run.u + k * run.du));
    const y = Math.min(bottom, Math.max(0, run.v + k * run.dv));
    if (mask[Math.round(y) * width + Math.round(x)] === 0) continue;
    const [i, j] = [x | 0, y | 0];
    const a = j * width + i;
    const b = i < right ? a + 1 : a;
    const c = j < bottom ? a + width : a;
    const d = c + b - a;
    const [fx, fy] = [x - i, y - j];
    const wa = mask[a] ? (1 - fx) * (1 - fy) : 0;
    const wb = mask[b] ? fx * (1 - fy) : 0;
    const wc = mask[c] ? (1 - fx) * fy : 0;
    const wd = mask[d] ? fx * fy : 0;
    const sum = wa + wb + wc + wd;
    for (let band = 0; band < 3; band++)
      out[3 * at + band] = (pixels[3 * a + band] * wa + pixels[3 * b + band] * wb + pixels[3 * c + band] * wc + pixels[3 * d + band] * wd) / sum + 0.5; // prettier-ignore
    filled[at] = 255;
    canvas.left--;
  }
}
