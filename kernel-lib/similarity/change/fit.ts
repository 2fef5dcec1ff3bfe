import { EigenvalueDecomposition, Matrix, inverse, solve } from 'ml-matrix';
import seedrandom from 'seedrandom';
import { sampleRankCorrelation } from 'simple-statistics';
import { type Mixture, risingWith, twoPopulations } from './mixture.ts';

/** What an encoder says of chips at two dates, part by part. */
export interface DatedFeatures {
  /** `[chips, parts, width]`. */
  before: Float32Array;
  after: Float32Array;
  width: number;
  /** Parts that a chip was encoded in. */
  parts: number;
}

/** How far each chip has moved beyond what season, sun and view explain. */
export interface CalibratedChange {
  /** `[chips]`: logarithm of the largest of its parts' squared Mahalanobis distances from what was expected. */
  distance: Float64Array;
  /** `[chips]`: that it belongs to those that moved further than the rest, 0–1. */
  probability: Float64Array;
  /** Share that changed, as estimated from the chips themselves. */
  share: number;
  /** Rank correlation of the distance with how unlike the pictures are, −1 to 1: where it is not above 0, the list is not to be trusted. */
  agreement: number;
}

/** Numbers that features are reduced to: at most, and one for so many rows. */
const COMPONENTS = 64;
const ROWS_PER_COMPONENT = 16;
const ROUNDS = 6;

/**
 * Tells change from what season, sun and angle of view do to every chip, without being told what changed.
 *
 * A linear map foretells the picture after from the picture before (chronochrome), fitted on chips that did not change; what it does
 * not foretell is measured in the spread of those same chips. Which did not change is not known: it is estimated anew after each
 * fit, from that distance and from how unlike the pictures themselves are, and each chip counts by the probability that it did not
 * change. The pictures hold the estimate where most of the ground has changed: by distance alone what befell most chips would pass
 * for the season. Where it does so all the same, and the distance runs against the pictures, the map is fitted once on the half of the
 * chips whose pictures are most alike. Where few chips are left to fit on, the map is drawn towards a mere shift and the spread towards a sphere.
 *
 * @param unlike one or more of `[chips]`, in any unit: how unlike the pictures are, without any model, such as 1 − correlation of their edges
 * @throws {RangeError} when the two dates are not of one length and width, or fewer than 16 chips are given
 * @see Schaum & Stocker 1997, chronochrome; Ledoit & Wolf 2004, Journal of Multivariate Analysis 88, on shrinkage
 */
export function calibrateChange(features: DatedFeatures, unlike: readonly ArrayLike<number>[]): CalibratedChange {
  const { parts } = features;
  const chips = checkFeatures(features, unlike[0].length);
  const { before, after } = componentsOf(features);
  const steps = Matrix.sub(after, before);
  const plain = meanOf(unlike.map(standardised));
  const distances = ({ probability }: Mixture): Float64Array => {
    const squared = unforetold(before, steps, Float64Array.from({ length: chips * parts }, (_, row) => 1e-4 + 1 - probability[Math.floor(row / parts)])); // prettier-ignore
    return Float64Array.from({ length: chips }, (_, chip) => Math.log(1e-9 + Math.max(...squared.subarray(chip * parts, (chip + 1) * parts)))); // prettier-ignore
  };
  let found = twoPopulations([plain]);
  let distance: Float64Array = new Float64Array(chips);
  for (let round = 0; round < ROUNDS; round++) {
    distance = distances(found);
    found = twoPopulations([plain, distance], found.probability);
  }
  if (agreementOf(plain, distance) <= 0) {
    const start = unlikerHalf(plain);
    distance = distances(start);
    found = twoPopulations([plain, distance], start.probability);
  }
  return { distance, probability: risingWith(distance, found.probability), share: found.share, agreement: agreementOf(plain, distance) };
} // prettier-ignore

/** Spearman's rank correlation. */
function agreementOf(plain: Float64Array, distance: Float64Array): number {
  return sampleRankCorrelation([...plain], [...distance]);
}

/** The half whose pictures are less alike taken for changed. */
function unlikerHalf(plain: Float64Array): Mixture {
  const middle = plain.toSorted()[plain.length >> 1];
  return { probability: plain.map((value) => (value > middle ? 1 : 0)), share: 0.5 };
}

/** Brought to median 0 and the spread of a standard normal by quartiles, cut off at ±4: outliers must not set the scale. */
function standardised(values: ArrayLike<number>): Float64Array {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))];
  const scale = (at(0.75) - at(0.25)) / 1.349 + 1e-9;
  return Float64Array.from(values, (value) => Math.min(4, Math.max(-4, (value - at(0.5)) / scale)));
}

function meanOf(columns: readonly Float64Array[]): Float64Array {
  return columns[0].map((_, at) => columns.reduce((sum, column) => sum + column[at], 0) / columns.length);
}

function checkFeatures({ before, after, width, parts }: DatedFeatures, chips: number): number {
  if (before.length !== after.length || before.length !== chips * parts * width)
    throw new RangeError(`calibrateChange got ${before.length} numbers before and ${after.length} after for ${chips} chips of ${parts} × ${width}: encode both dates with the same model`); // prettier-ignore
  if (chips < 16) throw new RangeError(`calibrateChange got ${chips} chips that were seen twice: it takes 16 to tell what all of them have in common; bring more ground`); // prettier-ignore
  return chips;
}

/** Features of both dates on their common principal components, `[chips × parts, k]`. */
function componentsOf({ before, after, width }: DatedFeatures): { before: Matrix; after: Matrix } {
  const rows = before.length / width;
  const kept = Math.min(width, COMPONENTS, Math.max(4, Math.floor(rows / ROWS_PER_COMPONENT)));
  const mean = new Float64Array(width);
  for (const values of [before, after]) values.forEach((value, at) => (mean[at % width] += value / (2 * rows)));
  const covariance = covarianceOf([before, after], mean, width);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(covariance, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, at) => at).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const axes = eigenvectorMatrix.subMatrixColumn(order.slice(0, kept));
  const project = (values: Float32Array): Matrix => {
    const made = new Matrix(rows, kept);
    const flat = axes.to1DArray();
    for (let row = 0; row < rows; row++) {
      const into = new Float64Array(kept);
      for (let k = 0; k < width; k++) {
        const value = values[row * width + k] - mean[k];
        for (let axis = 0; axis < kept; axis++) into[axis] += value * flat[k * kept + axis];
      }
      made.setRow(row, into);
    }
    return made;
  };
  return { before: project(before), after: project(after) };
}

/** Rows of each date that axes are found from. */
const SAMPLE = 4096;

function covarianceOf(dates: readonly Float32Array[], mean: Float64Array, width: number): Matrix {
  const sums = new Float64Array(width * width);
  const own = new Float64Array(width);
  for (const values of dates) {
    const rows = values.length / width;
    const step = Math.max(1, rows / SAMPLE);
    for (let at = 0; at < rows; at += step) {
      const row = Math.floor(at) * width;
      for (let k = 0; k < width; k++) own[k] = values[row + k] - mean[k];
      for (let k = 0; k < width; k++) for (let l = 0; l <= k; l++) sums[k * width + l] += own[k] * own[l];
    }
  }
  for (let k = 0; k < width; k++) for (let l = 0; l < k; l++) sums[l * width + k] = sums[k * width + l];
  return Matrix.from1DArray(width, width, sums);
}

/** How far rows lie from what the others foretell: squared Mahalanobis distances. */
function unforetold(before: Matrix, steps: Matrix, weights: Float64Array): Float64Array {
  const k = before.columns;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const [x, y] = [centred(before, weights, total), centred(steps, weights, total)];
  const weighted = x.clone().mulColumnVector(Array.from(weights, (weight) => weight / total)).transpose();
  const gram = weighted.mmul(x);
  const ridge = (0.05 + (0.5 * k) / total) * (gram.trace() / k) + 1e-12;
  const map = solve(gram.add(Matrix.eye(k).mul(ridge)), weighted.mmul(y));
  const rest = Matrix.sub(y, x.mmul(map));
  const spread = rest.clone().mulColumnVector(Array.from(weights, (weight) => weight / total)).transpose().mmul(rest);
  const shrink = Math.min(0.9, 0.1 + (0.5 * k) / total);
  const sphere = Matrix.eye(k).mul(shrink * (spread.trace() / k) + 1e-12);
  const scaled = rest.mmul(inverse(spread.mul(1 - shrink).add(sphere)));
  return Float64Array.from({ length: rest.rows }, (_, row) => {
    let sum = 0;
    for (let axis = 0; axis < k; axis++) sum += rest.get(row, axis) * scaled.get(row, axis);
    return sum;
  });
} // prettier-ignore

function centred(rows: Matrix, weights: Float64Array, total: number): Matrix {
  const mean = new Float64Array(rows.columns);
  for (let row = 0; row < rows.rows; row++)
    for (let k = 0; k < rows.columns; k++) mean[k] += (weights[row] / total) * rows.get(row, k);
  return rows.clone().subRowVector(mean);
}

/** Most numbers of an embedding that are kept: wider ones are projected at random, which keeps distances to a few percent. */
const WIDEST = 256;

/**
 * Narrows embeddings to at most 256 numbers by a random projection, the same for each width.
 *
 * @param values `[n, width]`
 * @returns `[n, min(width, 256)]`
 * @see Johnson & Lindenstrauss 1984; Achlioptas 2003, Journal of Computer and System Sciences 66, on signs at random
 */
export function narrowed(values: Float32Array, width: number): { values: Float32Array; width: number } {
  if (width <= WIDEST) return { values, width };
  const signs = signsOf(width);
  const rows = values.length / width;
  const made = new Float32Array(rows * WIDEST);
  for (let row = 0; row < rows; row++) {
    const into = made.subarray(row * WIDEST, (row + 1) * WIDEST);
    for (let k = 0; k < width; k++) {
      const value = values[row * width + k];
      if (value !== 0) for (let to = 0; to < WIDEST; to++) into[to] += value * signs[k * WIDEST + to];
    }
  }
  return { values: made, width: WIDEST };
}

const projections = new Map<number, Float32Array>();

function signsOf(width: number): Float32Array {
  const known = projections.get(width);
  if (known) return known;
  const random = seedrandom(`change ${width}`);
  const signs = Float32Array.from({ length: width * WIDEST }, () => (random() < 0.5 ? -1 : 1) / Math.sqrt(WIDEST));
  projections.set(width, signs);
  return signs;
}
