import { type FileHandle, open } from 'node:fs/promises';
import type { GeoTIFF, GeoTIFFImage } from 'geotiff';
import { openSource } from './address.ts';
import { objectAt, openRemote, tiffSource, type Traffic } from './remote.ts';
import { type Source, SourceError, type SourceOptions } from './source.ts';
import { type JpegTables, jpegTablesOf, samplesOf, windowReader, type WindowReader } from './window.ts';

/** Blocks of one level or of its mask: where in the file each lies. A block of 0 bytes holds nothing. */
export interface BlockTable {
  width: number;
  height: number;
  /** Width of a block, pixels; a strip is as wide as the image. */
  blockSize: number;
  /** Height of a block, pixels: as its width, but for strips. */
  blockHeight: number;
  blocksAcross: number;
  offsets: ArrayLike<number>;
  byteCounts: ArrayLike<number>;
  /** TIFF compression: 7 JPEG, 8 DEFLATE. */
  compression: number;
  /** TIFF predictor: 1 none, 2 differences along a row. */
  predictor: number;
  /** Bits of one sample. */
  bits: number;
  /** Samples of a pixel that lie together in a block; 1 where each band has blocks of its own. */
  samples: number;
}

/** One level of a raster, full resolution first, with its mask where it has one. */
export interface RasterLevel extends BlockTable {
  mask: BlockTable | undefined;
}

/** A level or mask with the image that geotiff read its tags from. */
export type Level = BlockTable & { image: GeoTIFFImage };

/** An open raster. Close it. */
export interface Raster {
  /** Path or `s3://` address. */
  path: string;
  /** Bytes of the whole file. */
  size: number;
  /** What was read over the network so far; `undefined` for a file on a disk. */
  traffic: Traffic | undefined;
  epsg: number;
  /** West and north edge of the full level, metres. */
  origin: [west: number, north: number];
  metresPerPixel: number;
  bands: number;
  /** Which of the bands, from 0, says how opaque a pixel is; `undefined` where none does. */
  alpha: number | undefined;
  /** Bits of one sample. */
  bits: number;
  levels: RasterLevel[];
  /** The raw bytes of a block; empty where the block is sparse. */
  readBytes(table: BlockTable, blockColumn: number, blockRow: number): Promise<Buffer>;
  /** RGB pixels `[row, col, 3]`, uint8, of a window in pixels of a level, the full one by default. One band is repeated three times. */
  readWindow(column: number, row: number, width: number, height: number, level?: number): Promise<Uint8Array>;
  /**
   * Samples of a window of the full level as they are, `[row, col, bands]`, in the order of the bands asked for.
   *
   * @param bands from 0
   */
  readSamples(column: number, row: number, width: number, height: number, bands: readonly number[]): Promise<ArrayLike<number>>; // prettier-ignore
  /** What the JPEG blocks of a level share, and what their samples are; nothing where they are no JPEG. */
  jpegTables(level: number): Promise<JpegTables | undefined>;
  /** Which pixels of a whole level are real: `[row, col]`, 1 or 0; `undefined` where the level has no mask. */
  readMask(level: number): Promise<Uint8Array | undefined>;
  /** The same of a window of a level: of the mask only the blocks are read that it touches. */
  readMaskWindow(column: number, row: number, width: number, height: number, level: number): Promise<Uint8Array | undefined>; // prettier-ignore
  /** Brings pixels and mask of a level near in one request, where they lie together and are not many; else does nothing. */
  prefetch(level: number): Promise<void>;
  close(): Promise<void>;
}

/** The bytes of a raster, and geotiff's view of them. */
interface Opened {
  path: string;
  size: number;
  tiff: GeoTIFF;
  /** What to do about a file that is damaged. */
  remedy: string;
  read(offset: number, length: number): Promise<Buffer>;
  hold(offset: number, length: number): Promise<void>;
  traffic?: Traffic;
  close(): Promise<void>;
}

/**
 * Opens a TIFF and finds its levels and masks by NewSubfileType, never by their number in the file. Of one in a bucket
 * only what is asked for is read, and its directories come in one request or two.
 *
 * @param path of a file, or `s3://bucket/…/x-visual.tif`
 * @param options how to reach the bucket
 * @throws {Error} naming the file, when it is no TIFF, is cut short, or has no projection
 * @throws {SourceError} naming the object, when it is not there, may not be read, or has changed since
 */
export async function openRaster(path: string, options: SourceOptions = {}): Promise<Raster> {
  if (!path.startsWith('s3://')) return openFile(path);
  const { bucket, key } = objectAt(path);
  return openObject(openSource(bucket, options), key);
}

/** Opens a raster of a bucket's source. @throws as {@link openRaster} */
export async function openObject(source: Source, key: string): Promise<Raster> {
  const file = await openRemote(source, key);
  const { source: bytes, settle } = tiffSource(file);
  const { address: path, size } = file;
  const { GeoTIFF } = await import('geotiff');
  const tiff = await GeoTIFF.fromSource(bytes).catch((error: unknown) => {
    throw noTiff(path, size, error, AGAIN.remote);
  });
  const raster = await describe({ ...file, path, tiff, remedy: AGAIN.remote, close: async () => undefined });
  settle();
  return raster;
}

const AGAIN = { local: 'fetch it again', remote: 'put it there again' };

function noTiff(path: string, size: number, error: unknown, remedy: string): unknown {
  if (error instanceof SourceError) return error;
  return new Error(`${path} (${size} bytes) is no TIFF that can be read: ${String(error)}; ${remedy}`, {
    cause: error,
  });
}

/** Read at once on opening: all directories of a full tile take 29 KB, which geotiff reads in fifty pieces. */
const HEAD = 1 << 16;

async function openFile(path: string): Promise<Raster> {
  const handle = await open(path).catch((error: unknown) => {
    throw new Error(`cannot open ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error });
  });
  const close = (): Promise<void> => handle.close();
  try {
    const { size } = await handle.stat();
    let head: Buffer | undefined = await readAt(handle, 0, Math.min(HEAD, size));
    const read = async (offset: number, wanted: number): Promise<Buffer> => {
      const length = Math.max(0, Math.min(wanted, size - offset)); // whatever a damaged directory asks for
      return head && offset + length <= head.length ? head.subarray(offset, offset + length) : readAt(handle, offset, length); // prettier-ignore
    };
    const hold = async (): Promise<void> => undefined;
    const { GeoTIFF } = await import('geotiff');
    const tiff = await GeoTIFF.fromSource(tiffSource({ size, read, hold }).source).catch((error: unknown) => {
      throw noTiff(path, size, error, AGAIN.local);
    });
    const raster = await describe({ path, size, tiff, remedy: AGAIN.local, read, hold, close });
    head = undefined;
    return raster;
  } catch (error) {
    await close();
    throw error;
  }
}

async function describe(file: Opened): Promise<Raster> {
  const { path, size, remedy } = file;
  const levels: Level[] = [];
  const masks: Level[] = [];
  for (const level of await readDirectories(file)) {
    checkWhole(file, level);
    const subfile = level.image.fileDirectory.getValue('NewSubfileType') ?? 0;
    (subfile & 4 ? masks : levels).push(level);
  }
  levels.sort((a, b) => b.width - a.width);
  const first = levels[0]?.image;
  if (!first) throw new Error(`${path} holds no image, only masks: ${remedy}`);
  checkMask(file, levels[0], masks);
  levels.forEach((level) => checkBlocks(file, level));
  const keys = first.getGeoKeys();
  const epsg = Number(keys?.ProjectedCSTypeGeoKey);
  if (!epsg) throw new Error(`${path} names no projection: expected a GeoTIFF in UTM`);
  const readers = new Map<number, Promise<WindowReader>>();
  const readBytes: Raster['readBytes'] = (table, blockColumn, blockRow) =>
    readBlock(file, table, blockRow * table.blocksAcross + blockColumn);
  return {
    path,
    size,
    traffic: file.traffic,
    epsg,
    ...placeOf(path, first),
    bands: first.getSamplesPerPixel(),
    alpha: await alphaOf(first),
    bits: first.getBitsPerSample(0),
    levels: levels.map((level) => ({ ...level, mask: maskOf(masks, level) })),
    readBytes,
    async readWindow(column, row, width, height, level = 0) {
      const reader = readers.get(level) ?? windowReader(path, levels[level], readBytes);
      readers.set(level, reader);
      return (await reader)(column, row, width, height);
    },
    async readSamples(column, row, width, height, bands) {
      const window = [column, row, column + width, row + height];
      return samplesOf(path, levels[0].image, { window, samples: [...bands] });
    },
    jpegTables: (level) => jpegTablesOf(levels[level]),
    async readMask(level) {
      const mask = maskOf(masks, levels[level]);
      return mask && ones(await samplesOf(path, mask.image));
    },
    async readMaskWindow(column, row, width, height, level) {
      const window = [column, row, column + width, row + height];
      const bits = await maskOf(masks, levels[level])?.image.readRasters({ window, interleave: true });
      return bits && ones(bits);
    },
    async prefetch(level) {
      const [from, to] = spanOf([levels[level], maskOf(masks, levels[level])]);
      if (to - from <= NEAR) await file.hold(from, to - from);
    },
    close: () => file.close(),
  };
}

/** 1 where a value is not 0. `Uint8Array.from` would make an array of them on the way, too long for a full level. */
function ones(values: ArrayLike<number>): Uint8Array {
  const mask = new Uint8Array(values.length);
  for (let at = 0; at < mask.length; at++) mask[at] = values[at] ? 1 : 0;
  return mask;
}

/** No level larger than this is brought near whole: 1088 px of a full tile take 0.4 MB, 2176 px 1.5 MB. */
const NEAR = 1 << 22;

/** First byte of all blocks of some tables and the one after the last; blocks that hold nothing have no place. */
function spanOf(tables: (BlockTable | undefined)[]): [from: number, to: number] {
  let [from, to] = [Infinity, 0];
  for (const { offsets, byteCounts } of tables.filter((table) => table !== undefined)) {
    for (let block = 0; block < offsets.length; block++) {
      if (byteCounts[block] === 0) continue;
      from = Math.min(from, offsets[block]);
      to = Math.max(to, offsets[block] + byteCounts[block]);
    }
  }
  return to === 0 ? [0, 0] : [from, to];
}

/** Every image of the file with the table of its blocks. */
async function readDirectories({ path, tiff, size, remedy }: Opened): Promise<Level[]> {
  try {
    const count = await countDirectories(tiff);
    const images = await Promise.all(Array.from({ length: count }, (_, index) => tiff.getImage(index)));
    return await Promise.all(images.map(async (image) => ({ ...(await blockTable(image)), image })));
  } catch (error) {
    if (error instanceof SourceError) throw error;
    throw new Error(`${path} ends in the middle of its directory (${size} bytes): ${remedy}`, { cause: error });
  }
}

/** geotiff's own count never ends where the chain of directories leads in a circle. */
async function countDirectories(tiff: GeoTIFF): Promise<number> {
  const places = new Set<number>();
  for (let next = -1; next !== 0; places.add(next)) {
    next = (await tiff.requestIFD(places.size)).nextIFDByteOffset;
    if (places.has(next)) throw new Error('the directories lead in a circle');
  }
  return places.size;
}

function placeOf(path: string, image: GeoTIFFImage): Pick<Raster, 'origin' | 'metresPerPixel'> {
  try {
    const [west, north] = image.getOrigin();
    return { origin: [west, north], metresPerPixel: image.getResolution()[0] };
  } catch (error) {
    throw new Error(`${path} does not say where it lies: expected a GeoTIFF in UTM`, { cause: error });
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
  const table: Omit<BlockTable, 'offsets' | 'byteCounts'> = {
    width: image.getWidth(),
    height: image.getHeight(),
    blockSize: image.getTileWidth(),
    blockHeight: image.getTileHeight(),
    blocksAcross: Math.ceil(image.getWidth() / image.getTileWidth()),
    compression: directory.getValue('Compression') ?? 1,
    predictor: (await directory.loadValue('Predictor')) ?? 1,
    bits: directory.hasTag('BitsPerSample') ? image.getBitsPerSample(0) : 1,
    samples: directory.getValue('PlanarConfiguration') === 2 ? 1 : image.getSamplesPerPixel(),
  };
  if (!Object.values(table).every((value) => typeof value === 'number')) throw new Error('the directory holds lists in place of numbers'); // prettier-ignore
  return { ...table, offsets, byteCounts };
}

/** ExtraSamples name the bands after the colours: 1 and 2 are alpha, multiplied into the colours or not. */
async function alphaOf(image: GeoTIFFImage): Promise<number | undefined> {
  const extra = (await image.fileDirectory.loadValue('ExtraSamples')) as ArrayLike<number> | number | undefined;
  const kinds = typeof extra === 'number' ? [extra] : Array.from(extra ?? []);
  const first = kinds.findIndex((kind) => kind === 1 || kind === 2);
  const band = image.getSamplesPerPixel() - kinds.length + first;
  return first === -1 || band < 0 ? undefined : band;
}

function checkWhole({ path, size, remedy }: Opened, { offsets, byteCounts }: BlockTable): void {
  for (let block = 0; block < offsets.length; block++) {
    const end = offsets[block] + byteCounts[block];
    if (end > size) {
      throw new Error(`${path} is cut short: block ${block} ends at byte ${end}, the file at ${size}; ${remedy}`);
    }
  }
}

/** Blocks of another size than their list has it would be looked up in the wrong places. */
function checkBlocks({ path, remedy }: Opened, { image, ...level }: Level): void {
  const { height, blockHeight, blocksAcross, samples, offsets, byteCounts } = level;
  const blocks = (blocksAcross * Math.ceil(height / blockHeight) * image.getSamplesPerPixel()) / samples;
  const wrong = [offsets, byteCounts].find(({ length }) => length !== blocks);
  if (wrong) throw new Error(`${path} lists ${wrong.length} of the ${blocks} blocks of its image: ${remedy}`);
}

/** A mask of the full level that is not of its size would pass for none at all. */
function checkMask({ path, remedy }: Opened, { width, height }: Level, masks: readonly Level[]): void {
  if (masks.some((mask) => mask.width === width)) return;
  const stray = masks.find(({ image }) => !((image.fileDirectory.getValue('NewSubfileType') ?? 0) & 1));
  if (stray)
    throw new Error(
      `${path} holds a mask of ${stray.width} × ${stray.height} px for an image of ${width} × ${height}: ${remedy}`,
    );
}

async function readBlock(file: Opened, { offsets, byteCounts }: BlockTable, block: number): Promise<Buffer> {
  return byteCounts[block] === 0 ? Buffer.alloc(0) : file.read(offsets[block], byteCounts[block]);
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  const { bytesRead } = await handle.read(bytes, 0, length, offset);
  return bytes.subarray(0, bytesRead);
}

function maskOf(masks: readonly Level[], { width }: BlockTable): Level | undefined {
  return masks.find((mask) => mask.width === width);
}
