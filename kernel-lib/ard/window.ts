import type { GeoTIFFImage } from 'geotiff';
import type { Level, Raster } from './raster.ts';
import { SourceError } from './source.ts';

/** The shared tables of a TIFF's JPEG blocks, without their start and end marks. */
async function tablesOf(image: GeoTIFFImage): Promise<Buffer> {
  const value = (await image.fileDirectory.loadValue('JPEGTables')) as ArrayLike<number> | undefined;
  return value ? Buffer.from(Array.from(value)).subarray(2, -2) : Buffer.alloc(0);
}

/** What the JPEG blocks of a level have in common. */
export interface JpegTables {
  /** Of the TIFF tag JPEGTables, without start and end marks; may be empty. */
  tables: Uint8Array;
  /** What the samples are: the blocks themselves may not say. */
  photometric: 'ycbcr' | 'rgb' | 'grey';
}

const PHOTOMETRIC: Record<number, JpegTables['photometric']> = { 1: 'grey', 2: 'rgb', 6: 'ycbcr' };

/** Nothing where the blocks are no JPEG, or of samples that are none of these. */
export async function jpegTablesOf({ image, compression }: Level): Promise<JpegTables | undefined> {
  const photometric = PHOTOMETRIC[Number(image.fileDirectory.getValue('PhotometricInterpretation'))];
  return compression === 7 && photometric ? { tables: await tablesOf(image), photometric } : undefined;
}

/** Reads a window of one level: RGB `[row, col, 3]`, uint8. */
export type WindowReader = (column: number, row: number, width: number, height: number) => Promise<Uint8Array>;

/**
 * How windows of a level are read: JPEG blocks through sharp, all else through geotiff's own decoders.
 *
 * @param path for messages
 */
export async function windowReader(
  path: string,
  { image, ...table }: Level,
  readBytes: Raster['readBytes'],
): Promise<WindowReader> {
  if (table.compression !== 7 || image.getSamplesPerPixel() !== 3 || !image.isTiled) {
    return (...window) => readAnyWindow(path, image, window);
  }
  const jpegTables = await tablesOf(image);
  return async (column, row, width, height) => {
    const pixels = new Uint8Array(width * height * 3);
    const size = table.blockSize;
    const places = blocksIn(size, column, row, width, height);
    const parts = await Promise.all(places.map(({ bx, by }) => readBytes(table, bx, by))); // at once: neighbours share a request
    for (const [index, { bx, by }] of places.entries()) {
      const block = await decodeJpegBlock(path, parts[index], jpegTables);
      if (block) paste(block, size, bx * size - column, by * size - row, pixels, width, height);
    }
    return pixels;
  };
}

/** Columns and rows of the blocks that a window touches, row by row. */
function blocksIn(
  size: number,
  column: number,
  row: number,
  width: number,
  height: number,
): { bx: number; by: number }[] {
  const places: { bx: number; by: number }[] = [];
  for (let by = Math.floor(row / size); by * size < row + height; by++)
    for (let bx = Math.floor(column / size); bx * size < column + width; bx++) places.push({ bx, by });
  return places;
}

/** Pixels of a block, as libtiff decodes them to the last bit (jpeg-turbo's npm binding takes a faster, rougher transform). */
async function decodeJpegBlock(path: string, bytes: Buffer, tables: Buffer): Promise<Uint8Array | undefined> {
  if (bytes.length === 0) return undefined;
  const { default: sharp } = await import('sharp');
  const whole = Buffer.concat([bytes.subarray(0, 2), tables, bytes.subarray(2)]);
  try {
    return await sharp(whole, { failOn: 'warning' }).raw().toBuffer();
  } catch (error) {
    throw new Error(`${path} holds a damaged JPEG block (${(error as Error).message}): fetch it again`, {
      cause: error,
    });
  }
}

function paste(
  block: Uint8Array,
  size: number,
  left: number,
  top: number,
  pixels: Uint8Array,
  width: number,
  height: number,
): void {
  const from = Math.max(0, left);
  const to = Math.min(width, left + size);
  for (let y = Math.max(0, top); y < Math.min(height, top + size); y++) {
    const start = ((y - top) * size + from - left) * 3;
    pixels.set(block.subarray(start, start + (to - from) * 3), (y * width + from) * 3);
  }
}

/** Any other 8-bit TIFF, through geotiff's own decoders. */
async function readAnyWindow(
  path: string,
  image: GeoTIFFImage,
  [column, row, width, height]: number[],
): Promise<Uint8Array> {
  const bits = image.getBitsPerSample(0);
  if (bits !== 8) throw new Error(`${path} has ${bits} bits a sample: expected an 8-bit visual product`);
  const window = [column, row, column + width, row + height];
  const samples = image.getSamplesPerPixel() >= 3 ? [0, 1, 2] : [0, 0, 0]; // what comes after is alpha
  return (await samplesOf(path, image, { window, samples })) as Uint8Array;
}

/**
 * Samples `[row, col, band]` through geotiff's own decoders.
 *
 * @param which a window, the whole image by default, and bands from 0, all by default
 * @throws {Error} naming the file, when a block is damaged or packed in a way that nobody knows
 */
export async function samplesOf(
  path: string,
  image: GeoTIFFImage,
  which: { window?: number[]; samples?: number[] } = {},
): Promise<ArrayLike<number>> {
  try {
    return await image.readRasters({ ...which, interleave: true });
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new Error(`${path} holds a block that cannot be read (${String(error)}): fetch it again`, { cause: error });
  }
}
