import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import jpegTurbo from '@julusian/jpeg-turbo';
import {
  type Raster,
  type Tile,
  CHIP_PIXELS,
  CHIPS_PER_SIDE,
  chipIdAt,
  eachUnit,
  readJson,
  writeWhole,
} from '../ard/index.ts';
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

const BLOCK = 512;
/** While one block is decoded others are encoded and written. */
const BLOCKS_AT_ONCE = 4;

/** Where a chip lies: `<chipDir>/<quadkey12>/<date>/<id>_<catid>.jpg`. */
export function chipPath(
  chipDir: string,
  { cell, date, catid }: Pick<Tile, 'cell' | 'date' | 'catid'>,
  id: string,
): string {
  return join(chipDir, cell.quadkey, date, `${id}_${catid}.jpg`);
}

/** How the chips of a folder were cut: written beside them, so that no two kinds lie in one folder. */
interface Cut {
  quality: number;
  minValid: number;
}

const cutSchema: z.ZodType<Cut> = z.object({ quality: z.number(), minValid: z.number() });

/**
 * Makes sure that the chips in a folder were cut as is asked for now, and writes down how.
 *
 * @param force whether all are to be cut again, and so may be cut otherwise
 * @throws {Error} when those that are there were cut otherwise
 */
export async function agreeOnCut(chipDir: string, wanted: Cut, force: boolean): Promise<void> {
  const path = join(chipDir, 'cut.json');
  if (existsSync(path) && !force) {
    const { success, data: there } = cutSchema.safeParse(await readJson(path));
    if (!success)
      throw new Error(`${path} does not say how the chips beside it were cut: delete it, and cut with --force`);
    if (there.quality !== wanted.quality || there.minValid !== wanted.minValid) {
      throw new Error(
        `the chips in ${chipDir} were cut with quality ${there.quality} and at least ${there.minValid} real, not ${wanted.quality} and ${wanted.minValid}: ` +
          'ask for the same, give another chip folder, or delete that one',
      );
    }
  }
  await writeWhole(path, `${JSON.stringify(wanted)}\n`);
}

/**
 * Cuts a tile's chips into JPEG files of 256 px, block by block; a chip that is there is left alone.
 *
 * Chroma is halved both ways, as in the delivery itself.
 *
 * @param rowColumns chips to cut, as indices row by row from the north-west, 0–4,095
 * @param quality JPEG quality, 1–100
 * @returns how many were cut now
 */
export async function cutTile(
  raster: Raster,
  tile: Tile,
  rowColumns: readonly number[],
  chipDir: string,
  { quality = 90, force = false, signal }: { quality?: number; force?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<number> {
  const folder = join(chipDir, tile.cell.quadkey, tile.date);
  const there = new Set(force || !existsSync(folder) ? [] : await readdir(folder));
  const missing = rowColumns.filter((index) => !there.has(`${idOf(tile, index)}_${tile.catid}.jpg`));
  const cutBlock = async ([block, indices]: [number, number[]]): Promise<void> => {
    const [left, top] = blockWindow(Math.floor(block / BLOCK), block % BLOCK);
    const pixels = await raster.readWindow(left, top, BLOCK, BLOCK);
    await Promise.all(
      indices.map((index) => writeChip(pixels, index, chipPath(chipDir, tile, idOf(tile, index)), quality)),
    );
  };
  await eachUnit([...byBlock(missing)], 'blocks', cutBlock, { signal, concurrency: BLOCKS_AT_ONCE });
  return missing.length;
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

async function writeChip(block: Uint8Array, index: number, path: string, quality: number): Promise<void> {
  const top = (Math.floor(index / CHIPS_PER_SIDE) & 1) * CHIP_PIXELS;
  const left = (index & 1) * CHIP_PIXELS;
  const pixels = Buffer.allocUnsafe(CHIP_PIXELS * CHIP_PIXELS * 3);
  for (let row = 0; row < CHIP_PIXELS; row++) {
    const start = ((top + row) * BLOCK + left) * 3;
    pixels.set(block.subarray(start, start + CHIP_PIXELS * 3), row * CHIP_PIXELS * 3);
  }
  const { FORMAT_RGB: format, SAMP_420: subsampling } = jpegTurbo;
  const jpeg = await jpegTurbo.compress(pixels, {
    format,
    subsampling,
    width: CHIP_PIXELS,
    height: CHIP_PIXELS,
    quality,
  });
  await writeWhole(path, jpeg);
}

/** The chips on disk under a chip folder, in order of cell, date and name. */
export async function readChips(chipDir: string): Promise<Chip[]> {
  if (!existsSync(chipDir)) return [];
  const chips: Chip[] = [];
  const entries = await readdir(chipDir, { recursive: true });
  for (const entry of entries.sort()) {
    const found = /^([0-3]{12})\/(\d{4}-\d\d-\d\d)\/(Z\d\d-[0-3]{18})_(.+)\.jpg$/.exec(entry);
    if (found) {
      const [, quadkey, date, id, catid] = found as unknown as string[];
      chips.push({
        id: id,
        catid: catid,
        date: date,
        cell: `${id.slice(0, 4)}${quadkey}`,
        path: join(chipDir, entry),
      });
    }
  }
  return chips;
}
