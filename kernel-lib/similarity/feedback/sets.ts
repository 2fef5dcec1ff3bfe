import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { dataRoot, readJson, withLock, writeWhole } from '../../ard/index.ts';
import type { DatasetRow, Licence } from '../../datasets/index.ts';
import type { Search } from './feedback.ts';

/** One acquisition of a square of ground. */
export type ChipKey = Pick<DatasetRow, 'id' | 'catid' | 'date'>;

/** What a search has found, as it lies on disk. */
export interface SavedSet {
  format: 1;
  name: string;
  /** Model that made the vectors, and dataset version that was searched: `name@version`. */
  model: string;
  dataset: string;
  /** When it was saved, ISO 8601. */
  saved: string;
  /** Chips that were asked with; none where the query was an image of one's own. */
  query: ChipKey[];
  /** What is looked for, in the words of whoever saved it; may be empty. */
  note: string;
  method: string;
  rounds: number;
  accepted: ChipKey[];
  rejected: ChipKey[];
  /** Of the dataset, and with it of the set. */
  licences: Licence[];
}

/** What a set is saved with. */
export interface SaveSetOptions {
  /** The search, judged. */
  search: Pick<Search, 'query' | 'method' | 'round' | 'accepted' | 'rejected'>;
  /** The chips that were searched, in the order of the search's. */
  rows: readonly DatasetRow[];
  /** `name@version`, both. */
  model: string;
  dataset: string;
  /** As `dataset.manifest.licences`. */
  licences: readonly Licence[];
  /** What is looked for. Default: empty. */
  note?: string | undefined;
  /** Whether a set of this name with another query or model goes. Default: it stays, and nothing is saved. */
  replace?: boolean | undefined;
}

const chip = z.object({ id: z.string(), catid: z.string(), date: z.string() });
const schema: z.ZodType<SavedSet> = z.object({
  format: z.literal(1, 'it is of another version of imagesim'),
  name: z.string(),
  model: z.string(),
  dataset: z.string(),
  saved: z.iso.datetime(),
  query: z.array(chip),
  note: z.string(),
  method: z.string(),
  rounds: z.number().int().positive(),
  accepted: z.array(chip),
  rejected: z.array(chip),
  licences: z.array(z.object({ source: z.string(), licence: z.string(), attribution: z.string() })),
});

/** Where a set lies: `embeddings/sets/<name>.json`. @throws {RangeError} when the name cannot be a file's */
function setPath(dataPath: string, name: string): string {
  if (!/^[\p{L}\p{N}_][\p{L}\p{N}_. -]*$/u.test(name))
    throw new RangeError(`"${name}" cannot be a set's name: take letters, digits, spaces, -, _ and dots, as flat roofs`); // prettier-ignore
  return join(dataRoot(dataPath), 'embeddings', 'sets', `${name}.json`);
}

/**
 * Saves what a search has found, whole or not at all. The same search taken further replaces what it saved before.
 *
 * @returns the set, and where it lies
 * @throws {RangeError} when nothing was accepted, or the name cannot be a file's
 * @throws {Error} when a set of this name has another query or model, and `replace` is not said
 */
export async function saveSet(
  dataPath: string,
  name: string,
  { search, rows, model, dataset, licences, note = '', replace = false }: SaveSetOptions,
): Promise<SavedSet & { path: string }> {
  const path = setPath(dataPath, name);
  if (search.accepted.length === 0)
    throw new RangeError(`saveSet: nothing was accepted for "${name}": accept some answers first`);
  const keys = (indices: readonly number[]): ChipKey[] => indices.map((index) => keyOf(rows, index));
  const set: SavedSet = {
    format: 1,
    name,
    model,
    dataset,
    saved: new Date().toISOString(),
    query: keys(search.query),
    note,
    method: search.method,
    rounds: search.round,
    accepted: keys(search.accepted),
    rejected: keys(search.rejected),
    licences: [...licences],
  };
  await withLock(path, async () => {
    const known = existsSync(path) && !replace ? await readSet(dataPath, name) : undefined;
    if (known && originOf(known) !== originOf(set))
      throw new Error(`${path} holds another search (${known.accepted.length} places by ${known.model}, saved ${known.saved}): take another name, or say replace`); // prettier-ignore
    await writeWhole(path, `${JSON.stringify(set, null, 2)}\n`);
  });
  return { ...set, path };
}

/** What makes two sets the same search. */
function originOf({ model, dataset, query, note }: SavedSet): string {
  return JSON.stringify([model, dataset, query, query.length === 0 ? note : '']);
}

function keyOf(rows: readonly DatasetRow[], index: number): ChipKey {
  if (!rows[index]) throw new RangeError(`saveSet: no row ${index}, there are ${rows.length}: give the rows that were searched`); // prettier-ignore
  const { id, catid, date } = rows[index];
  return { id, catid, date };
}

/** Reads a set. @throws {Error} naming the file that is missing or damaged, and the sets that there are */
export async function readSet(dataPath: string, name: string): Promise<SavedSet> {
  const path = setPath(dataPath, name);
  if (!existsSync(path)) {
    const names = await setNames(dataPath);
    throw new Error(`no set "${name}" in ${dataRoot(dataPath)}/embeddings/sets: there ${names.length === 0 ? 'is none; save one with saveSet' : `is ${names.join(', ')}`}`); // prettier-ignore
  }
  const { success, data, error } = schema.safeParse(await readJson(path));
  if (success) return data;
  const [issue] = error.issues;
  throw new Error(`${path} is damaged at ${issue.path.join('.') || 'the top'}: ${issue.message}; save the set again`);
}

/** A set in a list. */
export interface ListedSet extends Pick<SavedSet, 'name' | 'model' | 'dataset' | 'saved' | 'note'> {
  accepted: number;
  rejected: number;
  /** What is wrong with its file, in which case the rest is empty. */
  fault?: string | undefined;
}

/** All saved sets, by name. One that cannot be read is listed with its fault. */
export async function listSets(dataPath: string): Promise<ListedSet[]> {
  const listed = (await setNames(dataPath)).map((name) =>
    readSet(dataPath, name).then(
      ({ model, dataset, saved, note, accepted, rejected }): ListedSet => ({ name, model, dataset, saved, note, accepted: accepted.length, rejected: rejected.length }),
      (error: unknown): ListedSet => ({ name, model: '', dataset: '', saved: '', note: '', accepted: 0, rejected: 0, fault: (error as Error).message }),
    ),
  ); // prettier-ignore
  return Promise.all(listed);
}

async function setNames(dataPath: string): Promise<string[]> {
  const folder = join(dataRoot(dataPath), 'embeddings', 'sets');
  const files = existsSync(folder) ? await readdir(folder) : [];
  return files.filter((file) => !file.startsWith('.') && file.endsWith('.json')).map((file) => file.slice(0, -5)).sort(); // prettier-ignore
}

/**
 * The rows of a set's chips, to go on where it was left: `startSearch(vectors, rows, { query: …, ...rowsOfSet(set, rows) })`.
 *
 * @throws {Error} naming a chip that is not among the rows: they are of another dataset
 */
export function rowsOfSet(
  { name, dataset, query, accepted, rejected }: SavedSet,
  rows: readonly DatasetRow[],
): { query: number[]; accepted: number[]; rejected: number[] } {
  const places = new Map(rows.map(({ id, catid, date }, index) => [`${id} ${catid} ${date}`, index]));
  const indexOf = ({ id, catid, date }: ChipKey): number => {
    const index = places.get(`${id} ${catid} ${date}`);
    if (index !== undefined) return index;
    throw new Error(`set "${name}" has the chip ${id} of ${catid} (${date}), which is not among these ${rows.length}: read dataset ${dataset}`); // prettier-ignore
  };
  return { query: query.map(indexOf), accepted: accepted.map(indexOf), rejected: rejected.map(indexOf) };
}
