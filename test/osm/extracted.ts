/** Extracts that tests write, and what is read of them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cell } from 'imagesim/ard';
import { type ExtractOptions, type FetchedCell, readExtract } from 'imagesim/osm';
import { emptyFolder } from '../delivery.ts';
import { dataFolder } from './stand-in.ts';

/** A data folder with these cells, empty. */
export function folderOf(cells: readonly Cell[]): Promise<string> {
  return dataFolder(...cells.map(({ zone, quadkey }) => `${String(zone).padStart(2, '0')}/${quadkey}`));
}

/** An .osm in a folder of its own, so that it may have any name. */
export async function written(content: string | Buffer, name = 'made.osm'): Promise<string> {
  const path = join(await emptyFolder(), name);
  await writeFile(path, content);
  return path;
}

/** What is read of an extract, by cell. */
export async function taken(
  path: string,
  cells: Cell[],
  options: ExtractOptions = {},
): Promise<Map<string, FetchedCell>> {
  const all = new Map<string, FetchedCell>();
  const take = async (cell: Cell, fetched: FetchedCell): Promise<void> => void all.set(cell.id, fetched);
  await readExtract(path, cells, take, options);
  return all;
}
