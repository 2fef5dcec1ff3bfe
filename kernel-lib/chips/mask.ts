import {
  type BlockTable, type Raster, APRON_PIXELS, CELL_PIXELS, CHIP_PIXELS, CHIPS_PER_SIDE, TILE_PIXELS, blockBytes, unpackBlock,
} from '../ard/index.ts'; // prettier-ignore

/** So many packed bytes are read before they are counted. */
const BATCH = 1 << 23;
/** First pixel of the cell in its tile, and the one after the last, both ways. */
const CELL_END = APRON_PIXELS + CELL_PIXELS;

/** Bits set in each byte. */
const BITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1;
  return bits;
});

/** A block that reaches into the cell: its number in the table and its first pixel. */
interface Place {
  index: number;
  left: number;
  top: number;
}

/** A rectangle of pixels: the first column and row, and the ones after the last. */
type Box = [left: number, top: number, right: number, bottom: number];

/**
 * Real pixels in each of a cell's 4,096 chips, as a mask or an alpha band says: those that are not 0.
 *
 * Most blocks of a mask are real throughout, and within one file all those are the same packed bytes: these are
 * unpacked once. So are those that hold nothing; where a block is sparse nothing is real either.
 *
 * @param table of the mask, or of the level whose alpha band is meant
 * @param band of alpha, from 0. Default: the mask's only one
 * @returns `[64 × 64]`, row by row from the north-west, 0–65,536
 * @throws {Error} naming the file, when a block is damaged or the mask has another size than an ARD tile
 */
export async function realPixels(raster: Raster, table: BlockTable, band = 0): Promise<Uint32Array> {
  const plane = table.samples === 1 ? band : 0;
  checkTable(raster.path, table, plane, table === raster.levels[0]);
  const counts = new Uint32Array(CHIPS_PER_SIDE ** 2);
  const uniform: { real?: Buffer; none?: Buffer } = {};
  for (const batch of batches(raster.path, table, plane)) {
    const packed = await Promise.all(
      batch.map(({ index }) =>
        raster.readBytes(table, index % table.blocksAcross, Math.floor(index / table.blocksAcross)),
      ),
    );
    for (const [at, place] of batch.entries()) {
      const bytes = packed[at];
      if (uniform.none?.equals(bytes)) continue;
      if (uniform.real?.equals(bytes)) {
        addBlock(counts, table, place, areaOf);
        continue;
      }
      const block = unpackBlock(raster.path, table, bytes, Math.min(table.blockHeight, TILE_PIXELS - place.top));
      const value = uniformValue(block);
      if (value === 0) uniform.none = bytes;
      else if (value === 255 || (value !== undefined && table.bits === 8)) uniform.real = bytes;
      addBlock(counts, table, place, table.bits === 1 ? bitsIn(block, table) : samplesIn(block, table, band));
    }
  }
  return counts;
}

/**
 * @param plane which band's blocks are meant, where each band has its own
 * @param isImage whether blocks of other bands may follow
 */
function checkTable(path: string, table: BlockTable, plane: number, isImage: boolean): void {
  const { width, height, blockSize, blockHeight, blocksAcross, bits, samples, byteCounts, offsets } = table;
  const form = `${width} × ${height} px in blocks of ${blockSize} × ${blockHeight} with ${samples} × ${bits} bits`;
  const known = bits === 8 || (bits === 1 && samples === 1 && blockSize % 8 === 0);
  if (width !== TILE_PIXELS || height !== TILE_PIXELS || !(blockSize > 0 && blockHeight > 0) || !known) {
    throw new Error(
      `${path} has a mask or alpha band of ${form}: expected ${TILE_PIXELS} px square, 1 or 8 bits; fetch it again`,
    );
  }
  const blocks = (plane + 1) * blocksAcross * Math.ceil(height / blockHeight);
  const listed = Math.min(offsets.length, byteCounts.length);
  if (listed > blocks && !isImage) throw new Error(`${path} has a mask in blocks of ${blockSize} × ${blockHeight} px: expected ${blocks} of them, found ${listed}; fetch it again`); // prettier-ignore
  if (listed < blocks) throw new Error(`${path} lists ${listed} of the ${blocks} blocks of a mask or alpha band: fetch it again`); // prettier-ignore
}

/** The blocks that reach into the cell and are not sparse, row by row, some MB at a time. */
function* batches(path: string, table: BlockTable, plane: number): Generator<Place[]> {
  const { blockSize, blockHeight, blocksAcross, byteCounts, height } = table;
  const most = 2 * blockBytes(table) + 1024;
  const skipped = plane * blocksAcross * Math.ceil(height / blockHeight);
  let batch: Place[] = [];
  let bytes = 0;
  for (let row = Math.floor(APRON_PIXELS / blockHeight); row * blockHeight < CELL_END; row++) {
    for (let column = Math.floor(APRON_PIXELS / blockSize); column * blockSize < CELL_END; column++) {
      const index = skipped + row * blocksAcross + column;
      if (byteCounts[index] === 0) continue;
      if (!(byteCounts[index] <= most)) throw new Error(`${path} has a mask block of ${byteCounts[index]} bytes, which unpacked are ${blockBytes(table)}: fetch it again`); // prettier-ignore
      batch.push({ index, left: column * blockSize, top: row * blockHeight });
      bytes += byteCounts[index];
      if (bytes < BATCH) continue;
      yield batch;
      [batch, bytes] = [[], 0];
    }
  }
  yield batch;
}

/** The value that every byte has; `undefined` where they differ. */
function uniformValue(bytes: Uint8Array): number | undefined {
  return Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0 ? bytes[0] : undefined;
}

/** Adds what a block holds to the chips that it reaches into. @param count of the real pixels in a box of the block */
function addBlock(
  counts: Uint32Array,
  { blockSize, blockHeight }: BlockTable,
  { left, top }: Place,
  count: (box: Box) => number,
): void {
  const begin = (at: number): number => Math.max(0, Math.floor((at - APRON_PIXELS) / CHIP_PIXELS));
  const end = (at: number): number => Math.min(CHIPS_PER_SIDE, Math.ceil((at - APRON_PIXELS) / CHIP_PIXELS));
  for (let row = begin(top); row < end(top + blockHeight); row++) {
    const y = APRON_PIXELS + row * CHIP_PIXELS - top;
    for (let column = begin(left); column < end(left + blockSize); column++) {
      const x = APRON_PIXELS + column * CHIP_PIXELS - left;
      counts[row * CHIPS_PER_SIDE + column] += count([
        Math.max(0, x),
        Math.max(0, y),
        Math.min(blockSize, x + CHIP_PIXELS),
        Math.min(blockHeight, y + CHIP_PIXELS),
      ]);
    }
  }
}

const areaOf = ([left, top, right, bottom]: Box): number => (right - left) * (bottom - top);

/** Counts bits of a mask, by words of 32 where rows and box allow; a box begins and ends at whole bytes. */
function bitsIn(block: Uint8Array, { blockSize }: BlockTable): (box: Box) => number {
  const row = blockSize / 8;
  const words = new Uint32Array(block.buffer, block.byteOffset & ~3, block.length >> 2);
  return ([left, top, right, bottom]) => {
    const whole = ((row | (left >> 3) | (right >> 3) | block.byteOffset) & 3) === 0;
    const step = whole ? 4 : 1;
    let count = 0;
    for (let y = top; y < bottom; y++) {
      const from = (y * row + (left >> 3)) / step;
      const to = from + (right - left) / 8 / step;
      if (whole) for (let at = from; at < to; at++) count += bitsOf(words[at]);
      else for (let at = from; at < to; at++) count += BITS[block[at]];
    }
    return count;
  };
}

/** Bits set in a word: pairs, then fours, then bytes are summed side by side. @see Warren, Hacker's Delight, 5–1 */
function bitsOf(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Counts samples of one band that are not 0. */
function samplesIn(block: Uint8Array, { blockSize, samples }: BlockTable, band: number): (box: Box) => number {
  const first = samples === 1 ? 0 : band;
  return ([left, top, right, bottom]) => {
    let count = 0;
    for (let y = top; y < bottom; y++) {
      const end = (y * blockSize + right) * samples + first;
      for (let at = (y * blockSize + left) * samples + first; at < end; at += samples) if (block[at] !== 0) count++;
    }
    return count;
  };
}
