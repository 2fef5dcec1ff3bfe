import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';
import { packageFolder, readJupyter } from './jupyter.ts';

/** How one notebook's run went. */
export interface Execution {
  /**
   * The cell that failed, counted from 1 among the code cells that hold something (as `In [n]` counts), and what it
   * wrote to standard error.
   */
  failure?: { cell: number; text: string };
  /** The most memory that the kernel held, in bytes; 0 where the system does not tell. */
  peak: number;
}

export interface ExecutionOptions {
  /** Further environment of the kernel. */
  env: Record<string, string>;
  /** Ends the run and its kernel. */
  signal: AbortSignal | undefined;
  /** Called before each code cell, with its number from 1. */
  onCell: (cell: number) => void;
}

/**
 * Runs execute.py on one notebook.
 *
 * Its standard input stays open for as long as it shall run: it takes its kernel along when this process ends in any
 * way.
 *
 * @param paths the notebook, the executed copy to write, the page to write
 * @throws {Error} when Jupyter itself fails; a failing cell is a result
 */
export async function execute(
  paths: [string, string, string],
  { env, signal, onCell }: ExecutionOptions,
): Promise<Execution> {
  const jupyter = await readJupyter();
  const child = spawn(jupyter.python, [join(packageFolder(), 'infra', 'execute.py'), ...paths], {
    env: { ...process.env, ...env, ...jupyter.env },
    detached: true, // so that Ctrl-C reaches this process alone, which then ends the child in order
  });
  const stop = (): unknown => child.stdin.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-4000)));
  const exit = once(child, 'close') as Promise<[number | null]>;
  const execution: Execution = { peak: 0 };
  let broken: string | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const said = parsed(line);
    if (said === undefined) broken = line;
    else if (said.failed !== undefined) execution.failure = { cell: said.cell ?? 0, text: said.failed };
    else if (said.peak !== undefined) execution.peak = said.peak;
    else onCell(said.cell ?? 0);
  }
  const [code] = await exit;
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  if (broken !== undefined)
    throw new Error(`Jupyter broke off in the middle of ${basename(paths[0])}, after ${broken.length} characters of ${JSON.stringify(broken.slice(0, 500))} (exit code ${code}, ${log.trim().split('\n').pop()}): run it again`); // prettier-ignore
  if (code !== 0 && !execution.failure)
    throw new Error(`Jupyter could not run ${basename(paths[0])}: ${log.trim().split('\n').pop()}: run ./setup.sh`);
  return execution;
}

/** A line of execute.py; undefined where it was cut short. */
function parsed(line: string): { cell?: number; failed?: string; peak?: number } | undefined {
  try {
    return JSON.parse(line) as { cell?: number; failed?: string; peak?: number };
  } catch {
    return undefined;
  }
}

/** The line that says what went wrong, out of a stack, a list of type errors or nbclient's words. */
export function firstError(text: string): string {
  const lines = stripVTControlCharacters(text)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const telling = lines.find((line) =>
    /^(Uncaught )?\w*(Error|Exception)\b.*:|^\d+:\d+ - |^(UnhandledPromiseRejection|UncaughtException):/.test(line),
  );
  if (lines.at(-1) === 'Kernel died') return 'the kernel died: it ran out of memory, or the cell called process.exit';
  return telling ?? lines.at(-1) ?? 'no error text';
}
