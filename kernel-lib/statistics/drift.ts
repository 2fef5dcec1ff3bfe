import { kolmogorovTail } from './distribution.ts';

/** What a Kolmogorov–Smirnov test says. */
export interface KolmogorovSmirnov {
  /** The largest distance of the two cumulative distributions, 0–1. */
  d: number;
  /** How likely so large a distance is between two samples of one distribution, 0–1. */
  p: number;
}

/**
 * Two-sample Kolmogorov–Smirnov test, two-sided: whether values at two dates, in two cells or in two splits are of one
 * distribution.
 *
 * p is from Kolmogorov's limit for d √(n m / (n + m)), as R's `ks.test(a, b, exact = FALSE)`; good from some 30 values
 * each, on the safe side where values are equal. (scipy's `ks_2samp(mode='asymp')` takes the one-sample distribution for a
 * rounded n instead, which differs by a few parts in a hundred.) For counts by class take {@link chiSquaredTest}.
 *
 * @returns `NaN` where either sample is empty
 */
export function kolmogorovSmirnov(a: ArrayLike<number>, b: ArrayLike<number>): KolmogorovSmirnov {
  const [x, y] = [Float64Array.from(a).sort(), Float64Array.from(b).sort()];
  if (x.length === 0 || y.length === 0) return { d: NaN, p: NaN };
  let [i, j, d] = [0, 0, 0];
  while (i < x.length && j < y.length) {
    const value = Math.min(x[i], y[j]);
    while (x[i] === value) i++;
    while (y[j] === value) j++;
    d = Math.max(d, Math.abs(i / x.length - j / y.length));
  }
  return { d, p: kolmogorovTail(d * Math.sqrt((x.length * y.length) / (x.length + y.length))) };
}
