import { INKS, type Ink, type InkName } from './inks.ts';
import { GRAIN_SIZE, MOTTLE_SIDE, hash } from './noise.ts';
import type { Ring } from './thing.ts';

/** Metres a pixel on the ARD grid. */
export const RESOLUTION = 0.30517578125;

const STEPS = 256;

/** An ink made ready for one date: numbers only, stripes as a table of how much of the first colour shows. */
interface Prepared {
  first: readonly number[];
  /** Second colour less first. */
  rise: readonly number[];
  mottle: number;
  grain: number;
  spread: number;
  stripes?: Float32Array;
  period: number;
  cross?: Float32Array;
  crossPeriod: number;
}

/** How a fill is varied: tone 0–1, direction in which stripes repeat, light on the face. */
export interface FillOptions {
  tone?: number;
  angle?: number;
  light?: number;
}

/**
 * A square of ground being painted: three bands as floats and a mask of shadows.
 *
 * Pixel (x, y) of the canvas is pixel (left + x, top + y) of the world, which counts from the origin east and south.
 */
export class Canvas {
  readonly side: number;
  readonly red: Float32Array;
  readonly green: Float32Array;
  readonly blue: Float32Array;
  readonly shade: Uint8Array;
  left = 0;
  top = 0;
  readonly #mottle: Float32Array;
  readonly #grain: Float32Array;
  readonly #inks: Record<string, Prepared>;
  /** Triples of row, first and one past the last column, as the last scan left them. */
  #spans = new Int32Array(6144);
  #spanCount = 0;

  constructor(side: number, mottle: Float32Array, grain: Float32Array, which: 1 | 2) {
    this.side = side;
    this.red = new Float32Array(side * side);
    this.green = new Float32Array(side * side);
    this.blue = new Float32Array(side * side);
    this.shade = new Uint8Array(side * side);
    this.#mottle = mottle;
    this.#grain = grain;
    this.#inks = Object.fromEntries(Object.entries(INKS).map(([name, ink]) => [name, prepare(ink, which)]));
  }

  x(metresEast: number): number {
    return metresEast / RESOLUTION - this.left;
  }

  y(metresNorth: number): number {
    return -metresNorth / RESOLUTION - this.top;
  }

  /** Covers an area with an ink, moved by (dx, dy) metres east and south. */
  cover(rings: readonly Ring[], ink: InkName, options: FillOptions = {}, dx = 0, dy = 0): void {
    this.#scan(rings, dx, dy);
    this.#paint(this.#inks[ink], options);
  }

  /** Puts an area in shadow. */
  darken(rings: readonly Ring[], dx = 0, dy = 0): void {
    this.#scan(rings, dx, dy);
    const spans = this.#spans;
    for (let k = 0; k < this.#spanCount; k += 3)
      this.shade.fill(1, spans[k] * this.side + spans[k + 1], spans[k] * this.side + spans[k + 2]);
  }

  /** Sets a mask of the canvas's size to 1 inside an area. */
  mark(rings: readonly Ring[], mask: Uint8Array): void {
    this.#scan(rings, 0, 0);
    const spans = this.#spans;
    for (let k = 0; k < this.#spanCount; k += 3)
      mask.fill(1, spans[k] * this.side + spans[k + 1], spans[k] * this.side + spans[k + 2]);
  }

  /** Where the rings' edges cross the middle of each row, even-odd; holes come out by themselves. */
  #scan(rings: readonly Ring[], dx: number, dy: number): void {
    const { side } = this;
    const [shiftX, shiftY] = [dx / RESOLUTION - this.left, dy / RESOLUTION - this.top];
    const edges: number[] = [];
    let low = side;
    let high = -1;
    for (const ring of rings) {
      for (let k = 0, last = ring.length - 2; k < ring.length; last = k, k += 2) {
        const ay = -ring[last + 1] / RESOLUTION + shiftY;
        const by = -ring[k + 1] / RESOLUTION + shiftY;
        const first = Math.max(0, Math.ceil(Math.min(ay, by) - 0.5));
        const end = Math.min(side - 1, Math.ceil(Math.max(ay, by) - 0.5) - 1);
        if (first > end) continue;
        const ax = ring[last] / RESOLUTION + shiftX;
        const slope = (ring[k] / RESOLUTION + shiftX - ax) / (by - ay);
        edges.push(first, end, ax + (first + 0.5 - ay) * slope, slope);
        low = Math.min(low, first);
        high = Math.max(high, end);
      }
    }
    this.#cross(edges, low, high);
  }

  #cross(edges: number[], low: number, high: number): void {
    const { side } = this;
    const crossings: number[] = [];
    let count = 0;
    for (let y = low; y <= high; y++) {
      crossings.length = 0;
      for (let e = 0; e < edges.length; e += 4)
        if (edges[e] <= y && y <= edges[e + 1]) crossings.push(edges[e + 2] + (y - edges[e]) * edges[e + 3]);
      if (crossings.length > 2) crossings.sort((a, b) => a - b);
      else if (crossings[0] > crossings[1]) crossings.reverse();
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        const from = Math.max(0, Math.ceil(crossings[k] - 0.5));
        const to = Math.min(side, Math.ceil(crossings[k + 1] - 0.5));
        if (from >= to) continue;
        if (count + 3 > this.#spans.length) this.#spans = grown(this.#spans);
        this.#spans[count++] = y;
        this.#spans[count++] = from;
        this.#spans[count++] = to;
      }
    }
    this.#spanCount = count;
  }

  /** The hot loop: colour, stripes, mottle and grain of every pixel of the last scan. */
  #paint(ink: Prepared, { tone = 0.5, angle = 0, light = 1 }: FillOptions): void {
    const { side, red, green, blue, left, top } = this;
    const mottle = this.#mottle;
    const grain = this.#grain;
    const spans = this.#spans;
    const own = light * (1 + (tone - 0.5) * 2 * ink.spread);
    const [r, g, b] = ink.first;
    const [dr, dg, db] = ink.rise;
    const salt = hash(Math.round(tone * 1e6), 31);
    const [offsetX, offsetY] = [left + (salt & 1023), top + ((salt >>> 10) & 1023)];
    const { stripes, cross } = ink;
    const scale = stripes ? (STEPS * RESOLUTION) / ink.period : 0;
    const [stepX, stepY] = [Math.cos(angle) * scale, -Math.sin(angle) * scale];
    const crossScale = cross ? (STEPS * RESOLUTION) / ink.crossPeriod : 0;
    const [crossX, crossY] = [Math.sin(angle) * crossScale, Math.cos(angle) * crossScale];
    for (let k = 0; k < this.#spanCount; k += 3) {
      const y = spans[k];
      const mottleRow = ((y + offsetY) & (MOTTLE_SIDE - 1)) * MOTTLE_SIDE;
      const grainRow = (y + top) * 7919 + left;
      let phase = (left + spans[k + 1]) * stepX + (top + y) * stepY;
      let crossPhase = (left + spans[k + 1]) * crossX + (top + y) * crossY;
      const end = y * side + spans[k + 2];
      for (let i = y * side + spans[k + 1], x = spans[k + 1]; i < end; i++, x++) {
        const v =
          own *
          (1 +
            ink.mottle * mottle[mottleRow + ((x + offsetX) & (MOTTLE_SIDE - 1))] +
            ink.grain * grain[(grainRow + x) & (GRAIN_SIZE - 1)]);
        let w = 0;
        if (stripes) {
          w = 1 - stripes[phase & (STEPS - 1)] * (cross ? cross[crossPhase & (STEPS - 1)] : 1);
          phase += stepX;
          crossPhase += crossX;
        }
        red[i] = (r + dr * w) * v;
        green[i] = (g + dg * w) * v;
        blue[i] = (b + db * w) * v;
      }
    }
  }

  /** A thin line with soft edges, through the points of `line`; `width` in metres may be less than a pixel. */
  stroke(line: Ring, width: number, ink: InkName, tone = 0.5): void {
    const { first, spread } = this.#inks[ink];
    const own = 1 + (tone - 0.5) * 2 * spread;
    for (let k = 0; k + 3 < line.length; k += 2) {
      this.#strokeSegment(
        this.x(line[k]),
        this.y(line[k + 1]),
        this.x(line[k + 2]),
        this.y(line[k + 3]),
        width / RESOLUTION / 2,
        first,
        own,
      );
    }
  }

  #strokeSegment(
    ax: number,
    ay: number,
    bx: number,
    by: number,
    half: number,
    colour: readonly number[],
    own: number,
  ): void {
    const { side, red, green, blue } = this;
    const length = Math.hypot(bx - ax, by - ay) || 1;
    const [ux, uy] = [(bx - ax) / length, (by - ay) / length];
    const reach = half + 0.5;
    const strength = Math.min(1, 2 * half); // a line thinner than a pixel covers part of it
    const first = Math.max(0, Math.floor(Math.min(ay, by) - reach));
    const last = Math.min(side - 1, Math.ceil(Math.max(ay, by) + reach));
    for (let y = first; y <= last; y++) {
      const [from, to] = columnsOf(y + 0.5, ax, ay, ux, uy, length, reach);
      for (let x = Math.max(0, from); x < Math.min(side, to); x++) {
        const [px, py] = [x + 0.5 - ax, y + 0.5 - ay];
        const across = reach - Math.abs(px * uy - py * ux);
        const along = Math.min(px * ux + py * uy, length - px * ux - py * uy) + 0.5;
        const cover = Math.min(1, across, along) * strength;
        if (cover <= 0) continue;
        const i = y * side + x;
        red[i] += (colour[0] * own - red[i]) * cover;
        green[i] += (colour[1] * own - green[i]) * cover;
        blue[i] += (colour[2] * own - blue[i]) * cover;
      }
    }
  }
}

/** The columns of a row that a segment with this reach can touch. */
function columnsOf(
  y: number,
  ax: number,
  ay: number,
  ux: number,
  uy: number,
  length: number,
  reach: number,
): [number, number] {
  const [low, high] = [Math.min(ax, ax + ux * length) - reach, Math.max(ax, ax + ux * length) + reach];
  if (Math.abs(uy) < 1e-6) return [Math.floor(low), Math.ceil(high)];
  const middle = ax + ((y - ay) / uy) * ux;
  const spread = reach / Math.abs(uy) + 1;
  return [Math.floor(Math.max(low, middle - spread)), Math.ceil(Math.min(high, middle + spread))];
}

function grown(spans: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(spans.length * 2);
  larger.set(spans);
  return larger;
}

function prepare(ink: Ink, which: 1 | 2): Prepared {
  const first = (which === 2 && ink.later) || ink.colour;
  const second =
    (which === 2 && ink.laterSecond) ||
    (which === 2 && ink.later && !ink.laterSecond ? ink.later : ink.second) ||
    first;
  return {
    first,
    rise: second.map((value, band) => value - first[band]),
    mottle: ink.mottle,
    grain: ink.grain,
    spread: ink.spread ?? 0.08,
    period: ink.period ?? 0,
    crossPeriod: ink.crossPeriod ?? 0,
    ...(ink.period && { stripes: stripeTable(ink.duty ?? 0.5, ink.period) }),
    ...(ink.crossPeriod && { cross: stripeTable(ink.crossDuty ?? 0.5, ink.crossPeriod) }),
  };
}

/** One period of stripes, 1 over the share `duty`, its edges a pixel soft. */
function stripeTable(duty: number, period: number): Float32Array {
  const soft = Math.max(0.02, RESOLUTION / period);
  return Float32Array.from({ length: STEPS }, (_, k) => {
    const from = Math.abs((k + 0.5) / STEPS - 0.5); // 0 in the middle of the first colour
    return Math.min(1, Math.max(0, (duty / 2 - from) / soft + 0.5));
  });
}
