/** A first choice by one bit a number, then the exact order among the chosen. */
import { type Codes, hamming, meanOf, packCodes } from '../training/index.ts';
import { bestOf } from './exact.ts';
import { type Neighbour, type Vectors, cosine, vectorAt } from './nearest.ts';

/** Rows as bits, a thirty-second of their size, about the mean of all of them. */
export function bitCodes(vectors: Vectors): Codes {
  return packCodes(vectors, 'bit', { mean: meanOf(vectors) });
}

/**
 * The rows most like a vector: as many as `candidates` are chosen by the bits in which they differ from it and put in order by the cosine; those behind
 * them stay in the order of their bits. What it loses beside the cosine alone, `npm run bench -- similarity: bits` says.
 *
 * @param codes of the rows, as {@link bitCodes} makes them
 * @param vectors the rows themselves: only the candidates are read, so that they may lie on a disk
 * @param options.candidates Default: 20 for each answer wanted, 200 at least: of 50,000 clustered rows of 128 numbers 0.99 of the cosine's ten and of its hundred are found so
 */
export function bitNearest(
  codes: Codes,
  vectors: Vectors,
  query: Float32Array,
  { k = 12, candidates = Math.max(200, 20 * k) }: { k?: number; candidates?: number } = {},
): Neighbour[] {
  const asked = packCodes({ values: query, width: codes.width }, 'bit', { mean: codes.mean });
  const alike = Float32Array.from({ length: codes.n }, (_, row) => -hamming(asked, 0, codes, row));
  const chosen = bestOf(alike, Math.max(k, candidates));
  const first = [...chosen.subarray(0, candidates)].map((index) => ({ index, similarity: cosine(vectorAt(vectors, index), query) })); // prettier-ignore
  const rest = [...chosen.subarray(candidates)].map((index) => ({ index, similarity: cosine(vectorAt(vectors, index), query) })); // prettier-ignore
  first.sort((a, b) => b.similarity - a.similarity || a.index - b.index);
  return [...first, ...rest].slice(0, k);
}
