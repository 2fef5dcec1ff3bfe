import sharp from 'sharp';
import { chipBounds } from '../ard/index.ts';
import type { Window } from './canvas.ts';

/** Sides of a thumbnail that are served, pixels. */
export const SIDES: readonly number[] = [64, 128, 256];

const QUALITY = 82;
/** What shows where nothing is real. */
const BACKGROUND = 128;

/** A chip out of a window that holds it, as a JPEG, north up in UTM. @param side pixels of the picture */
export async function thumbnail(id: string, window: Window, side: number): Promise<Buffer> {
  const { left, top, width, height, pixels, mask, origin, metres } = window;
  const [west, south, east, north] = chipBounds(id);
  const column = Math.max(0, Math.round((west - origin[0]) / metres) - left);
  const row = Math.max(0, Math.round((origin[1] - north) / metres) - top);
  const whole = mask ? pixels.map((value, at) => (mask[Math.floor(at / 3)] === 0 ? BACKGROUND : value)) : pixels;
  return sharp(whole, { raw: { width, height, channels: 3 } })
    .extract({
      left: column,
      top: row,
      width: Math.min(width - column, Math.round((east - west) / metres)),
      height: Math.min(height - row, Math.round((north - south) / metres)),
    })
    .resize(side, side, { fit: 'fill' })
    .jpeg({ quality: QUALITY })
    .toBuffer();
}
