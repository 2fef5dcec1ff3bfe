import jpeg from '@julusian/jpeg-turbo';
import { type BlockTable, type JpegTables, type Raster, blockBytes, unpackBlock } from '../ard/index.ts';

/** A decoded block of a level. */
export interface Block {
  /** `[row, col, band]`. */
  pixels: Buffer;
  bands: 1 | 3;
  /** What a band of alpha says: `[row, col]`, 0 where a pixel is not real; undefined where there is none. */
  mask: Uint8Array | undefined;
}

/** Which pixels of a block are real: `[row, col]`, 0 where one is not. */
export interface BlockMask {
  real: 'all' | 'none' | Uint8Array;
}

/** Memory of decoded blocks that went: the pages of a new 0.8 MB cost more than decoding into it. */
const spare: Buffer[] = [];
const MOST_SPARE = 32;
/** Which memory came from {@link memoryFor}: other pixels may be a part of what somebody else holds. */
const ours = new WeakSet<Buffer>();

/** Takes back the memory of a block that nobody uses. */
export function recycle({ pixels }: Block): void {
  if (ours.has(pixels) && spare.length < MOST_SPARE) spare.push(pixels);
}

function memoryFor(bytes: number): Buffer {
  const at = spare.findIndex(({ length }) => length === bytes);
  if (at >= 0) return spare.splice(at, 1)[0];
  const memory = Buffer.allocUnsafeSlow(bytes);
  ours.add(memory);
  return memory;
}

/** Bytes that a block takes. */
export function bytesOfBlock({ pixels, mask }: Block): number {
  return pixels.length + (mask?.length ?? 0) + 64;
}

/** Bytes that a mask takes. */
export function bytesOfMask({ real }: BlockMask): number {
  return typeof real === 'string' ? 64 : real.length + 64;
}

/** Reads and decodes blocks of one open raster. */
export class BlockReader {
  readonly #raster: Raster;
  /** Packed bytes of a mask block that is real throughout: within one file all such are the same. */
  #allReal: Buffer | undefined;
  readonly #tables = new Map<number, Promise<JpegTables | undefined>>();

  constructor(raster: Raster) {
    this.#raster = raster;
  }

  /**
   * Reads which pixels of a block are real, none of which is decoded: much less work than {@link read}.
   *
   * @throws {Error} naming the file, when the block is damaged
   */
  async readMask(level: number, column: number, row: number): Promise<BlockMask> {
    const table = this.#raster.levels[level];
    if (table.byteCounts[row * table.blocksAcross + column] === 0) return { real: 'none' };
    return { real: table.mask ? await this.#unpackMask(table.mask, column, row) : 'all' };
  }

  async #unpackMask(table: BlockTable, column: number, row: number): Promise<BlockMask['real']> {
    const bytes = await this.#raster.readBytes(table, column, row);
    if (bytes.length === 0) return 'none';
    if (this.#allReal?.equals(bytes)) return 'all';
    const packed = unpackBlock(this.#raster.path, table, bytes, rowsOf(table, row));
    const first = packed[0];
    if (Buffer.compare(packed.subarray(1), packed.subarray(0, -1)) === 0 && (first === 0 || first === 255)) {
      if (first === 255) this.#allReal = Buffer.from(bytes);
      return first === 0 ? 'none' : 'all';
    }
    return table.bits === 1 ? unpackBits(packed, table) : packed;
  }

  /**
   * Decodes one block that holds something: JPEG by jpeg-turbo (up to some grey levels off libtiff's slower transform), DEFLATE
   * and the like here, all else as {@link Raster.readWindow} does.
   *
   * @throws {Error} naming the file, when the block is damaged
   */
  async read(level: number, column: number, row: number): Promise<Block> {
    const { path, bits, bands, alpha } = this.#raster;
    const table = this.#raster.levels[level];
    if (table.compression === 7) {
      const tables = await this.#jpegTables(level);
      const colours = { ycbcr: 3, grey: 1, rgb: 0 } as const;
      const samples = tables ? colours[tables.photometric] : 0;
      if (tables && samples !== 0 && samples === table.samples)
        return this.#readJpeg(table, tables, samples, await this.#raster.readBytes(table, column, row));
    } else if (bits === 8 && (table.samples === bands || bands === 1)) {
      const bytes = await this.#raster.readBytes(table, column, row);
      return interleaved(unpackBlock(path, table, bytes, rowsOf(table, row)), table, alpha);
    }
    const [width, height] = [
      Math.min(table.blockSize, table.width - column * table.blockSize),
      Math.min(table.blockHeight, table.height - row * table.blockHeight),
    ];
    const window = await this.#raster.readWindow(column * table.blockSize, row * table.blockHeight, width, height, level); // prettier-ignore
    return { pixels: widened(window, width, height, table), bands: 3, mask: undefined };
  }

  async #readJpeg(table: BlockTable, { tables }: JpegTables, bands: 1 | 3, bytes: Buffer): Promise<Block> {
    const whole = Buffer.concat([bytes.subarray(0, 2), tables, bytes.subarray(2)]);
    const memory = memoryFor(table.blockSize * table.blockHeight * bands);
    const format = bands === 3 ? jpeg.FORMAT_RGB : jpeg.FORMAT_GRAY;
    const { width, height } = await decompress(whole, memory, format).catch((error: unknown) => {
      throw this.#damaged((error as Error).message, error);
    });
    if (width !== table.blockSize || height !== table.blockHeight) throw this.#damaged(`${width} × ${height} px`);
    return { pixels: memory, bands, mask: undefined };
  }

  #jpegTables(level: number): Promise<JpegTables | undefined> {
    const known = this.#tables.get(level) ?? this.#raster.jpegTables(level);
    this.#tables.set(level, known);
    return known;
  }

  #damaged(found: string, cause?: unknown): Error {
    return new Error(`${this.#raster.path} holds a damaged JPEG block (${found}): fetch it again`, { cause });
  }
}

/** As an async function: what is wrong with a header is thrown at once, and what is wrong later rejects. */
async function decompress(
  image: Buffer,
  memory: Buffer,
  format: jpeg.Format,
): Promise<{ width: number; height: number }> {
  return jpeg.decompress(image, memory, { format });
}

/** Rows of a row of blocks that lie within the image: the last strip has fewer. */
const rowsOf = ({ height, blockHeight, blockSize, width }: BlockTable, row: number): number =>
  blockSize === width ? Math.min(blockHeight, height - row * blockHeight) : blockHeight;

/** What eight bits come to, a byte each, the first in the highest bit. */
const EIGHT = Array.from({ length: 256 }, (_, byte) => Array.from({ length: 8 }, (_bit, at) => (byte >> (7 - at)) & 1));
/** The same as two words a byte, in this machine's order. */
const WORDS = new Uint32Array(Uint8Array.from(EIGHT.flat()).buffer);

/** Eight pixels a byte, each row from a whole byte on: to 1 or 0 a pixel. */
function unpackBits(packed: Uint8Array, { blockSize, blockHeight }: BlockTable): Uint8Array {
  const stride = Math.ceil(blockSize / 8);
  const words = new Uint32Array(stride * blockHeight * 2);
  for (let at = 0; at < stride * blockHeight; at++) {
    words[2 * at] = WORDS[2 * packed[at]];
    words[2 * at + 1] = WORDS[2 * packed[at] + 1];
  }
  const wide = new Uint8Array(words.buffer);
  if (stride * 8 === blockSize) return wide;
  const mask = new Uint8Array(blockSize * blockHeight);
  for (let row = 0; row < blockHeight; row++) mask.set(wide.subarray(row * stride * 8, row * stride * 8 + blockSize), row * blockSize); // prettier-ignore
  return mask;
}

/** Of interleaved samples of 8 bits the colours, and alpha as the mask. */
function interleaved(samples: Uint8Array, table: BlockTable, alpha: number | undefined): Block {
  const { samples: each, blockSize, blockHeight } = table;
  const pixels = blockSize * blockHeight;
  const whole = samples.length < blockBytes(table) ? padded(samples, blockBytes(table)) : samples;
  const bands = each >= 3 ? 3 : 1;
  if (each === bands)
    return { pixels: Buffer.from(whole.buffer, whole.byteOffset, whole.length), bands, mask: undefined };
  const colours = Buffer.allocUnsafeSlow(pixels * bands);
  for (let pixel = 0; pixel < pixels; pixel++)
    for (let band = 0; band < bands; band++) colours[pixel * bands + band] = whole[pixel * each + band];
  const mask =
    alpha === undefined ? undefined : Uint8Array.from({ length: pixels }, (_, at) => whole[at * each + alpha]);
  return { pixels: colours, bands, mask };
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(bytes);
  return whole;
}

/** A window at the image's edge as a block of full size. */
function widened(window: Uint8Array, width: number, height: number, { blockSize, blockHeight }: BlockTable): Buffer {
  const pixels = Buffer.alloc(blockSize * blockHeight * 3);
  for (let row = 0; row < height; row++) pixels.set(window.subarray(row * width * 3, (row + 1) * width * 3), row * blockSize * 3); // prettier-ignore
  return pixels;
}
