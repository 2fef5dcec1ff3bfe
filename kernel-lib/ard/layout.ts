import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Cell, cellOf, paddedZone } from './grid.ts';

/**
 * The data folder of a path that names it or its `ard` folder.
 *
 * @param dataPath `/home/ubuntu/data` or `/home/ubuntu/data/ard`
 */
export function dataRoot(dataPath: string): string {
  const path = resolve(dataPath);
  return basename(path) === 'ard' ? dirname(path) : path;
}

/** The `ard` folder of a path that names it or the data folder. */
export function ardRoot(dataPath: string): string {
  return join(dataRoot(dataPath), 'ard');
}

/** A cell's own folder: `ard/<zone>/<quadkey>`. */
export function cellFolder(dataPath: string, cell: Cell): string {
  return join(ardRoot(dataPath), paddedZone(cell.zone), cell.quadkey);
}

/** Every zone that has a folder under `ard`, in order. */
export async function zonesOnDisk(dataPath: string): Promise<number[]> {
  const root = ardRoot(dataPath);
  if (!existsSync(root)) return [];
  const names = (await readdir(root)).filter((name) => /^(0[1-9]|[1-5]\d|60)$/.test(name));
  return names.map(Number).sort((a, b) => a - b);
}

/** Every level-12 cell that has a folder under `ard/<zone>`, in order of quadkey. */
export async function cellsOnDisk(dataPath: string, zone: number): Promise<Cell[]> {
  const folder = join(ardRoot(dataPath), paddedZone(zone));
  if (!existsSync(folder)) return [];
  const names = (await readdir(folder)).filter((name) => /^[0-3]{12}$/.test(name));
  return names.sort().map((quadkey) => cellOf(zone, quadkey));
}
