import { constants } from 'node:fs';
import { access, readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { cellsOnDisk, dataRoot, staleParts, zonesOnDisk } from '../ard/index.ts';
import { type Finding, type Probe, fault, ok, warning } from './finding.ts';
import { gigabytes } from './machine.ts';

/** Folders of the data folder, as setup.sh lays them out. */
const FOLDERS = ['ard', 'chips', 'datasets', 'models', 'embeddings', 'demo-ard', 'notebooks'];
const ELSEWHERE = 'set IMAGESIM_DATA to another folder';

/** Free space, layout and imagery of the data folder, and what dead runs left in it. */
export function diskProbes(dataPath: string): Probe[] {
  const root = dataRoot(dataPath);
  const rows: [string, (root: string, signal: AbortSignal) => Promise<Finding>][] = [
    ['free disk', freeRow], ['data folder', folderRow], ['imagery', imageryRow], ['unfinished files', unfinishedRow],
  ]; // prettier-ignore
  return rows.map(([what, row]) => ({
    what,
    remedy: `see whether the disk of ${root} answers, or ${ELSEWHERE}`,
    timeoutMs: 10_000,
    look: async (signal) => ((await isFolder(root)) || what === 'data folder' ? [await row(root, signal)] : []),
  }));
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then((found) => found.isDirectory(), () => false); // prettier-ignore
}

async function freeRow(root: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(root);
  const found = gigabytes(bavail * bsize, 1);
  if (bavail * bsize > 5e9) return ok('free disk', found);
  return warning('free disk', found, `free some space under ${root}, or ${ELSEWHERE}`);
}

async function folderRow(root: string): Promise<Finding> {
  const row = (found: string): [string, string] => ['data folder', `${root}${found}`];
  if (!(await isThere(root))) return fault(...row(' is not there'), 'run ./setup.sh, or set IMAGESIM_DATA');
  if (!(await isFolder(root))) return fault(...row(' is a file'), 'set IMAGESIM_DATA to a folder');
  const there = await Promise.all(FOLDERS.map((name) => isFolder(join(root, name))));
  const present = FOLDERS.filter((_, index) => there[index]);
  const writable = await Promise.all(['', ...present].map((name) => isWritable(join(root, name))));
  const closed = ['the folder itself', ...present].filter((_, index) => !writable[index]);
  if (closed.length > 0)
    return fault(...row(` cannot be written: ${closed.join(' ')}`), `give it to this user, or ${ELSEWHERE}`);
  const missing = FOLDERS.filter((_, index) => !there[index]);
  if (missing.length > 0) return warning(...row(` lacks ${missing.join(' ')}`), 'run ./setup.sh');
  return ok(...row(`: ${present.join(' ')}`));
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false); // prettier-ignore
}

async function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(() => true, () => false); // prettier-ignore
}

async function imageryRow(root: string): Promise<Finding> {
  const zones = await zonesOnDisk(root);
  const counts = await Promise.all(
    zones.map(async (zone) => `zone ${zone}: ${cells((await cellsOnDisk(root, zone)).length)}`),
  );
  if (zones.length > 0) return ok('imagery', counts.join(', '));
  return warning('imagery', 'none', 'run imagesim sync with a delivery; npm start makes a sample where there is none');
}

function cells(count: number): string {
  return count === 1 ? '1 cell' : `${count} cells`;
}

/** What runs that were killed left half-written; looks for eight seconds at most, for chips come by the million. */
async function unfinishedRow(root: string, signal: AbortSignal): Promise<Finding> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(8000)]);
  const below = FOLDERS.map((name) => partsIn(join(root, name), true, until));
  const parts = (await Promise.all([partsIn(root, false, until), ...below])).flat();
  const looked = until.aborted ? ', as far as eight seconds went' : '';
  if (parts.length === 0) return ok('unfinished files', `none${looked}`);
  const bytes = (await Promise.all(parts.map(sizeOf))).reduce((sum, size) => sum + size, 0);
  const found = `${parts.length} of runs that broke off, ${(bytes / 1e6).toFixed(1)} MB${looked}, as ${parts[0]}`;
  return warning('unfinished files', found, 'run the same step again: it goes on from them, or removes them');
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(({ size }) => size, () => 0); // prettier-ignore
}

/** Of a folder, and with `deep` of those below it. */
async function partsIn(folder: string, deep: boolean, until: AbortSignal): Promise<string[]> {
  if (until.aborted) return [];
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const own = entries.some(({ name }) => name.endsWith('.part')) ? await staleParts(folder) : [];
  const found = own.map(({ path }) => path);
  if (!deep) return found;
  for (const { name } of entries.filter((entry) => entry.isDirectory()))
    found.push(...(await partsIn(join(folder, name), true, until)));
  return found;
}
