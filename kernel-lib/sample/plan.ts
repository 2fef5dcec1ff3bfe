import { Dice, hash, wave } from './noise.ts';
import type { Ring } from './thing.ts';

/** UTM metres (zone 33 north) of a sample's own origin: the middle of the edge that its two cells share. */
export const ORIGIN: readonly [easting: number, northing: number] = [275_000, 4_907_500];

/** Mean distance of the roads that part one quarter from the next, metres. */
export const PITCH = 236;
/** The roads lie this far off north: nothing in a real place follows the pixel rows. */
const TURN = 0.12;
const COS = Math.cos(TURN);
const SIN = Math.sin(TURN);

/**
 * What the quarters about the origin are used for, north on top, six west and six east of it. Capitals change between the dates.
 *
 * f farmland, v vineyard, o orchard, w wood, m meadow with pond, h houses, a flats, c old town, s school, k shops,
 * i industry, p sports, g cemetery, e solar farm (E: its first half stood before), r farmyard
 */
const CENTRE = [
  'ffvwfhhmfwfr',
  'rwvfhhchmfhf',
  'vohEhchpwofv',
  'frhAcsHPmFvw',
  'ffIkhhgmWfef',
  'oiiKhahmfvow',
  'fifephfwofmf',
  'ffwfvffmrfwf',
];
const TOWN = 'hhhhhhaacskkiipgmh';
const COUNTRY = 'ffffffffvvvoowwmmerwf';
/** Share of quarters outside the centre that change between the dates. */
const RESTLESS = 0.22;

/** From the lattice's turned axes to metres east and north of the origin. */
export function turned(u: number, v: number): [x: number, y: number] {
  return [u * COS - v * SIN, u * SIN + v * COS];
}

/** The way back of {@link turned}. */
export function unturned(x: number, y: number): [u: number, v: number] {
  return [x * COS + y * SIN, -x * SIN + y * COS];
}

/** A crossroads of the lattice. Roads bend gently: each line has slow waves of its own, and small roads a jitter too. */
export function crossing(seed: number, i: number, j: number): [x: number, y: number] {
  const dice = new Dice(hash(seed, 3, i, j));
  const jitter = (line: number): number => (isMain(line) ? 0 : 10) * (dice.next() * 2 - 1);
  const u = i * PITCH + 26 * wave(hash(seed, 4, i), j / 2.7) + jitter(i);
  const v = j * PITCH + 26 * wave(hash(seed, 5, j), i / 2.7) + jitter(j);
  return turned(u, v);
}

/** Every fourth road of the lattice carries the traffic. */
export function isMain(line: number): boolean {
  return (line + 1) % 4 === 0;
}

/** The corners of quarter (i, j): south-west, south-east, north-east, north-west. */
export function quarterRing(seed: number, i: number, j: number): Ring {
  return [
    ...crossing(seed, i, j),
    ...crossing(seed, i + 1, j),
    ...crossing(seed, i + 1, j + 1),
    ...crossing(seed, i, j + 1),
  ];
}

/** What quarter (i, j) is used for, as a letter of the plan above; a capital when it changes. */
export function useOf(seed: number, i: number, j: number): string {
  const planned = CENTRE[3 - j]?.[i + 6];
  if (planned) return planned;
  const dice = new Dice(hash(seed, 6, i, j));
  const urban = wave(hash(seed, 7), i / 4.3) + wave(hash(seed, 8), j / 3.9) + 0.8 * wave(hash(seed, 9), (i + j) / 5.1);
  const letters = urban > 0.35 ? TOWN : COUNTRY;
  const letter = letters[Math.floor(dice.next() * letters.length)];
  return dice.chance(RESTLESS) ? letter.toUpperCase() : letter;
}

/** Whether a quarter is open land: between two of these runs a track, elsewhere a street. */
export function isOpen(use: string): boolean {
  return 'fvowmer'.includes(use.toLowerCase());
}

/** Every so many lattice columns a river runs north to south, every so many rows a railway west to east. */
export const RIVER_EVERY = 16;
export const RAIL_EVERY = 18;
export const RIVER_COLUMN = 2;
export const RAIL_ROW = -2;

/** Where the river's middle lies at `v`, and how wide it is there, metres. `k` counts rivers from the one by the origin. */
export function riverAt(seed: number, k: number, v: number): { u: number; width: number } {
  const bend = 52 * wave(hash(seed, 10, k), v / 150) + 18 * wave(hash(seed, 11, k), v / 61);
  return { u: (RIVER_COLUMN + 0.5 + k * RIVER_EVERY) * PITCH + bend, width: 26 + 7 * wave(hash(seed, 12, k), v / 90) };
}

/** Where the railway's middle lies at `u`. */
export function railAt(seed: number, k: number, u: number): number {
  return (RAIL_ROW + 0.42 + k * RAIL_EVERY) * PITCH + 40 * wave(hash(seed, 13, k), u / 900);
}

/** Metres from (x, y) to the bank of the nearest river; negative in the water. */
export function toRiver(seed: number, x: number, y: number): number {
  const [u, v] = unturned(x, y);
  const k = Math.round((u / PITCH - RIVER_COLUMN - 0.5) / RIVER_EVERY);
  const river = riverAt(seed, k, v);
  return Math.abs(u - river.u) - river.width / 2;
}

/** Metres from (x, y) to the middle of the nearest railway. */
export function toRail(seed: number, x: number, y: number): number {
  const [u, v] = unturned(x, y);
  const k = Math.round((v / PITCH - RAIL_ROW - 0.42) / RAIL_EVERY);
  return Math.abs(v - railAt(seed, k, u));
}
