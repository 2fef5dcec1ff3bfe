import { join } from 'node:path';
import { type Bounds, type Raster, type Source, type Tile, openObject, openRaster } from '../ard/index.ts';
import { type Block, BlockReader, bytesOfBlock, recycle } from './blocks.ts';
import type { Window } from './canvas.ts';
import { type Held, Shelf } from './shelf.ts';

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

/** Reads windows of visual rasters, and keeps what was opened and decoded. */
export class Rasters {
  readonly #source: Source;
  readonly #open: Shelf<Open>;
  readonly #blocks: Shelf<Block>;
  #serial = 0;

  /** @param cacheBytes decoded blocks that are kept */
  constructor(source: Source, cacheBytes: number) {
    this.#source = source;
    this.#open = new Shelf({ most: MOST_OPEN, sizeOf: () => 1, end: ({ raster }) => void raster.close() });
    this.#blocks = new Shelf({ most: cacheBytes, sizeOf: bytesOfBlock, end: recycle });
  }

  /** Rasters that are open, and bytes of decoded blocks. */
  get state(): { open: number; blockBytes: number } {
    return { open: this.#open.size, blockBytes: this.#blocks.size };
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
  async isReal({ reader, raster, serial }: Open, column: number, row: number): Promise<boolean> {
    const { blockSize, blockHeight } = raster.levels[0];
    const [x, y] = [Math.floor(column / blockSize), Math.floor(row / blockHeight)];
    const held = await this.#blocks.take(`${serial} 0 ${x} ${y}`, () => reader.read(0, x, y));
    const { pixels, mask } = held.value;
    this.#blocks.give(held);
    return pixels !== undefined && mask?.[(row % blockHeight) * blockSize + (column % blockSize)] !== 0;
  }

  close(): void {
    this.#open.clear();
    this.#blocks.clear();
  }

  async #openRaster(key: string): Promise<Open> {
    const { address } = this.#source;
    const raster = address.startsWith('s3://') ? await openObject(this.#source, key) : await openRaster(join(address, key)); // prettier-ignore
    return { raster, reader: new BlockReader(raster), serial: this.#serial++ };
  }

  async #readLevel(
    { raster, reader, serial }: Open,
    level: number,
    metres: number,
    bounds: Bounds,
  ): Promise<Window | undefined> {
    const { width, height, blockSize, blockHeight } = raster.levels[level];
    const [west, north] = raster.origin;
    const left = Math.max(0, Math.floor((bounds[0] - west) / metres - 0.5));
    const top = Math.max(0, Math.floor((north - bounds[3]) / metres - 0.5));
    const right = Math.min(width, Math.ceil((bounds[2] - west) / metres + 0.5));
    const bottom = Math.min(height, Math.ceil((north - bounds[1]) / metres + 0.5));
    if (left >= right || top >= bottom) return undefined;
    if (right - left > MOST_SIDE || bottom - top > MOST_SIDE)
      throw new Error(`${raster.path} has no overview for so small a scale: make it anew with gdal_translate -of COG`);
    const places: [x: number, y: number][] = [];
    for (let y = Math.floor(top / blockHeight); y * blockHeight < bottom; y++)
      for (let x = Math.floor(left / blockSize); x * blockSize < right; x++) places.push([x, y]);
    const taken = await Promise.allSettled(places.map(([x, y]) => this.#blocks.take(`${serial} ${level} ${x} ${y}`, () => reader.read(level, x, y)))); // prettier-ignore
    try {
      const failed = taken.find((one) => one.status === 'rejected');
      if (failed) throw failed.reason;
      const blocks = (taken as PromiseFulfilledResult<Held<Block>>[]).map(({ value }) => value.value);
      const frame = { left, top, width: right - left, height: bottom - top };
      const laid = blocks.map((block, at): Laid => ({ block, left: places[at][0] * blockSize - left, top: places[at][1] * blockHeight - top, across: blockSize, down: blockHeight })); // prettier-ignore
      return joined(frame, laid, raster.origin, metres);
    } finally {
      for (const one of taken) if (one.status === 'fulfilled') this.#blocks.give(one.value);
    }
  }
}

/** A block, and where it lies from a window's first pixel. */
interface Laid {
  block: Block;
  left: number;
  top: number;
  across: number;
  down: number;
}

type Frame = Pick<Window, 'left' | 'top' | 'width' | 'height'>;

/** One window out of its blocks. */
function joined(frame: Frame, laid: readonly Laid[], origin: Window['origin'], metres: number): Window | undefined {
  if (laid.every(({ block }) => block.pixels === undefined)) return undefined;
  const { width, height } = frame;
  const pixels = new Uint8Array(width * height * 3);
  const whole = laid.every(({ block }) => block.pixels !== undefined && block.mask === undefined);
  const mask = whole ? undefined : new Uint8Array(width * height);
  for (const part of laid) lay(part, frame, pixels, mask);
  return { ...frame, pixels, mask: mask?.includes(0) ? mask : undefined, origin, metres };
}

function lay(
  { block, left, top, across, down }: Laid,
  { width, height }: Frame,
  pixels: Uint8Array,
  mask: Uint8Array | undefined,
): void {
  // prettier-ignore
  const source = block.pixels;
  if (!source) return;
  const [from, to] = [Math.max(0, left), Math.min(width, left + across)];
  for (let row = Math.max(0, top); row < Math.min(height, top + down); row++) {
    const start = (row - top) * across + from - left;
    const at = row * width + from;
    if (block.bands === 3) pixels.set(source.subarray(3 * start, 3 * (start + to - from)), 3 * at);
    else for (let k = 0; k < to - from; k++) pixels.fill(source[start + k], 3 * (at + k), 3 * (at + k) + 3);
    if (!mask) continue;
    if (block.mask) mask.set(block.mask.subarray(start, start + to - from), at);
    else mask.fill(1, at, at + to - from);
  }
}
