import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type Delivery, type SourceFile, type StepOptions, type Tile, ardRoot, dataRoot, eachUnit,
  openDelivery, openSource, paddedZone, replaceWhole, tilesOf,
} from '../ard/index.ts'; // prettier-ignore
import { wholeAddress } from './delivery.ts';

/** Options of {@link syncDelivery}. */
export interface SyncOptions extends StepOptions {
  /** Only this UTM zone. Default: every zone of the delivery. */
  zone?: number;
  /** Products to fetch, by the file's descriptor. Default: `visual` alone. */
  products?: string[];
  /** Says what would be moved and moves nothing. Default: moves. */
  dryRun?: boolean;
}

/** What {@link syncDelivery} found and moved. */
export interface SyncReport {
  zones: number[];
  tiles: Tile[];
  /** Files that the data folder is to have. */
  files: number;
  bytes: number;
  /** Files and bytes moved in this run; the others were there, of the right size. */
  moved: number;
  movedBytes: number;
  /** Where the delivery's licence, provenance and readme lie in the data folder. */
  licences: string[];
}

/**
 * Brings a delivery into the data folder: tiles, STAC items, collections, the demo's vectors, and the terms it all comes
 * under, to `licences/<delivery>`.
 *
 * A file is copied under a temporary name, checked by size, then renamed. A second run moves nothing.
 *
 * Real tiles and those of the synthetic sample never come into one zone.
 *
 * @param address a folder or s3:// prefix
 * @param dataPath data folder
 * @throws {Error} when there is no tile in the delivery, a zone would mix, or a file arrives shorter than announced
 */
export async function syncDelivery(address: string, dataPath: string, options: SyncOptions = {}): Promise<SyncReport> {
  const delivery = await openDelivery(wholeAddress(address));
  const tiles = (await tilesOf(delivery)).filter(
    ({ cell }) => options.zone === undefined || cell.zone === options.zone,
  );
  if (tiles.length === 0) throw new Error(`no tile of zone ${options.zone} in ${address}`);
  const wanted = wantedFiles(delivery, tiles, options.products ?? ['visual']);
  const root = dataRoot(dataPath);
  for (const zone of new Set(tiles.map(({ cell }) => cell.zone))) await refuseMixture(delivery, tiles, zone, root);
  const missing = await missingFiles(wanted, root);
  const movedBytes = missing.reduce((sum, { file }) => sum + file.bytes, 0);
  if (!options.dryRun) await moveFiles(delivery, missing, options);
  return {
    zones: [...new Set(tiles.map(({ cell }) => cell.zone))],
    tiles,
    files: wanted.length,
    bytes: wanted.reduce((sum, { bytes }) => sum + bytes, 0),
    moved: missing.length,
    movedBytes,
    licences: wanted.filter(({ to }) => to.startsWith('licences/')).map(({ to }) => join(root, to)),
  };
}

/** Throws where a zone holds other tiles than the delivery's, and those are synthetic and these are not, or the reverse. */
async function refuseMixture(
  { source, files, prefix }: Delivery,
  tiles: Tile[],
  zone: number,
  root: string,
): Promise<void> {
  const folder = join(ardRoot(root), paddedZone(zone));
  if (!existsSync(folder)) return;
  const own = new Set(files.map(({ key }) => `ard/${key.slice(prefix.length)}`)); // there from an earlier sync
  const disk = openSource(root);
  const others = (await disk.list(`ard/${paddedZone(zone)}`)).filter(({ key }) => !own.has(key));
  const kinds = (await tilesOf({ source: disk, prefix: 'ard/', files: others })).map(isSynthetic);
  const synthetic = tiles.some((tile) => tile.cell.zone === zone && isSynthetic(tile));
  if (kinds.every((kind) => kind === synthetic)) return;
  const [there, coming] = synthetic ? ['real tiles', 'synthetic'] : ['tiles of the synthetic sample', 'real'];
  throw new Error(
    `${folder} holds ${there}, and those of ${source.address} are ${coming}: set IMAGESIM_DATA to another folder, or remove that one`,
  );
}

function isSynthetic({ metadata }: Tile): boolean {
  return metadata?.synthetic ?? false;
}

interface Move {
  file: SourceFile;
  path: string;
}

/** What says at the top of a delivery under which terms it comes. */
const TERMS = /^(LICEN[CS]E|PROVENANCE|README)[^/]*$/i;

function wantedFiles(
  { source, files, prefix }: Delivery,
  tiles: Tile[],
  products: string[],
): (SourceFile & { to: string })[] {
  const kinds = new Set([...products, 'item']);
  const keys = new Set(
    tiles.flatMap((tile) => Object.entries(tile.files).flatMap(([kind, key]) => (kinds.has(kind) ? key : []))),
  );
  const beside = (key: string): boolean =>
    key.startsWith(`${prefix}acquisition_collections/`) || key.startsWith('demo-ard/');
  const placeOf = (key: string): string => {
    if (TERMS.test(key)) return `licences/${basename(source.address)}/${key}`;
    return key.startsWith('demo-ard/') ? key : `ard/${key.slice(prefix.length)}`;
  };
  return files
    .filter(({ key }) => keys.has(key) || beside(key) || TERMS.test(key))
    .map((file) => ({ ...file, to: placeOf(file.key) }));
}

async function missingFiles(wanted: (SourceFile & { to: string })[], root: string): Promise<Move[]> {
  const moves = wanted.map((file) => ({ file, path: join(root, file.to) }));
  const there = await Promise.all(
    moves.map(async ({ file, path }) => existsSync(path) && (await stat(path)).size === file.bytes),
  );
  return moves.filter((_, index) => !there[index]);
}

async function moveFiles(
  { source }: Delivery,
  moves: Move[],
  { signal, onProgress, concurrency = 4 }: SyncOptions,
): Promise<void> {
  let bytes = 0;
  const move = async ({ file, path }: Move): Promise<void> => {
    await replaceWhole(path, async (part) => {
      await source.copy(file.key, part, signal);
      const { size } = await stat(part);
      if (size !== file.bytes) {
        throw new Error(`${source.address}/${file.key} arrived with ${size} of ${file.bytes} bytes: sync again`);
      }
    });
    bytes += file.bytes;
  };
  await eachUnit(moves, 'files', move, {
    signal,
    concurrency,
    onProgress: (progress) => onProgress?.({ ...progress, bytes }),
  });
}
