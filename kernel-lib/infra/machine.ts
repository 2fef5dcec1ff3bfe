import { execFile } from 'node:child_process';
import { availableParallelism, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { firstError } from './execution.ts';
import { type Finding, type Probe, ok, warning } from './finding.ts';

const GB = 1e9;

/** Bytes as people read them: `79.7 GB`. */
export function gigabytes(bytes: number, decimals = 0): string {
  return `${(bytes / GB).toFixed(decimals)} GB`;
}

/** Whether a Node is one that the work runs on. @param version `20.19.0`, with or without a `v` */
export function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 19);
}

/** Node, cores and memory of this process. */
export function machineProbe(): Probe {
  return {
    what: 'machine',
    remedy: 'see what node says of it: node -p os.cpus()',
    timeoutMs: 5000,
    look: async () => [nodeRow(), coresRow(), memoryRow()],
  };
}

function nodeRow(): Finding {
  const { node } = process.versions;
  return isRecent(node) ? ok('Node', node) : warning('Node', node, 'install Node 22, or 20.19 and later');
}

function coresRow(): Finding {
  const cores = availableParallelism();
  if (cores >= 2) return ok('cores', String(cores));
  return warning('cores', String(cores), 'two or more make the long steps shorter');
}

/** A container may have less than its machine. */
function memoryRow(): Finding {
  const allowed = process.constrainedMemory(); // 0 or beyond the machine's own where nothing limits it
  const limited = allowed > 0 && allowed < totalmem();
  const bytes = limited ? allowed : totalmem();
  const found = gigabytes(bytes) + (limited ? `, all that this container may take of ${gigabytes(totalmem())}` : '');
  if (bytes >= 4 * GB) return ok('memory', found);
  return warning('memory', found, limited ? 'give the container 8 GB or more' : 'use a machine of 8 GB or more');
}

/** GPUs by name, memory and driver. */
export function gpuProbe(): Probe {
  return {
    what: 'GPU',
    remedy: 'install the NVIDIA driver again, or restart: training runs on the processor until then',
    timeoutMs: 20_000, // a driver that is not kept awake takes its time
    look: async (signal) => [await gpuRow(signal)],
  };
}

async function gpuRow(signal: AbortSignal): Promise<Finding> {
  const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'];
  const gpus = await linesOf('nvidia-smi', query, { signal }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return [];
  });
  if (gpus.length > 0) return ok('GPU', counted(gpus.map((line) => line.replace(/, (\S+)$/, ', driver $1'))));
  return warning('GPU', 'none', 'training runs on the processor: enough for tiny and city scale');
}

/** Equal lines once, with their number: `4 × Tesla V100`. */
function counted(lines: string[]): string {
  const times = (line: string): number => lines.filter((other) => other === line).length;
  return [...new Set(lines)].map((line) => (times(line) > 1 ? `${times(line)} × ${line}` : line)).join('; ');
}

/** How a program is run: with which environment, where, and until when. */
interface Running {
  env?: NodeJS.ProcessEnv | undefined;
  cwd?: string | undefined;
  signal: AbortSignal;
}

/** The lines that a program prints. @throws {Error} with one line of what it says where it fails; its `code` is the system's where it does not start */
export async function linesOf(
  program: string,
  args: string[],
  { env = process.env, ...rest }: Running,
): Promise<string[]> {
  const run = promisify(execFile)(program, args, { env, ...rest });
  const { stdout } = await run.catch((error: NodeJS.ErrnoException & { stdout: string; stderr: string }) => {
    rest.signal.throwIfAborted();
    if (typeof error.code === 'string') throw error;
    const said = error.stderr.trim() || error.stdout.trim();
    throw new Error(said ? firstError(said) : `${program} ends with ${error.code ?? 'a signal'}`, { cause: error });
  });
  return stdout.split('\n').filter(Boolean);
}
