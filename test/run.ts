// What mocha does once in a run, in the process above its workers.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Makes the folder of what all workers of a run share; it is gone when the run is. */
export function mochaGlobalSetup(): void {
  const folder = mkdtempSync(join(tmpdir(), 'imagesim-run-'));
  process.env['MOCHA_RUN_FOLDER'] = folder; // workers are begun after this, with this environment
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
}

/** Makes sure that no test has added a file to the sample, which all workers read. @throws {AssertionError} naming files that a test has added */
export async function mochaGlobalTeardown(): Promise<void> {
  const folder = join(process.env['MOCHA_RUN_FOLDER']!, 'sample');
  if (!existsSync(folder)) return;
  const { makeSample } = await import('imagesim/sample');
  const { files } = await makeSample(folder); // tells of what is there
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)); // prettier-ignore
  assert.deepEqual(found.sort(), files.toSorted(), 'a test wrote into the sample: have it copy it, with dataFolder');
}
