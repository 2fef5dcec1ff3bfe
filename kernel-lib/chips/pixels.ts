import { readFile } from 'node:fs/promises';
import { eachUnit, type StepOptions } from '../ard/index.ts';

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
 * @param image its path, or the bytes of its file
 * @returns `[row, col, band]`, uint8
 * @throws whatever sharp finds
 */
export async function decodeImage(image: string | Uint8Array, size: number): Promise<Buffer> {
  const { default: sharp } = await import('sharp');
  const bytes = typeof image === 'string' ? await readFile(image) : image; // a third quicker than sharp's own reading
  return sharp(bytes)
    .resize(size, size, { fit: 'fill', kernel: 'linear' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer();
}
