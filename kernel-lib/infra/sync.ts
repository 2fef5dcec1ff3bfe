import { existsSync } from 'node:fs';
import { stat, utimes } from 'node:fs/promises';
import { basename, join, resolve, sep } from 'node:path';
import {
  type Delivery, type DeliveryOptions, type Shard, type Source, type SourceFile, type SourceOptions, type Tile, ardRoot,
  dataRoot, deliveryAddress, eachUnit, isOpenData, openDelivery, openSource, paddedZone, shardOf, tilesOf,
} from '../ard/index.ts'; // prettier-ignore
import { type TileFilter, checkFilter, isWanted, whyUnfit } from './filter.ts';
import { patiently } from './patience.ts';
import { newerOnDisk, sameBytes } from './same.ts';
import { type SyncPlan, planSync, refuseFullDisk } from './plan.ts';
import { type Move, type TransferOptions, bringFiles, bytesLeft } from './transfer.ts';

/** Options of {@link syncDelivery}. */
export interface SyncOptions extends TransferOptions, TileFilter, SourceOptions {
  /** Products to fetch, by the file's descriptor. Default: `visual` alone. */
  products?: readonly string[] | undefined;
  /** Brings again what is there too. Default: what is missing, or differs. */
  again?: boolean | undefined;
  /** Only the cells that fall to this one of several workers; the first brings what is of no cell too. Default: all. */
  shard?: Shard | undefined;
  /** Says what would be moved and moves nothing. Default: moves. */
  dryRun?: boolean | undefined;
  /** Called with the plan before anything moves. */
  onPlan?: ((plan: SyncPlan) => void) | undefined;
}

/** What {@link syncDelivery} found and moved. */
export interface SyncReport {
  zones: number[];
  tiles: Tile[];
  /** Tiles that the filters on cloud and filled share left out, each with the reason. */
  leftOut: string[];
  /** Products asked for that a tile does not have. */
  lacking: string[];
  /** Map data and vectors that differ and are newer here: they stay as they are. */
  kept: string[];
  /** Files that the data folder is to have. */
  files: number;
  bytes: number;
  /** Files and bytes moved in this run; the others were there. */
  moved: number;
  movedBytes: number;
  /** As estimated before, and as it took; 0 in a dry run. */
  plan: SyncPlan;
  seconds: number;
  /** Files that could be checked by their size alone: the bucket states nothing of their bytes. */
  unverified: string[];
  /** Where the delivery's licence, provenance and readme lie in the data folder. */
  licences: string[];
}

/** A file of a source, and its place below the data folder. */
export type Placed = SourceFile & { to: string };

/**
 * Brings a delivery into the data folder: tiles, STAC items, collections, the demo's vectors, and the terms it all comes
 * under, to `licences/<delivery>`.
 *
 * A file is there whole or not at all, is checked by size and checksum, and has the time of its source. A second run
 * moves nothing; one after an interruption goes on from the byte that the first came to.
 *
 * Real tiles and those of the synthetic sample never come into one zone.
 *
 * @param address a folder or s3:// prefix, of a delivery, its `ard`, or a zone of it: `s3://imagesim-storage/ard/33`
 * @param dataPath data folder
 * @throws {Error} when there is no such tile or product, a zone would mix, the disk is too small, or a file arrives damaged
 */
export async function syncDelivery(address: string, dataPath: string, options: SyncOptions = {}): Promise<SyncReport> {
  const chosen = await chooseDelivery(address, options);
  const { delivery } = chosen;
  const root = dataRoot(dataPath);
  for (const each of new Set(chosen.tiles.map(({ cell }) => cell.zone)))
    await refuseMixture(delivery, chosen.tiles, each, root);
  const { files: all, ...share } = shareOf(chosen, options.shard);
  const kept = options.again ? new Set<string>() : await changedHere(delivery.source, all, root);
  const wanted = all.filter(({ key }) => !kept.has(key));
  const moved = await bringMissing(delivery.source, wanted, root, options);
  return {
    ...share,
    kept: [...kept],
    ...moved,
    licences: wanted.filter(({ to }) => to.startsWith('licences/')).map(({ to }) => join(root, to)),
  };
}

/** Tiles of a delivery that are wanted, all workers' together. */
export interface Chosen {
  delivery: Delivery;
  tiles: Tile[];
  leftOut: string[];
  products: readonly string[];
}

/** Lists a delivery and chooses its tiles. @throws {Error} when there is no such tile or product */
export async function chooseDelivery(address: string, options: SyncOptions): Promise<Chosen> {
  const { zone, quadkey } = deliveryAddress(address);
  const filter = { ...options, zone: options.zone ?? zone, quadkey: options.quadkey ?? quadkey };
  checkFilter(filter);
  const open = async (): Promise<{ delivery: Delivery; tiles: Tile[]; leftOut: string[] }> => {
    const opened = await openDelivery(address, deliveryOptions(filter, options));
    return { delivery: opened, ...(await chooseTiles(opened, filter, address)) };
  };
  const retries = options.shard ? 8 : 0; // nobody sits beside a worker of several; who waits for the answer is told at once
  const { delivery, ...chosen } = await patiently(open, { retries, signal: options.signal });
  const products = options.products ?? ['visual'];
  lackingProducts(chosen.tiles, products); // a product that no tile has is refused by every worker
  return { delivery, ...chosen, products };
}

/** Which zone is listed, where one is asked for; a quadkey narrows it only with a zone. */
function deliveryOptions(
  { zone, quadkey }: TileFilter,
  { endpoint, region, anonymous }: SourceOptions,
): DeliveryOptions {
  return { endpoint, region, anonymous, zone, quadkey: zone === undefined ? undefined : quadkey };
}

/** What a tile is called in lists for people. */
const nameOf = ({ cell, date, catid }: Tile): string => `${cell.id} ${date} ${catid}`;

async function chooseTiles(
  delivery: Delivery,
  filter: TileFilter,
  address: string,
): Promise<{ tiles: Tile[]; leftOut: string[] }> {
  const found = await tilesOf(delivery, (tile) => isWanted(tile, filter));
  const why = found.map((tile) => whyUnfit(tile, filter));
  const leftOut = found.flatMap((tile, index) => (why[index] ? `${nameOf(tile)}: ${why[index]}` : []));
  const tiles = found.filter((_, index) => !why[index]);
  if (tiles.length > 0) return { tiles, leftOut };
  const { zone, quadkey, bbox, since, until } = filter;
  const asked = [
    zone && `of zone ${zone}`, quadkey && `under quadkey ${quadkey}`, bbox && `in ${bbox.join(',')}`,
    since && `since ${since}`, until && `until ${until}`,
  ].filter(Boolean); // prettier-ignore
  const unfit = leftOut.length > 0 ? `: ${leftOut.length} left out, ${leftOut[0]} the first` : '';
  throw new Error(`no tile ${[...asked, `in ${address}`].join(' ')}${unfit}`);
}

/** @throws {Error} naming a product that no tile has, and those that there are */
function lackingProducts(tiles: readonly Tile[], products: readonly string[], all = tiles): string[] {
  if (products.length === 0) throw new RangeError('no product is asked for: give visual, say');
  const there = new Set(all.flatMap(({ files }) => Object.keys(files)));
  const unknown = products.find((product) => product !== 'visual' && !there.has(product));
  if (unknown !== undefined)
    throw new Error(
      `no tile has a product ${unknown}: there are ${[...there]
        .filter((kind) => kind !== 'item')
        .sort()
        .join(', ')}`,
    );
  return tiles.flatMap((tile) =>
    products.filter((product) => !tile.files[product]).map((product) => `${nameOf(tile)} has no ${product}`),
  );
}

/** What {@link bringMissing} found and did. */
export type Moved = Pick<SyncReport, 'files' | 'bytes' | 'moved' | 'movedBytes' | 'plan' | 'seconds' | 'unverified'>;

/**
 * Plans, then brings what is not there yet.
 *
 * @param root data folder
 * @throws {Error} naming a key that leads out of it, or the folder whose disk is too small
 */
export async function bringMissing(
  source: Source,
  wanted: readonly Placed[],
  root: string,
  { dryRun = false, onPlan, ...options }: SyncOptions,
): Promise<Moved> {
  const moves = placeFiles(source, wanted, root);
  const missing = await missingMoves(source, moves, { ...options, dryRun });
  const open = isOpenData(source.address);
  const plan = await planSync(
    wanted.map(({ bytes }) => bytes),
    missing.map(({ file }) => file.bytes),
    {
      to: root,
      from: source.address.startsWith('s3://') ? (open ? 'open data' : 'bucket') : 'disk',
      concurrency: options.concurrency ?? 8,
    },
  );
  onPlan?.(plan);
  if (!dryRun) refuseFullDisk(plan, root, await bytesLeft(missing));
  const started = performance.now();
  const { unverified } = dryRun ? { unverified: [] } : await bringFiles(source, missing, options);
  const seconds = dryRun ? 0 : (performance.now() - started) / 1000;
  const { files, bytes, missing: moved, missingBytes: movedBytes } = plan;
  return { files, bytes, moved, movedBytes, plan, seconds, unverified };
}

/** @throws {Error} naming a key that leads out of the folder, is no path, or needs a folder where another is a file */
export function placeFiles(source: Source, wanted: readonly Placed[], root: string): Move[] {
  const places = new Set(wanted.map(({ to }) => to));
  for (const { key, to } of wanted) {
    const path = resolve(root, to);
    const inside = path.startsWith(resolve(root) + sep) && !to.split('/').some((part) => part === '..' || part === '.');
    // eslint-disable-next-line no-control-regex -- they are what is looked for
    if (!inside || to.includes('//') || /[\u0000-\u001f\u007f]/.test(to))
      throw new Error(
        `${source.address} holds a key that leads out of its place, ${JSON.stringify(key)}: nothing was moved; have it removed there`,
      );
    const above = to.split('/').slice(0, -1).map((_, index, parts) => parts.slice(0, index + 1).join('/')); // prettier-ignore
    const clash = above.find((folder) => places.has(folder));
    if (clash)
      throw new Error(
        `${source.address} holds both a file ${clash} and ${key} below it: have one of them removed there`,
      );
  }
  return wanted.map((file) => ({ file, path: join(root, file.to) }));
}

/** Those that are not there, or are others: by size, by time, and where only the time differs, by what the bytes sum up to. */
async function missingMoves(
  source: Source,
  moves: readonly Move[],
  { signal, dryRun = false, again = false }: SyncOptions,
): Promise<Move[]> {
  if (again) return [...moves];
  const there = await eachUnit(moves, 'files', (move) => isThere(source, move, dryRun), { signal, concurrency: 16 });
  return moves.filter((_, index) => !there[index]);
}

async function isThere(source: Source, { file, path }: Move, dryRun: boolean): Promise<boolean> {
  const found = await stat(path).catch(() => undefined); // what stands in the way is told when it is written
  if (!found?.isFile() || found.size !== file.bytes) return false;
  if (Math.abs(found.mtimeMs - file.modified.getTime()) < 2) return true; // as bringFiles set it
  if (!(await sameBytes(path, file, source))) return false;
  const touched = dryRun ? undefined : utimes(path, file.modified, file.modified); // so that next time one look is enough
  await touched?.catch(() => undefined); // and where it may not be written, next time takes as long
  return true;
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
  if (kinds.some((kind) => kind !== synthetic))
    throw mixture(folder, source, synthetic, 'set IMAGESIM_DATA to another folder');
}

/** What is said of a zone that would hold both. @param synthetic whether what comes is */
export function mixture(folder: string, { address }: Source, synthetic: boolean, remedy: string): Error {
  const [there, coming] = synthetic ? ['real tiles', 'synthetic'] : ['tiles of the synthetic sample', 'real'];
  return new Error(`${folder} holds ${there}, and those of ${address} are ${coming}: ${remedy}, or remove that one`);
}

export function isSynthetic({ metadata }: Tile): boolean {
  return metadata?.synthetic ?? false;
}

/** What says at the top of a delivery under which terms it comes. */
const TERMS = /^(LICEN[CS]E|PROVENANCE|README)[^/]*$/i;

/** What stage 02 writes beside the dates of a cell. */
export const OSM_DATA: RegExp = /^(?:ard\/)?\d\d\/[0-3]{12}\/osm_data(\.meta)?\.json$/;

function wantedFiles(
  { source, files, prefix }: Delivery,
  tiles: readonly Tile[],
  products: readonly string[],
): Placed[] {
  const kinds = new Set([...products, 'item']);
  const keys = new Set(
    tiles.flatMap((tile) => Object.entries(tile.files).flatMap(([kind, key]) => (kinds.has(kind) ? key : []))),
  );
  const cells = new Set(tiles.map(({ cell }) => `${prefix}${paddedZone(cell.zone)}/${cell.quadkey}/`));
  const beside = (key: string): boolean =>
    key.startsWith(`${prefix}acquisition_collections/`) ||
    key.startsWith('demo-ard/') ||
    (OSM_DATA.test(key) && cells.has(key.slice(0, key.lastIndexOf('/') + 1)));
  const isTerms = (key: string): boolean => TERMS.test(key) || (key.startsWith(prefix) && TERMS.test(key.slice(prefix.length))); // prettier-ignore
  const placeOf = (key: string): string => {
    if (isTerms(key)) return `licences/${nameOfSource(source)}/${basename(key)}`;
    return key.startsWith('demo-ard/') ? key : `ard/${key.slice(prefix.length)}`;
  };
  return files
    .filter(({ key }) => keys.has(key) || beside(key) || isTerms(key))
    .map((file) => ({ ...file, to: placeOf(file.key) }));
}

/** What falls to one worker. */
export type Share = Pick<SyncReport, 'zones' | 'tiles' | 'lacking' | 'leftOut'> & { files: Placed[] };

/**
 * The files and tiles that fall to one worker: whole cells, by the bytes of their files. Dealt out before it is looked at what
 * is there already, so that every worker deals alike.
 */
export function shareOf({ delivery, tiles: all, leftOut, products }: Chosen, shard: Shard | undefined): Share {
  const { files, tiles } = dealtOut(wantedFiles(delivery, all, products), all, shard);
  return {
    zones: [...new Set(tiles.map(({ cell }) => cell.zone))],
    tiles,
    files,
    lacking: tiles.length > 0 ? lackingProducts(tiles, products, all) : [],
    leftOut: (shard?.index ?? 0) === 0 ? leftOut : [],
  };
}

function dealtOut(files: Placed[], tiles: Tile[], shard: Shard | undefined): { files: Placed[]; tiles: Tile[] } {
  if (!shard) return { files, tiles };
  const bytes = new Map<string, number>();
  for (const file of files) bytes.set(cellIn(file), (bytes.get(cellIn(file)) ?? 0) + file.bytes);
  bytes.delete('');
  const cells = new Set(shardOf([...bytes.keys()].sort(), shard, (cell) => bytes.get(cell)!));
  if (shard.index === 0) cells.add('');
  return {
    files: files.filter((file) => cells.has(cellIn(file))),
    tiles: tiles.filter(({ cell }) => cells.has(`${paddedZone(cell.zone)}/${cell.quadkey}`)),
  };
}

/** Zone and quadkey of the cell that a file is of, `33/031133012203`; empty where it is of none. */
function cellIn({ to }: Placed): string {
  return /^ard\/(\d\d\/[0-3]{12})\//.exec(to)?.[1] ?? '';
}

/** A folder's name; of a prefix its bucket's too: two deliveries may each end in `ard`. */
export function nameOfSource({ address }: Source): string {
  return address.startsWith('s3://')
    ? address.slice('s3://'.length).replace(/\/+$/, '').replaceAll('/', '-')
    : basename(address);
}

/** Of map data and vectors those that somebody has changed here since: they stay. */
async function changedHere(source: Source, wanted: readonly Placed[], root: string): Promise<Set<string>> {
  const editable = wanted.filter(({ to }) => to.startsWith('demo-ard/') || OSM_DATA.test(to));
  const mine = new Map<string, SourceFile>();
  for (const { key, to } of editable) {
    const found = await stat(join(root, to)).catch(() => undefined); // not there: nothing has changed
    if (found) mine.set(key, { key, bytes: found.size, modified: found.mtime });
  }
  return newerOnDisk(source, editable, mine, (key) => join(root, editable.find((file) => file.key === key)?.to ?? key));
}
