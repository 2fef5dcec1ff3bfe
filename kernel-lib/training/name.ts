/** Models by their names: `models/<name>/<version>`, as `models/<name>/latest` and a text like `roofs@4f0c` name them. */
import { existsSync } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { dataRoot, readJson } from '../ard/index.ts';
import { type ModelCard, parseCard } from './card.ts';

/** A model version on disk. */
export interface ListedModel {
  name: string;
  version: string;
  folder: string;
  /** Whether it is the one that is taken where none is named. */
  latest: boolean;
  /** When its folder got its name. */
  made: Date;
  /** What is wrong with its card, in which case there is none. */
  fault?: string | undefined;
  card?: ModelCard | undefined;
}

const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u;

/** Whether a text can be one folder's name and stand before or after an `@`. */
export function isModelName(text: string): boolean {
  return NAME.test(text);
}

/**
 * Folder of a model.
 *
 * @param text its name, `roofs`, of which the newest version is taken; name and version, of which the first digits do, `roofs@4f0c`; or, with
 *   a slash in it, the folder itself
 * @throws {Error} when there is no such model or version, or several: listing those that there are
 */
export async function findModel(dataPath: string, text: string): Promise<string> {
  if (text.includes('/')) {
    if (existsSync(join(text, 'card.json'))) return resolve(text);
    throw new Error(`${text} is no model's folder: it has no card.json; ${await thereAre(dataPath)}`);
  }
  const [name, wanted, ...more] = text.split('@');
  if (!isModelName(name) || more.length > 0)
    throw new RangeError(`"${text}" names no model: expected name or name@version; ${await thereAre(dataPath)}`);
  const home = join(dataRoot(dataPath), 'models', name);
  const there = await versionsIn(home);
  if (there.length === 0) throw new Error(`no model ${name} in ${dataRoot(dataPath)}/models; ${await thereAre(dataPath)}`);
  return join(home, versionMeant(home, there, wanted, wanted === undefined ? await latestText(home) : undefined));
} // prettier-ignore

/**
 * The version of a model that is meant, of those that there are.
 *
 * @param home folder or s3:// prefix of the model, its name the last part
 * @param wanted the first digits of a version. Default: the newest
 * @param latest what `latest` beside them holds; asked only where none is wanted
 * @throws {Error} when there is none, or several: listing those that there are
 */
export function versionMeant(home: string, there: readonly string[], wanted: string | undefined, latest: string | undefined): string {
  return oneOf(there, basename(home), wanted ?? latestOf(home, there, latest), home);
} // prettier-ignore

function oneOf(there: readonly string[], name: string, wanted: string | undefined, home: string): string {
  if (wanted === undefined && there.length === 1) return there[0];
  const several = there.map((id) => `${name}@${id}`).join(' or ');
  if (wanted === undefined) throw new Error(`${home}/latest is missing: name a version, ${several}`);
  const fitting = there.filter((id) => id === wanted || (wanted !== '' && id.startsWith(wanted)));
  const exact = fitting.find((id) => id === wanted);
  if (exact !== undefined || fitting.length === 1) return exact ?? fitting[0];
  if (fitting.length > 1) throw new Error(`${name}@${wanted} may be ${fitting.join(' or ')}: give more of it`);
  throw new Error(`no version ${wanted} of ${name}: there ${there.length === 1 ? 'is' : 'are'} ${there.join(', ')}`);
}

/** What a refusal tells of the models that there are. */
async function thereAre(dataPath: string): Promise<string> {
  const names = await modelNames(dataPath);
  if (names.length === 0) return 'there is none: run notebook 06-training, or imagesim train';
  return `there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`;
}

async function latestText(home: string): Promise<string | undefined> {
  const path = join(home, 'latest');
  return existsSync(path) ? readFile(path, 'utf8') : undefined;
}

function latestOf(home: string, there: readonly string[], text: string | undefined): string | undefined {
  const version = text?.trim();
  if (version === undefined || there.includes(version)) return version;
  throw new Error(`${home}/latest holds ${JSON.stringify(version.slice(0, 40))}, no version: write one of ${there.join(', ')} into it`); // prettier-ignore
}

/** Versions in a model's folder, in order: folders with a card, none that is still trained or written. */
async function versionsIn(home: string): Promise<string[]> {
  const names = existsSync(home) && (await stat(home)).isDirectory() ? await readdir(home) : [];
  return names.filter((name) => isModelName(name) && existsSync(join(home, name, 'card.json'))).sort();
}

async function modelNames(dataPath: string): Promise<string[]> {
  const root = join(dataRoot(dataPath), 'models');
  const names = existsSync(root) ? (await readdir(root)).filter(isModelName).sort() : [];
  const counts = await Promise.all(names.map(async (name) => (await versionsIn(join(root, name))).length));
  return names.filter((_, index) => counts[index] > 0);
}

/**
 * Every version of every model, by name, the oldest first. One whose card cannot be read is listed with its fault.
 *
 * @param name only this model's. Default: all
 * @throws {Error} when there is no such model
 */
export async function listModels(dataPath: string, name?: string): Promise<ListedModel[]> {
  const names = await modelNames(dataPath);
  if (name !== undefined && !names.includes(name))
    throw new Error(`no model ${name} in ${dataRoot(dataPath)}/models; ${await thereAre(dataPath)}`);
  const chosen = name === undefined ? names : [name];
  return (await Promise.all(chosen.map((each) => listVersions(dataPath, each)))).flat();
}

async function listVersions(dataPath: string, name: string): Promise<ListedModel[]> {
  const home = join(dataRoot(dataPath), 'models', name);
  const there = await versionsIn(home);
  const latest = (await latestText(home))?.trim(); // a damaged one is told by whoever needs it
  const versions = there.map(async (version): Promise<ListedModel> => {
    const folder = join(home, version);
    const facts = { name, version, folder, latest: version === latest, made: (await stat(folder)).mtime };
    return readCard(folder).then(
      (card) => ({ ...facts, card }),
      (error: unknown) => ({ ...facts, fault: (error as Error).message }),
    );
  });
  return (await Promise.all(versions)).sort((a, b) => a.made.getTime() - b.made.getTime());
}

/** The card of a model. @throws {Error} naming the file and what is wrong with it */
export async function readCard(folder: string): Promise<ModelCard> {
  const path = join(folder, 'card.json');
  return parseCard(path, await readJson(path));
}
