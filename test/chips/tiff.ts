// TIFFs of masks that GDAL does not write: any block, any bits, any compression, and broken ones.
import { writeFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import { type Cell, METRES_PER_PIXEL, TILE_PIXELS } from 'imagesim/ard';

/** A mask to write. What is real lies east of an edge. */
export interface MaskForm {
  /** First real column of a row of the tile; 17,408 where it has none. */
  edge: (row: number) => number;
  /** Width and height of a block. Default: 512 both. */
  block?: [width: number, height: number];
  /** Strips in place of tiles. Default: tiles. */
  strips?: boolean;
  bits?: 1 | 8;
  /** 1 none, 5 LZW, 8 and 32946 DEFLATE, 32773 PackBits. Default: 8 */
  compression?: number;
  /** What the tags say, whatever lies in the blocks. Default: the truth */
  claims?: { size?: [width: number, height: number]; block?: [width: number, height: number] };
  /** Spoils the packed bytes of every block. */
  spoil?: (packed: Buffer) => Buffer;
}

/** Tag, type (3 of 16 bits, 4 of 32, 12 of 64-bit floats) and values. */
type Entry = [tag: number, type: 3 | 4 | 12, values: number[]];

/** Writes a sparse raster of one band where a cell's tile lies, with a mask or none. */
export async function writeMasked(path: string, cell: Cell, mask?: MaskForm): Promise<void> {
  const [west, , , north] = cell.tileBounds;
  const across = TILE_PIXELS / 512;
  const none = Array.from({ length: across ** 2 }, () => 0);
  const parts: Buffer[] = [Buffer.from('II*\0\0\0\0\0', 'latin1')];
  const image: Entry[] = [
    [256, 4, [TILE_PIXELS]], [257, 4, [TILE_PIXELS]], [258, 3, [8]], [259, 3, [8]], [262, 3, [1]], [277, 3, [1]],
    [322, 3, [512]], [323, 3, [512]], [324, 4, none], [325, 4, none],
    [33550, 12, [METRES_PER_PIXEL, METRES_PER_PIXEL, 0]], [33922, 12, [0, 0, 0, west, north, 0]],
    [34735, 3, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, cell.epsg]],
  ]; // prettier-ignore
  const directories = [image, ...(mask ? [maskEntries(mask, parts)] : [])];
  let link: [part: Buffer, at: number] = [parts[0], 4];
  for (const entries of directories) {
    link[0].writeUInt32LE(sizeOf(parts), link[1]);
    const directory = directoryOf(entries, sizeOf(parts));
    parts.push(directory);
    link = [directory, 2 + 12 * entries.length];
  }
  await writeFile(path, Buffer.concat(parts));
}

const sizeOf = (parts: Buffer[]): number => parts.reduce((sum, { length }) => sum + length, 0);

/** Adds the mask's blocks to the parts, equal ones once, and says where they lie. */
function maskEntries(
  {
    edge,
    block: [width, height] = [512, 512],
    strips,
    bits = 1,
    compression = 8,
    claims = {},
    spoil = (packed) => packed,
  }: MaskForm,
  parts: Buffer[],
): Entry[] {
  const places = new Map<string, number>();
  const [offsets, counts]: number[][] = [[], []];
  let end = sizeOf(parts);
  for (let top = 0; top < TILE_PIXELS; top += height) {
    const rows = strips ? Math.min(height, TILE_PIXELS - top) : height;
    for (let left = 0; left < TILE_PIXELS; left += width) {
      const edges = Array.from({ length: rows }, (_, row) => Math.min(width, Math.max(0, edge(top + row) - left)));
      const key = edges.join();
      const known = places.get(key);
      const packed = known === undefined ? spoil(pack(rowsOf(edges, width, bits), compression)) : undefined;
      if (packed) {
        places.set(key, offsets.length);
        parts.push(packed);
      }
      offsets.push(known === undefined ? end : offsets[known]);
      counts.push(packed?.length ?? counts[known!]);
      end += packed?.length ?? 0;
    }
  }
  const [w, h] = claims.size ?? [TILE_PIXELS, TILE_PIXELS];
  const [across, down] = claims.block ?? [width, height];
  const blocks: Entry[] = strips
    ? [[273, 4, offsets], [278, 4, [down]], [279, 4, counts]]
    : [[322, 4, [across]], [323, 4, [down]], [324, 4, offsets], [325, 4, counts]]; // prettier-ignore
  const entries: Entry[] = [
    [254, 4, [4]], [256, 4, [w]], [257, 4, [h]], [258, 3, [bits]], [259, 3, [compression]], [262, 3, [4]], [277, 3, [1]],
    ...blocks,
  ]; // prettier-ignore
  return entries.sort(([a], [b]) => a - b);
}

/** Rows of a block that are real from a column on. */
function rowsOf(edges: number[], width: number, bits: 1 | 8): Buffer {
  const bytes = Math.ceil((width * bits) / 8);
  return Buffer.concat(
    edges.map((edge) => {
      const row = Buffer.alloc(bytes);
      if (bits === 8) return row.fill(1, edge);
      row.fill(255, Math.ceil(edge / 8));
      if (edge % 8 !== 0) row[edge >> 3] = 255 >> (edge % 8);
      return row;
    }),
  );
}

/** As plainly as each compression allows: LZW and PackBits by literals alone. */
function pack(bytes: Buffer, compression: number): Buffer {
  if (compression === 5) return lzwLiterals(bytes);
  if (compression === 32773) return packBits(bytes);
  return compression === 1 ? bytes : deflateSync(bytes);
}

function packBits(bytes: Buffer): Buffer {
  const runs: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 128) {
    const run = bytes.subarray(at, at + 128);
    runs.push(Buffer.from([run.length - 1]), run);
  }
  return Buffer.concat(runs);
}

/** Codes of 9 bits: the table is cleared before it would need 10. */
function lzwLiterals(bytes: Buffer): Buffer {
  const codes: number[] = [];
  for (const [at, byte] of bytes.entries()) {
    if (at % 250 === 0) codes.push(256);
    codes.push(byte);
  }
  codes.push(257);
  const packed = Buffer.alloc(Math.ceil((codes.length * 9) / 8) + 1);
  for (const [at, code] of codes.entries()) {
    const bit = at * 9;
    const shifted = code << (7 - (bit % 8));
    packed[bit >> 3] |= shifted >> 8;
    packed[(bit >> 3) + 1] |= shifted & 255;
  }
  return packed;
}

function directoryOf(entries: Entry[], at: number): Buffer {
  const size = 2 + 12 * entries.length + 4;
  const ifd = Buffer.alloc(size);
  ifd.writeUInt16LE(entries.length);
  const values: Buffer[] = [ifd];
  for (const [index, [tag, type, numbers]] of entries.entries()) {
    const bytes = bytesOf(type, numbers);
    const slot = 2 + 12 * index;
    ifd.writeUInt16LE(tag, slot);
    ifd.writeUInt16LE(type, slot + 2);
    ifd.writeUInt32LE(numbers.length, slot + 4);
    if (bytes.length <= 4) bytes.copy(ifd, slot + 8);
    else {
      ifd.writeUInt32LE(at + sizeOf(values), slot + 8);
      values.push(bytes);
    }
  }
  return Buffer.concat(values);
}

function bytesOf(type: 3 | 4 | 12, numbers: number[]): Buffer {
  const values =
    type === 3 ? new Uint16Array(numbers) : type === 4 ? new Uint32Array(numbers) : new Float64Array(numbers);
  return Buffer.from(values.buffer);
}
