import { realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';

/** The Jupyter that setup.sh found or installed, and the kernel that it registered for this checkout alone. */
export interface Jupyter {
  /** The python that has nbclient, nbconvert and a notebook server. */
  python: string;
  /** What Jupyter needs in its environment to find this checkout's `tslab` before any other of that name. */
  env: Record<string, string>;
}

/** This package's own folder, whichever way it was loaded: `kernel-lib`. */
export function packageFolder(): string {
  return dirname(realpathSync(createRequire(import.meta.url).resolve('imagesim/package.json')));
}

/**
 * The Jupyter of this checkout.
 *
 * The kernel spec lies inside the checkout (`environment/jupyter/kernels/tslab`) and is found through JUPYTER_PATH, so
 * that two checkouts of one user never run each other's kernel.
 *
 * @param folder what setup.sh wrote. Default: `environment/jupyter` of the checkout that this library stands in
 * @throws {Error} when setup.sh has not run
 */
export async function readJupyter(
  folder: string = join(packageFolder(), '..', 'environment', 'jupyter'),
): Promise<Jupyter> {
  const record = join(folder, 'python');
  const python = await readFile(record, 'utf8').catch((error: unknown) => {
    throw new Error(`${record} is missing: run ./setup.sh, which finds or installs Jupyter`, { cause: error });
  });
  const others = process.env['JUPYTER_PATH'];
  const paths = others ? [folder, others] : [folder];
  return { python: python.trim(), env: { JUPYTER_PATH: paths.join(delimiter), PYDEVD_DISABLE_FILE_VALIDATION: '1' } };
}
