import { createHash } from 'node:crypto';
import { type Stats, existsSync } from 'node:fs';
import { opendir, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Progress, type Source, type StepOptions, dataRoot, eachUnit, openDelivery, openSource } from '../ard/index.ts'; // prettier-ignore
import { sumOf } from './checksum.ts';
import { httpsSource } from './https.ts';
import {
  type DataManifest, type DataRecord, type FileRecord, type OutsideAsset, type OutsideFiles, type RecordHead, RECORDED,
  readHead, readManifest, readRecord, writeRecord,
} from './manifest.ts'; // prettier-ignore
import { bytesText } from './plan.ts';
import { type Moved, type Placed, bringMissing, syncDelivery } from './sync.ts';
import type { TransferOptions } from './transfer.ts';
import { pullTree } from './tree.ts';

/** Options of {@link listData}, {@link pullData} and {@link verifyData}. */
export interface DataOptions extends StepOptions {
  /** Default: `data-manifest.json` of the checkout. */
  manifest?: DataManifest | undefined;
}

/** Options of {@link pullData}. */
export interface PullOptions extends DataOptions, TransferOptions {
  /** Takes what has changed at the source, and again what has changed here. Default: refuses, and keeps. */
  force?: boolean | undefined;
  /** Says what would be moved and moves nothing. Default: moves. */
  dryRun?: boolean | undefined;
  /** Called after each entry. */
  onReport?: ((report: PullReport) => void) | undefined;
}

/** An entry of the manifest, and how it stands on this machine. */
export interface DataState {
  name: string;
  title: string;
  stage: string;
  licence: string;
  attribution: string | undefined;
  source: string;
  /** As recorded here, else as the manifest has it; `undefined` where neither knows. */
  bytes: number | undefined;
  /** In a few words: `not here`, `pulled 2026-01-31: 13 files, 27.8 MB`, … */
  state: string;
}

/** What {@link pullData} did for one entry. */
export interface PullReport extends Pick<Moved, 'files' | 'bytes' | 'moved' | 'movedBytes'> {
  name: string;
  /** Files that differ and are newer here: they stay as they are. */
  kept: string[];
  /** Of the file, or of the list of files; `undefined` in a dry run, or where none is recorded. */
  sha256: string | undefined;
}

/** What {@link verifyData} found of one entry. */
export interface Verdict {
  name: string;
  state: 'ok' | 'changed' | 'missing' | 'never pulled' | 'service';
  /** Files looked at. */
  files: number;
  changed: string[];
  missing: string[];
}

/**
 * Everything that comes from outside, and how it stands on this machine. Nothing is hashed, and no network asked.
 *
 * @param dataPath data folder
 */
export async function listData(dataPath: string, { manifest }: DataOptions = {}): Promise<DataState[]> {
  const root = dataRoot(dataPath);
  const { files } = manifest ?? (await readManifest());
  return eachUnit(files, 'entries', async (entry) => {
    const { name, title, stage, licence, attribution, source } = entry;
    const known = { name, title, stage, licence, attribution, source };
    if (entry.kind === 'service') return { ...known, bytes: undefined, state: 'service' };
    const head = await readHead(root, name);
    const bytes = head?.bytes ?? (entry.bytes === RECORDED ? undefined : entry.bytes);
    return { ...known, bytes, state: await stateHere(join(root, entry.path), head) };
  });
}

async function stateHere(path: string, head: RecordHead | undefined): Promise<string> {
  const here = existsSync(path);
  if (!head) return here ? `here, not pulled: ${await countedBelow(path)}` : 'not here';
  const pulled = `pulled ${head.at.slice(0, 10)}: ${counted(head.files)}, ${bytesText(head.bytes)}`;
  return here ? pulled : `${pulled}; gone since`;
}

/** Enough to tell people that there is much: a folder of chips has hundreds of thousands. */
const COUNTED = 10_000;

async function countedBelow(path: string): Promise<string> {
  const own = await stat(path);
  if (own.isFile()) return `1 file, ${bytesText(own.size)}`;
  let [files, bytes] = [0, 0];
  for await (const entry of await opendir(path, { recursive: true })) {
    if (!entry.isFile() || entry.name.endsWith('.part')) continue;
    if (++files > COUNTED) return `over ${COUNTED.toLocaleString('en')} files`;
    bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return `${counted(files)}, ${bytesText(bytes)}`;
}

const counted = (files: number): string => `${files.toLocaleString('en')} ${files === 1 ? 'file' : 'files'}`;

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
  const chosen = choose(manifest ?? (await readManifest()), names).map(pullable);
  const reports: PullReport[] = [];
  for (const entry of chosen) {
    const report = await pullEntry(entry, dataRoot(dataPath), options);
    reports.push(report);
    onReport?.(report);
  }
  return reports;
}

/** @throws {Error} naming what there is no entry of, and those that there are */
function choose({ files }: DataManifest, names: readonly string[]): OutsideAsset[] {
  return names.map((name) => {
    const found = files.find((entry) => entry.name === name);
    if (found) return found;
    throw new Error(`no entry ${name} in data-manifest.json: there are ${files.map((entry) => entry.name).join(', ')}`);
  });
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
  const more = others.length > 0 ? `, and ${counted(others.length)} more,` : '';
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
  const states = await compare(expected, root, options);
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
  if (isArd(entry)) return { ...(await syncDelivery(entry.source, root, all)), kept: [] };
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

const sizeOf = (files: readonly FileRecord[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

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

/**
 * Compares what lies in the data folder with the manifest and with what was recorded when it was pulled, byte for byte.
 *
 * @param names entries; none: all
 * @param dataPath data folder
 * @returns one verdict an entry, in order
 * @throws {Error} naming an entry that is unknown
 */
export async function verifyData(
  names: readonly string[],
  dataPath: string,
  { manifest, ...options }: DataOptions = {},
): Promise<Verdict[]> {
  const all = manifest ?? (await readManifest());
  const chosen = names.length > 0 ? choose(all, names) : all.files;
  const verdicts: Verdict[] = [];
  for (const entry of chosen) verdicts.push(await verify(entry, dataRoot(dataPath), options));
  return verdicts;
}

async function verify(entry: OutsideAsset, root: string, options: StepOptions): Promise<Verdict> {
  const none = { name: entry.name, files: 0, changed: [], missing: [] };
  if (entry.kind === 'service') return { ...none, state: 'service' };
  const record = await readRecord(root, entry.name);
  const expected = await expectedOf(entry, record, root);
  if (expected.length === 0) return { ...none, state: 'never pulled' };
  const states = await compare(expected, root, options);
  const those = (state: string): string[] => expected.flatMap(({ path }, index) => (states[index] === state ? path : [])); // prettier-ignore
  const [changed, missing] = [those('changed'), those('missing')];
  const other = entry.kind === 'prefix' && entry.sha256 !== RECORDED && record?.head.sha256 !== entry.sha256;
  if (other) changed.unshift(`the list of files, which data-manifest.json has as ${entry.sha256}`);
  const state = changed.length > 0 ? 'changed' : missing.length > 0 ? 'missing' : 'ok';
  return { ...none, state, files: expected.length, changed, missing };
}

type Expected = Pick<FileRecord, 'path' | 'sha256'> & { bytes?: number | undefined };

/** What is to lie here: as the manifest states it of one file, else as recorded. */
async function expectedOf(
  { kind, path, sha256 }: OutsideFiles,
  record: DataRecord | undefined,
  root: string,
): Promise<Expected[]> {
  const stated = kind === 'file' && sha256 !== RECORDED;
  if (stated && (record || (await fileAt(join(root, path))))) return [{ path, sha256 }];
  return [...(record?.files.values() ?? [])];
}

async function compare(
  expected: readonly Expected[],
  root: string,
  { signal, onProgress }: StepOptions,
): Promise<('ok' | 'changed' | 'missing')[]> {
  const totalBytes = expected.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
  let read = 0;
  const work = async ({ path, bytes, sha256 }: Expected): Promise<'ok' | 'changed' | 'missing'> => {
    const found = await fileAt(join(root, path));
    if (!found) return 'missing';
    if (bytes !== undefined && found.size !== bytes) return 'changed';
    const same = (await sha256Of(join(root, path))) === sha256;
    read += found.size;
    return same ? 'ok' : 'changed';
  };
  const tell = (progress: Progress): void => onProgress?.({ ...progress, bytes: read, totalBytes });
  return eachUnit(expected, 'files', work, { signal, onProgress: tell, concurrency: 4 });
}

/** The file at a path; `undefined` where there is none. */
async function fileAt(path: string): Promise<Stats | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  return found?.isFile() ? found : undefined;
}

/** In hexadecimal. */
async function sha256Of(path: string): Promise<string> {
  return Buffer.from(await sumOf(path, { algorithm: 'sha256', value: '' }), 'base64').toString('hex');
}
