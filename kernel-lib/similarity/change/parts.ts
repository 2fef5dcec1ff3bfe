/** What was made of pairs of tiles, kept on disk: a Parquet file a pair, by whichever worker. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileMetaData, parquetMetadata, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { z } from 'zod';
import { type SourceFile, type Tile, SourceError, chipIds, jsonOf, paddedZone, writeWhole } from '../../ard/index.ts';
import { type Ground, type Outbox, lentInBucket } from '../../infra/index.ts';
import type { ChipPair, TilePair } from './pairs.ts';
import type { Shift } from './shift.ts';

/** A chip as it was seen and encoded at both dates. */
export interface EncodedChip {
  change: ChipPair & { shift: Shift };
  /** `[parts, width]`. */
  before: Float32Array;
  after: Float32Array;
  /** Mean absolute difference of their pixels, laid on each other and in the same light, 0–255. */
  difference: number;
  /** `[64, 64, 3]` each. */
  pictures: [before: Uint8Array, after: Uint8Array] | undefined;
}

/** Where the parts of pairs of tiles lie, and what they are of. */
export interface ChangeParts {
  /** Folder above the zones: `embeddings/change` of the data folder. */
  folder: string;
  /** Names the encoder: SHA-256 of its file, say. Parts of another are not taken. */
  encoder: string;
  /** Bucket that they go to from the folder, which lies below the outbox's. Default: they stay. */
  outbox?: Outbox | undefined;
}

/** What a pair is encoded with. */
export interface PartSettings {
  reach: number;
  matchesLight: boolean;
  keepsPictures: boolean;
}

const factsSchema = z.object({ format: z.literal(1), sha256: z.string(), hasPictures: z.boolean() });
const bytesSchema = z.custom<Uint8Array>((value) => value instanceof Uint8Array);
const rowSchema = z.object({
  id: z.string(), x: z.number(), y: z.number(), correlation: z.number(), difference: z.number(),
  before: bytesSchema, after: bytesSchema, picture_before: bytesSchema, picture_after: bytesSchema,
}); // prettier-ignore
type Row = z.infer<typeof rowSchema>;

const KEY = 'imagesim';
/** Of a part's end: what it says of itself lies there. */
const END_BYTES = 1 << 15;
const NONE = new Uint8Array(0);

/**
 * The file of a pair: `<zone>/<quadkey12>/<digest>-<digest>.parquet`. Its name says of which two files, then which of their chips, and how encoded: of
 * another file there is another part.
 */
export async function changePartPath({ folder, encoder }: ChangeParts, { before, after, chips }: TilePair, { reach, matchesLight }: PartSettings, ground: Ground): Promise<string> {
  const marks = await Promise.all([before, after].map((tile) => markIn(ground, tile)));
  const how = digestOf([1, encoder, reach, matchesLight, chips]);
  return join(folder, paddedZone(before.cell.zone), before.cell.quadkey, `${pairMark(marks[0], marks[1])}-${how}.parquet`);
} // prettier-ignore

/** By what a tile's raster is known: where it is the same, so is the file. */
export function tileMark({ catid, date }: Pick<Tile, 'catid' | 'date'>, { bytes, modified }: Pick<SourceFile, 'bytes' | 'modified'>): string {
  return digestOf([catid, date, bytes, modified.getTime()]);
} // prettier-ignore

/** How the names of the parts of two tiles begin. */
export function pairMark(before: string, after: string): string {
  return digestOf([before, after]);
}

/** The mark of a tile, wherever it lies. */
export async function markIn(ground: Ground, tile: Tile): Promise<string> {
  return tileMark(tile, await ground.facts(tile.files['visual']));
}

function digestOf(what: unknown): string {
  return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16);
}

/** Puts a part into the bucket that parts go to, if to one, and removes it here. @throws {Error} naming the object: then it stays here */
export async function handChangePart({ outbox }: ChangeParts, path: string): Promise<void> {
  if (outbox && existsSync(path)) await outbox.put({ files: [path], there: await outbox.list(outbox.keyOf(path)) });
}

/** As {@link readChangePart}, of a part that may lie in a bucket. */
export async function loadChangePart({ outbox }: ChangeParts, path: string, pair: TilePair, keepsPictures: boolean): Promise<EncodedChip[] | undefined> {
  const here = await readHere(outbox, path, pair, keepsPictures);
  const file = here ? undefined : await heldPart(outbox, path);
  return file ? lentInBucket(outbox!, file).read((brought) => readChangePart(brought, pair, keepsPictures)) : here;
} // prettier-ignore

/** Whether there is a part with all that is asked for: of one in a bucket no more is read than its end. */
export async function hasChangePart(parts: ChangeParts, path: string, pair: TilePair, keepsPictures: boolean): Promise<boolean> {
  if (await readHere(parts.outbox, path, pair, keepsPictures)) return true;
  const file = await heldPart(parts.outbox, path);
  if (!file) return false;
  const metadata = await parquetMetadataAsync(parts.outbox!.buffer(file), { initialFetchSize: END_BYTES }).catch((error: unknown) => {
    if (error instanceof SourceError) throw error; // else it is damaged, and made again
  });
  const { success, data } = factsSchema.safeParse(metadata && jsonOf(saidIn(metadata)));
  return success && Number(metadata!.num_rows) === pair.chips.length && (data.hasPictures || !keepsPictures);
} // prettier-ignore

/** A part that could not be put; one that is of no use is removed, so that it does not take the place of a better one there. */
async function readHere(outbox: Outbox | undefined, path: string, pair: TilePair, keepsPictures: boolean): Promise<EncodedChip[] | undefined> {
  const here = await readChangePart(path, pair, keepsPictures);
  if (outbox && !here) await rm(path, { force: true });
  return here;
} // prettier-ignore

async function heldPart(outbox: Outbox | undefined, path: string): Promise<SourceFile | undefined> {
  const key = outbox?.keyOf(path);
  return key === undefined ? undefined : (await outbox!.list(key)).get(key);
}

/** Writes what was made of a pair, whole or not at all. */
export async function writeChangePart(path: string, chips: readonly EncodedChip[], hasPictures: boolean): Promise<void> {
  const rows = chips.map(({ change: { id, shift }, before, after, difference, pictures = [NONE, NONE] }): Row => ({
    id, ...shift, difference, before: bytesOf(before), after: bytesOf(after), picture_before: pictures[0], picture_after: pictures[1],
  }));
  const column = (name: keyof Row, type: 'STRING' | 'DOUBLE' | 'BYTE_ARRAY'): object => ({ name, type, data: rows.map((row) => row[name]), codec: 'UNCOMPRESSED', statistics: false });
  const facts: z.infer<typeof factsSchema> = { format: 1, sha256: hashOf(rows), hasPictures };
  const content = parquetWriteBuffer({
    columnData: [
      column('id', 'STRING'),
      ...(['x', 'y', 'correlation', 'difference'] as const).map((name) => column(name, 'DOUBLE')),
      ...(['before', 'after', 'picture_before', 'picture_after'] as const).map((name) => column(name, 'BYTE_ARRAY')),
    ] as Parameters<typeof parquetWriteBuffer>[0]['columnData'],
    kvMetadata: [{ key: KEY, value: JSON.stringify(facts) }],
  });
  await writeWhole(path, new Uint8Array(content));
} // prettier-ignore

/**
 * What was made of a pair, as {@link writeChangePart} wrote it; nothing where there is no such file, it lacks the pictures that are asked for, or it
 * is damaged: it is made again then.
 */
export async function readChangePart(path: string, pair: TilePair, keepsPictures: boolean): Promise<EncodedChip[] | undefined> {
  if (!existsSync(path)) return undefined;
  const bytes = await readFile(path);
  const found = await rowsOf(Uint8Array.from(bytes).buffer).catch(() => undefined); // no Parquet: cut short, say
  if (!found || hashOf(found.rows) !== found.sha256 || (keepsPictures && !found.hasPictures)) return undefined;
  const { before, after, chips } = pair;
  const ids = chipIds(before.cell);
  const known = new Set(chips.map((chip) => ids[chip]));
  if (found.rows.length !== chips.length || !found.rows.every(({ id }) => known.has(id))) return undefined;
  return found.rows.map((row): EncodedChip => ({
    change: { id: row.id, before: visit(row.id, before), after: visit(row.id, after), shift: { x: row.x, y: row.y, correlation: row.correlation } },
    before: floatsOf(row.before), after: floatsOf(row.after), difference: row.difference,
    pictures: keepsPictures ? [row.picture_before, row.picture_after] : undefined,
  }));
} // prettier-ignore

function visit(id: string, { catid, date }: TilePair['before']): ChipPair['before'] {
  return { id, catid, date };
}

async function rowsOf(file: ArrayBuffer): Promise<z.infer<typeof factsSchema> & { rows: Row[] }> {
  const metadata = parquetMetadata(file);
  const facts = factsSchema.parse(jsonOf(saidIn(metadata)));
  const objects = await parquetReadObjects({ file, metadata, utf8: false });
  return { ...facts, rows: z.array(rowSchema).parse(objects) };
}

function saidIn({ key_value_metadata: pairs = [] }: FileMetaData): string {
  return pairs.find(({ key }) => key === KEY)?.value ?? '';
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** A copy, for a view of four bytes each must begin at a fourth one. */
function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

function hashOf(rows: readonly Row[]): string {
  const hash = createHash('sha256');
  for (const { id, x, y, correlation, difference, ...bytes } of rows) {
    hash.update(`${id} ${x} ${y} ${correlation} ${difference}\n`);
    for (const name of ['before', 'after', 'picture_before', 'picture_after'] as const) hash.update(bytes[name]);
  }
  return hash.digest('hex');
}
