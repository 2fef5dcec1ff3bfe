/** A linear probe: what a straight line through features can tell. */
export interface Probe {
  /** Larger where the class is likelier. @param features `[n, d]` @returns `[n]` */
  score(features: Float32Array): Float64Array;
}

/**
 * Ridge regression of a class on features that are brought to mean 0 and variance 1: solved at once, without steps to tune.
 *
 * Minimises `Σ (w·x + b − y)² + λ n |w|²`, y 1 or 0; as scikit-learn's `Ridge(alpha=λ n)` on standardised columns.
 *
 * @param features `[n, d]`
 * @param classes `[n]`, 1 or 0
 * @param options.lambda Default: 0.01
 * @throws {RangeError} when there is no example of one of the two
 */
export function fitProbe(
  features: Float32Array,
  classes: ArrayLike<number>,
  { lambda = 0.01 }: { lambda?: number } = {},
): Probe {
  const n = classes.length;
  const d = features.length / n;
  const positives = Array.from(classes).filter((value) => value === 1).length;
  if (positives === 0 || positives === n)
    throw new RangeError(`fitProbe requires examples of both kinds, got ${positives} of ${n}`);
  const standard = standardiser(features, d);
  const share = positives / n;
  const matrix = Array.from({ length: d }, () => new Float64Array(d + 1));
  const row = new Float64Array(d);
  for (let at = 0; at < n; at++) {
    for (let k = 0; k < d; k++) row[k] = standard(features[at * d + k], k);
    for (let k = 0; k < d; k++) {
      for (let l = k; l < d; l++) matrix[k][l] += row[k] * row[l];
      matrix[k][d] += row[k] * (classes[at] - share);
    }
  }
  for (let k = 0; k < d; k++) {
    for (let l = 0; l < k; l++) matrix[k][l] = matrix[l][k];
    matrix[k][k] += lambda * n;
  }
  const weights = solve(matrix);
  return {
    score: (others) =>
      Float64Array.from({ length: others.length / d }, (_, at) =>
        weights.reduce((sum, weight, k) => sum + weight * standard(others[at * d + k], k), share),
      ),
  };
}

/**
 * Brings values of each column to mean 0 and variance 1 over the rows given; population variance.
 *
 * @param features `[n, d]`
 * @returns of a value and its column the standardised value; 0 in a column that never changes
 */
export function standardiser(features: Float32Array, d: number): (value: number, column: number) => number {
  const n = features.length / d;
  const [means, variances] = [new Float64Array(d), new Float64Array(d)];
  for (let at = 0; at < features.length; at++) means[at % d] += features[at] / n;
  for (let at = 0; at < features.length; at++) variances[at % d] += (features[at] - means[at % d]) ** 2 / n;
  const scales = variances.map((variance) => (variance > 1e-12 ? 1 / Math.sqrt(variance) : 0));
  return (value, column) => (value - means[column]) * scales[column];
}

/** Solves a positive definite system, its right side in the last column, by elimination. */
function solve(matrix: Float64Array[]): Float64Array {
  const d = matrix.length;
  for (let pivot = 0; pivot < d; pivot++) {
    for (let row = pivot + 1; row < d; row++) {
      const factor = matrix[row][pivot] / matrix[pivot][pivot];
      if (factor === 0) continue;
      for (let column = pivot; column <= d; column++) matrix[row][column] -= factor * matrix[pivot][column];
    }
  }
  const found = new Float64Array(d);
  for (let row = d - 1; row >= 0; row--) {
    let rest = matrix[row][d];
    for (let column = row + 1; column < d; column++) rest -= matrix[row][column] * found[column];
    found[row] = rest / matrix[row][row];
  }
  return found;
}

/**
 * Area under the ROC curve: how often one of the class scores higher than one that is not; ties count half.
 *
 * As scikit-learn's `roc_auc_score`. The standard error is Hanley and McNeil's.
 *
 * @returns `auc` 0–1; `NaN` where there is no example of one of the two
 * @see Hanley & McNeil 1982, Radiology 143(1) 29–36
 */
export function areaUnderRoc(scores: ArrayLike<number>, classes: ArrayLike<number>): { auc: number; error: number } {
  const order = Array.from(scores, (score, at) => ({ score, isOne: classes[at] === 1 })).sort((a, b) => a.score - b.score); // prettier-ignore
  let [ranks, ones] = [0, 0];
  for (let at = 0; at < order.length;) {
    let end = at;
    while (end < order.length && order[end].score === order[at].score) end++;
    const tied = order.slice(at, end).filter(({ isOne }) => isOne).length;
    ranks += (tied * (at + 1 + end)) / 2;
    ones += tied;
    at = end;
  }
  const others = order.length - ones;
  if (ones === 0 || others === 0) return { auc: Number.NaN, error: Number.NaN };
  const auc = (ranks - (ones * (ones + 1)) / 2) / (ones * others);
  const [q1, q2] = [auc / (2 - auc), (2 * auc ** 2) / (1 + auc)];
  const variance = (auc * (1 - auc) + (ones - 1) * (q1 - auc ** 2) + (others - 1) * (q2 - auc ** 2)) / (ones * others);
  return { auc, error: Math.sqrt(Math.max(0, variance)) };
}
