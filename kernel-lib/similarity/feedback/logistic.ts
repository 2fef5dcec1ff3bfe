import { Matrix, solve } from 'ml-matrix';
import { type Vectors, cosine, vectorAt } from '../nearest.ts';

/** An example to learn from. */
export interface Example {
  vector: Float32Array;
  /** Whether it is what is looked for. */
  wanted: boolean;
  /** How much it counts. Default: 1. */
  weight?: number | undefined;
}

/** A straight line through the space of embeddings: on one side of it lies what is looked for. */
export interface LinearProbe {
  /** `[width]`, and what is added. */
  weights: Float64Array;
  bias: number;
  /** How likely each row is what is looked for, 0–1. @returns `[n]` */
  probabilities(vectors: Vectors): Float64Array;
}

/** Steps of Newton's method, at most, and the change below which it has arrived. */
const [STEPS, ARRIVED] = [100, 1e-10];

/**
 * Logistic regression with an L2 penalty: minimises `½ |w|² + C Σ weight · log(1 + exp(−y (w·x + b)))`, y 1 or −1, the bias free.
 *
 * As scikit-learn's `LogisticRegression(C=cost)` with `sample_weight`. Solved by Newton's method in the space that the examples
 * span, so that a step costs as many examples cubed, whatever their width.
 *
 * @param cost C: the smaller, the more the penalty counts. Default: 1
 * @throws {RangeError} unless there is an example of each kind
 * @see Zhu & Hastie 2005, J. Comput. Graph. Stat. 14(1) 185–205, eq. 8 (here without import points)
 */
export function fitLogistic(examples: readonly Example[], cost = 1): LinearProbe {
  const wanted = examples.filter(({ wanted: is }) => is).length;
  if (wanted === 0 || wanted === examples.length)
    throw new RangeError(`fitLogistic requires examples of both kinds, got ${wanted} of ${examples.length} that are wanted`); // prettier-ignore
  const costs = examples.map(({ weight = 1 }) => cost * weight);
  const { coefficients, bias } = newton(gramOf(examples), examples, costs);
  const weights = new Float64Array(examples[0].vector.length);
  examples.forEach(({ vector }, i) => vector.forEach((value, k) => (weights[k] += coefficients[i] * value)));
  const probabilities = ({ values, width }: Vectors): Float64Array =>
    Float64Array.from({ length: values.length / width }, (_, row) => {
      let sum = bias;
      for (let k = 0; k < width; k++) sum += weights[k] * values[row * width + k];
      return 1 / (1 + Math.exp(-sum));
    });
  return { weights, bias, probabilities };
}

/** What is solved for: `w = Σ coefficients · x`, and the bias. */
interface Solution {
  coefficients: Float64Array;
  bias: number;
}

/** Newton steps, halved while they lead upwards. */
function newton(gram: Gram, examples: readonly Example[], costs: readonly number[]): Solution {
  let best: Solution = { coefficients: new Float64Array(examples.length), bias: 0 };
  let value = objective(gram, examples, costs, best);
  for (let step = 0; step < STEPS; step++) {
    const aim = newtonAim(gram, examples, costs, best);
    let [share, next, found] = [1, aim, objective(gram, examples, costs, aim)];
    while (!(found <= value) && share > 1e-6) {
      share /= 2;
      next = between(best, aim, share);
      found = objective(gram, examples, costs, next);
    }
    if (!(found <= value)) return best; // no step leads down: arrived as far as numbers tell
    const isThere = value - found <= ARRIVED * (1 + Math.abs(value));
    [best, value] = [next, found];
    if (isThere) return best;
  }
  return best;
}

/** The least of the parabola that touches the objective: a bordered system, for the bias has no penalty. */
function newtonAim(gram: Gram, examples: readonly Example[], costs: readonly number[], from: Solution): Solution {
  const n = examples.length;
  const system = Matrix.zeros(n + 1, n + 1);
  const right = Matrix.zeros(n + 1, 1);
  const margins = marginsOf(gram, from);
  for (let i = 0; i < n; i++) {
    const p = 1 / (1 + Math.exp(-margins[i]));
    const slope = Math.max(1e-12, p * (1 - p));
    for (let j = 0; j < n; j++) system.set(i, j, gram[i][j]);
    system.set(i, i, gram[i][i] + 1 / (costs[i] * slope));
    system.set(i, n, 1);
    system.set(n, i, 1);
    right.set(i, 0, margins[i] + (Number(examples[i].wanted) - p) / slope);
  }
  const found = solve(system, right).to1DArray();
  return { coefficients: Float64Array.from(found.slice(0, n)), bias: found[n] };
}

function objective(gram: Gram, examples: readonly Example[], costs: readonly number[], at: Solution): number {
  const margins = marginsOf(gram, at);
  return examples.reduce((sum, { wanted }, i) => {
    const margin = wanted ? margins[i] : -margins[i];
    const loss = Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin)));
    return sum + costs[i] * loss + 0.5 * at.coefficients[i] * (margins[i] - at.bias);
  }, 0);
}

function marginsOf(gram: Gram, { coefficients, bias }: Solution): Float64Array {
  return Float64Array.from(coefficients, (_, i) => {
    let sum = bias;
    for (let j = 0; j < coefficients.length; j++) sum += gram[i][j] * coefficients[j];
    return sum;
  });
}

function between(a: Solution, b: Solution, share: number): Solution {
  return {
    coefficients: a.coefficients.map((value, i) => value + share * (b.coefficients[i] - value)),
    bias: a.bias + share * (b.bias - a.bias),
  };
}

/** Dot products of every pair of examples, `[n][n]`. */
type Gram = Float64Array[];

function gramOf(examples: readonly Example[]): Gram {
  const gram = examples.map(() => new Float64Array(examples.length));
  for (const [i, { vector }] of examples.entries())
    for (let j = 0; j <= i; j++) gram[i][j] = gram[j][i] = cosine(vector, examples[j].vector);
  return gram;
}

/** Rows of vectors as examples of one kind. */
export function examplesOf(vectors: Vectors, rows: readonly number[], wanted: boolean, weight = 1): Example[] {
  return rows.map((row) => ({ vector: vectorAt(vectors, row), wanted, weight }));
}
