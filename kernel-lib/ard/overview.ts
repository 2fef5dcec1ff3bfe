import sharp from 'sharp';
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
    const picture = sharp(pixels, { raw: { width: window.width, height: window.height, channels: 4 } });
    return picture.resize({ width, withoutEnlargement: true }).png().toBuffer();
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
