import { existsSync } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import {
  type Tile,
  type TileMetadata,
  CHIPS_PER_SIDE,
  chipIds,
  jsonOf,
  parseCell,
  readJson,
  writeWhole,
} from '../ard/index.ts';
import type { Chip } from './cut.ts';
import type { Validity } from './nodata.ts';

/** What is known of one acquisition over one cell: what was read from its mask, and of which file that is true. */
export interface TileRecord {
  catid: string;
  date: string;
  /**
   * Name of the raster, its bytes and when it was last written, ISO 8601, and the last two of a data mask beside it: another
   * file is read anew.
   */
  file: { name: string; bytes: number; modified: string; outline?: string | undefined };
  /** Where it is known from which pixels are real. */
  from: string;
  /** Which of the cell's 4,096 chips are real at every pixel: bits, row by row from the north-west, base64. */
  valid: string;
  /** Share of real pixels of the chips that have some, but not all; by row × 64 + column. */
  partial: Record<string, number>;
  /** What the STAC item says of the acquisition; `null` where there is none. */
  metadata: Partial<TileMetadata> | null;
}

/** What is known of a cell: the part of the index that its worker writes, no other. */
export interface CellRecord {
  /** The cell's id. */
  cell: string;
  tiles: TileRecord[];
}

const CHIPS = CHIPS_PER_SIDE ** 2;
const BITS_LENGTH = Math.ceil(CHIPS / 8 / 3) * 4;

const schema: z.ZodType<CellRecord> = z.object({
  cell: z.string().regex(/^Z\d\d-[0-3]{12}$/),
  tiles: z.array(
    z.object({
      catid: z.string(),
      date: z.string(),
      file: z.object({
        name: z.string(),
        bytes: z.number(),
        modified: z.string(),
        outline: z.string().optional(),
      }),
      from: z.string(),
      valid: z.base64().length(BITS_LENGTH),
      partial: z.record(z.string().regex(/^\d{1,4}$/), z.number().min(0).max(1)),
      metadata: z.custom<Partial<TileMetadata>>((value) => typeof value === 'object' && value !== null).nullable(),
    }),
  ),
});

/** Folder of the records that an index is merged from: `nodata-index.parts` beside `nodata-index.json`. */
export function recordFolder(indexPath: string): string {
  return join(dirname(indexPath), `${basename(indexPath).replace(/\.json$/, '')}.parts`);
}

/** Path of the record of a cell. */
export function recordPath(indexPath: string, cell: string): string {
  return join(recordFolder(indexPath), `${cell}.json`);
}

/**
 * Reads the record of a cell; one that is not there is empty, and so is a damaged one: what it said is read again from
 * the tiles.
 */
export async function readRecord(indexPath: string, cell: string): Promise<CellRecord> {
  const path = recordPath(indexPath, cell);
  const none = Buffer.alloc(0); // one that cannot be read is as good as damaged
  return recordFrom(existsSync(path) ? await readFile(path).catch(() => none) : none, cell);
}

/** The record of a cell from the bytes of its file; empty where these are damaged. */
export function recordFrom(bytes: Uint8Array, cell: string): CellRecord {
  const { success, data } = schema.safeParse(jsonOf(bytes));
  return success && data.cell === cell ? data : { cell, tiles: [] };
}

/** Every record of an index, in order of cell. @throws {Error} naming the file that is damaged */
export async function readRecords(indexPath: string): Promise<CellRecord[]> {
  const folder = recordFolder(indexPath);
  if (!existsSync(folder)) return [];
  const names = (await readdir(folder)).filter((name) => /^Z\d\d-[0-3]{12}\.json$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const { success, data } = schema.safeParse(await readJson(path).catch(() => undefined));
      if (!success || `${data.cell}.json` !== name) throw new Error(`${path} is damaged: delete it, and chip again`);
      return data;
    }),
  );
}

/** Writes the record of a cell, its acquisitions in order. */
export async function writeRecord(indexPath: string, { cell, tiles }: CellRecord): Promise<void> {
  const inOrder = tiles.toSorted((a, b) => (`${a.date} ${a.catid}` < `${b.date} ${b.catid}` ? -1 : 1));
  await writeWhole(recordPath(indexPath, cell), `${JSON.stringify({ cell, tiles: inOrder })}\n`);
}

/**
 * Which file a record is of.
 *
 * @param outline the delivery's data mask of it, where there is one
 * @param look tells of files that are not on this disk. Default: the disk
 */
export async function fileFacts(path: string, outline?: string, look: Look = lookOnDisk): Promise<TileRecord['file']> {
  const { bytes, modified } = await look(path);
  const facts = { name: basename(path), bytes, modified: modified.toISOString() };
  if (outline === undefined) return facts;
  const beside = await look(outline);
  return { ...facts, outline: `${beside.bytes} ${beside.modified.toISOString()}` };
}

/** Bytes of a file, and when it was last written. */
type Look = (path: string) => Promise<{ bytes: number; modified: Date }>;

async function lookOnDisk(path: string): ReturnType<Look> {
  const { size: bytes, mtime: modified } = await stat(path);
  return { bytes, modified };
}

/** A record of what was found real in a tile. */
export function recordOf(
  { catid, date, metadata }: Pick<Tile, 'catid' | 'date' | 'metadata'>,
  file: TileRecord['file'],
  { fractions, from }: Validity,
): TileRecord {
  const bits = Buffer.alloc(CHIPS / 8);
  const partial: Record<string, number> = {};
  for (const [chip, share] of fractions.entries()) {
    if (share === 1) bits[chip >> 3] |= 0x80 >> (chip & 7);
    else if (share > 0) partial[chip] = Math.round(share * 65536) / 65536; // a chip has so many pixels
  }
  return { catid, date, file, from, valid: bits.toString('base64'), partial, metadata: metadata ?? null };
}

/** The chips with at least such a share of real pixels, row by row; with 1, those that are real at every pixel. */
export function chipsOf({ valid, partial }: TileRecord, least = 1): number[] {
  const bits = Buffer.from(valid, 'base64');
  const chips: number[] = [];
  for (let chip = 0; chip < CHIPS; chip++) {
    const isWhole = (bits[chip >> 3] & (0x80 >> (chip & 7))) !== 0;
    if (isWhole || (least < 1 && (partial[chip] ?? 0) >= least)) chips.push(chip);
  }
  return chips;
}

/**
 * Chips of a tile that have any real pixel, row by row from the north-west.
 *
 * @returns `real` is the share of real pixels, 0–1; 1 means all of them
 */
export function realChips({ cell }: Pick<CellRecord, 'cell'>, tile: TileRecord): { id: string; real: number }[] {
  const ids = chipIds(parseCell(cell));
  const whole = chipsOf(tile).map((chip) => ({ chip, real: 1 }));
  const partial = Object.entries(tile.partial).map(([chip, real]) => ({ chip: Number(chip), real }));
  return [...whole, ...partial].sort((a, b) => a.chip - b.chip).map(({ chip, real }) => ({ id: ids[chip], real }));
}

/**
 * Tells chips of tiles that are there from those whose tile has gone or has become unreadable since they were cut: of these the
 * cell's record no longer knows the acquisition. A cell without a record, chips that came from a bucket say, is taken as it is.
 *
 * @returns `orphans` are of no tile: they say of the ground what nobody can check, and enter no dataset
 */
export async function recordedChips<Of extends Pick<Chip, 'cell' | 'catid' | 'date'>>(
  indexPath: string,
  chips: readonly Of[],
): Promise<{ recorded: Of[]; orphans: Of[] }> {
  const known = new Map<string, Set<string>>();
  for (const cell of new Set(chips.map((chip) => chip.cell))) {
    const { tiles } = await readRecord(indexPath, cell);
    if (tiles.length > 0) known.set(cell, new Set(tiles.map(({ catid, date }) => `${catid} ${date}`)));
  }
  const isKnown = ({ cell, catid, date }: Of): boolean => known.get(cell)?.has(`${catid} ${date}`) ?? true;
  return { recorded: chips.filter(isKnown), orphans: chips.filter((chip) => !isKnown(chip)) };
}
