import assert from 'node:assert/strict';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import seedrandom from 'seedrandom';
import { trainingBackend } from 'imagesim/training';

type Gradients = () => tf.Tensor[];
type Case = [name: string, gradients: Gradients];

/** Uniform in −1…1, the same for the same seed on every backend. */
function random(shape: number[], seed: number): tf.Tensor4D {
  const next = seedrandom.alea(String(seed));
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * next() - 1);
  return tf.tensor(values, shape as [number, number, number, number]);
}

/** Gradients of `f` for each input, under a random gradient of its output. */
function gradientsOf(f: (...inputs: tf.Tensor4D[]) => tf.Tensor, inputs: tf.Tensor4D[]): tf.Tensor[] {
  const dy = random(f(...inputs).shape, 9);
  return tf.grads(f as (...x: tf.Tensor[]) => tf.Tensor)(inputs, dy);
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
          const image = (): tf.Tensor4D => random([3, rows, cols, 5], 1);
          cases.push([`convolution ${name}`, () => gradientsOf((x, f) => tf.conv2d(x, f, stride, pad), [image(), random([kernel, kernel, 5, 6], 2)])]);
          cases.push([`depthwise ${name}`, () => gradientsOf((x, f) => tf.depthwiseConv2d(x, f, stride, pad), [image(), random([kernel, kernel, 5, 1], 4)])]);
        }
      }
    }
  }
  return cases;
}

function poolingCases(): Case[] {
  return (['same', 'valid'] as const).flatMap((pad) =>
    [1, 2].flatMap((stride): Case[] => [
      [
        `max pool, stride ${stride}, ${pad}`,
        () => gradientsOf((x) => tf.maxPool(x, 3, stride, pad), [random([2, 9, 8, 4], 1)]),
      ],
      [
        `max pool of negative values, stride ${stride}, ${pad}`,
        () => gradientsOf((x) => tf.maxPool(x, 3, stride, pad), [tf.sub(random([2, 9, 8, 4], 1), 2)]),
      ],
      [
        `average pool, stride ${stride}, ${pad}`,
        () => gradientsOf((x) => tf.avgPool(x, 2, stride, pad), [random([2, 9, 8, 4], 1)]),
      ],
    ]),
  );
}

function batchNorm(x: tf.Tensor4D, gamma: tf.Tensor4D, beta: tf.Tensor4D): tf.Tensor {
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  return tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, beta, gamma, 1e-3);
}

const otherCases: Case[] = [
  ['batch normalisation', () => gradientsOf(batchNorm, [random([4, 5, 6, 7], 1), random([7], 2), random([7], 3)])],
  ['dense', () => gradientsOf((a, b) => tf.matMul(a, b), [random([17, 33], 1), random([33, 21], 2)])],
  [
    'dense, both transposed',
    () => gradientsOf((a, b) => tf.matMul(a, b, true, true), [random([33, 17], 1), random([21, 33], 2)]),
  ],
  [
    'transposed convolution',
    () =>
      gradientsOf(
        (x, f) => tf.conv2dTranspose(x, f, [2, 12, 12, 4], 2, 'same'),
        [random([2, 6, 6, 5], 1), random([3, 3, 4, 5], 2)],
      ),
  ],
  ['convolution, explicit padding', () => gradientsOf((x, f) => tf.conv2d(x, f, 2, [[0, 0], [2, 1], [0, 3], [0, 0]]), [random([2, 9, 8, 3], 1), random([3, 3, 3, 4], 2)])], // prettier-ignore
  [
    'convolution, padded 1 × 1',
    () => gradientsOf((x, f) => tf.conv2d(x, f, 1, 1), [random([2, 6, 5, 3], 1), random([1, 1, 3, 4], 2)]),
  ],
  ['sum over leading axes', () => gradientsOf((x) => tf.square(tf.sum(x, [0, 1, 2])), [random([3, 4, 5, 6], 1)])],
  ['mean over leading axes', () => gradientsOf((x) => tf.square(tf.mean(x, [0, 1], true)), [random([3, 4, 5, 6], 1)])],
  ['sum over trailing axes', () => gradientsOf((x) => tf.square(tf.sum(x, [2, 3])), [random([3, 4, 5, 6], 1)])],
];

async function on(backend: string, gradients: Gradients): Promise<{ shape: number[]; values: Float32Array }[]> {
  await tf.setBackend(backend);
  const tensors = tf.tidy(gradients);
  const results = tensors.map((tensor) => ({ shape: tensor.shape, values: Float32Array.from(tensor.dataSync()) }));
  tf.dispose(tensors);
  return results;
}

/** Largest difference of wasm from cpu, relative to the largest gradient; infinite where shapes differ. */
async function worstError(gradients: Gradients): Promise<number> {
  const expected = await on('cpu', gradients);
  const found = await on('wasm', gradients);
  const errors = expected.map(({ shape, values }, i) => {
    if (String(shape) !== String(found[i].shape)) return Infinity;
    const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    assert.ok(scale > 0, 'a gradient of nothing but zeros shows nothing');
    return values.reduce((worst, value, j) => Math.max(worst, Math.abs(value - found[i].values[j]) || 0), 0) / scale;
  });
  return Math.max(...errors);
}

/** Runs `work` while a wasm kernel's results are off by one part in a thousand in one value. */
async function withWrongKernel<Result>(kernelName: string, work: () => Promise<Result>): Promise<Result> {
  const right = tf.getKernel(kernelName, 'wasm');
  tf.unregisterKernel(kernelName, 'wasm');
  const kernelFunc: tf.KernelFunc = (call) => {
    const result = right.kernelFunc(call) as tf.TensorInfo;
    const values = (call.backend as { typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array }).typedArrayFromHeap(
      result,
    );
    const largest = values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best]) ? i : best), 0);
    values[largest] *= 1.001;
    return result;
  };
  tf.registerKernel({ ...right, kernelFunc });
  try {
    return await work();
  } finally {
    tf.unregisterKernel(kernelName, 'wasm');
    tf.registerKernel(right);
  }
}

describe('training: gradient kernels of the wasm backend', () => {
  const convolutions = convolutionCases();
  const cases = [...convolutions, ...poolingCases(), ...otherCases];

  before(() => trainingBackend({ name: 'wasm' }));
  after(() => tf.setBackend('wasm'));

  it('agree with the cpu backend to 1e-5 in every case of at least 155', async () => {
    assert.ok(cases.length >= 155, `${cases.length} cases`);
    const failures: string[] = [];
    for (const [name, gradients] of cases) {
      const error = await worstError(gradients);
      if (!(error < 1e-5)) failures.push(`${name}: ${error}`);
    }
    assert.deepEqual(failures, []);
  });

  it('are the ones that the comparison sees: one value off by a thousandth is found in each', async () => {
    const example = (start: string): Gradients => cases.find(([name]) => name.startsWith(start))?.[1] as Gradients;
    const uses: Record<string, string> = {
      Conv2DBackpropFilter: 'convolution 9 × 7, kernel 3, stride 2',
      Conv2DBackpropInput: 'convolution 9 × 7, kernel 3, stride 2',
      DepthwiseConv2dNativeBackpropFilter: 'depthwise 9 × 7, kernel 3, stride 2',
      DepthwiseConv2dNativeBackpropInput: 'depthwise 9 × 7, kernel 3, stride 2',
      MaxPoolGrad: 'max pool of negative',
      BatchMatMul: 'dense, both',
      Sum: 'batch norm',
      Mean: 'mean over leading',
    };
    for (const [kernelName, start] of Object.entries(uses)) {
      const error = await withWrongKernel(kernelName, () => worstError(example(start)));
      assert.ok(error > 1e-5, `${kernelName}: a wrong result went unseen (${error})`);
    }
  });

  it('leave no tensor behind', async () => {
    await tf.setBackend('wasm');
    const kept = (tf.backend() as unknown as { numDataIds(): number }).numDataIds();
    for (const [, gradients] of cases) tf.dispose(tf.tidy(gradients));
    assert.equal((tf.backend() as unknown as { numDataIds(): number }).numDataIds(), kept);
  });

  it('refuse what they cannot do, in one line with the remedy', async () => {
    await tf.setBackend('wasm');
    const twoFilters = (): unknown =>
      tf.tidy(() =>
        gradientsOf((x, f) => tf.depthwiseConv2d(x, f, 1, 'same'), [random([1, 8, 8, 3], 1), random([3, 3, 3, 2], 2)]),
      );
    assert.throws(
      twoFilters,
      /depthwise gradients on wasm take one filter a band, got 2: follow with a 1 × 1 convolution/,
    );
  });
});
