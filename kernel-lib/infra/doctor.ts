import { diskProbes } from './disk.ts';
import { type Finding, type Probe, within } from './finding.ts';
import { jupyterProbe, kernelProbe, ownCheckout } from './kernel.ts';
import { libraryProbe } from './library.ts';
import { gpuProbe, machineProbe } from './machine.ts';
import { bucketProbe, openDataProbe } from './store.ts';
import { type Trainer, trainerProbe } from './trainer.ts';

/** Options of {@link doctor}. */
export interface DoctorOptions {
  /** Gives what trains: `trainingBackend` of imagesim/training. Default: the row is left out. */
  backend?: (() => Promise<Trainer>) | undefined;
  /** Has the notebooks' kernel run a cell; needless in a notebook. Default: `false`. */
  kernel?: boolean | undefined;
  /** How long a bucket may take to answer, in milliseconds. Default: 5000. */
  networkTimeoutMs?: number | undefined;
  /** The checkout that is looked at. Default: the one that this library stands in. */
  checkout?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Whether this machine is ready: Node, cores, memory, the data folder and its disk, kernel-lib, Jupyter and its kernel,
 * GPU and training backend, the bucket and Maxar's open data; each with what to do where it falls short.
 *
 * All are looked at at once, each for a limited time; what fails, or does not answer, is a warning. The training backend
 * comes after the others, for native TensorFlow lets nothing else run while it starts.
 *
 * @param dataPath data folder, or its `ard`
 * @returns rows in a fixed order; those of what lies in the data folder, or in the bucket, only where that can be read
 * @throws only the signal's reason, once it is aborted
 */
export async function doctor(dataPath: string, options: DoctorOptions = {}): Promise<Finding[]> {
  const { backend, kernel = false, networkTimeoutMs = 5000, checkout = ownCheckout(), signal } = options;
  signal?.throwIfAborted();
  const look = (probes: Probe[]): Promise<Finding[][]> => Promise.all(probes.map((probe) => within(probe, signal)));
  const machine = look([
    machineProbe(),
    ...diskProbes(dataPath),
    libraryProbe(checkout),
    kernelProbe(checkout, kernel),
    jupyterProbe(checkout),
    gpuProbe(),
  ]);
  const network = look([bucketProbe(networkTimeoutMs), openDataProbe(networkTimeoutMs)]);
  const before = await Promise.all([machine, network]);
  const trainer = await look(backend ? [trainerProbe(backend)] : []);
  return [before[0], trainer, before[1]].flat(2);
}
