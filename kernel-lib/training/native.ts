/** Native TensorFlow, from one of two packages that are there only where their binary could be downloaded. */
import * as tf from '@tensorflow/tfjs-core';
import { type Attempt, type Load, reasonOf } from './attempt.ts';

/** Packages with native TensorFlow, the faster first. The second is `@tensorflow/tfjs-node` under a name that no stand-in takes. */
export const nativePackages: readonly string[] = ['@tensorflow/tfjs-node-gpu', 'tfjs-node-native'];

/** Starts a package's TensorFlow. Whether it is native is read from the backend that it brings up, never from an import that worked: a stand-in imports as well. */
export async function tryNative(packageName: string, load: Load): Promise<Attempt> {
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true'; // else this process takes all memory of every GPU, and leaves none to members of a team
  const before = new Set(nativeKernels());
  const loaded = await load(packageName).catch((error: unknown) => {
    withdrawNativeKernels(before);
    return { missing: reasonOf(error, packageName) };
  });
  if (typeof loaded === 'object' && loaded !== null && 'missing' in loaded) return { missing: String(loaded.missing) };
  const module = ((loaded as { default?: object }).default ?? loaded) as { getBackend?: () => string };
  const engine = module.getBackend?.();
  if (engine !== 'tensorflow')
    return { missing: `${packageName} is no native TensorFlow: it brings up ${engine ?? 'no backend'}` };
  await tf.setBackend('tensorflow');
  const { isUsingGpuDevice = false } = tf.backend() as { isUsingGpuDevice?: boolean };
  const where = isUsingGpuDevice ? 'a GPU' : 'the processor';
  return {
    found: isUsingGpuDevice ? 'tensorflow-gpu' : 'tensorflow',
    why: `${packageName} runs native TensorFlow on ${where}`,
  };
}

function nativeKernels(): string[] {
  return tf.getKernelsForBackend('tensorflow').map(({ kernelName }) => kernelName);
}

/** A native package registers its kernels before it looks for its binary: left there when that is missing, the next package's would each draw a warning. */
function withdrawNativeKernels(before: ReadonlySet<string>): void {
  for (const name of nativeKernels()) if (!before.has(name)) tf.unregisterKernel(name, 'tensorflow');
}
