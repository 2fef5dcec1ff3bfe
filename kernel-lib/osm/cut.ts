import type { Position } from 'geojson';
import { clipPolygon } from 'lineclip';
import { type Bounds, CHIPS_PER_SIDE } from '../ard/index.ts';

// Shapes cut along the borders of a cell's chips.
// Positions are in chips: x columns from the west, y rows from the north.

/** What a shape leaves in each chip: by row × 64 + column. */
export type Ledger = Map<number, number>;

const CELL: Bounds = [0, 0, CHIPS_PER_SIDE, CHIPS_PER_SIDE];

/** Counts a point in its chip. A border belongs to the chip to its east and south. */
export function addPoint([x, y]: Position, ledger: Ledger): void {
  add(ledger, Math.floor(y), Math.floor(x), 1);
}

/**
 * Adds a line's length, in chip sides: borders cut each segment, and the middle of a piece says in whose chip it
 * lies.
 */
export function addLine(line: Position[], ledger: Ledger): void {
  for (let i = 1; i < line.length; i++) {
    const [ax, ay] = line[i - 1] as [number, number];
    const [bx, by] = line[i] as [number, number];
    const length = Math.hypot(bx - ax, by - ay);
    const cuts = [0, ...crossings(ax, bx), ...crossings(ay, by), 1].sort((a, b) => a - b);
    for (let k = 1; k < cuts.length; k++) {
      const middle = (cuts[k - 1] + cuts[k]) / 2;
      const part = length * (cuts[k] - cuts[k - 1]);
      add(ledger, Math.floor(ay + (by - ay) * middle), Math.floor(ax + (bx - ax) * middle), part);
    }
  }
}

/** Where between 0 and 1 a way from a to b passes whole numbers, those of the cell's borders and inside. */
function crossings(a: number, b: number): number[] {
  const first = Math.max(0, Math.ceil(Math.min(a, b)));
  const last = Math.min(CHIPS_PER_SIDE, Math.floor(Math.max(a, b)));
  return a === b || last < first ? [] : Array.from({ length: last - first + 1 }, (_, k) => (first + k - a) / (b - a));
}

/** Adds the share of every chip that a ring covers. @param sign 1 for an outer ring, −1 for a hole */
export function addRing(ring: Position[], sign: 1 | -1, ledger: Ledger): void {
  share(clip(ring, CELL), sign, ledger);
}

/** lineclip's polygon clipping, of an empty ring too. */
export function clip(ring: Position[], box: Bounds): Position[] {
  return ring.length === 0 ? ring : clipPolygon(ring, box);
}

/** Cuts a ring inside the cell in two along a border until one chip is left, or none of those it touches is free. */
function share(ring: Position[], sign: 1 | -1, ledger: Ledger): void {
  const size = areaOf(ring);
  if (size === 0) return;
  const [left, top, right, bottom] = blockOf(ring);
  const columns = right - left;
  const rows = bottom - top;
  if (columns * rows === 1 || size > columns * rows - 1e-9) {
    fill([left, top, right, bottom], (sign * size) / (columns * rows), ledger);
    return;
  }
  const [low, high] = columns >= rows ? halves(left, columns, 0) : halves(top, rows, 1);
  share(clip(ring, low), sign, ledger);
  share(clip(ring, high), sign, ledger);
}

/** The chips that a ring's bounds touch: first column and row, and the ones after the last. */
function blockOf(ring: Position[]): Bounds {
  const block: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of ring as [number, number][]) {
    if (x < block[0]) block[0] = x;
    if (y < block[1]) block[1] = y;
    if (x > block[2]) block[2] = x;
    if (y > block[3]) block[3] = y;
  }
  return [Math.floor(block[0]), Math.floor(block[1]), Math.ceil(block[2]), Math.ceil(block[3])];
}

/** The half planes on either side of the border in the middle: along x (axis 0) or y (axis 1). */
function halves(first: number, count: number, axis: 0 | 1): [Bounds, Bounds] {
  const border = first + (count >> 1);
  const low: Bounds = [-Infinity, -Infinity, Infinity, Infinity];
  const high: Bounds = [...low];
  low[axis + 2] = border;
  high[axis] = border;
  return [low, high];
}

function fill([left, top, right, bottom]: Bounds, amount: number, ledger: Ledger): void {
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) add(ledger, row, column, amount);
  }
}

/** Area inside a ring. @see https://en.wikipedia.org/wiki/Shoelace_formula */
export function areaOf(ring: Position[]): number {
  if (ring.length < 3) return 0;
  const [ox, oy] = ring[0] as [number, number]; // from a corner of its own, so that small rings keep their digits
  let twice = 0;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    twice += (ring[j][0] - ox) * (ring[i][1] - oy) - (ring[i][0] - ox) * (ring[j][1] - oy);
  }
  return Math.abs(twice) / 2;
}

/** Area inside a polygon: the outer ring's less those of the holes. */
export function ringsArea([outer, ...holes]: Position[][]): number {
  return holes.reduce((sum, hole) => sum - areaOf(hole), areaOf(outer));
}

/** Length of a line. */
export function lengthOf(line: Position[]): number {
  let length = 0;
  for (let i = 1; i < line.length; i++) length += Math.hypot(line[i][0] - line[i - 1][0], line[i][1] - line[i - 1][1]);
  return length;
}

/** Nothing is added outside the cell. */
function add(ledger: Ledger, row: number, column: number, amount: number): void {
  if (!(row >= 0 && column >= 0 && row < CHIPS_PER_SIDE && column < CHIPS_PER_SIDE)) return;
  const chip = row * CHIPS_PER_SIDE + column;
  ledger.set(chip, (ledger.get(chip) ?? 0) + amount);
}
