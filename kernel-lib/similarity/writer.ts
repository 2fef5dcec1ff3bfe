/** What whoever writes a table needs: to be the only one, to stand on what is live, to forget what is old. */
import { join } from 'node:path';
import type { Table } from '@lancedb/lancedb';
import { withLock } from '../ard/index.ts';
import { LIVE, isBucket, versionTags } from './place.ts';

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

/** LanceDB's number of the version that is live; none where no deploy was ever finished. */
export async function liveVersion(table: Table): Promise<number | undefined> {
  return (await versionTags(table)).includes(LIVE) ? (await table.tags()).getVersion(LIVE) : undefined;
}

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
  const tags = await table.tags();
  const live = await tags.getVersion(LIVE);
  const names = (await versionTags(table)).filter((name) => name !== LIVE);
  const numbers = new Map<string, number>();
  for (const name of names) numbers.set(name, await tags.getVersion(name));
  const old = names.slice(0, Math.max(0, names.length - keep)).filter((name) => numbers.get(name) !== live);
  if (old.length === 0) return [];
  for (const name of old) await tags.delete(name);
  const oldest = Math.min(live, ...names.filter((name) => !old.includes(name)).map((name) => numbers.get(name)!));
  const found = (await table.listVersions()).find(({ version }) => version === oldest);
  const deleteUnverified = false; // another writer of a bucket may be at work
  if (found) await table.optimize({ cleanupOlderThan: found.timestamp, deleteUnverified });
  return old;
}
