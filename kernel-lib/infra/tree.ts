import { join, relative, resolve, sep } from 'node:path';
import {
  type Source, type SourceFile, type SourceOptions, dataRoot, eachUnit, openSource,
} from '../ard/index.ts'; // prettier-ignore
import { sumOf } from './checksum.ts';
import { type SyncPlan, planSync } from './plan.ts';
import { type Moved, type Placed, bringMissing } from './sync.ts';
import type { TransferOptions } from './transfer.ts';
import { putFiles } from './upload.ts';

/** What a data folder and a bucket hold beside imagery, under the same names. */
export const TREES = ['chips', 'datasets', 'models', 'embeddings', 'demo-ard', 'nodata-index.json'] as const;

/** Options of {@link pullTree} and {@link pushTree}. */
export interface TreeOptions extends TransferOptions, SourceOptions {
  /** Replaces what is newer on the other side too. Default: keeps and lists it. */
  force?: boolean | undefined;
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
  const at = parts.findLastIndex((part) => (TREES as readonly string[]).includes(part));
  if (at < (address.startsWith('s3://') ? 3 : 1)) return undefined; // `s3:`, nothing, the bucket
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
  const source = openSource(place.base, options);
  const files = await filesAt(source, place.path);
  const root = dataRoot(dataPath);
  const newer = options.force ? [] : await newerOnDisk(source, files, root);
  const wanted: Placed[] = files.filter(({ key }) => !newer.includes(key)).map((file) => ({ ...file, to: file.key }));
  return { ...(await bringMissing(source, wanted, root, options)), kept: newer };
}

/**
 * Brings chips, dataset versions, models or embeddings of the data folder to a bucket, or to a folder, under the same names.
 *
 * Nothing is ever deleted. A file that is newer there and differs stays, and is listed.
 *
 * @param what `chips/33`, `datasets/…`, or such a path with the data folder before it
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
  if (!address.startsWith('s3://')) return pullTree(join(root, path), address, options);
  const [files, there] = [await filesAt(openSource(root), path), openSource(address, options)];
  const states = await compareWith(root, files, await there.list(path), options);
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
  if (whole.startsWith(root + sep) && (TREES as readonly string[]).includes(path.split(sep)[0])) return path;
  throw new Error(`${what} is not brought to a bucket: give one of ${TREES.join(', ')} of ${root}, or a folder below`);
}

/** Files at or below a path, temporary ones left out. @throws {Error} where there is none */
async function filesAt(source: Source, path: string): Promise<SourceFile[]> {
  const listed = path.endsWith('.json') ? await listOne(source, path) : await source.list(`${path}/`);
  const files = listed.filter(({ key }) => !/(^|\/)\.[^/]*\.part$/.test(key));
  if (files.length === 0) throw new Error(`nothing in ${source.address.replace(/\/$/, '')}/${path}: check the name`);
  return files;
}

async function listOne(source: Source, path: string): Promise<SourceFile[]> {
  const folder = path.split('/').slice(0, -1).join('/');
  const files = folder === '' ? (await source.top()).files : await source.list(`${folder}/`);
  return files.filter(({ key }) => key === path);
}

/** Keys of files that lie in the data folder, differ, and were written after those of the source. */
async function newerOnDisk(source: Source, files: SourceFile[], root: string): Promise<string[]> {
  const mine = new Map((await openSource(root).list(files[0].key.split('/')[0])).map((file) => [file.key, file]));
  const differs = await eachUnit(files, 'files', async (file) => {
    const local = mine.get(file.key);
    if (!local || local.modified.getTime() <= file.modified.getTime() + 1000) return false;
    return local.bytes !== file.bytes || !(await sameBytes(join(root, file.key), file, source));
  });
  return files.filter((_, index) => differs[index]).map(({ key }) => key);
}

async function sameBytes(path: string, file: SourceFile, source: Source): Promise<boolean> {
  const digest = file.etag === undefined ? md5 : await source.digest(file);
  if (digest.algorithm === 'size') return true;
  const theirs = file.etag === undefined ? await sumOf(join(source.address, file.key), md5) : digest.value;
  return (await sumOf(path, digest)) === theirs;
}

const md5 = { algorithm: 'md5', value: '' } as const;

/** Of each file whether the other side lacks it, has the same, or another that is newer. */
async function compareWith(
  root: string,
  files: SourceFile[],
  others: SourceFile[],
  { signal }: TreeOptions,
): Promise<('missing' | 'same' | 'newer')[]> {
  const there = new Map(others.map((file) => [file.key, file]));
  const compare = async (file: SourceFile): Promise<'missing' | 'same' | 'newer'> => {
    const other = there.get(file.key);
    if (!other) return 'missing';
    const plain = /^[0-9a-f]{32}$/.test(other.etag ?? '');
    const later = other.modified.getTime() >= file.modified.getTime();
    if (other.bytes === file.bytes) {
      if (!plain && later) return 'same'; // put in parts: no other machine writes the same name and size
      if (plain && (await sumOf(join(root, file.key), md5)) === other.etag) return 'same';
    }
    return later ? 'newer' : 'missing';
  };
  return eachUnit(files, 'files', compare, { signal, concurrency: 8 });
}
