import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { trainingBackend } from 'imagesim/training';
import {
  type LossName,
  type Targets,
  contrastiveLoss,
  likenesses,
  lossGradients,
  rarityOf,
  targetsOf,
} from '../../kernel-lib/training/losses.ts';
import { near, wave } from './near.ts';

const ones = (n: number): Float32Array => new Float32Array(n).fill(1);
const settings = { temperature: 0.1, margin: 0.3 };

/** NumPy: v = sin(1.3 arange(40)).reshape(8, 5), each row over its length. */
const embeddings = wave(40, 1.3);
for (let row = 0; row < 8; row++) {
  const part = embeddings.subarray(5 * row, 5 * row + 5);
  part.set(part.map((value) => value / Math.hypot(...part)));
}
const labels = Float32Array.from([1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, NaN, 0, 0, 1, 0, 0, NaN, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1]); // prettier-ignore
const rarity = rarityOf(labels, 4);
const weights = Float32Array.of(1, 0.5, 2, 1, 1, 1, 0.25, 1);
const targets = targetsOf({ labels, weights, classWeights: ones(4), rarity, places: [0, 1, 2, 3, 4, 5, 6, 7] });

/** A loss by itself, and its gradient for one output. */
async function lossOf(
  name: LossName,
  rows: Float32Array,
  to: Targets,
  output: 0 | 1 | 2 = 0,
  change: object = {},
): Promise<{ loss: number; gradient: Float32Array }> {
  const outputs = [0, 1, 2].map((at) => (at === output ? rows : new Float32Array(to.n * 2)));
  const { loss, gradients } = await lossGradients(outputs, to, { ...settings, ...change, losses: { [name]: 1 } });
  return { loss, gradient: gradients[output] };
}

/** Cross-entropy of some logits. */
async function entropyOf(
  logits: number[],
  known: number[],
  imageWeights: Float32Array,
  classWeights: Float32Array,
): Promise<{ loss: number; gradient: Float32Array }> {
  const n = imageWeights.length;
  const to = targetsOf({
    labels: Float32Array.from(known), weights: imageWeights, classWeights, rarity: ones(classWeights.length), places: Array.from({ length: n }, (_, i) => i),
  }); // prettier-ignore
  return lossOf('entropy', Float32Array.from(logits), to, 1);
}

describe('training: losses', () => {
  before(() => trainingBackend({ name: 'wasm' }));

  it('give PyTorch’s weighted cross-entropy and its gradient, unknown labels left out, with logits up to ±80', async () => {
    // torch 1.13: (binary_cross_entropy_with_logits(z, nan_to_num(y), reduction='none') * w * known).sum() / (w * known).sum()
    const { loss, gradient } = await entropyOf(
      [2, -1, 0.5, 60, -80, 3, -0.2, 0.1, -4],
      [1, 0, NaN, 0, 1, 1, NaN, 1, 0],
      Float32Array.of(1, 0.5, 2),
      Float32Array.of(1, 3, 0.25),
    );
    near([loss], [12.273128], 1e-6);
    near(gradient, [-0.00944181561, 0.0639068724, 0, 0.0396039604, -0.118811881, -0.000469563101, 0, -0.225752465, 0.000712325147], 1e-4); // prettier-ignore
  });

  it('do not change by whatever the network says of an unknown label', async () => {
    const [a, b] = await Promise.all([0.3, -55].map((logit) => entropyOf([1, logit, -2, 0.5], [1, NaN, 0, 1], ones(2), ones(2)))); // prettier-ignore
    assert.equal(a.loss, b.loss);
    assert.equal(a.gradient[1], 0);
  });

  it('are zero, with zero gradient, for a batch without a known label', async () => {
    const { loss, gradient } = await entropyOf([5, -5], [NaN, NaN], ones(1), ones(2));
    assert.equal(loss, 0);
    assert.deepEqual([...gradient], [0, 0]);
  });

  it('count an image of weight 2 as that image twice', async () => {
    const weighted = await entropyOf([1, -2, 0.5, 3], [0, 1, 1, 1], Float32Array.of(2, 1), ones(2));
    const repeated = await entropyOf([1, -2, 1, -2, 0.5, 3], [0, 1, 0, 1, 1, 1], ones(3), ones(2));
    near([weighted.loss], [repeated.loss], 1e-6);
  });

  it('hold a label the rarer, the more it says: scikit-learn’s smoothed idf over the images of which it is known', () => {
    // scikit-learn 1.2 TfidfTransformer(smooth_idf=True), column by column over known rows: log((1 + known) / (1 + present)) + 1
    near(rarity, [1.58778666, 1.98082925, 1.81093022, 1.98082925], 1e-6);
    near(rarityOf(Float32Array.of(1, NaN, 1, NaN), 2), [1, 1], 1e-6); // all have it; nothing is known
  });

  it('find two images alike by the labels in common, by rarity, over those known of both', () => {
    // numpy: (idf * minimum(a, b))[known].sum() / (idf * maximum(a, b))[known].sum(), rows 0, 1 and 4
    const alike = likenesses(labels, 8, rarity);
    near(alike.subarray(0, 8), [0, 0.444930668, 0, 0, 0, 0, 0.467172383, 0.444930668], 1e-6);
    near(alike.subarray(8, 16), [0.444930668, 0, 0.555069332, 0, 0, 0, 0.295152532, 0.28611629], 1e-6);
    near(alike.subarray(32, 40), [0, 0, 0, 0.47759628, 0, 0, 0.336632528, 0.368214939], 1e-6);
    for (let at = 0; at < 64; at++) assert.equal(alike[at], alike[8 * (at % 8) + Math.floor(at / 8)], 'the same both ways'); // prettier-ignore
  });

  it('give the contrastive loss by likeness and weight, and its gradient', async () => {
    // torch 1.13: s = v @ v.T / 0.1, its diagonal −inf; logp = s − logsumexp(s, 1); share = alike / alike.sum(1);
    // per = −(share * logp).sum(1); (per * w)[has].sum() / w[has].sum(), has = alike.sum(1) > 0
    const { loss, gradient } = await lossOf('contrastive', embeddings, targets);
    near([loss], [3.11419232], 1e-5);
    near(gradient.subarray(0, 5), [-0.562922241, 0.624298988, 0.896920737, -0.144448495, -0.974200343], 1e-4);
    near(gradient.subarray(30, 35), [0.0552934789, -0.865933744, -0.518566003, 0.588502147, 0.833413273], 1e-4);
  });

  it('give the published L_out where images are alike or not', () => {
    // torch 1.13: L_out of Khosla et al. 2020 at 0.1, classes [0, 0, 1, 1, 2, 2, 2, 3], mean over the anchors that have a positive
    const kinds = [0, 0, 1, 1, 2, 2, 2, 3];
    const alike = Float32Array.from({ length: 64 }, (_, at) => {
      const [i, j] = [Math.floor(at / 8), at % 8];
      return Number(i !== j && kinds[i] === kinds[j]);
    });
    const loss = tf.tidy(() => contrastiveLoss(tf.tensor2d(embeddings, [8, 5]), { alike, weights: ones(8), n: 8 }, 0.1).dataSync()[0]); // prettier-ignore
    near([loss], [1.12043816], 1e-5);
  });

  it('give SimCLR’s NT-Xent for views of places, brought to unit length', async () => {
    // torch 1.13: s = v @ v.T / 0.5, its diagonal −inf; cross_entropy(s, arange(8) ^ 1)
    const pairs = targetsOf({ labels, weights: ones(8), classWeights: ones(4), rarity, places: [0, 0, 1, 1, 2, 2, 3, 3] }); // prettier-ignore
    const { loss } = await lossOf('simclr', embeddings.map((value) => 3 * value), pairs, 2, { temperature: 0.5 }); // prettier-ignore
    near([loss], [1.55700715], 1e-5);
  });

  it('give the triplet loss with the nearest of the farther negatives, else the farthest, and its gradient', async () => {
    // torch 1.13: for each pair with alike > 0, k = argmin of d[i, k] over d[i, k] > d[i, j] among alike == 0, else argmax;
    // sum of w[i] * alike[i, j] * relu(d[i, j] − d[i, k] + 0.3) over the sum of w[i] * alike[i, j]; d squared and Euclidean
    const { loss, gradient } = await lossOf('triplet', embeddings, targets);
    near([loss], [0.424322159], 1e-5);
    // torch's d is of vectors, ours of cosines: the same along the sphere, which is where unit length leaves a gradient
    const along = (row: number, values: number[]): number[] => {
      const unit = embeddings.subarray(5 * row, 5 * row + 5);
      const dot = values.reduce((sum, value, i) => sum + value * unit[i], 0);
      return values.map((value, i) => value - dot * unit[i]);
    };
    const expected: [number, number[]][] = [
      [0, [-0.0440557312, 0.0988725364, 0.0969523066, -0.0470032795, -0.122098951]],
      [1, [-0.0070661102, 0.0448776041, 0.0310755232, -0.028252272, -0.0461904226]],
      [4, [-0.0828026282, 0.0693027956, 0.119879462, -0.00516756455, -0.122644096]],
    ];
    for (const [row, values] of expected)
      near(along(row, [...gradient.subarray(5 * row, 5 * row + 5)]), along(row, values), 1e-4, 0.1);
  });

  it('take no image of the same ground as a negative of the triplet loss', async () => {
    const two = Float32Array.of(1, 0, 0.6, 0.8, 0.8, 0.6);
    const tags = Float32Array.of(1, 1, 0); // the third lacks the label, yet shows the ground of the first
    const to = (places: number[]): Targets =>
      targetsOf({ labels: tags, weights: ones(3), classWeights: ones(1), rarity: ones(1), places });
    const [apart, same] = [await lossOf('triplet', two, to([0, 1, 2])), await lossOf('triplet', two, to([0, 1, 0]))];
    // by hand: d(0,1) 0.8, d(0,2) 0.4, d(1,2) 0.08; the first pair's only negative is nearer, by 0.4: 0.7; the second's by 0.72: 1.02
    near([apart.loss, same.loss], [(0.7 + 1.02) / 2, 1.02], 1e-5);
  });

  it('give VICReg as its authors’ code does, and its gradient', async () => {
    // torch 1.13: main_vicreg.py of facebookresearch/vicreg, 25 · mse_loss + 25 · std_loss + cov_loss, p = 1.5 sin(0.77 arange(24)),
    // x and y its even and odd rows
    const { loss, gradient } = await lossOf('vicreg', wave(24, 0.77).map((value) => 1.5 * value), targets, 2); // prettier-ignore
    near([loss], [98.6695834], 1e-5);
    near(gradient, [-4.03119554, 4.69006959, 10.8124354, 4.68155639, -3.94435604, -10.2441676, -10.6451735, -11.9642144, -6.65268745, 10.6365898, 12.0754046, 6.63055239, 5.88136254, -2.63223093, -9.7005708, -6.59694984, 1.79942672, 9.07679726, 9.4459433, 12.3001602, 8.32693287, -9.3721332, -12.3242598, -8.24929209], 1e-4); // prettier-ignore
  });

  it('are numbers for a batch of one image or place, and have nothing to say where nothing is alike', async () => {
    const one = targetsOf({ labels: Float32Array.of(1, NaN, 1, NaN), weights: ones(2), classWeights: ones(2), rarity: ones(2), places: [0, 0] }); // prettier-ignore
    for (const name of ['contrastive', 'triplet', 'simclr', 'vicreg'] as const) {
      const { loss, gradient } = await lossOf(name, Float32Array.of(1, 0, 0, 1), one, name === 'vicreg' || name === 'simclr' ? 2 : 0); // prettier-ignore
      assert.ok(Number.isFinite(loss) && gradient.every(Number.isFinite), `${name}: ${loss}`);
    }
    const apart = targetsOf({ labels: Float32Array.of(1, 0, 0, 1), weights: ones(2), classWeights: ones(2), rarity: ones(2), places: [0, 1] }); // prettier-ignore
    for (const name of ['contrastive', 'triplet'] as const)
      assert.equal((await lossOf(name, Float32Array.of(1, 0, 0, 1), apart)).loss, 0);
  });

  it('add up by how much each counts, with a gradient for every output', async () => {
    const logits = wave(32, 0.3);
    const outputs = [embeddings, logits, wave(24, 0.77)];
    const of = (losses: Partial<Record<LossName, number>>): ReturnType<typeof lossGradients> =>
      lossGradients(outputs, targets, { ...settings, losses });
    const [entropy, triplet, both] = await Promise.all([of({ entropy: 1 }), of({ triplet: 1 }), of({ entropy: 0.5, triplet: 2 })]); // prettier-ignore
    near([both.loss], [0.5 * entropy.loss + 2 * triplet.loss], 1e-6);
    near(both.gradients[1], Array.from(entropy.gradients[1], (value) => 0.5 * value), 1e-5); // prettier-ignore
    near(both.gradients[0], Array.from(triplet.gradients[0], (value) => 2 * value), 1e-5); // prettier-ignore
    assert.ok(both.gradients[2].every((value) => value === 0) && both.gradients[2].length === 24);
  });
});
