import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { type FileHandle, open, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Digest, type Source, type SourceFile, type StepOptions, SourceError, bucketFault, cannotWrite, eachUnit,
  laidDown, makeFolder, partName, staleParts,
} from '../ard/index.ts'; // prettier-ignore
import { sumOf, sumOfBytes, valueOf } from './checksum.ts';
import { patiently } from './patience.ts';

/** A file of a source, and where on disk it goes. */
export interface Move {
  file: SourceFile;
  path: string;
}

/** Options of {@link bringFiles}. */
export interface TransferOptions extends StepOptions {
  /** How often in a row a file may fail before the step does, each time after a longer pause. Default: 7 */
  retries?: number | undefined;
  /** Without a byte for so long, a connection counts as broken. Default: 30,000 */
  stallMs?: number | undefined;
}

/** What {@link bringFiles} did. */
export interface Brought {
  bytes: number;
  /** Files of a bucket that states nothing of their bytes: of these the size alone was checked. */
  unverified: string[];
}

/**
 * Copies files of a source to the disk, each whole or not at all.
 *
 * A file is written under a temporary name, checked by size and by what the bucket states of its bytes, given the time
 * of the source, then renamed. Where a connection breaks, it goes on from the byte that it came to; so does a later run
 * where this one was killed.
 *
 * @param moves files and where they go; two must not go to one place
 * @throws {Error} naming the file, what was found and the remedy; what has arrived stays
 */
export async function bringFiles(source: Source, moves: readonly Move[], options: TransferOptions): Promise<Brought> {
  const stale = await takeStock(moves);
  if (options.signal) setMaxListeners(0, options.signal); // every connection listens to it
  const report = reporter(moves, options);
  const unverified: string[] = [];
  await eachUnit(
    moves,
    'files',
    async (move) => {
      const digest = await bringFile(source, move, stale.get(move.path), options, report);
      if (digest.algorithm === 'size' && move.file.etag !== undefined) unverified.push(move.file.key);
      report.finished();
    },
    { concurrency: options.concurrency ?? 8, signal: options.signal },
  );
  return { bytes: report.bytes, unverified };
}

/** A file on its way. */
interface Way {
  source: Source;
  file: SourceFile;
  /** The temporary name that it is written under. */
  part: string;
  options: TransferOptions;
  report: Reporter;
}

/** So many bytes and fewer are held in memory until they are checked, and written in one go. */
const SMALL = 1 << 17;

/** Brings one file. @returns by what it was checked */
async function bringFile(
  source: Source,
  { file, path }: Move,
  stale: string | undefined,
  options: TransferOptions,
  report: Reporter,
): Promise<Digest> {
  const way = { source, file, part: partName(path, markOf(file)), options, report };
  const small = file.bytes <= SMALL && !stale;
  try {
    await makeFolder(dirname(path));
    if (stale) await rename(stale, way.part).catch(takenMeanwhile);
    const { signal, retries = 7 } = options;
    const bring = (): Promise<Digest> => (small ? bringSmall(way) : bringLarge(way));
    const digest = await patiently(bring, { retries, signal, onFailed: (why) => report.waits(why) });
    const { size } = await stat(way.part);
    if (size !== file.bytes) throw new Error(`${path} grew to ${size} of ${file.bytes} bytes while it was written: does another program write there? Sync again`); // prettier-ignore
    await utimes(way.part, file.modified, file.modified);
    await rename(way.part, path);
    return digest;
  } catch (error) {
    await layDown(way, error).catch(() => undefined); // the first error is the one to tell
    throw cannotWrite(path, way.part, error);
  }
}

/** Another run may have gone on with it first: then this one begins anew. */
function takenMeanwhile(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Keeps the half of a file for a later run where that can go on with it; else removes it. */
async function layDown({ part, options }: Way, error: unknown): Promise<void> {
  const goesOn = options.signal?.aborted || (error instanceof SourceError && error.transient);
  const size = (await stat(part).catch(() => undefined))?.size ?? 0;
  await (goesOn && size > 0 ? rename(part, laidDown(part)) : rm(part, { force: true }));
}

/** Brings a file that memory can hold. */
async function bringSmall(way: Way): Promise<Digest> {
  const { source, file, part, report } = way;
  const pieces: Uint8Array[] = [];
  const take = async (batch: Uint8Array[]): Promise<void> => void pieces.push(...batch);
  await connect(way, 0, take);
  const bytes = Buffer.concat(pieces);
  if (bytes.length !== file.bytes) throw short(source, file, bytes.length);
  const digest = await check(way, async (stated) => sumOfBytes(bytes, stated));
  await writeFile(part, bytes);
  report.moved(part, bytes.length);
  return digest;
}

/** Brings what is missing of a file, and checks the whole. What does not fit is thrown away: the next attempt begins anew. */
async function bringLarge(way: Way): Promise<Digest> {
  const { source, file, part, report } = way;
  const handle = await open(part, 'a');
  try {
    let at = (await handle.stat()).size;
    report.moved(part, at);
    while (at < file.bytes) at = await bringOn(way, handle, at);
    if (at > file.bytes) throw new Unfit(short(source, file, at).message, { transient: true });
    return await check(way, (stated) => sumOf(part, stated));
  } catch (error) {
    if (error instanceof Unfit) await handle.truncate();
    throw error;
  } finally {
    await handle.close();
  }
}

/** Goes on from the byte that it came to. A connection that breaks after some bytes has done its part. @returns where it is */
async function bringOn(way: Way, handle: FileHandle, from: number): Promise<number> {
  let at = from;
  try {
    await connect(way, from, async (batch) => {
      at += (await handle.writev(batch)).bytesWritten;
      way.report.moved(way.part, at);
    });
    if (at === from) throw short(way.source, way.file, at);
  } catch (error) {
    if (at === from || !(error instanceof SourceError && error.transient)) throw error;
    await pause(100);
  }
  return at;
}

/** Hands over the bytes of one connection, from one on. @throws {SourceError} where it breaks, or says nothing more */
async function connect(
  { source, file, options: { signal, stallMs = 30_000 } }: Way,
  from: number,
  take: (batch: Uint8Array[]) => Promise<void>,
): Promise<void> {
  const watch = stallWatch(signal, stallMs);
  try {
    const stream = await source.open(file.key, { from, etag: file.etag, signal: watch.signal });
    for await (const batch of batches(stream, watch)) await take(batch);
  } catch (error) {
    signal?.throwIfAborted();
    throw watch.stalled() ? stalled(source, file, stallMs) : bucketFault(addressOf(source, file), error);
  } finally {
    watch.end();
  }
}

/** Collects the small pieces of a network stream, up to a megabyte or a quarter of a second: each write has its price. */
async function* batches(stream: AsyncIterable<Uint8Array>, watch: StallWatch): AsyncGenerator<Uint8Array[]> {
  let [batch, size, since] = [[] as Uint8Array[], 0, performance.now()];
  try {
    for await (const bytes of stream) {
      watch.alive();
      batch.push(bytes);
      size += bytes.length;
      if (size < 1 << 20 && performance.now() - since < 250) continue;
      yield batch;
      [batch, size, since] = [[], 0, performance.now()];
    }
  } catch (error) {
    if (size > 0) yield batch; // what came before the connection broke is not asked for again
    throw error;
  }
  if (size > 0) yield batch;
}

/** Bytes that are not those that the bucket states. */
class Unfit extends SourceError {}

/** @returns by what the bytes were checked @throws {Unfit} where they do not fit */
async function check({ source, file }: Way, sum: (digest: Digest) => Promise<string>): Promise<Digest> {
  let digest = statedBy(file) ?? (await source.digest(file));
  let found = await sum(digest);
  if (found !== valueOf(digest) && digest.algorithm === 'md5') {
    digest = await source.digest(file); // an ETag may be another thing than the MD5: the bucket, asked, tells
    found = await sum(digest);
  }
  if (found === valueOf(digest)) return digest;
  throw new Unfit(
    `${addressOf(source, file)} arrived changed: ${digest.algorithm} ${found}, where ${valueOf(digest)} is stated: sync again, and tell who keeps the bucket if it stays so`,
    { transient: true },
  );
}

function short(source: Source, file: SourceFile, bytes: number): SourceError {
  return new SourceError(`${addressOf(source, file)} arrived with ${bytes} of ${file.bytes} bytes: sync again`, {
    transient: true,
  });
}

function stalled(source: Source, file: SourceFile, ms: number): SourceError {
  return new SourceError(
    `${addressOf(source, file)} sent nothing for ${ms / 1000} s: check the network, and sync again`,
    {
      transient: true,
    },
  );
}

const addressOf = ({ address }: Source, { key }: SourceFile): string => `${address.replace(/\/$/, '')}/${key}`;

/** The digest that a listing itself states: an ETag that looks like an MD5, or of a folder the size. */
function statedBy({ etag }: SourceFile): Digest | undefined {
  if (etag === undefined) return { algorithm: 'size' };
  return /^[0-9a-f]{32}$/.test(etag) ? { algorithm: 'md5', value: etag } : undefined;
}

/** By what a later run knows that a half-written file is of the same object: eight digits. */
function markOf({ etag, bytes, modified }: SourceFile): string {
  return createHash('sha256').update(`${etag} ${bytes} ${modified.getTime()}`).digest('hex').slice(0, 8);
}

/** Bytes of these files that are there from an earlier run, and need not be brought again. */
export async function bytesLeft(moves: readonly Move[]): Promise<number> {
  const wanted = new Set(moves.map(({ file, path }) => `${dirname(path)}/${basename(path)}.${markOf(file)}`));
  let bytes = 0;
  for (const folder of new Set(moves.map(({ path }) => dirname(path)))) {
    for (const { path, of } of await staleParts(folder))
      if (wanted.has(`${folder}/${of}`)) bytes += (await stat(path).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

/** Finds what runs that are no more left of these files, and removes what can no longer be gone on with. */
async function takeStock(moves: readonly Move[]): Promise<Map<string, string>> {
  const wanted = new Map(moves.map(({ file, path }) => [`${dirname(path)}/${basename(path)}.${markOf(file)}`, path]));
  const found = new Map<string, string>();
  for (const folder of new Set(moves.map(({ path }) => dirname(path)))) {
    for (const { path, of } of await staleParts(folder)) {
      const target = wanted.get(`${folder}/${of}`);
      if (target && !found.has(target)) found.set(target, path);
      else await rm(path, { force: true });
    }
  }
  return found;
}

interface StallWatch {
  signal: AbortSignal;
  /** A byte has come. */
  alive(): void;
  stalled(): boolean;
  end(): void;
}

/** Aborts where nothing comes for too long, or the outer signal does. */
function stallWatch(outer: AbortSignal | undefined, ms: number): StallWatch {
  const own = new AbortController();
  const timer = setTimeout(() => own.abort(), ms);
  return {
    signal: outer ? AbortSignal.any([outer, own.signal]) : own.signal,
    alive: () => void timer.refresh(),
    stalled: () => own.signal.aborted,
    end: () => clearTimeout(timer),
  };
}

/** Counts what all transfers together have done, and tells it at most five times a second. */
interface Reporter {
  /** So many bytes of a file are there. */
  moved(part: string, bytes: number): void;
  finished(): void;
  /** Why a transfer waits. */
  waits(why: string): void;
  readonly bytes: number;
}

function reporter(moves: readonly Move[], { onProgress }: TransferOptions): Reporter {
  const totalBytes = moves.reduce((sum, { file }) => sum + file.bytes, 0);
  const parts = new Map<string, number>();
  let [done, bytes, told] = [0, 0, -Infinity];
  const tell = (note?: string): void => {
    told = performance.now();
    onProgress?.({ done, total: moves.length, unit: 'files', bytes, totalBytes, ...(note ? { note } : {}) });
  };
  return {
    moved(part, now) {
      bytes += now - (parts.get(part) ?? 0);
      parts.set(part, now);
      if (performance.now() - told > 200) tell();
    },
    finished() {
      done++;
      tell();
    },
    waits: (why) => tell(`${why}; tries again`),
    get bytes() {
      return bytes;
    },
  };
}
