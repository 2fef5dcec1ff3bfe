import jpegTurbo from '@julusian/jpeg-turbo';
import { CHIP_PIXELS, CHIPS_PER_SIDE } from '../ard/index.ts';
import type { Cut } from './cut.ts';

const BLOCK = 512;
/** Of what is encoded where no quality is asked for. */
const QUALITY = 90;

/**
 * The file of a chip, encoded from the pixels of its block.
 *
 * @param block `[512, 512, 3]`, uint8
 * @param index row × 64 + column: tells which quarter of the block the chip is
 */
export function encodedChip(
  block: Uint8Array,
  index: number,
  { format, quality }: Pick<Cut, 'format' | 'quality'>,
): Promise<Buffer> {
  return encoded(quarterOf(block, index), format, quality === 'as delivered' ? QUALITY : quality);
}

async function encoded(pixels: Buffer, format: Cut['format'], quality: number): Promise<Buffer> {
  const [width, height] = [CHIP_PIXELS, CHIP_PIXELS];
  if (format === 'jpg') {
    const { FORMAT_RGB, SAMP_420 } = jpegTurbo;
    return jpegTurbo.compress(pixels, { format: FORMAT_RGB, subsampling: SAMP_420, width, height, quality });
  }
  const { default: sharp } = await import('sharp');
  const picture = sharp(pixels, { raw: { width, height, channels: 3 } });
  return format === 'png' ? picture.png().toBuffer() : picture.webp({ quality }).toBuffer();
}

function quarterOf(block: Uint8Array, index: number): Buffer {
  const top = (Math.floor(index / CHIPS_PER_SIDE) & 1) * CHIP_PIXELS;
  const left = (index & 1) * CHIP_PIXELS;
  const pixels = Buffer.allocUnsafe(CHIP_PIXELS * CHIP_PIXELS * 3);
  for (let row = 0; row < CHIP_PIXELS; row++) {
    const start = ((top + row) * BLOCK + left) * 3;
    pixels.set(block.subarray(start, start + CHIP_PIXELS * 3), row * CHIP_PIXELS * 3);
  }
  return pixels;
}
