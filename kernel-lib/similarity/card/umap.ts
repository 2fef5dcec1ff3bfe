import seedrandom from 'seedrandom';
import { UMAP } from 'umap-js';
import type { StepOptions } from '../../ard/index.ts';
import { type Vectors, cosine, vectorAt } from '../nearest.ts';

/** Options of {@link layout}. */
export interface LayoutOptions extends Omit<StepOptions, 'concurrency'> {
  /** Nearest that each row is tied to: few show the small groups, many the large ones. Default: 15. */
  neighbours?: number | undefined;
  /** How close points may come, 0–1. Default: 0.1. */
  minDist?: number | undefined;
  /** The same seed gives the same picture. Default: 1. */
  seed?: number | string | undefined;
}

/**
 * Vectors laid out in the plane so that those that are alike lie together (UMAP), from their exact nearest by cosine.
 *
 * Neighbours in the picture are neighbours in truth, mostly; how far groups lie apart, and how large they are, says nothing.
 *
 * @param vectors of length 1, `[n, width]`
 * @returns `[n, 2]`, in no unit
 * @throws {RangeError} when there are fewer than 5 rows
 * @see McInnes, Healy & Melville 2018, UMAP: uniform manifold approximation and projection, arXiv:1802.03426
 */
export async function layout(
  vectors: Vectors,
  { neighbours = 15, minDist = 0.1, seed = 1, signal, onProgress }: LayoutOptions = {},
): Promise<Float64Array> {
  const n = vectors.values.length / vectors.width;
  if (!(n >= 5)) throw new RangeError(`layout requires at least 5 rows, got ${n}: fewer have no shape`);
  const nNeighbors = Math.min(neighbours, n - 1);
  const umap = new UMAP({ nComponents: 2, nNeighbors, minDist, random: seedrandom(`umap ${seed}`) });
  const near = Array.from({ length: n }, (_, row) => nearestOf(vectors, row, nNeighbors));
  umap.setPrecomputedKNN(near.map(({ indices }) => indices), near.map(({ distances }) => distances)); // prettier-ignore
  const total = umap.initializeFit(Array.from({ length: n }, (_, row) => [row])); // the distances are given: only their number is read
  for (let epoch = 1; epoch <= total; epoch++) {
    umap.step();
    if (epoch % 20 !== 0 && epoch !== total) continue;
    signal?.throwIfAborted();
    onProgress?.({ done: epoch, total, unit: 'epochs' });
    await new Promise(setImmediate); // so that a signal can come
  }
  return Float64Array.from(umap.getEmbedding().flat());
}

/** The row itself, at distance 0, and its nearest, as 1 − cosine. */
function nearestOf(vectors: Vectors, row: number, k: number): { indices: number[]; distances: number[] } {
  const n = vectors.values.length / vectors.width;
  const own = vectorAt(vectors, row);
  const distance = Float64Array.from({ length: n }, (_, j) => (j === row ? 0 : Math.max(1e-9, 1 - cosine(own, vectorAt(vectors, j))))); // prettier-ignore
  const order = Uint32Array.from({ length: n }, (_, j) => j).sort((a, b) => distance[a] - distance[b] || a - b);
  const indices = [...order.subarray(0, k)];
  return { indices, distances: indices.map((j) => distance[j]) };
}
