/** What whoever writes a table needs: to be the only one, to stand on what is live, to forget what is old. */
import { join } from 'node:path';
import type { Table } from '@lancedb/lancedb';
import { withLock } from '../../ard/index.ts';
import { LIVE, isBucket, versionsOf } from './place.ts';

/** Options of {@link oneWriter}. */
export interface WriterOptions {
  /** How long to wait for another process that writes the table. Default: 2000. */
  waitMs?: number | undefined;
}

const WAIT_MS = 2000;

/**
 * Runs `work` while no other process writes the table: by a lock beside it on a disk. In a bucket nothing is locked: who comes later finds that another
 * version is live than the one it began with.
 *
 * @throws {Error} when another process is writing it
 */
export async function oneWriter<Result>(place: string, table: string, { waitMs = WAIT_MS }: WriterOptions, work: () => Promise<Result>): Promise<Result> {
  if (isBucket(place)) return work();
  const patience = AbortSignal.timeout(waitMs);
  let begun = false;
  const begin = (): Promise<Result> => ((begun = true), work());
  return withLock(join(place, table), begin, patience).catch((error: unknown) => {
    if (begun || error !== patience.reason) throw error;
    throw new Error(`table ${table} in ${place} is being written by another process: try again when it is done`, { cause: error });
  });
} // prettier-ignore

/** Goes on from the live version, whatever lies above it: an unfinished deploy, or what was gone back from. */
export async function standOnLive(table: Table): Promise<void> {
  await table.checkout(LIVE);
  const live = await table.version();
  await table.checkoutLatest();
  if ((await table.version()) === live) return;
  await table.checkout(LIVE);
  await table.restore();
}

/**
 * Takes the names off all versions but the newest and the one that is live, and frees what only they held. The table is at its latest version, which is
 * put in order by it.
 *
 * @param keep how many stay
 * @returns the versions that went
 */
export async function forget(table: Table, keep: number): Promise<string[]> {
  const { live, named } = await versionsOf(table);
  const numbers = [...named];
  const old = numbers.slice(0, Math.max(0, numbers.length - keep)).filter(([, number]) => number !== live);
  if (old.length === 0) return [];
  const tags = await table.tags();
  for (const [name] of old) await tags.delete(name);
  const oldest = Math.min(...(await versionsOf(table)).named.values(), live ?? Number.POSITIVE_INFINITY);
  const found = (await table.listVersions()).find(({ version }) => version === oldest);
  if (found) await cleanUp(table, found.timestamp);
  return old.map(([name]) => name);
}

/** As {@link forget}, of a table at whatever version: the names of what is live follow it when it is put in order. @returns the versions that went */
export async function prune(table: Table, keep: number): Promise<string[]> {
  const { live, named } = await versionsOf(table);
  await standOnLive(table);
  const gone = await forget(table, keep);
  const tags = await table.tags();
  const same = [...named.keys()].filter((name) => named.get(name) === live && !gone.includes(name));
  for (const name of [...same, LIVE]) await tags.update(name, await table.version()); // the same rows, put in order
  return gone;
}

/** Milliseconds by which what goes must be older than what stays. LanceDB counts them from when it comes to it, and refuses where a version that has a name would go. */
const MARGINS_MS = [200, 2000, 20_000, 200_000];

/** Removes what was written before a time and is in no version that has a name. What is too near to it stays until the next time. */
async function cleanUp(table: Table, before: Date): Promise<void> {
  await table.optimize({ cleanupOlderThan: new Date(0) }); // takes its time: by itself
  for (const margin of MARGINS_MS) {
    try {
      await table.optimize({ cleanupOlderThan: new Date(before.getTime() - margin), deleteUnverified: false });
      return;
    } catch (error) {
      if (!/tagged version/.test((error as Error).message)) throw error;
    }
  }
}
