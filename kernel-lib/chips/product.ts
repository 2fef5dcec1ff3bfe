import {
  type Cell, type Raster, type Tile, CHIP_PIXELS, CHIPS_PER_SIDE, METRES_PER_PIXEL, openRaster,
} from '../ard/index.ts'; // prettier-ignore
import { coveredShares } from './coverage.ts';
import { readPolygons } from './gpkg.ts';
import { type Validity, type ValidityOptions, NoMaskError, checkPlace, readValidity } from './nodata.ts';

/** A raster of a tile, as chips are cut from it. */
export interface Product {
  raster: Raster;
  /** What is real in it. */
  validity(options: ValidityOptions): Promise<Validity>;
  /** Pixels of a square of the tile's grid, `[row, col, 3]`, uint8; not there where the raster itself lies on it. */
  readSquare?: (left: number, top: number, side: number) => Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Reflectance that becomes white, and the power that lifts what is dark: the same for every tile, so that dates compare. */
export const STRETCH = { white: 0.3, power: 0.7, perReflectance: 10_000 } as const;

/** Bands that are shown as red, green and blue, from 0: of WorldView's 8, of the 4 of others, of one. */
const SHOWN: Record<number, [number, number, number]> = { 8: [4, 2, 1], 4: [2, 1, 0], 1: [0, 0, 0] };

/**
 * Opens a raster of a tile.
 *
 * `visual` lies on the grid. `ms` and `pan` are reflectance × 10,000 in the sensor's own pixels: they are laid on the grid by
 * bilinear interpolation and stretched, `255 × min(1, reflectance / 0.3)^0.7`. What is real in them is told by the visual
 * raster of the same acquisition, else by the delivery's data mask, else by their own.
 *
 * @throws {Error} naming the file, when it is damaged or lies elsewhere than its folder says
 */
export async function openProduct(tile: Tile, product: string): Promise<Product> {
  const raster = await openRaster(tile.files[product]);
  try {
    return product === 'visual' ? visualOf(raster, tile) : nativeOf(raster, tile);
  } catch (error) {
    await raster.close();
    throw error;
  }
}

function visualOf(raster: Raster, tile: Tile): Product {
  checkPlace(raster, tile);
  return { raster, validity: (options) => readValidity(raster, tile, options), close: () => raster.close() };
}

function nativeOf(raster: Raster, tile: Tile): Product {
  const { path, bands, epsg } = raster;
  const shown = SHOWN[bands];
  if (!shown) throw new Error(`${path} has ${bands} bands: expected 1, 4 or 8; leave it out`);
  if (epsg !== tile.cell.epsg)
    throw new Error(`${path} is in EPSG:${epsg}, its folder says ${tile.cell.id}, EPSG:${tile.cell.epsg}: move it to the right cell`); // prettier-ignore
  return {
    raster,
    validity: (options) => nativeValidity(raster, tile, options),
    readSquare: (left, top, side) => readStretched(raster, tile.cell, shown, [left, top, side]),
    close: () => raster.close(),
  };
}

async function nativeValidity(raster: Raster, tile: Tile, options: ValidityOptions): Promise<Validity> {
  const { visual, 'data-mask': outline } = tile.files;
  const [level] = raster.levels;
  if (visual) {
    const product = await openProduct(tile, 'visual');
    try {
      return await product.validity(options);
    } finally {
      await product.close();
    }
  }
  if (outline)
    return { fractions: coveredShares(await readPolygons(outline, tile.cell.epsg), tile.cell), from: 'gpkg' };
  const mask = await raster.readMask(0);
  if (!mask && options.noMask !== 'assume-real') throw new NoMaskError(raster.path);
  const real = mask ?? new Uint8Array(level.width * level.height).fill(1);
  return { fractions: nativeFractions(raster, real, tile.cell), from: mask ? 'mask' : 'assumed' };
}

/** Share of real native pixels among those that each chip is interpolated from; none beyond the raster is. */
function nativeFractions({ levels, origin, metresPerPixel }: Raster, real: Uint8Array, cell: Cell): Float32Array {
  const [{ width, height }] = levels;
  const [west, , , north] = cell.cellBounds;
  const side = CHIP_PIXELS * METRES_PER_PIXEL;
  const span = (from: number): [number, number] => [Math.floor(from / metresPerPixel - 0.5), Math.ceil((from + side) / metresPerPixel + 0.5)]; // prettier-ignore
  return Float32Array.from({ length: CHIPS_PER_SIDE ** 2 }, (_, chip) => {
    const [left, right] = span(west + (chip % CHIPS_PER_SIDE) * side - origin[0]);
    const [top, bottom] = span(origin[1] - north + Math.floor(chip / CHIPS_PER_SIDE) * side);
    let count = 0;
    for (let row = Math.max(0, top); row < Math.min(height, bottom); row++)
      for (let column = Math.max(0, left); column < Math.min(width, right); column++)
        count += real[row * width + column];
    return count / ((right - left) * (bottom - top));
  });
}

/** A square of the grid in 8 bits, interpolated between the centres of native pixels. */
async function readStretched(
  raster: Raster,
  { tileBounds }: Cell,
  bands: readonly number[],
  [left, top, side]: [number, number, number],
): Promise<Uint8Array> {
  const { origin, metresPerPixel, levels } = raster;
  const [{ width, height }] = levels;
  const x = axis((tileBounds[0] - origin[0]) / METRES_PER_PIXEL + left, side, METRES_PER_PIXEL / metresPerPixel, width);
  const y = axis((origin[1] - tileBounds[3]) / METRES_PER_PIXEL + top, side, METRES_PER_PIXEL / metresPerPixel, height);
  const samples = await raster.readSamples(x.first, y.first, x.count, y.count, bands);
  const pixels = new Uint8Array(side * side * 3);
  for (let row = 0; row < side; row++) {
    const [above, below, down] = [y.before[row] * x.count, y.after[row] * x.count, y.part[row]];
    for (let column = 0; column < side; column++) {
      const [west, east, across] = [x.before[column], x.after[column], x.part[column]];
      for (let band = 0; band < 3; band++) {
        const at = (start: number, offset: number): number => samples[(start + offset) * 3 + band];
        const upper = at(above, west) + (at(above, east) - at(above, west)) * across;
        const lower = at(below, west) + (at(below, east) - at(below, west)) * across;
        pixels[(row * side + column) * 3 + band] = stretched(upper + (lower - upper) * down);
      }
    }
  }
  return pixels;
}

/** Where pixels of the grid lie among native ones along one axis: the two to interpolate between, and how far along. */
function axis(
  start: number,
  side: number,
  scale: number,
  limit: number,
): { first: number; count: number; before: Int32Array; after: Int32Array; part: Float64Array } {
  const places = Float64Array.from({ length: side }, (_, pixel) => (start + pixel + 0.5) * scale - 0.5);
  const inside = (at: number): number => Math.min(limit - 1, Math.max(0, at));
  const first = inside(Math.floor(places[0]));
  const last = inside(Math.floor(places[side - 1]) + 1);
  const before = Int32Array.from(places, (place) => inside(Math.floor(place)) - first);
  const after = Int32Array.from(places, (place) => inside(Math.floor(place) + 1) - first);
  return { first, count: last - first + 1, before, after, part: places.map((place) => place - Math.floor(place)) };
}

/** Reflectance × 10,000 as a byte. */
function stretched(value: number): number {
  const share = Math.min(1, Math.max(0, value / STRETCH.perReflectance / STRETCH.white));
  return Math.round(255 * share ** STRETCH.power);
}
