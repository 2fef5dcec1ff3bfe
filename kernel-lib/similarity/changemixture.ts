/** Two populations that numbers are drawn from, and to which each belongs. */
export interface Mixture {
  /** Of each number, that it belongs to the upper population, 0–1. */
  probability: Float64Array;
  /** Share of the upper population. */
  share: number;
}

/** What is believed of the share before a number is seen: Beta(2, 5), most likely a fifth, hardly none and hardly all. */
const PRIOR = { changed: 1, unchanged: 4 };
const ROUNDS = 60;

interface Normal {
  mean: number;
  deviation: number;
}

/**
 * Splits numbers into a lower and an upper normal population, by expectation and maximisation.
 *
 * What lies below the lower mean never counts to the upper. The upper one is at least 0.7 times as broad as the lower, so that it
 * does not shrink to a few equal numbers.
 *
 * @param start share of the upper population to begin with, 0–1. Default: 0.2
 * @see Dempster, Laird & Rubin 1977, Journal of the Royal Statistical Society B 39(1)
 */
export function twoPopulations(values: Float64Array, start = 0.2): Mixture {
  let share = Math.min(0.8, Math.max(0.03, start));
  const cut = values.toSorted()[Math.min(values.length - 1, Math.floor((1 - share) * values.length))];
  let probability = values.map((value) => (value > cut ? 1 : 0));
  for (let round = 0; round < ROUNDS; round++) {
    const lower = normalOf(values, probability.map((p) => 1 - p)); // prettier-ignore
    const upper = normalOf(values, probability);
    upper.deviation = Math.max(upper.deviation, 0.7 * lower.deviation);
    const odds = (value: number): number => Math.exp(logDensity(value, upper) - logDensity(value, lower)) * (share / (1 - share)); // prettier-ignore
    probability = values.map((value) => (value < lower.mean ? 0 : 1 - 1 / (1 + odds(value))));
    const sum = probability.reduce((total, p) => total + p, 0);
    share = (sum + PRIOR.changed) / (values.length + PRIOR.changed + PRIOR.unchanged);
  }
  return { probability, share };
}

function normalOf(values: Float64Array, weights: Float64Array): Normal {
  let [total, mean, square] = [1e-9, 0, 0];
  for (let at = 0; at < values.length; at++) {
    total += weights[at];
    mean += weights[at] * values[at];
  }
  mean /= total;
  for (let at = 0; at < values.length; at++) square += weights[at] * (values[at] - mean) ** 2;
  return { mean, deviation: Math.sqrt(square / total) + 1e-3 };
}

function logDensity(value: number, { mean, deviation }: Normal): number {
  return -0.5 * ((value - mean) / deviation) ** 2 - Math.log(deviation);
}
