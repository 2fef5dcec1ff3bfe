import jpeg from '@julusian/jpeg-turbo';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import { partName, replaceWhole } from './files.ts';
import { BLOCK, type StoredLevel, layOut } from './ifd.ts';

/** One block of pixels at full resolution, as the source hands it over. The arrays are the writer's from then on. */
export interface CogBlock {
  /** `[512, 512, bands]`, pixel-interleaved, 0–255. */
  pixels: Uint8Array;
  /** `[512, 512]`: 1 where a pixel is real, 0 where it is no-data. */
  mask: Uint8Array;
}

export interface CogOptions {
  /** Columns of the raster, a multiple of 512 (an ARD tile has 17,408). */
  width: number;
  /** Rows of the raster, a multiple of 512. */
  height: number;
  /** A UTM coordinate system on WGS 84: 326zz in the north, 327zz in the south. */
  epsg: number;
  /** West and north edge of the raster, UTM metres. */
  origin: [west: number, north: number];
  metresPerPixel: number;
  /** 3 makes JPEG in YCbCr 4:2:0, 1 makes DEFLATE (as WorldView-1 is delivered). */
  bands: 1 | 3;
  /** JPEG quality 1–100. Default 85. */
  quality?: number;
  /** Hands over block (column, row), asked for in row-major order, one at a time; undefined where nothing is real. */
  blocks: (column: number, row: number) => Promise<CogBlock | undefined> | CogBlock | undefined;
  /** Stops between two blocks; nothing is left behind. */
  signal?: AbortSignal | undefined;
}

/** Where a compressed block lies in the spool. `at` counts bytes from the spool's begin. */
interface Spooled {
  at: number;
  bytes: number;
}

/** One resolution: its compressed blocks, and the row of blocks that is being averaged into it. */
interface Level extends StoredLevel {
  images: (Spooled | undefined)[];
  masks: (Spooled | undefined)[];
  /** One block each, `across` of them, filled from the next finer level. Empty at full resolution. */
  row: (CogBlock | undefined)[];
}

/** What the blocks of one file pass through: compressed, spooled, averaged into the next coarser level. */
interface Pipe {
  levels: Level[];
  bands: 1 | 3;
  quality: number;
  spool: FileHandle;
  end: number;
  tables: Uint8Array;
  allReal: Uint8Array;
  pending: Set<Promise<void>>;
}

/**
 * Writes a Cloud Optimized GeoTIFF in the form of a Maxar ARD visual: 512² blocks, overviews halved down to one block, a 1-bit
 * mask per level, sparse blocks where nothing is real, IFDs first and the data of the smallest overview before the larger.
 *
 * An overview pixel is the mean of the real ones among its four; it is real when any of them is. A coarser level keeps one row
 * of blocks in memory (some 40 MB for a 17,408² tile); compressed blocks wait in an unlinked file beside `path`.
 * Written whole or not at all.
 *
 * @returns bytes written, and the count of full-resolution blocks that hold data
 * @throws {RangeError} when a side is no multiple of 512, a block has the wrong size, or the file would pass 4 GiB
 * @see https://gdal.org/en/stable/drivers/raster/cog.html, "Header ghost area"
 */
export async function writeCog(path: string, options: CogOptions): Promise<{ bytes: number; blocks: number }> {
  checkOptions(path, options);
  let written = { bytes: 0, blocks: 0 };
  await replaceWhole(path, async (part) => {
    const spoolName = partName(path);
    const spool = await open(spoolName, 'wx+');
    try {
      await rm(spoolName); // the open handle keeps the bytes, and no crash can leave them behind
      const pipe = await fillPipe(path, spool, options);
      written = {
        bytes: await assemble(path, part, pipe, options),
        blocks: pipe.levels[0].images.filter(Boolean).length,
      };
    } finally {
      await spool.close();
    }
  });
  return written;
}

function checkOptions(path: string, { width, height, epsg, quality = 85, bands }: CogOptions): void {
  const fail = (what: string): never => {
    throw new RangeError(`writeCog ${path}: ${what}`);
  };
  const sides = [width, height];
  if (!sides.every((side) => side > 0 && side <= 65535 && side % BLOCK === 0))
    fail(`sides must be multiples of ${BLOCK} up to 65,024, got ${width} × ${height}`);
  if (!((epsg > 32600 && epsg <= 32660) || (epsg > 32700 && epsg <= 32760)))
    fail(`epsg must be a UTM zone on WGS 84 (32601…32760), got ${epsg}`);
  if (!(quality >= 1 && quality <= 100)) fail(`quality must be 1–100, got ${quality}`);
  if (bands !== 1 && bands !== 3) fail(`bands must be 1 or 3, got ${String(bands)}`);
}

async function fillPipe(
  path: string,
  spool: FileHandle,
  { width, height, bands, quality = 85, blocks, signal }: CogOptions,
): Promise<Pipe> {
  const levels = pyramid(width, height);
  const allReal = deflateSync(new Uint8Array((BLOCK * BLOCK) / 8).fill(255));
  const pipe: Pipe = { levels, bands, quality, spool, end: 0, tables: new Uint8Array(0), allReal, pending: new Set() };
  try {
    pipe.tables = bands === 3 ? (await encodeJpeg(new Uint8Array(BLOCK * BLOCK * 3), quality)).tables : pipe.tables;
    for (let row = 0; row < levels[0].down; row++) {
      for (let column = 0; column < levels[0].across; column++) {
        signal?.throwIfAborted();
        const block = await blocks(column, row);
        if (block) await put(pipe, 0, column, row, checked(path, block, bands));
      }
      await closeRow(pipe, 0, row);
    }
  } finally {
    await Promise.allSettled(pipe.pending); // none may write into a spool that is closed
  }
  await Promise.all(pipe.pending);
  return pipe;
}

/** The levels from full resolution down to the first that fits one block. */
function pyramid(width: number, height: number): Level[] {
  const levels: Level[] = [];
  for (let w = width, h = height; ; w = Math.ceil(w / 2), h = Math.ceil(h / 2)) {
    levels.push({
      width: w,
      height: h,
      across: Math.ceil(w / BLOCK),
      down: Math.ceil(h / BLOCK),
      images: [],
      masks: [],
      row: [],
    });
    if (w <= BLOCK && h <= BLOCK) return levels;
  }
}

function checked(path: string, block: CogBlock, bands: number): CogBlock {
  const area = BLOCK * BLOCK;
  if (block.pixels.length === area * bands && block.mask.length === area) return block;
  throw new RangeError(
    `writeCog ${path}: a block has ${block.pixels.length} pixel and ${block.mask.length} mask bytes: hand over ${area * bands} and ${area}`,
  );
}

/** Compresses a block in the background (at most four at once) and averages it into the next coarser level. */
async function put(pipe: Pipe, depth: number, column: number, row: number, block: CogBlock): Promise<void> {
  const level = pipe.levels[depth];
  if (!block.mask.includes(1)) return;
  if (depth + 1 < pipe.levels.length)
    halve(block, (pipe.levels[depth + 1].row[column >> 1] ??= blank(pipe.bands)), pipe.bands, column & 1, row & 1);
  const job: Promise<void> = compress(pipe, level, row * level.across + column, block).then(
    () => void pipe.pending.delete(job),
  );
  job.catch(() => undefined); // told by the race below, or by fillPipe's last wait
  pipe.pending.add(job);
  if (pipe.pending.size >= 4) await Promise.race(pipe.pending);
}

function blank(bands: number): CogBlock {
  return { pixels: new Uint8Array(BLOCK * BLOCK * bands), mask: new Uint8Array(BLOCK * BLOCK) };
}

/** After the last block of a row: where that completes a row of the coarser level, sends that one on its way too. */
async function closeRow(pipe: Pipe, depth: number, row: number): Promise<void> {
  const coarser = pipe.levels[depth + 1];
  if (!coarser || (row % 2 === 0 && row + 1 < pipe.levels[depth].down)) return;
  for (const [column, block] of coarser.row.entries()) if (block) await put(pipe, depth + 1, column, row >> 1, block);
  coarser.row = [];
  await closeRow(pipe, depth + 1, row >> 1);
}

/** Averages a block 2 × 2, over its real pixels only, into the quarter (right, low) of a coarser one. */
function halve({ pixels, mask }: CogBlock, into: CogBlock, bands: number, right: number, low: number): void {
  const half = BLOCK / 2;
  for (let y = 0; y < half; y++) {
    let from = 2 * y * BLOCK;
    let to = (low * half + y) * BLOCK + right * half;
    for (let x = 0; x < half; x++, from += 2, to++) {
      const a = mask[from];
      const b = mask[from + 1];
      const c = mask[from + BLOCK];
      const d = mask[from + BLOCK + 1];
      const count = a + b + c + d;
      if (count === 0) continue;
      into.mask[to] = 1;
      for (let band = 0; band < bands; band++) {
        const p = from * bands + band;
        const q = p + BLOCK * bands;
        const sum = a * pixels[p] + b * pixels[p + bands] + c * pixels[q] + d * pixels[q + bands];
        into.pixels[to * bands + band] = (sum + (count >> 1)) / count;
      }
    }
  }
}

async function compress(pipe: Pipe, level: Level, index: number, { pixels, mask }: CogBlock): Promise<void> {
  const image = pipe.bands === 3 ? (await encodeJpeg(pixels, pipe.quality)).stream : deflateSync(pixels);
  level.images[index] = await spoolUp(pipe, image);
  level.masks[index] = await spoolUp(pipe, mask.includes(0) ? deflateSync(packBits(mask)) : pipe.allReal);
}

async function spoolUp(pipe: Pipe, bytes: Uint8Array): Promise<Spooled> {
  const at = pipe.end;
  pipe.end += bytes.length;
  await pipe.spool.write(bytes, 0, bytes.length, at);
  return { at, bytes: bytes.length };
}

/** Eight mask pixels a byte, the first in the highest bit (FillOrder 1). */
function packBits(mask: Uint8Array): Uint8Array {
  const bits = new Uint8Array(mask.length / 8);
  for (let i = 0; i < mask.length; i++) bits[i >> 3] |= mask[i] << (7 - (i & 7));
  return bits;
}

/** One block as JPEG, parted into what all blocks share (DQT, DHT) and an abbreviated stream without it. */
async function encodeJpeg(pixels: Uint8Array, quality: number): Promise<{ tables: Uint8Array; stream: Uint8Array }> {
  const raw = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.length);
  const whole = await jpeg.compress(raw, {
    format: jpeg.FORMAT_RGB,
    width: BLOCK,
    height: BLOCK,
    quality,
    subsampling: jpeg.SAMP_420,
  });
  const tables: Uint8Array[] = [whole.subarray(0, 2)];
  const stream: Uint8Array[] = [whole.subarray(0, 2)];
  let at = 2;
  for (; whole[at + 1] !== 0xda; at += 2 + whole.readUInt16BE(at + 2)) {
    const marker = whole[at + 1];
    const segment = whole.subarray(at, at + 2 + whole.readUInt16BE(at + 2));
    if (marker === 0xdb || marker === 0xc4) tables.push(segment);
    else if (marker !== 0xe0) stream.push(segment); // JFIF's APP0 has no place in a TIFF
  }
  stream.push(whole.subarray(at));
  return { tables: Buffer.concat([...tables, whole.subarray(-2)]), stream: Buffer.concat(stream) };
}

/** Writes header, IFDs and data. @returns the size of the file in bytes */
async function assemble(path: string, part: string, pipe: Pipe, options: CogOptions): Promise<number> {
  const { header, size } = layOut(path, pipe.levels, { ...options, tables: pipe.tables });
  const file = await open(part, 'wx');
  try {
    await file.writeFile(header);
    for (const { images, masks } of pipe.levels.toReversed()) {
      for (const [i, image] of images.entries()) {
        if (image)
          await file.writeFile(Buffer.concat([await framed(pipe, image), await framed(pipe, masks[i] as Spooled)]));
      }
    }
  } finally {
    await file.close();
  }
  return size;
}

/** A block between its leader (its length) and its trailer (its last four bytes again). */
async function framed({ spool }: Pipe, { at, bytes }: Spooled): Promise<Uint8Array> {
  const frame = Buffer.alloc(bytes + 8);
  frame.writeUInt32LE(bytes, 0);
  await spool.read(frame, 4, bytes, at);
  frame.copy(frame, bytes + 4, bytes, bytes + 4);
  return frame;
}
