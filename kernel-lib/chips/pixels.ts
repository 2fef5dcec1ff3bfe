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
  const { default: sharp } = await import('sharp');
  const each = size * size * 3;
  const pixels = new Uint8Array(paths.length * each);
  await eachUnit(
    paths,
    'images',
    async (path, index) => {
      const image = sharp(path)
        .resize(size, size, { fit: 'fill', kernel: 'linear' })
        .toColourspace('srgb')
        .removeAlpha()
        .raw();
      const bytes = await image.toBuffer().catch((error: unknown) => {
        throw new Error(`cannot read the image ${path}: ${String(error)}; cut it again`, { cause: error });
      });
      pixels.set(bytes, index * each);
    },
    { concurrency: 4, ...options },
  );
  return pixels;
}
