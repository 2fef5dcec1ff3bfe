import { setFlagsFromString } from 'node:v8';
import * as tf from '@tensorflow/tfjs-core';
import { type Attempt, type Load, reasonOf } from './attempt.ts';
import { registerGradientKernels } from './gradients.ts';
import { nativePackages, tryNative } from './native.ts';
import { tryWebGpu } from './webgpu.ts';

/** What computes: native TensorFlow on a GPU or on the processor, a GPU through WebGPU, WebAssembly, or plain JavaScript. */
export type BackendName = 'tensorflow-gpu' | 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';

/** The backend that trains and encodes. */
export interface Backend {
  name: BackendName;
  /** Why this one: what was found, and what was not. */
  why: string;
  /** What would make it faster; empty where nothing that we know of would. */
  faster: string;
  /** The tfjs module in use, for operations of your own: `backend.tf as typeof import('@tensorflow/tfjs-core')`. */
  tf: object;
}

/** Options of {@link trainingBackend}. */
export interface BackendOptions {
  /** Insist on one backend, and fail where it is missing. Default: the fastest that is there. */
  name?: BackendName | undefined;
  /** Imports a package by its name. Default: `import(name)`. */
  load?: Load | undefined;
}

/** Which tfjs backend each name runs on. */
const engines: Record<BackendName, string> = {
  'tensorflow-gpu': 'tensorflow',
  tensorflow: 'tensorflow',
  webgpu: 'webgpu',
  wasm: 'wasm',
  cpu: 'cpu',
};

const advice: Record<BackendName, string> = {
  'tensorflow-gpu': '',
  tensorflow:
    'an NVIDIA GPU with CUDA 11.2 and cuDNN 8.1, and `npm install @tensorflow/tfjs-node-gpu@4.22.0` on Node 22 or older',
  webgpu: '',
  wasm: 'native TensorFlow, about four times as fast: `npm install @tensorflow/tfjs-node-gpu@4.22.0` on Node 22 or older, where its binary can be downloaded; or a GPU, for which the package webgpu needs its Vulkan driver and libvulkan1',
  cpu: 'the wasm backend, a hundred times as fast: `npm install @tensorflow/tfjs-backend-wasm@4.22.0`',
};

/** What a backend that is insisted on takes, where that is not {@link advice} for wasm. */
const remedies: Partial<Record<BackendName, string>> = {
  'tensorflow-gpu': advice.tensorflow,
  webgpu: "`npm install webgpu@0.6.2`, a GPU with its driver, and on Linux the driver's Vulkan and libvulkan1",
};

let chosen: Promise<Backend> | undefined;

/**
 * Chooses what trains and encodes, and makes it tfjs's backend: native TensorFlow where it is installed and its binary runs, else a GPU through WebGPU where
 * one answers, else WebAssembly with our gradient kernels, else plain JavaScript.
 *
 * Called again without options, it returns the first choice. Training and encoding call it themselves; call it to see what runs, or to insist.
 *
 * @throws {Error} when the backend insisted on is missing, with the reason and the remedy
 */
export function trainingBackend(options: BackendOptions = {}): Promise<Backend> {
  if (chosen && options.name === undefined && options.load === undefined) return chosen;
  const choice = choose(options);
  chosen = choice;
  choice.catch(() => {
    if (chosen === choice) chosen = undefined; // asked again, it is tried again
  });
  return choice;
}

/** The chosen backend, made tfjs's current one again, and our gradients with it, should another package have changed either since. */
export async function readyBackend(): Promise<Backend> {
  const backend = await trainingBackend();
  if (tf.getBackend() !== engines[backend.name]) await tf.setBackend(engines[backend.name]);
  if (backend.name === 'wasm') registerGradientKernels();
  return backend;
}

async function choose({ name, load = (packageName) => import(packageName) }: BackendOptions): Promise<Backend> {
  const reasons: string[] = [];
  for (const attempt of attempts(load, name)) {
    const result = await attempt();
    if ('found' in result && (name === undefined || name === result.found))
      return described(result.found, [result.why, ...reasons]);
    reasons.push('found' in result ? `${result.found} would run` : result.missing);
    if ('found' in result) break; // one native package is up: another registers the same once more, and runs on the first
  }
  const remedy = name === undefined ? advice.cpu : `${remedies[name] ?? advice.wasm}, or leave the name away`;
  throw new Error(`no ${name ?? 'training'} backend: ${reasons.join('; ')}; it takes ${remedy}`);
}

function described(name: BackendName, reasons: string[]): Backend {
  return { name, why: reasons.join('; '), faster: advice[name], tf };
}

/** What to try, the fastest first. */
function attempts(load: Load, name: BackendName | undefined): (() => Promise<Attempt>)[] {
  const native = nativePackages.map((packageName) => () => tryNative(packageName, load));
  const webgpu = (): Promise<Attempt> => tryWebGpu(load, name === 'webgpu');
  if (name === 'webgpu') return [webgpu];
  if (name === 'wasm') return [() => tryWasm(load)];
  if (name === 'cpu') return [tryPlain];
  return name === undefined ? [...native, webgpu, () => tryWasm(load), tryPlain] : native;
}

async function tryWasm(load: Load): Promise<Attempt> {
  const packageName = '@tensorflow/tfjs-backend-wasm';
  try {
    setFlagsFromString('--no-liftoff'); // else a third of all runs stay in the baseline compiler, twice as slow
    await withoutListeners(async () => {
      await load(packageName);
      registerGradientKernels();
      if (!(await tf.setBackend('wasm'))) throw new Error('its WebAssembly did not start');
    });
    return {
      found: 'wasm',
      why: `WebAssembly with our gradient kernels, ${tf.env().get('WASM_HAS_SIMD_SUPPORT') ? 'with' : 'without'} SIMD`,
    };
  } catch (error) {
    return { missing: reasonOf(error, packageName) };
  }
}

async function tryPlain(): Promise<Attempt> {
  await import('@tensorflow/tfjs-backend-cpu');
  await tf.setBackend('cpu');
  return { found: 'cpu', why: 'plain JavaScript' };
}

/** The wasm module adds listeners that end the process at any rejected promise, a notebook's kernel too: takes away those that `work` adds. */
async function withoutListeners(work: () => Promise<void>): Promise<void> {
  const events = ['uncaughtException', 'unhandledRejection'];
  const before = events.map((event) => process.rawListeners(event));
  await work();
  for (const [i, event] of events.entries()) {
    for (const listener of process.rawListeners(event)) {
      if (!before[i].includes(listener)) process.removeListener(event, listener as (...args: unknown[]) => void);
    }
  }
}
