import type { GeoTIFF } from 'geotiff';
import { type Source, SourceError } from './source.ts';
import { eachUnit } from './step.ts';

/** What was read over the network. */
export interface Traffic {
  requests: number;
  bytes: number;
}

/** An object of a bucket, read by ranges. */
export interface RemoteFile {
  address: string;
  size: number;
  traffic: Traffic;
  /** Some bytes; what is asked for at about the same time comes together. Fewer where the object ends before. */
  read(offset: number, length: number): Promise<Buffer>;
  /**
   * Keeps some bytes, so that reading them costs nothing from then on.
   *
   * @param ahead how many to fetch where they are not here yet. Default: so many as are kept
   */
  hold(offset: number, length: number, ahead?: number): Promise<void>;
}

/** The first request: all directories of a full tile take 29 KB, 52 KB as BigTIFF, and the coarsest level follows. */
const HEAD = 1 << 16;
/** Ranges as near as this come in one request: so many bytes take less time than asking once more. */
const GAP = 1 << 15;
/** No request merges more than this. */
const MOST = 1 << 23;
const AT_ONCE = 8;

/** Bytes of an object that are here. */
interface Piece {
  from: number;
  bytes: Buffer;
}

interface Wish {
  from: number;
  length: number;
  grant: (bytes: Buffer) => void;
  fail: (error: unknown) => void;
}

/** An object's bucket, `s3://bucket`, and its key in there. @throws {Error} where the address names no object */
export function objectAt(address: string): { bucket: string; key: string } {
  const [, bucket, key] = /^(s3:\/\/[^/]+)\/(.*[^/])$/.exec(address) ?? [];
  if (!bucket) throw new Error(`${address} names no file: expected s3://bucket/…/<catalogue id>-visual.tif`);
  return { bucket, key };
}

/**
 * Opens an object by reading its beginning, which is kept; later reads fail where it is another by then.
 *
 * geotiff brings machinery of its own (`fromCustomClient`), but that reads whole blocks of one size, never merges what
 * lies near, and answers every failure with "Request failed".
 *
 * @throws {SourceError} naming the address: it is not there, may not be read, or its server knows no ranges
 */
export async function openRemote(source: Source, key: string): Promise<RemoteFile> {
  const address = `${source.address}/${key}`;
  const head = await source.readPart(key, 0, HEAD).catch((error: unknown) => {
    throw reworded(address, error);
  });
  const { size, etag } = head;
  const traffic = { requests: 1, bytes: head.bytes.length };
  const held: Piece[] = [{ from: 0, bytes: Buffer.from(head.bytes) }];
  const fetchRange = async (from: number, length: number): Promise<Buffer> => {
    const part = await source.readPart(key, from, length, { etag }).catch((error: unknown) => {
      throw reworded(address, error);
    });
    traffic.requests++;
    traffic.bytes += part.bytes.length;
    if (part.etag !== etag || part.size !== size) throw changed(address); // a server may pass over If-Match
    if (part.bytes.length < length) throw broken(address, length, part.bytes.length);
    return Buffer.from(part.bytes);
  };
  let wishes: Wish[] = [];
  const flush = (): void => {
    const now = wishes;
    wishes = [];
    void fulfil(now, fetchRange);
  };
  const read: RemoteFile['read'] = (from, wanted) => {
    const length = Math.max(0, Math.min(wanted, size - from));
    const here = length === 0 ? Buffer.alloc(0) : within(held, from, length);
    if (here) return Promise.resolve(here);
    if (wishes.length === 0) setImmediate(flush);
    return new Promise((grant, fail) => wishes.push({ from, length, grant, fail }));
  };
  return {
    address,
    size,
    traffic,
    read,
    async hold(from, length, ahead = length) {
      if (within(held, from, Math.min(length, size - from))) return;
      const before = held.find((piece) => piece.from <= from && from <= endOf(piece));
      const start = before ? endOf(before) : from;
      const bytes = await read(start, from + ahead - start);
      if (before) before.bytes = Buffer.concat([before.bytes.subarray(0, start - before.from), bytes]);
      else held.push({ from, bytes });
    },
  };
}

const endOf = ({ from, bytes }: Piece): number => from + bytes.length;

function within(pieces: readonly Piece[], from: number, length: number): Buffer | undefined {
  const piece = pieces.find((one) => one.from <= from && from + length <= endOf(one));
  return piece?.bytes.subarray(from - piece.from, from - piece.from + length);
}

/** Grants wishes by as few requests as may be, some at once; an error fails all that are not granted. */
async function fulfil(wishes: Wish[], fetchRange: (from: number, length: number) => Promise<Buffer>): Promise<void> {
  const fetchGroup = async (group: Wish[]): Promise<void> => {
    const { from } = group[0];
    const bytes = await fetchRange(from, endOfAll(group) - from);
    for (const wish of group) wish.grant(bytes.subarray(wish.from - from, wish.from - from + wish.length));
  };
  await eachUnit(merged(wishes), 'ranges', fetchGroup, { concurrency: AT_ONCE }).catch((error: unknown) =>
    wishes.forEach(({ fail }) => fail(error)),
  );
}

/** Wishes in groups, each of which one request reads. */
function merged(wishes: Wish[]): Wish[][] {
  const groups: Wish[][] = [];
  for (const wish of wishes.toSorted((a, b) => a.from - b.from)) {
    const group = groups.at(-1);
    const near = group && wish.from <= endOfAll(group) + GAP && wish.from + wish.length - group[0].from <= MOST;
    if (near) group.push(wish);
    else groups.push([wish]);
  }
  return groups;
}

const endOfAll = (wishes: Wish[]): number => wishes.reduce((end, { from, length }) => Math.max(end, from + length), 0);

/** Errors of S3 in the words of who opens one file by its address. */
function reworded(address: string, error: unknown): unknown {
  const answer = error instanceof SourceError ? (error.cause as Error | undefined)?.name : undefined;
  if (answer === 'PreconditionFailed') return changed(address, error);
  const fault = (finding: string): Error => new SourceError(`cannot read ${address}: ${finding}`, { transient: false, cause: error }); // prettier-ignore
  if (answer === 'NoSuchKey') return fault('there is no such file: check bucket, folders and name');
  if (answer === 'InvalidRange') return fault('it is empty: put it there again');
  return error;
}

function changed(address: string, cause?: unknown): Error {
  return new SourceError(`cannot read ${address}: it has changed since it was opened: open it again`, {
    transient: false,
    cause,
  });
}

function broken(address: string, wanted: number, came: number): Error {
  return new SourceError(`cannot read ${address}: ${came} bytes came where ${wanted} were asked for: run again`, {
    transient: true,
  });
}

/** What geotiff reads from; its own class for it is not to be had from outside. */
type TiffSource = Parameters<typeof GeoTIFF.fromSource>[0];

/**
 * An object or a file as geotiff reads it.
 *
 * @returns the source, and `settle`: to be called once the directories are read, which until then come by whole pages
 */
export function tiffSource(file: Pick<RemoteFile, 'size' | 'read' | 'hold'>): {
  source: TiffSource;
  settle: () => void;
} {
  let reading = true;
  const fetchSlice: TiffSource['fetchSlice'] = async ({ offset, length }) => {
    if (reading) await file.hold(offset, length, Math.max(length, HEAD));
    const bytes = await file.read(offset, length);
    return { offset, length, data: new Uint8Array(bytes).buffer };
  };
  const fetch: TiffSource['fetch'] = (slices) =>
    Promise.all(slices.map(async (slice) => (await fetchSlice(slice)).data));
  const source = { fetch, fetchSlice, fileSize: file.size, close: async () => undefined };
  return { source, settle: () => (reading = false) };
}
