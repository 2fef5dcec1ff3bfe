import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pRetry from 'p-retry';
import {
  type Digest, type Source, type SourceFile, type StepOptions, SourceError, bucketFault, cannotWrite, eachUnit,
  laidDown, makeFolder, partName, staleParts,
} from '../ard/index.ts'; // prettier-ignore
import { type Summing, sumOf, summing, valueOf } from './checksum.ts';

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

/** What a file's transfer has come to: bytes on disk, and their sum so far. */
interface Half {
  part: string;
  handle: FileHandle;
  at: number;
  digest: Digest;
  sum: Summing;
}

/** Brings one file. @returns by what it was checked */
async function bringFile(
  source: Source,
  move: Move,
  stale: string | undefined,
  options: TransferOptions,
  report: Reporter,
): Promise<Digest> {
  const { file, path } = move;
  const part = partName(path, markOf(file));
  try {
    await makeFolder(dirname(path));
    if (stale) await rename(stale, part);
    const digest = await tryAgain(() => attempt(source, file, part, options, report), options, report);
    await utimes(part, file.modified, file.modified);
    await rename(part, path);
    return digest;
  } catch (error) {
    const goesOn = options.signal?.aborted || (error instanceof SourceError && error.transient);
    const half = goesOn && ((await stat(part).catch(() => undefined))?.size ?? 0) > 0;
    const tidied = half ? rename(part, laidDown(part)) : rm(part, { force: true });
    await tidied.catch(() => undefined); // the first error is the one to tell
    throw cannotWrite(path, part, error);
  }
}

function tryAgain<Result>(
  work: () => Promise<Result>,
  { signal, retries = 7 }: TransferOptions,
  report: Reporter,
): Promise<Result> {
  return pRetry(work, {
    retries,
    minTimeout: 250,
    maxTimeout: 20_000,
    randomize: true,
    ...(signal ? { signal } : {}),
    shouldRetry: ({ error }) => error instanceof SourceError && error.transient,
    onFailedAttempt: ({ error, retriesLeft }) => {
      if (retriesLeft > 0) report.waits(error.message);
    },
  });
}

/** Brings what is missing and checks the whole. What does not fit is thrown away: the next attempt begins anew. */
async function attempt(
  source: Source,
  file: SourceFile,
  part: string,
  options: TransferOptions,
  report: Reporter,
): Promise<Digest> {
  const digest = statedBy(file) ?? (await source.digest(file));
  const half = await takeUp(part, digest);
  report.moved(part, half.at);
  try {
    while (half.at < file.bytes) await bringOn(source, file, half, options, report);
    return await check(source, file, half);
  } finally {
    await half.handle.close();
  }
}

/** Opens what there is of a file, and sums it up. */
async function takeUp(part: string, digest: Digest): Promise<Half> {
  const handle = await open(part, 'a+');
  const sum = summing(digest);
  let at = 0;
  for await (const bytes of handle.createReadStream({ start: 0, highWaterMark: 1 << 20, autoClose: false })) {
    sum.update(bytes as Uint8Array);
    at += (bytes as Uint8Array).length;
  }
  return { part, handle, at, digest, sum };
}

/** Goes on from the byte that it came to. A connection that breaks after some bytes has done its part. */
async function bringOn(
  source: Source,
  file: SourceFile,
  half: Half,
  { signal, stallMs = 30_000 }: TransferOptions,
  report: Reporter,
): Promise<void> {
  const from = half.at;
  const watch = stallWatch(signal, stallMs);
  try {
    const stream = await source.open(file.key, { from, etag: file.etag, signal: watch.signal });
    for await (const batch of batches(stream, watch)) {
      const writing = half.handle.writev(batch);
      batch.forEach((bytes) => half.sum.update(bytes)); // meanwhile
      const { bytesWritten } = await writing;
      half.at += bytesWritten;
      report.moved(half.part, half.at);
    }
    if (half.at === from) throw short(source, file, half.at);
  } catch (error) {
    signal?.throwIfAborted();
    const fault = watch.stalled() ? stalled(source, file, stallMs) : bucketFault(addressOf(source, file), error);
    if (half.at === from || !(fault instanceof SourceError && fault.transient)) throw fault;
    await pause(100);
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

/** @returns by what the file was checked @throws {SourceError} where it does not fit; the part is empty then */
async function check(source: Source, file: SourceFile, half: Half): Promise<Digest> {
  let { digest } = half;
  let found = await half.sum.finish();
  if (half.at === file.bytes && found !== valueOf(digest) && digest.algorithm === 'md5') {
    digest = await source.digest(file); // an ETag may be another thing than the MD5: the bucket, asked, tells
    found = await sumOf(half.part, digest);
  }
  if (half.at === file.bytes && found === valueOf(digest)) return digest;
  await half.handle.truncate();
  if (half.at !== file.bytes) throw short(source, file, half.at);
  throw new SourceError(
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
