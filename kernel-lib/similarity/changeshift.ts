/** Pixels of half resolution that are compared at each shift. */
type Plane = Float32Array;

/** How far the picture after lies off the picture before. */
export interface Shift {
  /** Pixels to the east and to the south by which the ground lies off in the picture after. */
  x: number;
  y: number;
  /** Correlation of the edges of both at this shift, −1 to 1. */
  correlation: number;
}

/**
 * How well the edges of two pictures of a chip correlate at each shift: `[2 r + 1, 2 r + 1]`, r = margin / 2, rows from the north.
 *
 * At half resolution, in steps of two pixels. Edges, not brightness: these keep their place when sun and season do not.
 *
 * @param before `[size, size, 3]`, the chip with a margin on each side
 * @param margin pixels, even: how far is searched
 */
export function correlationsOf(before: Uint8Array, after: Uint8Array, size: number, margin: number): Float32Array {
  const [half, reach] = [size >> 1, margin >> 1];
  const side = half - 2 * reach;
  const [first, second] = [edgesOf(before, size), edgesOf(after, size)];
  const correlations = new Float32Array((2 * reach + 1) ** 2);
  for (let dy = -reach, at = 0; dy <= reach; dy++)
    for (let dx = -reach; dx <= reach; dx++, at++)
      correlations[at] = correlation(first, second, half, side, reach, (reach + dy) * half + reach + dx);
  return correlations;
}

/** Pearson's correlation of the middle of one plane and a window of another; 0 where either is flat. */
function correlation(first: Plane, second: Plane, stride: number, side: number, reach: number, corner: number): number {
  let [a, b, aa, bb, ab] = [0, 0, 0, 0, 0];
  for (let row = 0; row < side; row++) {
    let p = (reach + row) * stride + reach;
    let q = corner + row * stride;
    for (let column = 0; column < side; column++, p++, q++) {
      const [x, y] = [first[p], second[q]];
      a += x;
      b += y;
      aa += x * x;
      bb += y * y;
      ab += x * y;
    }
  }
  const n = side * side;
  const spread = (aa - (a * a) / n) * (bb - (b * b) / n);
  return spread > 1e-9 ? (ab - (a * b) / n) / Math.sqrt(spread) : 0;
}

/** Square roots of the strength of edges, of means of 2 × 2 pixels. */
function edgesOf(image: Uint8Array, size: number): Plane {
  const half = size >> 1;
  const grey = new Float32Array(half * half);
  for (let at = 0; at < grey.length; at++) {
    const from = (2 * Math.floor(at / half) * size + 2 * (at % half)) * 3;
    const below = from + size * 3;
    for (let k = 0; k < 6; k++) grey[at] += image[from + k] + image[below + k];
  }
  const edges = new Float32Array(half * half);
  for (let at = 0; at < edges.length; at++) {
    const [row, column] = [Math.floor(at / half), at % half];
    const across = grey[column + 1 < half ? at + 1 : at] - grey[column > 0 ? at - 1 : at];
    const down = grey[row + 1 < half ? at + half : at] - grey[row > 0 ? at - half : at];
    edges[at] = Math.sqrt(Math.hypot(across, down));
  }
  return edges;
}

/** How much a chip's own best shift must gain over the tile's in correlation, for each pixel that it lies from it. */
const GAIN_PER_PIXEL = 0.01;

/**
 * The shift of each chip: the one at which its own edges correlate best, drawn towards that of all chips of its pair of tiles.
 *
 * A chip with nothing to hold on to, a field or water, takes the shift of all.
 *
 * @param correlations of each chip, as {@link correlationsOf} gives them
 */
export function bestShifts(correlations: readonly Float32Array[]): Shift[] {
  if (correlations.length === 0) return [];
  const across = Math.sqrt(correlations[0].length);
  const sums = new Float32Array(across * across);
  for (const own of correlations) own.forEach((value, at) => (sums[at] += value));
  const reach = (across - 1) / 2;
  const placeOf = (at: number): [number, number] => [
    2 * ((at % across) - reach),
    2 * (Math.floor(at / across) - reach),
  ];
  const common = placeOf(peakOf(sums));
  return correlations.map((own) => {
    const drawn = own.map((value, at) => {
      const [x, y] = placeOf(at);
      return value - GAIN_PER_PIXEL * Math.hypot(x - common[0], y - common[1]);
    });
    const peak = peakOf(drawn);
    const [x, y] = placeOf(peak);
    return { x, y, correlation: own[peak] };
  });
}

function peakOf(values: Float32Array): number {
  return values.reduce((best, value, at) => (value > values[best] ? at : best), 0);
}
