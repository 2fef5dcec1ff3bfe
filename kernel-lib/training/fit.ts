/** The last layer of an embedding in closed form: what the labels say, and beside it what is general in the features. */
import * as tf from '@tensorflow/tfjs-core';
import { EigenvalueDecomposition, Matrix, QrDecomposition } from 'ml-matrix';
import { randomFor } from './sampler.ts';

/** Options of {@link fitProjection}. */
export interface FitOptions {
  /** Length of an embedding. */
  width: number;
  /** `[n, classes]`: 1 present, 0 absent, NaN unknown. Not there: only what is general in the features. */
  labels?: Float32Array | undefined;
  classes?: number | undefined;
  /** How much the labels' part counts beside the general one, as a length. Default: 2. */
  labelShare?: number | undefined;
  /** Strength of the ridge, as a share of the mean squared length of the features. Default: 0.3. */
  ridge?: number | undefined;
  seed?: number | string | undefined;
}

/** A dense layer. */
export interface Projection {
  /** `[features, width]`. */
  kernel: Float32Array;
  /** `[width]`. */
  bias: Float32Array;
}

/** Power by which the general part's axes are evened out: 0 leaves them as they vary, 0.5 makes all alike. */
const EVENING = 0.25;
/** Share of the mean variance within places that is added to each: directions that hardly vary are not blown up. */
const SHRINKAGE = 0.01;
/** Rounds of subspace iteration and of conjugate gradients. */
const [ROUNDS, GRADIENT_ROUNDS] = [8, 60];

/**
 * Fits a dense layer from features to embeddings without a gradient: two parts beside each other, each scaled to a mean squared length of 1.
 *
 * The first is ridge regression onto the labels, each of variance 1 so that a rare one counts as much as a frequent one, and an
 * unknown one the mean: chips with the same labels come to lie together. The second is the principal components of the features, their variances evened out, which keeps apart what no
 * label names. Rows come out with a mean of zero, so that a layer that takes the mean away changes nothing.
 *
 * @param features `[n, d]`, each column with mean 0 and standard deviation about 1
 * @returns a layer for such features
 * @see Halko et al. 2011, Finding structure with randomness, arXiv:0909.4061; Jégou & Chum 2012, on evening out
 */
export async function fitProjection(
  features: Float32Array,
  d: number,
  { width, labels, classes = 0, labelShare = 2, ridge = 0.3, seed = 1 }: FitOptions,
): Promise<Projection> {
  const n = features.length / d;
  const x = tf.tensor2d(features, [n, d]);
  const basis = meanFree(width);
  const supervised = labels ? await ridgeWeights(x, labels, classes, ridge, Math.floor((width - 1) / 2)) : new Matrix(d, 0); // prettier-ignore
  const general = await principalWeights(x, Math.min(width - 1 - supervised.columns, n - 1, d), seed);
  const parts = [await scaledTo(x, supervised, labelShare), await scaledTo(x, general, 1)];
  x.dispose();
  const columns = parts.reduce((sum, part) => sum + part.columns, 0);
  const axes = new Matrix(d, columns);
  axes.setSubMatrix(parts[0], 0, 0).setSubMatrix(parts[1], 0, parts[0].columns);
  const kernel = axes.mmul(basis.subMatrix(0, columns - 1, 0, width - 1));
  return { kernel: Float32Array.from(kernel.to1DArray()), bias: new Float32Array(width) };
}

/** `width − 1` axes at right angles to each other and to the mean, `[width − 1, width]` (Helmert's rows). */
function meanFree(width: number): Matrix {
  const basis = Matrix.zeros(width - 1, width);
  for (let row = 0; row < width - 1; row++) {
    const length = Math.sqrt((row + 1) * (row + 2));
    for (let at = 0; at <= row; at++) basis.set(row, at, 1 / length);
    basis.set(row, row + 1, -(row + 1) / length);
  }
  return basis;
}

/** Ridge regression onto the labels; where they are more than `most`, onto the directions in which they vary most. */
async function ridgeWeights(
  x: tf.Tensor2D,
  labels: Float32Array,
  classes: number,
  ridge: number,
  most: number,
): Promise<Matrix> {
  const [n, d] = x.shape;
  const weights = tf.tidy(() => {
    const y = tf.tensor2d(standardised(labels, classes), [n, classes]);
    const strength = tf.mul(tf.sum(tf.square(x)), ridge / n) as tf.Scalar;
    return solveRidge(x, tf.matMul(x, y, true, false), strength);
  });
  const solved = await matrixOf(weights, d, classes);
  if (classes <= most) return solved;
  const { vectors } = sortedEigen(await covarianceOf(x, solved));
  return solved.mmul(vectors.subMatrix(0, classes - 1, 0, most - 1));
}

/** Labels with mean 0 and variance 1 over those known; an unknown one is its class's mean, 0, and so is one that never varies. */
function standardised(labels: Float32Array, classes: number): Float32Array {
  const [sum, known] = [new Float64Array(classes), new Float64Array(classes)];
  for (const [i, label] of labels.entries()) {
    if (Number.isNaN(label)) continue;
    sum[i % classes] += label;
    known[i % classes]++;
  }
  const means = sum.map((value, at) => value / known[at]);
  const deviations = means.map((mean) => Math.sqrt(mean * (1 - mean))); // of values that are 0 or 1
  return labels.map((label, i) => {
    const at = i % classes;
    return Number.isNaN(label) || !(deviations[at] > 0) ? 0 : (label - means[at]) / deviations[at];
  });
}

/** Solves `(xᵀx + strength) w = right` for every column by conjugate gradients (Hestenes & Stiefel 1952). */
function solveRidge(x: tf.Tensor2D, right: tf.Tensor2D, strength: tf.Scalar): tf.Tensor2D {
  const applied = (v: tf.Tensor2D): tf.Tensor2D => tf.add(tf.matMul(x, tf.matMul(x, v), true, false), tf.mul(v, strength)); // prettier-ignore
  const dot = (a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D => tf.sum(tf.mul(a, b), 0, true);
  let weights = tf.zerosLike(right);
  let [residual, direction] = [right, right];
  let length = dot(residual, residual);
  for (let round = 0; round < GRADIENT_ROUNDS; round++) {
    const [nextWeights, nextResidual, nextDirection, nextLength] = tf.tidy(() => {
      const image = applied(direction);
      const step = tf.div(length, tf.add(dot(direction, image), 1e-30)) as tf.Tensor2D;
      const left = tf.sub(residual, tf.mul(image, step)) as tf.Tensor2D;
      const after = dot(left, left);
      const turned = tf.add(left, tf.mul(direction, tf.div(after, tf.add(length, 1e-30)))) as tf.Tensor2D;
      return [tf.add(weights, tf.mul(direction, step)), left, turned, after];
    });
    [weights, residual, direction, length] = [nextWeights, nextResidual, nextDirection, nextLength];
  }
  return weights;
}

/** The first principal axes, each divided by a power of its variance, by subspace iteration. @returns `[d, k]` */
async function principalWeights(x: tf.Tensor2D, k: number, seed: number | string): Promise<Matrix> {
  const [n, d] = x.shape;
  if (k < 1) return new Matrix(d, 0);
  const random = randomFor(seed, 'axes');
  const wider = Math.min(k + 8, n, d);
  let axes = new Matrix(d, wider);
  for (let at = 0; at < d * wider; at++) axes.set(Math.floor(at / wider), at % wider, random() - 0.5);
  for (let round = 0; round < ROUNDS; round++) axes = new QrDecomposition(await appliedTwice(x, axes)).orthogonalMatrix; // prettier-ignore
  const { values, vectors } = sortedEigen(await covarianceOf(x, axes));
  const mean = values.reduce((sum, value) => sum + value, 0) / d;
  const turned = axes.mmul(vectors.subMatrix(0, wider - 1, 0, k - 1));
  for (let column = 0; column < k; column++) turned.mulColumn(column, (Math.max(0, values[column]) + 0.1 * mean + 1e-12) ** -EVENING); // prettier-ignore
  return turned;
}

/** `xᵀ x axes` */
async function appliedTwice(x: tf.Tensor2D, axes: Matrix): Promise<Matrix> {
  const product = tf.tidy((): tf.Tensor2D => tf.matMul(x, tf.matMul(x, tensorOf(axes)), true, false));
  return matrixOf(product, axes.rows, axes.columns);
}

/** Covariance of the features along some axes. */
async function covarianceOf(x: tf.Tensor2D, axes: Matrix): Promise<Matrix> {
  const product = tf.tidy((): tf.Tensor2D => {
    const along = tf.matMul(x, tensorOf(axes));
    return tf.div(tf.matMul(along, along, true, false), x.shape[0]) as tf.Tensor2D;
  });
  return matrixOf(product, axes.columns, axes.columns);
}

/** Axes such that the features along them have so large a mean squared length. */
async function scaledTo(x: tf.Tensor2D, axes: Matrix, length: number): Promise<Matrix> {
  if (axes.columns === 0) return axes;
  const square = (await covarianceOf(x, axes)).trace();
  return square > 0 ? Matrix.mul(axes, length / Math.sqrt(square)) : axes;
}

function sortedEigen(symmetric: Matrix): { values: number[]; vectors: Matrix } {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  return { values: order.map((i) => realEigenvalues[i]), vectors: eigenvectorMatrix.subMatrixColumn(order) };
}

function tensorOf(matrix: Matrix): tf.Tensor2D {
  return tf.tensor2d(Float32Array.from(matrix.to1DArray()), [matrix.rows, matrix.columns]);
}

async function matrixOf(tensor: tf.Tensor2D, rows: number, columns: number): Promise<Matrix> {
  const values = await tensor.data();
  tensor.dispose();
  return Matrix.from1DArray(rows, columns, values);
}

/**
 * Fits a dense layer that tells places apart whatever their views: what differs between views of one place counts little, by how much
 * it does, and of what is left come the axes along which places vary most, the more the further they vary.
 *
 * Linear discriminant analysis with a class a place: features are whitened by their covariance within places, then the means
 * of places by their principal components.
 *
 * @param features `[n · views, d]`, views of a place one after another; each column with mean 0 and standard deviation about 1
 * @returns a layer for such features; rows come out with a mean of zero
 * @see Fisher 1936; Fukunaga 1990, Introduction to statistical pattern recognition, ch. 10
 */
export async function fitDiscriminant(
  features: Float32Array,
  d: number,
  views: number,
  width: number,
): Promise<Projection> {
  const n = features.length / d / views;
  const means = meansOf(features, d, views);
  const apart = features.map((value, i) => value - means[Math.floor(i / (d * views)) * d + (i % d)]);
  const within = sortedEigen(await covariance(apart, d));
  const mean = within.values.reduce((sum, value) => sum + Math.max(0, value), 0) / d;
  const whitening = within.vectors.clone();
  for (let axis = 0; axis < d; axis++) whitening.mulColumn(axis, (Math.max(0, within.values[axis]) + SHRINKAGE * mean + 1e-12) ** -0.5); // prettier-ignore
  const between = await covariance(means, d);
  const { values, vectors } = sortedEigen(whitening.transpose().mmul(between).mmul(whitening));
  const kept = Math.min(width - 1, d, n - 1);
  const axes = whitening.mmul(vectors.subMatrix(0, d - 1, 0, kept - 1));
  for (let axis = 0; axis < kept; axis++) axes.mulColumn(axis, Math.max(0, values[axis]) ** EVENING); // prettier-ignore
  const kernel = axes.mmul(meanFree(width).subMatrix(0, kept - 1, 0, width - 1));
  return { kernel: Float32Array.from(kernel.to1DArray()), bias: new Float32Array(width) };
}

/** Mean over the views of each place, `[n, d]`. */
function meansOf(features: Float32Array, d: number, views: number): Float32Array {
  const means = new Float32Array(features.length / views);
  for (const [i, value] of features.entries()) means[Math.floor(i / (d * views)) * d + (i % d)] += value / views;
  return means;
}

/** Covariance of rows whose mean is zero. */
async function covariance(rows: Float32Array, d: number): Promise<Matrix> {
  const product = tf.tidy((): tf.Tensor2D => {
    const x = tf.tensor2d(rows, [rows.length / d, d]);
    return tf.div(tf.matMul(x, x, true, false), rows.length / d) as tf.Tensor2D;
  });
  return matrixOf(product, d, d);
}
