import { inflateSync } from 'node:zlib';
import type { BlockTable } from './raster.ts';

/** No block is unpacked to more bytes: a whole tile of bits in one strip takes 38 MB. */
const MOST = 1 << 26;
/** DEFLATE goes by two numbers. */
const DEFLATE = new Set([8, 32946]);
const LZW = 5;
const PACKBITS = 32773;

/** Bytes of one unpacked block: its rows begin at whole bytes. */
export function blockBytes({ blockSize, blockHeight, bits, samples }: BlockTable): number {
  return rowBytes(blockSize, bits, samples) * blockHeight;
}

const rowBytes = (width: number, bits: number, samples: number): number => Math.ceil((width * bits * samples) / 8);

/**
 * Undoes the compression of one block that holds samples of 8 bits or fewer: none, DEFLATE, LZW or PackBits.
 *
 * Nothing grows past the size that the table states, whatever the bytes say.
 *
 * @param path for messages
 * @param rows that must be there; the last strip of an image has fewer than the others. Default: all
 * @throws {Error} naming the file, when the compression is another or the bytes are damaged
 */
export function unpackBlock(
  path: string,
  table: BlockTable,
  bytes: Buffer,
  rows: number = table.blockHeight,
): Uint8Array {
  const size = blockBytes(table);
  if (!(size > 0 && size <= MOST)) throw unreadable(path, `blocks of ${table.blockSize} × ${table.blockHeight} px`);
  const unpacked = unpack(path, table, bytes, size);
  const wanted = (size / table.blockHeight) * rows;
  if (unpacked.length < wanted) throw damaged(path, `${unpacked.length} bytes of ${wanted}`);
  return table.predictor === 2 ? summed(unpacked, size / table.blockHeight, table.samples) : unpacked;
}

function unpack(path: string, table: BlockTable, bytes: Buffer, size: number): Uint8Array {
  const { compression, predictor, bits } = table;
  if (predictor !== 1 && !(predictor === 2 && bits === 8)) throw unreadable(path, `predictor ${predictor}`);
  if (compression === 1) return bytes;
  try {
    if (DEFLATE.has(compression)) return inflateSync(bytes, { chunkSize: Math.max(64, size), maxOutputLength: size });
    if (compression === PACKBITS) return unpackBits(bytes, size);
    if (compression === LZW) return unpackLzw(bytes, size);
  } catch (error) {
    throw damaged(path, (error as Error).message, error);
  }
  throw unreadable(path, `compression ${compression}`);
}

/** Runs of bytes as they are, each after its length less 1, and of one byte after 1 less its length. @see TIFF 6.0, 9 */
function unpackBits(bytes: Buffer, size: number): Uint8Array {
  const unpacked = Buffer.alloc(size);
  let to = 0;
  for (let at = 0; at < bytes.length && to < size;) {
    const length = bytes.readInt8(at++);
    if (length >= 0) {
      to += bytes.copy(unpacked, to, at, at + length + 1);
      at += length + 1;
    } else if (length > -128 && at < bytes.length) {
      unpacked.fill(bytes[at++], to, Math.min(size, to - length + 1));
      to = Math.min(size, to - length + 1);
    }
  }
  return unpacked.subarray(0, to);
}

const CLEAR = 256;
const END = 257;

/**
 * LZW by codes of 9 to 12 bits, highest bit first; a code grows one entry before the table needs it, as TIFF has it.
 *
 * geotiff's decoder collects without end where a damaged table leads in circles, and that ends the process.
 *
 * @see TIFF 6.0, 13
 */
function unpackLzw(bytes: Buffer, size: number): Uint8Array {
  const unpacked = new Uint8Array(size);
  const [before, lengths] = [new Uint16Array(4096), new Uint16Array(4096).fill(1)];
  const [first, last] = [new Uint8Array(4096).map((_, code) => code), new Uint8Array(4096).map((_, code) => code)];
  let [free, width, old] = [END + 1, 9, -1];
  let [held, bits] = [0, 0];
  let to = 0;
  for (let at = 0; to < size;) {
    for (; bits < width && at < bytes.length; bits += 8) held = ((held << 8) | bytes[at++]) & 0xffffff;
    if (bits < width) break;
    bits -= width;
    const code = (held >> bits) & ((1 << width) - 1);
    if (code === END) break;
    if (code === CLEAR) {
      [free, width, old] = [END + 1, 9, -1];
      continue;
    }
    if (old === -1 ? code > CLEAR : code > free) throw new Error(`LZW code ${code} of ${free}`);
    if (old !== -1 && free < 4096) {
      before[free] = old;
      lengths[free] = lengths[old] + 1;
      first[free] = first[old];
      last[free] = first[code === free ? old : code];
      free++;
      if (free === (1 << width) - 1 && width < 12) width++;
    }
    to += lengths[code];
    for (let place = to - 1, rest = code; place >= to - lengths[code]; place--, rest = before[rest]) unpacked[place] = last[rest]; // prettier-ignore
    old = code;
  }
  return unpacked.subarray(0, Math.min(to, size));
}

/** Sums up the differences along each row, sample by sample. */
function summed(bytes: Uint8Array, row: number, samples: number): Uint8Array {
  const values = Uint8Array.from(bytes);
  for (let at = 0; at < values.length; at++) if (at % row >= samples) values[at] += values[at - samples];
  return values;
}

function damaged(path: string, found: string, cause?: unknown): Error {
  return new Error(`${path} holds a damaged block (${found}): fetch it again`, { cause });
}

function unreadable(path: string, found: string): Error {
  return new Error(
    `${path} has a mask or alpha band in ${found}: expected none, DEFLATE, LZW or PackBits in small blocks; ` +
      'make it anew with gdal_translate -co TILED=YES -co COMPRESS=DEFLATE',
  );
}
