/** The light of pictures of two dates: how values of one become those of the other. */

/** How many pixels of each band have each value: `[3 × 256]`. */
export type ValueCounts = Uint32Array;

/**
 * Counts the values of pixels.
 *
 * @param images RGB, pixel after pixel
 * @param every of so many pixels one is counted. Default: 7
 */
export function countsOf(images: Uint8Array, every = 7): ValueCounts {
  const counts = new Uint32Array(3 * 256);
  for (let at = 0; at < images.length; at += 3 * every)
    for (let band = 0; band < 3; band++) counts[band * 256 + images[at + band]]++;
  return counts;
}

/** Counts of several pictures together. */
export function sumOf(counts: readonly ValueCounts[]): ValueCounts {
  const sum = new Uint32Array(3 * 256);
  for (const own of counts) own.forEach((count, at) => (sum[at] += count));
  return sum;
}

/**
 * What each value after becomes so that each band has the histogram of before.
 *
 * @returns `[3, 256]`: the first value before below which as large a share of the pixels lies
 */
export function matchingTables(before: ValueCounts, after: ValueCounts): Uint8Array[] {
  return [0, 1, 2].map((band) => {
    const [from, to] = [shares(after, band), shares(before, band)];
    let value = 0;
    return Uint8Array.from(from, (share) => {
      while (value < 255 && to[value] < share - 1e-9) value++;
      return value;
    });
  });
}

/** Share of a band's pixels at each value or below. */
function shares(counts: ValueCounts, band: number): Float64Array {
  const own = Float64Array.from(counts.subarray(band * 256, (band + 1) * 256));
  const total = own.reduce((sum, count) => sum + count, 0);
  let sum = 0;
  return own.map((count) => (sum += count) / total);
}

/** Pictures with their values replaced. */
export function relit(images: Uint8Array, tables: readonly Uint8Array[]): Uint8Array {
  return images.map((value, at) => tables[at % 3][value]);
}
