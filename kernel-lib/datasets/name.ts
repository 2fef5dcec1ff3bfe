import { existsSync } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dataRoot } from '../ard/index.ts';
import { type DatasetManifest, readManifest } from './manifest.ts';

/** A version on disk, as `imagesim dataset list` tells it. */
export interface ListedVersion {
  name: string;
  version: string;
  /** Whether it is the one that is read where none is named. */
  latest: boolean;
  /** When its folder got its name. */
  made: Date;
  /** What is wrong with its manifest, in which case there is none. */
  fault?: string | undefined;
  manifest?: DatasetManifest | undefined;
}

/** @throws {RangeError} when a name cannot be one folder's, or holds what parts a name from a version */
export function checkName(name: string): void {
  if (/^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u.test(name)) return;
  throw new RangeError(
    `"${name}" cannot be a dataset's name: take letters, digits, -, _ and dots, without a slash or an @, as zone33-roofs`,
  );
}

/** Folder of a dataset's versions: `datasets/<name>`. */
export function datasetHome(dataPath: string, name: string): string {
  return join(dataRoot(dataPath), 'datasets', name);
}

/** A dataset and, after an `@`, its version: `zone33`, `zone33@4f0c`. */
export function parseDataset(text: string): { name: string; version?: string | undefined } {
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  checkName(name);
  return { name, version: at < 0 ? undefined : text.slice(at + 1) };
}

/** The newest version of a dataset, as its `latest` says; nothing where none was written. */
export async function latestOf(home: string): Promise<string | undefined> {
  const path = join(home, 'latest');
  if (!existsSync(path)) return undefined;
  const version = (await readFile(path, 'utf8')).trim();
  if (/^[0-9a-f]{12}$/.test(version)) return version;
  throw new Error(`${path} holds ${JSON.stringify(version.slice(0, 40))}, no version: write one of ${(await versionsIn(home)).join(', ')} into it`); // prettier-ignore
}

/**
 * Folder of a version.
 *
 * @param version its id, or a beginning of it that no other version has. Default: the newest
 * @throws {Error} when there is no such dataset or version, or several: listing those that there are
 */
export async function findVersion(dataPath: string, name: string, version?: string): Promise<string> {
  checkName(name);
  const home = datasetHome(dataPath, name);
  const there = await versionsIn(home);
  if (there.length === 0) throw new Error(await nothingOf(dataPath, name));
  const wanted = version ?? (await latestOf(home));
  if (wanted === undefined)
    throw new Error(`${home}/latest is missing: name a version, ${there.map((id) => `${name}@${id}`).join(' or ')}`);
  const fitting = there.filter((id) => wanted !== '' && id.startsWith(wanted));
  if (fitting.length === 1) return join(home, fitting[0]);
  if (fitting.length > 1) throw new Error(`${name}@${wanted} may be ${fitting.join(' or ')}: give more digits`);
  throw new Error(`no version ${wanted} of ${name}: there ${there.length === 1 ? 'is' : 'are'} ${there.join(', ')}`);
}

async function nothingOf(dataPath: string, name: string): Promise<string> {
  const names = await datasetNames(dataPath);
  const others = names.length > 0 ? `there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}` : 'there is none';
  return `no dataset ${name} in ${dataRoot(dataPath)}/datasets, ${others}: run notebook 05-datasets, or imagesim dataset create`;
}

/** Ids of the versions in a dataset's folder, in order. */
async function versionsIn(home: string): Promise<string[]> {
  if (!existsSync(home)) return [];
  return (await readdir(home)).filter((entry) => /^[0-9a-f]{12}$/.test(entry)).sort();
}

async function datasetNames(dataPath: string): Promise<string[]> {
  const root = join(dataRoot(dataPath), 'datasets');
  if (!existsSync(root)) return [];
  const names = (await readdir(root)).sort();
  const counts = await Promise.all(names.map(async (name) => ((await stat(join(root, name))).isDirectory() ? (await versionsIn(join(root, name))).length : 0))); // prettier-ignore
  return names.filter((_, index) => counts[index] > 0);
}

/**
 * Every version of every dataset, by name, the oldest first. One whose manifest cannot be read is listed with its fault.
 *
 * @param name only this dataset's. Default: all
 * @throws {Error} when there is no such dataset
 */
export async function listDatasets(dataPath: string, name?: string): Promise<ListedVersion[]> {
  const names = name === undefined ? await datasetNames(dataPath) : [name];
  if (name !== undefined) await findVersion(dataPath, name, (await versionsIn(datasetHome(dataPath, name)))[0]);
  const listed = await Promise.all(names.map((each) => listVersions(dataPath, each)));
  return listed.flat();
}

async function listVersions(dataPath: string, name: string): Promise<ListedVersion[]> {
  const home = datasetHome(dataPath, name);
  const latest = await latestOf(home).catch(() => undefined); // a damaged one is told by whoever needs it
  const versions = (await versionsIn(home)).map(async (version): Promise<ListedVersion> => {
    const folder = join(home, version);
    const facts = { name, version, latest: version === latest, made: (await stat(folder)).mtime };
    return readManifest(folder).then(
      (manifest) => ({ ...facts, manifest }),
      (error: unknown) => ({ ...facts, fault: (error as Error).message }),
    );
  });
  return (await Promise.all(versions)).sort((a, b) => a.made.getTime() - b.made.getTime());
}
