import { readFile, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { makeFolder, partName, readJson, writeWhole } from '../ard/index.ts';
import type { StepOptions } from '../ard/index.ts';
import { execute, firstError, type ExecutionOptions } from './execution.ts';

export interface NotebooksOptions extends Pick<StepOptions, 'signal' | 'onProgress'> {
  /** Where the notebooks lie; also the folder they run in. */
  notebooksDir: string;
  /** Where executed copies and their HTML go. Made where it is missing. */
  outputDir: string;
  /** Which to run: `03-chips`, `03` or `chips`. Default: every `NN-….ipynb`. They run in the order of their numbers. */
  names?: readonly string[] | undefined;
  /** Further environment of the kernel, such as IMAGESIM_DATA. Default: none. */
  env?: Record<string, string> | undefined;
}

/** What came of one notebook. */
export interface NotebookRun {
  name: string;
  /** From the kernel's start to the written page. */
  seconds: number;
  /** The executed copy. */
  ipynb: string;
  /** The same as a page that needs no network. */
  html: string;
  /** The last line of text that the last cell with any text printed; empty where none did. */
  lastLine: string;
  /** The most memory that the kernel held; 0 where the system does not tell. */
  peakMemoryBytes: number;
}

/**
 * Executes notebooks in order, each in a kernel of its own, and writes executed copies and their HTML.
 *
 * A copy is there whole or not at all. Where a cell fails, the notebook as far as it came is kept as
 * `<name>.failed.ipynb`, the earlier copy stays, and no further notebook runs. A promise that nobody awaited and that
 * was rejected counts as a failure of the cell that shows it.
 *
 * @returns one entry a notebook, in order
 * @throws {Error} naming notebook, cell and the cell's error
 */
export async function runNotebooks({
  notebooksDir,
  outputDir,
  names,
  env = {},
  signal,
  onProgress,
}: NotebooksOptions): Promise<NotebookRun[]> {
  const chosen = await chooseNotebooks(notebooksDir, names);
  const cells = await Promise.all(chosen.map((name) => countCells(join(notebooksDir, `${name}.ipynb`))));
  const total = cells.reduce((sum, count) => sum + count, 0);
  await makeFolder(outputDir);
  const runs: NotebookRun[] = [];
  let before = 0;
  for (const [index, name] of chosen.entries()) {
    signal?.throwIfAborted();
    const onCell = (cell: number): void =>
      onProgress?.({ done: before + cell - 1, total, unit: 'cells', note: `${name}: cell ${cell} of ${cells[index]}` });
    runs.push(await runNotebook({ notebooksDir, outputDir, name, env, signal, onCell }));
    before += cells[index];
    onProgress?.({ done: before, total, unit: 'cells', note: `${name}: done` });
  }
  return runs;
}

/**
 * The notebooks of a folder that are asked for, without their ending, in the order of their numbers.
 *
 * @throws {Error} naming one that is not there, or the folder
 */
export async function chooseNotebooks(folder: string, names?: readonly string[]): Promise<string[]> {
  return choose(await listNotebooks(folder), names, folder);
}

async function listNotebooks(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch((error: unknown) => {
    throw new Error(
      `cannot read the notebooks in ${folder}: ${(error as NodeJS.ErrnoException).code}: name the folder that holds 01-infra.ipynb`,
      { cause: error },
    );
  });
  return files
    .filter((file) => /^\d\d-.+\.ipynb$/.test(file))
    .map((file) => basename(file, '.ipynb'))
    .sort();
}

function choose(all: string[], names: readonly string[] | undefined, folder: string): string[] {
  if (all.length === 0) throw new Error(`no notebook in ${folder}: name the folder that holds 01-infra.ipynb`);
  if (names === undefined) return all;
  const answersTo = (file: string, name: string): boolean =>
    [file, `${file}.ipynb`, file.slice(0, 2), file.slice(3)].includes(name);
  const unknown = names.find((name) => !all.some((file) => answersTo(file, name)));
  if (unknown !== undefined) throw new Error(`no notebook ${unknown} in ${folder}: there are ${all.join(', ')}`);
  return all.filter((file) => names.some((name) => answersTo(file, name)));
}

interface Notebook {
  cells: { cell_type: string; source: string | string[]; outputs?: Output[] }[];
}

interface Output {
  output_type: string;
  name?: string;
  text?: string | string[];
  data?: Record<string, string | string[]>;
}

const joined = (text: string | string[] | undefined): string => (Array.isArray(text) ? text.join('') : (text ?? ''));

async function countCells(path: string): Promise<number> {
  const { cells } = (await readJson(path)) as Notebook;
  if (!Array.isArray(cells)) throw new Error(`${path} is not a notebook (it has no cells): fetch it again`);
  return cells.filter((cell) => cell.cell_type === 'code' && joined(cell.source).trim() !== '').length;
}

interface Run extends ExecutionOptions {
  notebooksDir: string;
  outputDir: string;
  name: string;
}

async function runNotebook({ notebooksDir, outputDir, name, env, signal, onCell }: Run): Promise<NotebookRun> {
  const started = performance.now();
  const [ipynb, html, failed] = ['.ipynb', '.html', '.failed.ipynb'].map((ending) => join(outputDir, name + ending));
  const [ipynbPart, htmlPart] = [partName(ipynb), partName(html)];
  try {
    const { failure, peak } = await execute([join(notebooksDir, `${name}.ipynb`), ipynbPart, htmlPart], {
      env,
      signal,
      onCell,
    });
    if (failure) {
      await rename(ipynbPart, failed);
      throw new Error(
        `${name}.ipynb failed in cell [${failure.cell}]: ${firstError(failure.text)} (as far as it came: ${failed})`,
      );
    }
    await writeWhole(html, offline(await readFile(htmlPart, 'utf8')));
    const lastLine = lastText((await readJson(ipynbPart)) as Notebook);
    await rename(ipynbPart, ipynb);
    await rm(failed, { force: true });
    return { name, seconds: (performance.now() - started) / 1000, ipynb, html, lastLine, peakMemoryBytes: peak };
  } finally {
    await Promise.all([ipynbPart, htmlPart].map((part) => rm(part, { force: true })));
  }
}

/** Takes out what a page would fetch from elsewhere: nbconvert's templates ask for require.js, MathJax and others. */
function offline(page: string): string {
  return page
    .replace(/<script\b[^>]*\bsrc="[^"]*"[^>]*>\s*<\/script>/g, '')
    .replace(/<link\b[^>]*\bhref="(https?:|file:|\/\/)[^"]*"[^>]*>/g, '')
    .replace(/<script type="module">(?=[^<]*mermaid)[\s\S]*?<\/script>/g, '');
}

function lastText({ cells }: Notebook): string {
  for (const cell of cells.toReversed()) {
    const lines = (cell.outputs ?? []).flatMap(textLines);
    if (lines.length > 0) return lines[lines.length - 1];
  }
  return '';
}

function textLines({ name, text, data = {} }: Output): string[] {
  const words = name === 'stderr' ? '' : joined(text ?? data['text/markdown'] ?? data['text/plain']);
  return words
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
