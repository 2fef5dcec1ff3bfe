import { execFile } from 'node:child_process';
import { stat, statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { dataRoot } from '../ard/index.ts';
import { readJupyter } from './jupyter.ts';

/** One thing that the machine has or lacks. */
export interface Finding {
  what: string;
  found: string;
  verdict: 'ok' | 'warning';
  /** What to do about a warning; empty where all is well. */
  remedy: string;
}

const GB = 1e9;

/**
 * What machine this is: Node, cores, memory, disk, Jupyter, GPU; each with what to do where it falls short.
 *
 * @param dataPath data folder, whose disk is looked at
 */
export async function doctor(dataPath: string): Promise<Finding[]> {
  const free = await freeBytes(dataPath);
  const gpus = await linesOf('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader']);
  const jupyter = await jupyterVersion();
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  return [
    finding('Node', process.versions.node, major > 20 || (major === 20 && minor >= 19), 'install Node 20.19 or newer'),
    finding(
      'cores',
      String(availableParallelism()),
      availableParallelism() >= 2,
      'two or more make the long steps shorter',
    ),
    finding('memory', `${(totalmem() / GB).toFixed(0)} GB`, totalmem() > 4 * GB, 'use a machine of 8 GB or more'),
    finding(
      'free disk',
      free,
      Number.parseFloat(free) > 5,
      `free some space under ${dataRoot(dataPath)}, or set IMAGESIM_DATA`,
    ),
    finding('Jupyter', jupyter ?? 'not found', jupyter !== undefined, 'run ./setup.sh'),
    finding(
      'GPU',
      counted(gpus) || 'none',
      gpus.length > 0,
      'training runs on the CPU: enough for tiny and city scale',
    ),
  ];
}

function finding(what: string, found: string, ok: boolean, remedy: string): Finding {
  return { what, found, verdict: ok ? 'ok' : 'warning', remedy: ok ? '' : remedy };
}

/** Free space on the disk of a folder, `123.4 GB`. @throws {Error} naming the folder when it is not there, or is a file. */
async function freeBytes(dataPath: string): Promise<string> {
  const root = dataRoot(dataPath);
  const { bavail, bsize } = await statfs(root).catch((error: unknown) => {
    throw new Error(`no data folder ${root}: run ./setup.sh, or set IMAGESIM_DATA`, { cause: error });
  });
  if (!(await stat(root)).isDirectory()) throw new Error(`${root} is a file: set IMAGESIM_DATA to a folder`);
  return `${((bavail * bsize) / GB).toFixed(1)} GB`;
}

/** Of the Jupyter that setup.sh found, wherever that lies; `undefined` where it has not run, or that is gone. */
async function jupyterVersion(): Promise<string | undefined> {
  const found = await readJupyter().catch(() => undefined);
  const [version] = found ? await linesOf(found.python, ['-m', 'nbconvert', '--version']) : [];
  return version && `nbconvert ${version}`;
}

/** Equal lines once, with their number: `4 × Tesla V100`. */
function counted(lines: string[]): string {
  const times = (line: string): number => lines.filter((other) => other === line).length;
  return [...new Set(lines)].map((line) => (times(line) > 1 ? `${times(line)} × ${line}` : line)).join(', ');
}

/** The lines that a program prints; none where there is no such program, or it fails. */
async function linesOf(program: string, args: string[]): Promise<string[]> {
  const run = promisify(execFile)(program, args, { timeout: 20_000 });
  return run.then(({ stdout }) => stdout.split('\n').filter(Boolean)).catch(() => []);
}
