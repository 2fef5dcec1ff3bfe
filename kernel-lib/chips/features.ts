import type { StepOptions } from '../ard/index.ts';
import { readPixels } from './pixels.ts';

/** Side that chips are reduced to, pixels: 1.2 m each. */
const SIDE = 64;
const LEVELS = 4;
const ANGLES = 8;
/** Numbers of a chip: mean and spread of each band, a colour histogram, strength of edges by direction at two scales. */
export const FEATURES: number = 6 + LEVELS ** 3 + 2 * ANGLES;

/**
 * Colour and texture of chips: what can be told without learning anything.
 *
 * Mean and standard deviation of red, green and blue (0–1); square roots of the shares of 4 × 4 × 4 colours; square roots of
 * the mean strength of edges in 8 directions of 180°, at 1.2 m and at 4.9 m.
 *
 * @param paths image files of any size
 * @returns `[n, 86]`
 * @throws {Error} naming the file that cannot be read
 */
export async function chipFeatures(paths: readonly string[], options: StepOptions = {}): Promise<Float32Array> {
  const features = new Float32Array(paths.length * FEATURES);
  for (let first = 0; first < paths.length; first += 256) {
    options.signal?.throwIfAborted();
    const some = paths.slice(first, first + 256); // 3 MB of pixels at a time
    features.set(imageFeatures(await readPixels(some, SIDE)), first * FEATURES);
    options.onProgress?.({ done: first + some.length, total: paths.length, unit: 'chips' });
  }
  return features;
}

/**
 * The same of images that are in memory.
 *
 * @param images `[n, 64, 64, 3]`, RGB, 0–255
 * @returns `[n, 86]`
 */
export function imageFeatures(images: Uint8Array): Float32Array {
  const size = SIDE * SIDE * 3;
  const features = new Float32Array((images.length / size) * FEATURES);
  for (let at = 0; at * size < images.length; at++)
    features.set(featuresOf(images.subarray(at * size, (at + 1) * size)), at * FEATURES);
  return features;
}

function featuresOf(pixels: Uint8Array): Float32Array {
  const found = new Float32Array(FEATURES);
  moments(pixels, found);
  colours(pixels, found.subarray(6, 6 + LEVELS ** 3));
  const grey = greyOf(pixels);
  edges(grey, SIDE, found.subarray(6 + LEVELS ** 3));
  edges(quartered(grey), SIDE / 4, found.subarray(6 + LEVELS ** 3 + ANGLES));
  return found;
}

function moments(pixels: Uint8Array, found: Float32Array): void {
  for (let band = 0; band < 3; band++) {
    let [sum, squares] = [0, 0];
    for (let at = band; at < pixels.length; at += 3) {
      sum += pixels[at];
      squares += pixels[at] ** 2;
    }
    const mean = sum / (pixels.length / 3);
    found[band] = mean / 255;
    found[3 + band] = Math.sqrt(Math.max(0, squares / (pixels.length / 3) - mean ** 2)) / 255;
  }
}

function colours(pixels: Uint8Array, found: Float32Array): void {
  for (let at = 0; at < pixels.length; at += 3) {
    found[((pixels[at] >> 6) * LEVELS + (pixels[at + 1] >> 6)) * LEVELS + (pixels[at + 2] >> 6)]++;
  }
  for (let colour = 0; colour < found.length; colour++) found[colour] = Math.sqrt(found[colour] / (pixels.length / 3));
}

function greyOf(pixels: Uint8Array): Float32Array {
  return Float32Array.from({ length: pixels.length / 3 }, (_, at) => (pixels[3 * at] + pixels[3 * at + 1] + pixels[3 * at + 2]) / 765); // prettier-ignore
}

/** Means of 4 × 4 pixels. */
function quartered(grey: Float32Array): Float32Array {
  const side = SIDE / 4;
  const found = new Float32Array(side * side);
  for (let at = 0; at < grey.length; at++) {
    found[(Math.floor(at / SIDE) >> 2) * side + ((at % SIDE) >> 2)] += grey[at] / 16;
  }
  return found;
}

/** Strength of edges by direction, from central differences. */
function edges(grey: Float32Array, side: number, found: Float32Array): void {
  for (let row = 1; row < side - 1; row++) {
    for (let column = 1; column < side - 1; column++) {
      const at = row * side + column;
      const [x, y] = [grey[at + 1] - grey[at - 1], grey[at + side] - grey[at - side]];
      const angle = (Math.atan2(y, x) / Math.PI + 1) % 1; // 0–1 for 180°: an edge has no front
      found[Math.floor(angle * ANGLES) % ANGLES] += Math.hypot(x, y);
    }
  }
  for (let angle = 0; angle < ANGLES; angle++) found[angle] = Math.sqrt(found[angle] / (side - 2) ** 2);
}
