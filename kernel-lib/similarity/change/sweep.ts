/** Parts of pairs of tiles that are no more. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type SourceFile, bareTilesOf, dataRoot, openSource, paddedZone } from '../../ard/index.ts';
import { type Outbox, filesBelow } from '../../infra/index.ts';
import { pairMark, tileMark } from './parts.ts';

/** Where zones lie below a data folder: of its own delivery, and of the one whose changes are known. */
const PLACES = ['ard/', '', 'demo-ard/ard/', 'demo-ard/'];

/**
 * Removes what `embeddings/change` holds of tiles of a zone that another file has replaced, or that are gone; what is of tiles that are there stays,
 * whatever encoded it. In a bucket nothing is removed.
 *
 * @param outbox of the bucket that parts go to. Default: they lie in the data folder
 * @returns a line of what was removed, or of a bucket is to be; none where there is nothing
 */
export async function sweepChangeParts(dataPath: string, zone: number, outbox?: Outbox): Promise<string[]> {
  const root = dataRoot(dataPath);
  const folder = `embeddings/change/${paddedZone(zone)}`;
  const onDisk = await marksOf(PLACES, zone, async (prefix) => (existsSync(join(root, prefix)) ? openSource(root).list(prefix) : []));
  if (!outbox) {
    const stale = (await filesBelow(join(root, folder))).filter((path) => !isOf(onDisk, path));
    await Promise.all(stale.map((path) => rm(path, { force: true })));
    return stale.length === 0 ? [] : [`${filesText(stale.length)} in ${join(root, folder)} were of tiles that are no more, and are removed`];
  }
  const inBucket = await marksOf(PLACES, zone, async (prefix) => [...(await outbox.list(prefix)).values()]);
  const all = new Set([...onDisk, ...inBucket]);
  const stale = [...(await outbox.list(`${folder}/`)).keys()].filter((key) => !isOf(all, key));
  return stale.length === 0 ? [] : [`${filesText(stale.length)} in ${outbox.address}/${folder} are of tiles that are no more, as ${stale[0]}: delete them`];
} // prettier-ignore

function filesText(files: number): string {
  return `${files} ${files === 1 ? 'file' : 'files'}`;
}

/** How names begin of what belongs to tiles that are there, and to any two of a cell. */
async function marksOf(places: readonly string[], zone: number, list: (prefix: string) => Promise<SourceFile[]>): Promise<Set<string>> {
  const marks = new Set<string>();
  for (const place of places) {
    const files = (await list(`${place}${paddedZone(zone)}/`)).map((file) => ({ ...file, key: file.key.slice(place.length) }));
    for (const own of (await cellsOf(files)).values()) {
      for (const mark of own) marks.add(`real-${mark}`);
      for (const before of own) for (const after of own) marks.add(pairMark(before, after));
    }
  }
  return marks;
} // prettier-ignore

/** The marks of the tiles of each cell. @param files by keys from the zone on */
async function cellsOf(files: SourceFile[]): Promise<Map<string, string[]>> {
  const byKey = new Map(files.map((file) => [file.key, file]));
  const cells = new Map<string, string[]>();
  for (const tile of bareTilesOf({ prefix: '', files })) {
    const { visual } = tile.files;
    if (visual === undefined) continue;
    cells.set(tile.cell.id, [...(cells.get(tile.cell.id) ?? []), tileMark(tile, byKey.get(visual)!)]);
  }
  return cells;
}

/** `real-<mark>.json` of a tile, `<mark>-<how>.parquet` of two. */
function isOf(marks: ReadonlySet<string>, path: string): boolean {
  const [, real, pair] = /(?:^|\/)(?:(real-[0-9a-f]{16})\.json|([0-9a-f]{16})-[0-9a-f]{16}\.parquet)$/.exec(path) ?? [];
  return marks.has(real ?? pair ?? '');
}
