// The gradients that every backend is checked by, against tfjs's plain JavaScript: each convolution that a network here could have, and what losses use.
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import seedrandom from 'seedrandom';

export type Gradients = () => tf.Tensor[];
export type Case = [name: string, gradients: Gradients];
/** A tensor's shape and values, read back. */
export type Values = { shape: number[]; values: Float32Array };

/** Uniform in −1…1, the same for the same seed on every backend. */
export function random(shape: number[], seed: number): tf.Tensor4D {
  const next = seedrandom.alea(String(seed));
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * next() - 1);
  return tf.tensor(values, shape as [number, number, number, number]);
}

/** Gradients of `f` for each input, under a random gradient of its output. */
export function gradientsOf(f: (...inputs: tf.Tensor4D[]) => tf.Tensor, inputs: tf.Tensor4D[]): tf.Tensor[] {
  const dy = random(f(...inputs).shape, 9);
  return tf.grads(f as (...x: tf.Tensor[]) => tf.Tensor)(inputs, dy);
}

/** One case: its name, what is differentiated, and the shapes of its inputs. */
function of(name: string, f: (...inputs: tf.Tensor4D[]) => tf.Tensor, ...shapes: number[][]): Case {
  return [
    name,
    () =>
      gradientsOf(
        f,
        shapes.map((shape, i) => random(shape, i + 1)),
      ),
  ];
}

function convolutionCases(): Case[] {
  const cases: Case[] = [];
  for (const [rows, cols] of [
    [8, 8],
    [9, 7],
    [12, 10],
  ]) {
    // prettier-ignore
    for (const kernel of [1, 2, 3, 5]) {
      for (const stride of [1, 2, 3]) {
        for (const pad of ['same', 'valid'] as const) {
          const name = `${rows} × ${cols}, kernel ${kernel}, stride ${stride}, ${pad}`;
          const image = [3, rows, cols, 5];
          cases.push(of(`convolution ${name}`, (x, f) => tf.conv2d(x, f, stride, pad), image, [kernel, kernel, 5, 6]));
          cases.push(of(`depthwise ${name}`, (x, f) => tf.depthwiseConv2d(x, f, stride, pad), image, [kernel, kernel, 5, 1])); // prettier-ignore
        }
      }
    }
  }
  return cases;
}

function poolingCases(): Case[] {
  const image = [2, 9, 8, 4];
  return (['same', 'valid'] as const).flatMap((pad) =>
    [1, 2].flatMap((stride): Case[] => {
      const name = `stride ${stride}, ${pad}`;
      return [
        of(`max pool, ${name}`, (x) => tf.maxPool(x, 3, stride, pad), image),
        of(`max pool of negative values, ${name}`, (x) => tf.maxPool(tf.sub(x, 2), 3, stride, pad), image),
        of(`average pool, ${name}`, (x) => tf.avgPool(x, 2, stride, pad), image),
      ];
    }),
  );
}

function batchNorm(x: tf.Tensor4D, gamma: tf.Tensor4D, beta: tf.Tensor4D): tf.Tensor {
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  return tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, beta, gamma, 1e-3);
}

/** Rows scaled to unit length. */
function unit(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), -1, true), 1e-12)));
}

/** Each row's cross-entropy against the next row as its only match: the heart of a contrastive loss. */
function contrastive(x: tf.Tensor): tf.Tensor {
  const rows = unit(x);
  const similar = tf.div(tf.matMul(rows, rows, false, true), 0.1);
  const match = tf.oneHot(tf.tensor1d([1, 2, 3, 4, 5, 0], 'int32'), 6);
  return tf.neg(tf.sum(tf.mul(tf.logSoftmax(similar), match), 1));
}

/** Hinge on squared distances of rows to the next and to the one after that. */
function triplet(x: tf.Tensor): tf.Tensor {
  const [anchor, near, far] = [0, 1, 2].map((from) => tf.slice(x, [from, 0], [4, 8]));
  const distance = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => tf.sum(tf.squaredDifference(a, b), 1);
  return tf.relu(tf.add(tf.sub(distance(anchor, near), distance(anchor, far)), 2));
}

/** Off-diagonal covariances, squared, as VICReg has them. */
function covariance(x: tf.Tensor): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, 0));
  const product = tf.div(tf.matMul(centred, centred, true), 5);
  return tf.sum(tf.square(tf.mul(product, tf.sub(1, tf.eye(8)))));
}

const indices = (...values: number[]): tf.Tensor1D => tf.tensor1d(values, 'int32');
const image = [2, 9, 8, 3];
const rows = [6, 8];
/** For resizes: plain JavaScript's gradients of them are wrong for oblong images, and for more than one. */
const square = [1, 9, 9, 3];

const convolutionVariants: Case[] = [
  of('convolution, explicit padding', (x, f) => tf.conv2d(x, f, 2, [[0, 0], [2, 1], [0, 3], [0, 0]]), image, [3, 3, 3, 4]), // prettier-ignore
  of('convolution, padded 1 × 1', (x, f) => tf.conv2d(x, f, 1, 1), image, [1, 1, 3, 4]),
  of('convolution, oblong filter and stride', (x, f) => tf.conv2d(x, f, [1, 2], 'same'), image, [1, 5, 3, 4]),
  of('convolution, one band', (x, f) => tf.conv2d(x, f, 2, 'same'), [2, 16, 16, 1], [3, 3, 1, 8]),
  of('convolution, many bands', (x, f) => tf.conv2d(x, f, 2, 'same'), [2, 8, 8, 64], [3, 3, 64, 32]),
  of('convolution with bias and ReLU', (x, f, b) => tf.relu(tf.add(tf.conv2d(x, f, 2, 'same'), b)), image, [3, 3, 3, 4], [4]), // prettier-ignore
  of('transposed convolution', (x, f) => tf.conv2dTranspose(x, f, [2, 12, 12, 4], 2, 'same'), [2, 6, 6, 5], [3, 3, 4, 5]), // prettier-ignore
  of('separable convolution', (x, d, p) => tf.separableConv2d(x, d, p, 1, 'same'), image, [3, 3, 3, 1], [1, 1, 3, 4]),
];

const layerCases: Case[] = [
  of('batch normalisation', batchNorm, [4, 5, 6, 7], [7], [7]),
  of('batch normalisation of rows', (x, g, b) => batchNorm(tf.reshape(x, [6, 1, 1, 8]), g, b), rows, [8], [8]),
  of('dense', (a, b) => tf.matMul(a, b), [17, 33], [33, 21]),
  of('dense, both transposed', (a, b) => tf.matMul(a, b, true, true), [33, 17], [21, 33]),
  of('dense with bias', (x, w, b) => tf.add(tf.matMul(x, w), b), [6, 8], [8, 5], [5]),
  of('global average', (x) => tf.mean(x, [1, 2]), image),
  of('global maximum', (x) => tf.max(x, [1, 2]), image),
  of('rescaling', (x) => tf.sub(tf.div(x, 127.5), 1), image),
  of('ReLU', tf.relu, rows),
  of('ReLU up to six', (x) => tf.relu6(tf.mul(x, 9)), rows),
  of('leaky ReLU', (x) => tf.leakyRelu(x, 0.1), rows),
  of('sigmoid', tf.sigmoid, rows),
  of('tanh', tf.tanh, rows),
  of('ELU', tf.elu, rows),
  of('dropout by a mask', (x) => tf.mul(x, tf.greater(random(rows, 7), 0)), rows),
];

const reductionCases: Case[] = [
  of('sum over leading axes', (x) => tf.square(tf.sum(x, [0, 1, 2])), [3, 4, 5, 6]),
  of('mean over leading axes', (x) => tf.square(tf.mean(x, [0, 1], true)), [3, 4, 5, 6]),
  of('sum over trailing axes', (x) => tf.square(tf.sum(x, [2, 3])), [3, 4, 5, 6]),
  of('sum of everything', (x) => tf.square(tf.sum(x)), [3, 4, 5, 6]),
  of('maximum of rows', (x) => tf.max(x, 1), rows),
  of('minimum of rows', (x) => tf.min(x, 1), rows),
  of('logarithm of a sum of exponentials', (x) => tf.logSumExp(x, 1), rows),
];

const lossCases: Case[] = [
  of('softmax', (x) => tf.softmax(x), rows),
  of('logarithm of softmax', (x) => tf.logSoftmax(x), rows),
  of('logarithm', (x) => tf.log(tf.add(x, 2)), rows),
  of('exponential', tf.exp, rows),
  of('softplus', tf.softplus, rows),
  of('square root', (x) => tf.sqrt(tf.add(x, 2)), rows),
  of('reciprocal square root', (x) => tf.rsqrt(tf.add(x, 2)), rows),
  of('power', (x) => tf.pow(tf.add(x, 2), 3), rows),
  of('absolute value', tf.abs, rows),
  of('quotient by a column', (x, y) => tf.div(x, tf.add(y, 2)), rows, [6, 1]),
  of('product with a row', (x, y) => tf.mul(x, y), rows, [8]),
  of('larger of two', (x, y) => tf.maximum(x, y), rows, rows),
  of('smaller of two', (x, y) => tf.minimum(x, y), rows, rows),
  of('squared difference', (x, y) => tf.squaredDifference(x, y), rows, rows),
  of('clipping', (x) => tf.clipByValue(x, -0.5, 0.5), rows),
  of('choice by a condition', (x, y) => tf.where(tf.greater(random(rows, 7), 0), x, y), rows, rows),
  of('unit length', unit, rows),
  of('norm', (x) => tf.norm(x, 2, 1), rows),
  of('cross-entropy of logits', (x) => tf.sub(tf.softplus(x), tf.mul(x, tf.step(random(rows, 7)))), rows),
  of('contrastive loss', contrastive, rows),
  of('triplet loss', triplet, rows),
  of('covariance loss', covariance, rows),
];

const movementCases: Case[] = [
  of('gathered rows, one of them twice', (x) => tf.gather(x, indices(4, 0, 0, 2)), rows),
  of('gathered columns', (x) => tf.gather(x, indices(7, 1, 1), 1), rows),
  of('sums of segments', (x) => tf.square(tf.unsortedSegmentSum(x, indices(2, 0, 2, 1, 0, 2), 3)), rows),
  of('bilinear resize', (x) => tf.image.resizeBilinear(x, [5, 13]), square),
  of('bilinear resize, corners aligned', (x) => tf.image.resizeBilinear(x, [18, 16], true), square),
  of('nearest resize', (x) => tf.image.resizeNearestNeighbor(x, [18, 16]), square),
  of('padding', (x) => tf.square(tf.pad(x, [[0, 0], [1, 2], [0, 3], [0, 0]])), image), // prettier-ignore
  of('slice', (x) => tf.slice(x, [0, 2, 1, 0], [2, 4, 5, 3]), image),
  of('slice of a batch', (x) => tf.slice(x, [2, 0], [3, 8]), rows),
  of('concatenation', (x, y) => tf.concat([x, y], 1), rows, [6, 3]),
  of('stack', (x, y) => tf.stack([x, y]), rows, rows),
  of('split', (x) => tf.mul(...(tf.split(x, 2, 1) as [tf.Tensor, tf.Tensor])), rows),
  of('reversal', (x) => tf.reverse(x, 1), image),
  of('transposition', (x) => tf.transpose(x, [0, 2, 1, 3]), image),
  of('reshape', (x) => tf.reshape(x, [2, 216]), image),
  of('tile', (x) => tf.tile(x, [2, 3]), rows),
];

/** Every case. All have float32 inputs, and a gradient that is not zero everywhere. */
export const cases: Case[] = [
  ...convolutionCases(),
  ...poolingCases(),
  ...convolutionVariants,
  ...layerCases,
  ...reductionCases,
  ...lossCases,
  ...movementCases,
];

/** Gradients as a backend computes them. @throws {Error} when a tensor is left behind */
export async function gradientsOn(backend: string, gradients: Gradients): Promise<Values[]> {
  await tf.setBackend(backend);
  const before = tf.memory().numTensors;
  const tensors = tf.tidy(gradients);
  const results: Values[] = [];
  for (const tensor of tensors)
    results.push({ shape: tensor.shape, values: Float32Array.from(await tensor.data<'float32'>()) });
  tf.dispose(tensors);
  const left = tf.memory().numTensors - before;
  if (left > 0) throw new Error(`${left} tensors left behind on ${backend}`);
  return results;
}

/** Largest difference of a backend from plain JavaScript, relative to the largest gradient; infinite where shapes differ. */
export async function worstError(backend: string, gradients: Gradients): Promise<number> {
  const expected = await gradientsOn('cpu', gradients);
  const found = await gradientsOn(backend, gradients);
  const errors = expected.map(({ shape, values }, i) => {
    if (String(shape) !== String(found[i].shape)) return Infinity;
    const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    if (!(scale > 0)) throw new Error('a gradient of nothing but zeros shows nothing');
    const difference = (worst: number, value: number, j: number): number =>
      Math.max(worst, Number.isNaN(found[i].values[j]) ? Infinity : Math.abs(value - found[i].values[j]));
    return values.reduce(difference, 0) / scale;
  });
  return Math.max(...errors);
}

/** Runs every case. @returns the worst relative error, and a line for each case that is off by 1e-5 or more, or failed */
export async function checkGradients(
  backend: string,
  checked: readonly Case[] = cases,
): Promise<{ worst: number; failures: string[] }> {
  let worst = 0;
  const failures: string[] = [];
  for (const [name, gradients] of checked) {
    try {
      const error = await worstError(backend, gradients);
      worst = Math.max(worst, error);
      if (!(error < 1e-5)) failures.push(`${name}: ${error}`);
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  return { worst, failures };
}
