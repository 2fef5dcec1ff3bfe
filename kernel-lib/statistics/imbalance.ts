import { type BootstrapOptions, bootstrap } from './interval.ts';

/** How uneven classes are. */
export interface Imbalance {
  /** Shannon's evenness: entropy over that of as many equal classes, 0–1. `NaN` for fewer than two classes. */
  evenness: number;
  /** The most frequent class over the rarest. Infinite where one has none, `NaN` where all have none. */
  ratio: number;
  /** Effective number of classes: how many equal ones would be as diverse (Hill's number of order 1), 1 to all. */
  effectiveClasses: number;
}

/**
 * Imbalance of classes by their counts.
 *
 * Natural logarithms; a class without any chip counts as a class. Evenness is R's `vegan::diversity(x) / log(length(x))`.
 *
 * @param counts one a class
 * @see Pielou 1966, J. Theor. Biol. 13 131–144; Hill 1973, Ecology 54(2) 427–432
 */
export function imbalance(counts: readonly number[]): Imbalance {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const shares = counts.map((count) => count / total).filter((share) => share > 0);
  const entropy = total > 0 ? shares.reduce((sum, share) => sum - share * Math.log(share), 0) : NaN;
  return {
    evenness: counts.length < 2 ? NaN : entropy / Math.log(counts.length),
    ratio: Math.max(...counts) / Math.min(...counts),
    effectiveClasses: Math.exp(entropy),
  };
}

/** Imbalance and the bounds of its intervals. */
export interface ImbalanceIntervals {
  found: Imbalance;
  low: Imbalance;
  high: Imbalance;
}

/**
 * The same with intervals from a bootstrap over units. Give blocks of chips, as {@link countsBySquare} makes them: chips
 * beside each other are alike, and drawn one by one they would make the intervals too narrow.
 *
 * The ratio of a draw is that of the two classes that are the most frequent and the rarest of all: the extremes of each
 * draw would lie further apart than the truth. Evenness and effective number of a draw lie a little lower than the truth
 * where units are few.
 *
 * @param units counts, `[unit, class]`
 * @throws {RangeError} when there is no unit
 */
export function imbalanceWithIntervals(
  units: readonly (readonly number[])[],
  options: BootstrapOptions = {},
): ImbalanceIntervals {
  if (units.length === 0) throw new RangeError('imbalanceWithIntervals requires at least one unit, got none');
  const totals = totalsOf(units);
  const [most, least] = [totals.indexOf(Math.max(...totals)), totals.indexOf(Math.min(...totals))];
  const ofDraw = (drawn: readonly (readonly number[])[]): Record<keyof Imbalance, number> => {
    const counts = totalsOf(drawn);
    return { ...imbalance(counts), ratio: counts[most] / counts[least] };
  };
  const { evenness, ratio, effectiveClasses } = bootstrap(units, ofDraw, options);
  const [low, high] = [0, 1].map((at) => ({ evenness: evenness[at], ratio: ratio[at], effectiveClasses: effectiveClasses[at] })); // prettier-ignore
  return { found: imbalance(totals), low, high };
}

function totalsOf(units: readonly (readonly number[])[]): number[] {
  return units[0].map((_, column) => units.reduce((sum, counts) => sum + counts[column], 0));
}
