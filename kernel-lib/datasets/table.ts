import { createHash } from 'node:crypto';
import { type Coded, type Coder, ROWS_AT_ONCE, coder, linesOf } from '../chips/index.ts';
import { type DatasetRow, FACTS, LABEL } from './row.ts';

/**
 * Rows by column: taken apart once, for their hash and for their file.
 *
 * In few bytes: for every 64 MB outside its heap, V8 collects garbage in all of it, which takes longer than all else here. So
 * what every row says in its own words stays with the rows, see `linesOf`.
 */
export interface Table {
  rows: readonly DatasetRow[];
  texts: Record<'catid' | 'date' | 'split', Coded<string>>;
  /** Weight, facts and labels by their name in Parquet, in order. */
  numbers: Map<string, Coded<number>>;
}

/** Rows by column. @param rows in order */
export function tableOf(rows: readonly DatasetRow[], labels: readonly string[]): Table {
  const { length } = rows;
  const facts = Object.entries(FACTS).map(
    ([name, fact]) => [name, coder(length, (row: DatasetRow) => row[fact])] as const,
  );
  const flags = labels.map((label) => [LABEL + label, labelCoder(length, label)] as const);
  const numbers = [['weight', coder(length, ({ weight }: DatasetRow) => weight)] as const, ...facts, ...flags];
  const text = (textOf: (row: DatasetRow) => string): Coder<DatasetRow, string> => coder(length, textOf);
  const texts = {
    catid: text(({ catid }) => catid),
    date: text(({ date }) => date),
    split: text(({ split }) => split),
  };
  const coders = [...Object.values(texts), ...numbers.map(([, column]) => column)];
  for (let start = 0; start < length; start += ROWS_AT_ONCE) {
    const block = rows.slice(start, start + ROWS_AT_ONCE);
    for (const { add } of coders) add(block, start);
  }
  return {
    rows,
    texts: { catid: texts.catid.column(), date: texts.date.column(), split: texts.split.column() },
    numbers: new Map(numbers.map(([name, { column }]) => [name, column()])),
  };
}

/** A label is its own code. */
function labelCoder(length: number, label: string): Coder<DatasetRow, number> {
  const codes = new Int8Array(length);
  const add = (block: readonly DatasetRow[], start: number): void => {
    for (let index = 0; index < block.length; index++) codes[start + index] = block[index].labels[label] ?? -1;
  };
  return { add, column: () => ({ values: [0, 1], codes }) };
}

/**
 * SHA-256 of what rows say: column after column, whatever program writes them into whichever file.
 *
 * Of a column of text the lines, of numbers and labels the 64-bit floats, little-endian, NaN where a value is unknown.
 *
 * @returns what gives the hash, once; to be called when the rows have their chips' hashes
 */
export function hashRows({ rows, texts, numbers }: Table, labels: readonly string[]): () => string {
  const { length } = rows;
  const hash = createHash('sha256').update(`${length} ${JSON.stringify(labels)}`);
  for (const block of linesOf(rows, ({ id }) => id)) hash.update(block);
  for (const column of [texts.catid, texts.date, texts.split]) {
    const words = column.values.map((value) => `${value}\n`);
    for (let start = 0; start < length; start += ROWS_AT_ONCE)
      hash.update(Array.from(column.codes.subarray(start, start + ROWS_AT_ONCE), (code) => words[code]).join(''));
  }
  return () => {
    for (const block of linesOf(rows, ({ sha256 }) => sha256!)) hash.update(block);
    const floats = new Float64Array(length);
    for (const { values, codes } of numbers.values()) {
      for (let index = 0; index < length; index++) floats[index] = codes[index] < 0 ? Number.NaN : values[codes[index]];
      hash.update(floats);
    }
    return hash.digest('hex');
  };
}
