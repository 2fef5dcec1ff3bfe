/** What changed between two dates of a delivery: what `imagesim change` does. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { type StepOptions, CHIP_PIXELS, columnRow, parseChip } from '../../ard/index.ts';
import { FEATURES, imageFeatures } from '../../chips/index.ts';
import { type Licence, imageryLicences } from '../../datasets/index.ts';
import type { Ground, Outbox } from '../../infra/index.ts';
import { type Backbone, ownFeatures } from '../../training/index.ts';
import type { ChipChange } from './known.ts';
import { type ValueCounts, countsOf, matchingTables, relit, sumOf } from './light.ts';
import { pixelDifference } from './baseline.ts';
import { calibrateChange, narrowed } from './fit.ts';
import {
  type PairImages,
  type PairOptions,
  type PairedTiles,
  type TilePair,
  type Visit,
  pairImages,
  pairedTiles,
} from './pairs.ts';
import { type GridPlace, drawnTogether } from './neighbours.ts';
import { type ChangeParts, type EncodedChip, type PartSettings, changePartPath, handChangePart, hasChangePart, loadChangePart, writeChangePart } from './parts.ts'; // prettier-ignore
import { type Shift, bestShifts, correlationsOf } from './shift.ts';

/** What makes vectors of images: an `Encoder` of a model is one. */
export interface ChangeEncoder {
  /** Rows and columns of its input, pixels. */
  readonly inputSize: number;
  /** Length of a vector. */
  readonly width: number;
  /** @param images `[n, inputSize, inputSize, 3]`, RGB, 0–255 @returns `[n, width]` */
  encode(images: Uint8Array): Promise<Float32Array>;
}

/** Colours and edges, which no network need learn: what stands in where there is no model. */
export const COLOURS_AND_EDGES: ChangeEncoder = {
  inputSize: 64,
  width: FEATURES,
  encode: async (images) => imageFeatures(images),
};

/** A pretrained network without a head, as encoder: its own output, of unit length. */
export function backboneEncoder(backbone: Backbone): ChangeEncoder {
  return { inputSize: backbone.inputSize, width: backbone.own, encode: (images) => ownFeatures(backbone, images) };
}

/** Options of {@link detectChange}. */
export interface DetectOptions extends PairOptions, Omit<StepOptions, 'concurrency'> {
  /** Default: {@link COLOURS_AND_EDGES}. */
  encoder?: ChangeEncoder | undefined;
  /** How far the picture after may lie off, pixels of 0.305 m, even, 0 to 32: how far is searched. Default: 8 */
  reach?: number | undefined;
  /** Whether the pictures after are brought to the light of those before, each band’s histogram matched. Default: true */
  matchesLight?: boolean | undefined;
  /** Whether small pictures are kept, to compare with plain differences. Default: false */
  keepsPictures?: boolean | undefined;
  /** Where what is made of each pair of tiles is kept, and what is there is taken from. Default: nowhere */
  parts?: ChangeParts | undefined;
}

/** How much a chip changed, told as a probability. */
export interface DetectedChange extends ChipChange<Visit> {
  /** Logarithm of how far it moved beyond what was expected, in the spread of those that did not change. */
  change: number;
  /** That it changed more than season, sun and angle of view do, 0–1. */
  probability: number;
  /** Where the ground lies in the picture after. */
  shift: Shift;
}

/** Chips of the same two acquisitions: they have season, sun and angle of view in common, and are calibrated together. */
export interface CalibratedGroup {
  /** Dates and catalogue ids, or what was pooled because there were few of each. */
  name: string;
  chips: number;
  /** Share that changed, as estimated. */
  share: number;
  /** Rank correlation of how far chips moved with how unlike their pictures are, −1 to 1: where it is not above 0, the list is not to be trusted. */
  agreement: number;
}

/** What {@link detectChange} found. */
export interface ChangeList {
  zone: number;
  /** The most probable first. */
  changes: DetectedChange[];
  groups: CalibratedGroup[];
  licences: Licence[];
  leftOut: string[];
  /** What a bucket has not taken: it stays here for the next run. */
  failed: string[];
  /** `[n, 64, 64, 3]` at both dates, in the order of `changes`, where `keepsPictures` asks for them. */
  pictures?: { before: Uint8Array; after: Uint8Array; size: number };
}

/** Parts along each side that a chip is encoded in: what is small weighs more in a quarter. */
const PARTS = 2;
const PICTURE = 64;
/** Side at which pixels are compared: 0.6 m each. */
const COMPARED = 128;
/** Fewer chips of the same two acquisitions are calibrated with others of their kind. */
const FEW = 64;

/**
 * Ranks the squares of ground that were seen whole on two days by the probability that they changed.
 *
 * Straight from the tiles: pictures of each chip are laid on each other by a search for the shift at which their edges agree best;
 * quarters of the chip are encoded at both dates; and how far they moved is measured against what season, sun and angle of view do
 * to chips that did not change, which are found among the chips themselves (`calibrateChange`).
 *
 * A probability is that of belonging to the chips that moved further than the rest of the same two acquisitions, and takes into account
 * those of the chips around it as far as change comes in patches (`drawnTogether`). It says that something is unlike what was foretold, not what; and a harvest may be.
 *
 * @param where folder of the delivery, as `changeFolder` finds it; or what of it is compared, as `pairedTiles` found it
 * @throws {RangeError} when a setting is out of range, or fewer than 16 chips were seen twice
 * @throws {Error} as `pairedTiles`
 */
export async function detectChange(where: string | PairedTiles, options: DetectOptions = {}): Promise<ChangeList> {
  checkReach(options);
  const paired =
    typeof where === 'string' ? await pairedTiles(where, { outbox: options.parts?.outbox, ...options }) : where;
  const { pairs, zone, leftOut } = paired;
  const settings = settingsOf(paired, options);
  const total = pairs.reduce((sum, { chips }) => sum + chips.length, 0);
  const encoded = new Map<string, EncodedChip[]>();
  let done = 0;
  for (const [at, pair] of pairs.entries()) {
    const name = groupName(pair);
    const own = encoded.get(name) ?? [];
    encoded.set(name, own);
    for await (const some of encodedPair(pair, settings)) {
      own.push(...some);
      options.onProgress?.({ done: (done += some.length), total, unit: 'chips' });
    }
    await leave(pairs, at, settings);
  }
  const { ranked, groups } = calibrated(encoded);
  const catids = new Set(ranked.flatMap(({ change: { before, after } }) => [before.catid, after.catid]));
  const list = { zone, changes: ranked.map(({ change }) => change), groups, licences: await licencesOf(paired, catids, options.parts?.outbox), leftOut, failed: settings.failed }; // prettier-ignore
  return settings.keepsPictures ? { ...list, pictures: picturesOf(ranked) } : list;
}

/**
 * Encodes pairs of tiles into parts, and ranks nothing: what one of several workers does of {@link detectChange}, which then takes the parts of all.
 * Which chips changed is told by comparing all chips of the same two acquisitions, so that no worker can say it of its own alone.
 *
 * @param paired as `pairedTiles` finds it for this worker
 * @returns chips that were compared, those of them whose parts were there, and what a bucket has not taken
 * @throws {RangeError} when a setting is out of range
 */
export async function encodeChange(
  paired: PairedTiles,
  options: DetectOptions & { parts: ChangeParts },
): Promise<{ chips: number; kept: number; failed: string[] }> {
  checkReach(options);
  const settings = settingsOf(paired, options);
  const { pairs } = paired;
  const total = pairs.reduce((sum, { chips }) => sum + chips.length, 0);
  let [done, kept] = [0, 0];
  for (const [at, pair] of pairs.entries()) {
    const path = await changePartPath(options.parts, pair, settings, paired.ground);
    if (await hasChangePart(options.parts, path, pair, settings.keepsPictures)) {
      [done, kept] = [done + pair.chips.length, kept + pair.chips.length];
      await hand(path, settings); // one that could not be put
    } else for await (const some of writtenPair(pair, path, settings)) done += some.length;
    await leave(pairs, at, settings);
    options.onProgress?.({ done, total, unit: 'chips' });
  }
  return { chips: done, kept, failed: settings.failed };
}

function checkReach({ reach = 8 }: DetectOptions): void {
  if (!(Number.isInteger(reach / 2) && reach >= 0 && reach <= 32))
    throw new RangeError(`detectChange requires an even reach of 0 to 32 pixels, got ${reach}`);
}

function settingsOf({ ground, failed }: PairedTiles, { encoder = COLOURS_AND_EDGES, reach = 8, matchesLight = true, keepsPictures = false, parts, signal }: DetectOptions): EncodeSettings {
  return { encoder, reach, matchesLight, keepsPictures, parts, signal, ground, failed: [...failed] };
} // prettier-ignore

/** The chips of a pair: from its part where there is one, else encoded, and kept where parts are. */
async function* encodedPair(pair: TilePair, settings: EncodeSettings): AsyncGenerator<EncodedChip[]> {
  const { parts, keepsPictures, ground } = settings;
  if (!parts) {
    yield* encodePair(pair, settings);
    return;
  }
  const path = await changePartPath(parts, pair, settings, ground);
  const there = await loadChangePart(parts, path, pair, keepsPictures);
  if (there) {
    await hand(path, settings); // one that could not be put
    yield there;
  } else yield* writtenPair(pair, path, settings);
}

async function* writtenPair(pair: TilePair, path: string, settings: EncodeSettings): AsyncGenerator<EncodedChip[]> {
  const all: EncodedChip[] = [];
  for await (const some of encodePair(pair, settings)) {
    all.push(...some);
    yield some;
  }
  await writeChangePart(path, all, settings.keepsPictures);
  await hand(path, settings);
}

/** Puts a part where parts go. What cannot be put is told, and the others go on. */
async function hand(path: string, { parts, failed, signal }: EncodeSettings): Promise<void> {
  await handChangePart(parts!, path).catch((error: unknown) => {
    signal?.throwIfAborted();
    failed.push((error as Error).message);
  });
}

/** Removes what was brought of a cell when its last pair is done. */
async function leave(pairs: readonly TilePair[], at: number, { ground }: EncodeSettings): Promise<void> {
  const { cell } = pairs[at].before;
  if (pairs[at + 1]?.before.cell.id !== cell.id) await ground.forget(cell);
}

/** The terms of the imagery, of which a delivery's collections speak. */
async function licencesOf({ folder }: PairedTiles, catids: ReadonlySet<string>, outbox: Outbox | undefined): Promise<Licence[]> {
  if (!folder.startsWith('s3://')) return imageryLicences(existsSync(join(folder, 'ard')) ? join(folder, 'ard') : folder, catids);
  const here = outbox!.at(outbox!.inbox);
  const above = folder.slice(here.address.length + 1);
  const base = [...(above === '' ? [] : [above]), ...((await here.folders(above)).includes('ard') ? ['ard'] : [])].join('/');
  const collections = await here.list(`${base}/acquisition_collections/`);
  await here.bring([...collections.values()].filter(({ key }) => catids.has(/([^/]+)_collection\.json$/.exec(key)?.[1] ?? '')));
  try {
    return await imageryLicences(join(here.root, base), catids);
  } finally {
    await rm(join(here.root, base, 'acquisition_collections'), { recursive: true, force: true });
  }
} // prettier-ignore

function groupName({ before, after }: TilePair): string {
  return `${before.date} ${before.catid} to ${after.date} ${after.catid}`;
}

interface EncodeSettings extends PartSettings, Pick<StepOptions, 'signal'> {
  encoder: ChangeEncoder;
  parts: ChangeParts | undefined;
  ground: Ground;
  failed: string[];
}

/** Encodes the chips of a pair of tiles, some at a time. */
async function* encodePair(pair: TilePair, settings: EncodeSettings): AsyncGenerator<EncodedChip[]> {
  for (const tile of [pair.before, pair.after]) await settings.ground.bring(tile, ['visual']);
  const { shifts, tables } = await compared(pair, settings);
  let next = 0;
  for await (const images of pairImages(pair, settings.reach)) {
    settings.signal?.throwIfAborted();
    const own = shifts.slice(next, (next += images.pairs.length));
    const after = tables ? relit(images.after, tables) : images.after;
    yield await encodeSome(images, after, own, settings);
  }
}

/** What a first look at all chips of a pair tells: where each lies, and how the light of the pictures after becomes that of those before. */
interface Compared {
  shifts: Shift[];
  /** What each value of red, green and blue after becomes, `[3, 256]`; none where light is left as it is. */
  tables: Uint8Array[] | undefined;
}

async function compared(pair: TilePair, { matchesLight, reach, signal }: EncodeSettings): Promise<Compared> {
  const correlations: Float32Array[] = [];
  const values: [before: ValueCounts, after: ValueCounts][] = [];
  for await (const { pairs, size, before, after } of pairImages(pair, reach)) {
    signal?.throwIfAborted();
    const bytes = size * size * 3;
    pairs.forEach((_, at) => {
      const [first, second] = [before, after].map((images) => images.subarray(at * bytes, (at + 1) * bytes));
      correlations.push(correlationsOf(first, second, size, reach));
      if (matchesLight) values.push([countsOf(first), countsOf(second)]);
    });
  }
  const shifts = bestShifts(correlations);
  return { shifts, tables: matchesLight ? lightOf(shifts, values) : undefined };
}

/** The light of the half of the chips whose edges stayed in place best: what was built, felled or harvested has other colours, not other light. */
function lightOf(shifts: readonly Shift[], values: readonly [ValueCounts, ValueCounts][]): Uint8Array[] {
  const byEdges = [...shifts.keys()].sort((a, b) => shifts[b].correlation - shifts[a].correlation);
  const stayed = byEdges.slice(0, Math.ceil(byEdges.length / 2)).map((chip) => values[chip]);
  return matchingTables(sumOf(stayed.map(([before]) => before)), sumOf(stayed.map(([, after]) => after)));
}

async function encodeSome(
  { pairs, size, before, after: asSeen }: PairImages,
  after: Uint8Array,
  shifts: readonly Shift[],
  { encoder, reach, keepsPictures }: EncodeSettings,
): Promise<EncodedChip[]> {
  const bytes = size * size * 3;
  const [first, second, seen] = [before, after, asSeen].map((images) => pairs.map((_, at) => images.subarray(at * bytes, (at + 1) * bytes))); // prettier-ignore
  const still = shifts.map(() => ({ x: 0, y: 0 }));
  const vectors = [await encodeParts(first, size, reach, still, encoder), await encodeParts(second, size, reach, shifts, encoder)]; // prettier-ignore
  const small = (image: Uint8Array, to: number, { x, y } = { x: 0, y: 0 }): Promise<Uint8Array> => crop(image, size, [reach + x, reach + y, CHIP_PIXELS], to); // prettier-ignore
  return Promise.all(
    pairs.map(async (pair, at) => {
      const [start, end] = [at, at + 1].map((index) => (index * vectors[0].length) / pairs.length);
      return {
        change: { ...pair, shift: shifts[at] },
        before: vectors[0].subarray(start, end),
        after: vectors[1].subarray(start, end),
        difference: pixelDifference({ before: await small(first[at], COMPARED), after: await small(second[at], COMPARED, shifts[at]), size: COMPARED })[0], // prettier-ignore
        pictures: keepsPictures ? [await small(first[at], PICTURE), await small(seen[at], PICTURE)] : undefined,
      };
    }),
  );
}

/** @returns `[n, parts, min(width, 256)]` */
async function encodeParts(
  images: readonly Uint8Array[],
  size: number,
  reach: number,
  shifts: readonly Pick<Shift, 'x' | 'y'>[],
  encoder: ChangeEncoder,
): Promise<Float32Array> {
  const { inputSize, width } = encoder;
  const side = CHIP_PIXELS / PARTS;
  const bytes = inputSize * inputSize * 3;
  const parts = new Uint8Array(images.length * PARTS ** 2 * bytes);
  await Promise.all(
    Array.from({ length: images.length * PARTS ** 2 }, async (_, at) => {
      const [image, part] = [Math.floor(at / PARTS ** 2), at % PARTS ** 2];
      const left = reach + shifts[image].x + (part % PARTS) * side;
      const top = reach + shifts[image].y + Math.floor(part / PARTS) * side;
      parts.set(await crop(images[image], size, [left, top, side], inputSize), at * bytes);
    }),
  );
  const vectors = await encoder.encode(parts);
  const given = vectors.length / (images.length * PARTS ** 2);
  if (given !== width)
    throw new RangeError(`the encoder gave ${given} numbers an image, and says ${width}: give one with its own width`);
  return narrowed(vectors, width).values;
}

/** A square of a picture, resized. */
async function crop(image: Uint8Array, size: number, [left, top, side]: [number, number, number], to: number): Promise<Uint8Array> {
  const whole = sharp(image, { raw: { width: size, height: size, channels: 3 } });
  return whole.extract({ left, top, width: side, height: side }).resize(to, to, { fit: 'fill' }).raw().toBuffer();
} // prettier-ignore

interface Ranked {
  change: DetectedChange;
  pictures: EncodedChip['pictures'];
}

/** Calibrates group by group; small groups together. */
function calibrated(encoded: ReadonlyMap<string, readonly EncodedChip[]>): {
  ranked: Ranked[];
  groups: CalibratedGroup[];
} {
  const large = [...encoded].filter(([, chips]) => chips.length >= FEW);
  const small = [...encoded].filter(([, chips]) => chips.length < FEW);
  const pooled = small.flatMap(([, chips]) => chips);
  const name = small.length === 1 ? small[0][0] : `${small.length} pairs of acquisitions with few chips each`;
  const all = pooled.length > 0 ? [...large, [name, pooled] as const] : large;
  const groups: CalibratedGroup[] = [];
  const ranked = all.flatMap(([group, chips]) => {
    const joined = (date: 'before' | 'after'): Float32Array => joinedOf(chips.map((chip) => chip[date]));
    const width = chips[0].before.length / PARTS ** 2;
    const features = { before: joined('before'), after: joined('after'), width, parts: PARTS ** 2 };
    const unlike = [chips.map(({ change }) => 1 - change.shift.correlation), chips.map(({ difference }) => Math.log(1 + difference))]; // prettier-ignore
    const { distance, probability, share, agreement } = calibrateChange(features, unlike);
    groups.push({ name: group, chips: chips.length, share, agreement });
    const together = withNeighbours(probability, chips.map(({ change: { id } }) => id)); // prettier-ignore
    return chips.map(({ change, pictures }, at): Ranked => ({ change: { ...change, change: distance[at], probability: together[at] }, pictures })); // prettier-ignore
  });
  ranked.sort(({ change: a }, { change: b }) => b.probability - a.probability || b.change - a.change || (a.id < b.id ? -1 : 1)); // prettier-ignore
  return { ranked, groups };
}

/** Probabilities no nearer to 0 and 1 than this, so that one chip does not outweigh all around it. */
const DOUBT = 1e-3;

/** Probabilities that take those around them into account, by their log odds. */
function withNeighbours(probability: Float64Array, ids: readonly string[]): Float64Array {
  const places = ids.map((id): GridPlace => columnRow(parseChip(id).quadkey));
  if (new Set(places.map(String)).size < places.length) return probability; // seen in several pairs that were pooled
  const odds = probability.map((p) => Math.log((p + DOUBT) / (1 - p + DOUBT)));
  return drawnTogether(odds, places).map((logOdds) => 1 / (1 + Math.exp(-logOdds)));
}

function joinedOf(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.length * parts[0].length);
  parts.forEach((part, at) => joined.set(part, at * part.length));
  return joined;
}

function picturesOf(ranked: readonly Ranked[]): NonNullable<ChangeList['pictures']> {
  const bytes = PICTURE * PICTURE * 3;
  const [before, after] = [0, 1].map((date) => {
    const all = new Uint8Array(ranked.length * bytes);
    ranked.forEach(({ pictures }, at) => all.set(pictures![date], at * bytes));
    return all;
  });
  return { before, after, size: PICTURE };
}
