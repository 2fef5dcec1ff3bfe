import type { Position } from 'geojson';
import type { Bounds } from '../ard/index.ts';
import { areaOf, clip, ringsArea } from './cut.ts';

// Polygons cut by a rectangle into polygons that are whole and apart, x to the east and y to the north.
// lineclip's own cut, Sutherland and Hodgman's, joins what it parts by bridges along the rectangle: right for areas,
// wrong for a map.

/** Less than this share of the rectangle is rounding. */
const ROUNDING = 1e-9;
/** Parts smaller than this share of the rectangle come of rounding alone: hairs along the border. */
const HAIR = 1e-12;

/** The rectangle as a walk: counter-clockwise from its south-west corner. */
interface Border {
  /** Metres along the border of a place on it. */
  along: (place: Position) => number;
  /** Metres from one place of the walk on to another. */
  ahead: (from: number, to: number) => number;
  corners: Position[];
}

/**
 * A polygon inside a rectangle: none, or several when the rectangle parts it.
 *
 * Pieces of its rings that lie inside are joined along the border, its inside on their left. A ring that crosses itself
 * has no such side; what it leaves is then cut with bridges, its area right all the same.
 *
 * @param rings the outer one, then holes; closed, in either direction
 * @returns polygons with closed rings, outer ones counter-clockwise, holes clockwise
 * @see Weiler and Atherton 1977, SIGGRAPH 11(2) 214–222
 */
export function clipPolygon(rings: Position[][], box: Bounds): Position[][][] {
  const sided = rings.map((ring, index) => turned(ring, index === 0));
  if (isInside(sided[0], box)) return [sided];
  const [, ...holes] = sided;
  const free = holes.filter((hole) => isInside(hole, box));
  const cut = sided.filter((ring) => !free.includes(ring));
  const outers = joined(cut.flatMap((ring) => piecesOf(ring, box)), box); // prettier-ignore
  const expected = ringsArea(cut.map((ring) => clip(ring, box)));
  const size = areaOf(cornersOf(box));
  if (outers.length === 0 && expected > size / 2) outers.push([...cornersOf(box), cornersOf(box)[0]]);
  const found = outers.reduce((sum, outer) => sum + areaOf(outer), 0);
  if (Math.abs(found - expected) > ROUNDING * size) return bridged(sided, box);
  return withHoles(outers.filter((outer) => areaOf(outer) > HAIR * size), free); // prettier-ignore
}

/** A ring counter-clockwise, or clockwise. */
function turned(ring: Position[], counterClockwise: boolean): Position[] {
  return signedArea(ring) > 0 === counterClockwise ? ring : ring.toReversed();
}

/** Twice the area, positive when counter-clockwise. */
function signedArea(ring: Position[]): number {
  const [ox, oy] = ring[0];
  return ring.reduce((sum, [x, y], i) => {
    const [u, v] = ring[(i + 1) % ring.length];
    return sum + (x - ox) * (v - oy) - (u - ox) * (y - oy);
  }, 0);
}

/** Whether all places lie within, none on the border. */
export function isInside(places: Position[], [west, south, east, north]: Bounds): boolean {
  return places.every(([x, y]) => x > west && x < east && y > south && y < north);
}

/** The stretches of a ring strictly inside, each from border to border. What runs along the border is left out. */
function piecesOf(ring: Position[], box: Bounds): Position[][] {
  const first = ring.findIndex((place) => !isInside([place], box));
  const places = [...ring.slice(first, -1), ...ring.slice(0, first + 1)];
  const pieces: Position[][] = [];
  for (let i = 1, within = false; i < places.length; i++) {
    const [a, b] = [places[i - 1], places[i]];
    const [enter, leave] = stretch(a, b, box);
    if (enter >= leave) continue;
    if (!within) pieces.push([snapped(between(a, b, enter), box)]);
    within = isInside([b], box);
    pieces.at(-1)!.push(within ? b : snapped(between(a, b, leave), box));
  }
  return pieces;
}

/** Where between 0 and 1 the way from a to b is strictly inside. */
function stretch([ax, ay]: Position, [bx, by]: Position, [west, south, east, north]: Bounds): [number, number] {
  const [x0, x1] = span(ax, bx, west, east);
  const [y0, y1] = span(ay, by, south, north);
  return [Math.max(0, x0, y0), Math.min(1, x1, y1)];
}

function span(a: number, b: number, low: number, high: number): [number, number] {
  if (a === b) return a > low && a < high ? [-Infinity, Infinity] : [Infinity, -Infinity];
  const [p, q] = [(low - a) / (b - a), (high - a) / (b - a)];
  return p < q ? [p, q] : [q, p];
}

function between([ax, ay]: Position, [bx, by]: Position, part: number): Position {
  if (part === 0 || part === 1) return part === 0 ? [ax, ay] : [bx, by];
  return [ax + (bx - ax) * part, ay + (by - ay) * part];
}

/** A place at the border, put exactly on it. */
function snapped([x, y]: Position, [west, south, east, north]: Bounds): Position {
  const gaps = [y - south, east - x, north - y, x - west].map(Math.abs);
  const side = gaps.indexOf(Math.min(...gaps));
  const [u, v] = [Math.min(Math.max(x, west), east), Math.min(Math.max(y, south), north)];
  return side % 2 === 0 ? [u, side === 0 ? south : north] : [side === 1 ? east : west, v];
}

/** Closes pieces to rings: from the end of each along the border, counter-clockwise, to where the next one begins. */
function joined(pieces: Position[][], box: Bounds): Position[][] {
  const { along, ahead, corners } = borderOf(box);
  const left = new Set(pieces);
  const rings: Position[][] = [];
  for (const first of pieces) {
    if (!left.has(first)) continue;
    const ring: Position[] = [];
    let piece = first;
    do {
      ring.push(...piece);
      const end = along(piece.at(-1)!);
      const gap = (to: Position): number => ahead(end, along(to));
      piece = [...left].reduce((best, next) => (gap(next[0]) < gap(best[0]) ? next : best));
      left.delete(piece);
      const way = gap(piece[0]);
      const passed = corners.filter((corner) => gap(corner) > 0 && gap(corner) < way);
      ring.push(...passed.sort((a, b) => gap(a) - gap(b)));
    } while (piece !== first);
    rings.push([...ring, first[0]]);
  }
  return rings;
}

function borderOf(box: Bounds): Border {
  const [west, south, east, north] = box;
  const [width, height] = [east - west, north - south];
  const along = ([x, y]: Position): number => {
    if (y === south) return x - west;
    if (x === east) return width + y - south;
    return y === north ? width + height + east - x : 2 * width + height + north - y;
  };
  const ahead = (from: number, to: number): number => (to >= from ? to - from : to - from + 2 * (width + height));
  return { along, ahead, corners: cornersOf(box) };
}

function cornersOf([west, south, east, north]: Bounds): Position[] {
  return [[west, south], [east, south], [east, north], [west, north]]; // prettier-ignore
}

/** Each hole goes into the outer ring that it lies in. */
function withHoles(outers: Position[][], holes: Position[][]): Position[][][] {
  const polygons = outers.map((outer) => [outer]);
  for (const hole of holes) (polygons.find(([outer]) => holds(outer, hole[0])) ?? polygons[0])?.push(hole);
  return polygons;
}

/** Whether a place lies in a ring. @see https://wrfranklin.org/Research/Short_Notes/pnpoly.html */
function holds(ring: Position[], [x, y]: Position): boolean {
  let odd = false;
  for (let i = 1; i < ring.length; i++) {
    const [[ax, ay], [bx, by]] = [ring[i - 1], ring[i]];
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) odd = !odd;
  }
  return odd;
}

/** The rings cut each for itself, with bridges along the border. */
function bridged(rings: Position[][], box: Bounds): Position[][][] {
  const parts = rings.map((ring) => clip(ring, box)).filter((ring) => areaOf(ring) > 0);
  return parts.length === 0 ? [] : [parts.map((ring) => [...ring, ring[0]])];
}
