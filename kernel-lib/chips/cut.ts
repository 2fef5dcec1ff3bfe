import { existsSync } from 'node:fs';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  type Raster, type StepOptions, type Tile, CHIPS_PER_SIDE, chipIdAt, eachUnit, makeFolder, sweepParts, writeWhole,
} from '../ard/index.ts'; // prettier-ignore
import { type Sink, cropBlocks } from './crop.ts';
import { encodedChip } from './encode.ts';
import { blockWindow } from './nodata.ts';

/** A chip on disk: one square of ground in one acquisition. */
export interface Chip {
  /** `Z33-<18 digits>`: the same at every date. */
  id: string;
  catid: string;
  date: string;
  /** The cell's id. */
  cell: string;
  path: string;
}

/** What chips are written as. */
export type ChipFormat = 'jpg' | 'png' | 'webp';

/** How chips are cut: written beside them as `cut.json`, so that no two kinds lie in one folder. */
export interface Cut {
  format: ChipFormat;
  /** 1–100. `as delivered`: JPEG blocks are cropped without a second loss; what is none is encoded with 90. */
  quality: number | 'as delivered';
  /** Least share of real pixels, 0–1. */
  minValid: number;
  /** Descriptor of the raster: `visual`, or `ms` or `pan`, which are stretched and laid on the grid. */
  product: string;
}

const BLOCK = 512;
/** While one block is decoded others are encoded and written. */
const BLOCKS_AT_ONCE = 4;

/** Where a chip lies: `<chipDir>/<quadkey12>/<date>/<id>_<catid>.jpg`. */
export function chipPath(
  chipDir: string,
  { cell, date, catid }: Pick<Tile, 'cell' | 'date' | 'catid'>,
  id: string,
  format: ChipFormat = 'jpg',
): string {
  return join(chipDir, cell.quadkey, date, `${id}_${catid}.${format}`);
}

/** Where a chip lies, in whichever format it was cut; where a JPEG of it would lie when it is not there. */
export function chipFile(chipDir: string, tile: Pick<Tile, 'cell' | 'date' | 'catid'>, id: string): string {
  const paths = (['jpg', 'png', 'webp'] as const).map((format) => chipPath(chipDir, tile, id, format));
  return paths.find((path) => existsSync(path)) ?? paths[0];
}

const cutSchema: z.ZodType<Cut> = z.object({
  format: z.enum(['jpg', 'png', 'webp']).default('jpg'),
  quality: z.union([z.number(), z.literal('as delivered')]),
  minValid: z.number(),
  product: z.string().default('visual'),
});

/** How the chips of a folder were cut; nothing where there are none. @throws {Error} naming a `cut.json` that is damaged */
export async function readCut(chipDir: string): Promise<Cut | undefined> {
  const path = join(chipDir, 'cut.json');
  return existsSync(path) ? cutFrom(await readFile(path), path) : undefined;
}

/** What a `cut.json` says. @throws {Error} naming it, where it is damaged */
export function cutFrom(bytes: Uint8Array, path: string): Cut {
  try {
    return cutSchema.parse(JSON.parse(Buffer.from(bytes).toString()));
  } catch (cause) {
    throw new Error(`${path} does not say how the chips beside it were cut: delete it, and cut with --force`, {
      cause,
    });
  }
}

/**
 * Makes sure that the chips in a folder were cut as is asked for now.
 *
 * @param there how they were cut
 * @param again whether all of them are cut again: then only the format must be the same
 * @throws {Error} when those that are there were cut otherwise
 */
export function agreeOnCut(chipDir: string, there: Cut | undefined, wanted: Cut, again: boolean): void {
  if (!there || told(there) === told(wanted) || (again && there.format === wanted.format)) return;
  throw new Error(
    `the chips in ${chipDir} were cut ${told(there)}, not ${told(wanted)}: ask for the same, give another chip folder, or delete that one`,
  );
}

function told({ format, quality, minValid, product }: Cut): string {
  const how = quality === 'as delivered' ? 'as delivered' : `with quality ${quality}`;
  const source = product === 'visual' ? '' : `of ${product} `;
  return `${source}as ${format} ${format === 'png' ? '' : `${how} `}and at least ${minValid} real`;
}

/** How {@link cutTile} works. */
export interface CutOptions extends Pick<StepOptions, 'signal'> {
  /** Default: `jpg`. */
  format?: ChipFormat | undefined;
  /** 1–100. Default: `as delivered`. */
  quality?: Cut['quality'] | undefined;
  /** Cuts again what is there. Default: leaves it. */
  force?: boolean | undefined;
  /** Reads RGB pixels of a 512 px square of the tile's grid, `[row, col, 3]`. Default: those of the raster itself. */
  readSquare?: ((left: number, top: number, side: number) => Promise<Uint8Array>) | undefined;
}

/**
 * Cuts a tile's chips into files of 256 px, block by block; a chip that is there is left alone. Where a block is damaged,
 * none of those that were missing stays.
 *
 * A JPEG of a JPEG tile is cropped out of its block as it is, neither decoded nor encoded, unless another quality is asked
 * for. What is encoded has its chroma halved both ways, as in the delivery itself.
 *
 * @param rowColumns chips to cut, as indices row by row from the north-west, 0–4,095
 * @returns how many were cut now
 * @throws {Error} naming the file that is damaged or cannot be written
 */
export async function cutTile(
  raster: Raster,
  tile: Tile,
  rowColumns: readonly number[],
  chipDir: string,
  options: CutOptions = {},
): Promise<number> {
  const { format = 'jpg', signal } = options;
  const missing = await missingChips(tile, rowColumns, chipDir, options);
  if (missing.length === 0) return 0;
  const folder = join(chipDir, tile.cell.quadkey, tile.date);
  await makeFolder(folder);
  await sweepParts(folder);
  const pathOf = (index: number): string => chipPath(chipDir, tile, idOf(tile, index), format);
  try {
    await cutBlocks(raster, missing, { pathOf }, options);
  } catch (error) {
    if (!signal?.aborted && !options.force)
      await Promise.all(missing.map((index) => rm(pathOf(index), { force: true })));
    throw error;
  }
  return missing.length;
}

/**
 * Chips of a tile as {@link cutTile} would write them, without a file: the same bytes.
 *
 * @param rowColumns as of `cutTile`
 * @returns the bytes of a JPEG each, or of another format that is asked for, by the same indices
 * @throws {Error} naming the raster when a block is damaged
 */
export async function cutInMemory(
  raster: Raster,
  rowColumns: readonly number[],
  options: Omit<CutOptions, 'force'> = {},
): Promise<Map<number, Uint8Array>> {
  const chips = new Map<number, Uint8Array>();
  await cutBlocks(raster, rowColumns, { onChip: (chip, bytes) => void chips.set(chip, bytes) }, options);
  return chips;
}

/** Chips, cropped where they can be, else encoded anew. */
async function cutBlocks(
  raster: Raster,
  chips: readonly number[],
  sink: Sink,
  options: Omit<CutOptions, 'force'>,
): Promise<void> {
  const { format = 'jpg', quality = 'as delivered', signal, readSquare = squareReader(raster) } = options;
  let rest = byBlock(chips);
  if (format === 'jpg' && quality === 'as delivered' && !options.readSquare)
    rest = await cropBlocks(raster, rest, sink, signal);
  await encodeBlocks(rest, sink, { format, quality, readSquare, signal });
}

/** {@link CutOptions}, settled. */
interface Encoding {
  format: ChipFormat;
  quality: Cut['quality'];
  readSquare: (left: number, top: number, side: number) => Promise<Uint8Array>;
  signal: AbortSignal | undefined;
}

/** Chips that are encoded from pixels. */
async function encodeBlocks(
  blocks: ReadonlyMap<number, number[]>,
  sink: Sink,
  { format, quality, readSquare, signal }: Encoding,
): Promise<void> {
  const make = async (pixels: Uint8Array, index: number): Promise<void> => {
    const bytes = await encodedChip(pixels, index, { format, quality });
    if ('pathOf' in sink) await writeWhole(sink.pathOf(index), bytes);
    else sink.onChip(index, bytes);
  };
  const encode = async ([block, indices]: [number, number[]]): Promise<void> => {
    const [left, top] = blockWindow(Math.floor(block / BLOCK), block % BLOCK);
    const pixels = await readSquare(left, top, BLOCK);
    await Promise.all(indices.map((index) => make(pixels, index)));
  };
  await eachUnit([...blocks], 'blocks', encode, { signal, concurrency: BLOCKS_AT_ONCE });
}

/**
 * Those of a tile's chips that are not on disk; all of them when they are to be cut again.
 *
 * @param elsewhere names of files that are in no need of a place on this disk. Default: none
 */
export async function missingChips(
  tile: Tile,
  rowColumns: readonly number[],
  chipDir: string,
  {
    format = 'jpg',
    force = false,
    elsewhere = [],
  }: Pick<CutOptions, 'format' | 'force'> & { elsewhere?: readonly string[] },
): Promise<number[]> {
  const folder = join(chipDir, tile.cell.quadkey, tile.date);
  const there = new Set(force ? [] : [...elsewhere, ...(existsSync(folder) ? await readdir(folder) : [])]);
  return rowColumns.filter((index) => !there.has(`${idOf(tile, index)}_${tile.catid}.${format}`));
}

/** Removes a tile's chips, of whatever format. */
export async function removeChips({ cell, date, catid }: Tile, chipDir: string): Promise<void> {
  const folder = join(chipDir, cell.quadkey, date);
  const names = existsSync(folder) ? await readdir(folder) : [];
  const own = names.filter((name) => /^Z\d\d-[0-3]{18}_/.test(name) && name.slice(23).replace(/\.(jpg|png|webp)$/, '') === catid); // prettier-ignore
  await Promise.all(own.map((name) => rm(join(folder, name), { force: true })));
}

function squareReader(raster: Raster): Encoding['readSquare'] {
  return (left, top, side) => raster.readWindow(left, top, side, side);
}

/** Writes down how the chips of a folder are cut. */
export async function writeCut(chipDir: string, cut: Cut): Promise<void> {
  await writeWhole(join(chipDir, 'cut.json'), `${JSON.stringify(cut)}\n`);
}

function idOf(tile: Tile, index: number): string {
  return chipIdAt(tile.cell, Math.floor(index / CHIPS_PER_SIDE), index % CHIPS_PER_SIDE);
}

/** Chips by the 512 px block that up to four of them share; a block's number is its row times 512 plus its column. */
function byBlock(indices: readonly number[]): Map<number, number[]> {
  const blocks = new Map<number, number[]>();
  for (const index of indices) {
    const row = Math.floor(index / CHIPS_PER_SIDE) >> 1;
    const block = row * BLOCK + ((index % CHIPS_PER_SIDE) >> 1);
    blocks.set(block, [...(blocks.get(block) ?? []), index]);
  }
  return blocks;
}

const CHIP = /^(Z\d\d-[0-3]{18})_(.+)\.(?:jpg|png|webp)$/;

/** The chips on disk under a chip folder, in order of cell, date and name. */
export async function readChips(chipDir: string): Promise<Chip[]> {
  const folders: Chip[][] = [];
  for await (const chips of chipsByDate(chipDir)) folders.push(chips);
  return folders.flat();
}

/** As {@link readChips}, those of a date of a cell at a time: a zone may have millions. */
export async function* chipsByDate(chipDir: string): AsyncGenerator<Chip[]> {
  for (const quadkey of await chipCells(chipDir)) yield* datesOfCell(chipDir, quadkey);
}

/** Quadkeys of the cells that have a folder of chips, in order. */
export function chipCells(chipDir: string): Promise<string[]> {
  return namesIn(chipDir, /^[0-3]{12}$/);
}

/** The chips of one cell on disk, those of a date at a time. */
export async function* datesOfCell(chipDir: string, quadkey: string): AsyncGenerator<Chip[]> {
  for (const date of await namesIn(join(chipDir, quadkey), /^\d{4}-\d\d-\d\d$/)) {
    const folder = join(chipDir, quadkey, date);
    yield (await namesIn(folder, CHIP)).flatMap((name) => chipNamed(chipDir, quadkey, date, name) ?? []);
  }
}

/** The chip that a file's name stands for; nothing where it is no chip's. */
export function chipNamed(chipDir: string, quadkey: string, date: string, name: string): Chip | undefined {
  const [, id, catid] = CHIP.exec(name) ?? [];
  if (id === undefined) return undefined;
  return { id, catid, date, cell: `${id.slice(0, 4)}${quadkey}`, path: join(chipDir, quadkey, date, name) };
}

/** Names of such a form in a folder, in order; none where there is no such folder. */
async function namesIn(folder: string, form: RegExp): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  return names.filter((name) => form.test(name)).sort();
}
