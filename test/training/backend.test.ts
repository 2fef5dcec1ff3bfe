import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import { type BackendName, type Seat, seatsOf, trainingBackend } from 'imagesim/training';
import { largestDifference } from './agreement.ts';
import { vulkanOnProcessor } from './vulkan.ts';

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

/** Runs code that must end by itself, with exit code 0. @returns the last line that it wrote */
async function inFreshProcess(code: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: import.meta.dirname,
    env: { ...process.env, ...env },
    timeout: 60_000,
  });
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

  it('lets native TensorFlow take a GPU’s memory as it needs it, so that members of a team find some', async () => {
    delete process.env.TF_FORCE_GPU_ALLOW_GROWTH;
    let allowed: string | undefined;
    await trainingBackend({
      load: async () => {
        allowed = process.env.TF_FORCE_GPU_ALLOW_GROWTH;
        return nativePackage(true);
      },
    });
    assert.equal(allowed, 'true');
  });

  it('takes wasm where webgpu finds no GPU, and says what it lacks', async () => {
    const noAdapter = { create: () => ({ requestAdapter: async () => null }), globals: {} };
    const { name, why, faster } = await trainingBackend({ load: loader((wanted) => (wanted === 'webgpu' ? noAdapter : Promise.reject(notFound(wanted)))) }); // prettier-ignore
    assert.equal(name, 'wasm');
    assert.match(why, /; webgpu finds no (GPU: no adapter answers|libvulkan\.so\.1, which libvulkan1 brings)$/);
    assert.match(faster, /or a GPU, for which the package webgpu needs its Vulkan driver and libvulkan1/);
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

  describe('in a fresh process', () => {
    let found: { first: string; listeners: number[]; warnings: string[] };
    before(async () => {
      found = JSON.parse(await inFreshProcess(`
        const tf = await import('@tensorflow/tfjs-core');
        const { trainingBackend } = await import('imagesim/training');
        const { name: first } = await trainingBackend({ name: 'wasm' });
        const listeners = ['unhandledRejection', 'uncaughtException'].map((event) => process.listenerCount(event));
        const warnings = [];
        console.warn = (line) => warnings.push(line);
        const load = async (name) => {
          if (name.includes('wasm')) return import(name);
          if (name === 'webgpu') throw new Error('no binary');
          for (const kernelName of ['Abs', 'Add']) tf.registerKernel({ kernelName, backendName: 'tensorflow', kernelFunc() {} });
          throw new Error('no binary');
        };
        for (let i = 0; i < 2; i++) await trainingBackend({ load });
        console.log(JSON.stringify({ first, listeners, warnings }));`)) as typeof found;
    }); // prettier-ignore

    it('adds no listener that would end the process at a rejected promise', () => {
      assert.deepEqual([found.first, found.listeners], ['wasm', [0, 0]]);
    });

    it('draws no warning from native packages that register their kernels and then miss their binary', () => {
      assert.deepEqual(found.warnings, []);
    });
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
          losses = (await train(network, set, { epochs: 2, members: 1 })).map(({ loss }) => loss.toFixed(5));
        };
        for (const step of [${order.join(', ')}, ${order.join(', ')}]) await step();
        console.log(JSON.stringify({ frame, losses: losses.length }));`);
      assert.deepEqual(JSON.parse(result), { frame: [[[2, 8], [4, 10], [6, 12]], [5, 7, 9], [2.5, 3.5, 4.5]], losses: 2 }); // prettier-ignore
    });
  }
});

const training = `
  const tf = await import('@tensorflow/tfjs-core');
  const { trainingBackend } = await import('imagesim/training');
  const sum = async () => (await tf.sum(tf.square(tf.ones([100, 100]))).data())[0];
  const said = async (work) => { try { return await work(); } catch (error) { return error.message; } };`;

/** Chooses among what is there. */
const choices = `
  const load = (name) => name.includes('tfjs-node') ? Promise.reject(new Error('not here')) : import(name);
  console.log(JSON.stringify([await trainingBackend({ load }), await trainingBackend({ name: 'webgpu' }), await trainingBackend({ load })]
    .map(({ name, why }) => ({ name, why }))));`;

/** Makes the real package's adapter give itself out for an NVIDIA GPU, and computes there. */
const disguised = `
  const missing = (name) => Promise.reject(Object.assign(new Error(\`Cannot find package '\${name}'\`), { code: 'ERR_MODULE_NOT_FOUND' }));
  const info = { vendor: 'nvidia', architecture: 'ampere', device: 'NVIDIA A10', description: '', isFallbackAdapter: false };
  const load = async (name) => {
    if (name.includes('tfjs-node')) return missing(name);
    const module = await import(name);
    if (name !== 'webgpu') return module;
    const as = (adapter) => ({ info, limits: adapter.limits, requestDevice: (options) => adapter.requestDevice(options) });
    return { globals: module.globals, create(flags) {
      const gpu = module.create(flags);
      return { requestAdapter: async (options) => as(await gpu.requestAdapter(options)) };
    } };
  };
  const { name, why, faster } = await trainingBackend({ load });
  const taken = [name, why, faster, tf.getBackend(), await sum()];
  const atOnce = await said(() => tf.square(tf.ones([100, 100])).dataSync());
  console.log(JSON.stringify({ taken, atOnce, navigator: 'navigator' in globalThis }));`;

/** Lets the GPU fail in every way. */
const failures = `
  await trainingBackend({ name: 'webgpu' });
  tf.backend().device.createBuffer({ size: 4, usage: 3 });
  const failed = [await said(sum), await said(sum)];
  await trainingBackend({ name: 'webgpu' });
  failed.push(await said(sum));
  const values = tf.square(tf.ones([100, 100]));
  tf.backend().device.destroy();
  failed.push(await said(() => values.data()));
  await trainingBackend({ name: 'webgpu' });
  failed.push(await said(sum), await said(() => tf.tile(tf.ones([1, 1024]), [2 ** 20, 1]).data()));
  console.log(JSON.stringify(failed));`;

describe('training: WebGPU, on the processor’s Vulkan', () => {
  let env: Record<string, string>;
  const results = async (code: string): Promise<unknown> => JSON.parse(await inFreshProcess(training + code, env));
  let found: { taken: unknown[]; atOnce: string; navigator: boolean }; // prettier-ignore

  before(async function () {
    const vulkan = vulkanOnProcessor();
    if ('missing' in vulkan) {
      console.log(`      skipped: ${vulkan.missing}`);
      this.skip();
    }
    ({ env } = vulkan);
    found = (await results(disguised)) as typeof found;
  });

  it('passes over an adapter that computes on the processor, unless insisted on', async () => {
    const [first, second, third] = (await results(choices)) as { name: string; why: string }[];
    assert.equal(first.name, 'wasm');
    assert.match(first.why, /; webgpu finds only .*, which computes on the processor$/);
    assert.deepEqual(third, first);
    assert.equal(second.name, 'webgpu');
    assert.match(second.why, /^webgpu runs on .*(SwiftShader|llvmpipe)/);
  });

  it('is taken before wasm where a GPU answers', () => {
    const why = 'webgpu runs on NVIDIA A10; @tensorflow/tfjs-node-gpu is not installed; tfjs-node-native is not installed'; // prettier-ignore
    assert.deepEqual(found.taken, ['webgpu', why, '', 'webgpu', 10_000]);
  });

  it('throws from the call what went wrong on the GPU, until it is started anew', async () => {
    const [failed, again, anew, lost, after, full] = (await results(failures)) as unknown[];
    assert.match(String(failed), /^the GPU failed \(Buffer usages .*\): what it computed is not to be trusted; go on from the last checkpoint, in a new process/); // prettier-ignore
    assert.equal(again, failed);
    assert.match(String(lost), /^the GPU was lost \(.*destroyed.*\): .* go on from the last checkpoint/);
    assert.match(String(full), /^the GPU failed \(.*size.*\): .* with a smaller batch where it ran out of memory$/);
    assert.deepEqual([anew, after], [10_000, 10_000]);
  });

  it('says how to read values where they are asked for at once', () => {
    assert.equal(
      found.atOnce,
      'values on a GPU cannot be read with dataSync or arraySync: use await data() or array()',
    );
  });

  it('leaves no navigator behind in a process, which ends by itself with 0', () => {
    assert.equal(found.navigator, 'navigator' in globalThis); // that it ended so, it was read by
  });

  for (const [where, start] of [
    ['a worker thread', `new (await import('node:worker_threads')).Worker(code, { eval: true, workerData: {} })`],
    ['a child process', `(await import('node:child_process')).spawn(process.execPath, ['--eval', code], { stdio: 'inherit' })`], // prettier-ignore
  ]) {
    it(`runs in ${where}, which ends by itself with 0`, async () => {
      const work = `${training} await trainingBackend({ name: 'webgpu' }); console.log(await sum());`;
      const outer = `
        const code = ${JSON.stringify(`(async () => {${work}})()`)};
        const [code1] = await (await import('node:events')).once(${start}, 'exit');
        console.log('exit', code1);`;
      assert.equal(await inFreshProcess(outer, env), 'exit 0');
    });
  }
});

describe('training: one model on several backends', () => {
  it('gives embeddings on wasm that are within 1e-5 of plain JavaScript’s', async () => {
    const difference = await largestDifference('wasm');
    assert.ok(difference < 1e-5, String(difference));
  });
});

describe('training: seats of a team', () => {
  let folder: string;
  const { PATH, CUDA_VISIBLE_DEVICES } = process.env;

  /** Puts a program of that name before all others on the PATH. */
  async function nvidiaSmi(script: string): Promise<void> {
    await writeFile(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    process.env.PATH = `${folder}:${PATH}`;
    delete process.env.CUDA_VISIBLE_DEVICES;
  }
  const gpus = (seats: Seat[]): (string | undefined)[] => seats.map(({ env }) => env.CUDA_VISIBLE_DEVICES);
  const onGpus = (options = {}): Promise<Seat[]> => seatsOf({ name: 'tensorflow-gpu' }, options);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imagesim-seats-'));
  });
  afterEach(async () => {
    process.env.PATH = PATH;
    if (CUDA_VISIBLE_DEVICES === undefined) delete process.env.CUDA_VISIBLE_DEVICES;
    else process.env.CUDA_VISIBLE_DEVICES = CUDA_VISIBLE_DEVICES;
    await rm(folder, { recursive: true, force: true });
  });

  it('are worker threads on wasm and plain JavaScript, one a core or as many as wanted', async () => {
    const thread = { kind: 'thread', backend: 'wasm', env: {} };
    assert.deepEqual(await seatsOf({ name: 'wasm' }, { cores: 3 }), [thread, thread, thread]);
    assert.deepEqual(await seatsOf({ name: 'wasm' }, { cores: 1, wanted: 2 }), [thread, thread]);
    assert.deepEqual(await seatsOf({ name: 'cpu' }, { cores: 8, wanted: 1 }), [{ ...thread, backend: 'cpu' }]);
  });

  for (const name of ['tensorflow', 'webgpu'] satisfies BackendName[]) {
    it(`are one process on ${name}`, async () => {
      assert.deepEqual(await seatsOf({ name }, { cores: 8 }), [{ kind: 'process', backend: name, env: {} }]);
    });
  }

  it('are a process a GPU on native TensorFlow: four where nvidia-smi lists four', async () => {
    const lines = [0, 1, 2, 3].map((i) => `GPU ${i}: NVIDIA A10G (UUID: GPU-${i}a1b)`);
    await nvidiaSmi(`[ "$1" = -L ] && printf '${lines.join('\\n')}\\n'`);
    const env = { TF_FORCE_GPU_ALLOW_GROWTH: 'true' };
    const seats = ['0', '1', '2', '3'].map((gpu) => ({ kind: 'process', backend: 'tensorflow-gpu', env: { CUDA_VISIBLE_DEVICES: gpu, ...env } })); // prettier-ignore
    assert.deepEqual(await onGpus(), seats);
    assert.deepEqual(gpus(await onGpus({ wanted: 2 })), ['0', '1']);
    assert.deepEqual(gpus(await onGpus({ wanted: 5 })), ['0', '1', '2', '3', '0']);
    assert.deepEqual(gpus(await onGpus({ gpus: ['GPU-2a1b'] })), ['GPU-2a1b']);
  });

  it('are on the GPUs of CUDA_VISIBLE_DEVICES where that is set, read as CUDA reads it', async () => {
    await nvidiaSmi('echo "GPU 0: not to be asked"');
    process.env.CUDA_VISIBLE_DEVICES = '2, GPU-8f';
    assert.deepEqual(gpus(await onGpus()), ['2', 'GPU-8f']);
    process.env.CUDA_VISIBLE_DEVICES = '1,-1,0';
    assert.deepEqual(gpus(await onGpus()), ['1']);
  });

  it('are one process that sees what TensorFlow found, where nvidia-smi is missing or fails', async () => {
    await nvidiaSmi('echo "NVIDIA-SMI has failed"; exit 9');
    const seat = { kind: 'process', backend: 'tensorflow-gpu', env: { TF_FORCE_GPU_ALLOW_GROWTH: 'true' } };
    assert.deepEqual(await onGpus(), [seat]);
    process.env.PATH = '/nowhere';
    assert.deepEqual(await onGpus(), [seat]);
  });

  it('require whole numbers', async () => {
    await assert.rejects(seatsOf({ name: 'wasm' }, { cores: 0 }), /^RangeError: seatsOf requires a positive whole number of cores, got 0/); // prettier-ignore
    await assert.rejects(seatsOf({ name: 'wasm' }, { wanted: 1.5 }), /positive whole number of members, got 1.5/);
  });
});
