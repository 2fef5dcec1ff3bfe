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
  const n = side * side;
  const [sums, squares] = [runningSums(second, half), runningSums(second.map((value) => value * value), half)]; // prettier-ignore
  const [a, aa] = [first, first.map((value) => value * value)].map((plane) => sumIn(runningSums(plane, half), half, reach, reach, side)); // prettier-ignore
  const correlations = new Float32Array((2 * reach + 1) ** 2);
  for (let at = 0; at < correlations.length; at++) {
    const [left, top] = [at % (2 * reach + 1), Math.floor(at / (2 * reach + 1))];
    const [b, bb] = [sums, squares].map((table) => sumIn(table, half, left, top, side));
    const spread = (aa - (a * a) / n) * (bb - (b * b) / n);
    const together = productSum(first, second, half, side, reach * (half + 1), top * half + left);
    if (spread > 1e-3) correlations[at] = (together - (a * b) / n) / Math.sqrt(spread);
  }
  return correlations;
}

/** The hot loop: sum of products of two squares of planes. */
function productSum(first: Plane, second: Plane, stride: number, side: number, from: number, to: number): number {
  let sum = 0;
  for (let row = 0; row < side; row++) {
    let p = from + row * stride;
    let q = to + row * stride;
    for (const end = p + side; p < end; p++, q++) sum += first[p] * second[q];
  }
  return sum;
}

/** Sums of all that lies above and left of each corner, `[side + 1, side + 1]`: the sum of any square is of four of them. */
function runningSums(plane: Plane, side: number): Float64Array {
  const across = side + 1;
  const table = new Float64Array(across * across);
  for (let row = 0; row < side; row++) {
    let sum = 0;
    for (let column = 0; column < side; column++) {
      sum += plane[row * side + column];
      table[(row + 1) * across + column + 1] = table[row * across + column + 1] + sum;
    }
  }
  return table;
}

function sumIn(table: Float64Array, planeSide: number, left: number, top: number, side: number): number {
  const [above, below] = [top * (planeSide + 1) + left, (top + side) * (planeSide + 1) + left];
  return table[below + side] - table[below] - table[above + side] + table[above];
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
