import { inflateSync } from 'node:zlib';
import {
  type BlockTable, type Raster, type Tile, APRON_PIXELS, CHIP_PIXELS, CHIPS_PER_SIDE, METRES_PER_PIXEL, TILE_PIXELS,
  isPlaced,
} from '../ard/index.ts'; // prettier-ignore

const CHIPS = CHIPS_PER_SIDE ** 2;
const CHIP_AREA = CHIP_PIXELS ** 2;
const MASK_BLOCK = 512;

/** Bits set in each byte. */
const BITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1;
  return bits;
});

/**
 * Fraction of real pixels in each of a cell's 4,096 chips, from the mask alone: no pixel is decoded.
 *
 * A mask block of 512 px holds the quarters of four chips and is sparse where there is nothing at all.
 *
 * @param raster a visual raster on the ARD grid: 17,408 px wide, the apron included
 * @returns `[64 × 64]`, row by row from the north-west, 0–1; 1 means that every pixel is real
 * @throws {Error} naming the file, when it has no mask or lies off the grid
 */
export async function validFractions(raster: Raster): Promise<Float32Array> {
  const mask = raster.levels[0].mask;
  if (!mask) throw new NoMaskError(raster.path);
  checkMask(raster.path, mask);
  const fractions = new Float32Array(CHIPS);
  const blocks = CHIPS_PER_SIDE / 2;
  for (let row = 0; row < blocks; row++) {
    for (let column = 0; column < blocks; column++) {
      const bytes = await raster.readBytes(mask, column + 1, row + 1);
      if (bytes.length === 0) continue;
      const bits = inflate(raster.path, mask, bytes);
      for (let quarter = 0; quarter < 4; quarter++) {
        const y = quarter >> 1;
        const x = quarter & 1;
        fractions[(row * 2 + y) * CHIPS_PER_SIDE + column * 2 + x] = realPixels(bits, y, x) / CHIP_AREA;
      }
    }
  }
  return fractions;
}

/** A raster has no mask, so that what is real in it is not known. */
export class NoMaskError extends Error {
  override name = 'NoMaskError';
  constructor(path: string) {
    super(`${path} has no mask: which of its pixels are real is not known; it is left out`);
  }
}

function checkMask(path: string, { width, height, blockSize, compression }: BlockTable): void {
  if (width !== TILE_PIXELS || height !== TILE_PIXELS || blockSize !== MASK_BLOCK) {
    throw new Error(
      `${path} is ${width} × ${height} px in blocks of ${blockSize}: expected an ARD visual, ${TILE_PIXELS} px square in blocks of 512`,
    );
  }
  if (compression !== 1 && compression !== 8) {
    throw new Error(`${path} has a mask of compression ${compression}: expected DEFLATE (8) or none (1)`);
  }
}

function inflate(path: string, { compression }: BlockTable, bytes: Buffer): Uint8Array {
  if (compression === 1) return bytes;
  try {
    return inflateSync(bytes);
  } catch (error) {
    throw new Error(`${path} holds a damaged mask block (${String(error)}): fetch it again`, { cause: error });
  }
}

/** Real pixels in one 256 px quarter of a 512 px mask block of 64 bytes a row. */
function realPixels(bits: Uint8Array, y: number, x: number): number {
  let count = 0;
  for (let row = y * CHIP_PIXELS; row < (y + 1) * CHIP_PIXELS; row++) {
    const start = row * (MASK_BLOCK / 8) + x * (CHIP_PIXELS / 8);
    for (let byte = start; byte < start + CHIP_PIXELS / 8; byte++) count += BITS[bits[byte]];
  }
  return count;
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
  return [APRON_PIXELS + column * MASK_BLOCK, APRON_PIXELS + row * MASK_BLOCK];
}
