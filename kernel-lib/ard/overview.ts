import type { Bounds } from './grid.ts';
import { type Raster, openRaster } from './raster.ts';
import type { SourceOptions } from './source.ts';

/** Options of the pictures of a raster; where it is one in a bucket, also how to reach that. */
export interface PictureOptions extends SourceOptions {
  /** Width of the picture in pixels, less where the raster has fewer. Each picture states its default. */
  width?: number;
}

/** What a look at a raster shows, and what it took. */
export interface Peek {
  /** PNG of what is real, no-data transparent. */
  overview: Uint8Array;
  /** PNG of the whole tile, real or not in two colours. */
  mask: Uint8Array;
  /** Share of real pixels, 0–1. */
  real: number;
  /** Bytes of the file, and those read over the network; as many as the file has where it lies on a disk. */
  bytes: number;
  bytesRead: number;
}

/**
 * Overview and mask of a raster that need not be here: of one in a bucket only their few blocks are read.
 *
 * @param address path, or `s3://bucket/…/x-visual.tif`
 * @throws as {@link openRaster}
 */
export async function peekAt(address: string, options: PictureOptions = {}): Promise<Peek> {
  const raster = await openRaster(address, options);
  try {
    const [overview, mask, real] = [await overviewPng(raster, options), await maskPng(raster), await realShare(raster)];
    return { overview, mask, real, bytes: raster.size, bytesRead: raster.traffic?.bytes ?? raster.size };
  } finally {
    await raster.close();
  }
}

/**
 * A picture of a whole raster, cut to what is real, no-data transparent; from the smallest overview that is wide enough.
 *
 * @param place a visual raster: its path, its `s3://` address, or an open one, which stays open
 * @param options width: 720 by default
 * @returns PNG
 * @throws {Error} naming the file that holds no real pixel
 */
export function overviewPng(
  place: string | Raster,
  { width = 720, ...reach }: PictureOptions = {},
): Promise<Uint8Array> {
  return withRaster(place, reach, async (raster) => {
    const level = await levelFor(raster, width);
    await raster.prefetch(level);
    const mask = await maskOf(raster, level);
    const window = realWindow(mask, raster.levels[level].width);
    if (!window) throw new Error(`${raster.path} holds no real pixel: leave it out`);
    const rgb = await raster.readWindow(window.left, window.top, window.width, window.height, level);
    const pixels = withAlpha(rgb, mask, window, raster.levels[level].width);
    const { default: sharp } = await import('sharp');
    const picture = sharp(pixels, { raw: { width: window.width, height: window.height, channels: 4 } });
    return picture.resize({ width, withoutEnlargement: true }).png().toBuffer();
  });
}

/**
 * A picture of a square of ground, no-data and what lies beyond the raster transparent: a cell without its apron, say.
 *
 * @param place a visual raster: its path, its `s3://` address, or an open one, which stays open
 * @param bounds `[west, south, east, north]`, metres of the raster's UTM
 * @param options width: 1,440 by default
 * @returns PNG of just these bounds
 * @throws {RangeError} when the bounds are no rectangle; {Error} naming the file that does not reach into them
 */
export async function groundPng(
  place: string | Raster,
  bounds: Bounds,
  { width = 1440, ...reach }: PictureOptions = {},
): Promise<Uint8Array> {
  const [west, south, east, north] = bounds;
  if (!(west < east && south < north)) throw new RangeError(`no rectangle of metres: ${bounds.join(', ')}`);
  return withRaster(place, reach, async (raster) => {
    const wanted = (raster.levels[0].width * raster.metresPerPixel * width) / (east - west);
    const level = Math.max(0, raster.levels.findLastIndex((one) => one.width >= wanted)); // prettier-ignore
    const { width: across, height: down } = raster.levels[level];
    const metres = (raster.metresPerPixel * raster.levels[0].width) / across;
    const pixel = (distance: number): number => Math.round(distance / metres);
    const [left, top] = [pixel(west - raster.origin[0]), pixel(raster.origin[1] - north)];
    const [columns, rows] = [pixel(east - west), pixel(north - south)];
    const window: Window = { left: Math.max(0, left), top: Math.max(0, top), width: 0, height: 0 };
    window.width = Math.min(across, left + columns) - window.left;
    window.height = Math.min(down, top + rows) - window.top;
    if (window.width <= 0 || window.height <= 0)
      throw new Error(`${raster.path} does not reach into ${bounds.join(', ')}`);
    await raster.prefetch(level);
    const rgb = await raster.readWindow(window.left, window.top, window.width, window.height, level);
    const real = await raster.readMaskWindow(window.left, window.top, window.width, window.height, level);
    const mask = real ?? new Uint8Array(window.width * window.height).fill(1);
    const pixels = withAlpha(rgb, mask, { ...window, left: 0, top: 0 }, window.width);
    const raw = { width: window.width, height: window.height, channels: 4 } as const;
    const beyond = { left: window.left - left, top: window.top - top };
    const right = columns - window.width - beyond.left;
    const bottom = rows - window.height - beyond.top;
    const { default: sharp } = await import('sharp');
    const whole = sharp(pixels, { raw })
      .extend({ ...beyond, right, bottom, background: '#0000' })
      .png();
    const shown = Math.min(width, columns);
    const height = Math.round((shown * (north - south)) / (east - west));
    return sharp(await whole.toBuffer())
      .resize(shown, height, { fit: 'fill' })
      .png()
      .toBuffer();
  });
}

/**
 * The smallest rectangle around what is real within some bounds, from the coarsest mask of 512 pixels or more.
 *
 * @param place a raster: its path, its `s3://` address, or an open one, which stays open
 * @param within `[west, south, east, north]`, metres of the raster's UTM: a cell without its apron, say
 * @returns metres, no more than one pixel of that mask too large on any side
 * @throws {Error} naming the file that has no real pixel there, or no mask
 */
export function realBounds(place: string | Raster, within: Bounds, reach: SourceOptions = {}): Promise<Bounds> {
  return withRaster(place, reach, async (raster) => {
    const { bits, across } = await coarseMask(raster, 512);
    const metres = (raster.metresPerPixel * raster.levels[0].width) / across;
    const [west, north] = raster.origin;
    const [left, top] = [(within[0] - west) / metres, (north - within[3]) / metres].map(Math.round);
    const [right, bottom] = [(within[2] - west) / metres, (north - within[1]) / metres].map(Math.round);
    const inside = bits.map((bit, at) => {
      const [column, row] = [at % across, Math.floor(at / across)];
      return column >= left && column < right && row >= top && row < bottom ? bit : 0;
    });
    const window = realWindow(inside, across);
    if (!window) throw new Error(`${raster.path} holds no real pixel in ${within.join(', ')}: leave it out`);
    const [x, y] = [west + window.left * metres, north - window.top * metres];
    const found: Bounds = [x, y - window.height * metres, x + window.width * metres, y];
    return [Math.max(found[0], within[0]), Math.max(found[1], within[1]), Math.min(found[2], within[2]), Math.min(found[3], within[3])]; // prettier-ignore
  });
}

/** Red, green and blue of what is real: the light blue of the charts. */
const REAL = [0x56, 0xb4, 0xe9];

/**
 * The mask of a whole raster as a small picture: what is real in one tone, no data transparent. No pixel is read, only
 * the coarsest mask that is wide enough.
 *
 * @param place a raster: its path, its `s3://` address, or an open one, which stays open
 * @param options width: 360 by default
 * @returns PNG of two colours
 * @throws {Error} naming the file that has no mask
 */
export function maskPng(place: string | Raster, { width = 360, ...reach }: PictureOptions = {}): Promise<Uint8Array> {
  return withRaster(place, reach, async (raster) => {
    const { bits, across } = await coarseMask(raster, width);
    const pixels = new Uint8Array(bits.length * 4);
    for (let pixel = 0; pixel < bits.length; pixel++) if (bits[pixel]) pixels.set([...REAL, 255], pixel * 4);
    const { default: sharp } = await import('sharp');
    const picture = sharp(pixels, { raw: { width: across, height: bits.length / across, channels: 4 } });
    const resized = picture.resize({ width, withoutEnlargement: true, kernel: 'nearest' });
    return resized.png({ palette: true, colours: 2 }).toBuffer();
  });
}

/**
 * Which share of a raster is real, from the coarsest mask of 512 pixels or more.
 *
 * A pixel of an overview's mask is real where one beneath it is, so that this is a little too much: 0.001–0.002 for tiles
 * of 6 to 95 %. What is exact is `validFractions` of `imagesim/chips`, which reads the mask of the full level.
 *
 * @param place a raster: its path, its `s3://` address, or an open one, which stays open
 * @returns 0–1 of the whole raster; of a tile the apron included
 * @throws {Error} naming the file that has no mask
 */
export function realShare(place: string | Raster, reach: SourceOptions = {}): Promise<number> {
  return withRaster(place, reach, async (raster) => {
    const { bits } = await coarseMask(raster, 512);
    return bits.reduce((sum, bit) => sum + bit, 0) / bits.length;
  });
}

async function withRaster<Result>(
  place: string | Raster,
  reach: SourceOptions,
  work: (raster: Raster) => Promise<Result>,
): Promise<Result> {
  if (typeof place !== 'string') return work(place);
  const raster = await openRaster(place, reach);
  try {
    return await work(raster);
  } finally {
    await raster.close();
  }
}

/** The coarsest mask that is at least so wide, `[row, col]`, 1 or 0, and its width. */
async function coarseMask(raster: Raster, width: number): Promise<{ bits: Uint8Array; across: number }> {
  const level = Math.max(
    0,
    raster.levels.findLastIndex((one) => one.width >= width),
  );
  const bits = await raster.readMask(level);
  if (!bits) throw new Error(`${raster.path} has no mask: which of its pixels are real is not known`);
  return { bits, across: raster.levels[level].width };
}

interface Window {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The coarsest level on which what is real is at least so wide; judged on the coarsest of all. */
async function levelFor(raster: Raster, width: number): Promise<number> {
  const coarsest = raster.levels.length - 1;
  const across = realWindow(await maskOf(raster, coarsest), raster.levels[coarsest].width)?.width ?? 1;
  const wanted = raster.levels.findLastIndex(
    (level) => (across * level.width) / raster.levels[coarsest].width >= width,
  );
  return Math.max(0, wanted);
}

async function maskOf(raster: Raster, level: number): Promise<Uint8Array> {
  const { width, height } = raster.levels[level];
  return (await raster.readMask(level)) ?? new Uint8Array(width * height).fill(1);
}

function withAlpha(
  rgb: Uint8Array,
  mask: Uint8Array,
  { left, top, width, height }: Window,
  across: number,
): Uint8Array {
  const rgba = new Uint8Array(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel++) {
    rgba.set(rgb.subarray(pixel * 3, pixel * 3 + 3), pixel * 4);
    rgba[pixel * 4 + 3] = mask[(top + Math.floor(pixel / width)) * across + left + (pixel % width)] * 255;
  }
  return rgba;
}

/** The smallest window that holds every real pixel. */
function realWindow(mask: Uint8Array, width: number): Window | undefined {
  let [left, right, top, bottom] = [width, -1, -1, -1];
  for (let at = mask.indexOf(1); at !== -1; at = mask.indexOf(1, at + 1)) {
    const row = Math.floor(at / width);
    if (top < 0) top = row;
    bottom = row;
    left = Math.min(left, at % width);
    right = Math.max(right, at % width);
  }
  return right < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}
