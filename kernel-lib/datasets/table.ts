import { createHash } from 'node:crypto';
import { type DatasetRow, FACTS, LABEL } from './row.ts';

/** A column of which many rows say the same: its values once each, and by row which of them it is. */
export interface Coded<Value extends string | number = string | number> {
  values: Value[];
  /** Places in `values`; -1 where a row's value is unknown. */
  codes: Int32Array | Int16Array | Int8Array;
}

/**
 * Rows by column: taken apart once, for their hash and for their file.
 *
 * In few bytes: for every 64 MB outside its heap, V8 collects garbage in all of it, which takes longer than all else here. So
 * what every row says in its own words stays with the rows, see {@link linesOf}.
 */
export interface Table {
  rows: readonly DatasetRow[];
  texts: Record<'catid' | 'date' | 'split', Coded<string>>;
  /** Weight, facts and labels by their name in Parquet, in order. */
  numbers: Map<string, Coded<number>>;
}

/**
 * Rows that are taken apart at a time: few enough that the next column finds them in the processor's cache, and that their
 * words make a text below 128 kB. V8 asks the system for the memory of each longer one, which takes ten times as long.
 */
export const BLOCK = 1024;

/** The number of values that 16 bits can tell apart, -1 beside them. */
const MOST = 1 << 15;

/** Rows by column. @param rows in order */
export function tableOf(rows: readonly DatasetRow[], labels: readonly string[]): Table {
  const { length } = rows;
  const facts = Object.entries(FACTS).map(([name, fact]) => [name, coder(length, (row) => row[fact])] as const);
  const flags = labels.map((label) => [LABEL + label, labelCoder(length, label)] as const);
  const numbers = [['weight', coder(length, ({ weight }) => weight)] as const, ...facts, ...flags];
  const texts = { catid: coder(length, ({ catid }) => catid), date: coder(length, ({ date }) => date), split: coder<string>(length, ({ split }) => split) }; // prettier-ignore
  const coders = [...Object.values(texts), ...numbers.map(([, column]) => column)];
  for (let start = 0; start < length; start += BLOCK) {
    const block = rows.slice(start, start + BLOCK);
    for (const { add } of coders) add(block, start);
  }
  return {
    rows,
    texts: { catid: texts.catid.column(), date: texts.date.column(), split: texts.split.column() },
    numbers: new Map(numbers.map(([name, { column }]) => [name, column()])),
  };
}

/** A column of which every row says something else: {@link BLOCK} words after another, a line feed after each. */
export function* linesOf(rows: readonly DatasetRow[], name: 'id' | 'sha256'): Generator<string> {
  for (let start = 0; start < rows.length; start += BLOCK) {
    const words = rows.slice(start, start + BLOCK).map((row) => row[name]);
    yield `${words.join('\n')}\n`;
  }
}

/** Makes a column, block after block. */
interface Coder<Value extends string | number> {
  add: (block: readonly DatasetRow[], start: number) => void;
  column: () => Coded<Value>;
}

/** Values in the order in which they come first. */
function coder<Value extends string | number>(length: number, valueOf: (row: DatasetRow) => Value | undefined): Coder<Value> {
  const places = new Map<Value, number>();
  let codes: Int16Array | Int32Array = new Int16Array(length);
  const add = (block: readonly DatasetRow[], start: number): void => {
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

/** A label is its own code. */
function labelCoder(length: number, label: string): Coder<number> {
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
  for (const block of linesOf(rows, 'id')) hash.update(block);
  for (const column of [texts.catid, texts.date, texts.split]) {
    const words = column.values.map((value) => `${value}\n`);
    for (let start = 0; start < length; start += BLOCK)
      hash.update(Array.from(column.codes.subarray(start, start + BLOCK), (code) => words[code]).join(''));
  }
  return () => {
    for (const block of linesOf(rows, 'sha256')) hash.update(block);
    const floats = new Float64Array(length);
    for (const { values, codes } of numbers.values()) {
      for (let index = 0; index < length; index++) floats[index] = codes[index] < 0 ? Number.NaN : values[codes[index]];
      hash.update(floats);
    }
    return hash.digest('hex');
  };
}
