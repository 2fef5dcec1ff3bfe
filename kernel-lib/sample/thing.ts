import type { InkName } from './inks.ts';

/** `[x, y, x, y, …]`: metres east and north of the sample's origin. Closed without repeating the first corner. */
export type Ring = number[];

/** What lies above what. Shadows fall after `car`, and crowns stand over all. `roof` lies on a building and leans with it. */
export const LAYER = {
  ground: 0,
  field: 1,
  yard: 2,
  bank: 3,
  water: 4,
  kerb: 5,
  road: 6,
  rail: 7,
  mark: 8,
  car: 9,
  building: 10,
  roof: 11,
} as const;

/** At which date a thing is there: 0 both, 1 the first only, 2 the second only. */
export type When = 0 | 1 | 2;

/** One thing on the ground: what it is called on the map, where it lies, and how it is painted. */
export interface Thing {
  form: 'area' | 'line' | 'point';
  /** Area: outer ring, then its holes. Line: one open row of points. Point: one pair. */
  rings: Ring[];
  layer: number;
  /** How it is painted; undefined for what only the map knows (a bench, the outline of a quarter). */
  ink?: InkName;
  /** 0–1: this one's own shade within its kind, and the offset of its texture. */
  tone: number;
  /** Direction of rows, stripes or ridge, radians counter-clockwise from east. */
  angle: number;
  /** Metres above ground; 0 is painted flat. */
  height: number;
  roof?: 'flat' | 'gable' | 'hip' | 'court';
  /** Breadth of a line, metres. */
  width: number;
  when: When;
  /** OSM tags; undefined where nobody has mapped it. */
  tags?: Record<string, string>;
  /** How far the mapped outline lies off the real one, metres east and north. */
  nudge?: [number, number];
  /** `[west, south, east, north]`. */
  box: Box;
}

export type Box = [west: number, south: number, east: number, north: number];

/** Crowns, five numbers each: x, y, radius (metres), tone 0–1, kind (an index into `CROWNS`). */
export interface Crowns {
  values: number[];
  when: When;
}
export const CROWN_SIZE = 5;

/** What really changed between the two dates. */
export interface Change {
  kind: string;
  ring: Ring;
}

export function boxOf(rings: Ring[], margin = 0): Box {
  const box: Box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of rings) {
    for (let k = 0; k < ring.length; k += 2) {
      box[0] = Math.min(box[0], ring[k]);
      box[1] = Math.min(box[1], ring[k + 1]);
      box[2] = Math.max(box[2], ring[k]);
      box[3] = Math.max(box[3], ring[k + 1]);
    }
  }
  return [box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin];
}

/** Whether two boxes share ground. */
export function meet(a: Box, b: Box): boolean {
  return a[0] < b[2] && a[2] > b[0] && a[1] < b[3] && a[3] > b[1];
}

/** A rectangle about (x, y): its first side, `length`, runs along `angle`. */
export function rectangle(x: number, y: number, length: number, depth: number, angle: number): Ring {
  const c = Math.cos(angle) / 2;
  const s = Math.sin(angle) / 2;
  const corner = (a: number, b: number): number[] => [
    x + a * length * c - b * depth * s,
    y + a * length * s + b * depth * c,
  ];
  return [...corner(-1, -1), ...corner(1, -1), ...corner(1, 1), ...corner(-1, 1)];
}

/** A ring about (x, y) that wanders between 0.75 and 1.25 of `radius`: ponds, clearings. `phases` makes it this one. */
export function blob(x: number, y: number, radius: number, phases: number, corners = 18): Ring {
  return Array.from({ length: corners }, (_, k) => {
    const a = (2 * Math.PI * k) / corners;
    const r = radius * (1 + 0.15 * Math.sin(2 * a + phases * 6) + 0.1 * Math.sin(3 * a + phases * 19));
    return [x + r * Math.cos(a), y + r * Math.sin(a)];
  }).flat();
}

/** The band of `width` about a line, mitred at its bends. */
export function band(line: Ring, width: number): Ring {
  const left: number[] = [];
  const right: number[] = [];
  const last = line.length - 2;
  for (let k = 0; k <= last; k += 2) {
    const [ax, ay, bx, by] = [
      Math.max(0, k - 2),
      Math.max(0, k - 2) + 1,
      Math.min(last, k + 2),
      Math.min(last, k + 2) + 1,
    ].map((i) => line[i]);
    const length = Math.hypot(bx - ax, by - ay);
    const nx = (-(by - ay) / length) * (width / 2);
    const ny = ((bx - ax) / length) * (width / 2);
    left.push(line[k] + nx, line[k + 1] + ny);
    right.unshift(line[k] - nx, line[k + 1] - ny);
  }
  return [...left, ...right];
}

export function centreOf(ring: Ring): [number, number] {
  let x = 0;
  let y = 0;
  for (let k = 0; k < ring.length; k += 2) {
    x += ring[k];
    y += ring[k + 1];
  }
  return [(2 * x) / ring.length, (2 * y) / ring.length];
}

/** Whether (x, y) lies in a ring, by the even-odd rule. */
export function inside(x: number, y: number, ring: Ring): boolean {
  let within = false;
  for (let k = 0, last = ring.length - 2; k < ring.length; last = k, k += 2) {
    const [ax, ay, bx, by] = [ring[k], ring[k + 1], ring[last], ring[last + 1]];
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) within = !within;
  }
  return within;
}
