import jpeg from '@julusian/jpeg-turbo';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import { partName, replaceWhole } from './files.ts';

/** Side of a block, in pixels: the internal tiling of every ARD raster. */
const BLOCK = 512;
const LIMIT = 2 ** 32 - 1;

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
interface Level {
  width: number;
  height: number;
  across: number;
  down: number;
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

// ---- the file

const SHORT = 3;
const LONG = 4;
/** A TIFF tag: number, type, count, and its bytes. */
interface Entry {
  tag: number;
  type: number;
  count: number;
  bytes: Uint8Array;
}

/** GDAL's ghost area. What it claims is what `assemble` does; an editor that changes it must set the last claim but one. */
const GHOST = [
  'LAYOUT=IFDS_BEFORE_DATA',
  'BLOCK_ORDER=ROW_MAJOR',
  'BLOCK_LEADER=SIZE_AS_UINT4',
  'BLOCK_TRAILER=LAST_4_BYTES_REPEATED',
  'KNOWN_INCOMPATIBLE_EDITION=NO',
  ' MASK_INTERLEAVED_WITH_IMAGERY=YES',
  '',
].join('\n');

/** Writes header, IFDs and data. @returns the size of the file in bytes */
async function assemble(path: string, part: string, pipe: Pipe, options: CogOptions): Promise<number> {
  const head = header(pipe, options, 0).length;
  const size = head + pipe.levels.reduce((sum, { images, masks }) => sum + stored(images) + stored(masks), 0);
  if (size > LIMIT)
    throw new RangeError(
      `writeCog ${path}: ${size} bytes pass the 4 GiB of a classic TIFF: lower the quality or part the raster`,
    );
  const file = await open(part, 'wx');
  try {
    await file.writeFile(header(pipe, options, head));
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

const stored = (blocks: (Spooled | undefined)[]): number =>
  blocks.reduce((sum, block) => sum + (block ? block.bytes + 8 : 0), 0);

/** A block between its leader (its length) and its trailer (its last four bytes again). */
async function framed({ spool }: Pipe, { at, bytes }: Spooled): Promise<Uint8Array> {
  const frame = Buffer.alloc(bytes + 8);
  frame.writeUInt32LE(bytes, 0);
  await spool.read(frame, 4, bytes, at);
  frame.copy(frame, bytes + 4, bytes, bytes + 4);
  return frame;
}

/** Everything before the data. `head` is its own length, which the block offsets begin from. */
function header(pipe: Pipe, options: CogOptions, head: number): Uint8Array {
  const placed = place(pipe.levels, head);
  const image = (i: number): Entry[] => imageEntries(pipe, options, i, placed[i].images);
  const mask = (i: number): Entry[] => maskEntries(pipe.levels[i], i, placed[i].masks);
  const coarser = pipe.levels.map((_, i) => i).slice(1);
  const directories = [image(0), mask(0), ...coarser.map(image), ...coarser.map(mask)];
  const ghost = `GDAL_STRUCTURAL_METADATA_SIZE=${String(GHOST.length).padStart(6, '0')} bytes\n${GHOST}`;
  const parts: Uint8Array[] = [new Uint8Array(8), Buffer.from(ghost.padEnd(ghost.length + (ghost.length % 2), '\0'))];
  let at = parts[0].length + parts[1].length;
  parts[0] = Buffer.concat([Buffer.from('II*\0'), longs([at])]);
  for (const [i, entries] of directories.entries()) {
    const bytes = directory(entries, at, i + 1 === directories.length);
    parts.push(bytes);
    at += bytes.length;
  }
  return Buffer.concat(parts);
}

/** Offsets of all blocks of all levels: the coarsest level first, row by row, each image block followed by its mask. */
function place(levels: Level[], head: number): { images: number[]; masks: number[] }[] {
  let at = head;
  const step = (block: Spooled | undefined): number => {
    if (!block) return 0;
    at += block.bytes + 8;
    return at - block.bytes - 4;
  };
  const placed = levels.toReversed().map(({ images, masks, across, down }) => {
    const offsets = { images: [] as number[], masks: [] as number[] };
    for (let i = 0; i < across * down; i++) {
      offsets.images.push(step(images[i]));
      offsets.masks.push(step(masks[i]));
    }
    return offsets;
  });
  return placed.toReversed();
}

function imageEntries(pipe: Pipe, options: CogOptions, depth: number, offsets: number[]): Entry[] {
  const { bands } = pipe;
  const level = pipe.levels[depth];
  const common = [
    ...(depth > 0 ? [entry(254, LONG, [1])] : []),
    ...sizeEntries(level),
    entry(
      258,
      SHORT,
      Array.from({ length: bands }, () => 8),
    ),
    entry(259, SHORT, [bands === 3 ? 7 : 8]), // JPEG or DEFLATE
    entry(262, SHORT, [bands === 3 ? 6 : 1]), // YCbCr or black is zero
    entry(277, SHORT, [bands]),
    entry(284, SHORT, [1]),
    ...blockEntries(level, level.images, offsets),
    entry(
      339,
      SHORT,
      Array.from({ length: bands }, () => 1),
    ),
  ];
  return [...common, ...(bands === 3 ? colourEntries(pipe.tables) : []), ...(depth === 0 ? geoEntries(options) : [])];
}

function maskEntries(level: Level, depth: number, offsets: number[]): Entry[] {
  return [
    entry(254, LONG, [depth > 0 ? 5 : 4]),
    ...sizeEntries(level),
    entry(258, SHORT, [1]),
    entry(259, SHORT, [8]),
    entry(262, SHORT, [4]), // transparency mask
    entry(277, SHORT, [1]),
    entry(284, SHORT, [1]),
    entry(317, SHORT, [1]),
    ...blockEntries(level, level.masks, offsets),
    entry(339, SHORT, [1]),
  ];
}

const sizeEntries = ({ width, height }: Level): Entry[] => [entry(256, SHORT, [width]), entry(257, SHORT, [height])];

function blockEntries({ across, down }: Level, blocks: (Spooled | undefined)[], offsets: number[]): Entry[] {
  const counts = Array.from({ length: across * down }, (_, i) => blocks[i]?.bytes ?? 0);
  return [entry(322, SHORT, [BLOCK]), entry(323, SHORT, [BLOCK]), entry(324, LONG, offsets), entry(325, LONG, counts)];
}

/** JPEGTables, YCbCrSubSampling 2 × 2 and ReferenceBlackWhite of full-range YCbCr. */
function colourEntries(tables: Uint8Array): Entry[] {
  const reference = longs([0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]);
  return [
    { tag: 347, type: 7, count: tables.length, bytes: tables },
    entry(530, SHORT, [2, 2]),
    { tag: 532, type: 5, count: 6, bytes: reference },
  ];
}

/** Pixel scale, tie point and GeoKeys: a projected system of WGS 84 in metres, named as GDAL names it. */
function geoEntries({ epsg, origin, metresPerPixel }: CogOptions): Entry[] {
  const name = `WGS 84 / UTM zone ${epsg % 100}${epsg < 32700 ? 'N' : 'S'}|`;
  const names = `${name}WGS 84|\0`;
  const keys = [1, 1, 0, 7, 1024, 0, 1, 1, 1025, 0, 1, 1, 1026, 34737, name.length, 0];
  keys.push(2049, 34737, 7, name.length, 2054, 0, 1, 9102, 3072, 0, 1, epsg, 3076, 0, 1, 9001);
  const doubles = (tag: number, values: number[]): Entry => ({
    tag,
    type: 12,
    count: values.length,
    bytes: new Uint8Array(new Float64Array(values).buffer),
  });
  return [
    doubles(33550, [metresPerPixel, metresPerPixel, 0]),
    doubles(33922, [0, 0, 0, origin[0], origin[1], 0]),
    entry(34735, SHORT, keys),
    { tag: 34737, type: 2, count: names.length, bytes: Buffer.from(names) },
  ];
}

const longs = (values: number[]): Uint8Array => new Uint8Array(new Uint32Array(values).buffer);

function entry(tag: number, type: number, values: number[]): Entry {
  const bytes = type === SHORT ? new Uint8Array(new Uint16Array(values).buffer) : longs(values);
  return { tag, type, count: values.length, bytes };
}

/** One IFD with the values that do not fit into it right behind, padded to an even length. */
function directory(unsorted: Entry[], at: number, last: boolean): Uint8Array {
  const entries = unsorted.toSorted((a, b) => a.tag - b.tag);
  const size = 2 + 12 * entries.length + 4;
  const values: Uint8Array[] = [];
  const ifd = Buffer.alloc(size);
  let next = at + size;
  ifd.writeUInt16LE(entries.length, 0);
  for (const [i, { tag, type, count, bytes }] of entries.entries()) {
    const slot = 2 + 12 * i;
    ifd.writeUInt16LE(tag, slot);
    ifd.writeUInt16LE(type, slot + 2);
    ifd.writeUInt32LE(count, slot + 4);
    if (bytes.length <= 4) ifd.set(bytes, slot + 8);
    else {
      ifd.writeUInt32LE(next, slot + 8);
      values.push(bytes, new Uint8Array(bytes.length % 2));
      next += bytes.length + (bytes.length % 2);
    }
  }
  ifd.writeUInt32LE(last ? 0 : next, size - 4);
  return Buffer.concat([ifd, ...values]);
}
