import { createHash } from 'node:crypto';
import { rm, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Source, type StepOptions, dataRoot, eachUnit, openDelivery, openSource } from '../ard/index.ts';
import { sumOf } from './checksum.ts';
import { type DataOptions, chooseEntries, compareFiles } from './data.ts';
import { httpsSource } from './https.ts';
import { type OutsideAsset, type OutsideFiles, RECORDED, readManifest } from './manifest.ts';
import { filesText } from './plan.ts';
import { type DataRecord, type FileRecord, fileAt, readRecord, sha256Of, writeRecord } from './record.ts';
import { type Moved, type Placed, bringMissing, syncDelivery } from './sync.ts';
import type { TransferOptions } from './transfer.ts';
import { pullTree } from './tree.ts';

/** Options of {@link pullData}. */
export interface PullOptions extends DataOptions, TransferOptions {
  /** Takes what has changed at the source, and again what has changed here. Default: refuses, and keeps. */
  force?: boolean | undefined;
  /** Says what would be moved and moves nothing. Default: moves. */
  dryRun?: boolean | undefined;
  /** Called after each entry. */
  onReport?: ((report: PullReport) => void) | undefined;
}

/** What {@link pullData} did for one entry. */
export interface PullReport extends Pick<Moved, 'files' | 'bytes' | 'moved' | 'movedBytes'> {
  name: string;
  /** Files that differ and are newer here: they stay as they are. */
  kept: string[];
  /** Of the file, or of the list of files; `undefined` in a dry run, or where none is recorded. */
  sha256: string | undefined;
}

/**
 * Brings entries of the manifest into the data folder, and records sha256 and size of every file in `data-record`.
 *
 * A second pull moves nothing. What the manifest states is checked: what does not fit is not kept. What has changed at
 * the source since it was recorded is refused, unless forced.
 *
 * @param names entries, as `ard-33`
 * @param dataPath data folder
 * @returns one report an entry, in order
 * @throws {Error} naming an entry that is unknown or a service, or the file that has changed or does not fit
 */
export async function pullData(
  names: readonly string[],
  dataPath: string,
  { manifest, onReport, ...options }: PullOptions = {},
): Promise<PullReport[]> {
  const chosen = chooseEntries(manifest ?? (await readManifest()), names).map(pullable);
  const reports: PullReport[] = [];
  for (const entry of chosen) {
    const report = await pullEntry(entry, dataRoot(dataPath), options);
    reports.push(report);
    onReport?.(report);
  }
  return reports;
}

function pullable(entry: OutsideAsset): OutsideFiles {
  if (entry.kind !== 'service') return entry;
  throw new Error(`${entry.name} is a service, and nothing to pull: run ${entry.command}`);
}

type Moving = Omit<PullOptions, 'manifest' | 'onReport'>;

/** An entry as its source has it: files, each with its place. */
interface Listing {
  source: Source;
  files: Placed[];
}

async function pullEntry(entry: OutsideFiles, root: string, options: Moving): Promise<PullReport> {
  const before = await readRecord(root, entry.name);
  const own = await fittingFile(entry, root);
  if (own) return fitting(entry, root, own, options);
  const listing = await look(entry);
  refuseSize(entry, listing.files);
  const changed = await changedFiles(listing, before, root, options);
  if (changed.length > 0 && !options.force) throw hasChanged(entry.name, changed.map(({ key }) => `${listing.source.address}/${key}`), before); // prettier-ignore
  if (before && options.force && !options.dryRun) await outdate(before, changed, root, options);
  const intact = await asRecorded(before, root);
  const { moved, movedBytes, kept, files, bytes } = await move(entry, listing, root, options);
  const done = { moved, movedBytes, kept };
  if (options.dryRun) return { name: entry.name, files, bytes, ...done, sha256: undefined };
  const found = await sumUp(listing.files, root, intact, options);
  await refuseUnfit(entry, found, before, root, options);
  return { ...(await keepRecord(entry, root, found)), ...done };
}

/** The entry's one file, where it is here and fits what the manifest states: then no source need be asked. */
async function fittingFile({ kind, path, sha256 }: OutsideFiles, root: string): Promise<FileRecord | undefined> {
  if (kind !== 'file' || sha256 === RECORDED) return undefined;
  const found = await fileAt(join(root, path));
  if (!found || (await sha256Of(join(root, path))) !== sha256) return undefined;
  return { path, bytes: found.size, sha256, modified: found.mtime.toISOString() };
}

async function fitting(entry: OutsideFiles, root: string, own: FileRecord, { dryRun }: Moving): Promise<PullReport> {
  const nothing = { moved: 0, movedBytes: 0, kept: [] };
  const { bytes, sha256 } = own;
  if (dryRun) return { name: entry.name, files: 1, bytes, sha256, ...nothing };
  return { ...(await keepRecord(entry, root, [own])), ...nothing };
}

const isArd = ({ kind, path }: OutsideFiles): boolean => kind === 'prefix' && path.split('/')[0] === 'ard';

async function look(entry: OutsideFiles): Promise<Listing> {
  if (isArd(entry)) return lookAtDelivery(entry);
  return entry.kind === 'prefix' ? lookAtTree(entry) : lookAtFile(entry);
}

async function lookAtDelivery({ source: address, region }: OutsideFiles): Promise<Listing> {
  const { source, prefix, files } = await openDelivery(address, { region });
  const below = files.filter(({ key }) => key.startsWith(prefix));
  return { source, files: below.map((file) => ({ ...file, to: `ard/${file.key.slice(prefix.length)}` })) };
}

async function lookAtTree({ source: address, path, region }: OutsideFiles): Promise<Listing> {
  const source = openSource(address.slice(0, -`/${path}/`.length), { region });
  const files = (await source.list(`${path}/`)).filter(({ key }) => !/(^|\/)\.[^/]*\.part$/.test(key));
  return { source, files: files.map((file) => ({ ...file, to: file.key })) };
}

async function lookAtFile({ name, source: address, path, region }: OutsideFiles): Promise<Listing> {
  const inBucket = address.startsWith('s3://');
  const source = inBucket ? openSource(dirname(address), { region }) : httpsSource(address);
  const listed = inBucket ? await source.list(basename(address)) : await source.list();
  const files = listed.filter(({ key }) => !inBucket || key === basename(address));
  if (files.length === 0) throw new Error(`no file ${address}: mend the source of ${name} in data-manifest.json`);
  return { source, files: files.map((file) => ({ ...file, to: path })) };
}

/** @throws {Error} when the source states another size than the manifest, before anything moves */
function refuseSize({ name, kind, source, bytes }: OutsideFiles, [file]: Placed[]): void {
  if (kind === 'prefix' || bytes === RECORDED || file.bytes === bytes) return;
  throw unfit(name, source, `${file.bytes} bytes`, bytes);
}

const unfit = (name: string, what: string, found: string, expected: string | number): Error =>
  new Error(
    `${what} has ${found}, where data-manifest.json has ${expected}: nothing was kept; ask who publishes it, then mend the entry ${name}`,
  );

/** Those recorded files that are others at their source by now. */
async function changedFiles(
  { source, files }: Listing,
  before: DataRecord | undefined,
  root: string,
  { signal }: StepOptions,
): Promise<Placed[]> {
  const other = await eachUnit(files, 'files', async (file) => {
    const old = before?.files.get(file.to);
    if (!old || (old.bytes === file.bytes && (old.etag ?? file.etag) === file.etag)) return false;
    if (old.bytes !== file.bytes || !(await fileAt(join(root, file.to)))) return true;
    return !(await fits(source, file, root)); // written again, maybe with the same bytes
  }, { signal, concurrency: 8 }); // prettier-ignore
  return files.filter((_, index) => other[index]);
}

/** Whether what lies here has the bytes that the source states; `false` where that states nothing of them. */
async function fits(source: Source, file: Placed, root: string): Promise<boolean> {
  const digest = await source.digest(file);
  return digest.algorithm !== 'size' && (await sumOf(join(root, file.to), digest)) === digest.value;
}

function hasChanged(name: string, [first, ...others]: string[], before: DataRecord | undefined): Error {
  const more = others.length > 0 ? `, and ${filesText(others.length)} more,` : '';
  return new Error(
    `${first}${more} changed at the source since ${before?.head.at.slice(0, 10)}: nothing was kept of it; imagesim data pull ${name} --force takes what is there now`,
  );
}

/** Gives files that are others here or at their source than recorded a time by which a sync brings them again. */
async function outdate(
  { files }: DataRecord,
  changed: readonly Placed[],
  root: string,
  options: StepOptions,
): Promise<void> {
  const expected = [...files.values()];
  const states = await compareFiles(expected, root, options);
  const here = expected.filter((_, index) => states[index] === 'changed').map(({ path }) => path);
  for (const path of new Set([...here, ...changed.map(({ to }) => to)])) {
    if (await fileAt(join(root, path))) await utimes(join(root, path), 0, 0);
  }
}

/** Recorded files that size and time show to be the same still. */
async function asRecorded(before: DataRecord | undefined, root: string): Promise<Map<string, FileRecord>> {
  const all = [...(before?.files.values() ?? [])];
  const same = await eachUnit(all, 'files', (file) => hasStamp(root, file.path, file.bytes, new Date(file.modified)), { concurrency: 16 }); // prettier-ignore
  return new Map(all.filter((_, index) => same[index]).map((file) => [file.path, file]));
}

async function hasStamp(root: string, path: string, bytes: number, modified: Date): Promise<boolean> {
  const found = await fileAt(join(root, path));
  return found?.size === bytes && Math.abs(found.mtimeMs - modified.getTime()) < 1000;
}

async function move(
  entry: OutsideFiles,
  { source, files }: Listing,
  root: string,
  options: Moving,
): Promise<Moved & { kept: string[] }> {
  const all = { ...options, region: entry.region };
  if (isArd(entry)) return syncDelivery(entry.source, root, all);
  if (entry.kind === 'prefix') return pullTree(entry.source, root, all);
  const kept = !options.force && (await isOwn(source, files[0], root)) ? [entry.path] : [];
  return { ...(await bringMissing(source, kept.length > 0 ? [] : files, root, all)), kept };
}

/** Whether what lies here was written after the source's file, and differs. */
async function isOwn(source: Source, file: Placed, root: string): Promise<boolean> {
  const found = await fileAt(join(root, file.to));
  if (!found || found.mtimeMs <= file.modified.getTime() + 1000) return false;
  return found.size !== file.bytes || !(await fits(source, file, root));
}

/** What lies here as the source states it, each file with its sha256; of what is intact the one that was recorded. */
async function sumUp(
  files: readonly Placed[],
  root: string,
  intact: Map<string, FileRecord>,
  { signal, onProgress }: StepOptions,
): Promise<FileRecord[]> {
  const work = async ({ to: path, bytes, etag, modified }: Placed): Promise<FileRecord[]> => {
    if (!(await hasStamp(root, path, bytes, modified))) return [];
    const now = { path, bytes, etag, modified: modified.toISOString() };
    const old = intact.get(path);
    const same = old?.etag === etag && old?.bytes === bytes && old?.modified === now.modified;
    return [{ ...now, sha256: same ? old.sha256 : await sha256Of(join(root, path)) }];
  };
  return (await eachUnit(files, 'files', work, { signal, onProgress, concurrency: 4 })).flat();
}

/** @throws {Error} when what has come fits neither manifest nor record; of that nothing is kept */
async function refuseUnfit(
  { name, kind, source, sha256, bytes }: OutsideFiles,
  found: FileRecord[],
  before: DataRecord | undefined,
  root: string,
  { force }: Moving,
): Promise<void> {
  const fresh = found.filter((file) => before?.files.get(file.path)?.sha256 !== file.sha256);
  const refuse = async (error: Error): Promise<never> => {
    for (const { path } of fresh) await rm(join(root, path), { force: true });
    throw error;
  };
  if (found.length === 0) return;
  const [whole, size] = [wholeOf(kind, found), sizeOf(found)];
  if (sha256 !== RECORDED && whole !== sha256) await refuse(unfit(name, source, `sha256 ${whole}`, sha256));
  if (bytes !== RECORDED && size !== bytes) await refuse(unfit(name, source, `${size} bytes`, bytes));
  const others = fresh.filter(({ path, etag }) => before?.files.get(path) && before.files.get(path)?.etag === etag);
  if (!force && others.length > 0) await refuse(hasChanged(name, others.map(({ path }) => path), before)); // prettier-ignore
}

/** The sha256 of a file; of several that of their list, as `sha256sum` prints it. */
function wholeOf(kind: OutsideFiles['kind'], files: readonly FileRecord[]): string {
  if (kind === 'file') return files[0].sha256;
  const hash = createHash('sha256');
  for (const { path, sha256 } of inOrder(files)) hash.update(`${sha256}  ${path}\n`);
  return hash.digest('hex');
}

const inOrder = (files: readonly FileRecord[]): FileRecord[] => [...files].sort((a, b) => (a.path < b.path ? -1 : 1));

/** Records what has come. What was recorded before stays, and so does what another pull has recorded meanwhile. */
async function keepRecord(
  { name, kind, source, sha256 }: OutsideFiles,
  root: string,
  found: readonly FileRecord[],
): Promise<Pick<PullReport, 'name' | 'files' | 'bytes' | 'sha256'>> {
  const before = await readRecord(root, name);
  const whole = kind === 'file' || sha256 !== RECORDED; // nothing else belongs to it
  const old = whole ? [] : [...(before?.files.values() ?? [])];
  const files = inOrder([...new Map([...old, ...found].map((file) => [file.path, file])).values()]);
  if (found.length === 0) return { name, files: 0, bytes: 0, sha256: undefined };
  const sums = { files: files.length, bytes: sizeOf(files), sha256: wholeOf(kind, files) };
  const at = before?.head.sha256 === sums.sha256 ? before.head.at : new Date().toISOString();
  await writeRecord(root, { version: 1, name, source, at, ...sums }, files);
  return { name, ...sums };
}

const sizeOf = (files: readonly FileRecord[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
