import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Finding, type Probe, fault, ok, warning } from './finding.ts';

const BUILD = 'run npm run build';

/** Whether kernel-lib is built, and from the sources that are there. */
export function libraryProbe(checkout: string): Probe {
  const look = async (): Promise<Finding[]> => [await libraryRow(join(checkout, 'kernel-lib'))];
  return { what: 'kernel-lib', remedy: BUILD, timeoutMs: 5000, look };
}

async function libraryRow(folder: string): Promise<Finding> {
  const sources = await sourcesOf(folder);
  const built = await Promise.all(sources.map((name) => timeOf(join(folder, 'dist', name.replace(/ts$/, 'js')))));
  if (!built.some((time) => time > 0)) return fault('kernel-lib', 'not built', BUILD);
  const written = await Promise.all(sources.map((name) => timeOf(join(folder, name))));
  const stale = sources.filter((_, index) => written[index] > built[index]);
  if (stale.length === 0) return ok('kernel-lib', 'built from the sources that are there');
  return warning('kernel-lib', `built before ${stale.length} of its sources changed, as ${stale[0]}`, BUILD);
}

/** Its TypeScript, one room deep, by path from the folder. */
async function sourcesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const rooms = entries.filter((entry) => entry.isDirectory() && !['bin', 'dist', 'node_modules'].includes(entry.name));
  const inRooms = rooms.map(async ({ name }) => (await readdir(join(folder, name))).map((file) => `${name}/${file}`));
  const files = [...entries.map(({ name }) => name), ...(await Promise.all(inRooms)).flat()];
  return files.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts')).sort();
}

/** When a file was written last; 0 where there is none. */
async function timeOf(path: string): Promise<number> {
  return stat(path).then(({ mtimeMs }) => mtimeMs, () => 0); // prettier-ignore
}
