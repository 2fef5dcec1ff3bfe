/** Where the members of a team that trains together sit: one a core, or one a GPU. */
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import type { Backend, BackendName } from './backend.ts';

/** One member's place. There it calls `trainingBackend({ name: seat.backend })`. */
export interface Seat {
  /** A worker thread, or a process of its own. */
  kind: 'thread' | 'process';
  backend: BackendName;
  /** What the process needs in its environment, beside what this one has. */
  env: Record<string, string>;
}

/** Options of {@link seatsOf}. */
export interface SeatOptions {
  /** Cores to use. Default: all that this process may use. */
  cores?: number | undefined;
  /** GPUs to use, each as CUDA_VISIBLE_DEVICES names it. Default: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists. */
  gpus?: readonly string[] | undefined;
  /** How many members; beyond one a core or GPU they share. Default: one a core or GPU. */
  wanted?: number | undefined;
}

/**
 * Seats of a team on a backend.
 *
 * WebAssembly and plain JavaScript compute on one core: a thread a core. Native TensorFlow and WebGPU cannot be loaded twice into one process; TensorFlow on
 * the processor uses all cores, and WebGPU takes the fastest GPU: one process. TensorFlow on GPUs: a process a GPU, which sees no other.
 *
 * @throws {RangeError} when `cores` or `wanted` is no positive whole number
 */
export async function seatsOf(
  { name }: Pick<Backend, 'name'>,
  { cores = availableParallelism(), gpus, wanted }: SeatOptions = {},
): Promise<Seat[]> {
  for (const [what, count] of Object.entries({ cores, members: wanted })) {
    if (count !== undefined && (!Number.isInteger(count) || count < 1))
      throw new RangeError(`seatsOf requires a positive whole number of ${what}, got ${count}`);
  }
  const places = await placesOf(name, cores, gpus);
  return Array.from({ length: wanted ?? places.length }, (_, i) => {
    const { kind, backend, env } = places[i % places.length];
    return { kind, backend, env: { ...env } };
  });
}

async function placesOf(backend: BackendName, cores: number, gpus: readonly string[] | undefined): Promise<Seat[]> {
  if (backend === 'wasm' || backend === 'cpu')
    return Array.from({ length: cores }, () => ({ kind: 'thread', backend, env: {} }));
  if (backend !== 'tensorflow-gpu') return [{ kind: 'process', backend, env: {} }];
  const grows = { TF_FORCE_GPU_ALLOW_GROWTH: 'true' }; // else the first process takes all of the GPU's memory
  const seats = (gpus ?? (await visibleGpus())).map((gpu): Seat => {
    return { kind: 'process', backend, env: { CUDA_VISIBLE_DEVICES: gpu, ...grows } };
  });
  return seats.length > 0 ? seats : [{ kind: 'process', backend, env: grows }]; // TensorFlow found one; its name is unknown
}

/**
 * The GPUs that CUDA shows this process, as CUDA_VISIBLE_DEVICES names them; none where there is no nvidia-smi, or it fails.
 *
 * As CUDA reads that variable: what follows an entry of -1 is hidden.
 */
export async function visibleGpus(): Promise<string[]> {
  const { CUDA_VISIBLE_DEVICES: visible } = process.env;
  if (visible !== undefined) {
    const entries = visible.split(',').map((entry) => entry.trim());
    const end = entries.findIndex((entry) => entry === '' || entry === '-1');
    return end < 0 ? entries : entries.slice(0, end);
  }
  const listed = await promisify(execFile)('nvidia-smi', ['-L'], { timeout: 30_000 }).catch(() => ({ stdout: '' }));
  return [...listed.stdout.matchAll(/^GPU (\d+):/gm)].map(([, index]) => index);
}
