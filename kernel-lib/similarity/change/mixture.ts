/** Two populations that things are drawn from, and to which each belongs. */
export interface Mixture {
  /** Of each thing, that it belongs to the upper population, 0–1. */
  probability: Float64Array;
  /** Share of the upper population. */
  share: number;
}

/** What is believed of the share before a number is seen: Beta(2, 3), which rules nothing out but none and all. */
const PRIOR = { upper: 1, lower: 2 };
const ROUNDS = 40;
/** Log odds that one number can give: no single one decides alone. */
const STRONGEST = 50;

interface Normal {
  mean: number;
  deviation: number;
}

/**
 * Splits things into a lower and an upper population by several numbers each, by expectation and maximisation.
 *
 * Every number is normal in each population and, given the population, independent of the others (naive Bayes). In each the upper
 * mean is not below the lower, and the upper one at least 0.7 times as broad as the lower, so that it does not shrink to a few equal
 * ones. A number below the lower mean never speaks for the upper population, and the last number there decides against it.
 *
 * @param numbers one array of `[things]` for each kind of number, higher where it speaks for the upper population
 * @param start probabilities to begin with. Default: the fifth that is highest in the first number
 * @see Dempster, Laird & Rubin 1977, Journal of the Royal Statistical Society B 39(1)
 */
export function twoPopulations(numbers: readonly Float64Array[], start?: Float64Array): Mixture {
  const [first] = numbers;
  const n = first.length;
  const cut = first.toSorted()[Math.floor(0.8 * (n - 1))];
  let probability = start ?? first.map((value) => (value > cut ? 1 : 0));
  let share = 0;
  for (let round = 0; round < ROUNDS; round++) {
    share = (probability.reduce((sum, p) => sum + p, 0) + PRIOR.upper) / (n + PRIOR.upper + PRIOR.lower);
    const odds = new Float64Array(n).fill(Math.log(share / (1 - share)));
    for (const [at, values] of numbers.entries()) addOdds(odds, values, probability, at === numbers.length - 1);
    probability = odds.map((logOdds) => 1 / (1 + Math.exp(-logOdds)));
  }
  return { probability, share };
}

function addOdds(odds: Float64Array, values: Float64Array, probability: Float64Array, isLast: boolean): void {
  const lower = normalOf(values, probability.map((p) => 1 - p)); // prettier-ignore
  const upper = normalOf(values, probability);
  upper.mean = Math.max(upper.mean, lower.mean);
  upper.deviation = Math.max(upper.deviation, 0.7 * lower.deviation);
  values.forEach((value, at) => {
    const told = Math.min(STRONGEST, Math.max(-STRONGEST, logDensity(value, upper) - logDensity(value, lower)));
    if (value >= lower.mean) odds[at] += told;
    else odds[at] += isLast ? -STRONGEST : Math.min(0, told);
  });
}

function normalOf(values: Float64Array, weights: Float64Array): Normal {
  let [total, mean, square] = [0, 0, 0];
  for (let at = 0; at < values.length; at++) {
    total += weights[at] + 1e-9;
    mean += (weights[at] + 1e-9) * values[at];
  }
  mean /= total;
  for (let at = 0; at < values.length; at++) square += (weights[at] + 1e-9) * (values[at] - mean) ** 2;
  return { mean, deviation: Math.sqrt(square / total) + 1e-3 };
}

function logDensity(value: number, { mean, deviation }: Normal): number {
  return -0.5 * ((value - mean) / deviation) ** 2 - Math.log(deviation);
}

/**
 * Probabilities that never fall as a number grows, nearest to those given (isotonic regression, pool adjacent violators).
 *
 * @see Barlow & Brunk 1972, Journal of the American Statistical Association 67(337)
 */
export function risingWith(numbers: Float64Array, probability: Float64Array): Float64Array {
  const order = Array.from(numbers.keys()).sort((a, b) => numbers[a] - numbers[b]);
  const pools: { sum: number; count: number }[] = [];
  for (const at of order) {
    let pool = { sum: probability[at], count: 1 };
    for (let last = pools.at(-1); last && last.sum / last.count >= pool.sum / pool.count; last = pools.at(-1)) {
      pool = { sum: pool.sum + last.sum, count: pool.count + last.count };
      pools.pop();
    }
    pools.push(pool);
  }
  const risen = new Float64Array(numbers.length);
  let next = 0;
  for (const { sum, count } of pools) for (let k = 0; k < count; k++) risen[order[next++]] = Math.min(1, sum / count);
  return risen;
}
