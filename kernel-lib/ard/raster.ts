import { type FileHandle, open } from 'node:fs/promises';
import jpegTurbo from '@julusian/jpeg-turbo';
import { fromFile, type GeoTIFF, type GeoTIFFImage } from 'geotiff';

/** Blocks of one level or of its mask: where in the file each lies. A block of 0 bytes holds nothing. */
export interface BlockTable {
  width: number;
  height: number;
  /** Side of a block, pixels. */
  blockSize: number;
  blocksAcross: number;
  offsets: ArrayLike<number>;
  byteCounts: ArrayLike<number>;
  /** TIFF compression: 7 JPEG, 8 DEFLATE. */
  compression: number;
}

/** One level of a raster, full resolution first, with its mask where it has one. */
export interface RasterLevel extends BlockTable {
  mask: BlockTable | undefined;
}

type Level = BlockTable & { image: GeoTIFFImage };

/** An open raster. Close it. */
export interface Raster {
  path: string;
  epsg: number;
  /** West and north edge of the full level, metres. */
  origin: [west: number, north: number];
  metresPerPixel: number;
  bands: number;
  /** Bits of one sample. */
  bits: number;
  levels: RasterLevel[];
  /** The raw bytes of a block; empty where the block is sparse. */
  readBytes(table: BlockTable, blockColumn: number, blockRow: number): Promise<Buffer>;
  /** RGB pixels `[row, col, 3]`, uint8, of a window in pixels of a level, the full one by default. One band is repeated three times. */
  readWindow(column: number, row: number, width: number, height: number, level?: number): Promise<Uint8Array>;
  /** Which pixels of a whole level are real: `[row, col]`, 1 or 0; `undefined` where the level has no mask. */
  readMask(level: number): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/**
 * Opens a TIFF and finds its levels and masks by NewSubfileType, never by their number in the file.
 *
 * @throws {Error} naming the file, when it is no TIFF, is cut short, or has no projection
 */
export async function openRaster(path: string): Promise<Raster> {
  const handle = await open(path).catch((error: unknown) => {
    throw new Error(`cannot open ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error });
  });
  let tiff: GeoTIFF | undefined;
  try {
    const { size } = await handle.stat();
    tiff = await fromFile(path).catch((error: unknown) => {
      throw new Error(`${path} (${size} bytes) is no TIFF that can be read: ${String(error)}; fetch it again`, { cause: error });
    });
    return await describe(path, handle, tiff, size);
  } catch (error) {
    await handle.close();
    tiff?.close();
    throw error;
  }
}

async function describe(path: string, handle: FileHandle, tiff: GeoTIFF, size: number): Promise<Raster> {
  const levels: Level[] = [];
  const masks: Level[] = [];
  for (const image of await allImages(path, tiff, size)) {
    const table = await blockTable(image);
    checkWhole(path, table, size);
    const subfile = Number(image.fileDirectory.getValue('NewSubfileType') ?? 0);
    (subfile & 4 ? masks : levels).push({ ...table, image });
  }
  levels.sort((a, b) => b.width - a.width);
  const first = levels[0]?.image;
  if (!first) throw new Error(`${path} holds no image, only masks: fetch it again`);
  const keys = first.getGeoKeys();
  const epsg = Number(keys?.ProjectedCSTypeGeoKey);
  if (!epsg) throw new Error(`${path} names no projection: expected a GeoTIFF in UTM`);
  const readers = new Map<number, Promise<WindowReader>>();
  const readBytes: Raster['readBytes'] = (table, blockColumn, blockRow) =>
    readAt(handle, table, blockRow * table.blocksAcross + blockColumn);
  return {
    path,
    epsg,
    origin: first.getOrigin().slice(0, 2) as [number, number],
    metresPerPixel: first.getResolution()[0]!,
    bands: first.getSamplesPerPixel(),
    bits: first.getBitsPerSample(0),
    levels: levels.map(({ image: _, ...level }) => ({ ...level, mask: maskOf(masks, level) })),
    readBytes,
    async readWindow(column, row, width, height, level = 0) {
      const reader = readers.get(level) ?? windowReader(path, levels[level]!, readBytes);
      readers.set(level, reader);
      return (await reader)(column, row, width, height);
    },
    async readMask(level) {
      const mask = maskOf(masks, levels[level]!);
      return mask && Uint8Array.from((await mask.image.readRasters({ interleave: true })) as ArrayLike<number>, (bit) => (bit ? 1 : 0));
    },
    async close() {
      await handle.close();
      tiff.close();
    },
  };
}

async function allImages(path: string, tiff: GeoTIFF, size: number): Promise<GeoTIFFImage[]> {
  try {
    const count = await tiff.getImageCount();
    return await Promise.all(Array.from({ length: count }, (_, index) => tiff.getImage(index)));
  } catch (error) {
    throw new Error(`${path} ends in the middle of its directory (${size} bytes): fetch it again`, { cause: error });
  }
}

async function blockTable(image: GeoTIFFImage): Promise<BlockTable> {
  const directory = image.fileDirectory;
  const tiled = image.isTiled;
  return {
    width: image.getWidth(),
    height: image.getHeight(),
    blockSize: image.getTileWidth(),
    blocksAcross: Math.ceil(image.getWidth() / image.getTileWidth()),
    offsets: (await directory.loadValue(tiled ? 'TileOffsets' : 'StripOffsets')) as ArrayLike<number>,
    byteCounts: (await directory.loadValue(tiled ? 'TileByteCounts' : 'StripByteCounts')) as ArrayLike<number>,
    compression: Number(directory.getValue('Compression') ?? 1),
  };
}

function checkWhole(path: string, { offsets, byteCounts }: BlockTable, size: number): void {
  for (let block = 0; block < offsets.length; block++) {
    const end = Number(offsets[block]) + Number(byteCounts[block]);
    if (end > size) {
      throw new Error(`${path} is cut short: block ${block} ends at byte ${end}, the file at ${size}; fetch it again`);
    }
  }
}

async function readAt(handle: FileHandle, table: BlockTable, block: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Number(table.byteCounts[block]));
  if (bytes.length > 0) await handle.read(bytes, 0, bytes.length, Number(table.offsets[block]));
  return bytes;
}

/** The shared tables of a TIFF's JPEG blocks, without their start and end marks. */
async function tablesOf(image: GeoTIFFImage): Promise<Buffer> {
  const value = (await image.fileDirectory.loadValue('JPEGTables')) as ArrayLike<number> | undefined;
  return value ? Buffer.from(Array.from(value)).subarray(2, -2) : Buffer.alloc(0);
}

function maskOf(masks: readonly Level[], { width }: BlockTable): Level | undefined {
  return masks.find((mask) => mask.width === width);
}

type WindowReader = (column: number, row: number, width: number, height: number) => Promise<Uint8Array>;

async function windowReader(path: string, { image, ...table }: Level, readBytes: Raster['readBytes']): Promise<WindowReader> {
  if (table.compression !== 7 || image.getSamplesPerPixel() !== 3 || !image.isTiled) {
    return (...window) => readAnyWindow(path, image, window);
  }
  const jpegTables = await tablesOf(image);
  return async (column, row, width, height) => {
    const pixels = new Uint8Array(width * height * 3);
    const size = table.blockSize;
    for (let by = Math.floor(row / size); by * size < row + height; by++) {
      for (let bx = Math.floor(column / size); bx * size < column + width; bx++) {
        const block = await decodeJpegBlock(path, await readBytes(table, bx, by), jpegTables);
        if (block) paste(block, size, bx * size - column, by * size - row, pixels, width, height);
      }
    }
    return pixels;
  };
}

async function decodeJpegBlock(path: string, bytes: Buffer, tables: Buffer): Promise<Uint8Array | undefined> {
  if (bytes.length === 0) return undefined;
  const whole = Buffer.concat([bytes.subarray(0, 2), tables, bytes.subarray(2)]);
  try {
    return (await jpegTurbo.decompress(whole, { format: jpegTurbo.FORMAT_RGB })).data;
  } catch (error) {
    throw new Error(`${path} holds a damaged JPEG block (${String(error)}): fetch it again`, { cause: error });
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
async function readAnyWindow(path: string, image: GeoTIFFImage, [column, row, width, height]: number[]): Promise<Uint8Array> {
  const bits = image.getBitsPerSample(0);
  if (bits !== 8) throw new Error(`${path} has ${bits} bits a sample: expected an 8-bit visual product`);
  const window = [column!, row!, column! + width!, row! + height!];
  const samples = image.getSamplesPerPixel() === 3 ? [0, 1, 2] : [0, 0, 0];
  return (await image.readRasters({ window, samples, interleave: true })) as unknown as Uint8Array;
}
