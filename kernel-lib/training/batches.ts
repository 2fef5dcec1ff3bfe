import seedrandom from 'seedrandom';

/**
 * How much training varies its images. Nadir imagery has no up: all eight symmetries of the square are as likely.
 *
 * Light and colour are varied little by default: they tell fields from grass and water. Three times as much cost 0.05 of mAP on real scenes; where images
 * of one place come from other sensors and seasons, more may pay.
 */
export interface Augmentation {
  /** Turns and mirrors. Default: true. */
  symmetries?: boolean | undefined;
  /** Largest shift along each axis, as a part of the image's size; the edge is mirrored. Default: 0.1. */
  shift?: number | undefined;
  /** Largest change of all bands alike, as a part of 255. Default: 0.05. */
  brightness?: number | undefined;
  /** Largest relative change of the spread about the image's mean. Default: 0.1. */
  contrast?: number | undefined;
  /** Largest relative change of each band by itself. Default: 0.03. */
  colour?: number | undefined;
}

/** One image's variation. A band's value x becomes `colour · (contrast · (x − mean) + mean) + offset`, kept within 0–255. */
interface Variation {
  swapAxes: boolean;
  mirrorRows: boolean;
  mirrorCols: boolean;
  /** Pixels. */
  shift: [row: number, col: number];
  contrast: number;
  offset: number;
  colours: [number, number, number];
}

/** A number generator of its own for each use, so that one more draw in one place changes nothing in another. */
export function randomFor(seed: number | string, use: string): () => number {
  return seedrandom.alea(`${seed}/${use}`);
}

/** The numbers `0 … n − 1` in random order (Fisher and Yates). */
export function shuffled(n: number, random: () => number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Cuts `order` into batches of at most `batchSize`, whose sizes differ by one at most: no small last batch upsets the batch statistics. */
export function batchesOf(order: Uint32Array, batchSize: number): Uint32Array[] {
  const count = Math.ceil(order.length / batchSize);
  return Array.from({ length: count }, (_, i) => {
    return order.subarray(Math.floor((i * order.length) / count), Math.floor(((i + 1) * order.length) / count));
  });
}

/** Rows of `width` values, in the order of `batch`. */
export function gathered(values: Float32Array, batch: Uint32Array, width: number): Float32Array {
  const rows = new Float32Array(batch.length * width);
  for (const [i, row] of batch.entries()) rows.set(values.subarray(row * width, (row + 1) * width), i * width);
  return rows;
}

/**
 * Images of a batch, as the network takes them.
 *
 * @param images `[n, size, size, 3]`, 0–255
 * @param augmentation how much to vary them; none without
 * @returns `[batch, size, size, 3]`, 0–255
 */
export function imagesOf(
  images: Uint8Array,
  batch: Uint32Array,
  size: number,
  augmentation?: Augmentation,
  random?: () => number,
): Float32Array {
  const length = size * size * 3;
  const out = new Float32Array(batch.length * length);
  for (const [i, index] of batch.entries()) {
    const image = images.subarray(index * length, (index + 1) * length);
    if (augmentation && random)
      vary(image, out.subarray(i * length, (i + 1) * length), size, drawn(augmentation, size, random));
    else out.set(image, i * length);
  }
  return out;
}

function drawn(augmentation: Augmentation, size: number, random: () => number): Variation {
  const { symmetries = true, shift = 0.1, brightness = 0.05, contrast = 0.1, colour = 0.03 } = augmentation;
  const within = (largest: number): number => (2 * random() - 1) * largest;
  return {
    swapAxes: symmetries && random() < 0.5,
    mirrorRows: symmetries && random() < 0.5,
    mirrorCols: symmetries && random() < 0.5,
    shift: [Math.round(within(shift * size)), Math.round(within(shift * size))],
    contrast: 1 + within(contrast),
    offset: 255 * within(brightness),
    colours: [1 + within(colour), 1 + within(colour), 1 + within(colour)],
  };
}

/** Place in the image that an output place is read from, along one axis; past an edge it comes back, as in a mirror. */
function places(size: number, shift: number, mirror: boolean): Uint32Array {
  return Uint32Array.from({ length: size }, (_, i) => {
    const moved = Math.abs(i + shift);
    const inside = moved < size ? moved : 2 * size - 2 - moved;
    return mirror ? size - 1 - inside : inside;
  });
}

function vary(
  image: Uint8Array,
  out: Float32Array,
  size: number,
  { swapAxes, mirrorRows, mirrorCols, shift, contrast, offset, colours }: Variation,
): void {
  const rows = places(size, shift[0], mirrorRows);
  const cols = places(size, shift[1], mirrorCols);
  const means = [0, 0, 0];
  for (let i = 0; i < image.length; i++) means[i % 3] += image[i];
  const gains = colours.map((colour) => colour * contrast);
  const levels = colours.map((colour, band) => (colour * (1 - contrast) * means[band]) / (size * size) + offset);
  for (let row = 0, at = 0; row < size; row++) {
    for (let col = 0; col < size; col++, at += 3) {
      const from = 3 * (swapAxes ? cols[col] * size + rows[row] : rows[row] * size + cols[col]);
      for (let band = 0; band < 3; band++)
        out[at + band] = Math.min(255, Math.max(0, gains[band] * image[from + band] + levels[band]));
    }
  }
}
