/** What a batch's outputs are worth: five losses over embeddings and logits, each differentiable by tfjs. */
import * as tf from '@tensorflow/tfjs-core';

/** The losses by name; see {@link LOSSES} for what each teaches. */
export type LossName = 'entropy' | 'contrastive' | 'triplet' | 'simclr' | 'vicreg';

/** A loss in words, and what it needs. */
export const LOSSES: Record<LossName, { about: string; labels: boolean; views: 1 | 2; projection: boolean }> = {
  entropy: { about: 'binary cross-entropy of every known label', labels: true, views: 1, projection: false },
  contrastive: { about: 'chips that share labels near each other, rare labels most', labels: true, views: 1, projection: false }, // prettier-ignore
  triplet: { about: 'a chip with shared labels nearer than one without, by a margin', labels: true, views: 1, projection: false }, // prettier-ignore
  simclr: { about: 'two views of a place nearer than any other place', labels: false, views: 2, projection: true },
  vicreg: { about: 'two views of a place alike, every dimension in use', labels: false, views: 2, projection: true },
};

/** What a network gives for a batch. */
export interface Outputs {
  /** `[n, width]`, rows of unit length. */
  embeddings: tf.Tensor2D;
  /** `[n, classes]`. */
  logits: tf.Tensor2D;
  /** `[n, projected]`, where a loss needs them. */
  projections?: tf.Tensor2D | undefined;
}

/** What is known of a batch's images, plain numbers: nothing in it is NaN. */
export interface Targets {
  n: number;
  /** `[n, classes]`: 1 present, 0 absent or unknown. */
  present: Float32Array;
  /** `[n, classes]`: how much each label counts; 0 where it is unknown. Their sum is 1, or 0 where none is known. */
  counts: Float32Array;
  /** `[n, n]`: how alike each pair's labels are, 0–1; 0 on the diagonal. */
  alike: Float32Array;
  /** `[n, n]`: 1 where two images show the same ground, at whatever date. */
  samePlace: Float32Array;
  /** `[n]`: how much each image counts. */
  weights: Float32Array;
}

/** What {@link targetsOf} takes. */
export interface LabelledBatch {
  /** `[n, classes]`: 1 present, 0 absent, NaN unknown. */
  labels: Float32Array;
  /** `[n]`. */
  weights: Float32Array;
  /** `[classes]`: how much each class counts in the cross-entropy. */
  classWeights: Float32Array;
  /** `[classes]`: how much a shared label says, as {@link rarityOf} gives it. */
  rarity: Float32Array;
  /** `[n]`: the same number for images of the same ground. */
  places: ArrayLike<number>;
}

/** A batch's labels, ready for the losses. */
export function targetsOf({ labels, weights, classWeights, rarity, places }: LabelledBatch): Targets {
  const n = weights.length;
  const samePlace = new Float32Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) samePlace[i * n + j] = places[i] === places[j] ? 1 : 0;
  return {
    n,
    ...knownLabels(labels, weights, classWeights),
    alike: likenesses(labels, n, rarity),
    samePlace,
    weights,
  };
}

/** Labels as the cross-entropy takes them; see {@link Targets}. */
export function knownLabels(
  labels: Float32Array,
  weights: Float32Array,
  classWeights: Float32Array,
): Pick<Targets, 'present' | 'counts'> {
  const classes = classWeights.length;
  const counts = labels.map((label, i) =>
    Number.isNaN(label) ? 0 : weights[Math.floor(i / classes)] * classWeights[i % classes],
  );
  const total = counts.reduce((sum, count) => sum + count, 0);
  return {
    present: labels.map((label) => label || 0),
    counts: total > 0 ? counts.map((count) => count / total) : counts,
  };
}

/**
 * How much it says that two images share a label: the more, the fewer have it.
 *
 * Inverse document frequency in the smoothed form, `ln((1 + known) / (1 + present)) + 1` as scikit-learn's TfidfTransformer
 * has it, over the images of which the label is known: a label that all have still says something.
 *
 * @param labels `[n, classes]`: 1 present, 0 absent, NaN unknown
 * @returns `[classes]`, 1 and more
 */
export function rarityOf(labels: Float32Array, classes: number): Float32Array {
  const [known, present] = [new Float64Array(classes), new Float64Array(classes)];
  for (let row = 0, at = 0; row < labels.length / classes; row++) {
    for (let k = 0; k < classes; k++, at++) {
      if (Number.isNaN(labels[at])) continue;
      known[k]++;
      present[k] += labels[at];
    }
  }
  return Float32Array.from(known, (count, k) => Math.log((1 + count) / (1 + present[k])) + 1);
}

/**
 * Share of the labels of two images that they have in common, each by its rarity (Jaccard, weighted), over those known in both.
 *
 * @param rarity `[classes]`
 * @returns `[n, n]`, zero on the diagonal
 * @see Ioffe 2010, Improved consistent sampling, weighted minhash and L1 sketching (the weighted index)
 */
export function likenesses(labels: Float32Array, n: number, rarity: Float32Array): Float32Array {
  const classes = rarity.length;
  const alike = new Float32Array(n * n);
  const shown = Array.from({ length: n }, (_, i) => classesShown(labels, i, classes)); // few: most pairs are done with at once
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      let both = 0;
      for (const k of shown[i]) if (labels[j * classes + k] === 1) both += rarity[k];
      if (both === 0) continue;
      let either = both;
      for (const k of shown[i]) if (labels[j * classes + k] === 0) either += rarity[k];
      for (const k of shown[j]) if (labels[i * classes + k] === 0) either += rarity[k];
      alike[i * n + j] = alike[j * n + i] = both / either;
    }
  }
  return alike;
}

function classesShown(labels: Float32Array, row: number, classes: number): number[] {
  const shown: number[] = [];
  for (let k = 0; k < classes; k++) if (labels[row * classes + k] === 1) shown.push(k);
  return shown;
}

/**
 * Binary cross-entropy of many labels: the mean over the known ones, each by its weight. An unknown label adds nothing, to the sum and to the weight.
 *
 * From logits, as `softplus(z) − z·y`, which is stable however large they are.
 *
 * @param logits `[n, classes]`
 * @param present `[n, classes]`
 * @param counts `[n, classes]`, their sum over the whole batch 1
 * @returns a scalar; 0 when the batch has no known label
 */
export function binaryCrossEntropy(logits: tf.Tensor2D, present: Float32Array, counts: Float32Array): tf.Scalar {
  return tf.tidy(() => {
    const [y, w] = [present, counts].map((values) => tf.tensor2d(values, logits.shape));
    return tf.sum(tf.mul(tf.sub(tf.softplus(logits), tf.mul(logits, y)), w));
  });
}

/**
 * Contrastive loss: each image must pick, from all others of its batch by cosine over `temperature`, those that are like it.
 *
 * Others count by how alike they are, so that with likenesses of 0 and 1 it is the published loss, `L_out`; with the views of
 * one place alone alike it is SimCLR's NT-Xent.
 *
 * @param vectors `[n, width]` of unit length
 * @param alike `[n, n]`, zero on the diagonal
 * @param temperature 0.03 and up: below that the exponentials leave float32's range
 * @returns a scalar, in nats, the mean by weight over images that are like another; 0 where there is none
 * @see Khosla et al. 2020, arXiv:2004.11362; Chen et al. 2020, arXiv:2002.05709
 */
export function contrastiveLoss(
  vectors: tf.Tensor2D,
  { alike, weights, n }: Pick<Targets, 'alike' | 'weights' | 'n'>,
  temperature: number,
): tf.Scalar {
  const shares = new Float32Array(n * n);
  let total = 0;
  for (let i = 0; i < n; i++) {
    const sum = alike.subarray(i * n, (i + 1) * n).reduce((all, value) => all + value, 0);
    if (sum === 0) continue;
    total += weights[i];
    for (let j = 0; j < n; j++) shares[i * n + j] = (weights[i] * alike[i * n + j]) / sum;
  }
  return tf.tidy(() => {
    if (total === 0) return tf.sum(tf.mul(vectors, 0));
    const similar = tf.div(tf.sub(tf.matMul(vectors, vectors, false, true), 1), temperature) as tf.Tensor2D; // at most 0: exp cannot overflow
    const others = tf.sub(1, tf.eye(n));
    const all = tf.log(tf.add(tf.sum(tf.mul(tf.exp(similar), others), 1, true), 1e-30));
    return tf.div(tf.sum(tf.mul(tf.tensor2d(shares, [n, n]), tf.sub(all, similar))), total);
  });
}

/**
 * Triplet loss with semi-hard mining: each image must be nearer to one that shares labels than to one that shares none, by a margin.
 *
 * Distances are squared and Euclidean, `2 − 2·cosine`. For each pair that shares labels the negative is the nearest of those that
 * are farther than the positive; where there is none, the farthest of all. Pairs count by how alike they are.
 *
 * @param vectors `[n, width]` of unit length
 * @returns a scalar, the weighted mean over pairs; 0 where the batch has no such triplet
 * @see Schroff et al. 2015, FaceNet, arXiv:1503.03832
 */
export function tripletLoss(
  vectors: tf.Tensor2D,
  { alike, samePlace, weights, n }: Pick<Targets, 'alike' | 'samePlace' | 'weights' | 'n'>,
  margin: number,
): tf.Scalar {
  const cosines = cosinesOf(vectors, n);
  const signs = new Float32Array(n * n);
  let [total, active] = [0, 0];
  for (let i = 0; i < n; i++) {
    const negatives = negativesOf(cosines, alike, samePlace, n, i);
    if (negatives.length === 0) continue;
    for (let j = 0; j < n; j++) {
      const weight = weights[i] * alike[i * n + j];
      if (weight === 0) continue;
      const other = negatives[firstBelow(negatives, cosines[i * n + j], cosines, i * n)];
      total += weight;
      if (2 * (cosines[i * n + other] - cosines[i * n + j]) + margin <= 0) continue;
      active += weight;
      signs[i * n + j] -= weight;
      signs[i * n + other] += weight;
    }
  }
  return tf.tidy(() => {
    if (total === 0) return tf.sum(tf.mul(vectors, 0));
    const sum = tf.sum(tf.mul(tf.matMul(vectors, vectors, false, true), tf.tensor2d(signs, [n, n])));
    return tf.add(tf.mul(sum, 2 / total), (margin * active) / total);
  });
}

/** All cosines, from the values: which triplets are chosen is not differentiated. */
function cosinesOf(vectors: tf.Tensor2D, n: number): Float32Array {
  const values = valuesOf(vectors);
  const width = values.length / n;
  const cosines = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += values[i * width + k] * values[j * width + k];
      cosines[i * n + j] = cosines[j * n + i] = sum;
    }
  }
  return cosines;
}

/** The values behind tensors that were made of plain arrays, without asking the device: WebGPU gives none at once. */
const sources = new WeakMap<tf.Tensor, Float32Array>();

/** A tensor that remembers what it was made of. */
export function remembered(values: Float32Array, shape: [number, number]): tf.Tensor2D {
  const tensor = tf.tensor2d(values, shape);
  sources.set(tensor, values);
  return tensor;
}

function valuesOf(tensor: tf.Tensor): Float32Array {
  return sources.get(tensor) ?? (tensor.dataSync() as Float32Array);
}

/** Images that share no label with image `i`, nor its ground, the nearest first. */
function negativesOf(
  cosines: Float32Array,
  alike: Float32Array,
  samePlace: Float32Array,
  n: number,
  i: number,
): number[] {
  const negatives: number[] = [];
  for (let k = 0; k < n; k++) if (k !== i && alike[i * n + k] === 0 && samePlace[i * n + k] === 0) negatives.push(k);
  return negatives.sort((a, b) => cosines[i * n + b] - cosines[i * n + a] || a - b);
}

/** The first of the negatives that is farther than the positive, found by halving; the last where none is. */
function firstBelow(negatives: readonly number[], positive: number, cosines: Float32Array, row: number): number {
  let [low, high] = [0, negatives.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cosines[row + negatives[middle]] < positive) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Weights of the three parts of VICReg, as published. */
const [INVARIANCE, VARIANCE, COVARIANCE] = [25, 25, 1];

/**
 * VICReg: two views of a place alike, while over the batch every dimension keeps a standard deviation of 1 and none repeats another.
 *
 * @param projections `[n, width]`, not normalised; rows `2i` and `2i + 1` are views of one place
 * @see Bardes et al. 2022, arXiv:2105.04906
 */
export function vicregLoss(projections: tf.Tensor2D): tf.Scalar {
  return tf.tidy(() => {
    const [n, width] = projections.shape;
    const paired = tf.reshape(projections, [n / 2, 2, width]);
    const views = [0, 1].map((view): tf.Tensor2D => tf.reshape(tf.slice(paired, [0, view, 0], [n / 2, 1, width]), [n / 2, width])); // prettier-ignore
    const invariance = tf.mean(tf.square(tf.sub(views[0], views[1])));
    const spreads = views.map((view) => spreadLosses(view));
    const [variance, covariance] = [0, 1].map((part) => tf.add(spreads[0][part], spreads[1][part]));
    return tf.add(
      tf.mul(invariance, INVARIANCE),
      tf.add(tf.mul(variance, VARIANCE / 2), tf.mul(covariance, COVARIANCE)),
    );
  });
}

/** How far the standard deviations fall short of 1, and how large the covariances are. */
function spreadLosses(view: tf.Tensor2D): [tf.Tensor, tf.Tensor] {
  const [n, width] = view.shape;
  const degrees = Math.max(1, n - 1); // a batch may hold one place alone
  const centred = tf.sub(view, tf.mean(view, 0, true)) as tf.Tensor2D;
  const deviations = tf.sqrt(tf.add(tf.div(tf.sum(tf.square(centred), 0), degrees), 1e-4));
  const covariances = tf.div(tf.matMul(centred, centred, true, false), degrees);
  const apart = tf.mul(covariances, tf.sub(1, tf.eye(width)));
  return [tf.mean(tf.relu(tf.sub(1, deviations))), tf.div(tf.sum(tf.square(apart)), width)];
}

/** Settings of the losses together. */
export interface LossSettings {
  /** How much each loss counts. */
  losses: Partial<Record<LossName, number>>;
  temperature: number;
  margin: number;
}

/** The losses that count, added up. */
export function totalLoss(outputs: Outputs, targets: Targets, settings: LossSettings): tf.Scalar {
  return tf.tidy(() => {
    const parts = Object.entries(settings.losses).map(([name, weight]) =>
      tf.mul(lossOf(name as LossName, outputs, targets, settings), weight),
    );
    return tf.addN(parts) as tf.Scalar;
  });
}

function lossOf(name: LossName, outputs: Outputs, targets: Targets, { temperature, margin }: LossSettings): tf.Scalar {
  const { embeddings, logits, projections } = outputs;
  if (name === 'entropy') return binaryCrossEntropy(logits, targets.present, targets.counts);
  if (name === 'contrastive') return contrastiveLoss(embeddings, targets, temperature);
  if (name === 'triplet') return tripletLoss(embeddings, targets, margin);
  if (name === 'vicreg') return vicregLoss(projections!);
  const { n, samePlace } = targets;
  const alike = samePlace.map((same, at) => (Math.floor(at / n) === at % n ? 0 : same));
  return contrastiveLoss(normalised(projections!), { n, alike, weights: targets.weights }, temperature);
}

function normalised(rows: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(rows, tf.rsqrt(tf.add(tf.sum(tf.square(rows), -1, true), 1e-12)));
}

/**
 * The loss of a batch, and its gradient for each output.
 *
 * @param values outputs of the network for the batch, in the order of {@link Outputs}
 * @returns the loss, and gradients as long as `values`
 */
export async function lossGradients(
  values: readonly Float32Array[],
  targets: Targets,
  settings: LossSettings,
): Promise<{ loss: number; gradients: Float32Array[] }> {
  const tensors = values.map((value) => remembered(value, [targets.n, value.length / targets.n]));
  const asked = (...[embeddings, logits, projections]: tf.Tensor[]): tf.Scalar =>
    tf.addN([
      totalLoss({ embeddings, logits, projections } as Outputs, targets, settings),
      ...tensors.map((tensor) => tf.sum(tf.mul(tensor, 0))), // each has a gradient, though no loss may ask for it
    ]) as tf.Scalar;
  const { value, grads } = tf.valueAndGrads(asked)(tensors);
  const [loss, ...gradients] = await Promise.all([value, ...grads].map((tensor) => tensor.data() as Promise<Float32Array>)); // prettier-ignore
  tf.dispose([value, ...grads, ...tensors]);
  return { loss: loss[0], gradients };
}
