import type { DatasetRow, Split } from '../datasets/index.ts';

/**
 * Average precision of a ranking: the mean, over relevant answers, of the precision down to each.
 *
 * As scikit-learn's `average_precision_score` where no two scores are equal; of equal ones the order given counts, which for a list of all equal scores
 * says as much as chance does. 0 where nothing is relevant.
 *
 * @param relevant 1 or 0, best answer first
 */
export function averagePrecision(relevant: readonly number[]): number {
  let hits = 0;
  let sum = 0;
  relevant.forEach((value, index) => {
    if (value === 1) sum += ++hits / (index + 1);
  });
  return hits === 0 ? 0 : sum / hits;
}

/** A chip to ask with, and the label to judge the answers by. */
export interface Question {
  /** Row of the chip. */
  index: number;
  label: string;
}

/**
 * Questions for people to look at: labels from the rarest to the most frequent, in even steps, and for each the chip of the test
 * ground that has it and a middling number of labels in all.
 *
 * Only labels that two places of the training ground and two of the test ground have: of others nothing can be expected.
 *
 * @param count how many; fewer where there are not so many labels
 */
export function sampleQuestions(rows: readonly DatasetRow[], labels: readonly string[], count: number): Question[] {
  const having = (label: string, split: Split): number[] =>
    [...rows.keys()].filter((index) => rows[index].split === split && rows[index].labels[label] === 1);
  const places = (indices: number[]): number => new Set(indices.map((index) => rows[index].id)).size;
  const labelsOf = (index: number): string[] => labelsOfRow(rows[index]);
  const fit = labels
    .filter((label) => places(having(label, 'train')) > 1 && places(having(label, 'test')) > 1)
    .toSorted((a, b) => having(a, 'test').length - having(b, 'test').length);
  const questions = new Map<number, Question>();
  for (let step = 0; step < Math.min(count, fit.length); step++) {
    const label = fit[Math.floor(((step + 0.5) * fit.length) / Math.min(count, fit.length))];
    const candidates = having(label, 'test').filter((candidate) => !questions.has(candidate));
    const index = candidates.sort((a, b) => labelsOf(a).length - labelsOf(b).length)[candidates.length >> 1];
    if (index !== undefined) questions.set(index, { index, label });
  }
  return [...questions.values()];
}

/** The labels that a chip has. */
export function labelsOfRow({ labels }: Pick<DatasetRow, 'labels'>): string[] {
  return Object.keys(labels).filter((label) => labels[label] === 1);
}

/**
 * How far two chips agree by the map: labels that both have over labels that either has (Jaccard index), 0–1; 0 where neither has any.
 *
 * A label that is not known of one of them is left out.
 */
export function labelAgreement(a: Pick<DatasetRow, 'labels'>, b: Pick<DatasetRow, 'labels'>): number {
  const known = Object.keys(a.labels).filter((label) => a.labels[label] !== null && b.labels[label] !== null);
  const either = known.filter((label) => a.labels[label] === 1 || b.labels[label] === 1);
  const both = either.filter((label) => a.labels[label] === b.labels[label]);
  return either.length === 0 ? 0 : both.length / either.length;
}
