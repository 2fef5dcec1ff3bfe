import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { openSync, closeSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { readJupyter } from './jupyter.ts';

export interface LabOptions {
  /** The folder that Jupyter shows. */
  notebooksDir: string;
  /** Port on 127.0.0.1. Default: 8888, or a free one where that is taken; a port that is asked for must be free. */
  port?: number | undefined;
  /** Further environment of the kernels, such as IMAGESIM_DATA. Default: none. */
  env?: Record<string, string> | undefined;
  /** Ends Jupyter and its kernels. */
  signal?: AbortSignal | undefined;
  /** Where Jupyter's own log goes: `inherit`, `ignore`, or a file that is begun anew. Default: `inherit`. */
  log?: string | undefined;
}

/** A running Jupyter. */
export interface Lab {
  /** Opens it in a browser on this machine, token included. */
  url: string;
  /** Settles when Jupyter has ended; rejects when it ended with an error. */
  ended: Promise<void>;
  /** Ends Jupyter and its kernels. */
  close(): Promise<void>;
}

/**
 * Opens JupyterLab, or the classic notebook where there is no Lab, with this checkout's kernel.
 *
 * It listens on 127.0.0.1 only and asks for a token that is new each time. From another machine, reach it through
 * `ssh -L 8888:127.0.0.1:8888`, at whichever local port. It has no terminal of its own: what the terminal sends, an
 * interrupt or a hang-up, comes to the caller, who ends it through `signal`.
 *
 * @returns once Jupyter answers
 * @throws {Error} when the port is taken, setup.sh has not run, or Jupyter does not start
 */
export async function openLab({ notebooksDir, port, env = {}, signal, log = 'inherit' }: LabOptions): Promise<Lab> {
  signal?.throwIfAborted();
  const jupyter = await readJupyter();
  const server = hasLab(jupyter.python) ? 'jupyterlab' : 'notebook';
  const listening = await freePort(port);
  const token = randomBytes(24).toString('hex');
  const child = start(jupyter.python, ['-m', server, ...settings(notebooksDir, listening)], log, {
    ...process.env,
    ...env,
    ...jupyter.env,
    JUPYTER_TOKEN: token,
  });
  const why = `${log === 'inherit' || log === 'ignore' ? 'its log' : log} says why`;
  const ended = end(child, why);
  ended.catch(() => undefined); // told to whoever awaits it
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended.catch(() => undefined);
  };
  signal?.addEventListener('abort', () => void close(), { once: true });
  await answers(listening, ended, why);
  return {
    url: `http://127.0.0.1:${listening}/${server === 'jupyterlab' ? 'lab' : 'tree'}?token=${token}`,
    ended,
    close,
  };
}

function start(program: string, args: string[], log: string, env: NodeJS.ProcessEnv): ChildProcess {
  const place = log === 'inherit' || log === 'ignore' ? log : openLog(log);
  const child = spawn(program, args, { env, stdio: ['ignore', place, place], detached: true });
  if (typeof place === 'number') closeSync(place); // the child has its own
  const stop = (): void => void child.kill();
  process.once('exit', stop); // nobody else would end it, with no terminal
  child.once('exit', () => process.off('exit', stop));
  return child;
}

/** For this user only: it may hold addresses with the token in them. */
function openLog(path: string): number {
  rmSync(path, { force: true });
  return openSync(path, 'w', 0o600);
}

function hasLab(python: string): boolean {
  return (
    spawnSync(python, ['-c', 'import importlib.util as u, sys; sys.exit(u.find_spec("jupyterlab") is None)']).status ===
    0
  );
}

/** Old and new servers read their settings under different class names and pass over those that they do not know. */
function settings(notebooksDir: string, port: number): string[] {
  const shared = ['ip=127.0.0.1', `port=${port}`, 'port_retries=0', 'open_browser=False', 'iopub_data_rate_limit=1e8'];
  const own = [`--ServerApp.root_dir=${notebooksDir}`, `--NotebookApp.notebook_dir=${notebooksDir}`];
  const kernel = ['--MultiKernelManager.default_kernel_name=tslab', '--MappingKernelManager.default_kernel_name=tslab'];
  const root = process.getuid?.() === 0 ? ['--allow-root'] : [];
  return [
    ...['ServerApp', 'NotebookApp'].flatMap((app) => shared.map((setting) => `--${app}.${setting}`)),
    ...own,
    ...kernel,
    ...root,
  ];
}

async function freePort(wanted: number | undefined): Promise<number> {
  const taken = (error: unknown): never => {
    throw new Error(`port ${wanted} is taken: end what listens there, or give another with --port`, { cause: error });
  };
  if (wanted !== undefined) return listenOnce(wanted).catch(taken);
  return listenOnce(8888).catch(() => listenOnce(0));
}

async function listenOnce(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: found } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return found;
}

async function end(child: ChildProcess, why: string): Promise<void> {
  const [code, killed] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (code !== 0 && killed === null && !child.killed) throw new Error(`Jupyter ended with exit code ${code}: ${why}`);
}

/** Waits for the port to answer; fails where Jupyter ends before it does. */
async function answers(port: number, ended: Promise<void>, why: string): Promise<void> {
  const over = ended.then(() => 'over' as const);
  over.catch(() => undefined); // it may end long after it has answered: `ended` tells that
  while (!(await reachable(port))) {
    if ((await Promise.race([over, pause(100)])) === 'over')
      throw new Error(`Jupyter ended before it answered: ${why}`);
  }
}

function reachable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
