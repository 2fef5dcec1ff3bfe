/** Side of the mottle texture, in pixels: it repeats every 312 m, and every figure samples it at an offset of its own. */
export const MOTTLE_SIDE = 1024;
/** Entries of the grain table. */
export const GRAIN_SIZE = 65_536;

/** 32 well-mixed bits of up to four integers. The only source of chance in a sample. @see Mueller 2012, integer hash */
export function hash(a: number, b: number, c = 0, d = 0): number {
  let h = mix((a | 0) ^ 0x9e3779b9);
  h = mix(h ^ (b | 0));
  h = mix(h ^ (c | 0) ^ 0x85ebca6b);
  return mix(h ^ (d | 0));
}

function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x45d9f3b);
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A row of chances that depends on its seed alone. @see mulberry32 */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.next() * items.length)];
  }
}

/** Smooth value noise along a line, −1 to 1, one value a unit of `x`. */
export function wave(seed: number, x: number): number {
  const i = Math.floor(x);
  const f = x - i;
  const s = f * f * (3 - 2 * f);
  const at = (k: number): number => hash(seed, k, 17) / 2 ** 31 - 1;
  return at(i) * (1 - s) + at(i + 1) * s;
}

/** Independent values of mean 0 and deviation 1, near enough normal (the sum of four uniforms). */
export function grainTable(seed: number): Float32Array {
  const dice = new Dice(hash(seed, 1));
  return Float32Array.from(
    { length: GRAIN_SIZE },
    () => (dice.next() + dice.next() + dice.next() + dice.next() - 2) * Math.sqrt(3),
  );
}

/**
 * Fractal value noise that tiles, `[1024, 1024]`, about −1 to 1: octaves from 256 px down to 2 px, each weaker by a third.
 *
 * @see Perlin 1985, for the sum of octaves
 */
export function mottleTable(seed: number): Float32Array {
  const table = new Float32Array(MOTTLE_SIDE * MOTTLE_SIDE);
  let weight = 0.5;
  for (let period = 256; period >= 2; period /= 2, weight *= 0.68)
    addOctave(table, hash(seed, 2, period), period, weight);
  return table;
}

function addOctave(table: Float32Array, seed: number, period: number, weight: number): void {
  const side = MOTTLE_SIDE / period;
  const dice = new Dice(seed);
  const lattice = Float32Array.from({ length: side * side }, () => (dice.next() * 2 - 1) * weight);
  const ease = Float32Array.from({ length: period }, (_, i) => (i / period) ** 2 * (3 - (2 * i) / period));
  for (let y = 0; y < MOTTLE_SIDE; y++) {
    const top = Math.floor(y / period) * side;
    const low = ((Math.floor(y / period) + 1) % side) * side;
    const v = ease[y % period];
    for (let cell = 0, at = y * MOTTLE_SIDE; cell < side; cell++) {
      const next = (cell + 1) % side;
      const left = lattice[top + cell] * (1 - v) + lattice[low + cell] * v;
      const rise = lattice[top + next] * (1 - v) + lattice[low + next] * v - left;
      for (let x = 0; x < period; x++) table[at++] += left + rise * ease[x];
    }
  }
}
