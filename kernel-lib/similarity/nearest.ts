/** Vectors of one width, one after another: `[n, width]`, each row of length 1. */
export interface Vectors {
  values: Float32Array;
  width: number;
}

/** One answer: which row, and how alike, as the cosine, −1 to 1. */
export interface Neighbour {
  index: number;
  similarity: number;
}

/** The row of a vector. */
export function vectorAt({ values, width }: Vectors, index: number): Float32Array {
  return values.subarray(index * width, (index + 1) * width);
}

/** Some rows of the vectors, copied. */
export function rowsOf(vectors: Vectors, indices: readonly number[]): Vectors {
  const values = new Float32Array(indices.length * vectors.width);
  indices.forEach((index, row) => values.set(vectorAt(vectors, index), row * vectors.width));
  return { values, width: vectors.width };
}

/** The cosine of two vectors of length 1. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * All rows by likeness to a vector, the most alike first; equal ones in the order of their rows.
 *
 * @param admit rows that may be an answer. Default: all
 */
export function nearest(
  vectors: Vectors,
  query: Float32Array,
  { k = Number.POSITIVE_INFINITY, admit = () => true }: { k?: number; admit?: (index: number) => boolean } = {},
): Neighbour[] {
  const n = vectors.values.length / vectors.width;
  const found: Neighbour[] = [];
  for (let index = 0; index < n; index++) {
    if (admit(index)) found.push({ index, similarity: cosine(vectorAt(vectors, index), query) });
  }
  found.sort((a, b) => b.similarity - a.similarity || a.index - b.index);
  return found.slice(0, k);
}
