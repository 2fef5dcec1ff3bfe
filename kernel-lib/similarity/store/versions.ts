/** Versions of the store's tables: list them, go back to one, forget the oldest. */
import type { Table } from '@lancedb/lancedb';
import { type StoreFacts, readFacts } from './facts.ts';
import { LIVE, connectTo, isGone, openLatest, openTable, storePlace, tableNames, versionsOf } from './place.ts';
import { oneWriter, prune } from './writer.ts';

/** A version of a table. */
export interface ListedStore extends StoreFacts {
  table: string;
  /** `v1`, `v2` and so on. */
  version: string;
  /** Whether it is the one that answers. */
  live: boolean;
}

/**
 * Every version of every table, by name, the oldest first. Tables without a finished deploy are not among them.
 *
 * @param table only this one's. Default: all
 * @throws {Error} when there is no such table
 */
export async function listStores(dataPath: string, table?: string): Promise<ListedStore[]> {
  const place = storePlace(dataPath);
  const names = table === undefined ? await tableNames(place) : [table];
  const listed: ListedStore[] = [];
  for (const name of names) {
    const opened = table === undefined ? await openLatest(await connectTo(place), name) : await openTable(place, name);
    if (opened) listed.push(...(await listedOf(opened)));
  }
  return listed;
}

async function listedOf(table: Table): Promise<ListedStore[]> {
  const { live, named } = await versionsOf(table);
  if (live === undefined) return [];
  const listed: ListedStore[] = [];
  for (const [version, number] of named) {
    const facts = await table.checkout(version).then(() => readFacts(table)).catch((error: unknown) => {
      if (!isGone(error)) throw error; // else it was pruned meanwhile
    }); // prettier-ignore
    if (facts) listed.push({ ...facts, table: table.name, version, live: number === live });
  }
  return listed;
}

/** Names of the tables that a deploy was finished of, in order. */
export async function listTables(dataPath: string): Promise<string[]> {
  const place = storePlace(dataPath);
  const finished: string[] = [];
  for (const name of await tableNames(place)) {
    const opened = await openLatest(await connectTo(place), name);
    if (opened && (await versionsOf(opened)).live !== undefined) finished.push(name);
  }
  return finished;
}

/**
 * Lets another version of a table answer; the next deploy goes on from it.
 *
 * @param version as {@link listStores} names it
 * @throws {Error} listing the versions that there are, when it is none of them
 */
export async function goBack(dataPath: string, table: string, version: string): Promise<void> {
  const place = storePlace(dataPath);
  const opened = await openTable(place, table, version);
  await oneWriter(place, table, {}, async () => (await opened.tags()).update(LIVE, await opened.version()));
}

/**
 * Forgets all but the newest versions of a table, and frees what only they held. What is live stays.
 *
 * @param keep how many stay, 1 or more
 * @returns the versions that went
 */
export async function pruneStore(dataPath: string, table: string, keep: number): Promise<string[]> {
  if (!Number.isInteger(keep) || keep < 1) throw new RangeError(`pruneStore keeps 1 version or more, got ${keep}`);
  const place = storePlace(dataPath);
  const opened = await openTable(place, table);
  return oneWriter(place, table, {}, () => prune(opened, keep));
}
