/**
 * tfjs's backend for browsers, @tensorflow/tfjs-backend-webgpu 4.22.0, on a GPU in Node: the package `webgpu` brings Dawn, which reaches it through Vulkan,
 * Metal or Direct3D. No CUDA is needed.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type Attempt, type Load, reasonOf } from './attempt.ts';

/** What the package `webgpu` exports. */
interface Dawn {
  create(flags: string[]): Gpu;
  /** What code for browsers expects of the global object: `GPUBufferUsage` and others. */
  globals: Record<string, unknown>;
}

interface Gpu {
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<Adapter | null>;
}

interface AdapterInfo {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  isFallbackAdapter?: boolean;
}

interface Adapter {
  info: AdapterInfo;
  limits: Record<string, number>;
  requestDevice(options: { requiredLimits: Record<string, number> }): Promise<Device>;
}

interface GpuErrorEvent {
  error: { message: string };
  preventDefault?(): void;
}

interface Device {
  lost: Promise<{ reason: string; message: string }>;
  addEventListener(event: 'uncapturederror', listener: (event: GpuErrorEvent) => void): void;
}

/** What we need of tfjs's backend. */
interface GpuBackend extends tf.KernelBackend {
  tensorMap: { get(dataId: object): { values: tf.BackendValues | null } | undefined };
  runWebGPUProgram(...call: unknown[]): tf.TensorInfo;
}

type GpuBackendClass = new (device: Device, info: AdapterInfo) => GpuBackend;

/** A GPU at work. Dawn's instance is held here: were it collected, so would be its devices. */
interface Running {
  gpu: Gpu;
  backend: GpuBackend;
  why: string;
  software: boolean;
  watch: Watch;
}

/** What went wrong on a GPU, if anything did. */
interface Watch {
  fault: Error | undefined;
  /** Throws the fault, if there is one. */
  check: () => void;
}

/** Limits that are low unless asked for: large images and batches need all that the adapter has. */
const raised = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
];

let running: Running | undefined;

/**
 * Starts tfjs on the GPU that answers. An adapter that computes on the processor (SwiftShader, llvmpipe) is far slower than WebAssembly there, and passed
 * over unless `software`.
 *
 * What goes wrong on the GPU later is thrown by the next kernel, or by the reading of values: an uncaptured error, out of memory or the loss of the device
 * would else be seen on stderr alone. From then on that GPU is not used again; started once more, it is a new device.
 */
export async function tryWebGpu(load: Load, software: boolean): Promise<Attempt> {
  try {
    if (running && (software || !running.software) && isWell(running)) {
      await tf.setBackend('webgpu');
      return { found: 'webgpu', why: running.why };
    }
    const dawn = (await load('webgpu')) as Dawn;
    if (lacksVulkan()) return { missing: 'webgpu finds no libvulkan.so.1, which libvulkan1 brings' };
    const gpu = dawn.create([]);
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return { missing: 'webgpu finds no GPU: no adapter answers' };
    const name = nameOf(adapter.info);
    if (isSoftware(adapter.info) && !software)
      return { missing: `webgpu finds only ${name}, which computes on the processor` };
    running = await start(load, dawn, gpu, adapter);
    return { found: 'webgpu', why: running.why };
  } catch (error) {
    return { missing: reasonOf(error, 'webgpu') };
  }
}

function isWell({ watch, backend }: Running): boolean {
  return watch.fault === undefined && tf.findBackend('webgpu') === backend;
}

/** Dawn warns on stderr where it misses Vulkan's loader. So it is looked for first, where Dawn looks; found, it is no module of Node's, and closed again. */
function lacksVulkan(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    process.dlopen({ exports: {} }, 'libvulkan.so.1');
    return false;
  } catch (error) {
    return !String(error).includes('self-register');
  }
}

function nameOf({ vendor, architecture, device, description }: AdapterInfo): string {
  const name = device || architecture || vendor || 'a GPU without a name';
  return description ? `${name} (${description})` : name;
}

function isSoftware(info: AdapterInfo): boolean {
  const words = `${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|basic render/i.test(words);
}

async function start(load: Load, dawn: Dawn, gpu: Gpu, adapter: Adapter): Promise<Running> {
  const loaded = (await load('@tensorflow/tfjs-backend-webgpu')) as { WebGPUBackend: GpuBackendClass };
  const requiredLimits = Object.fromEntries(raised.map((limit) => [limit, adapter.limits[limit]]));
  const device = await adapter.requestDevice({ requiredLimits });
  for (const [key, value] of Object.entries(dawn.globals)) {
    if (!(key in globalThis)) Object.defineProperty(globalThis, key, { value, configurable: true, writable: true });
  }
  const watch = watched(device);
  const Guarded = guarded(loaded.WebGPUBackend, watch);
  const backend = asInBrowser(gpu, () => new Guarded(device, adapter.info));
  if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => backend, 3);
  if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs did not start on it');
  const software = isSoftware(adapter.info);
  const why = `webgpu runs on ${nameOf(adapter.info)}${software ? ', which computes on the processor' : ''}`;
  return { gpu, backend, why, software, watch };
}

/** Runs `work` while `navigator.gpu` is there, which tfjs's backend asks for once; a navigator that stays would tell other packages that this is a browser. */
function asInBrowser<Result>(gpu: Gpu, work: () => Result): Result {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  try {
    return work();
  } finally {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else Reflect.deleteProperty(globalThis, 'navigator');
  }
}

/** Notes what goes wrong on the device. */
function watched(device: Device): Watch {
  const remedy = 'what it computed is not to be trusted; go on from the last checkpoint, in a new process';
  const watch: Watch = {
    fault: undefined,
    check: () => {
      if (watch.fault) throw new Error(watch.fault.message, { cause: watch.fault });
    },
  };
  void noteLoss();
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault?.(); // else it is printed as well
    const [line] = event.error.message.trim().split('\n');
    watch.fault ??= new Error(`the GPU failed (${line}): ${remedy}, with a smaller batch where it ran out of memory`);
  });
  return watch;

  async function noteLoss(): Promise<void> {
    const { reason, message } = await device.lost;
    watch.fault ??= new Error(`the GPU was lost (${message.trim() || reason}): ${remedy}`);
  }
}

/** tfjs's backend, whose calls throw what the watch has noted. */
function guarded(base: GpuBackendClass, { check }: Watch): GpuBackendClass {
  return class extends base {
    override runWebGPUProgram(...call: unknown[]): tf.TensorInfo {
      check();
      return super.runWebGPUProgram(...call);
    }

    override async read(dataId: object): Promise<tf.BackendValues> {
      const values = await super.read(dataId).catch(async (error: unknown) => {
        await new Promise(setImmediate); // lets the news of a lost device arrive
        check(); // it says more than the error of the reading
        throw error;
      });
      check();
      return values;
    }

    override readSync(dataId: object): tf.BackendValues {
      const values = this.tensorMap.get(dataId)?.values;
      if (values) return values;
      throw new TypeError('values on a GPU cannot be read with dataSync or arraySync: use await data() or array()');
    }
  };
}
