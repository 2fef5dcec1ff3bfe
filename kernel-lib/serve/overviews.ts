import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import { type StepOptions, type Tile, eachUnit, jsonOf, replaceWhole } from '../ard/index.ts';
import type { Window } from './canvas.ts';
import type { Catalogue } from './catalogue.ts';
import type { Rasters } from './rasters.ts';

/** Pixels along a cell's side in its finest overview: 19.53125 m each. All coarser ones follow, down to one pixel. */
export const OVERVIEW_PIXELS = 256;
/** Metres of a cell's side. */
const CELL_METRES = 5000;
/** Metres of a pixel of the finest overview: where less would do, the rasters' own levels are read. */
export const OVERVIEW_METRES: number = CELL_METRES / OVERVIEW_PIXELS;
/** Overviews up to this size are kept in memory, 1.4 KB a tile. */
const SMALL_PIXELS = 16;
/** `[row, col, 4]`: red, green, blue, and 255 where it is real. */
const DEPTH = 4;
const MAGIC = 'imagesim-overviews-2';

const sizeOf = (pixels: number): number => pixels * pixels * DEPTH;
/** Bytes of the overviews from 256 to 32 pixels, and of those from 16 to 1. */
const LARGE = sizeOf(256) + sizeOf(128) + sizeOf(64) + sizeOf(32);
const SMALL = sizeOf(16) + sizeOf(8) + sizeOf(4) + sizeOf(2) + sizeOf(1);

/**
 * All overviews of one tile, from 256² to 1², 350 KB: the raster's own level of 19.5 m, its apron left out, halved again and again.
 *
 * A pixel is the mean of the real ones among its four; it is real when any of them is.
 */
export type OverviewRecord = Uint8Array;

/** Makes a tile's record from its raster: one block is read. */
export async function makeRecord(rasters: Rasters, tile: Tile): Promise<OverviewRecord> {
  const record = new Uint8Array(LARGE + SMALL);
  const window = await rasters.readWindow(tile, tile.cell.cellBounds, OVERVIEW_METRES);
  if (!window) return record;
  const side = Math.round(CELL_METRES / window.metres);
  if (!Number.isInteger(Math.log2(side / OVERVIEW_PIXELS)))
    throw new Error(`${tile.files.visual} has an overview of ${window.metres} m a pixel: expected each to halve the one before; make it anew with gdal_translate -of COG`); // prettier-ignore
  let pixels = squareOf(window, tile, side);
  for (let size = side; size > OVERVIEW_PIXELS; size /= 2) pixels = halved(pixels, size);
  for (let size = OVERVIEW_PIXELS, at = 0; size >= 1; at += sizeOf(size), size /= 2) {
    record.set(pixels, at);
    pixels = halved(pixels, size);
  }
  return record;
}

/** The cell's own pixels of a window, with alpha. */
function squareOf(
  { left, top, width, height, metres, origin, pixels, mask }: Window,
  { cell }: Tile,
  side: number,
): Uint8Array {
  // prettier-ignore
  const square = new Uint8Array(sizeOf(side));
  const [west, , , north] = cell.cellBounds;
  const [column, row] = [
    Math.round((west - origin[0]) / metres) - left,
    Math.round((origin[1] - north) / metres) - top,
  ];
  for (let y = Math.max(0, -row); y < side && row + y < height; y++) {
    for (let x = Math.max(0, -column); x < side && column + x < width; x++) {
      const from = (row + y) * width + column + x;
      if (mask?.[from] === 0) continue;
      square.set(pixels.subarray(3 * from, 3 * from + 3), DEPTH * (y * side + x));
      square[DEPTH * (y * side + x) + 3] = 255;
    }
  }
  return square;
}

/** Means of the real ones among four. */
function halved(pixels: Uint8Array, size: number): Uint8Array {
  const half = size >> 1;
  const means = new Uint8Array(sizeOf(half));
  for (let row = 0; row < half; row++) {
    for (let column = 0; column < half; column++) {
      const a = DEPTH * (2 * row * size + 2 * column);
      const four = [a, a + DEPTH, a + DEPTH * size, a + DEPTH * size + DEPTH].filter((at) => pixels[at + 3] > 0);
      if (four.length === 0) continue;
      const to = DEPTH * (row * half + column);
      for (let band = 0; band < 3; band++) means[to + band] = four.reduce((sum, at) => sum + pixels[at + band], 0) / four.length + 0.5; // prettier-ignore
      means[to + 3] = 255;
    }
  }
  return means;
}

/** The overview of a record that is just finer than wanted: its size, and where it begins. */
export function overviewFor(metres: number): { size: number; at: number } {
  let [size, at] = [OVERVIEW_PIXELS, 0];
  while (size > 1 && (2 * CELL_METRES) / size <= metres * 1.001) [size, at] = [size / 2, at + sizeOf(size)];
  return { size, at };
}

/** One overview as a window of its cell. */
export function overviewWindow(pixels: Uint8Array, size: number, { cell }: Tile): Window | undefined {
  const rgb = new Uint8Array(size * size * 3);
  const mask = new Uint8Array(size * size);
  let real = 0;
  for (let pixel = 0; pixel < size * size; pixel++) {
    if (pixels[DEPTH * pixel + 3] === 0) continue;
    mask[pixel] = 1;
    real++;
    rgb[3 * pixel] = pixels[DEPTH * pixel];
    rgb[3 * pixel + 1] = pixels[DEPTH * pixel + 1];
    rgb[3 * pixel + 2] = pixels[DEPTH * pixel + 2];
  }
  if (real === 0) return undefined;
  const [west, , , north] = cell.cellBounds;
  return { left: 0, top: 0, width: size, height: size, pixels: rgb, mask: real === size * size ? undefined : mask, origin: [west, north], metres: CELL_METRES / size }; // prettier-ignore
}

/** Overviews of all tiles in one file: the large ones of each, the small ones of each, then a list of whose they are. */
export class OverviewFile {
  readonly #handle: FileHandle;
  readonly #numbers: Map<string, number>;
  readonly #small: Buffer;

  private constructor(handle: FileHandle, identities: readonly string[], small: Buffer) {
    this.#handle = handle;
    this.#numbers = new Map(identities.map((identity, number) => [identity, number]));
    this.#small = small;
  }

  /** @returns undefined where there is no such file @throws {Error} naming the file that is damaged */
  static async open(path: string): Promise<OverviewFile | undefined> {
    const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (!handle) return undefined;
    try {
      const identities = await readList(handle, path);
      const small = await readAt(handle, identities.length * LARGE, identities.length * SMALL);
      return new OverviewFile(handle, identities, small);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get tiles(): number {
    return this.#numbers.size;
  }

  has(identity: string): boolean {
    return this.#numbers.has(identity);
  }

  /** One overview of a tile: at once where it is small. */
  read(identity: string, { size, at }: { size: number; at: number }): Uint8Array | Promise<Uint8Array> {
    const number = this.#numbers.get(identity) ?? -1;
    if (size > SMALL_PIXELS) return readAt(this.#handle, number * LARGE + at, sizeOf(size));
    const from = number * SMALL + at - LARGE;
    return this.#small.subarray(from, from + sizeOf(size));
  }

  async readRecord(identity: string): Promise<OverviewRecord> {
    const number = this.#numbers.get(identity) ?? -1;
    const large = await readAt(this.#handle, number * LARGE, LARGE);
    return Buffer.concat([large, this.#small.subarray(number * SMALL, (number + 1) * SMALL)]);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
  if (bytesRead < length) throw new Error(`the file of overviews ends at byte ${position + bytesRead}: remove it`);
  return buffer;
}

async function readList(handle: FileHandle, path: string): Promise<string[]> {
  const damaged = (found: string): Error => new Error(`${path} is no file of overviews (${found}): remove it, and start imagesim serve again`); // prettier-ignore
  const { size } = await handle.stat();
  const tail = Buffer.alloc(MAGIC.length + 8);
  if (size < tail.length) throw damaged(`${size} bytes`);
  await handle.read(tail, 0, tail.length, size - tail.length);
  if (tail.subarray(8).toString() !== MAGIC) throw damaged('another ending');
  const length = Number(tail.readBigUInt64LE(0));
  const start = size - tail.length - length;
  if (!(start >= 0)) throw damaged(`a list of ${length} bytes`);
  const list = z.array(z.string()).safeParse(jsonOf(await readAt(handle, start, length)));
  if (!list.success || list.data.length * (LARGE + SMALL) !== start) throw damaged('another list than its records');
  return list.data;
}

/**
 * Writes the overviews of all that is served, whole or not at all; those that another file has are taken from there.
 *
 * @param path of the file
 * @param old what was written before, if anything
 * @returns how many were made anew
 */
export async function writeOverviews(
  path: string,
  { tiles, identities }: Pick<Catalogue, 'tiles' | 'identities'>,
  rasters: Rasters,
  old: OverviewFile | undefined,
  options: StepOptions = {},
): Promise<number> {
  let made = 0;
  await replaceWhole(path, async (part) => {
    const handle = await open(part, 'wx');
    try {
      const write = async (tile: Tile, number: number): Promise<void> => {
        const known = old?.has(identities[number]);
        const record = known ? await old?.readRecord(identities[number]) : await makeRecord(rasters, tile);
        made += known ? 0 : 1;
        await handle.write(record as Uint8Array, 0, LARGE, number * LARGE);
        await handle.write(record as Uint8Array, LARGE, SMALL, tiles.length * LARGE + number * SMALL);
      };
      await eachUnit(tiles, 'tiles', write, { concurrency: 2, ...options });
      const list = Buffer.from(JSON.stringify(identities));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(list.length));
      await handle.write(Buffer.concat([list, length, Buffer.from(MAGIC)]), 0, null, tiles.length * (LARGE + SMALL));
    } finally {
      await handle.close();
    }
  });
  return made;
}
