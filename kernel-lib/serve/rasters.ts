import { join } from 'node:path';
import { type Bounds, type Raster, type Source, type Tile, openObject, openRaster } from '../ard/index.ts';
import { type Block, type BlockMask, BlockReader, bytesOfBlock, bytesOfMask, recycle } from './blocks.ts';
import type { Window } from './canvas.ts';
import { Shelf } from './shelf.ts';

/** A raster that is open, and its blocks. */
interface Open {
  raster: Raster;
  reader: BlockReader;
  /** Tells this opening from an earlier one of the same file, whose blocks may be kept still. */
  serial: number;
}

/** Rasters open at once: each takes a file handle, or 64 KiB of what was read of an object. */
const MOST_OPEN = 256;

/** No window is larger, pixels along a side: who asks for more has met a raster without overviews. */
const MOST_SIDE = 4096;

/** Share of the memory for blocks that their masks may take: a byte a pixel where one is real in parts, next to nothing else. */
const MASK_SHARE = 1 / 4;

/** Reads windows of visual rasters, and keeps what was opened and decoded. */
export class Rasters {
  readonly #source: Source;
  readonly #open: Shelf<Open>;
  readonly #blocks: Shelf<Block>;
  readonly #masks: Shelf<BlockMask>;
  #serial = 0;

  /** @param cacheBytes decoded blocks that are kept */
  constructor(source: Source, cacheBytes: number) {
    this.#source = source;
    this.#open = new Shelf({ most: MOST_OPEN, sizeOf: () => 1, end: ({ raster }) => void raster.close() });
    this.#blocks = new Shelf({ most: cacheBytes * (1 - MASK_SHARE), sizeOf: bytesOfBlock, end: recycle });
    this.#masks = new Shelf({ most: cacheBytes * MASK_SHARE, sizeOf: bytesOfMask, end: () => undefined });
  }

  /** Rasters that are open, and bytes of decoded blocks. */
  get state(): { open: number; blockBytes: number } {
    return { open: this.#open.size, blockBytes: this.#blocks.size + this.#masks.size };
  }

  /** Has `work` use a tile's visual raster, which stays open for a while. */
  async with<Result>(tile: Pick<Tile, 'files'>, work: (open: Open) => Promise<Result>): Promise<Result> {
    const key = tile.files.visual;
    const held = await this.#open.take(key, () => this.#openRaster(key));
    try {
      return await work(held.value);
    } finally {
      this.#open.give(held);
    }
  }

  /**
   * Pixels of the level that is just finer than wanted, within some bounds and one pixel around.
   *
   * @param bounds UTM metres
   * @param metres of a pixel that would do
   * @returns undefined where nothing is real, or the bounds lie beyond the raster
   */
  readWindow(tile: Pick<Tile, 'files'>, bounds: Bounds, metres: number): Promise<Window | undefined> {
    return this.with(tile, async (open) => {
      const { levels, metresPerPixel } = open.raster;
      const scale = levels.map(({ width }) => (metresPerPixel * levels[0].width) / width);
      const level = Math.max(
        0,
        scale.findLastIndex((one) => one <= metres * 1.001),
      );
      return this.#readLevel(open, level, scale[level], bounds);
    });
  }

  /** Whether one pixel of the full level is real. */
  async isReal(open: Open, column: number, row: number): Promise<boolean> {
    const { blockSize, blockHeight } = open.raster.levels[0];
    const place: Place = { level: 0, x: Math.floor(column / blockSize), y: Math.floor(row / blockHeight) };
    const frame = { left: column, top: row, width: 1, height: 1 };
    const laid = await this.#lay(open, place, frame);
    laid?.giveBack();
    return laid !== undefined && (laid.mask === undefined || laid.mask[(row % blockHeight) * blockSize + (column % blockSize)] !== 0); // prettier-ignore
  }

  close(): void {
    this.#open.clear();
    this.#blocks.clear();
    this.#masks.clear();
  }

  async #openRaster(key: string): Promise<Open> {
    const { address } = this.#source;
    const raster = address.startsWith('s3://') ? await openObject(this.#source, key) : await openRaster(join(address, key)); // prettier-ignore
    return { raster, reader: new BlockReader(raster), serial: this.#serial++ };
  }

  async #readLevel(open: Open, level: number, metres: number, bounds: Bounds): Promise<Window | undefined> {
    const { raster } = open;
    const { width, height, blockSize, blockHeight } = raster.levels[level];
    const [west, north] = raster.origin;
    const left = Math.max(0, Math.floor((bounds[0] - west) / metres - 0.5));
    const top = Math.max(0, Math.floor((north - bounds[3]) / metres - 0.5));
    const right = Math.min(width, Math.ceil((bounds[2] - west) / metres + 0.5));
    const bottom = Math.min(height, Math.ceil((north - bounds[1]) / metres + 0.5));
    if (left >= right || top >= bottom) return undefined;
    if (right - left > MOST_SIDE || bottom - top > MOST_SIDE)
      throw new Error(`${raster.path} has no overview for so small a scale: make it anew with gdal_translate -of COG`);
    const frame = { left, top, width: right - left, height: bottom - top };
    const places: Place[] = [];
    for (let y = Math.floor(top / blockHeight); y * blockHeight < bottom; y++)
      for (let x = Math.floor(left / blockSize); x * blockSize < right; x++) places.push({ level, x, y });
    const taken = await Promise.allSettled(places.map((place) => this.#lay(open, place, frame)));
    try {
      const failed = taken.find((one) => one.status === 'rejected');
      if (failed) throw failed.reason;
      const laid = taken.map((one) => (one as PromiseFulfilledResult<Laid | undefined>).value);
      return joined(frame, laid, raster.origin, metres);
    } finally {
      for (const one of taken) if (one.status === 'fulfilled') one.value?.giveBack();
    }
  }

  /** Takes a block for a frame: nothing, and nothing is decoded, where none of its pixels within the frame is real. */
  async #lay({ raster, reader, serial }: Open, { level, x, y }: Place, frame: Frame): Promise<Laid | undefined> {
    const { blockSize: across, blockHeight: down } = raster.levels[level];
    const key = `${serial} ${level} ${x} ${y}`;
    const mask = await this.#masks.take(key, () => reader.readMask(level, x, y));
    this.#masks.give(mask);
    const { real } = mask.value;
    const spot = { left: x * across - frame.left, top: y * down - frame.top, across, down };
    if (real === 'none' || (real !== 'all' && !hasReal(real, spot, frame))) return undefined;
    const held = await this.#blocks.take(key, () => reader.read(level, x, y));
    const block = held.value;
    return { ...spot, block, mask: real === 'all' ? block.mask : real, giveBack: () => this.#blocks.give(held) };
  }
}

/** Level, column and row of a block. */
interface Place {
  level: number;
  x: number;
  y: number;
}

/** Where a block lies from a window's first pixel, and its size. */
interface Spot {
  left: number;
  top: number;
  across: number;
  down: number;
}

/** A block in its spot, in use until it is given back. */
interface Laid extends Spot {
  block: Block;
  /** `[row, col]` of the block: 0 where a pixel is not real; undefined where all are. */
  mask: Uint8Array | undefined;
  giveBack: () => void;
}

type Frame = Pick<Window, 'left' | 'top' | 'width' | 'height'>;

function hasReal(mask: Uint8Array, { left, top, across, down }: Spot, { width, height }: Frame): boolean {
  for (let row = Math.max(0, -top); row < Math.min(down, height - top); row++)
    for (let column = Math.max(0, -left); column < Math.min(across, width - left); column++)
      if (mask[row * across + column] !== 0) return true;
  return false;
}

/** One window out of its blocks; undefined where there is none. */
function joined(
  frame: Frame,
  laid: readonly (Laid | undefined)[],
  origin: Window['origin'],
  metres: number,
): Window | undefined {
  const there = laid.filter((one) => one !== undefined);
  if (there.length === 0) return undefined;
  const { width, height } = frame;
  const pixels = new Uint8Array(width * height * 3);
  const whole = there.length === laid.length && there.every(({ mask }) => mask === undefined);
  const mask = whole ? undefined : new Uint8Array(width * height);
  for (const part of there) lay(part, frame, pixels, mask);
  return { ...frame, pixels, mask: mask?.includes(0) ? mask : undefined, origin, metres };
}

function lay(
  { block, mask: real, left, top, across, down }: Laid,
  { width, height }: Frame,
  pixels: Uint8Array,
  mask: Uint8Array | undefined,
): void {
  const source = block.pixels;
  const [from, to] = [Math.max(0, left), Math.min(width, left + across)];
  for (let row = Math.max(0, top); row < Math.min(height, top + down); row++) {
    const start = (row - top) * across + from - left;
    const at = row * width + from;
    if (block.bands === 3) pixels.set(source.subarray(3 * start, 3 * (start + to - from)), 3 * at);
    else for (let k = 0; k < to - from; k++) pixels.fill(source[start + k], 3 * (at + k), 3 * (at + k) + 3);
    if (!mask) continue;
    if (real) mask.set(real.subarray(start, start + to - from), at);
    else mask.fill(1, at, at + to - from);
  }
}
