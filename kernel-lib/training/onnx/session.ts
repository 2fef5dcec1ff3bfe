/** A model in onnxruntime: bytes of images in, one row of numbers an image out. */
import { availableParallelism } from 'node:os';
import type { InferenceSession } from 'onnxruntime-node';
import type { StepOptions } from '../../ard/index.ts';
import { type OnnxModel, onnxBytes } from './file.ts';
import { withFloatWeights } from './fold.ts';

/** Options of reading images in batches. */
export interface BatchOptions extends Omit<StepOptions, 'concurrency'> {
  /** Images at once: a matter of memory, hardly of speed. Default: 32. */
  batchSize?: number | undefined;
}

/** Options of opening a model. */
export interface RuntimeOptions {
  /** Threads that compute. Default: one a core. */
  threads?: number | undefined;
  /** Imports onnxruntime-node. Default: `import('onnxruntime-node')`. */
  load?: (() => Promise<unknown>) | undefined;
}

type Runtime = typeof import('onnxruntime-node');

/** Thrown where onnxruntime-node does not load on this machine: the training backend can encode instead. */
export class RuntimeMissingError extends Error {
  override readonly name = 'RuntimeMissingError';
}

/** A model that is ready to run. */
export interface Session {
  input: { name: string; type: 'uint8' | 'float32'; shape: readonly (number | string)[] };
  output: { name: string; shape: readonly (number | string)[] };
  /** Every output, as onnxruntime infers its shape. */
  outputs: readonly { name: string; shape: readonly (number | string)[] }[];
  /** @param images bytes of whole images of the input's size @returns the first output, its rows one after another */
  run: (images: Uint8Array) => Promise<Float32Array>;
  close: () => Promise<void>;
}

/** The runtime. @throws {RuntimeMissingError} when it does not load on this machine */
export async function loadRuntime(load: () => Promise<unknown>): Promise<Runtime> {
  try {
    const module = (await load()) as Runtime & { default?: Runtime };
    return module.default ?? module;
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new RuntimeMissingError(
      `onnxruntime-node does not load: ${line}; npm install brings it, or encode with the training backend`,
      {
        cause: error,
      },
    );
  }
}

/**
 * Opens a model.
 *
 * All of onnxruntime's optimisations are on: without the last, its own order of bands, convolutions take 1.6 times as long. Threads that wait do not spin,
 * for they would take the cores from what decodes the next images.
 *
 * @param path what errors call it
 * @throws {RuntimeMissingError} when onnxruntime-node does not load
 * @throws {Error} naming `path`, when onnxruntime refuses the model
 */
export async function openSession(model: OnnxModel, path: string, options: RuntimeOptions = {}): Promise<Session> {
  const { threads = availableParallelism(), load = () => import('onnxruntime-node') } = options;
  if (!Number.isInteger(threads) || threads < 1)
    throw new RangeError(`a positive whole number of threads is required, got ${threads}`);
  const runtime = await loadRuntime(load);
  const session = await openWith(runtime, onnxBytes(withFloatWeights(model)), path, threads);
  const [{ name, type, shape }, output] = [tensorOf(session.inputMetadata), tensorOf(session.outputMetadata)];
  const input = { name, type: type as 'uint8' | 'float32', shape };
  const pixels = shape.slice(1).reduce<number>((product, length) => product * Number(length), 1);
  return {
    input,
    output,
    outputs: session.outputMetadata.filter((value) => value.isTensor),
    run: async (images) => {
      const values = input.type === 'uint8' ? images : Float32Array.from(images);
      const tensor = new runtime.Tensor(input.type, values as Uint8Array, [
        images.length / pixels,
        ...shape.slice(1).map(Number),
      ]);
      const made = await session.run({ [name]: tensor }, [output.name]);
      return made[output.name].data as Float32Array;
    },
    close: () => session.release(),
  };
}

function tensorOf(values: readonly InferenceSession.ValueMetadata[]): InferenceSession.TensorValueMetadata {
  const found = values.find((value) => value.isTensor);
  if (!found) throw new Error('the model takes or gives no tensor: export it again');
  return found;
}

/** Opens the bytes of a model. @throws {Error} naming `path`, when onnxruntime refuses them */
export async function openWith(
  { InferenceSession: opener }: Runtime,
  bytes: Uint8Array,
  path: string,
  intraOpNumThreads: number,
): Promise<InferenceSession> {
  try {
    const extra = { session: { intra_op: { allow_spinning: '0' } } };
    return await opener.create(bytes, { intraOpNumThreads, graphOptimizationLevel: 'all', logSeverityLevel: 3, extra });
  } catch (error) {
    throw new Error(
      `onnxruntime cannot open ${path}: ${(error as Error).message.split('\n')[0]}; export the model again`,
      {
        cause: error,
      },
    );
  }
}

/** Number of images in some bytes. Throws where it is no whole one. */
export function countImages(images: Uint8Array, size: number): number {
  const n = images.length / (size * size * 3);
  if (!Number.isInteger(n))
    throw new RangeError(`images: ${images.length} bytes are no whole number of ${size} × ${size} × 3 images`);
  return n;
}

/**
 * Rows of all images, batch after batch.
 *
 * @param prepare what becomes of a batch before it is run. Default: nothing
 */
export async function runBatches(
  { run }: Pick<Session, 'run'>,
  images: Uint8Array,
  { size, width }: { size: number; width: number },
  { batchSize = 32, signal, onProgress }: BatchOptions,
  prepare?: (batch: Uint8Array) => Promise<Uint8Array>,
): Promise<Float32Array> {
  const n = countImages(images, size);
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new RangeError(`a positive whole batchSize is required, got ${batchSize}`);
  const rows = new Float32Array(n * width);
  for (let first = 0; first < n; first += batchSize) {
    signal?.throwIfAborted();
    const end = Math.min(n, first + batchSize);
    const batch = images.subarray(first * size * size * 3, end * size * size * 3);
    rows.set(await run(prepare ? await prepare(batch) : batch), first * width);
    onProgress?.({ done: end, total: n, unit: 'images' });
    await new Promise(setImmediate); // a run holds the event loop: lets progress show and an abort arrive
  }
  return rows;
}
