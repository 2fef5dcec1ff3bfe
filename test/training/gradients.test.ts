import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { trainingBackend } from 'imagesim/training';
import { cases, checkGradients, gradientsOf, type Gradients, gradientsOn, random, worstError } from './cases.ts';
import { vulkanOnProcessor } from './vulkan.ts';

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
  before(() => trainingBackend({ name: 'wasm' }));
  after(() => tf.setBackend('wasm'));

  it(`agree with plain JavaScript to 1e-5 in each of ${cases.length} cases, and leave no tensor behind`, async () => {
    assert.ok(cases.length >= 155);
    assert.equal(new Set(cases.map(([name]) => name)).size, cases.length);
    assert.deepEqual((await checkGradients('wasm')).failures, []);
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
      UnsortedSegmentSum: 'gathered rows',
    };
    for (const [kernelName, start] of Object.entries(uses)) {
      const error = await withWrongKernel(kernelName, () => worstError('wasm', example(start)));
      assert.ok(error > 1e-5, `${kernelName}: a wrong result went unseen (${error})`);
    }
  });

  it('leave nothing behind in the heap either', async () => {
    await tf.setBackend('wasm');
    const kept = (tf.backend() as unknown as { numDataIds(): number }).numDataIds();
    for (const [, gradients] of cases) tf.dispose(tf.tidy(gradients));
    assert.equal((tf.backend() as unknown as { numDataIds(): number }).numDataIds(), kept);
  });

  it('leave out rows of a negative segment', async () => {
    const sums = (): tf.Tensor[] => [tf.unsortedSegmentSum(tf.tensor2d([[1, 2], [4, 8], [16, 32]]), tf.tensor1d([1, -1, 1], 'int32'), 2)]; // prettier-ignore
    const [{ values }] = await gradientsOn('wasm', sums);
    assert.deepEqual([...values], [0, 0, 17, 34]);
  });

  it('refuse what they cannot do, in one line with the remedy', async () => {
    await tf.setBackend('wasm');
    const depthwise = (outBands: number, dilation: number) => (): unknown =>
      tf.tidy(() =>
        gradientsOf(
          (x, f) => tf.depthwiseConv2d(x, f, 1, 'same', 'NHWC', dilation),
          [random([1, 8, 8, 3], 1), random([3, 3, 3, outBands], 2)],
        ),
      );
    assert.throws(
      depthwise(2, 1),
      /depthwise gradients on wasm take one filter a band, got 2: follow with a 1 × 1 convolution/,
    );
    assert.throws(depthwise(1, 2), /dilation/);
    const bandsFirst = (): unknown =>
      tf.tidy(() =>
        gradientsOf((x, f) => tf.conv2d(x, f, 1, 'same', 'NCHW'), [random([1, 3, 8, 8], 1), random([3, 3, 3, 4], 2)]),
      );
    assert.throws(bandsFirst, /channelsFirst'. Please use 'channelsLast'/);
  });
});

/** A processor takes a minute for all, and half of one to train: the long form does, the short one takes every twentieth, a small network, and trains nothing. */
const isLong = process.env.IMAGESIM_PROOF !== undefined;
const every = isLong ? 1 : 20;

describe('training: gradients on WebGPU', () => {
  it(`agree with plain JavaScript to 1e-5 in each of ${Math.ceil(cases.length / every)} cases, and ${isLong ? 'train and encode' : 'encode'} alike, on the processor's Vulkan`, async function () {
    this.timeout(600_000);
    const vulkan = vulkanOnProcessor();
    if ('missing' in vulkan) {
      console.log(`      skipped: ${vulkan.missing}`);
      this.skip();
    }
    const script = join(import.meta.dirname, 'gpu.ts');
    const parts = [
      'gradients',
      'embeddings',
      ...(isLong ? ['losses'] : ['--widths', '8,16']),
      '--every',
      String(every),
    ];
    const checked = Math.ceil(cases.length / every);
    const env = { ...process.env, ...vulkan.env };
    const run = promisify(execFile)(process.execPath, ['--import', 'tsx', script, ...parts], { env });
    const { stdout: said } = await run; // rejects where a part is wrong, with what was said
    assert.match(said, new RegExp(`^gradients: ${checked} of ${checked} right`, 'm'));
    assert.match(said, /^embeddings: .*e-[6-9] /m);
    if (isLong) assert.match(said, /^losses: .*e-[5-9] /m);
  });
});
