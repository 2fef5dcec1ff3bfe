import sharp from 'sharp';
import type { LabelledSource } from '../datasets/index.ts';
import { type Augmentation, rangesOf, varyImage } from './augment.ts';
import { randomFor, shuffled } from './sampler.ts';

/** Options of {@link augmentedViews}. */
export interface ViewOptions {
  /** How many images, drawn at random. Default: 3. */
  images?: number | undefined;
  /** How many views of each. Default: 5. */
  views?: number | undefined;
  /** How they are varied. Default: as in training. */
  augmentation?: Augmentation | undefined;
  seed?: number | string | undefined;
}

/** Pictures of what a network sees: each image as it is, then varied as training varies it. @returns PNG, an image's views one after another */
export async function augmentedViews(
  { images: source, rows, size }: Pick<LabelledSource, 'images' | 'rows' | 'size'>,
  { images: count = 3, views = 5, augmentation = {}, seed = 1 }: ViewOptions = {},
): Promise<Uint8Array[]> {
  const random = randomFor(seed, 'views');
  const pixels = await source.read(shuffled(rows.length, random).slice(0, count));
  const each = 3 * size * size;
  const pictures: Promise<Uint8Array>[] = [];
  for (let at = 0; at < pixels.length; at += each) {
    const image = pixels.subarray(at, at + each);
    pictures.push(png(image, size));
    for (let view = 0; view < views; view++) {
      const out = new Float32Array(each);
      varyImage(image, out, size, rangesOf(augmentation), random);
      pictures.push(png(Uint8Array.from(out, Math.round), size));
    }
  }
  return Promise.all(pictures);
}

function png(pixels: Uint8Array, size: number): Promise<Uint8Array> {
  return sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
    .png()
    .toBuffer();
}
