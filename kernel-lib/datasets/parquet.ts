import { type ColumnChunk, type ColumnMetaData, type Encoding, type PageHeader, parquetReadObjects } from 'hyparquet';
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { deltaBinaryPack } from 'hyparquet-writer/src/delta.js';
import { writeRleBitPackedHybrid } from 'hyparquet-writer/src/encoding.js';
import { writePlain } from 'hyparquet-writer/src/plain.js';
import { type Column, type DatasetRow, FACTS, LABEL, columnsOf } from './row.ts';
import { type Coded, type Table, BLOCK, linesOf } from './table.ts';

/** Rows in a page of codes. */
const PAGE_ROWS = 16_384;
/** Bytes that are handed on at a time. All that is written here is written out of the same few arrays: see {@link Table}. */
const PIECE = 1 << 20;
const LINE_FEED = 10;
const PHYSICAL = { text: 'BYTE_ARRAY', number: 'DOUBLE', label: 'INT32' } as const;

type Physical = (typeof PHYSICAL)[keyof typeof PHYSICAL];
/** What was written of a column: how, and how many bytes; offsets are from its own first. */
type Chunk = Pick<ColumnMetaData, 'encodings' | 'codec' | 'total_uncompressed_size' | 'data_page_offset' | 'dictionary_page_offset'>; // prettier-ignore

/** Hands on what is written to it, a piece at a time, out of the same memory: new memory would cost more than what is written. */
class PieceWriter extends ByteWriter {
  readonly #take: (piece: Uint8Array) => void;

  constructor(take: (piece: Uint8Array) => void) {
    super(2 * PIECE);
    this.#take = take;
  }

  override ensure(size: number): void {
    if (this.index > PIECE) this.finish();
    super.ensure(size);
  }

  override finish(): void {
    this.#take(this.getBytes());
    this.index = 0;
  }
}

/** A column before it is known where in the file it will lie. */
interface EncodedColumn {
  pieces: Uint8Array[];
  chunk: Chunk;
}

/**
 * Rows as a Parquet file, in one row group.
 *
 * The pages are made here: hyparquet-writer takes a column value by value, several seconds for half a million rows. A column
 * that the table has in codes is written as they are, with its values as the dictionary.
 *
 * @returns what hands on the file's bytes, piece after piece, each only for as long as `take` runs; the rows need their chips' hashes
 *   only then
 * @see https://parquet.apache.org/docs/file-format/data-pages/encodings/
 */
export function encodeParquet(table: Table, labels: readonly string[]): (take: (piece: Uint8Array) => void) => void {
  const columns = columnsOf(labels);
  const early = encodeColumns(table, columns.filter(({ name }) => name !== 'sha256')); // prettier-ignore
  return (take) => {
    const types = { text: 'STRING', number: 'DOUBLE', label: 'INT32' } as const;
    const schema = schemaFromColumnData({ columnData: columns.map(({ name, type }) => ({ name, data: [], type: types[type], nullable: name !== 'weight' })) });
    const writer = new PieceWriter(take);
    const file = new ParquetWriter({ writer, schema });
    const written = columns.map((column) => {
      const start = BigInt(writer.offset);
      const { pieces, chunk } = early.get(column.name) ?? { pieces: [], chunk: writeColumn(writer, table, column) };
      for (const piece of pieces) writer.appendBytes(piece);
      return metaOf(column, chunk, start, BigInt(writer.offset) - start, table.rows.length);
    });
    const total_byte_size = written.reduce((sum, { meta_data }) => sum + meta_data.total_uncompressed_size, 0n);
    file.row_groups.push({ columns: written, total_byte_size, num_rows: BigInt(table.rows.length) });
    file.num_rows = BigInt(table.rows.length);
    void file.finish(); // at once, as the writer's own finish is
  };
} // prettier-ignore

/** Encodes columns, all out of the same room. */
function encodeColumns(table: Table, columns: readonly Column[]): Map<string, EncodedColumn> {
  let pieces: Uint8Array[] = [];
  const writer = new PieceWriter((piece) => void pieces.push(Uint8Array.from(piece)));
  const encoded = columns.map((column): [string, EncodedColumn] => {
    pieces = [];
    const chunk = writeColumn(writer, table, column);
    writer.finish();
    return [column.name, { pieces, chunk }];
  });
  return new Map(encoded);
}

function writeColumn(writer: ByteWriter, { rows, texts, numbers }: Table, { name, type }: Column): Chunk {
  if (name === 'id' || name === 'sha256') return writeLines(writer, linesOf(rows, name), rows.length);
  return writeCodes(writer, texts[name as keyof typeof texts] ?? numbers.get(name)!, PHYSICAL[type], name !== 'weight');
}

function metaOf({ name, type }: Column, chunk: Chunk, start: bigint, size: bigint, rows: number): ColumnChunk & { meta_data: ColumnMetaData } {
  const { data_page_offset, dictionary_page_offset } = chunk;
  const dictionary = dictionary_page_offset === undefined ? {} : { dictionary_page_offset: start + dictionary_page_offset };
  const offsets = { data_page_offset: start + data_page_offset, ...dictionary };
  const meta_data = { ...chunk, ...offsets, type: PHYSICAL[type], path_in_schema: [name], num_values: BigInt(rows), total_compressed_size: size };
  return { file_offset: start, meta_data };
} // prettier-ignore

/** A column of codes: its values as a dictionary, then which of them each row has; plain and empty where nothing is known. */
function writeCodes(writer: ByteWriter, { values, codes }: Coded, type: Physical, nullable: boolean): Chunk {
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
  return { encodings, codec: 'UNCOMPRESSED', total_uncompressed_size: BigInt(size), data_page_offset, ...dictionary };
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

/** A column of lines, a page a block, each line as what it shares with the one before it and what it does not. */
function writeLines(writer: ByteWriter, blocks: Iterable<string>, length: number): Chunk {
  let size = 0;
  let left = length;
  const page = new ByteWriter();
  const levels = new Int32Array(BLOCK).fill(1);
  let room = Buffer.of();
  let rest = Buffer.of();
  for (const block of blocks) {
    const rows = Math.min(BLOCK, left);
    left -= rows;
    page.index = page.offset = 0;
    if (room.length < 3 * block.length) [room, rest] = [Buffer.alloc(4 * block.length), Buffer.alloc(4 * block.length)]; // in UTF-8
    writeDeltas(page, room.subarray(0, room.write(block)), rows, rest);
    size += writePage(writer, { levels: levels.subarray(0, rows), bytes: page.getBytes(), rows, nulls: 0, encoding: 'DELTA_BYTE_ARRAY' }); // prettier-ignore
  }
  return { encodings: ['DELTA_BYTE_ARRAY'], codec: 'UNCOMPRESSED', total_uncompressed_size: BigInt(size), data_page_offset: 0n }; // prettier-ignore
}

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
  rows: number;
  nulls: number;
  encoding: Encoding;
}

/** @returns its bytes, the header among them */
function writePage(writer: ByteWriter, { levels, bytes, rows, nulls, encoding }: Page): number {
  const known = new ByteWriter();
  writeRleBitPackedHybrid(known, levels, 1);
  const header = headerOf(writer, {
    type: 'DATA_PAGE_V2',
    uncompressed_page_size: known.offset + bytes.length,
    compressed_page_size: known.offset + bytes.length,
    data_page_header_v2: {
      num_values: rows,
      num_nulls: nulls,
      num_rows: rows,
      encoding,
      definition_levels_byte_length: known.offset,
      repetition_levels_byte_length: 0,
      is_compressed: false,
    },
  });
  writer.appendBytes(known.getBytes());
  writer.appendBytes(bytes);
  return header + known.offset + bytes.length;
}

function headerOf(writer: ByteWriter, header: PageHeader): number {
  const start = writer.offset;
  writePageHeader(writer, header);
  return writer.offset - start;
}

/** The rows in the bytes of a Parquet file. */
export async function rowsOfParquet(bytes: Buffer, labels: readonly string[]): Promise<DatasetRow[]> {
  const { buffer, byteOffset, byteLength } = bytes;
  const file = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  const records = await parquetReadObjects({ file });
  return records.map((record) => {
    const row: DatasetRow = {
      id: record['id'],
      catid: record['catid'],
      date: record['date'],
      split: record['split'],
      weight: record['weight'],
      labels: Object.fromEntries(labels.map((label) => [label, record[LABEL + label] ?? null])),
      sha256: record['sha256'],
    };
    for (const [name, fact] of Object.entries(FACTS)) if (typeof record[name] === 'number') row[fact] = record[name];
    return row;
  });
}
