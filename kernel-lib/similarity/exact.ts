/** Exact search over vectors in memory, on all cores. */
import { availableParallelism } from 'node:os';
import type { Piscina } from 'piscina';
import { type ScanTask, dots } from './scan.ts';

/**
 * Rows up to which a table is searched exactly whatever is asked. Of 128 numbers they take about 15 ms on one core of the machine that the bench names,
 * as long as an indexed answer of LanceDB takes there: below it an index would save nothing.
 */
export const EXACT_ROWS = 100_000;

/** Numbers from which on a scan is worth the way to the threads, about 8 ms of one core. */
const SHARED_WORK = 8_000_000;

let threads: Piscina | undefined;

/**
 * The dot product of a vector with many: the cosine, all of them being of unit length.
 *
 * @param values `[n, width]`; in shared memory, else one core does all
 * @param rows which of them. Default: all
 * @returns in the order of `rows`
 */
export async function similarities(values: Float32Array, query: Float32Array, rows?: Uint32Array): Promise<Float32Array> {
  const width = query.length;
  const n = rows?.length ?? values.length / width;
  const isShared = values.buffer instanceof SharedArrayBuffer;
  const workers = isShared && n * width >= SHARED_WORK ? availableParallelism() : 1;
  if (workers === 1) {
    const scores = new Float32Array(n);
    dots({ values, query, rows, scores, from: 0, to: n });
    return scores;
  }
  const { Piscina } = await import('piscina');
  threads ??= new Piscina({ filename: new URL('./scanner.js', import.meta.url).href, maxThreads: availableParallelism(), idleTimeout: 2000, execArgv: [] });
  const scores = new Float32Array(new SharedArrayBuffer(4 * n));
  const shared = rows && Uint32Array.from(rows);
  const own = shared && new Uint32Array(new SharedArrayBuffer(4 * n));
  own?.set(shared!);
  const cut = (part: number): number => Math.round((part * n) / workers);
  const pool = threads;
  const task = (part: number): ScanTask => ({ values, query, rows: own, scores, from: cut(part), to: cut(part + 1) });
  await Promise.all(Array.from({ length: workers }, (_, part) => pool.run(task(part))));
  return scores;
} // prettier-ignore

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
