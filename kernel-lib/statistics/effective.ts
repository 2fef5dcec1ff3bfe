import { chipColumnRow, squareNumber } from './neighbours.ts';

/** How many independent chips the chips are worth. */
export interface EffectiveSize {
  chips: number;
  /** From 1 to `chips`. `NaN` where all values are equal: nothing tells. */
  effective: number;
  /** chips / effective: how many times wider the variance of a mean is than independent chips would make it. */
  designEffect: number;
  /** Chips' sides up to which neighbours are alike. */
  range: number;
  /** Whether they were still alike at `maxLag`: then `effective` is an upper bound. */
  cutOff: boolean;
  /** Mean autocorrelation at 1, 2, … sides, up to the first that is not above 0. */
  correlogram: number[];
}

/**
 * Effective sample size of a mean (or a share) over chips that resemble their neighbours.
 *
 * n* = n / (1 + (2 / n) Σ_r N(r) ρ(r)), with N(r) pairs of chips at r sides (the distance rounded) and ρ(r) their
 * autocorrelation about the common mean, summed from r = 1 to before the first ρ(r) ≤ 0. Where all ρ are known this is
 * n² / Σ Σ ρ_ij, the n* of Griffith; the cut keeps the noise of far pairs out, as Geyer's initial positive sequence does
 * for a series. The mean is estimated from the same chips, so n* is on the high side.
 *
 * @param chips ids of one zone, each once
 * @param values one a chip: 0 and 1 for a label
 * @param maxLag sides looked at, at most
 * @throws {RangeError} when chips and values differ in number, or there is none
 * @see Griffith 2005, Ann. Assoc. Am. Geogr. 95(4) 740–760, eq. 1; Geyer 1992, Stat. Sci. 7(4) 473–483
 */
export function effectiveSize(
  chips: readonly string[],
  values: ArrayLike<number>,
  { maxLag = 16 }: { maxLag?: number } = {},
): EffectiveSize {
  const n = chips.length;
  if (n === 0 || values.length !== n) throw new RangeError(`effectiveSize requires one value a chip, got ${values.length} for ${n} chips`); // prettier-ignore
  const mean = Array.from(values).reduce((sum, value) => sum + value, 0) / n;
  const places = chips.map(chipColumnRow);
  const deviations = new Map(places.map(([column, row], at) => [squareNumber(column, row), values[at] - mean]));
  const total = [...deviations.values()].reduce((sum, one) => sum + one ** 2, 0);
  if (total <= 1e-24 * n) return { chips: n, effective: NaN, designEffect: NaN, range: 0, cutOff: false, correlogram: [] }; // prettier-ignore
  const correlogram: number[] = [];
  let products = 0;
  while (correlogram.length < maxLag && !(correlogram.at(-1)! <= 0)) {
    const { sum, pairs } = ringProducts(places, deviations, correlogram.length + 1);
    correlogram.push(pairs === 0 ? Number.NaN : (sum / pairs) * (n / total)); // no two chips so far apart: the next ring is asked
    if (sum > 0) products += sum;
  }
  const effective = Math.max(1, Math.min(n, (n * total) / (total + 2 * products)));
  const cutOff = correlogram.length === maxLag && correlogram.at(-1)! > 0;
  const range = correlogram.filter((rho) => rho > 0).length;
  return { chips: n, effective, designEffect: n / effective, range, cutOff, correlogram };
}

/** Sum of products over the pairs of chips whose distance rounds to `lag` sides, each pair once. */
function ringProducts(
  places: readonly [number, number][],
  deviations: ReadonlyMap<number, number>,
  lag: number,
): { sum: number; pairs: number } {
  const across = Array.from({ length: 2 * lag + 1 }, (_, k) => k - lag);
  const steps = across.flatMap((dy) => across.map((dx) => [dx, dy]));
  const ring = steps.filter(([dx, dy]) => Math.round(Math.hypot(dx, dy)) === lag && (dy > 0 || (dy === 0 && dx > 0)));
  let sum = 0;
  let pairs = 0;
  for (const [column, row] of places) {
    const here = deviations.get(squareNumber(column, row))!;
    for (const [dx, dy] of ring) {
      const there = deviations.get(squareNumber(column + dx, row + dy));
      if (there === undefined) continue;
      sum += here * there;
      pairs++;
    }
  }
  return { sum, pairs };
}
