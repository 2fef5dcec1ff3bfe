import sharp from 'sharp';
import { type Raster, openRaster } from './raster.ts';

/**
 * A picture of a whole raster, cut to what is real, no-data transparent; from the smallest overview that is wide enough.
 *
 * @param path a visual raster
 * @param options.width least width of the picture in pixels, where the raster has as many. Default 720
 * @returns PNG
 * @throws {Error} naming the file that holds no real pixel
 */
export async function overviewPng(path: string, { width = 720 }: { width?: number } = {}): Promise<Uint8Array> {
  const raster = await openRaster(path);
  try {
    const level = await levelFor(raster, width);
    const mask = await maskOf(raster, level);
    const window = realWindow(mask, raster.levels[level].width);
    if (!window) throw new Error(`${path} holds no real pixel: leave it out`);
    const rgb = await raster.readWindow(window.left, window.top, window.width, window.height, level);
    const pixels = withAlpha(rgb, mask, window, raster.levels[level].width);
    const picture = sharp(pixels, { raw: { width: window.width, height: window.height, channels: 4 } });
    return await picture.resize({ width, withoutEnlargement: true }).png().toBuffer();
  } finally {
    await raster.close();
  }
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
