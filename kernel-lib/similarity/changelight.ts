/** The light of pictures of two dates: how values of one become those of the other. */

/** How many pixels of each band have each value: `[3, 256]`. */
export type ValueCounts = Float64Array[];

/** Counts of no pixel. */
export function emptyCounts(): ValueCounts {
  return [0, 1, 2].map(() => new Float64Array(256));
}

/**
 * Adds pixels to counts.
 *
 * @param images RGB, pixel after pixel
 * @param every so many pixels one is counted. Default: 7
 */
export function countValues(images: Uint8Array, counts: ValueCounts, every = 7): void {
  for (let at = 0; at < images.length; at += 3 * every)
    for (let band = 0; band < 3; band++) counts[band][images[at + band]]++;
}

/**
 * What each value after becomes so that each band has the histogram of before.
 *
 * @returns `[3, 256]`: the first value before below which as large a share of the pixels lies
 */
export function matchingTables(before: ValueCounts, after: ValueCounts): Uint8Array[] {
  return after.map((counts, band) => {
    const [from, to] = [shares(counts), shares(before[band])];
    let value = 0;
    return Uint8Array.from(from, (share) => {
      while (value < 255 && to[value] < share - 1e-9) value++;
      return value;
    });
  });
}

/** Share of the pixels at each value or below. */
function shares(counts: Float64Array): Float64Array {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let sum = 0;
  return counts.map((count) => (sum += count) / total);
}

/** Pictures with their values replaced. */
export function relit(images: Uint8Array, tables: readonly Uint8Array[]): Uint8Array {
  return images.map((value, at) => tables[at % 3][value]);
}
