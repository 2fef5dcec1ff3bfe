import { parquetReadObjects } from 'hyparquet';
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import { type Chunk, endGroup, linesOf, metaOf, writeCodes, writeLines } from '../chips/index.ts';
import { type Column, type DatasetRow, FACTS, LABEL, columnsOf } from './row.ts';
import type { Table } from './table.ts';

/** Bytes that are handed on at a time. All that is written here is written out of the same few arrays: see {@link Table}. */
const PIECE = 1 << 20;
const PHYSICAL = { text: 'BYTE_ARRAY', number: 'DOUBLE', label: 'INT32' } as const;

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
 * @returns what hands on the file's bytes, piece after piece, each only for as long as `take` runs; the rows need their chips' hashes
 *   only then
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
      const end = BigInt(writer.offset);
      return metaOf(column.name, PHYSICAL[column.type], { chunk, start, end, rows: table.rows.length });
    });
    endGroup(file, written, table.rows.length);
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
  if (name === 'id' || name === 'sha256')
    return writeLines(
      writer,
      linesOf(rows, (row) => row[name]!),
      rows.length,
    );
  return writeCodes(writer, texts[name as keyof typeof texts] ?? numbers.get(name)!, PHYSICAL[type], name !== 'weight');
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
