const BINS = 4;

/**
 * Colour histograms of images: the baseline that needs no training.
 *
 * 4 × 4 × 4 bins of RGB; the square root of each share, so that the dot product of two is their Bhattacharyya coefficient.
 *
 * @param images `[n, size, size, 3]`, uint8
 * @returns `[n, 64]`, each row of unit length
 * @see Arandjelović and Zisserman 2012, CVPR, on the square root
 */
export function colourHistograms(images: Uint8Array, size: number): { values: Float32Array; width: number } {
  const pixels = size * size;
  const width = BINS ** 3;
  const histograms = new Float32Array((images.length / (pixels * 3)) * width);
  for (let pixel = 0, at = 0; at < images.length; pixel++, at += 3) {
    const bin = ((images[at] >> 6) * BINS + (images[at + 1] >> 6)) * BINS + (images[at + 2] >> 6);
    histograms[Math.floor(pixel / pixels) * width + bin] += 1;
  }
  return { values: histograms.map((count) => Math.sqrt(count / pixels)), width };
}
