/** Exact search over vectors in memory. */
import { type Products, openProducts } from '../training/index.ts';

/**
 * Rows up to which a table is searched exactly whatever is asked. Of 128 numbers they take about 5 ms on the two cores of the machine that the bench
 * names, as long as an indexed answer of LanceDB takes there: below it an index would save nothing.
 */
export const EXACT_ROWS = 100_000;

/** Numbers from which on onnxruntime is worth loading, about 10 ms of JavaScript. */
const MANY_NUMBERS = 8_000_000;
/** Share of the rows from which on the products of all take less time than those of the chosen, one number after another. */
const MOST = 0.25;

let products: Promise<Products | undefined> | undefined;

/**
 * The dot product of a vector with many: the cosine, all of them being of unit length.
 *
 * @param values `[n, width]`
 * @param rows which of them. Default: all
 * @returns in the order of `rows`
 */
export async function similarities(values: Float32Array, query: Float32Array, rows?: Uint32Array): Promise<Float32Array> {
  const n = values.length / query.length;
  const isMany = (rows?.length ?? n) * query.length >= MANY_NUMBERS && (rows?.length ?? n) > MOST * n;
  const multiply = isMany ? await (products ??= openProducts()) : undefined;
  if (!multiply) return dots(values, query, rows);
  const all = await multiply(values, query);
  if (!rows) return all;
  const scores = new Float32Array(rows.length);
  for (let at = 0; at < scores.length; at++) scores[at] = all[rows[at]]; // ten times as fast as Float32Array.from
  return scores;
} // prettier-ignore

/** As {@link similarities}, a number at a time. Four sums side by side: one alone waits for itself. */
function dots(values: Float32Array, query: Float32Array, rows?: Uint32Array): Float32Array {
  const width = query.length;
  const whole = width - (width % 4);
  const scores = new Float32Array(rows?.length ?? values.length / width);
  for (let at = 0; at < scores.length; at++) {
    const start = (rows ? rows[at] : at) * width;
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 0; i < whole; i += 4) {
      a += values[start + i] * query[i];
      b += values[start + i + 1] * query[i + 1];
      c += values[start + i + 2] * query[i + 2];
      d += values[start + i + 3] * query[i + 3];
    }
    for (let i = whole; i < width; i++) a += values[start + i] * query[i];
    scores[at] = a + b + (c + d);
  }
  return scores;
}

/**
 * Places of the greatest numbers, greatest first; equal ones in the order of their places.
 *
 * @param count how many; all where there are fewer
 */
export function bestOf(scores: Float32Array, count: number): Uint32Array {
  const wanted = Math.min(count, scores.length);
  if (wanted > scores.length / 8) return sorted(scores, Uint32Array.from(scores.keys())).subarray(0, wanted);
  const least = nthGreatest(scores, wanted);
  const places: number[] = [];
  for (let place = 0; place < scores.length; place++) if (scores[place] >= least) places.push(place);
  return sorted(scores, Uint32Array.from(places)).subarray(0, wanted);
}

function sorted(scores: Float32Array, places: Uint32Array): Uint32Array {
  return places.sort((a, b) => scores[b] - scores[a] || a - b);
}

/** The `count`-th greatest number, by a heap whose top is the least of those kept. */
function nthGreatest(scores: Float32Array, count: number): number {
  const heap = scores.slice(0, count).sort(); // ascending: a heap
  for (let place = count; place < scores.length; place++) {
    if (scores[place] <= heap[0]) continue;
    let at = 0;
    const value = scores[place];
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= value) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = value;
  }
  return heap[0];
}
