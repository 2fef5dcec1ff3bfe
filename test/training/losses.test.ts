import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { trainingBackend } from 'imagesim/training';
import { binaryCrossEntropy, likenesses, supervisedContrastive, targetsOf } from '../../kernel-lib/training/losses.ts';

const ones = (n: number): Float32Array => new Float32Array(n).fill(1);

function near(found: ArrayLike<number>, expected: readonly number[], relative: number): void {
  assert.equal(found.length, expected.length);
  for (const [i, value] of expected.entries()) {
    assert.ok(
      Math.abs(found[i] - value) <= relative * Math.max(1e-3, Math.abs(value)),
      `value ${i}: ${found[i]}, expected ${value}`,
    );
  }
}

/** The loss and its gradient for the logits. */
function entropyOf(
  logits: number[],
  labels: number[],
  imageWeights: Float32Array,
  classWeights: Float32Array,
): { loss: number; gradient: Float32Array } {
  return tf.tidy(() => {
    const targets = targetsOf(Float32Array.from(labels), imageWeights, classWeights);
    const z = tf.tensor2d(logits, [imageWeights.length, classWeights.length]);
    const { value, grad } = tf.valueAndGrad((x) => binaryCrossEntropy(x as tf.Tensor2D, targets))(z);
    return { loss: value.dataSync()[0], gradient: grad.dataSync() as Float32Array };
  });
}

describe('training: losses', () => {
  before(() => trainingBackend({ name: 'wasm' }));

  it('give PyTorch’s weighted cross-entropy and its gradient, unknown labels left out, with logits up to ±80', () => {
    // torch 1.13: (binary_cross_entropy_with_logits(z, nan_to_num(y), reduction='none') * w * known).sum() / (w * known).sum()
    const { loss, gradient } = entropyOf(
      [2, -1, 0.5, 60, -80, 3, -0.2, 0.1, -4],
      [1, 0, NaN, 0, 1, 1, NaN, 1, 0],
      Float32Array.of(1, 0.5, 2),
      Float32Array.of(1, 3, 0.25),
    );
    near([loss], [12.273128509521484], 1e-6);
    near(
      gradient,
      [-0.009441819, 0.0639068708, 0, 0.03960395977, -0.11881187558, -0.00046956303, 0, -0.22575245798, 0.00071232513],
      1e-4,
    );
  });

  it('do not change by whatever the network says of an unknown label', () => {
    const [a, b] = [0.3, -55].map((logit) => entropyOf([1, logit, -2, 0.5], [1, NaN, 0, 1], ones(2), ones(2)));
    assert.equal(a.loss, b.loss);
    assert.equal(a.gradient[1], 0);
  });

  it('are zero, with zero gradient, for a batch without a known label', () => {
    const { loss, gradient } = entropyOf([5, -5], [NaN, NaN], ones(1), ones(2));
    assert.equal(loss, 0);
    assert.deepEqual([...gradient], [0, 0]);
  });

  it('count an image of weight 2 as that image twice', () => {
    const weighted = entropyOf([1, -2, 0.5, 3], [0, 1, 1, 1], Float32Array.of(2, 1), ones(2));
    const repeated = entropyOf([1, -2, 1, -2, 0.5, 3], [0, 1, 0, 1, 1, 1], ones(3), ones(2));
    near([weighted.loss], [repeated.loss], 1e-6);
  });

  it('give the published contrastive loss where each image has one label', () => {
    // torch 1.13: L_out of Khosla et al. 2020 at temperature 0.1, mean over the anchors that have a positive
    const embeddings = [0.44721359, 0.89442718, 0, 0.87287152, 0.43643576, 0.21821788, -0.69171447, 0.20751435, 0.69171447, 0, 0.70710677, 0.70710677, 0.1825742, -0.912871, 0.3651484]; // prettier-ignore
    const labels = Float32Array.from([1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1]);
    const loss = tf.tidy(
      () =>
        supervisedContrastive(tf.tensor2d(embeddings, [5, 3]), targetsOf(labels, ones(5), ones(3)), 0.1).dataSync()[0],
    );
    near([loss], [0.25244247913360596], 1e-5);
  });

  it('weigh pairs by the share of labels in common, over those known in both', () => {
    const labels = Float32Array.from([1, 1, 0, 1, 0, 0, 1, NaN, 1, 0, 0, 1]);
    // pairs with the first: {1}∩/{1,2}∪ = 1/2; with unknown second label 1 of {1,3} = 1/2; {} = 0
    near(likenesses(labels, 4, 3).slice(0, 4), [0, 0.5, 0.5, 0], 1e-6);
  });
});
