/** What was made of pairs of tiles, kept on disk: a Parquet file a pair, by whichever worker. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { z } from 'zod';
import { chipIds, paddedZone, writeWhole } from '../../ard/index.ts';
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
const NONE = new Uint8Array(0);

/**
 * The file of a pair: `<zone>/<quadkey12>/<digest>.parquet`. Its name says of which two files, which of their chips, and how encoded: of
 * another file there is another part.
 */
export async function changePartPath({ folder, encoder }: ChangeParts, { before, after, chips }: TilePair, { reach, matchesLight }: PartSettings): Promise<string> {
  const files = await Promise.all([before, after].map(async ({ catid, date, files: { visual } }) => {
    const { size, mtimeMs } = await stat(visual);
    return [catid, date, size, mtimeMs];
  }));
  const digest = createHash('sha256').update(JSON.stringify([1, encoder, reach, matchesLight, files, chips])).digest('hex');
  return join(folder, paddedZone(before.cell.zone), before.cell.quadkey, `${digest.slice(0, 32)}.parquet`);
} // prettier-ignore

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
  const said = metadata.key_value_metadata?.find(({ key }) => key === KEY)?.value;
  const facts = factsSchema.parse(JSON.parse(said ?? 'null'));
  const objects = await parquetReadObjects({ file, metadata, utf8: false });
  return { ...facts, rows: z.array(rowSchema).parse(objects) };
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
