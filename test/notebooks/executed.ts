// A run of all notebooks, in a data folder of its own.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { emptyFolder } from '../delivery.ts';

/** The seven stages. */
export const NAMES = ['01-infra', '02-osm', '03-chips', '04-statistics', '05-datasets', '06-training', '07-similarity'];

/** The folder of the notebooks as committed. */
export const notebooks: string = fileURLToPath(new URL('../../notebooks/', import.meta.url));

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));

/** Runs `imagesim notebooks` into an empty data folder. @param names which; none: all */
export async function runNotebooks(
  env: Record<string, string> = {},
  names: string[] = [],
): Promise<{ data: string; stdout: string }> {
  const data = await emptyFolder();
  const ours = Object.entries(process.env).filter(([name]) => !name.startsWith('IMAGESIM_'));
  const { stdout } = await promisify(execFile)(process.execPath, [cli, 'notebooks', ...names], {
    env: { ...Object.fromEntries(ours), IMAGESIM_DATA: data, ...env },
  });
  return { data, stdout };
}

/** As much of a cell as is looked at. */
export interface Cell {
  cell_type: string;
  source: string[];
  outputs?: { output_type: string; data?: Record<string, unknown>; text?: string[] }[];
}

/** The cells of a notebook's file. */
export function cellsOf(path: string): Cell[] {
  return (JSON.parse(readFileSync(path, 'utf8')) as { cells: Cell[] }).cells;
}
