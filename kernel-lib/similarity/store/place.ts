/** Where the similarity store lies, and its tables. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Connection, type Table, connect } from '@lancedb/lancedb';
import { dataRoot, makeFolder } from '../../ard/index.ts';

/** The tag that readers follow: it moves once, when a deploy is whole. */
export const LIVE = 'live';

/** Folder or s3:// prefix of the tables: `embeddings` below a data folder or a bucket's prefix. */
export function storePlace(dataPath: string): string {
  return isBucket(dataPath) ? `${dataPath.replace(/\/+$/, '')}/embeddings` : join(dataRoot(dataPath), 'embeddings');
}

/** Whether a place is a bucket's. */
export function isBucket(place: string): boolean {
  return place.startsWith('s3://');
}

/** Connects for writing; makes the folder. */
export async function connectTo(place: string): Promise<Connection> {
  if (!isBucket(place)) await makeFolder(place);
  return connect(place, { storageOptions: isBucket(place) ? bucketOptions() : {} });
}

/** What LanceDB has to be told of an endpoint of one's own; keys and region it reads itself. */
function bucketOptions(): Record<string, string> {
  const endpoint = process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL;
  const region = process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || 'us-west-2';
  return { region, ...(endpoint && { endpoint, allow_http: String(endpoint.startsWith('http:')) }) };
}

const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u;

/** @throws {RangeError} when a text cannot be a table's name */
export function checkTableName(table: string): void {
  if (!NAME.test(table)) throw new RangeError(`"${table}" cannot be a table's name: take letters, digits, - and _`);
}

/** Names of all tables, in order; none where there is no store. */
export async function tableNames(place: string): Promise<string[]> {
  if (!isBucket(place) && !existsSync(place)) return []; // to connect would make the folder
  return (await allNames(await connectTo(place))).sort();
}

/** LanceDB lists ten at once. */
async function allNames(store: Connection): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const some = await store.tableNames({ limit: 1000, ...(names.length > 0 && { startAfter: names.at(-1)! }) });
    names.push(...some);
    if (some.length < 1000) return names;
  }
}

/** Opens a table at its latest version; nothing where a deploy that died has left files and no version. */
export async function openLatest(store: Connection, table: string): Promise<Table | undefined> {
  return store.openTable(table).catch((error: unknown) => {
    if (isGone(error)) return undefined;
    throw error;
  });
}

/**
 * Opens a version of a table for reading.
 *
 * @param version its tag. Default: the one that is live
 * @throws {Error} naming the tables that there are, when it is not among them, or was never deployed whole
 */
export async function openTable(place: string, table: string, version: string = LIVE): Promise<Table> {
  const names = await tableNames(place);
  if (!names.includes(table))
    throw new Error(`no table ${table} in ${place} (it holds ${names.join(', ') || 'none'}): run imagesim similarity deploy, or notebook 07-similarity`); // prettier-ignore
  const opened = await openLatest(await connectTo(place), table);
  const { live, named } = opened ? await versionsOf(opened) : { live: undefined, named: new Map<string, number>() };
  if (opened && (version === LIVE ? live !== undefined : named.has(version))) {
    await opened.checkout(version);
    return opened;
  }
  if (version === LIVE)
    throw new Error(`table ${table} in ${place} was never deployed whole by this version of imagesim: deploy it again`);
  throw new Error(`no version ${version} of table ${table}: there are ${[...named.keys()].join(', ')}`);
}

/** Versions of a table that have a name. */
export interface Versions {
  /** LanceDB's number of the one that answers; none where no deploy was ever finished. */
  live: number | undefined;
  /** LanceDB's numbers by name, `v1`, `v2` and so on, first to last. */
  named: Map<string, number>;
}

/** Whether LanceDB missed a file or a name: what was pruned while it was read. */
export function isGone(error: unknown): boolean {
  return /not found/i.test(String(error));
}

/** Names that a writer may take away while they are read: so often is it tried again. */
const TRIES = 10;

/** The versions of a table. */
export async function versionsOf(table: Table): Promise<Versions> {
  const tags = await table.tags();
  for (let left = TRIES; ; left--) {
    const found = await tags.list().catch((error: unknown) => {
      if (left === 0 || !/Ref not found|Not found: .*_refs/.test(String(error))) throw error;
    });
    if (!found) continue;
    const numbers = Object.entries(found).map(([name, { version }]) => [name, version] as const);
    const named = numbers.filter(([name]) => name !== LIVE).sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)));
    return { live: found[LIVE]?.version, named: new Map(named) };
  }
}
