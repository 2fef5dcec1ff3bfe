import { createReadStream, existsSync, type Stats } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { replaceWhole } from '../ard/index.ts';
import { sumOf } from './checksum.ts';
import { sum, words } from './manifest.ts';

/** A file as it was when it was pulled. */
export interface FileRecord {
  /** Below the data folder. */
  path: string;
  bytes: number;
  sha256: string;
  /** Of the source, as its listing has it. */
  etag?: string | undefined;
  /** Time of the source, which is the file's own; ISO 8601. */
  modified: string;
}

/** What is recorded of an entry as a whole. */
export interface RecordHead {
  version: 1;
  name: string;
  source: string;
  /** When these files were recorded first; ISO 8601. */
  at: string;
  files: number;
  bytes: number;
  /** As {@link OutsideFiles.sha256}. */
  sha256: string;
}

/** What is recorded of an entry, file by file in order of path. */
export interface DataRecord {
  head: RecordHead;
  files: Map<string, FileRecord>;
}

const headSchema: z.ZodType<RecordHead> = z.object({
  version: z.literal(1), name: words, source: words, at: words, files: z.number(), bytes: z.number(), sha256: sum,
}); // prettier-ignore

const lineSchema: z.ZodType<FileRecord> = z.object({
  path: z.string().regex(/^(?!\/)(?!.*(^|\/)\.{1,2}(\/|$))./s), bytes: z.number(), sha256: sum, etag: z.optional(z.string()), modified: words,
}); // prettier-ignore

/** One JSON line for the whole, then one for each file: a zone's chips are 600,000, and nothing holds them all as one text. */
const recordPath = (root: string, name: string): string => join(root, 'data-record', `${name}.jsonl`);

/**
 * What was recorded of an entry when it was pulled; `undefined` where it never was.
 *
 * @throws {Error} naming a record that is none
 */
export async function readRecord(root: string, name: string): Promise<DataRecord | undefined> {
  const path = recordPath(root, name);
  const head = await readHead(root, name);
  if (!head) return undefined;
  const files = new Map<string, FileRecord>();
  let lines = 0;
  for await (const line of linesOf(path)) {
    if (lines++ === 0) continue; // the head
    const file = parsed(lineSchema, line, path);
    files.set(file.path, file);
  }
  if (files.size !== head.files) throw noRecord(path);
  return { head, files };
}

/** What was recorded of an entry as a whole: the first line alone is read. */
export async function readHead(root: string, name: string): Promise<RecordHead | undefined> {
  const path = recordPath(root, name);
  if (!existsSync(path)) return undefined;
  for await (const line of linesOf(path)) return parsed(headSchema, line, path);
  throw noRecord(path);
}

/** Writes a record, whole or not at all. */
export async function writeRecord(root: string, head: RecordHead, files: readonly FileRecord[]): Promise<void> {
  const lines = function* (): Generator<string> {
    yield `${JSON.stringify(head)}\n`;
    for (let at = 0; at < files.length; at += 1000)
      yield files.slice(at, at + 1000).map((file) => `${JSON.stringify(file)}\n`).join(''); // prettier-ignore
  };
  await replaceWhole(recordPath(root, head.name), (part) => writeFile(part, lines()));
}

function linesOf(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path), crlfDelay: Infinity });
}

function parsed<Line>(lines: z.ZodType<Line>, text: string, path: string): Line {
  try {
    return lines.parse(JSON.parse(text));
  } catch (error) {
    throw noRecord(path, error);
  }
}

function noRecord(path: string, cause?: unknown): Error {
  return new Error(`${path} is no record of a pull: remove it, and pull that entry again`, { cause });
}

/** The file at a path; `undefined` where there is none. */
export async function fileAt(path: string): Promise<Stats | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  return found?.isFile() ? found : undefined;
}

/** In hexadecimal. */
export async function sha256Of(path: string): Promise<string> {
  return Buffer.from(await sumOf(path, { algorithm: 'sha256', value: '' }), 'base64').toString('hex');
}
