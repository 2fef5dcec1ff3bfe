import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';

/** An array of a .npz file, its numbers made while they are written. */
export interface NpzArray {
  /** Without `.npy`. */
  name: string;
  /** NumPy's word for the kind: `|u1`, `<f4`, `<U22`. */
  dtype: string;
  /** Rows first. */
  shape: readonly number[];
  /** The numbers, row by row, in pieces of any length, little-endian. */
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/**
 * Writes arrays as NumPy's `savez` does: a zip of .npy members, not packed, so that they can be written as they come.
 *
 * The same arrays are the same bytes: members are dated 1980.
 *
 * @throws {Error} what reading a piece throws
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export async function writeNpz(path: string, arrays: readonly NpzArray[]): Promise<void> {
  const zip = new ZipFile();
  const failed = new Promise<never>((_, reject) => zip.once('error', reject));
  for (const array of arrays) {
    const header = npyHeader(array);
    const size = header.length + array.shape.reduce((product, side) => product * side, itemBytes(array.dtype));
    const options = { size, compress: false, mtime: new Date(1980, 0, 1), mode: 0o100644 };
    const stream = Readable.from(withHeader(header, array.pieces), { objectMode: false });
    stream.once('error', (error) => zip.emit('error', error)); // which the zip does not take by itself
    zip.addReadStream(stream, `${array.name}.npy`, options);
  }
  zip.end();
  await Promise.race([pipeline(zip.outputStream, createWriteStream(path)), failed]);
}

/** Words as NumPy's `<U…` has them: each letter four bytes, all words as long as the longest. */
export function unicodeArray(name: string, words: readonly string[]): NpzArray {
  const points = words.map((word) => Array.from(word, (letter) => letter.codePointAt(0)!));
  const width = Math.max(1, ...new Set(points.map(({ length }) => length)));
  const letters = new Uint32Array(words.length * width);
  for (const [index, word] of points.entries()) letters.set(word, index * width);
  return { name, dtype: `<U${width}`, shape: [words.length], pieces: [new Uint8Array(letters.buffer)] };
}

/** 32-bit floats, NaN where a value is not known. */
export function floatArray(name: string, shape: readonly number[], values: Float32Array): NpzArray {
  return { name, dtype: '<f4', shape, pieces: [new Uint8Array(values.buffer, values.byteOffset, values.byteLength)] };
}

async function* withHeader(header: Uint8Array, pieces: NpzArray['pieces']): AsyncGenerator<Uint8Array> {
  yield header;
  for await (const piece of pieces) if (piece.length > 0) yield piece;
}

/** Version 1.0: the magic, then a Python dictionary padded so that the numbers begin at a multiple of 64. */
function npyHeader({ dtype, shape }: NpzArray): Buffer {
  const sides = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const words = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${sides}), }`;
  const padded = words.padEnd(Math.ceil((10 + words.length + 1) / 64) * 64 - 11);
  const head = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  head.writeUInt16LE(padded.length + 1, 8);
  return Buffer.concat([head, Buffer.from(`${padded}\n`, 'latin1')]);
}

function itemBytes(dtype: string): number {
  const count = Number(dtype.slice(2));
  return dtype[1] === 'U' ? 4 * count : count;
}
