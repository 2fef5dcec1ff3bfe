// Vectors for the search benches: like embeddings in what makes search easy or hard, and the same at every run.
import seedrandom from 'seedrandom';

/** Kinds of ground, and the numbers by which they and what varies within them differ: embeddings spread over fewer directions than they have numbers. */
const KINDS = 2000;
const DIRECTIONS = 24;
/** How far members of a kind lie from its middle, as a share of how far kinds lie from each other; and the noise on each number. */
const SPREAD = 0.5;
const NOISE = 0.3;

/**
 * Clustered vectors of unit length: 2,000 kinds, some a hundred times as frequent as others, in 24 directions, turned at random into `width` numbers with
 * a little noise on each.
 *
 * @returns `[n, width]`
 */
export function clusteredVectors(n: number, width: number, seed: string): Float32Array {
  const random = seedrandom.xor128(seed);
  const normals = Float32Array.from({ length: 1 << 16 }, () => normal(random));
  const next = (): number => normals[random.int32() & 0xffff];
  const turn = Float32Array.from({ length: DIRECTIONS * width }, next);
  const kinds = Float32Array.from({ length: KINDS * DIRECTIONS }, next);
  const values = new Float32Array(n * width);
  const place = new Float32Array(DIRECTIONS);
  for (let row = 0; row < n; row++) {
    const kind = Math.floor(KINDS * random() ** 2) * DIRECTIONS;
    for (let d = 0; d < DIRECTIONS; d++) place[d] = kinds[kind + d] + SPREAD * next();
    fillRow(values.subarray(row * width, (row + 1) * width), place, turn, next);
  }
  return values;
}

function fillRow(row: Float32Array, place: Float32Array, turn: Float32Array, next: () => number): void {
  let squares = 0;
  for (let i = 0; i < row.length; i++) {
    let value = NOISE * next();
    for (let d = 0; d < DIRECTIONS; d++) value += place[d] * turn[d * row.length + i];
    row[i] = value;
    squares += value * value;
  }
  for (let i = 0; i < row.length; i++) row[i] /= Math.sqrt(squares);
}

/** @see Box and Muller 1958, Annals of Mathematical Statistics 29(2) 610–611 */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
