import { existsSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Bounds } from '../ard/index.ts';
import { pbfItems } from './pbf.ts';
import type { OsmMember, OsmNode, OsmTags } from './schema.ts';
import { xmlItems } from './xml.ts';

/** What a file says of itself. */
export interface FileHeader {
  /** The rectangles that it covers; none where it does not say. */
  bounds: Bounds[];
  /** How fresh its map is, ISO 8601; empty where it does not say. */
  timestamp: string;
  /** Of the replication that it continues. */
  sequence: number | undefined;
  /** Whether ways say themselves where they run: then most nodes may have been left out. Of XML known at its end. */
  placesOnWays: boolean;
}

/** A way before its nodes' places are known. */
export interface RawWay {
  type: 'way';
  id: number;
  refs: number[];
  tags?: OsmTags | undefined;
}

export interface RawRelation {
  type: 'relation';
  id: number;
  members: OsmMember[];
  tags?: OsmTags | undefined;
}

export type Raw = OsmNode | RawWay | RawRelation;

/** Some thousand elements. */
export interface FileBlock {
  /** @param nodeTags `false` may leave out the tags of nodes, which is faster */
  read(nodeTags: boolean): Raw[];
}

/** The header comes first. */
export type FileItem = { header: FileHeader } | FileBlock;

/** What a reader of a file is told. */
export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** Called with the share of the file that is read, 0 to 1. */
  onShare?: ((share: number) => void) | undefined;
}

const ENDING = /\.osm(?:\.gz|\.pbf)?$/;

/**
 * The header of an OpenStreetMap file, then its elements in blocks.
 *
 * @param path `.osm.pbf`, `.osm` or `.osm.gz`
 * @throws {Error} naming the file and what is wrong with it: not there, another kind, cut off, damaged
 */
export async function* fileItems(path: string, { signal, onShare }: ReadOptions = {}): AsyncGenerator<FileItem> {
  if (!ENDING.test(path)) throw new TypeError(`${path}: expected a file that ends in .osm.pbf, .osm or .osm.gz`);
  if (!existsSync(path)) throw new Error(`${path} is not there: fetch an extract that covers the cells`);
  const size = statSync(path).size;
  const onBytes = (bytes: number): void => onShare?.(bytes / size);
  const items = (path.endsWith('.pbf') ? pbfItems : xmlItems)(path, onBytes);
  try {
    for await (const item of items) {
      if ('header' in item) yield item;
      else yield { read: (nodeTags: boolean) => guarded(path, () => item.read(nodeTags)) };
      signal?.throwIfAborted();
    }
  } catch (error) {
    if (signal?.aborted || error instanceof FileError) throw error;
    throw faultOf(path, error);
  }
}

/** What a file says of itself. @throws {Error} as {@link fileItems} */
export async function fileHeader(path: string): Promise<FileHeader> {
  for await (const item of fileItems(path)) if ('header' in item) return item.header;
  throw faultOf(path, new TypeError('it has no header'));
}

/** Thrown with the file's name in its message already. */
class FileError extends Error {}

function guarded(path: string, read: () => Raw[]): Raw[] {
  try {
    return read();
  } catch (error) {
    throw faultOf(path, error);
  }
}

function faultOf(path: string, cause: unknown): FileError {
  const [fault] = (cause as Error).message.split('\n');
  if (/not implemented/.test(fault))
    return new FileError(`${path} is packed in a way that is not understood (${fault}): osmium cat ${basename(path)} -o other.osm.pbf`, { cause }); // prettier-ignore
  if (cause instanceof TypeError) return new FileError(`${path} is no OpenStreetMap file: ${fault}`, { cause });
  return new FileError(`${basename(path)} is damaged or cut off (${fault}): fetch it again: ${path}`, { cause });
}
