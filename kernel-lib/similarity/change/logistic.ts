import type { ChipChange } from './known.ts';
import type { Visit } from './pairs.ts';

/** Brings how far a chip moved to a probability. */
export type Calibration = (change: number) => number;

const STEPS = 50;
/** Pull of both numbers towards zero: keeps them finite where the two kinds do not overlap. */
const RIDGE = 1e-3;

/**
 * Fits probabilities to changes that are known, for use on other ground: logistic regression on `change`.
 *
 * Fit it on cells that are not scored, and apply it to lists of the same model. Labels are drawn in as Platt has it, so that few
 * examples do not make it certain. A probability is then the share of chips of such a `change` that are known to have changed.
 *
 * @param changes a list with known truth, such as `detectChange` makes
 * @param shares how much of each chip changed, as `changedShares` gives it
 * @param options.minShare as of `scoreChanges`: chips between none and this are left out. Default: 0.02
 * @throws {RangeError} when there is no chip of one of the two kinds
 * @see Platt 1999, Probabilistic outputs for support vector machines; Lin, Lin & Weng 2007, Machine Learning 68
 */
export function fitCalibration(
  changes: readonly Pick<ChipChange<Visit>, 'id' | 'change'>[],
  shares: ReadonlyMap<string, number>,
  { minShare = 0.02 }: { minShare?: number } = {},
): Calibration {
  const known = changes.filter(({ id }) => !((shares.get(id) ?? 0) > 0 && shares.get(id)! < minShare));
  const isChanged = known.map(({ id }) => (shares.get(id) ?? 0) >= minShare);
  const changed = isChanged.filter(Boolean).length;
  const unchanged = known.length - changed;
  if (changed === 0 || unchanged === 0)
    throw new RangeError(`fitCalibration got ${changed} changed and ${unchanged} unchanged chips: it takes both; give vectors that touch some of the list`); // prettier-ignore
  const truth = isChanged.map((is) => (is ? (changed + 1) / (changed + 2) : 1 / (unchanged + 2)));
  const middle = known.reduce((sum, { change }) => sum + change, 0) / known.length;
  const [intercept, slope] = newton(known.map(({ change }) => change - middle), truth); // prettier-ignore
  return (change) => 1 / (1 + Math.exp(-intercept - slope * (change - middle)));
}

/** The intercept and slope of greatest likelihood. */
function newton(xs: readonly number[], ys: readonly number[]): [intercept: number, slope: number] {
  let [a, b] = [0, 0];
  for (let step = 0; step < STEPS; step++) {
    let [ga, gb, haa, hab, hbb] = [-RIDGE * a, -RIDGE * b, RIDGE, 0, RIDGE];
    xs.forEach((x, at) => {
      const p = 1 / (1 + Math.exp(-a - b * x));
      const weight = p * (1 - p);
      ga += ys[at] - p;
      gb += (ys[at] - p) * x;
      haa += weight;
      hab += weight * x;
      hbb += weight * x * x;
    });
    const determinant = haa * hbb - hab * hab;
    const [da, db] = [(ga * hbb - gb * hab) / determinant, (gb * haa - ga * hab) / determinant];
    const damped = Math.min(1, 5 / Math.hypot(da, db)); // far from the solution a whole step overshoots
    a += damped * da;
    b += damped * db;
  }
  return [a, b];
}
