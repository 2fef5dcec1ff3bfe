// The columns of a table of chips, as a Parquet file has them. hyparquet-writer takes a column value by value, several seconds for
// half a million rows: the pages are made here, of words that each row has for itself, or of codes where many rows say the same,
// the values as the dictionary. See https://parquet.apache.org/docs/file-format/data-pages/encodings/
import type { ColumnChunk, ColumnMetaData, Encoding, PageHeader, Statistics } from 'hyparquet';
import { ByteWriter, type ParquetWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { deltaBinaryPack } from 'hyparquet-writer/src/delta.js';
import { writeRleBitPackedHybrid } from 'hyparquet-writer/src/encoding.js';
import { writePlain } from 'hyparquet-writer/src/plain.js';
import { snappyCompress } from 'hyparquet-writer/src/snappy.js';

/** Rows in a page of codes. */
const PAGE_ROWS = 16_384;
const LINE_FEED = 10;

/** How Parquet stores a value. */
export type Physical = 'BYTE_ARRAY' | 'DOUBLE' | 'INT32';
/** What was written of a column: how, and how many bytes; offsets are from its own first. */
export type Chunk = Pick<ColumnMetaData, 'encodings' | 'codec' | 'total_uncompressed_size' | 'data_page_offset' | 'dictionary_page_offset'>; // prettier-ignore

/** A column of which many rows say the same: its values once each, and by row which of them it is. */
export interface Coded<Value extends string | number = string | number> {
  values: Value[];
  /** Places in `values`; -1 where a row's value is unknown. */
  codes: Int32Array | Int16Array | Int8Array;
}

/**
 * Rows that are taken apart at a time: few enough that the next column finds them in the processor's cache, and that their
 * words make a text below 128 kB. V8 asks the system for the memory of each longer one, which takes ten times as long.
 */
export const ROWS_AT_ONCE = 1024;

/** The number of values that 16 bits can tell apart, -1 beside them. */
const MOST = 1 << 15;

/** Makes a column, block after block. */
export interface Coder<Row, Value extends string | number> {
  add: (block: readonly Row[], start: number) => void;
  column: () => Coded<Value>;
}

/** Makes a column of values, in the order in which they come first. @param length rows in all blocks together */
export function coder<Row, Value extends string | number>(length: number, valueOf: (row: Row) => Value | undefined): Coder<Row, Value> {
  const places = new Map<Value, number>();
  let codes: Int16Array | Int32Array = new Int16Array(length);
  const add = (block: readonly Row[], start: number): void => {
    for (let index = 0; index < block.length; index++) {
      const value = valueOf(block[index]);
      const place = value === undefined ? -1 : (places.get(value) ?? places.size);
      if (place === places.size) places.set(value!, place);
      if (place === MOST && codes instanceof Int16Array) codes = Int32Array.from(codes);
      codes[start + index] = place;
    }
  };
  return { add, column: () => ({ values: [...places.keys()], codes }) };
} // prettier-ignore

/** A column of values, in the order in which they come first. */
export function coded<Row, Value extends string | number>(rows: readonly Row[], valueOf: (row: Row) => Value | undefined): Coded<Value> {
  const { add, column } = coder(rows.length, valueOf);
  add(rows, 0);
  return column();
} // prettier-ignore

/** A column of which every row says something else: {@link ROWS_AT_ONCE} words after another, a line feed after each. */
export function* linesOf<Row>(rows: readonly Row[], wordOf: (row: Row) => string): Generator<string> {
  for (let start = 0; start < rows.length; start += ROWS_AT_ONCE) {
    const words = rows.slice(start, start + ROWS_AT_ONCE).map(wordOf);
    yield `${words.join('\n')}\n`;
  }
}

/** A column of codes: its values as a dictionary, then which of them each row has; plain and empty where nothing is known. */
export function writeCodes(writer: ByteWriter, { values, codes }: Coded, type: Physical, nullable: boolean): Chunk {
  const isKnown = values.length > 0;
  const encoding = isKnown ? 'RLE_DICTIONARY' : 'PLAIN';
  const bits = isKnown ? Math.ceil(Math.log2(values.length)) : 0;
  const dictionary = isKnown ? { dictionary_page_offset: 0n } : {};
  let size = isKnown ? writeDictionary(writer, values, type) : 0;
  const data_page_offset = BigInt(size);
  const room: KnownCodes = { levels: new Int32Array(PAGE_ROWS), known: new Int32Array(PAGE_ROWS) };
  const page = new ByteWriter();
  for (let start = 0; start < codes.length; start += PAGE_ROWS) {
    const { levels, known } = knownOf(codes.subarray(start, start + PAGE_ROWS), room);
    page.index = page.offset = 0;
    if (isKnown) page.appendUint8(bits);
    writeRleBitPackedHybrid(page, known, bits);
    size += writePage(writer, { levels: nullable ? levels : levels.subarray(0, 0), bytes: page.getBytes(), rows: levels.length, nulls: levels.length - known.length, encoding }); // prettier-ignore
  }
  const encodings: Encoding[] = isKnown ? ['PLAIN', encoding] : [encoding];
  return {
    encodings,
    codec: 'UNCOMPRESSED',
    total_uncompressed_size: BigInt(size),
    data_page_offset,
    ...dictionary,
  };
}

interface KnownCodes {
  /** Of each row whether it is known, 1 or 0. */
  levels: Int32Array;
  /** The codes of those that are. */
  known: Int32Array;
}

/** Which codes are known: `levels` and `known` are filled from their beginning, and handed back so far. */
function knownOf(codes: Coded['codes'], { levels, known }: KnownCodes): KnownCodes {
  let count = 0;
  for (let row = 0; row < codes.length; row++) {
    levels[row] = codes[row] < 0 ? 0 : 1;
    if (codes[row] >= 0) known[count++] = codes[row];
  }
  return { levels: levels.subarray(0, codes.length), known: known.subarray(0, count) };
}

function writeDictionary(writer: ByteWriter, values: Coded['values'], type: Physical): number {
  const page = new ByteWriter();
  writePlain(page, values, type, undefined);
  const sizes = { uncompressed_page_size: page.offset, compressed_page_size: page.offset };
  const header = headerOf(writer, { type: 'DICTIONARY_PAGE', ...sizes, dictionary_page_header: { num_values: values.length, encoding: 'PLAIN' } }); // prettier-ignore
  writer.appendBytes(page.getBytes());
  return header + page.offset;
}

/**
 * A column of lines, a page a block, each line as what it shares with the one before it and what it does not.
 *
 * @param codec SNAPPY where the ends of lines are often the same. Default: nothing is packed
 */
export function writeLines(writer: ByteWriter, blocks: Iterable<string>, length: number, codec: 'SNAPPY' | 'UNCOMPRESSED' = 'UNCOMPRESSED'): Chunk {
  let size = 0;
  let left = length;
  const page = new ByteWriter();
  const levels = new Int32Array(ROWS_AT_ONCE).fill(1);
  let room = Buffer.of();
  let rest = Buffer.of();
  for (const block of blocks) {
    const rows = Math.min(ROWS_AT_ONCE, left);
    left -= rows;
    page.index = page.offset = 0;
    if (room.length < 3 * block.length) [room, rest] = [Buffer.alloc(4 * block.length), Buffer.alloc(4 * block.length)]; // in UTF-8
    writeDeltas(page, room.subarray(0, room.write(block)), rows, rest);
    const bytes = page.getBytes();
    const packed = codec === 'SNAPPY' ? snappyCompress(bytes) : undefined;
    size += writePage(writer, { levels: levels.subarray(0, rows), bytes, packed, rows, nulls: 0, encoding: 'DELTA_BYTE_ARRAY' });
  }
  return { encodings: ['DELTA_BYTE_ARRAY'], codec, total_uncompressed_size: BigInt(size), data_page_offset: 0n };
} // prettier-ignore

/** Of each line how many bytes it has in common with the one before it, how many more it has, then those. @param rest room for those */
function writeDeltas(page: ByteWriter, lines: Uint8Array, rows: number, rest: Uint8Array): void {
  const [prefixes, suffixes] = [new Int32Array(rows), new Int32Array(rows)];
  let size = 0;
  let before = lines.length - 1; // the last line feed: the first line has nothing in common with it
  let start = 0;
  for (let row = 0; row < rows; row++) {
    let index = start;
    while (lines[index] === lines[before] && lines[index] !== LINE_FEED) [index, before] = [index + 1, before + 1];
    prefixes[row] = index - start;
    before = start;
    for (const from = size - index; lines[index] !== LINE_FEED; index++) rest[from + index] = lines[index];
    suffixes[row] = index - start - prefixes[row];
    size += suffixes[row];
    start = index + 1;
  }
  deltaBinaryPack(page, prefixes, 'INT32');
  deltaBinaryPack(page, suffixes, 'INT32');
  page.appendBytes(rest.subarray(0, size));
}

interface Page {
  /** Whether each row is known, 1 or 0; none where every one must be. */
  levels: Int32Array;
  bytes: Uint8Array;
  /** The bytes as the column's codec packs them, where it does. */
  packed?: Uint8Array | undefined;
  rows: number;
  nulls: number;
  encoding: Encoding;
}

/** @returns its bytes unpacked, the header among them */
function writePage(writer: ByteWriter, { levels, bytes, packed, rows, nulls, encoding }: Page): number {
  const known = new ByteWriter();
  writeRleBitPackedHybrid(known, levels, 1);
  const header = headerOf(writer, {
    type: 'DATA_PAGE_V2',
    uncompressed_page_size: known.offset + bytes.length,
    compressed_page_size: known.offset + (packed ?? bytes).length,
    data_page_header_v2: {
      num_values: rows,
      num_nulls: nulls,
      num_rows: rows,
      encoding,
      definition_levels_byte_length: known.offset,
      repetition_levels_byte_length: 0,
      is_compressed: packed !== undefined,
    },
  });
  writer.appendBytes(known.getBytes());
  writer.appendBytes(packed ?? bytes);
  return header + known.offset + bytes.length;
}

function headerOf(writer: ByteWriter, header: PageHeader): number {
  const start = writer.offset;
  writePageHeader(writer, header);
  return writer.offset - start;
}

/**
 * Between which values a column of a row group lies, and of how many rows it has none: by it, readers leave out groups that hold
 * nothing of what they look for.
 *
 * Parquet orders texts by their bytes in UTF-8, which is the order here as long as they are ASCII, and NaN not at all: where a value
 * is neither, no bounds are told.
 *
 * @param values that occur, as often as may be
 */
export function statisticsOf(values: readonly (string | number)[], missing: number): Statistics {
  const null_count = BigInt(missing);
  const isOrdered = values.every((value) => typeof value === 'string' ? Buffer.byteLength(value) === value.length : !Number.isNaN(value));
  if (values.length === 0 || !isOrdered) return { null_count };
  let [min_value, max_value] = [values[0], values[0]];
  for (const value of values) {
    if (value < min_value) min_value = value;
    if (value > max_value) max_value = value;
  }
  return { min_value, max_value, null_count };
} // prettier-ignore

/** A column that lies in the file. */
export type WrittenColumn = ColumnChunk & { meta_data: ColumnMetaData };

/**
 * What the file's end says of a column of a row group.
 *
 * @param place what was written of it, from which byte of the file to which, its rows, and what is told of their values
 */
export function metaOf(
  name: string,
  type: Physical,
  { chunk, start, end, rows, statistics }: { chunk: Chunk; start: bigint; end: bigint; rows: number; statistics?: Statistics },
): WrittenColumn {
  const { data_page_offset, dictionary_page_offset } = chunk;
  const dictionary = dictionary_page_offset === undefined ? {} : { dictionary_page_offset: start + dictionary_page_offset };
  const offsets = { data_page_offset: start + data_page_offset, ...dictionary };
  const told = statistics ? { statistics } : {};
  const meta_data = { ...chunk, ...offsets, ...told, type, path_in_schema: [name], num_values: BigInt(rows), total_compressed_size: end - start };
  return { file_offset: start, meta_data };
} // prettier-ignore

/** Adds a row group whose columns are written. */
export function endGroup(file: ParquetWriter, columns: readonly WrittenColumn[], rows: number): void {
  const total_byte_size = columns.reduce((sum, { meta_data }) => sum + meta_data.total_uncompressed_size, 0n);
  file.row_groups.push({ columns: [...columns], total_byte_size, num_rows: BigInt(rows) });
  file.num_rows += BigInt(rows);
}
