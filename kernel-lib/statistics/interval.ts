import seedrandom from 'seedrandom';
import { normalQuantile } from './distribution.ts';

/** Lower and upper bound. */
export type Interval = [low: number, high: number];

/**
 * Wilson score interval of a share, without continuity correction; as R's `prop.test(x, n, correct = FALSE)$conf.int`.
 *
 * @param successes of `n`
 * @param confidence above 0 and below 1, two-sided
 * @returns lower and upper bound, 0–1
 * @throws {RangeError} unless 0 ≤ successes ≤ n, n > 0 and 0 < confidence < 1
 * @see Wilson 1927, JASA 22(158) 209–212
 */
export function wilsonInterval(successes: number, n: number, confidence = 0.95): [low: number, high: number] {
  if (!(n > 0 && successes >= 0 && successes <= n)) {
    throw new RangeError(`wilsonInterval requires 0 ≤ successes ≤ n and n > 0, got ${successes} of ${n}`);
  }
  const z = scoreOf('wilsonInterval', confidence);
  const share = successes / n;
  const centre = (share + z ** 2 / (2 * n)) / (1 + z ** 2 / n);
  const half = (z / (1 + z ** 2 / n)) * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  return [successes === 0 ? 0 : centre - half, successes === n ? 1 : centre + half]; // rounding would leave the share outside
}

/** How {@link bootstrap} draws. */
export interface BootstrapOptions {
  /** Of the draws: the same seed gives the same interval. Default 1. */
  seed?: number | undefined;
  /** Samples drawn. Default 1,000. */
  samples?: number | undefined;
  /** Above 0 and below 1, two-sided. Default 0.95. */
  confidence?: number | undefined;
}

/**
 * Percentile bootstrap: intervals of statistics over units that are drawn with replacement, as many as there are.
 *
 * Give whole blocks of chips as units, and what neighbours share stays in the uncertainty (a block bootstrap). Bounds are
 * quantiles of R's type 7; draws for which a statistic is undefined are left out.
 *
 * @param units what is drawn: blocks, cells or chips
 * @param statistics of the drawn units, by name
 * @returns an interval a statistic; `NaN` where there are fewer than two units, or no draw gave a number
 * @see Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13
 */
export function bootstrap<Unit, Name extends string>(
  units: readonly Unit[],
  statistics: (drawn: Unit[]) => Record<Name, number>,
  { seed = 1, samples = 1000, confidence = 0.95 }: BootstrapOptions = {},
): Record<Name, Interval> {
  if (!(Number.isInteger(samples) && samples > 0)) throw new RangeError(`bootstrap requires a positive number of samples, got ${samples}`); // prettier-ignore
  scoreOf('bootstrap', confidence);
  const random = seedrandom(String(seed));
  const draw = (): Unit[] => units.map(() => units[Math.floor(random() * units.length)]);
  const drawn = Array.from({ length: samples }, () => statistics(draw()));
  const names = Object.keys(drawn[0]) as Name[];
  const intervals = names.map((name) => [name, units.length < 2 ? [NaN, NaN] : middle(drawn.map((one) => one[name]), confidence)] as const); // prettier-ignore
  return Object.fromEntries(intervals) as Record<Name, Interval>;
}

function middle(values: readonly number[], confidence: number): Interval {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  if (sorted.length === 0) return [NaN, NaN];
  return [quantile(sorted, (1 - confidence) / 2), quantile(sorted, (1 + confidence) / 2)];
}

/** Type 7; unlike simple-statistics' it is infinite, not `NaN`, between two infinite values. */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below === above ? below : below + (at % 1) * (above - below);
}

/** The standard normal score of a two-sided confidence. */
export function scoreOf(name: string, confidence: number): number {
  if (!(confidence > 0 && confidence < 1)) {
    throw new RangeError(`${name} requires a confidence above 0 and below 1, got ${confidence}`);
  }
  return normalQuantile((1 + confidence) / 2);
}
