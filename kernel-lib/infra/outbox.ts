import { readdir, rm, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import {
  type Source, type SourceFile, type SourceOptions, type Tile, dataRoot, eachUnit, openSource, placeOf, tilesOf,
} from '../ard/index.ts'; // prettier-ignore
import { patiently } from './patience.ts';
import { looksSame, sameBytes } from './same.ts';
import { type TransferOptions, bringFiles } from './transfer.ts';
import { type PutFiles, openUpload } from './upload.ts';

/** Objects of a unit that are on their way at once. */
const AT_ONCE = 16;
/** Nobody sits beside a worker: what passes is waited for, for about a minute and a half. */
const RETRIES = 9;

/** Options of {@link Outbox}. */
export interface OutboxOptions extends Pick<TransferOptions, 'signal' | 'concurrency' | 'retries'>, SourceOptions {}

/** What a unit of work has made. */
export interface Made {
  /** Paths of its files. */
  files: readonly string[];
  /** Path of what says that they are there: it goes last, so that nobody sees it without them. Default: nothing does. */
  record?: string | undefined;
  /** What the bucket holds of it already, by key: the same bytes are not put again. Default: nothing. */
  there?: ReadonlyMap<string, SourceFile> | undefined;
}

/**
 * A bucket that what workers make goes to, a unit at a time, under the keys that it has below a folder of theirs: its files
 * first, then the record that says that they are there, then nothing of them is left in the folder. What could not be put
 * stays in the folder for the next run. Nothing is deleted in the bucket.
 */
export class Outbox {
  /** `s3://bucket/prefix`, without a slash at its end. */
  readonly address: string;
  /** Folder that keys start from. */
  readonly root: string;
  /** Folder that what is only read is brought to, under the same keys: what could not be put does not lie there. */
  readonly inbox: string;
  readonly #options: OutboxOptions;
  readonly #source: Source;
  #upload: Promise<PutFiles> | undefined;

  /** @throws {Error} where the address names no bucket */
  constructor(address: string, root: string, options: OutboxOptions = {}) {
    placeOf(address);
    this.address = address.replace(/\/+$/, '');
    this.root = resolve(root);
    this.inbox = join(this.root, 'in');
    this.#options = options;
    this.#source = openSource(this.address, options);
  }

  /** The same bucket, and another folder. */
  at(root: string): Outbox {
    return new Outbox(this.address, root, this.#options);
  }

  /** The key of a path. @throws {RangeError} for one that is not below the folder */
  keyOf(path: string): string {
    const key = relative(this.root, resolve(path)).split(sep).join('/');
    if (key === '' || key.startsWith('../')) throw new RangeError(`${path} has no key: it is not below ${this.root}`);
    return key;
  }

  /** What the bucket holds below a prefix, by key. */
  async list(prefix: string): Promise<Map<string, SourceFile>> {
    const files = await this.#patiently(() => this.#source.list(prefix));
    return new Map(files.map((file) => [file.key, file]));
  }

  /** Names of the folders below a prefix. */
  async folders(prefix: string): Promise<string[]> {
    const source = openSource(`${this.address}/${prefix}`, this.#options);
    return (await this.#patiently(() => source.top())).folders.sort();
  }

  /** A small object, whole; nothing where there is none. */
  async read(key: string): Promise<Uint8Array | undefined> {
    const file = (await this.list(key)).get(key);
    return file && this.#patiently(() => this.#source.read(key));
  }

  /** An object of which some bytes are read, as hyparquet reads files. */
  buffer({ key, bytes }: SourceFile): { byteLength: number; slice: (start: number, end?: number) => Promise<ArrayBuffer> } {
    const read = (start: number, end: number): Promise<Uint8Array> => this.#patiently(() => this.#source.readRange(key, start, end - start));
    return { byteLength: bytes, slice: async (start, end = bytes) => Uint8Array.from(await read(start, end)).buffer };
  } // prettier-ignore

  /** The tiles of some files that the bucket holds below `ard`, with what their STAC items say. */
  tiles(files: SourceFile[]): Promise<Tile[]> {
    return this.#patiently(() => tilesOf({ source: this.#source, prefix: 'ard/', files }));
  }

  /** Brings objects to where their keys say, each whole or not at all; one that is there with the same size and time is left. */
  async bring(files: Iterable<SourceFile>): Promise<void> {
    const moves = [...files].map((file) => ({ file, path: join(this.root, file.key) }));
    const isThere = await eachUnit(moves, 'files', ({ path, file }) => looksSame(path, file), { concurrency: AT_ONCE });
    const { signal, concurrency = AT_ONCE, retries = RETRIES } = this.#options;
    const missing = moves.filter((_, at) => !isThere[at]);
    await bringFiles(this.#source, missing, { signal, concurrency, retries });
  }

  /**
   * Puts what a unit has made, its record last, then removes it here.
   *
   * @throws {Error} naming the object, what was found and the remedy: then all of it is still here
   */
  async put({ files, record, there = new Map() }: Made): Promise<void> {
    await this.#putAll(files, there);
    if (record !== undefined) await this.#putAll([record], there);
    const paths = record === undefined ? files : [...files, record];
    await eachUnit(paths, 'files', (path) => rm(path, { force: true }), { concurrency: AT_ONCE });
  }

  async #putAll(paths: readonly string[], there: ReadonlyMap<string, SourceFile>): Promise<void> {
    const { signal, concurrency = AT_ONCE, retries = RETRIES } = this.#options;
    const found = await eachUnit(paths, 'files', (path) => this.#lacking(path, there), { concurrency });
    const missing = found.filter((file) => file !== undefined);
    if (missing.length === 0) return;
    this.#upload ??= openUpload(this.address, this.#options);
    await (
      await this.#upload
    )(this.root, missing, { signal, concurrency, retries });
  }

  /** A file as it would be an object; nothing where the bucket holds the same bytes. */
  async #lacking(path: string, there: ReadonlyMap<string, SourceFile>): Promise<SourceFile | undefined> {
    const { size: bytes, mtime: modified } = await stat(path);
    const key = this.keyOf(path);
    const other = there.get(key);
    const isSameAs = async (file: SourceFile): Promise<boolean> =>
      (await this.#patiently(() => sameBytes(path, file, this.#source))) === true;
    return other?.bytes === bytes && (await isSameAs(other)) ? undefined : { key, bytes, modified };
  }

  #patiently<Result>(work: () => Promise<Result>): Promise<Result> {
    const { signal, retries = RETRIES } = this.#options;
    return patiently(work, { retries, signal });
  }
}

/**
 * Where what is made goes, if it does. It is made in a folder of the data folder that is the bucket's own, `scratch/<bucket>`: what
 * lies in the data folder itself stays as it is.
 *
 * @param to s3:// prefix. Default: nowhere
 */
export function outboxOf(dataPath: string, to: string | undefined, signal?: AbortSignal): Outbox | undefined {
  if (to === undefined) return undefined;
  const name = to.replace(/^s3:\/\//, '').replace(/\/+$/, '').replaceAll('/', '-'); // prettier-ignore
  return new Outbox(to, join(dataRoot(dataPath), 'scratch', name), { signal });
}

/** Files below a folder, without temporary ones; none where there is no such folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  }); // prettier-ignore
  const files = entries.filter((entry) => entry.isFile() && !/^\..*\.part$/.test(entry.name));
  return files.map(({ parentPath, name }) => join(parentPath, name)).sort();
}
