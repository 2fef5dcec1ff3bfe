/** Side of a block, in pixels: the internal tiling of every ARD raster. */
export const BLOCK = 512;
/** Bytes that a classic TIFF may have: its offsets are of 32 bits. */
const LIMIT = 2 ** 32 - 1;

/** How many bytes the blocks of one resolution take, row by row; undefined where a block is sparse. */
export interface StoredLevel {
  width: number;
  height: number;
  /** Columns and rows of blocks. */
  across: number;
  down: number;
  images: ({ bytes: number } | undefined)[];
  masks: ({ bytes: number } | undefined)[];
}

/** What the directories say of the raster as a whole. */
export interface RasterForm {
  epsg: number;
  /** West and north edge, UTM metres. */
  origin: [west: number, north: number];
  metresPerPixel: number;
  bands: 1 | 3;
  /** What all JPEG blocks share: DQT and DHT between SOI and EOI. Unused where `bands` is 1. */
  tables: Uint8Array;
}

const SHORT = 3;
const LONG = 4;
/** A TIFF tag: number, type, count, and its bytes. */
interface Entry {
  tag: number;
  type: number;
  count: number;
  bytes: Uint8Array;
}

/** GDAL's ghost area. What it claims is what `writeCog` does; an editor that changes it must set the last claim but one. */
const GHOST = [
  'LAYOUT=IFDS_BEFORE_DATA',
  'BLOCK_ORDER=ROW_MAJOR',
  'BLOCK_LEADER=SIZE_AS_UINT4',
  'BLOCK_TRAILER=LAST_4_BYTES_REPEATED',
  'KNOWN_INCOMPATIBLE_EDITION=NO',
  ' MASK_INTERLEAVED_WITH_IMAGERY=YES',
  '',
].join('\n');

/**
 * Everything of a Cloud Optimized GeoTIFF that stands before its data, and how large the file becomes.
 *
 * The data must follow in the order that the ghost area claims: the coarsest level first, row by row, each image block followed
 * by its mask, each between its length and its last four bytes again.
 *
 * @param path for the message
 * @param levels full resolution first
 * @throws {RangeError} when the file would pass 4 GiB
 */
export function layOut(path: string, levels: StoredLevel[], form: RasterForm): { header: Uint8Array; size: number } {
  const head = header(levels, form, 0).length;
  const size = head + levels.reduce((sum, { images, masks }) => sum + stored(images) + stored(masks), 0);
  if (size > LIMIT)
    throw new RangeError(
      `writeCog ${path}: ${size} bytes pass the 4 GiB of a classic TIFF: lower the quality or part the raster`,
    );
  return { header: header(levels, form, head), size };
}

const stored = (blocks: StoredLevel['images']): number =>
  blocks.reduce((sum, block) => sum + (block ? block.bytes + 8 : 0), 0);

/** Everything before the data. `head` is its own length, which the block offsets begin from. */
function header(levels: StoredLevel[], form: RasterForm, head: number): Uint8Array {
  const placed = place(levels, head);
  const image = (i: number): Entry[] => imageEntries(levels[i], form, i, placed[i].images);
  const mask = (i: number): Entry[] => maskEntries(levels[i], i, placed[i].masks);
  const coarser = levels.map((_, i) => i).slice(1);
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
function place(levels: StoredLevel[], head: number): { images: number[]; masks: number[] }[] {
  let at = head;
  const step = (block: { bytes: number } | undefined): number => {
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

function imageEntries(level: StoredLevel, form: RasterForm, depth: number, offsets: number[]): Entry[] {
  const { bands } = form;
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
  return [...common, ...(bands === 3 ? colourEntries(form.tables) : []), ...(depth === 0 ? geoEntries(form) : [])];
}

function maskEntries(level: StoredLevel, depth: number, offsets: number[]): Entry[] {
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

const sizeEntries = ({ width, height }: StoredLevel): Entry[] => [
  entry(256, SHORT, [width]),
  entry(257, SHORT, [height]),
];

function blockEntries({ across, down }: StoredLevel, blocks: StoredLevel['images'], offsets: number[]): Entry[] {
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
function geoEntries({ epsg, origin, metresPerPixel }: RasterForm): Entry[] {
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
