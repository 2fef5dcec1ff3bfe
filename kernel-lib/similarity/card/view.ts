import seedrandom from 'seedrandom';
import type { StepOptions } from '../../ard/index.ts';
import { readPixels } from '../../chips/index.ts';
import { type DatasetRow, type Split, rowPath } from '../../datasets/index.ts';
import { type Vectors, rowsOf } from '../nearest.ts';
import { layout } from './umap.ts';

/** A chip in the picture of all. */
export interface ViewPoint {
  /** 0–1 from the left and from the top, in the same scale; the larger side is 1. */
  x: number;
  y: number;
  row: DatasetRow;
}

/** Chips laid out so that those that are alike lie together, with a thumbnail of each. */
export interface LikenessView {
  points: ViewPoint[];
  /** Names of the labels, the most frequent first. */
  labels: string[];
  /** Thumbnails of all points, side by side, row by row, in one JPEG; each `side` pixels, `columns` in a row. */
  sheet: { jpeg: Uint8Array; side: number; columns: number };
  /** Chips of which the points are a sample; as many as points where all are shown. */
  of: number;
}

/** Options of {@link likenessView}. */
export interface ViewOptions extends Omit<StepOptions, 'concurrency'> {
  /** Only chips of this split. Default: all. */
  split?: Split | undefined;
  /** Points at most: of more a sample is drawn. Default: 2000. */
  atMost?: number | undefined;
  /** Nearest that each point is tied to. Default: 15. */
  neighbours?: number | undefined;
  /** The same seed gives the same sample and picture. Default: 1. */
  seed?: number | undefined;
}

/** Thumbnails have a side of so many pixels at most, and all together no more than so many pixels: about 0.8 MB. */
const [SIDE, PIXELS] = [64, 3_300_000];

/**
 * The picture of all chips: UMAP of their vectors, with thumbnails.
 *
 * @param vectors of length 1, of all rows
 * @param rows the chips, in the order of `vectors`
 * @throws {RangeError} when vectors and rows differ in number, or fewer than 5 chips are left
 * @throws {Error} naming a chip that cannot be read
 */
export async function likenessView(
  dataPath: string,
  vectors: Vectors,
  rows: readonly DatasetRow[],
  labels: readonly string[],
  { split, atMost = 2000, neighbours, seed = 1, signal, onProgress }: ViewOptions = {},
): Promise<LikenessView> {
  if (vectors.values.length !== rows.length * vectors.width)
    throw new RangeError(`likenessView got ${rows.length} rows and ${vectors.values.length / vectors.width} vectors: one each`); // prettier-ignore
  const held = [...rows.keys()].filter((index) => split === undefined || rows[index].split === split);
  const some = sampled(held, atMost, seed);
  const shown = some.map((index) => rows[index]);
  const places = placed(await layout(rowsOf(vectors, some), { neighbours, seed, signal, onProgress }));
  return {
    points: shown.map((row, at) => ({ row, x: places[2 * at], y: places[2 * at + 1] })),
    labels: byFrequency(shown, labels),
    sheet: await sheetOf(shown.map((row) => rowPath(dataPath, row)), signal), // prettier-ignore
    of: held.length,
  };
}

/** So many of a list, in its order (Knuth's algorithm S). */
function sampled(from: readonly number[], count: number, seed: number): number[] {
  if (!(Number.isInteger(count) && count > 0)) throw new RangeError(`likenessView requires a positive whole atMost, got ${count}`); // prettier-ignore
  const random = seedrandom(`view ${seed}`);
  let wanted = count;
  return from.filter((_, at) => {
    const isTaken = random() * (from.length - at) < wanted;
    if (isTaken) wanted--;
    return isTaken;
  });
}

/** Brought to 0–1 in one scale, the longer side lying. */
function placed(found: Float64Array): Float64Array {
  const axes = [0, 1].map((axis) => found.filter((_, at) => at % 2 === axis));
  const bounds = axes.map((axis) => [axis.reduce((a, b) => Math.min(a, b)), axis.reduce((a, b) => Math.max(a, b))]);
  const [width, height] = bounds.map(([low, high]) => high - low);
  const long = Math.max(width, height) || 1;
  const isTall = height > width;
  return found.map((_, at) => {
    const axis = isTall ? 1 - (at % 2) : at % 2;
    return (found[at - (at % 2) + axis] - bounds[axis][0]) / long;
  });
}

function byFrequency(rows: readonly DatasetRow[], labels: readonly string[]): string[] {
  const counts = new Map(labels.map((label) => [label, rows.filter((row) => row.labels[label] === 1).length]));
  const shown = labels.filter((label) => counts.get(label)! > 0);
  return shown.sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1));
}

/** Thumbnails side by side; their side a multiple of 8, so that JPEG's blocks do not run over from one into the next. */
async function sheetOf(paths: readonly string[], signal: AbortSignal | undefined): Promise<LikenessView['sheet']> {
  const side = Math.max(8, Math.min(SIDE, Math.floor(Math.sqrt(PIXELS / paths.length) / 8) * 8));
  const columns = Math.ceil(Math.sqrt(paths.length));
  const pixels = await readPixels(paths, side, { signal });
  const [width, height] = [columns * side, Math.ceil(paths.length / columns) * side];
  const sheet = new Uint8Array(width * height * 3);
  for (let at = 0; at < paths.length * side; at++) {
    const [chip, line] = [Math.floor(at / side), at % side];
    const to = (Math.floor(chip / columns) * side + line) * width + (chip % columns) * side;
    sheet.set(pixels.subarray(at * side * 3, (at + 1) * side * 3), to * 3);
  }
  const { default: sharp } = await import('sharp');
  const jpeg = await sharp(sheet, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 60 })
    .toBuffer();
  return { jpeg: new Uint8Array(jpeg), side, columns };
}
