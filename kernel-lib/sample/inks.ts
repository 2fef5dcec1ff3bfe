type Colour = readonly [red: number, green: number, blue: number];

/** How a surface looks from above, before light and sensor: colours 0–255, textures as shares of the colour. */
export interface Ink {
  colour: Colour;
  /** The colour between the rows or stripes. */
  second?: Colour;
  /** Colour at the second date where it differs: crops ripen, are sown and are cut. */
  later?: Colour;
  laterSecond?: Colour;
  /** Strength of the broad, cloudy texture. */
  mottle: number;
  /** Strength of the fine texture. */
  grain: number;
  /** Metres from row to row; 0 for none. */
  period?: number;
  /** Share of the period that has the first colour. Default 0.5. */
  duty?: number;
  /** Metres from gap to gap along a row; and the share that is filled. */
  crossPeriod?: number;
  crossDuty?: number;
  /** How far the tone of one figure lightens or darkens it. Default 0.08. */
  spread?: number;
}

const flat = (colour: Colour, mottle = 0.06, grain = 0.04, spread = 0.08): Ink => ({ colour, mottle, grain, spread });

/** The name of a surface. */
// prettier-ignore
export type InkName =
  | 'verge' | 'lawn' | 'garden' | 'park' | 'meadow' | 'meadowDry' | 'soil' | 'rubble' | 'wheat' | 'maize'
  | 'alfalfa' | 'beet' | 'ploughed' | 'vineyard' | 'orchardFloor' | 'woodFloor' | 'felled' | 'water' | 'pond'
  | 'bank' | 'shore' | 'pool' | 'terrace' | 'asphalt' | 'carpark' | 'kerb' | 'concrete' | 'gravel'
  | 'track' | 'ballast' | 'clay' | 'court' | 'pitch' | 'graves' | 'solar' | 'panel' | 'tiles'
  | 'tilesOld' | 'slate' | 'roofGrey' | 'roofGravel' | 'sheet' | 'sheetGrey' | 'asbestos' | 'skylight'
  | 'greenhouse' | 'wall' | 'paint' | 'rust' | 'hedge' | 'tram' | 'ditch' | 'steel' | 'carWhite'
  | 'carSilver' | 'carDark' | 'carRed' | 'carBlue' | 'glass';

/** Every surface of a sample. Several overlap in colour on purpose, so that colour alone does not tell a class. */
export const INKS: Record<InkName, Ink> = {
  verge: flat([118, 124, 88], 0.22, 0.07),
  lawn: flat([108, 123, 82], 0.2, 0.06, 0.16),
  garden: flat([126, 124, 94], 0.26, 0.08, 0.14),
  park: flat([108, 126, 80], 0.2, 0.06),
  meadow: { colour: [126, 133, 88], later: [116, 134, 82], mottle: 0.26, grain: 0.07, spread: 0.1 },
  meadowDry: { colour: [152, 143, 104], later: [124, 132, 86], mottle: 0.24, grain: 0.07, spread: 0.1 },
  soil: flat([158, 132, 102], 0.14, 0.05, 0.1),
  rubble: flat([172, 156, 136], 0.3, 0.14, 0.06),
  wheat: {
    colour: [196, 174, 116],
    second: [178, 156, 98],
    later: [116, 134, 80],
    laterSecond: [104, 124, 70],
    mottle: 0.1,
    grain: 0.035,
    period: 2.4,
    spread: 0.07,
  },
  maize: {
    colour: [98, 122, 70],
    second: [128, 116, 80],
    later: [148, 132, 96],
    laterSecond: [158, 136, 106],
    mottle: 0.12,
    grain: 0.05,
    period: 1.5,
    duty: 0.55,
  },
  alfalfa: {
    colour: [98, 128, 74],
    second: [106, 135, 82],
    later: [112, 132, 82],
    laterSecond: [130, 142, 96],
    mottle: 0.13,
    grain: 0.04,
    period: 6,
    spread: 0.12,
  },
  beet: {
    colour: [98, 126, 72],
    second: [116, 122, 76],
    later: [138, 134, 92],
    laterSecond: [150, 132, 100],
    mottle: 0.12,
    grain: 0.05,
    period: 1.2,
  },
  ploughed: {
    colour: [150, 124, 94],
    second: [134, 110, 84],
    later: [166, 142, 112],
    laterSecond: [150, 128, 100],
    mottle: 0.14,
    grain: 0.05,
    period: 1.8,
    spread: 0.12,
  },
  vineyard: {
    colour: [70, 96, 48],
    second: [150, 140, 98],
    later: [84, 108, 56],
    laterSecond: [126, 136, 84],
    mottle: 0.14,
    grain: 0.1,
    period: 2.9,
    duty: 0.42,
  },
  orchardFloor: { colour: [128, 136, 84], second: [146, 132, 98], mottle: 0.16, grain: 0.06, period: 5, duty: 0.6 },
  woodFloor: flat([62, 76, 46], 0.3, 0.1),
  felled: flat([150, 130, 96], 0.34, 0.16),
  water: flat([74, 92, 78], 0.05, 0.015, 0.12),
  pond: flat([62, 82, 76], 0.07, 0.02, 0.12),
  bank: flat([106, 116, 72], 0.3, 0.12),
  shore: flat([176, 166, 138], 0.14, 0.08),
  pool: flat([108, 188, 200], 0.05, 0.03),
  terrace: flat([186, 172, 152], 0.06, 0.05),
  asphalt: flat([120, 120, 122], 0.06, 0.035, 0.1),
  carpark: flat([122, 121, 121], 0.08, 0.04, 0.1),
  kerb: flat([168, 162, 154], 0.07, 0.05),
  concrete: flat([182, 176, 164], 0.1, 0.05, 0.08),
  gravel: flat([182, 168, 142], 0.14, 0.08, 0.08),
  track: flat([176, 160, 128], 0.16, 0.07),
  ballast: { colour: [138, 128, 118], mottle: 0.1, grain: 0.1 },
  clay: flat([184, 108, 76], 0.06, 0.03),
  court: flat([76, 128, 124], 0.04, 0.02),
  pitch: { colour: [100, 130, 78], second: [111, 140, 88], mottle: 0.12, grain: 0.04, period: 11, spread: 0.06 },
  graves: {
    colour: [196, 190, 180],
    second: [146, 142, 124],
    mottle: 0.1,
    grain: 0.16,
    period: 3.2,
    duty: 0.66,
    crossPeriod: 1.5,
    crossDuty: 0.7,
  },
  solar: {
    colour: [52, 62, 88],
    second: [112, 124, 78],
    mottle: 0.05,
    grain: 0.04,
    period: 6,
    duty: 0.62,
    crossPeriod: 21,
    crossDuty: 0.95,
    spread: 0.02,
  },
  panel: {
    colour: [44, 54, 84],
    second: [92, 100, 124],
    mottle: 0.02,
    grain: 0.03,
    period: 1.65,
    duty: 0.88,
    crossPeriod: 1,
    crossDuty: 0.85,
  },
  tiles: { colour: [182, 116, 86], second: [168, 104, 76], mottle: 0.12, grain: 0.07, period: 0.9, spread: 0.16 },
  tilesOld: { colour: [158, 118, 94], second: [144, 106, 86], mottle: 0.22, grain: 0.1, period: 0.9, spread: 0.14 },
  slate: { colour: [124, 122, 122], second: [114, 112, 114], mottle: 0.1, grain: 0.05, period: 0.9, spread: 0.14 },
  roofGrey: flat([146, 144, 142], 0.1, 0.05, 0.18),
  roofGravel: flat([172, 164, 152], 0.08, 0.07, 0.1),
  sheet: { colour: [206, 206, 202], second: [192, 193, 190], mottle: 0.06, grain: 0.03, period: 1.4, spread: 0.1 },
  sheetGrey: { colour: [136, 142, 146], second: [124, 130, 136], mottle: 0.08, grain: 0.03, period: 1.4, spread: 0.16 },
  asbestos: { colour: [158, 150, 140], second: [144, 136, 128], mottle: 0.2, grain: 0.05, period: 1.1, spread: 0.1 },
  skylight: flat([212, 220, 222], 0.02, 0.02),
  greenhouse: { colour: [206, 214, 206], second: [184, 194, 190], mottle: 0.1, grain: 0.04, period: 4, duty: 0.86 },
  wall: flat([204, 190, 166], 0.04, 0.04, 0.1),
  paint: flat([232, 232, 226], 0, 0.03, 0),
  rust: flat([112, 84, 70], 0.04, 0.06),
  hedge: flat([66, 90, 48], 0.2, 0.16),
  tram: flat([150, 132, 98], 0.05, 0.05),
  ditch: flat([88, 106, 60], 0.2, 0.12),
  steel: flat([168, 170, 170], 0, 0.05),
  carWhite: flat([228, 228, 228], 0, 0.02, 0.05),
  carSilver: flat([172, 174, 178], 0, 0.02, 0.1),
  carDark: flat([58, 60, 66], 0, 0.02, 0.2),
  carRed: flat([150, 50, 46], 0, 0.02, 0.1),
  carBlue: flat([66, 84, 128], 0, 0.02, 0.1),
  glass: flat([46, 52, 58], 0, 0.02, 0),
};

/** Kinds of crown: colour, and height as a multiple of the radius. */
export const CROWNS: readonly { colour: Colour; tall: number }[] = [
  { colour: [86, 110, 58], tall: 2.4 }, // broad-leaved
  { colour: [64, 92, 54], tall: 3.2 }, // oak wood
  { colour: [52, 76, 52], tall: 4 }, // pine
  { colour: [46, 66, 42], tall: 7 }, // cypress
  { colour: [106, 126, 70], tall: 1.6 }, // fruit tree
  { colour: [118, 126, 92], tall: 1.8 }, // olive
  { colour: [98, 124, 66], tall: 3.6 }, // poplar by the water
  { colour: [74, 98, 52], tall: 0.9 }, // shrub
];
