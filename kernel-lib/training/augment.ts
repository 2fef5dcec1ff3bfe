/** Variations of chips: what changes about a place seen from above without its being another place. */

/**
 * How much training varies its images. Nadir imagery has no up: all eight symmetries of the square are as likely.
 *
 * Light and colour are varied little by default: they tell fields from grass and water. Where images of one place come
 * from other sensors and seasons, more may pay.
 */
export interface Augmentation {
  /** Turns and mirrors. Default: true. */
  symmetries?: boolean | undefined;
  /** Largest shift along each axis, as a part of the image's size; the edge is mirrored. Default: 0.1. */
  shift?: number | undefined;
  /** Smallest part of the image's side that is seen, enlarged to all of it, 0–1. Default: 1. */
  crop?: number | undefined;
  /** Largest part of the side that is seen, 1–1.9: what is beyond the edge is the image again, as in a mirror. Default: 1. */
  reach?: number | undefined;
  /** Largest change of all bands alike, as a part of 255. Default: 0.05. */
  brightness?: number | undefined;
  /** Largest relative change of the spread about the image's mean. Default: 0.1. */
  contrast?: number | undefined;
  /** Largest relative change of each band by itself. Default: 0.03. */
  colour?: number | undefined;
  /** Most haze: the share of a bluish white that is mixed in, 0–1. Default: 0.1. */
  haze?: number | undefined;
  /** Most blur, as the standard deviation of a Gaussian in pixels: as if the ground sample distance were coarser. Default: 0.7. */
  blur?: number | undefined;
}

/** {@link Augmentation} with every value given. */
export type Ranges = { [Name in keyof Augmentation]-?: Exclude<Augmentation[Name], undefined> };

/** Ranges that leave an image as it is. */
export const UNVARIED: Ranges = { symmetries: false, shift: 0, crop: 1, reach: 1, brightness: 0, contrast: 0, colour: 0, haze: 0, blur: 0 }; // prettier-ignore
const DEFAULTS: Ranges = { symmetries: true, shift: 0.1, crop: 1, reach: 1, brightness: 0.05, contrast: 0.1, colour: 0.03, haze: 0.1, blur: 0.7 }; // prettier-ignore
/** What two views of one chip may differ by where nothing but the views teaches. */
export const STRONG: Ranges = {
  ...DEFAULTS,
  shift: 0,
  crop: 0.6,
  reach: 1.5,
  brightness: 0.2,
  contrast: 0.3,
  colour: 0.1,
  haze: 0.2,
};

/** Haze seen from above scatters more of the short waves: its colour on a scale of 0–255. */
const HAZE = [215, 225, 240];

/** Fills in what was not said. @throws {RangeError} naming the value that is out of its range */
export function rangesOf(given: Augmentation, defaults: Ranges = DEFAULTS): Ranges {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  const ranges: Ranges = { ...defaults, ...(Object.fromEntries(said) as Partial<Ranges>) };
  for (const [name, most] of [
    ['shift', 0.5],
    ['brightness', 1],
    ['contrast', 1],
    ['colour', 1],
    ['haze', 1],
    ['blur', 8],
  ] as const) {
    // prettier-ignore
    if (!(ranges[name] >= 0 && ranges[name] <= most))
      throw new RangeError(`augmentation takes ${name} from 0 to ${most}, got ${ranges[name]}`);
  }
  if (!(ranges.crop > 0 && ranges.crop <= 1))
    throw new RangeError(`augmentation takes crop above 0 and up to 1, got ${ranges.crop}`);
  if (!(ranges.reach >= 1 && ranges.reach <= 1.9))
    throw new RangeError(`augmentation takes reach from 1 to 1.9, got ${ranges.reach}`);
  return ranges;
}

/** One image's variation. A band's value x becomes `gain · x + level`, then haze is mixed in. */
interface Variation {
  swapAxes: boolean;
  /** Place in the image that each output row and column is read from, pixels, with fractions. */
  rows: Float32Array;
  cols: Float32Array;
  contrast: number;
  offset: number;
  colours: number[];
  haze: number;
  blur: number;
}

/**
 * One image, varied at random.
 *
 * @param image `[size, size, 3]`, 0–255
 * @param out takes `[size, size, 3]`, 0–255
 */
export function varyImage(
  image: Uint8Array,
  out: Float32Array,
  size: number,
  ranges: Ranges,
  random: () => number,
): void {
  const variation = drawn(ranges, size, random);
  resample(image, out, size, variation);
  if (variation.blur > 0.2) blur(out, size, variation.blur); // less is not to be seen
  tint(out, variation);
}

function drawn(ranges: Ranges, size: number, random: () => number): Variation {
  const within = (largest: number): number => (2 * random() - 1) * largest;
  const side = Math.sqrt(ranges.crop ** 2 + random() * (ranges.reach ** 2 - ranges.crop ** 2)); // areas are as likely, large and small
  const axis = (): Float32Array => {
    const mirror = ranges.symmetries && random() < 0.5;
    const room = (1 - side) * (size - 1);
    const start = random() * room + Math.round(within(ranges.shift * size));
    return placesAlong(size, start, side, mirror);
  };
  const swapAxes = ranges.symmetries && random() < 0.5;
  return {
    swapAxes,
    rows: axis(),
    cols: axis(),
    contrast: 1 + within(ranges.contrast),
    offset: 255 * within(ranges.brightness),
    colours: HAZE.map(() => 1 + within(ranges.colour)),
    haze: random() * ranges.haze,
    blur: random() * ranges.blur,
  };
}

/** Places from `start` on; past an edge they come back, as in a mirror. */
function placesAlong(size: number, start: number, side: number, mirror: boolean): Float32Array {
  const places = Float32Array.from({ length: size }, (_, i) => {
    const moved = Math.abs(start + i * side);
    return moved <= size - 1 ? moved : Math.max(0, 2 * (size - 1) - moved);
  });
  return mirror ? places.reverse() : places;
}

/** Reads the image at the variation's places: exactly where they are whole numbers, else bilinearly. */
function resample(image: Uint8Array, out: Float32Array, size: number, { rows, cols, swapAxes }: Variation): void {
  const stride = 3 * size;
  const [along, across] = swapAxes ? [3, stride] : [stride, 3];
  for (let row = 0, at = 0; row < size; row++) {
    const top = Math.floor(rows[row]);
    const down = rows[row] - top;
    const nextRow = down === 0 ? 0 : along;
    for (let col = 0; col < size; col++, at += 3) {
      const left = Math.floor(cols[col]);
      const right = cols[col] - left;
      const nextCol = right === 0 ? 0 : across;
      const from = top * along + left * across;
      for (let band = from; band < from + 3; band++) {
        const upper = image[band] + right * (image[band + nextCol] - image[band]);
        const lower = image[band + nextRow] + right * (image[band + nextRow + nextCol] - image[band + nextRow]);
        out[at + band - from] = upper + down * (lower - upper);
      }
    }
  }
}

/** Blurs by three taps, rows then columns, again and again where one pass cannot blur so much: away from the edge the variance is a Gaussian's. */
function blur(image: Float32Array, size: number, deviation: number): void {
  const times = Math.max(1, Math.ceil(deviation ** 2 / 0.6));
  const side = deviation ** 2 / times / 2;
  for (let time = 0; time < times; time++) {
    for (const [line, step] of [[3 * size, 3], [3, 3 * size]] as const) smooth(image, size, line, step, side); // prettier-ignore
  }
}

/** Each value becomes its own share and that of the two beside it, in place; the edge stands for what is beyond. */
function smooth(image: Float32Array, size: number, line: number, step: number, side: number): void {
  for (let row = 0; row < size; row++) {
    for (let band = 0; band < 3; band++) {
      let at = row * line + band;
      let before = image[at];
      for (let col = 0; col < size; col++, at += step) {
        const own = image[at];
        const after = col + 1 < size ? image[at + step] : own;
        image[at] = own + side * (before - 2 * own + after);
        before = own;
      }
    }
  }
}

/** Contrast about the image's mean, brightness, colour and haze; kept within 0–255. */
function tint(image: Float32Array, { contrast, offset, colours, haze }: Variation): void {
  const means = [0, 0, 0];
  for (let i = 0; i < image.length; i++) means[i % 3] += image[i];
  const pixels = image.length / 3;
  const gains = colours.map((colour) => colour * contrast * (1 - haze));
  const levels = colours.map(
    (colour, band) => ((colour * (1 - contrast) * means[band]) / pixels + offset) * (1 - haze) + haze * HAZE[band],
  );
  for (let at = 0; at < image.length; at += 3) {
    for (let band = 0; band < 3; band++)
      image[at + band] = Math.min(255, Math.max(0, gains[band] * image[at + band] + levels[band]));
  }
}
