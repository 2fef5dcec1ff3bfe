import { copyFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { makeFolder, partName } from '../ard/index.ts';

/**
 * Writes a folder whole or not at all: under a temporary name beside it, then renamed. A folder already there is moved aside first, and back on failure.
 *
 * @param files content by name
 * @param keep names of files that come over from the folder already there
 * @throws {Error} naming the folder, when it cannot be written; what was there before is there still
 */
export async function replaceFolder(
  folder: string,
  files: Record<string, Uint8Array>,
  keep: readonly string[],
): Promise<void> {
  const path = resolve(folder);
  const part = partName(path);
  try {
    await makeFolder(part);
    for (const [name, content] of Object.entries(files)) await writeFile(join(part, name), content);
    for (const name of keep) await unlessMissing(copyFile(join(path, name), join(part, name)));
    await swap(part, path);
  } catch (error) {
    await rm(part, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to tell
    throw new Error(
      `cannot write the folder ${folder}: ${(error as NodeJS.ErrnoException).code ?? String(error)}; make it writable`,
      { cause: error },
    );
  }
}

async function swap(part: string, path: string): Promise<void> {
  const aside = partName(path);
  const replaced = await unlessMissing(rename(path, aside));
  try {
    await rename(part, path);
  } catch (error) {
    if (replaced) await rename(aside, path);
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

/** Whether `work` found its file. */
async function unlessMissing(work: Promise<void>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
