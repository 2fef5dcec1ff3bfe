import * as tf from '@tensorflow/tfjs-core';

/** One batch's labels, ready for the losses: nothing in it is NaN. */
export interface Targets {
  /** `[n, classes]`: 1 present, 0 absent or unknown. */
  present: tf.Tensor2D;
  /** `[n, classes]`: how much each label counts; 0 where it is unknown. */
  counts: tf.Tensor2D;
  /** `[n, n]`: how alike each pair's labels are, each row summing to 1, or to 0 where an image is like no other. */
  alike: tf.Tensor2D;
  /** `[n, 1]`: how much each image counts in the contrastive loss; 0 where it is like no other. */
  anchors: tf.Tensor2D;
}

/**
 * Labels of a batch as tensors.
 *
 * @param labels `[n, classes]`: 1 present, 0 absent, NaN unknown
 * @param imageWeights `[n]`
 * @param classWeights `[classes]`
 */
export function targetsOf(labels: Float32Array, imageWeights: Float32Array, classWeights: Float32Array): Targets {
  const [n, classes] = [imageWeights.length, classWeights.length];
  const counts = labels.map((label, i) =>
    Number.isNaN(label) ? 0 : imageWeights[Math.floor(i / classes)] * classWeights[i % classes],
  );
  const alike = likenesses(labels, n, classes);
  const anchors = imageWeights.map((weight, i) =>
    alike.subarray(i * n, (i + 1) * n).some((likeness) => likeness > 0) ? weight : 0,
  );
  return {
    present: tf.tensor2d(
      labels.map((label) => label || 0),
      [n, classes],
    ),
    counts: tf.tensor2d(counts, [n, classes]),
    alike: tf.tensor2d(alike, [n, n]),
    anchors: tf.tensor2d(anchors, [n, 1]),
  };
}

/**
 * Share of the labels of two images that they have in common (Jaccard), over those known in both; each row divided by its sum.
 *
 * @returns `[n, n]`, zero on the diagonal
 */
export function likenesses(labels: Float32Array, n: number, classes: number): Float32Array {
  const alike = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      if (j === i) continue;
      let [both, either] = [0, 0];
      for (let k = 0; k < classes; k++) {
        const [a, b] = [labels[i * classes + k], labels[j * classes + k]];
        if (Number.isNaN(a) || Number.isNaN(b)) continue;
        both += Math.min(a, b);
        either += Math.max(a, b);
      }
      if (both > 0) sum += alike[i * n + j] = both / either;
    }
    if (sum > 0) for (let j = 0; j < n; j++) alike[i * n + j] /= sum;
  }
  return alike;
}

/**
 * Binary cross-entropy of many labels: the mean over the known ones, each by its weight. An unknown label adds nothing, to the sum and to the weight.
 *
 * From logits, as `softplus(z) − z·y`, which is stable however large they are.
 *
 * @param logits `[n, classes]`
 * @returns a scalar; 0 when the batch has no known label
 */
export function binaryCrossEntropy(logits: tf.Tensor2D, { present, counts }: Targets): tf.Scalar {
  return tf.tidy(() => {
    const losses = tf.sub(tf.softplus(logits), tf.mul(logits, present));
    return weightedMean(losses, counts);
  });
}

/**
 * Supervised contrastive loss: each image must pick, from all others of its batch by cosine over `temperature`, those that share its labels. Others count
 * by how much they share (Jaccard), so that with one label an image it is the published loss, `L_out`.
 *
 * @param embeddings `[n, width]` of unit length
 * @param temperature 0.03 and up: below that the exponentials leave float32's range
 * @returns a scalar, in nats; 0 when no two images share a label
 * @see Khosla et al. 2020, Supervised Contrastive Learning, arXiv:2004.11362
 */
export function supervisedContrastive(
  embeddings: tf.Tensor2D,
  { alike, anchors }: Targets,
  temperature: number,
): tf.Scalar {
  return tf.tidy(() => {
    const n = embeddings.shape[0];
    const similar = tf.div(tf.sub(tf.matMul(embeddings, embeddings, false, true), 1), temperature) as tf.Tensor2D; // at most 0: exp cannot overflow
    const others = tf.sub(tf.ones([n, n]), tf.eye(n));
    const total = tf.log(tf.add(tf.sum(tf.mul(tf.exp(similar), others), 1, true), 1e-30));
    const losses = tf.sum(tf.mul(alike, tf.sub(total, similar)), 1, true);
    return weightedMean(losses, anchors);
  });
}

/** Zero where all weights are. */
function weightedMean(losses: tf.Tensor, weights: tf.Tensor): tf.Scalar {
  return tf.div(tf.sum(tf.mul(losses, weights)), tf.maximum(tf.sum(weights), 1e-12));
}
