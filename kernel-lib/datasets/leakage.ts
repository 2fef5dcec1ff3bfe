import seedrandom from 'seedrandom';
import { areaUnderRoc, standardiser } from '../statistics/index.ts';
import type { ChipLabels, LabelValue } from './labels.ts';
import { type SplitOptions, splitByPlace } from './splits.ts';

/** How a classifier that only remembers does on one way of splitting. */
export interface LeakageRow {
  split: 'rows at random' | 'by place, no buffer' | 'by place, with buffer';
  /** Rows learnt from, the same number for every split, and rows asked. */
  train: number;
  test: number;
  /** Labels of which both kinds lie on either side. */
  labels: number;
  /** Mean area under the ROC curve over those labels, 0–1: 0.5 is chance. `NaN` where there is none. */
  score: number;
}

/** A picture with its labels. */
export interface LeakageExample {
  /** `Z33-<18 digits>`. */
  id: string;
  labels: Record<string, LabelValue>;
}

/** How {@link leakageReport} works. */
export interface LeakageOptions extends SplitOptions {
  /** Neighbours that are asked. Default: 5. */
  neighbours?: number;
  /** Rows learnt from and asked at most, at random. Default: 5,000 and 2,000. */
  mostTrain?: number;
  mostTest?: number;
}

/**
 * How much a score gains by leakage alone: the same classifier on rows split at random, by place, and by place with a
 * buffer.
 *
 * The classifier finds the nearest rows by their features, scaled to variance 1, and says what those are: it can only
 * remember. What it scores better on a random split than on one by place is ground that it has seen, at another date or
 * right beside. Every split learns from as many rows.
 *
 * @param examples rows of all dates, in the order of `features`
 * @param features `[n, d]`
 * @param options as the dataset is split; `buffer` is that of the last row
 * @throws {RangeError} when features and rows do not match, or there is too little ground to split
 */
export function leakageReport(
  examples: readonly LeakageExample[],
  features: Float32Array,
  options: LeakageOptions = {},
): LeakageRow[] {
  const { mostTrain = 5000, mostTest = 2000, neighbours = 5, seed = 1, test = 0.25, buffer = 1 } = options;
  const d = features.length / examples.length;
  if (examples.length === 0 || !Number.isInteger(d))
    throw new RangeError(`leakageReport requires features of ${examples.length} rows, got ${features.length} numbers`);
  const random = seedrandom(`leakage ${seed}`);
  const standard = standardiser(features, d);
  const scaled = features.map((value, at) => standard(value, at % d));
  const splits = [
    ['rows at random', atRandom(examples.length, test, random)],
    ['by place, no buffer', byPlace(examples, { ...options, buffer: 0 })],
    ['by place, with buffer', byPlace(examples, { ...options, buffer })],
  ] as const;
  const size = Math.min(mostTrain, ...splits.map(([, { train }]) => train.length));
  return splits.map(([split, sides]) => {
    const train = shuffled(sides.train, random).slice(0, size);
    const asked = shuffled(sides.test, random).slice(0, mostTest);
    const near = asked.map((row) => nearest(scaled, d, row, train, neighbours));
    return { split, train: train.length, test: asked.length, ...scoreOf(examples, train, asked, near) };
  });
}

interface Sides {
  train: number[];
  test: number[];
}

function atRandom(count: number, share: number, random: () => number): Sides {
  const order = shuffled(Array.from({ length: count }, (_, row) => row), random); // prettier-ignore
  const cut = Math.round(count * share);
  return { test: order.slice(0, cut), train: order.slice(cut) };
}

function byPlace(examples: readonly LeakageExample[], options: SplitOptions): Sides {
  const chips = new Map(examples.map(({ id, labels }): [string, ChipLabels] => [id, { labels, weight: 1 }]));
  const sides = splitByPlace(chips, options);
  const rows = (side: string): number[] => examples.flatMap(({ id }, row) => (sides.get(id) === side ? [row] : []));
  return { train: rows('train'), test: rows('test') };
}

function shuffled(rows: readonly number[], random: () => number): number[] {
  return rows.map((row) => ({ row, at: random() })).sort((a, b) => a.at - b.at).map(({ row }) => row); // prettier-ignore
}

/** The rows of `train` that are nearest to one, by Euclidean distance. */
function nearest(features: Float32Array, d: number, row: number, train: readonly number[], count: number): number[] {
  const distances = train.map((other) => {
    let sum = 0;
    for (let k = 0; k < d; k++) sum += (features[row * d + k] - features[other * d + k]) ** 2;
    return { other, sum };
  });
  return distances.sort((a, b) => a.sum - b.sum).slice(0, count).map(({ other }) => other); // prettier-ignore
}

/** Mean area under the curve over the labels that can be scored; rows of which a label is not known count neither way. */
function scoreOf(
  examples: readonly LeakageExample[],
  train: readonly number[],
  asked: readonly number[],
  near: readonly number[][],
): Pick<LeakageRow, 'labels' | 'score'> {
  const areas = Object.keys(examples[0].labels).flatMap((label) => {
    const value = (row: number): LabelValue => examples[row].labels[label];
    if (!train.some((row) => value(row) === 1) || !train.some((row) => value(row) === 0)) return [];
    const known = asked.flatMap((row, at) => (value(row) === null ? [] : [at]));
    const scores = known.map((at) => {
      const answers = near[at].map(value).filter((one) => one !== null);
      return answers.reduce<number>((sum, one) => sum + one, 0) / Math.max(1, answers.length);
    });
    const { auc } = areaUnderRoc(scores, known.map((at) => value(asked[at])!)); // prettier-ignore
    return Number.isNaN(auc) ? [] : [auc];
  });
  const score = areas.reduce((sum, auc) => sum + auc, 0) / areas.length;
  return { labels: areas.length, score };
}
