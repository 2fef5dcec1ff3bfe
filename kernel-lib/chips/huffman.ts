/** A Huffman table as a JPEG's DHT segment holds it (T.81, annex C). */
export interface HuffmanTable {
  /** `[16]`: how many codes have 1, 2 … 16 bits. */
  counts: Uint8Array;
  /** What the codes mean, in order of the codes. */
  symbols: Uint8Array;
}

/** Bits of the code stream that are looked up at once. */
export const PEEK = 11;

/** How a {@link HuffmanTable} is read: short codes by lookup, long ones by their length. */
export interface Decoder {
  /** By the next {@link PEEK} bits: length of the code · 256 + symbol; 0 where the code is longer, or there is none. */
  firsts: Uint16Array;
  /** `[17]` by length: the first 16 bits of a stream are below this where its code has that length or less. */
  ends: Int32Array;
  /** `[17]` by length: where the symbol of code 0 of that length would be. */
  offsets: Int32Array;
  symbols: Uint8Array;
}

/**
 * Prepares a table for reading.
 *
 * A code of ones only is refused, as libjpeg refuses it: T.81 leaves it out, so there is always room for one more.
 *
 * @throws {Error} when the counts make no code, or there are fewer symbols than codes
 */
export function decoderOf({ counts, symbols }: HuffmanTable): Decoder {
  const firsts = new Uint16Array(1 << PEEK);
  const ends = new Int32Array(17);
  const offsets = new Int32Array(17);
  for (let length = 1, code = 0, index = 0; length <= 16; length++, code <<= 1) {
    offsets[length] = index - code;
    for (const last = index + counts[length - 1]; index < last; index++, code++) {
      const shift = PEEK - length;
      if (shift >= 0) firsts.fill((length << 8) | symbols[index], code << shift, (code + 1) << shift);
    }
    if (code >= 1 << length || index > symbols.length) throw new Error('damaged JPEG: a Huffman table makes no code');
    ends[length] = code << (16 - length);
  }
  return { firsts, ends, offsets, symbols };
}

/**
 * The first code of a stream of any length.
 *
 * @param word the next 16 bits or more, at the top of 32
 * @returns length of the code · 256 + symbol
 * @throws {Error} when the table has no such code
 */
export function firstCode({ firsts, ends, offsets, symbols }: Decoder, word: number): number {
  const short = firsts[word >>> (32 - PEEK)];
  if (short) return short;
  const next = word >>> 16;
  for (let length = PEEK + 1; length <= 16; length++) {
    if (next < ends[length]) return (length << 8) | symbols[offsets[length] + (next >> (16 - length))];
  }
  throw new Error('damaged JPEG: its data hold a code that is in no Huffman table');
}

/** In a step: how many bits it takes. */
export const STEP_BITS = 31;
/** In a step: set when it ends the 8 × 8 square. */
export const STEP_ENDS = 32;
/** A step shifted right by this: how many coefficients it passes. */
export const STEP_PASSES = 6;
/** Passes more than a square has: {@link firstCode} must look. */
const NO_STEP = 127 << STEP_PASSES;

/**
 * What the next {@link PEEK} bits of AC codes do to one who only passes over them: as many codes as fit, with their
 * value bits, become one step. Only the first may take more bits than were looked at.
 *
 * An end-of-block counts as one coefficient more, so that a square of 64 is overrun by any step that does not fit.
 *
 * @returns by the next {@link PEEK} bits: {@link STEP_BITS}, {@link STEP_ENDS} and {@link STEP_PASSES} of the step
 */
export function stepsOf({ firsts }: Decoder): Uint16Array {
  const steps = new Uint16Array(2 << PEEK); // first those of fewer bits: what `width` bits do is at 1 << width | bits
  steps.fill(NO_STEP, 1 << PEEK);
  for (let width = 1; width <= PEEK; width++) {
    for (let bits = 0; bits < 1 << width; bits++) {
      const first = firsts[bits << (PEEK - width)];
      const passes = passedBy(first & 255);
      const used = (first >> 8) + (first & 15);
      const left = width - used;
      const step = (passes << STEP_PASSES) | used;
      const at = (1 << width) | bits;
      if (first === 0 || passes === 0 || first >> 8 > width || (left < 0 && width < PEEK)) continue;
      if ((first & 255) === 0) steps[at] = step | STEP_ENDS;
      else steps[at] = joined(step, left > 0 ? steps[(1 << left) | (bits & ((1 << left) - 1))] : 0);
    }
  }
  return steps.subarray(1 << PEEK);
}

function joined(step: number, rest: number): number {
  return (step >> STEP_PASSES) + (rest >> STEP_PASSES) > 64 ? step : step + rest;
}

/** How many coefficients an AC symbol passes; end-of-block counts as 1, and 0 means that it is no symbol of a sequential JPEG. */
export function passedBy(symbol: number): number {
  if (symbol & 15) return (symbol >> 4) + 1;
  return symbol === 0xf0 ? 16 : symbol === 0 ? 1 : 0;
}

/** What is made of a table, made once: of tables that are the same object. */
export function oncePerTable<Made>(make: (table: HuffmanTable) => Made): (table: HuffmanTable) => Made {
  const made = new WeakMap<HuffmanTable, { of: Made }>();
  return (table) => {
    const known = made.get(table) ?? { of: make(table) };
    made.set(table, known);
    return known.of;
  };
}

/** Codes by symbol; a length of 0 where there is none. */
export interface Encoder {
  codes: Int32Array;
  lengths: Uint8Array;
}

/** Prepares a table for writing. */
export function encoderOf({ counts, symbols }: HuffmanTable): Encoder {
  const codes = new Int32Array(256);
  const lengths = new Uint8Array(256);
  for (let length = 1, code = 0, index = 0; length <= 16; length++, code <<= 1) {
    for (const last = index + counts[length - 1]; index < last; index++, code++) {
      codes[symbols[index]] = code;
      lengths[symbols[index]] = length;
    }
  }
  return { codes, lengths };
}

/** Categories of a DC difference of 8-bit samples: 0–11. */
const CATEGORIES = 12;

/**
 * A DC table that has a code for every difference, where one made for a single image lacks those it does not need.
 *
 * The codes that are there stay: new ones are longer than all of them and grow from the code of ones that is left out.
 */
export function withAllCategories(table: HuffmanTable): HuffmanTable {
  const counts = Uint8Array.from(table.counts); // a Buffer’s slice would be no copy
  const symbols = [...table.symbols];
  let length = 16;
  while (length > 1 && counts[length - 1] === 0) length--;
  let code = 0;
  for (let bits = 1; bits <= length; bits++) code = (bits === 1 ? 0 : code << 1) + counts[bits - 1];
  for (let category = 0; category < CATEGORIES; category++) {
    if (symbols.includes(category)) continue;
    while (length <= 16 && code >= (1 << length) - 1) {
      length++;
      code <<= 1;
    }
    if (length > 16) break;
    counts[length - 1]++;
    symbols.push(category);
    code++;
  }
  return { counts, symbols: Uint8Array.from(symbols) };
}
