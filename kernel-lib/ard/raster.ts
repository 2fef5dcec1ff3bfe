import { type FileHandle, open } from 'node:fs/promises';
import { fromFile, type GeoTIFF, type GeoTIFFImage } from 'geotiff';
import { windowReader, type WindowReader } from './window.ts';

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

/** A level or mask with the image that geotiff read its tags from. */
export type Level = BlockTable & { image: GeoTIFFImage };

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
      throw new Error(`${path} (${size} bytes) is no TIFF that can be read: ${String(error)}; fetch it again`, {
        cause: error,
      });
    });
    return await describe(path, handle, tiff, size);
  } catch (error) {
    await handle.close();
    await tiff?.close();
    throw error;
  }
}

async function describe(path: string, handle: FileHandle, tiff: GeoTIFF, size: number): Promise<Raster> {
  const levels: Level[] = [];
  const masks: Level[] = [];
  for (const level of await readDirectories(path, tiff, size)) {
    checkWhole(path, level, size);
    const subfile = level.image.fileDirectory.getValue('NewSubfileType') ?? 0;
    (subfile & 4 ? masks : levels).push(level);
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
    metresPerPixel: first.getResolution()[0],
    bands: first.getSamplesPerPixel(),
    bits: first.getBitsPerSample(0),
    levels: levels.map((level) => ({ ...level, mask: maskOf(masks, level) })),
    readBytes,
    async readWindow(column, row, width, height, level = 0) {
      const reader = readers.get(level) ?? windowReader(path, levels[level], readBytes);
      readers.set(level, reader);
      return (await reader)(column, row, width, height);
    },
    async readMask(level) {
      const mask = maskOf(masks, levels[level]);
      const bits = (await mask?.image.readRasters({ interleave: true })) as ArrayLike<number> | undefined;
      return bits && Uint8Array.from(bits, (bit) => (bit ? 1 : 0));
    },
    async close() {
      await handle.close();
      await tiff.close();
    },
  };
}

/** Every image of the file with the table of its blocks. */
async function readDirectories(path: string, tiff: GeoTIFF, size: number): Promise<Level[]> {
  try {
    const count = await tiff.getImageCount();
    const images = await Promise.all(Array.from({ length: count }, (_, index) => tiff.getImage(index)));
    return await Promise.all(images.map(async (image) => ({ ...(await blockTable(image)), image })));
  } catch (error) {
    throw new Error(`${path} ends in the middle of its directory (${size} bytes): fetch it again`, { cause: error });
  }
}

async function blockTable(image: GeoTIFFImage): Promise<BlockTable> {
  const directory = image.fileDirectory;
  const [offsets, byteCounts] = await Promise.all(
    (image.isTiled ? (['TileOffsets', 'TileByteCounts'] as const) : (['StripOffsets', 'StripByteCounts'] as const)).map(
      async (tag) => (await directory.loadValue(tag)) as ArrayLike<number> | undefined,
    ),
  );
  if (!offsets || !byteCounts) throw new Error('the directory does not say where the blocks lie');
  return {
    width: image.getWidth(),
    height: image.getHeight(),
    blockSize: image.getTileWidth(),
    blocksAcross: Math.ceil(image.getWidth() / image.getTileWidth()),
    offsets,
    byteCounts,
    compression: directory.getValue('Compression') ?? 1,
  };
}

function checkWhole(path: string, { offsets, byteCounts }: BlockTable, size: number): void {
  for (let block = 0; block < offsets.length; block++) {
    const end = offsets[block] + byteCounts[block];
    if (end > size) {
      throw new Error(`${path} is cut short: block ${block} ends at byte ${end}, the file at ${size}; fetch it again`);
    }
  }
}

async function readAt(handle: FileHandle, table: BlockTable, block: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(table.byteCounts[block]);
  if (bytes.length > 0) await handle.read(bytes, 0, bytes.length, table.offsets[block]);
  return bytes;
}

function maskOf(masks: readonly Level[], { width }: BlockTable): Level | undefined {
  return masks.find((mask) => mask.width === width);
}
