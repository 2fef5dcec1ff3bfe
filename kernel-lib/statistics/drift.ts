import type { ChipTag } from './chiptags.ts';
import { chiSquaredTest } from './contingency.ts';
import { adjustP } from './correction.ts';
import { chiSquaredTail, kolmogorovTail } from './distribution.ts';
import { countsBySquare } from './incidence.ts';

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
 * each, on the safe side where values are equal. scipy's `ks_2samp(mode='asymp')` takes the one-sample distribution for a
 * rounded n instead, which is smaller for few values: 0.126, not 0.163, for the 25 and 12 of the test.
 * For counts by class take {@link chiSquaredTest}.
 *
 * @returns `NaN` where either sample is empty
 * @throws {RangeError} when a value is not a number
 */
export function kolmogorovSmirnov(a: ArrayLike<number>, b: ArrayLike<number>): KolmogorovSmirnov {
  const [x, y] = [Float64Array.from(a).sort(), Float64Array.from(b).sort()];
  if (x.length === 0 || y.length === 0) return { d: NaN, p: NaN };
  if ([x, y].some((sorted) => Number.isNaN(sorted.at(-1)))) throw new RangeError('kolmogorovSmirnov requires numbers, got NaN'); // prettier-ignore
  let [i, j, d] = [0, 0, 0];
  while (i < x.length && j < y.length) {
    const value = Math.min(x[i], y[j]);
    while (x[i] === value) i++;
    while (y[j] === value) j++;
    d = Math.max(d, Math.abs(i / x.length - j / y.length));
  }
  return { d, p: kolmogorovTail(d * Math.sqrt((x.length * y.length) / (x.length + y.length))) };
}

/** Whether a label is as frequent in every group of chips: a row of a table. `NaN` where there is one group. */
export interface LabelDrift {
  tag: string;
  groups: number;
  /** The groups where it is rarest and most frequent, and its shares there, 0–1. */
  rarest: string;
  least: number;
  commonest: string;
  most: number;
  /** χ² of homogeneity of having the label or not, over its design effect. */
  chiSquared: number;
  /** How likely so large a difference is by chance, and that corrected for the number of labels (Holm). */
  p: number;
  holm: number;
  /** Cramér's V: the size of the difference, 0–1. */
  cramersV: number;
}

/**
 * Drift of labels between groups of chips: cells, dates or splits. A χ² test of homogeneity for each label, the largest
 * difference first.
 *
 * χ² is divided by the label's design effect (Rao and Scott's first-order correction), for chips that resemble their
 * neighbours are worth fewer. No chip is in two groups.
 *
 * @param rows which tags lie in which chips
 * @param chips all that were looked at, those without any tag included
 * @param groupOf the group of a chip: its cell, date or split
 * @param options.designEffect of a tag, from {@link clustering}. Default: 1, chips independent
 * @see Rao & Scott 1981, JASA 76(374) 221–230
 */
export function labelDrift(
  rows: readonly { chip: string; tag: string }[],
  tags: readonly string[],
  chips: readonly string[],
  groupOf: (chip: string) => string,
  { designEffect = () => 1 }: { designEffect?: (tag: string) => number } = {},
): LabelDrift[] {
  const sizes = new Map<string, number>();
  for (const chip of chips) sizes.set(groupOf(chip), (sizes.get(groupOf(chip)) ?? 0) + 1);
  const groups = [...sizes.keys()].sort();
  const looked = new Set(chips);
  const counts = countsBySquare(rows.filter(({ chip }) => looked.has(chip)), tags, groups, groupOf); // prettier-ignore
  const drifts = tags.map((tag, column) => {
    const has = counts.map((row) => row[column]);
    const table = has.map((count, at) => [count, sizes.get(groups[at])! - count]);
    const { chiSquared, degreesOfFreedom, cramersV } = chiSquaredTest(table);
    const corrected = chiSquared / (designEffect(tag) || 1);
    return { tag, groups: groups.length, ...extremes(table, groups), chiSquared: corrected, p: degreesOfFreedom > 0 ? chiSquaredTail(corrected, degreesOfFreedom) : NaN, cramersV }; // prettier-ignore
  });
  const holm = adjustP(drifts.map(({ p }) => p), 'holm'); // prettier-ignore
  const all = drifts.map(({ cramersV, ...drift }, at) => ({ ...drift, holm: holm[at], cramersV }));
  return all.sort((a, b) => (b.cramersV || 0) - (a.cramersV || 0));
}

function extremes(
  table: readonly number[][],
  groups: readonly string[],
): Pick<LabelDrift, 'rarest' | 'least' | 'commonest' | 'most'> {
  const shares = table.map(([has, lacks]) => has / (has + lacks));
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  return { rarest: groups[shares.indexOf(least)], least, commonest: groups[shares.indexOf(most)], most };
}

/**
 * How much of a tag lies in each chip, 0 where there is none: what {@link kolmogorovSmirnov} compares.
 *
 * @param measure share of the chip, metres or points
 * @returns in the order of `chips`
 */
export function amounts(
  rows: readonly ChipTag[],
  tag: string,
  { chips, measure }: { chips: readonly string[]; measure: 'area' | 'length' | 'points' },
): number[] {
  const found = new Map(rows.filter((row) => row.tag === tag).map((row) => [row.chip, row[measure]]));
  return chips.map((chip) => found.get(chip) ?? 0);
}
