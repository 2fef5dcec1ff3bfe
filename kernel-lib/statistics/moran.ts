import { twoSided } from './distribution.ts';
import { type Neighbours, weightSums } from './neighbours.ts';

/** A statistic with what it would be were the values laid out by chance. */
export interface SpatialTest {
  /** `NaN`, as all that follows from it, where it is undefined. */
  value: number;
  expected: number;
  variance: number;
  /** (value − expected) / √variance. */
  z: number;
  /** Two-sided, from the normal distribution of z. */
  p: number;
}

/**
 * Moran's I: whether values of chips are like those of the chips beside them. Near 0 by chance, towards 1 in patches, below
 * 0 in a chequered pattern.
 *
 * Moments under randomisation: over all ways to lay out the same values. As R's `spdep::moran.test(x, nb2listw(nb, style),
 * randomisation = TRUE, adjust.n = FALSE)`, whose style W is `row` and B is `binary`. Chips without a neighbour count in n
 * and have no weight.
 *
 * @param values one a chip
 * @param neighbours of each chip, as {@link chipNeighbours} gives them
 * @param style `row`: a chip's neighbours share a weight of 1; `binary`: each has 1. Default `row`.
 * @returns `NaN` where all values are equal, there is no neighbour, or there are fewer than four chips
 * @throws {RangeError} when values and neighbours differ in number
 * @see Cliff & Ord 1981, Spatial Processes, pp. 17–21, 46
 */
export function moransI(
  values: ArrayLike<number>,
  neighbours: Neighbours,
  style: 'binary' | 'row' = 'row',
): SpatialTest {
  const n = values.length;
  if (neighbours.length !== n) throw new RangeError(`moransI requires neighbours for each value, got ${neighbours.length} for ${n}`); // prettier-ignore
  const mean = Array.from(values).reduce((sum, value) => sum + value, 0) / n;
  const z = Array.from(values, (value) => value - mean);
  const m2 = z.reduce((sum, one) => sum + one ** 2, 0);
  const m4 = z.reduce((sum, one) => sum + one ** 4, 0);
  const { s0, s1, s2 } = weightSums(neighbours, style);
  const expected = -1 / (n - 1);
  if (n < 4 || s0 === 0 || m2 <= 1e-24 * n) return { value: NaN, expected, variance: NaN, z: NaN, p: NaN };
  let cross = 0;
  for (const [i, others] of neighbours.entries()) {
    const sum = others.reduce((total, j) => total + z[j], 0);
    if (others.length > 0) cross += (z[i] * sum) / (style === 'row' ? others.length : 1);
  }
  const kurtosis = (n * m4) / m2 ** 2;
  const first = n * ((n ** 2 - 3 * n + 3) * s1 - n * s2 + 3 * s0 ** 2);
  const second = kurtosis * ((n ** 2 - n) * s1 - 2 * n * s2 + 6 * s0 ** 2);
  const variance = (first - second) / ((n - 1) * (n - 2) * (n - 3) * s0 ** 2) - expected ** 2;
  return scored((n / s0) * (cross / m2), expected, variance);
}

/** A statistic with its score; without a score where it cannot vary. */
export function scored(value: number, expected: number, variance: number): SpatialTest {
  const z = variance > 0 ? (value - expected) / Math.sqrt(variance) : NaN;
  return { value, expected, variance, z, p: twoSided(z) };
}
