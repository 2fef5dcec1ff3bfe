import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import { trainingBackend } from 'imagesim/training';

const run = promisify(execFile);

function notFound(name: string): Error {
  return Object.assign(new Error(`Cannot find package '${name}' imported from here`), { code: 'ERR_MODULE_NOT_FOUND' });
}

/** Imports only the wasm package; native ones go through `native`. */
function loader(native: (name: string) => unknown): (name: string) => Promise<unknown> {
  return async (name) => (name.includes('wasm') ? import(name) : native(name));
}

/** Stands in for a native package: registers a backend of its name, as the real one does on import. */
function nativePackage(isUsingGpuDevice: boolean): object {
  tf.registerBackend('tensorflow', () => Object.assign(new MathBackendCPU(), { isUsingGpuDevice }), 3);
  return { default: { getBackend: () => 'tensorflow' } };
}

async function inFreshProcess(code: string): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { cwd: import.meta.dirname });
  return stdout.trim().split('\n').at(-1) as string;
}

describe('training: choice of a backend', () => {
  afterEach(async () => {
    if (tf.findBackend('tensorflow')) tf.removeBackend('tensorflow');
    await trainingBackend({ name: 'wasm' });
  });

  it('takes wasm where no native package is installed, and says so', async () => {
    const backend = await trainingBackend({ load: loader((name) => { throw notFound(name); }) }); // prettier-ignore
    assert.equal(backend.name, 'wasm');
    assert.match(
      backend.why,
      /WebAssembly.*@tensorflow\/tfjs-node-gpu is not installed; tfjs-node-native is not installed/,
    );
    assert.match(backend.faster, /npm install @tensorflow\/tfjs-node-gpu@4\.22\.0/);
    assert.equal((backend.tf as typeof tf).getBackend(), 'wasm');
  });

  it('passes over a package that imports but brings up no native TensorFlow', async () => {
    const backend = await trainingBackend({ load: loader(() => ({ getBackend: () => 'cpu' })) });
    assert.equal(backend.name, 'wasm');
    assert.match(backend.why, /@tensorflow\/tfjs-node-gpu is no native TensorFlow: it brings up cpu/);
  });

  it('passes over a native package whose binary does not load, and gives the first line of the reason', async () => {
    const backend = await trainingBackend({ load: loader(() => { throw new Error('libtensorflow.so.2: cannot open\nmore'); }) }); // prettier-ignore
    assert.match(backend.why, /tfjs-node-gpu does not load: libtensorflow\.so\.2: cannot open;/);
  });

  it('draws no warning from native packages that register their kernels and then miss their binary', async () => {
    const warned = await inFreshProcess(`
      const tf = await import('@tensorflow/tfjs-core');
      const { trainingBackend } = await import('imagesim/training');
      const lines = [];
      console.warn = (line) => lines.push(line);
      const load = async (name) => {
        if (name.includes('wasm')) return import(name);
        for (const kernelName of ['Abs', 'Add']) tf.registerKernel({ kernelName, backendName: 'tensorflow', kernelFunc() {} });
        throw new Error('no binary');
      };
      for (let i = 0; i < 2; i++) await trainingBackend({ load });
      console.log(JSON.stringify(lines));`);
    assert.deepEqual(JSON.parse(warned), []);
  });

  it('loads no second native package where the first runs, but not as insisted on', async () => {
    const loaded: string[] = [];
    const load = async (name: string): Promise<object> => {
      loaded.push(name);
      return nativePackage(false);
    };
    await assert.rejects(trainingBackend({ name: 'tensorflow-gpu', load }), /no tensorflow-gpu backend: tensorflow would run/); // prettier-ignore
    assert.deepEqual(loaded, ['@tensorflow/tfjs-node-gpu']);
  });

  it('takes native TensorFlow first, on the GPU where it uses one', async () => {
    const backend = await trainingBackend({ load: async () => nativePackage(true) });
    assert.deepEqual([backend.name, backend.faster], ['tensorflow-gpu', '']);
  });

  it('names native TensorFlow without a GPU plainly, and says what a GPU needs', async () => {
    const missing = (name: string): unknown =>
      name.startsWith('@') ? Promise.reject(notFound(name)) : nativePackage(false);
    const backend = await trainingBackend({ load: loader(missing) });
    assert.equal(backend.name, 'tensorflow');
    assert.match(
      backend.why,
      /tfjs-node-native runs native TensorFlow on the processor; @tensorflow\/tfjs-node-gpu is not installed/,
    );
    assert.match(backend.faster, /NVIDIA GPU/);
  });

  it('falls back to plain JavaScript where wasm does not load', async () => {
    const backend = await trainingBackend({ load: async (name) => { throw notFound(name); } }); // prettier-ignore
    assert.equal(backend.name, 'cpu');
    assert.match(backend.why, /plain JavaScript; .*tfjs-backend-wasm is not installed/);
    assert.match(backend.faster, /a hundred times as fast/);
  });

  it('fails with reason and remedy where the backend insisted on is missing', async () => {
    const choice = trainingBackend({ name: 'tensorflow-gpu', load: async (name) => { throw notFound(name); } }); // prettier-ignore
    await assert.rejects(
      choice,
      /^Error: no tensorflow-gpu backend: @tensorflow\/tfjs-node-gpu is not installed; .*npm install/,
    );
  });

  it('adds no listener that would end the process at a rejected promise', async () => {
    const count = await inFreshProcess(`
      const { trainingBackend } = await import('imagesim/training');
      const { name } = await trainingBackend({ name: 'wasm' });
      console.log(name, process.listenerCount('unhandledRejection'), process.listenerCount('uncaughtException'));`);
    assert.equal(count, 'wasm 0 0');
  });

  for (const [when, order] of [
    ['before', ['danfo', 'training']],
    ['after', ['training', 'danfo']],
  ] as const) {
    // prettier-ignore
    it(`trains the same with danfojs-node loaded ${when}, which computes the same as ever`, async () => {
      const result = await inFreshProcess(`
        import { createRequire } from 'node:module';
        let frame, losses;
        const danfo = async () => {
          const { DataFrame } = createRequire(import.meta.url)('danfojs-node');
          const table = new DataFrame({ a: [1, 2, 3], b: [4, 5, 6] });
          frame = [table.add(table).values, table.sum().values, table.mean().values];
        };
        const training = async () => {
          const { buildNetwork, train } = await import('imagesim/training');
          const network = await buildNetwork({ inputSize: 16, classes: ['a'], widths: [4, 8] });
          const set = { images: Uint8Array.from({ length: 8 * 768 }, (_, i) => (i * 37) % 251), labels: Float32Array.from([1, 0, 1, 0, 1, 0, 1, 0]) };
          losses = (await train(network, set, { epochs: 2 })).map(({ loss }) => loss.toFixed(5));
        };
        for (const step of [${order.join(', ')}, ${order.join(', ')}]) await step();
        console.log(JSON.stringify({ frame, losses: losses.length }));`);
      assert.deepEqual(JSON.parse(result), { frame: [[[2, 8], [4, 10], [6, 12]], [5, 7, 9], [2.5, 3.5, 4.5]], losses: 2 }); // prettier-ignore
    });
  }
});
