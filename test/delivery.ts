// The sample delivery, made once for all suites of a run; and the real data, where they are there.
import { cp, mkdtemp } from 'node:fs/promises';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeSample } from 'imagesim/sample';

/** The folder of real data beside the project. */
export const shared: string = fileURLToPath(new URL('../../shared', import.meta.url));

/** The real before/after delivery. */
export const joplin: string = join(shared, 'data/joplin-ard');

const folders: string[] = [];
process.once('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** An empty folder that is gone when the tests are. */
export async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-'));
  folders.push(folder);
  return folder;
}

let sample: Promise<string> | undefined;

/** The tiny sample delivery. Read it, do not write into it. */
export function sampleDelivery(): Promise<string> {
  sample ??= emptyFolder().then(async (folder) => {
    await makeSample(folder, { scale: 'tiny' });
    return folder;
  });
  return sample;
}

/** A data folder of one's own that holds a copy of a delivery's `ard`. */
export async function dataFolder(delivery: string): Promise<string> {
  const folder = await emptyFolder();
  await cp(join(delivery, 'ard'), join(folder, 'ard'), { recursive: true, mode: 2 }); // 2: share blocks where the disk can
  return folder;
}

/** `before` of a suite that needs ../shared: skips it where that is not there, saying so. */
export const needsShared: Mocha.Func = function () {
  if (existsSync(shared)) return;
  console.log('      skipped: the real data in ../shared are not there');
  this.skip();
};
