import { existsSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import {
  type Shard, type Source, type SourceFile, type SourceOptions, dataRoot, eachUnit, openSource, shardOf,
} from '../ard/index.ts'; // prettier-ignore
import { type SyncPlan, planSync } from './plan.ts';
import { newerOnDisk, sameBytes } from './same.ts';
import { type Moved, OSM_DATA, type Placed, bringMissing } from './sync.ts';
import type { TransferOptions } from './transfer.ts';
import { putFiles } from './upload.ts';

/** What a data folder and a bucket hold beside imagery, under the same names. */
export const TREES = ['chips', 'datasets', 'models', 'embeddings', 'demo-ard', 'nodata-index.json'] as const;

/** Options of {@link pullTree} and {@link pushTree}. */
export interface TreeOptions extends TransferOptions, SourceOptions {
  /** Replaces what is newer on the other side too. Default: keeps and lists it. */
  force?: boolean | undefined;
  /** Only the files that fall to this one of several workers, by their bytes. Default: all. */
  shard?: Shard | undefined;
  /** Says what would be moved and moves nothing. Default: moves. */
  dryRun?: boolean | undefined;
  /** Called with the plan before anything moves. */
  onPlan?: ((plan: SyncPlan) => void) | undefined;
}

/** What {@link pullTree} and {@link pushTree} found and moved. */
export interface TreeReport extends Moved {
  /** Files that differ and are newer where they were to go: they stay as they are. */
  kept: string[];
}

/** An address split where one of {@link TREES} begins: `s3://bucket/a` and `chips/33`. `undefined` where none is named. */
export function treeAddress(address: string): { base: string; path: string } | undefined {
  const parts = address.replace(/\/+$/, '').split('/');
  const isTree = (part: string, index: number): boolean => index >= from && (TREES as readonly string[]).includes(part);
  const inBucket = address.startsWith('s3://');
  const from = inBucket ? 3 : 1; // `s3:`, nothing, the bucket
  const at = inBucket ? parts.findIndex(isTree) : parts.findLastIndex(isTree); // a model may be called chips; so may a folder above
  if (at < 0) return undefined;
  return { base: parts.slice(0, at).join('/') || '/', path: parts.slice(at).join('/') };
}

/**
 * Brings chips, dataset versions, models or embeddings into the data folder, under the same names.
 *
 * Nothing is ever deleted. A file that is newer in the data folder and differs stays, and is listed.
 *
 * @param address `s3://imagesim-storage/datasets`, a folder of it, or the same of a folder on disk
 * @throws {Error} when there is nothing, a key leads out of the data folder, the disk is too small, or a file arrives damaged
 */
export async function pullTree(address: string, dataPath: string, options: TreeOptions = {}): Promise<TreeReport> {
  const place = treeAddress(address);
  if (!place) throw new Error(`${address} names none of ${TREES.join(', ')}: give s3://bucket/datasets, say`);
  return bringTree(openSource(place.base, options), place.path, dataRoot(dataPath), options);
}

async function bringTree(source: Source, path: string, root: string, options: TreeOptions): Promise<TreeReport> {
  const files = shareOf(await filesAt(source, path), options.shard);
  const mine = options.force ? new Map<string, SourceFile>() : await filesHere(root, files);
  const newer = await newerOnDisk(source, files, mine, (key) => join(root, key));
  const wanted: Placed[] = files.filter(({ key }) => !newer.has(key)).map((file) => ({ ...file, to: file.key }));
  return { ...(await bringMissing(source, wanted, root, options)), kept: [...newer] };
}

/**
 * Brings chips, dataset versions, models or embeddings of the data folder to a bucket, or to a folder, under the same names.
 *
 * Nothing is ever deleted. A file that is newer there and differs stays, and is listed.
 *
 * @param what `chips/33`, `datasets/…`, or such a path with the data folder before it; `ard/33` for its `osm_data.json`
 * @param address s3:// prefix or folder
 * @throws {Error} when there is nothing to bring, or an object cannot be written, naming it
 */
export async function pushTree(
  what: string,
  dataPath: string,
  address: string,
  options: TreeOptions = {},
): Promise<TreeReport> {
  const root = dataRoot(dataPath);
  const path = pathBelow(root, what);
  if (!address.startsWith('s3://')) return bringTree(openSource(root), path, resolve(address), options);
  const files = shareOf(await filesAt(openSource(root), path), options.shard);
  const there = openSource(address, options);
  const states = await compareWith(root, files, there, path, options);
  const missing = files.filter(
    (_, index) => states[index] === 'missing' || (options.force && states[index] === 'newer'),
  );
  const kept = options.force ? [] : files.filter((_, index) => states[index] === 'newer').map(({ key }) => key);
  const sizes = (some: SourceFile[]): number[] => some.map(({ bytes }) => bytes);
  const plan = await planSync(sizes(files), sizes(missing), { from: 'disk', concurrency: options.concurrency ?? 8 });
  options.onPlan?.(plan);
  const started = performance.now();
  if (!options.dryRun) await putFiles(root, missing, address, options);
  const seconds = options.dryRun ? 0 : (performance.now() - started) / 1000;
  const { bytes, missingBytes: movedBytes } = plan;
  return { files: files.length, bytes, moved: missing.length, movedBytes, plan, seconds, unverified: [], kept };
}

/** The part of the data folder that is meant. @throws {Error} for another than one of {@link TREES} */
function pathBelow(root: string, what: string): string {
  const whole = resolve(root, what);
  const path = relative(root, whole);
  const [first] = path.split(sep);
  if (whole.startsWith(root + sep) && (first === 'ard' || (TREES as readonly string[]).includes(first))) return path;
  throw new Error(
    `${what} is not brought anywhere: give one of ${TREES.join(', ')} of ${root}, ard for its map data, or a folder below`,
  );
}

/** Files at or below a path, without temporary ones; of imagery its map data alone. @throws {Error} where there is none */
async function filesAt(source: Source, path: string): Promise<SourceFile[]> {
  const listed = await source.list(path);
  const files = listed.filter(({ key }) => (key === path || key.startsWith(`${path}/`)) && isOurs(key));
  if (files.length > 0) return files;
  const what = path.split('/')[0] === 'ard' ? 'no osm_data.json' : 'nothing';
  throw new Error(`${what} in ${source.address.replace(/\/$/, '')}/${path}: check the name`);
}

function shareOf(files: SourceFile[], shard: Shard | undefined): SourceFile[] {
  return shard ? shardOf(files, shard, ({ bytes }) => bytes) : files;
}

function isOurs(key: string): boolean {
  if (key.startsWith('ard/')) return OSM_DATA.test(key);
  return !/(^|\/)\.[^/]*\.part$/.test(key);
}

/** What the data folder holds below the first part of these files' keys; nothing where there is no such folder. */
async function filesHere(root: string, files: readonly SourceFile[]): Promise<Map<string, SourceFile>> {
  if (!existsSync(root)) return new Map();
  if (files.length === 0) return new Map(); // none falls to this worker
  const listed = await openSource(root).list(files[0].key.split('/')[0]);
  return new Map(listed.map((file) => [file.key, file]));
}

/** Of each file whether the other side lacks it, has the same, or another that is newer. */
async function compareWith(
  root: string,
  files: SourceFile[],
  bucket: Source,
  path: string,
  { signal }: TreeOptions,
): Promise<('missing' | 'same' | 'newer')[]> {
  const there = new Map((await bucket.list(path)).map((file) => [file.key, file]));
  const compare = async (file: SourceFile): Promise<'missing' | 'same' | 'newer'> => {
    const other = there.get(file.key);
    if (!other) return 'missing';
    if (other.bytes === file.bytes && (await sameBytes(join(root, file.key), other, bucket))) return 'same';
    return other.modified.getTime() >= file.modified.getTime() ? 'newer' : 'missing';
  };
  return eachUnit(files, 'files', compare, { signal, concurrency: 8 });
}
