import type { Bounds, Cell } from '../ard/index.ts';
import { type LonLat, extentOf, overlap, touches } from './bbox.ts';
import { cellQueries } from './cell.ts';
import { queryBounds } from './query.ts';
import type { LatLon } from './schema.ts';

const FINE = 20; // tiles a degree, where a box is in the same whole degree
const COLUMNS = 360 * FINE;

/** The rectangles of a cell's queries, degrees. */
export function boxesOf(cell: Cell): Bounds[] {
  return cellQueries(cell).map(queryBounds);
}

/**
 * Where several cells lie: which of them hold a place, and which lines may touch one.
 *
 * The globe is cut in whole degrees, and those that a cell reaches into in tiles of a twentieth. A line's nodes need
 * no more than their tile to tell that it touches none: a segment stays within the rectangle around its two tiles.
 */
export class Reach {
  readonly #boxes: { cell: number; box: Bounds }[];
  readonly #tiles = new Map<number, { cell: number; box: Bounds }[]>();
  readonly #degrees: Uint8Array = new Uint8Array(361 * 181);

  constructor(cells: readonly Cell[]) {
    this.#boxes = cells.flatMap((cell, index) => boxesOf(cell).map((box) => ({ cell: index, box })));
    for (const entry of this.#boxes) this.#enter(entry);
  }

  #enter(entry: { cell: number; box: Bounds }): void {
    const [west, south, east, north] = entry.box;
    for (let row = fine(south, 90); row <= fine(north, 90); row++) {
      for (let column = fine(west, 180); column <= fine(east, 180); column++) {
        const tile = row * COLUMNS + column;
        this.#tiles.set(tile, [...(this.#tiles.get(tile) ?? []), entry]);
        this.#degrees[Math.floor(row / FINE) * 361 + Math.floor(column / FINE)] = 1;
      }
    }
  }

  /** Number of the tile of a place: negative, `-1 - degree`, where no cell is in the same whole degree. */
  tileOf(lon: number, lat: number): number {
    const degree = Math.floor(lat + 90) * 361 + Math.floor(lon + 180);
    return this.#degrees[degree] ? fine(lat, 90) * COLUMNS + fine(lon, 180) : -1 - degree;
  }

  /** The cells that hold a place, by their index; none, most often. */
  cellsAt(lon: number, lat: number, tile: number): number[] {
    const near = tile < 0 ? undefined : this.#tiles.get(tile);
    if (!near) return NONE;
    const holds = ({ box }: { box: Bounds }): boolean =>
      lon >= box[0] && lon <= box[2] && lat >= box[1] && lat <= box[3];
    return near.filter(holds).map(({ cell }) => cell);
  }

  /** Whether a segment between places of these tiles may touch a cell: `false` is certain. */
  mayTouch(from: number, to: number): boolean {
    if (from === to) return from >= 0 && this.#tiles.has(from);
    const [a, b] = [extentOfTile(from), extentOfTile(to)];
    const around: Bounds = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
    return this.#boxes.some(({ box }) => overlap(box, around)) || around[2] - around[0] > 180;
  }

  /** The cells that a line touches, by their index: with a node inside, or a segment across. */
  cellsOn(line: readonly (LatLon | undefined)[]): number[] {
    const parts = partsOf(line);
    const around = parts.map(extentOf);
    const touched = this.#boxes.filter(({ box }) =>
      parts.some((part, index) => overlap(around[index], box) && touches(part, box)),
    );
    return [...new Set(touched.map(({ cell }) => cell))];
  }
}

const NONE: number[] = [];

function fine(degrees: number, shift: number): number {
  return Math.floor((degrees + shift) * FINE);
}

/** The rectangle of a tile, a little enlarged: what is rounded must not be lost. */
function extentOfTile(tile: number): Bounds {
  const [columns, side] = tile < 0 ? [361, 1] : [COLUMNS, 1 / FINE];
  const place = tile < 0 ? -1 - tile : tile;
  const [west, south] = [(place % columns) * side - 180, Math.floor(place / columns) * side - 90];
  return [west - 1e-6, south - 1e-6, west + side + 1e-6, south + side + 1e-6];
}

/**
 * A line's pieces: cut where a node is missing; one that crosses the antimeridian runs on beyond 180 degrees, and comes
 * a second time from beyond -180.
 */
function partsOf(line: readonly (LatLon | undefined)[]): LonLat[][] {
  const parts: LonLat[][] = [[]];
  for (const place of line) {
    const part = parts[parts.length - 1];
    if (!place) parts.push([]);
    else part.push([place.lon + turns(part.at(-1)?.[0], place.lon), place.lat]);
  }
  const whole = parts.filter((part) => part.length > 0);
  const beyond = (limit: number): LonLat[][] =>
    whole
      .filter((part) => part.some(([lon]) => lon * Math.sign(limit) > 180))
      .map((part) => part.map(([lon, lat]): LonLat => [lon - limit, lat]));
  return [...whole, ...beyond(360), ...beyond(-360)];
}

/** Degrees to add so that a longitude is the nearest to the one before it. */
function turns(before: number | undefined, lon: number): number {
  return before === undefined || Math.abs(lon - before) <= 180 ? 0 : 360 * Math.round((before - lon) / 360);
}
