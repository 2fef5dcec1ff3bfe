import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Raster, type Shard, type Tile,
  CHIPS_PER_SIDE, CHIP_PIXELS, SourceError, chipIds, chipWindow, dataRoot, isShare, openDelivery, openRaster, paddedZone, shardOf, tilesOf, zonesOnDisk,
} from '../../ard/index.ts'; // prettier-ignore
import { checkPlace, readValidity } from '../../chips/index.ts';
import { type Ground, type Outbox, groundOf, openGround } from '../../infra/index.ts';
import { markIn } from './parts.ts';
import { keepReal, keptReal } from './real.ts';

/** One square of ground in one acquisition. */
export interface Visit {
  id: string;
  catid: string;
  date: string;
}

/** A square of ground that was seen whole on two days. */
export interface ChipPair<Row extends Visit = Visit> {
  id: string;
  before: Row;
  after: Row;
}

/** Two tiles of a cell, and the chips that are compared between them. */
export interface TilePair {
  before: Tile;
  after: Tile;
  /** Row × 64 + column from the cell's north-west, in order. */
  chips: number[];
}

/** Which days are compared where. */
export interface PairOptions {
  /** UTM zone. Default: the only one there is. */
  zone?: number | undefined;
  /** Day that counts as before, YYYY-MM-DD. Default: of each chip the first on which it was seen whole. */
  before?: string | undefined;
  /** Day that counts as after. Default: the last. */
  after?: string | undefined;
  /** Only the cells that fall to this one of several workers. Default: all. */
  shard?: Shard | undefined;
  /** Of the bucket that a delivery lies in: its tiles are brought to the outbox's folder. Default: it lies on a disk. */
  outbox?: Outbox | undefined;
  /** Stops the reading of masks. */
  signal?: AbortSignal | undefined;
}

/** What of a delivery can be compared. */
export interface PairedTiles {
  /** Folder or s3:// prefix that holds the delivery's zones. */
  folder: string;
  /** Where its tiles lie. */
  ground: Ground;
  zone: number;
  pairs: TilePair[];
  /** Tiles that nothing could be compared in, and why. */
  leftOut: string[];
  /** What the bucket has not taken. */
  failed: string[];
}

/**
 * The folder of the delivery whose dates are compared: `demo-ard` where tiles lie in it, else the data folder itself.
 *
 * @param isDemo whether `demo-ard` is looked at. Default: false
 */
export function changeFolder(dataPath: string, isDemo = false): string {
  const root = dataRoot(dataPath);
  const demo = join(root, 'demo-ard');
  const hasTiles = existsSync(demo) && readdirSync(demo).some(holdsTiles);
  return isDemo && hasTiles ? demo : root;
}

/**
 * {@link changeFolder}; where no tile of the zone lies there, the prefix of the same in a bucket.
 *
 * @param zone UTM zone whose tiles are looked for. Default: any
 * @param outbox of the bucket. Default: none is looked into
 */
export async function changeAddress(dataPath: string, { isDemo = false, zone, outbox }: { isDemo?: boolean | undefined; zone?: number | undefined; outbox?: Outbox | undefined }): Promise<string> {
  const folder = changeFolder(dataPath, isDemo);
  if (!outbox || (isDemo && folder !== dataRoot(dataPath))) return folder;
  if (isDemo && (await outbox.folders('demo-ard')).some(holdsTiles)) return `${outbox.address}/demo-ard`;
  const zones = await zonesOnDisk(dataPath);
  return (zone === undefined ? zones.length > 0 : zones.includes(zone)) ? folder : outbox.address;
} // prettier-ignore

function holdsTiles(name: string): boolean {
  return name === 'ard' || /^\d\d$/.test(name);
}

/**
 * Every chip of a delivery's zone that is real in every pixel on two days or more, in its first and its last acquisition.
 *
 * Nothing need have been indexed or cut: what is real is read from the tiles' own masks; of a bucket's once, and kept there beside the parts.
 *
 * @param folder or s3:// prefix that holds `ard/<zone>/…`, or the zones themselves
 * @throws {Error} when there are tiles of one day only, none of a day asked for, or no chip was seen whole twice; one of several workers may have none
 */
export async function pairedTiles(folder: string, options: PairOptions = {}): Promise<PairedTiles> {
  const { before, after, shard } = options;
  if (before !== undefined && after !== undefined && before >= after)
    throw new RangeError(`the day before, ${before}, is not earlier than the day after, ${after}: give the earlier one first`); // prettier-ignore
  const ground = await groundAt(folder, options);
  const zone = zoneOf(ground, folder);
  const all = ground.tiles;
  checkDays(all, zone, [before, after]);
  const leftOut: string[] = [];
  const tiles = all.filter(({ cell, date, catid, files }) => files['visual'] !== undefined || !leftOut.push(`${cell.id} ${date} ${catid}: it has no visual raster`)); // prettier-ignore
  const cells = groupedBy(tiles, ({ cell }) => cell.id);
  const mine = shard ? await shareOf(cells, shard, ground) : cells;
  const pairs: TilePair[] = [];
  const masks = { ground, leftOut, failed: [], outbox: options.outbox };
  for (const own of mine) {
    options.signal?.throwIfAborted();
    pairs.push(...(await pairsOfCell(own, { before, after }, (tile) => realChips(tile, masks), leftOut)));
    await ground.forget(own[0].cell);
  }
  if (pairs.length === 0 && !isShare(shard))
    throw new Error(`no chip of zone ${zone} in ${folder} was seen whole on both days${leftOut.length > 0 ? ` (left out: ${leftOut[0]})` : ''}: bring tiles of two dates that overlap`); // prettier-ignore
  return { folder, ground, zone, pairs, leftOut, failed: masks.failed };
}

/** The cells that fall to one worker, by the bytes of their rasters. */
async function shareOf(cells: Tile[][], shard: Shard, ground: Ground): Promise<Tile[][]> {
  const bytes = new Map<Tile[], number>();
  for (const own of cells) {
    const sizes = await Promise.all(own.map(async ({ files: { visual } }) => (await ground.facts(visual)).bytes));
    bytes.set(own, sizes.reduce((sum, size) => sum + size, 0)); // prettier-ignore
  }
  return shardOf(cells, shard, (own) => bytes.get(own)!);
}

/** The tiles of a folder or prefix. @throws {RangeError} for a prefix without an outbox */
async function groundAt(folder: string, { zone, outbox, signal }: PairOptions): Promise<Ground> {
  if (!folder.startsWith('s3://')) return groundOf(await tilesIn(folder, zone));
  if (!outbox) throw new RangeError(`pairedTiles brings the tiles of ${folder} by way of an outbox: give one`);
  return openGround(folder, { zone, scratch: join(outbox.inbox, folder.slice(outbox.address.length)), signal });
}

async function tilesIn(folder: string, zone: number | undefined): Promise<Tile[]> {
  const delivery = await openDelivery(folder, { zone });
  const { address } = delivery.source;
  return (await tilesOf(delivery)).map((tile) => ({
    ...tile,
    files: Object.fromEntries(Object.entries(tile.files).map(([kind, path]) => [kind, join(address, path)])),
  }));
}

function zoneOf({ tiles }: Ground, folder: string): number {
  const zones = [...new Set(tiles.map(({ cell }) => cell.zone))];
  if (zones.length > 1) throw new Error(`${folder} holds zones ${zones.join(', ')}: say which with --zone`);
  return zones[0];
}

function checkDays(tiles: readonly Tile[], zone: number, asked: readonly (string | undefined)[]): void {
  const days = [...new Set(tiles.map(({ date }) => date))].sort();
  for (const day of asked)
    if (day !== undefined && !days.includes(day))
      throw new Error(`no tile of zone ${paddedZone(zone)} is of ${day}: there are ${days.join(', ')}`);
  if (days.length < 2)
    throw new Error(`zone ${paddedZone(zone)} was seen on one day only, ${days[0]}: bring tiles of another date (imagesim sync)`); // prettier-ignore
}

/** The first and the last real tile of each chip, chips with the same two together. */
async function pairsOfCell(
  tiles: readonly Tile[],
  { before, after }: Pick<PairOptions, 'before' | 'after'>,
  realOf: (tile: Tile) => Promise<Uint8Array | undefined>,
  leftOut: string[],
): Promise<TilePair[]> {
  const inOrder = tiles.toSorted((a, b) => (whenOf(a) < whenOf(b) ? -1 : 1));
  if (new Set(inOrder.map(({ date }) => date)).size < 2) {
    leftOut.push(`${tiles[0].cell.id}: seen on ${tiles[0].date} only`);
    return [];
  }
  const real = await Promise.all(inOrder.map(realOf));
  const pairs = new Map<string, TilePair>();
  for (let chip = 0; chip < CHIPS_PER_SIDE ** 2; chip++) {
    const seen = inOrder.filter((_, at) => real[at]?.[chip] === 1);
    const first = seen.find(({ date }) => before === undefined || date === before);
    const last = seen.findLast(({ date }) => after === undefined || date === after);
    if (!first || !last || first.date >= last.date) continue;
    const key = `${whenOf(first)} ${whenOf(last)}`;
    const pair = pairs.get(key) ?? { before: first, after: last, chips: [] };
    pair.chips.push(chip);
    pairs.set(key, pair);
  }
  return [...pairs.values()];
}

/** Where masks are read, and what came of it. */
interface Masks extends Pick<PairedTiles, 'ground' | 'leftOut' | 'failed'>, Pick<PairOptions, 'outbox'> {}

/** Of each chip 1 where every pixel is real; nothing where that is not known, which is told. */
async function realChips(tile: Tile, { ground, leftOut, failed, outbox }: Masks): Promise<Uint8Array | undefined> {
  const isFar = ground.addressOf(tile.files['visual']).startsWith('s3://');
  const mark = await markIn(ground, tile);
  const kept = isFar ? await keptReal(outbox!, tile, mark) : undefined;
  if (kept) return kept;
  try {
    const real = await readReal(tile, ground);
    if (isFar) await keepReal(outbox!, tile, mark, real).catch((error: unknown) => failed.push((error as Error).message)); // it is read again then
    return real;
  } catch (error) {
    if (error instanceof SourceError) throw error; // the bucket is at fault, not the tile
    leftOut.push((error as Error).message);
    return undefined;
  }
} // prettier-ignore

/** From a raster's mask, in a bucket too. */
async function readReal(tile: Tile, ground: Ground): Promise<Uint8Array> {
  const raster = await openRaster(ground.addressOf(tile.files['visual']));
  try {
    checkPlace(raster, tile);
    await ground.bring(tile, ['data-mask']);
    return Uint8Array.from((await readValidity(raster, tile)).fractions, (share) => (share === 1 ? 1 : 0));
  } finally {
    await raster.close();
  }
}

function whenOf({ date, catid }: Tile): string {
  return `${date} ${catid}`;
}

/** Images of some pairs at both dates, cut with a margin of the ground around them. */
export interface PairImages {
  pairs: ChipPair[];
  /** Rows and columns of an image: the chip's 256 and two margins. */
  size: number;
  /** `[n, size, size, 3]`, RGB. */
  before: Uint8Array;
  after: Uint8Array;
}

/** Side of the squares that are read at once, chips. */
const SQUARE = 8;

/**
 * Reads the images of a pair of tiles, at most 64 chips at a time: straight from the rasters, never from chips on disk.
 *
 * @param margin pixels of ground around each chip, at most the tile's apron
 */
export async function* pairImages(pair: TilePair, margin: number): AsyncGenerator<PairImages> {
  const rasters = await Promise.all([pair.before, pair.after].map(({ files }) => openRaster(files['visual'])));
  const ids = chipIds(pair.before.cell);
  const visit = (id: string, { catid, date }: Tile): Visit => ({ id, catid, date });
  try {
    for (const chips of squaresOf(pair.chips)) {
      const [before, after] = await Promise.all(rasters.map((raster) => imagesOf(raster, chips, margin)));
      const pairs = chips.map((chip) => ({ id: ids[chip], before: visit(ids[chip], pair.before), after: visit(ids[chip], pair.after) })); // prettier-ignore
      yield { pairs, size: CHIP_PIXELS + 2 * margin, before, after };
    }
  } finally {
    await Promise.all(rasters.map((raster) => raster.close()));
  }
}

const placeOf = (chip: number): { row: number; column: number } => ({ row: Math.floor(chip / CHIPS_PER_SIDE), column: chip % CHIPS_PER_SIDE }); // prettier-ignore

function squaresOf(chips: readonly number[]): number[][] {
  return groupedBy(chips, (chip) => {
    const { row, column } = placeOf(chip);
    return Math.floor(row / SQUARE) * CHIPS_PER_SIDE + Math.floor(column / SQUARE);
  });
}

/** Those with the same key together, in the order in which keys come first. */
function groupedBy<Item>(items: readonly Item[], keyOf: (item: Item) => unknown): Item[][] {
  const groups = new Map<unknown, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return [...groups.values()];
}

/** Windows of chips that lie near each other: the pixels of all are read once. */
async function imagesOf(raster: Raster, chips: readonly number[], margin: number): Promise<Uint8Array> {
  const windows = chips.map((chip) => chipWindow(placeOf(chip)));
  const [left, top] = [Math.min(...windows.map(([x]) => x)) - margin, Math.min(...windows.map(([, y]) => y)) - margin];
  const width = Math.max(...windows.map(([x]) => x)) + CHIP_PIXELS + margin - left;
  const height = Math.max(...windows.map(([, y]) => y)) + CHIP_PIXELS + margin - top;
  const pixels = await raster.readWindow(left, top, width, height);
  const size = CHIP_PIXELS + 2 * margin;
  const images = new Uint8Array(chips.length * size * size * 3);
  for (const [at, [x, y]] of windows.entries()) {
    for (let row = 0; row < size; row++) {
      const from = ((y - margin - top + row) * width + x - margin - left) * 3;
      images.set(pixels.subarray(from, from + size * 3), (at * size + row) * size * 3);
    }
  }
  return images;
}
