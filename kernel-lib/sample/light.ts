import { GRAIN_SIZE, hash } from './noise.ts';

/** One pass of a satellite: where the sun and it stood, and what its optics and the air made of the ground. */
export interface Acquisition {
  /** Which of the two dates: things with this `when`, and those with 0, are there. */
  which: 1 | 2;
  /** UTC, as STAC writes it. */
  datetime: string;
  /** The folder's date, YYYY-MM-DD. */
  date: string;
  platform: string;
  /** First eight characters of the catalogue id. */
  series: string;
  /** The sensor's own ground sample distance, metres: what the picture was resampled from, and so its blur. */
  gsd: number;
  /** Degrees from nadir, and the direction in which the satellite stands (degrees clockwise from north): roofs lean away from it. */
  offNadir: number;
  lookAzimuth: number;
  /** Degrees clockwise from north, and above the horizon. */
  sunAzimuth: number;
  sunElevation: number;
  /** Per band: what the ground's light is multiplied by, and what the air adds (0–255). */
  gain: readonly [number, number, number];
  haze: readonly [number, number, number];
  /** Deviation of the sensor's noise, 0–255. */
  noise: number;
}

/** Before: ripe wheat under a high sun, near nadir. After: a green May morning, long shadows, more slant, more haze. */
export const ACQUISITIONS: readonly [Acquisition, Acquisition] = [
  {
    which: 1,
    datetime: '2022-06-14T10:12:41Z',
    date: '2022-06-14',
    platform: 'WV03',
    series: '10400100',
    gsd: 0.34,
    offNadir: 12.6,
    lookAzimuth: 285,
    sunAzimuth: 146,
    sunElevation: 64,
    gain: [1.02, 1, 0.95],
    haze: [4, 7, 12],
    noise: 2.2,
  },
  {
    which: 2,
    datetime: '2023-05-21T09:04:17Z',
    date: '2023-05-21',
    platform: 'WV02',
    series: '10300100',
    gsd: 0.52,
    offNadir: 23.8,
    lookAzimuth: 80,
    sunAzimuth: 121,
    sunElevation: 49,
    gain: [0.87, 0.9, 0.88],
    haze: [15, 20, 29],
    noise: 3.1,
  },
];

/** What a painter needs of an acquisition, ready to multiply. Axes are the picture's: x east, y south, z up. */
export interface Light {
  acquisition: Acquisition;
  /** Unit vector to the sun. */
  sun: readonly [x: number, y: number, z: number];
  /** Where the shadow of something one metre high ends, metres. */
  shadow: readonly [x: number, y: number];
  /** Where the top of something one metre high is seen, metres. */
  lean: readonly [x: number, y: number];
  /** What a shadow leaves of each band. */
  shade: readonly [number, number, number];
}

const AMBIENT = 0.42;
const DIRECT = 1;

export function lightOf(acquisition: Acquisition): Light {
  const degrees = Math.PI / 180;
  const [azimuth, elevation] = [acquisition.sunAzimuth * degrees, acquisition.sunElevation * degrees];
  const [look, slant] = [acquisition.lookAzimuth * degrees, Math.tan(acquisition.offNadir * degrees)];
  const sun = [
    Math.sin(azimuth) * Math.cos(elevation),
    -Math.cos(azimuth) * Math.cos(elevation),
    Math.sin(elevation),
  ] as const;
  const dark = AMBIENT / (AMBIENT + DIRECT * sun[2]);
  return {
    acquisition,
    sun,
    shadow: [-sun[0] / sun[2], -sun[1] / sun[2]],
    lean: [-Math.sin(look) * slant, Math.cos(look) * slant],
    shade: [dark * 1.12, dark * 1.2, dark * 1.4], // lit by the sky alone, hence bluer
  };
}

/** Light on a face with this outward normal, as a share of the light on level ground. @see Lambert 1760 */
export function irradiance({ sun }: Light, nx: number, ny: number, nz: number): number {
  const direct = Math.max(0, nx * sun[0] + ny * sun[1] + nz * sun[2]);
  return (AMBIENT + DIRECT * direct) / (AMBIENT + DIRECT * sun[2]);
}

/**
 * What the sensor makes of a painted canvas: blur by its own sample distance, gain, haze and noise.
 *
 * @param planes red, green, blue, each `[side, side]`, 0–255
 * @param margin pixels on each side that serve the blur only
 * @param mask `[size, size]`, size = side − 2 · margin; where it is 0 the picture is black
 * @returns `[size, size, 3]`
 */
export function expose(
  planes: readonly Float32Array[],
  side: number,
  margin: number,
  mask: Uint8Array,
  light: Light,
  grain: Float32Array,
  at: [number, number],
): Uint8Array {
  const size = side - 2 * margin;
  const pixels = new Uint8ClampedArray(size * size * 3);
  const kernel = kernelOf(light.acquisition.gsd);
  const rows = new Float32Array(side * side);
  for (const [band, plane] of planes.entries()) {
    blurRows(plane, rows, side, kernel);
    exposeBand(rows, side, margin, pixels, band, kernel, light.acquisition, grain, at);
  }
  for (let i = mask.indexOf(0); i >= 0; i = mask.indexOf(0, i + 1)) pixels.fill(0, i * 3, i * 3 + 3);
  return new Uint8Array(pixels.buffer);
}

type Kernel = readonly [middle: number, near: number, far: number];

/** Five taps of a Gauss curve: the optics' spread and the resampling together. */
function kernelOf(gsd: number): Kernel {
  const sigma = gsd * 1.75; // pixels
  const [near, far] = [Math.exp(-0.5 / sigma ** 2), Math.exp(-2 / sigma ** 2)];
  const sum = 1 + 2 * near + 2 * far;
  return [1 / sum, near / sum, far / sum];
}

/** Blurs along the rows; the outer two columns are left alone. */
function blurRows(plane: Float32Array, into: Float32Array, side: number, [middle, near, far]: Kernel): void {
  const end = plane.length - 2;
  for (let i = 2; i < end; i++)
    into[i] = middle * plane[i] + near * (plane[i - 1] + plane[i + 1]) + far * (plane[i - 2] + plane[i + 2]);
  for (let i = 0; i < plane.length; i += side) into[i] = plane[i];
}

/** The hot loop: blur along the columns, gain, haze, and a noise of which two thirds are common to the bands. */
function exposeBand(
  rows: Float32Array,
  side: number,
  margin: number,
  pixels: Uint8ClampedArray,
  band: number,
  [middle, near, far]: Kernel,
  { gain, haze, noise, which }: Acquisition,
  grain: Float32Array,
  at: [number, number],
): void {
  const size = side - 2 * margin;
  const [multiply, add, own, common] = [gain[band], haze[band], noise * 0.5, noise];
  const last = GRAIN_SIZE - 1;
  for (let y = 0; y < size; y++) {
    const seed = at[1] + y;
    let first = (hash(seed, which, band) >>> 8) + at[0];
    let second = (hash(seed, which, 9) >>> 8) + at[0];
    let i = (y + margin) * side + margin;
    for (let x = 0, to = y * size * 3 + band; x < size; x++, i++, to += 3) {
      const value =
        middle * rows[i] + near * (rows[i - side] + rows[i + side]) + far * (rows[i - 2 * side] + rows[i + 2 * side]);
      pixels[to] = value * multiply + add + own * grain[first++ & last] + common * grain[second++ & last];
    }
  }
}
