import {
  type Raster, type Tile, APRON_PIXELS, CHIP_PIXELS, CHIPS_PER_SIDE, METRES_PER_PIXEL, TILE_PIXELS, isPlaced,
} from '../ard/index.ts'; // prettier-ignore
import { coveredShares } from './coverage.ts';
import { readPolygons } from './gpkg.ts';
import { realPixels } from './mask.ts';

const CHIPS = CHIPS_PER_SIDE ** 2;
const CHIP_AREA = CHIP_PIXELS ** 2;
const BLOCK = 512;

/** What is real in a tile, and how that is known. */
export interface Validity {
  /** Fraction of real pixels in each of the cell's chips, `[64 × 64]`, row by row from the north-west; 1 means every pixel. */
  fractions: Float32Array;
  /** The raster's mask; its alpha band; the delivery's `-data-mask.gpkg`; or nothing but the caller's word. */
  from: 'mask' | 'alpha' | 'gpkg' | 'assumed';
}

/** Options of {@link readValidity}. */
export interface ValidityOptions {
  /** What to do with a tile that nothing tells the no-data of. Default: `leave-out`, which throws {@link NoMaskError} */
  noMask?: 'leave-out' | 'assume-real' | undefined;
}

/**
 * Which pixels of a tile are real, chip by chip: from its mask, else its alpha band, else its `-data-mask.gpkg`. Never from
 * a pixel's value: JPEG makes the collar not quite black, and the real has black in it.
 *
 * A pixel is real where mask or alpha is not 0, however little, as in rasterio's `dataset_mask`. Of a chip that polygons
 * cover the exact share counts.
 *
 * @param raster the tile's visual raster, with its apron: 17,408 px wide
 * @throws {NoMaskError} when there is none of them
 * @throws {Error} naming the file, when it is damaged, of another size or in another system
 */
export async function readValidity(
  raster: Raster,
  { cell, files }: Pick<Tile, 'cell' | 'files'>,
  { noMask = 'leave-out' }: ValidityOptions = {},
): Promise<Validity> {
  const inside = await insideValidity(raster);
  if (inside) return inside;
  const gpkg = files['data-mask'];
  if (gpkg) return { fractions: coveredShares(await readPolygons(gpkg, cell.epsg), cell), from: 'gpkg' };
  if (noMask === 'assume-real') return { fractions: new Float32Array(CHIPS).fill(1), from: 'assumed' };
  throw new NoMaskError(raster.path);
}

/**
 * Fraction of real pixels in each of a cell's 4,096 chips, from the raster alone: its mask, else its alpha band.
 *
 * @param raster as {@link readValidity} takes it
 * @returns `[64 × 64]`, row by row from the north-west, 0–1; 1 means that every pixel is real
 * @throws as {@link readValidity}
 */
export async function validFractions(raster: Raster): Promise<Float32Array> {
  const inside = await insideValidity(raster);
  if (!inside) throw new NoMaskError(raster.path);
  return inside.fractions;
}

async function insideValidity(raster: Raster): Promise<Validity | undefined> {
  const { path, levels, alpha } = raster;
  const [{ width, height, mask }] = levels;
  if (width !== TILE_PIXELS || height !== TILE_PIXELS) {
    throw new Error(`${path} is ${width} × ${height} px: expected an ARD visual, ${TILE_PIXELS} px square; fetch it again`); // prettier-ignore
  }
  if (!mask && alpha === undefined) return undefined;
  const counts = await realPixels(raster, mask ?? levels[0], mask ? 0 : alpha);
  return { fractions: Float32Array.from(counts, (count) => count / CHIP_AREA), from: mask ? 'mask' : 'alpha' };
}

/** Nothing tells what is real in a raster. */
export class NoMaskError extends Error {
  override name = 'NoMaskError';
  constructor(path: string) {
    super(
      `${path} has no mask, no alpha band and no -data-mask.gpkg beside it: which of its pixels are real is not known; it is left out`,
    );
  }
}

/**
 * Checks that a raster lies where its cell says, to a hundredth of a pixel.
 *
 * @throws {Error} naming the file and both places
 */
export function checkPlace(raster: Raster, tile: Tile): void {
  if (isPlaced(raster, tile)) return;
  const { id, tileBounds, epsg } = tile.cell;
  throw new Error(
    `${raster.path} begins at ${raster.origin.join(', ')} of EPSG:${raster.epsg}, ${raster.metresPerPixel} m a pixel; its folder says ` +
      `${id}, which begins at ${tileBounds[0]}, ${tileBounds[3]} of EPSG:${epsg}, ${METRES_PER_PIXEL} m: move it to the right cell`,
  );
}

/** The chip window of the 512 px block that a pair of chip rows and columns shares. */
export function blockWindow(row: number, column: number): [number, number] {
  return [APRON_PIXELS + column * BLOCK, APRON_PIXELS + row * BLOCK];
}
