import { readFile } from 'node:fs/promises';
import jpegTurbo from '@julusian/jpeg-turbo';
import { eachUnit, type StepOptions } from '../ard/index.ts';
import { readFrame } from './jpegframe.ts';

/**
 * Pixels of image files, reduced to a square, RGB.
 *
 * @param paths chips, or images of any size that sharp reads
 * @param size side in pixels
 * @returns `[n, row, col, band]`, uint8
 * @throws {Error} naming the file that cannot be read
 */
export async function readPixels(
  paths: readonly string[],
  size: number,
  options: StepOptions = {},
): Promise<Uint8Array> {
  const each = size * size * 3;
  const pixels = new Uint8Array(paths.length * each);
  await eachUnit(
    paths,
    'images',
    async (path, index) => {
      const bytes = await decodeImage(path, size).catch((error: unknown) => {
        throw new Error(`cannot read the image ${path}: ${String(error)}; cut it again`, { cause: error });
      });
      pixels.set(bytes, index * each);
    },
    { concurrency: 4, ...options },
  );
  return pixels;
}

/**
 * Pixels of one image, as {@link readPixels} reads them.
 *
 * An image whose sides are the same multiple of `size` is reduced to means of squares of pixels, any other linearly.
 *
 * @param image its path, or the bytes of its file
 * @returns `[row, col, band]`, uint8
 * @throws whatever sharp finds
 */
export async function decodeImage(image: string | Uint8Array, size: number): Promise<Uint8Array> {
  const bytes = typeof image === 'string' ? await readFile(image) : Buffer.from(image.buffer, image.byteOffset, image.byteLength); // prettier-ignore
  const jpeg = plainJpeg(bytes);
  if (jpeg && timesOf(jpeg, size) > 1) {
    const decoded = await jpegTurbo.decompress(bytes, { format: jpegTurbo.FORMAT_RGB }).catch(() => undefined); // sharp says what is wrong with it
    if (decoded) return meansOf(decoded.data, size, timesOf(jpeg, size));
  }
  const { default: sharp } = await import('sharp');
  const picture = sharp(bytes).toColourspace('srgb').removeAlpha().raw();
  const times = timesOf(jpeg ?? (await sharp(bytes).metadata()), size);
  if (times > 1) return meansOf(await picture.toBuffer(), size, times);
  return picture.resize(size, size, { fit: 'fill', kernel: 'linear' }).toBuffer();
}

/** How many times as long its sides are, where both are a multiple; else 0. */
function timesOf({ width, height }: { width: number; height: number }, size: number): number {
  return width === height && width % size === 0 ? width / size : 0;
}

/** Size of a JPEG that jpeg-turbo decodes to sRGB, four times as fast as sharp: of one or three bands, without a profile. */
function plainJpeg(bytes: Buffer): { width: number; height: number } | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  try {
    const frame = readFrame(bytes, new Uint8Array());
    const hasProfile = bytes.subarray(0, frame?.dataAt).includes('ICC_PROFILE');
    return frame && frame.components.length !== 4 && !hasProfile ? frame : undefined;
  } catch {
    return undefined; // sharp says what is wrong with it
  }
}

/** Means of squares of `times` × `times` pixels, rounded: `[size · times, size · times, 3]` to `[size, size, 3]`. */
function meansOf(pixels: Uint8Array, size: number, times: number): Uint8Array {
  const means = new Uint8Array(size * size * 3);
  const sums = new Uint32Array(size * 3);
  let at = 0;
  for (let row = 0; row < size; row++) {
    sums.fill((times * times) >> 1);
    for (let line = 0; line < times; line++) {
      for (let place = 0; place < sums.length; place += 3) {
        for (const end = at + 3 * times; at < end; at += 3) {
          sums[place] += pixels[at];
          sums[place + 1] += pixels[at + 1];
          sums[place + 2] += pixels[at + 2];
        }
      }
    }
    const start = row * sums.length;
    for (let place = 0; place < sums.length; place++) means[start + place] = sums[place] / (times * times);
  }
  return means;
}
