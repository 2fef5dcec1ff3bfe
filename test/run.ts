// What mocha does once in a run, in the process above its workers.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Makes the folder of what all workers of a run share; it is gone when the run is. */
export function mochaGlobalSetup(): void {
  const folder = mkdtempSync(join(tmpdir(), 'imagesim-run-'));
  process.env['MOCHA_RUN_FOLDER'] = folder; // workers are begun after this, with this environment
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
}
