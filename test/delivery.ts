// The sample delivery, made once for all suites of a run, and the real data, where they are there.
import { cp, mkdtemp, rename } from 'node:fs/promises';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { partName, withLock } from 'imagesim/ard';
import { fetchOsmByQuadkey, serveOverpass } from 'imagesim/osm';
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

/** The tiny sample delivery, made by whichever worker of the run needs it first. Read it, do not write into it. */
export function sampleDelivery(): Promise<string> {
  sample ??= sharedSample(join(process.env['MOCHA_RUN_FOLDER']!, 'sample'));
  return sample;
}

async function sharedSample(folder: string): Promise<string> {
  await withLock(folder, async () => {
    if (existsSync(folder)) return;
    const part = partName(folder);
    await makeSample(part, { scale: 'tiny' });
    await rename(part, folder);
  });
  return folder;
}

/** A data folder of one's own that holds a copy of a delivery's `ard`. */
export async function dataFolder(delivery: string): Promise<string> {
  const folder = await emptyFolder();
  await cp(join(delivery, 'ard'), join(folder, 'ard'), { recursive: true, mode: 2 }); // 2: share blocks where the disk can
  return folder;
}

/** A data folder of one's own with the sample's tiles and its map, as stages 01 and 02 leave it. */
export async function mappedSample(): Promise<string> {
  const delivery = await sampleDelivery();
  const folder = await dataFolder(delivery);
  const server = await serveOverpass(join(delivery, 'overpass'));
  try {
    await fetchOsmByQuadkey(33, folder, { endpoint: server.endpoint });
  } finally {
    await server.close();
  }
  return folder;
}

/** A notebook of code cells, as the text of its file. */
export function notebookOf(cells: readonly string[]): string {
  const code = cells.map((source, at) => ({
    cell_type: 'code',
    id: `cell-${at}`,
    metadata: {},
    execution_count: null,
    outputs: [],
    source,
  }));
  const kernelspec = { name: 'tslab', display_name: 'TypeScript', language: 'typescript' };
  return JSON.stringify({ cells: code, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 });
}

/** `before` of a suite that needs ../shared: skips it where that is not there, saying so. */
export const needsShared: Mocha.Func = function () {
  if (existsSync(shared)) return;
  console.log('      skipped: the real data in ../shared are not there');
  this.skip();
};
