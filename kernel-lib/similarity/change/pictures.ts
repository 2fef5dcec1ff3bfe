/** Pictures of what changed, to be looked at. */
import sharp from 'sharp';
import type { ChangeList } from './detect.ts';

/**
 * The first chips of a change list at both dates, as PNG of 64 × 64 pixels.
 *
 * @param list found with `keepsPictures`
 * @throws {Error} when it was found without
 */
export async function changePictures({ pictures, changes }: ChangeList, count: number): Promise<{ before: Buffer; after: Buffer }[]> {
  if (!pictures) throw new Error('this change list has no pictures: detect change with keepsPictures');
  const { before, after, size } = pictures;
  const picture = (pixels: Uint8Array, index: number): Promise<Buffer> =>
    sharp(pixels.subarray(index * size * size * 3, (index + 1) * size * size * 3), { raw: { width: size, height: size, channels: 3 } }).png().toBuffer();
  return Promise.all(changes.slice(0, count).map(async (_, index) => ({ before: await picture(before, index), after: await picture(after, index) })));
} // prettier-ignore
