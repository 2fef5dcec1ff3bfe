/** Embeddings in fewer bytes: a byte or a bit each number, and what search loses by it. */
/** Embeddings of one width, one after another: `[n, width]`, each row of unit length; the `Vectors` of `imagesim/similarity`. */
export interface Rows {
  values: Float32Array;
  width: number;
}

/**
 * How an embedding is kept: `float32`, 4 bytes a number; `int8`, a byte each; `bit`, an eighth of a byte each.
 *
 * `int8` is symmetric, with a scale of its own for each row: its largest number becomes ±127. The scale need not be kept, for a row is of unit length. On
 * MobileNet's 1024 features of 420 RSSCN7 scenes 99.5 % of the ten nearest stay (with one scale of 1 / 127 for all rows, 97.4 %), and mAP to four digits.
 *
 * `bit` says whether a number is above the mean of a reference set; without it, above zero. On the same features mAP falls from .590 to .551 centred, and to
 * .413 about zero: rectified features are all positive. Of the ten nearest 57 % stay: bits are for a first choice among many rows.
 */
export type CodeKind = 'float32' | 'int8' | 'bit';

/** Rows of codes, and what comparing them needs. */
export interface Codes {
  kind: CodeKind;
  /** Numbers of a row. */
  width: number;
  /** Rows. */
  n: number;
  /** `[n, width]`; of bits `[n, ⌈width / 32⌉]`, the first in the lowest bit of the first word, those past `width` zero. */
  values: Float32Array | Int8Array | Uint32Array;
  /** `[n]`: what each row's integers are multiplied by to be of unit length; only of `int8`. */
  scales?: Float32Array;
  /** `[width]`: what bits were centred by; none where it was zero. */
  mean?: Float32Array;
}

/** Options of {@link packCodes}. */
export interface CodeOptions {
  /** `[width]`: what bits are centred by, as {@link meanOf} gives it of a reference set; queries take the same. Default: zeros. */
  mean?: Float32Array | undefined;
}

/** The mean of rows, one number a column. */
export function meanOf({ values, width }: Rows): Float32Array {
  const n = values.length / width;
  const sums = new Float64Array(width);
  for (let i = 0; i < values.length; i++) sums[i % width] += values[i];
  return Float32Array.from(sums, (sum) => sum / Math.max(1, n));
}

/**
 * Packs embeddings.
 *
 * @throws {RangeError} when the numbers are no whole rows, one is not finite, or the mean is of another width
 */
export function packCodes(vectors: Rows, kind: CodeKind, { mean }: CodeOptions = {}): Codes {
  const { values, width } = vectors;
  const n = values.length / width;
  if (!Number.isInteger(width) || width < 1 || !Number.isInteger(n))
    throw new RangeError(`packCodes: ${values.length} numbers are no whole rows of ${width}`);
  if (mean && mean.length !== width)
    throw new RangeError(`packCodes: a mean of ${mean.length} numbers, for rows of ${width}`);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new RangeError(`packCodes: ${values[bad]} in row ${Math.floor(bad / width)}: encode that image again`);
  if (kind === 'float32') return { kind, width, n, values: values.slice() };
  if (kind === 'int8') return withScales({ kind, width, n, values: quantised(vectors, n) });
  return { kind, width, n, values: signs(vectors, n, mean), ...(mean && { mean: mean.slice() }) };
}

function quantised({ values, width }: Rows, n: number): Int8Array {
  const packed = new Int8Array(values.length);
  for (let row = 0; row < n; row++) {
    let most = 0;
    for (let i = row * width; i < (row + 1) * width; i++) most = Math.max(most, Math.abs(values[i]));
    for (let i = row * width; i < (row + 1) * width; i++)
      packed[i] = most > 0 ? Math.round((127 * values[i]) / most) : 0;
  }
  return packed;
}

/** Adds the scales, which follow from the integers. */
function withScales(codes: Codes): Codes {
  const { values, width, n } = codes;
  const scales = new Float32Array(n);
  for (let row = 0; row < n; row++) {
    let sum = 0;
    for (let i = row * width; i < (row + 1) * width; i++) sum += values[i] * values[i];
    scales[row] = sum > 0 ? 1 / Math.sqrt(sum) : 0;
  }
  return { ...codes, scales };
}

function signs({ values, width }: Rows, n: number, mean: Float32Array | undefined): Uint32Array {
  const words = Math.ceil(width / 32);
  const packed = new Uint32Array(n * words);
  for (let row = 0, at = 0; row < n; row++) {
    for (let i = 0; i < width; i++, at++)
      if (values[at] > (mean?.[i] ?? 0)) packed[row * words + (i >> 5)] |= 1 << (i & 31);
  }
  return packed;
}

/** The codes as bytes, little-endian, row after row: of bits ⌈width / 8⌉ bytes a row. Scales and the mean are not among them. */
export function codeBytes({ kind, values, width, n }: Codes): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (kind !== 'bit') return bytes.slice();
  const [stride, each] = [4 * Math.ceil(width / 32), Math.ceil(width / 8)];
  const packed = new Uint8Array(n * each);
  for (let row = 0; row < n; row++) packed.set(bytes.subarray(row * stride, row * stride + each), row * each);
  return packed;
}

/**
 * Codes from what {@link codeBytes} gave.
 *
 * @throws {RangeError} when the bytes are no whole rows
 */
export function codesFrom(bytes: Uint8Array, kind: CodeKind, width: number, { mean }: CodeOptions = {}): Codes {
  const each = { float32: 4 * width, int8: width, bit: Math.ceil(width / 8) }[kind];
  const n = bytes.length / each;
  if (!Number.isInteger(n))
    throw new RangeError(`codesFrom: ${bytes.length} bytes are no whole rows of ${each} (${kind}, ${width} numbers)`);
  if (kind === 'int8') return withScales({ kind, width, n, values: Int8Array.from(bytes) });
  if (kind === 'float32') return { kind, width, n, values: new Float32Array(Uint8Array.from(bytes).buffer) };
  const stride = 4 * Math.ceil(width / 32);
  const padded = new Uint8Array(n * stride);
  for (let row = 0; row < n; row++) padded.set(bytes.subarray(row * each, (row + 1) * each), row * stride);
  return { kind, width, n, values: new Uint32Array(padded.buffer), ...(mean && { mean }) };
}

/**
 * Embeddings again: exactly of float32, to within 0.4 % of a row's largest number of int8; of bits ±1 / √width, without the mean.
 *
 * @returns `[n, width]`, each row of unit length
 */
export function unpackCodes({ kind, values, width, n, scales }: Codes): Rows {
  if (kind === 'float32') return { values: Float32Array.from(values), width };
  if (kind === 'int8')
    return { values: Float32Array.from(values, (value, i) => value * (scales?.[Math.floor(i / width)] ?? 0)), width };
  const words = Math.ceil(width / 32);
  const bit = (i: number): number =>
    (values[Math.floor(i / width) * words + ((i % width) >> 5)] >>> ((i % width) & 31)) & 1;
  return { values: Float32Array.from({ length: n * width }, (_, i) => (2 * bit(i) - 1) / Math.sqrt(width)), width };
}

/** How alike two rows are, −1 to 1: the cosine; of bits 1 − 2 × the share that differ. */
export function codeSimilarity(a: Codes, i: number, b: Codes, j: number): number {
  const { width } = a;
  if (a.kind === 'bit') return 1 - (2 * hamming(a, i, b, j)) / width;
  if (a.kind === 'float32') return dotOfFloats(a.values as Float32Array, i * width, b.values as Float32Array, j * width, width); // prettier-ignore
  const sum = dotOfIntegers(a.values as Int8Array, i * width, b.values as Int8Array, j * width, width);
  return sum * (a.scales?.[i] ?? 0) * (b.scales?.[j] ?? 0);
}

// Two functions, for one that sees arrays of both kinds runs more slowly.

function dotOfFloats(a: Float32Array, from: number, b: Float32Array, start: number, width: number): number {
  let sum = 0;
  for (let k = 0; k < width; k++) sum += a[from + k] * b[start + k];
  return sum;
}

function dotOfIntegers(a: Int8Array, from: number, b: Int8Array, start: number, width: number): number {
  let sum = 0;
  for (let k = 0; k < width; k++) sum = (sum + a[from + k] * b[start + k]) | 0;
  return sum;
}

/** Number of bits in which two rows differ. */
export function hamming(a: Codes, i: number, b: Codes, j: number): number {
  const words = Math.ceil(a.width / 32);
  const [left, right] = [a.values as Uint32Array, b.values as Uint32Array];
  let count = 0;
  for (let k = 0; k < words; k++) count += ones(left[i * words + k] ^ right[j * words + k]);
  return count;
}

/** Number of ones among 32 bits, counted in pairs, fours and bytes (Warren, Hacker's Delight, 5–1). */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** What a code costs and keeps. */
export interface CodeLoss {
  kind: CodeKind;
  /** Bytes a row. */
  bytes: number;
  /** Mean share of float32's nearest that are among the code's nearest, 0–1. */
  overlap: number;
  /** Leave-one-out mean average precision by this code; NaN where no likeness was given, or nothing is alike. */
  meanAveragePrecision: number;
  /** What float32 has of it less this. */
  loss: number;
}

/** Options of {@link codeLoss}. */
export interface CodeLossOptions extends CodeOptions {
  /** Nearest rows compared. Default: 10. */
  k?: number | undefined;
  /** Whether row `j` is a right answer to row `i`. Default: not known, and precision is NaN. */
  isAlike?: ((i: number, j: number) => boolean) | undefined;
  /** Rows that ask, evenly spread: all rows answer. Default: 1000, or all where there are fewer. */
  questions?: number | undefined;
}

/**
 * What search loses by each kind of code, on rows that stand for those to be searched: each row asks, itself no answer. Queries are coded as the answers are.
 *
 * @returns one entry a kind, float32 first
 * @throws {RangeError} when there are fewer than two rows
 */
export function codeLoss(vectors: Rows, options: CodeLossOptions = {}): CodeLoss[] {
  const { k = 10, isAlike, questions = 1000, mean = meanOf(vectors) } = options;
  const n = vectors.values.length / vectors.width;
  if (!(n >= 2)) throw new RangeError(`codeLoss requires at least two rows, got ${n}`);
  const count = Math.min(n, questions);
  const asked = Array.from({ length: count }, (_, q) => Math.floor((q * n) / count));
  const kinds = ['float32', 'int8', 'bit'] as const;
  const rankings = kinds.map((kind) => {
    const codes = packCodes(vectors, kind, { mean });
    return asked.map((i) => ranking(codes, i));
  });
  const precisions = rankings.map((ranked) => precisionOf(ranked, asked, isAlike));
  return kinds.map((kind, place) => ({
    kind,
    bytes: { float32: 4 * vectors.width, int8: vectors.width, bit: Math.ceil(vectors.width / 8) }[kind],
    overlap: overlapOf(rankings[0], rankings[place], k),
    meanAveragePrecision: precisions[place],
    loss: precisions[0] - precisions[place],
  }));
}

/** All other rows, the most alike first; equal ones in the order of their rows. */
function ranking(codes: Codes, i: number): Uint32Array {
  const near = Float64Array.from({ length: codes.n }, (_, j) => codeSimilarity(codes, i, codes, j));
  const others = Uint32Array.from({ length: codes.n - 1 }, (_, j) => (j < i ? j : j + 1));
  return others.sort((a, b) => near[b] - near[a] || a - b);
}

function overlapOf(exact: Uint32Array[], coded: Uint32Array[], k: number): number {
  const shares = exact.map((ranked, q) => {
    const nearest = new Set(ranked.subarray(0, k));
    return coded[q].subarray(0, k).filter((j) => nearest.has(j)).length / nearest.size;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

function precisionOf(rankings: Uint32Array[], asked: number[], isAlike: CodeLossOptions['isAlike']): number {
  if (!isAlike) return Number.NaN;
  const precisions = rankings.map((ranked, q) => {
    let [found, sum] = [0, 0];
    for (const [rank, j] of ranked.entries()) if (isAlike(asked[q], j)) sum += ++found / (rank + 1);
    return sum / found; // NaN where nothing is alike: no question
  });
  const real = precisions.filter((precision) => !Number.isNaN(precision));
  return real.length === 0 ? Number.NaN : real.reduce((sum, precision) => sum + precision, 0) / real.length;
}
