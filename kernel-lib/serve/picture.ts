import jpeg from '@julusian/jpeg-turbo';
import sharp from 'sharp';
import type { Canvas } from './canvas.ts';

/** How a map tile is encoded. */
export const FORMATS = ['png', 'jpg', 'webp'] as const;
export type Format = (typeof FORMATS)[number];

export const MEDIA_TYPES: Record<Format, string> = { png: 'image/png', jpg: 'image/jpeg', webp: 'image/webp' };

/** Red, green and blue, 0–255. */
export type Colour = readonly [number, number, number];

const JPEG_QUALITY = 85;
const WEBP_QUALITY = 80;

/**
 * Encodes a canvas. What is not painted is transparent, in a JPEG of the background.
 *
 * PNG is written for speed: fully painted without alpha, lightly packed; one with nothing on it is well packed.
 */
export async function encode(canvas: Canvas, format: Format, background: Colour): Promise<Uint8Array> {
  const { size, pixels, left } = canvas;
  if (format === 'jpg') {
    const raw = left === 0 ? pixels : flattened(canvas, background);
    const data = Buffer.from(raw.buffer, raw.byteOffset, raw.length);
    return jpeg.compress(data, { format: jpeg.FORMAT_RGB, width: size, height: size, quality: JPEG_QUALITY, subsampling: jpeg.SAMP_420 }); // prettier-ignore
  }
  const isBlank = left === size * size;
  const known = isBlank && format === 'png' ? blanks.get(size) : undefined;
  if (known) return known;
  const picture =
    left === 0
      ? sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
      : sharp(withAlpha(canvas), { raw: { width: size, height: size, channels: 4 } });
  if (format === 'webp') return picture.webp({ quality: WEBP_QUALITY, effort: 0 }).toBuffer();
  if (!isBlank) return picture.png({ compressionLevel: 1, adaptiveFiltering: true }).toBuffer();
  const bytes = await picture.png({ compressionLevel: 9 }).toBuffer();
  blanks.set(size, bytes);
  return bytes;
}

/** PNGs with nothing on them, by size: many map tiles at the edge of what is there are one. */
const blanks = new Map<number, Uint8Array>();

function flattened({ pixels, filled }: Canvas, background: Colour): Uint8Array {
  const flat = Uint8Array.from(pixels);
  for (let pixel = 0; pixel < filled.length; pixel++) if (filled[pixel] === 0) flat.set(background, 3 * pixel);
  return flat;
}

function withAlpha({ pixels, filled }: Canvas): Uint8Array {
  const rgba = new Uint8Array(filled.length * 4);
  for (let pixel = 0, from = 0, to = 0; pixel < filled.length; pixel++, from += 3, to += 4) {
    if (filled[pixel] === 0) continue;
    rgba[to] = pixels[from];
    rgba[to + 1] = pixels[from + 1];
    rgba[to + 2] = pixels[from + 2];
    rgba[to + 3] = 255;
  }
  return rgba;
}
