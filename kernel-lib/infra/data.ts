import { existsSync } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Progress, type StepOptions, dataRoot, eachUnit } from '../ard/index.ts';
import { type DataManifest, type OutsideAsset, type OutsideFiles, RECORDED, readManifest } from './manifest.ts';
import { bytesText, filesText } from './plan.ts';
import { type DataRecord, type FileRecord, type RecordHead, fileAt, readHead, readRecord, sha256Of } from './record.ts';

/** Options of {@link listData}, {@link pullData} and {@link verifyData}. */
export interface DataOptions extends StepOptions {
  /** Default: `data-manifest.json` of the checkout. */
  manifest?: DataManifest | undefined;
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
  const pulled = `pulled ${head.at.slice(0, 10)}: ${filesText(head.files)}, ${bytesText(head.bytes)}`;
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
  return `${filesText(files)}, ${bytesText(bytes)}`;
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
  const chosen = names.length > 0 ? chooseEntries(all, names) : all.files;
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
  const states = await compareFiles(expected, root, options);
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

export async function compareFiles(
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

/** @throws {Error} naming what there is no entry of, and those that there are */
export function chooseEntries({ files }: DataManifest, names: readonly string[]): OutsideAsset[] {
  return names.map((name) => {
    const found = files.find((entry) => entry.name === name);
    if (found) return found;
    throw new Error(`no entry ${name} in data-manifest.json: there are ${files.map((entry) => entry.name).join(', ')}`);
  });
}
