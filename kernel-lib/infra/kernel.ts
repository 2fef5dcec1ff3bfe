import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readJson } from '../ard/index.ts';
import { type Finding, type Probe, fault, ok } from './finding.ts';
import { packageFolder, readJupyter } from './jupyter.ts';
import { isRecent, linesOf } from './machine.ts';

/** A kernel as Jupyter starts it. */
interface Spec {
  argv: string[];
  env?: Record<string, string> | undefined;
}

const specSchema: z.ZodType<Spec> = z.object({
  argv: z.array(z.string()).min(2),
  env: z.record(z.string(), z.string()).optional(),
});

/** The checkout that this library stands in. */
export function ownCheckout(): string {
  return dirname(packageFolder());
}

const jupyterOf = (checkout: string): string => join(checkout, 'environment', 'jupyter');

/** The kernel that setup.sh registered in a checkout. @throws {Error} where there is none, or the file is no kernel's */
export async function readSpec(checkout: string): Promise<Spec> {
  const path = join(jupyterOf(checkout), 'kernels', 'tslab', 'kernel.json');
  if (!existsSync(path)) throw new Error('not registered');
  const spec = specSchema.safeParse(await readJson(path).catch(() => undefined));
  if (!spec.success) throw new Error(`${path} is damaged`);
  return spec.data;
}

const SETUP = 'run ./setup.sh';

/** The Jupyter that setup.sh found, wherever that lies. */
export function jupyterProbe(checkout: string): Probe {
  return {
    what: 'Jupyter',
    remedy: SETUP,
    timeoutMs: 20_000,
    look: async (signal) => [await jupyterRow(checkout, signal)],
  };
}

const PACKAGES = ['jupyterlab', 'notebook', 'nbconvert', 'nbclient', 'jupyter_client'];
const VERSIONS = `
from importlib.metadata import PackageNotFoundError, version
for name in ${JSON.stringify(PACKAGES)}:
    try: print(name, version(name))
    except PackageNotFoundError: pass`;

async function jupyterRow(checkout: string, signal: AbortSignal): Promise<Finding> {
  const { python } = await readJupyter(jupyterOf(checkout)).catch(() => ({ python: undefined }));
  if (python === undefined) return fault('Jupyter', 'not found', SETUP);
  const lines = await linesOf(python, ['-c', VERSIONS], { signal }).catch((error: Error) => {
    signal.throwIfAborted();
    return error;
  });
  if (lines instanceof Error) return fault('Jupyter', `${python} does not run: ${lines.message}`, SETUP);
  const lacks = PACKAGES.slice(2).filter((name) => !lines.some((line) => line.startsWith(`${name} `)));
  const server = lines.find((line) => /^(jupyterlab|notebook) /.test(line));
  if (server === undefined) lacks.unshift('jupyterlab or notebook');
  if (server === undefined || lacks.length > 0) return fault('Jupyter', `${python} lacks ${lacks.join(', ')}`, SETUP);
  const name = server.replace('jupyterlab', 'JupyterLab').replace('notebook', 'classic notebook');
  return ok('Jupyter', `${name}, ${lines.find((line) => line.startsWith('nbconvert '))}`);
}

/** The TypeScript kernel of the notebooks. @param start has it run a cell, too */
export function kernelProbe(checkout: string, start: boolean): Probe {
  const look = async (signal: AbortSignal): Promise<Finding[]> => [await kernelRow(checkout, start, signal)];
  return { what: 'kernel', remedy: SETUP, timeoutMs: 45_000, look };
}

async function kernelRow(checkout: string, start: boolean, signal: AbortSignal): Promise<Finding> {
  try {
    const { argv } = await readSpec(checkout);
    const tslab = argv.find((word) => word.endsWith('/tslab')) ?? argv[1];
    const versions = `${await tslabOf(tslab)} on Node ${await nodeOf(argv[0], signal)}`;
    if (!start) return ok('kernel', versions);
    await runCell(checkout, signal);
    return ok('kernel', `${versions}, has run a cell that imports imagesim`);
  } catch (error) {
    signal.throwIfAborted();
    return fault('kernel', (error as Error).message, SETUP);
  }
}

/** `tslab 1.0.22`. @throws {Error} where it is not there */
async function tslabOf(program: string): Promise<string> {
  const about = (await readJson(join(dirname(program), '..', 'package.json')).catch(() => ({}))) as {
    version?: string;
  };
  if (!existsSync(program) || !about.version) throw new Error(`its tslab is gone: ${program}`);
  return `tslab ${about.version}`;
}

/** @throws {Error} where it is not there, does not run, or is too old */
async function nodeOf(program: string, signal: AbortSignal): Promise<string> {
  const [version = 'nothing'] = await linesOf(program, ['--version'], { signal }).catch((error: Error) => {
    throw new Error(`its Node does not run: ${error.message}`, { cause: error });
  });
  if (!isRecent(version)) throw new Error(`its Node is too old, ${program} says ${version}`);
  return version.slice(1);
}

/** Starts the kernel as Jupyter does and takes it along however this ends: by itself, too late, or killed. */
const CELL = `
import signal, sys
from jupyter_client.manager import KernelManager
def late(*_): raise SystemExit("it does not answer in 40 s")
signal.signal(signal.SIGALRM, late)
signal.signal(signal.SIGTERM, late)
signal.alarm(40)
manager = KernelManager(kernel_name="tslab")
manager.start_kernel()
client = manager.client()
try:
    client.start_channels()
    client.wait_for_ready(timeout=40)
    said = []
    hear = lambda message: said.append(message["content"].get("text", ""))
    cell = "import { parseCell } from 'imagesim/ard'; parseCell('Z33-031133012203').zone"
    client.execute_interactive(cell, output_hook=hear)
    if "".join(said).strip() != "33": raise SystemExit("a cell ends with " + "".join(said).strip())
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)`;

/** @throws {Error} with what the kernel says where the cell does not end well */
async function runCell(checkout: string, signal: AbortSignal): Promise<void> {
  const { python, env } = await readJupyter(jupyterOf(checkout));
  await linesOf(python, ['-c', CELL], { env: { ...process.env, ...env }, cwd: join(checkout, 'notebooks'), signal });
}
