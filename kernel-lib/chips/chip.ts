import { basename, join } from 'node:path';
import {
  type Bounds, type Cell, type Raster, type Shard, type StepOptions, type Tile, CHIPS_PER_SIDE, WriteError, atWork, boundsOf,
  chipBounds, chipIds, dataRoot, eachUnit, isShare, paddedZone, polygonOf, shardOf, sweepParts,
} from '../ard/index.ts'; // prettier-ignore
import { type Ground, type TileFilter, checkFilter, groundAddress, isWanted, openGround, outboxOf, touches, whyUnfit } from '../infra/index.ts'; // prettier-ignore
import { type ChipFormat, type Cut, agreeOnCut, cutTile, missingChips, readCut, removeChips, writeCut } from './cut.ts';
import { type Held, Handover } from './handover.ts';
import { mergeRecords } from './merge.ts';
import { NoMaskError } from './nodata.ts';
import { checkIndex } from './nodataindex.ts';
import { type Product, openProduct } from './product.ts';
import { type CellRecord, type TileRecord, chipsOf, fileFacts, readRecord, recordOf, writeRecord } from './record.ts';

/** Options of {@link chipTiles}. */
export interface ChipOptions extends StepOptions, Omit<TileFilter, 'zone'> {
  /** Data folder with the delivery under `ard`. */
  dataPath: string;
  /** Where tiles are read: a data folder, or an s3:// prefix that holds `ard`. Default: `dataPath`, or `to` where none of the zone lies there. */
  ard?: string | undefined;
  /**
   * `s3://` prefix that index, records and chips go to, a cell at a time, under the same keys; what lies there is not made again.
   * Default: the data folder.
   */
  to?: string | undefined;
  /** Where the no-data index lies or is to lie. Default: `nodata-index.json` in the data folder. */
  filename?: string | undefined;
  /** Where chips go; its last part is the zone. Default: `chips/<zone>` in the data folder. */
  chipDir?: string | undefined;
  /** UTM zone. Default: the last part of `chipDir`. */
  zone?: number | undefined;
  /** Raster that is cut: `visual`, or `ms` or `pan`, stretched and laid on the grid. Default: `visual`. */
  product?: 'visual' | 'ms' | 'pan' | undefined;
  /** Default: `jpg`. */
  format?: ChipFormat | undefined;
  /** 1–100. Default: as delivered: JPEG blocks are cropped without a second loss, what is none is encoded with 90. */
  quality?: number | undefined;
  /** Least share of real pixels of a chip that is cut, 0–1. The index always means every pixel. Default: 1. */
  minValid?: number | undefined;
  /** What to do with a tile that has neither mask nor alpha band nor data-mask.gpkg. Default: `leave-out`; it is listed. */
  noMask?: 'leave-out' | 'assume-real' | undefined;
  /** Writes the index and cuts nothing. Default: cuts. */
  indexOnly?: boolean | undefined;
  /** Says what would be done and writes nothing. Default: does it. */
  dryRun?: boolean | undefined;
  /** Only the cells that fall to this one of several workers; who ends last merges what all have done. Default: all cells. */
  shard?: Shard | undefined;
  /** Reads masks anew and cuts again what is there. Default: leaves it. */
  force?: boolean | undefined;
}

/** What was found of one tile, and done. */
export interface TileReport {
  cell: string;
  date: string;
  catid: string;
  /** Chips that are real at every pixel. */
  valid: number;
  /** Chips with a hole or an edge in them. */
  partial: number;
  /** Chips cut in this run; of a dry run, those that would be. */
  cut: number;
  /** Share of the cell that is real, 0–1. */
  filled: number;
  /** How it is known which pixels are real: `mask`, `alpha`, `gpkg`, or `assumed`. */
  from: string;
}

/** What {@link chipTiles} did. */
export interface ChipReport {
  zone: number;
  /** Cells of this worker, by quadkey, in order. */
  quadkeys: string[];
  tiles: TileReport[];
  /** Chips that are asked for, those from an earlier run included. */
  chips: number;
  /** Chips cut in this run; of a dry run, those that would be. */
  cut: number;
  /** Bytes of all chips that a dry run would cut, reckoned from the tiles' own; of a run 0. */
  bytes: number;
  /** What was left out, and why. */
  leftOut: string[];
  /** Tiles that could not be used: damaged, or in the wrong place. They are not in the index. */
  failed: string[];
  filename: string;
  chipDir: string;
  /** Whether the index has it all; of several workers who ends last merges what the others have done, but not in a bucket. */
  merged: boolean;
}

/** What is settled before work begins. */
interface Plan extends ChipOptions {
  filename: string;
  chipDir: string;
  zone: number;
  cut: Cut;
  /** Where tiles that are brought lie for a while. */
  scratch: string;
  handover: Handover | undefined;
}

/**
 * Reads what is real from the masks, writes the no-data index, and cuts the chips of a zone.
 *
 * The unit is the cell: what its masks say goes into a record of its own beside the index, from which the index and the
 * chips' table, `index.parquet`, are merged at the end; of several workers by the one that ends last, and by every later run
 * without `shard`. A tile whose file is the same as
 * at the last run is not read again, and a chip that is there is not cut again; of one that another file has replaced the
 * chips are cut anew.
 *
 * With `to` no disk is shared, and little of it is needed: tiles are brought, where they lie in a bucket, and each cell's chips, then
 * its record, are put into the bucket and removed here. A cell that could not be put is among what has failed, and stays here. What the
 * bucket holds is not made again; index and table are merged there by a run that is no share.
 *
 * @throws {RangeError} when the zone is not given, disagrees with the chip folder, or a filter can mean nothing
 * @throws {Error} naming the index, when it is of another version, or the chips, when they were cut otherwise
 */
export async function chipTiles(options: ChipOptions): Promise<ChipReport> {
  const plan = settle(options);
  const { handover, filename, chipDir } = plan;
  if (!handover) await checkIndex(filename); // one of another version ends it here
  await agree(plan);
  const [indexPlace, chipPlace] = [filename, chipDir].map((path) => handover?.addressOf(path) ?? path);
  const report: ChipReport = {
    zone: plan.zone, quadkeys: [], tiles: [], chips: 0, cut: 0, bytes: 0, leftOut: [], failed: [], filename: indexPlace, chipDir: chipPlace,
    merged: false,
  }; // prettier-ignore
  const isLast = await workedLast(plan, report);
  report.tiles.sort((a, b) => (`${a.cell} ${a.date} ${a.catid}` < `${b.cell} ${b.date} ${b.catid}` ? -1 : 1));
  if (plan.dryRun || !isLast) return report;
  if (handover) await handover.merge(plan.signal);
  else await mergeRecords(filename, plan.indexOnly ? undefined : chipDir, { signal: plan.signal });
  return { ...report, merged: true };
}

/** Makes sure that the chips that are there were cut as is asked for now. */
async function agree(plan: Plan): Promise<void> {
  if (plan.indexOnly) return;
  const { handover, chipDir, cut, dryRun, force } = plan;
  const again = cutsAll(plan) || (dryRun === true && force === true);
  if (handover) await handover.agree(cut, again);
  else agreeOnCut(chipDir, await readCut(chipDir), cut, again);
}

/** Works on the cells. @returns whether no other worker is still at it; of those who share no disk nobody can tell */
async function workedLast(plan: Plan, report: ChipReport): Promise<boolean> {
  if (isShare(plan.shard) && !plan.dryRun && !plan.handover)
    return (await atWork(plan.filename, () => chipCells(plan, report))).isLast;
  await chipCells(plan, report);
  return !isShare(plan.shard);
}

async function chipCells(plan: Plan, report: ChipReport): Promise<void> {
  const { dataPath, ard, zone, to, scratch, signal } = plan;
  const onFault = (fault: Error): void => void report.failed.push(fault.message);
  const ground = await openGround(ard ?? (await groundAddress(dataPath, zone, to)), { zone, scratch, onFault, signal });
  const cells = await chooseCells(ground, plan, report);
  report.quadkeys = cells.map(({ cell }) => cell.quadkey).sort();
  const work = async (one: CellWork): Promise<void> => {
    try {
      await chipCell(one, ground, plan, report);
    } finally {
      await ground.forget(one.cell);
    }
  };
  await eachUnit(cells, 'cells', work, { ...plan, concurrency: plan.concurrency ?? 2 });
}

/** Whether every chip of the zone is cut again: none is chosen, and none is another worker's. */
function cutsAll({ force = false, indexOnly, dryRun, ...plan }: ChipOptions): boolean {
  if (!force || indexOnly || dryRun) return false;
  const { bbox, quadkey, since, until, maxCloudPercent, maxOffNadir, minFilled, shard } = plan;
  return [bbox, quadkey, since, until, maxCloudPercent, maxOffNadir, minFilled, shard].every((part) => part === undefined); // prettier-ignore
}

function settle(options: ChipOptions): Plan {
  const { dataPath, minValid = 1, format = 'jpg', quality = 'as delivered', product = 'visual' } = options;
  if (!(minValid > 0 && minValid <= 1))
    throw new RangeError(`chipTiles requires minValid above 0 and at most 1, got ${minValid}`);
  if (quality !== 'as delivered' && !(quality >= 1 && quality <= 100))
    throw new RangeError(`chipTiles requires a quality of 1 to 100, got ${quality}`);
  checkFilter(options);
  const zone = zoneOfChips(options);
  if (options.to !== undefined && (options.filename !== undefined || options.chipDir !== undefined))
    throw new RangeError(`what goes to ${options.to} has the keys of a data folder: give the zone, and neither index nor chip folder`); // prettier-ignore
  const outbox = outboxOf(dataPath, options.to, options.signal);
  const root = outbox?.root ?? dataRoot(dataPath);
  const filename = options.filename ?? join(root, 'nodata-index.json');
  const chipDir = options.chipDir ?? join(root, 'chips', paddedZone(zone));
  const handover = outbox && new Handover(outbox, filename, chipDir);
  const scratch = outbox?.inbox ?? join(root, 'scratch');
  return { ...options, zone, filename, chipDir, cut: { format, quality, minValid, product }, scratch, handover };
}

function zoneOfChips({ zone, chipDir }: ChipOptions): number {
  const named = chipDir === undefined ? undefined : Number(/^\d{1,2}$/.exec(basename(chipDir))?.[0]);
  if (zone !== undefined && named && named !== zone) {
    throw new RangeError(`zone ${zone} and chip folder ${chipDir} disagree: give one zone`);
  }
  const found = zone ?? named;
  if (!found || found < 1 || found > 60) {
    throw new RangeError(
      `no zone: let the chip folder end in it (…/chips/33), or give --zone; got ${chipDir ?? 'neither'}`,
    );
  }
  return found;
}

/** A cell, the tiles of it that are wanted, and every acquisition of it that is on the disk. */
interface CellWork {
  cell: Cell;
  tiles: Tile[];
  there: Set<string>;
}

/** The cells that are worked on; tiles that are not wanted are listed with the reason. */
async function chooseCells(ground: Ground, plan: Plan, { leftOut }: ChipReport): Promise<CellWork[]> {
  const { product } = plan.cut;
  const cells = new Map<string, CellWork>();
  for (const tile of ground.tiles) {
    const { cell, files } = tile;
    if (!isWanted(tile, { bbox: plan.bbox, quadkey: plan.quadkey })) continue;
    const work = cells.get(cell.id) ?? { cell, tiles: [], there: new Set() };
    cells.set(cell.id, work);
    if (files[product] ?? files['visual']) work.there.add(keyOf(tile));
    if (!isWanted(tile, plan)) continue;
    const why = files[product] ? whyUnfit(tile, plan) : `it has no ${product} raster`;
    if (why) leftOut.push(`${cell.id} ${tile.date} ${tile.catid}: ${why}`);
    else work.tiles.push(tile);
  }
  return plan.shard ? shareOf([...cells.values()], plan.shard, product, ground) : [...cells.values()];
}

/** The cells that fall to one worker, by the bytes of their rasters. */
async function shareOf(cells: CellWork[], shard: Shard, product: string, ground: Ground): Promise<CellWork[]> {
  const sizeOf = (path: string): Promise<number> => ground.facts(path).then(({ bytes }) => bytes, () => 0); // prettier-ignore
  const bytes = new Map<CellWork, number>();
  for (const work of cells) {
    const sizes = await Promise.all(work.tiles.map(({ files }) => sizeOf(files[product])));
    bytes.set(work, sizes.reduce((sum, size) => sum + size, 0)); // prettier-ignore
  }
  return shardOf(cells, shard, (work) => bytes.get(work)!);
}

function keyOf({ date, catid }: Pick<Tile, 'date' | 'catid'>): string {
  return `${date} ${catid}`;
}

/** All wanted tiles of a cell, one after another; then its record; then both go where they are to go. */
async function chipCell(work: CellWork, ground: Ground, plan: Plan, report: ChipReport): Promise<void> {
  const { cell } = work;
  const { handover, filename, indexOnly, dryRun } = plan;
  if (!handover)
    return void (await chipTilesOf(work, await readRecord(filename, cell.id), undefined, ground, plan, report));
  try {
    const held = await handover.held(cell, !indexOnly);
    const before = held.record ?? (await readRecord(filename, cell.id)); // one that could not be put
    const isNew = await chipTilesOf(work, before, held, ground, plan, report);
    if (!dryRun) await handover.hand(cell, held, isNew || (held.record === undefined && before.tiles.length > 0));
  } catch (error) {
    if (plan.signal?.aborted || error instanceof WriteError) throw error;
    report.failed.push((error as Error).message);
  }
}

/** @param held what the bucket holds of the cell, where it goes there @returns whether there is a new record */
async function chipTilesOf(
  { cell, tiles, there }: CellWork,
  before: CellRecord,
  held: Held | undefined,
  ground: Ground,
  plan: Plan,
  report: ChipReport,
): Promise<boolean> {
  const after = new Map(before.tiles.filter((one) => there.has(keyOf(one))).map((one) => [keyOf(one), one]));
  for (const tile of tiles) {
    plan.signal?.throwIfAborted();
    try {
      const record = await chipTile({ tile, known: after.get(keyOf(tile)), held, ground }, plan, report);
      if (plan.cut.product === 'visual' || !tile.files['visual']) after.set(keyOf(tile), record); // the visual's own goes before
    } catch (error) {
      if (plan.signal?.aborted || error instanceof WriteError) throw error;
      after.delete(keyOf(tile));
      if (cutsAll(plan)) await removeChips(tile, plan.chipDir);
      (error instanceof NoMaskError ? report.leftOut : report.failed).push((error as Error).message);
    }
  }
  const isNew = [...after.values()].some((one) => !before.tiles.includes(one)) || after.size < before.tiles.length;
  if (isNew && !plan.dryRun) await writeRecord(plan.filename, { cell: cell.id, tiles: [...after.values()] });
  return isNew;
}

/** A tile, what a run before has found of it, and what the bucket holds of its cell. */
interface TileWork {
  tile: Tile;
  known: TileRecord | undefined;
  held: Held | undefined;
  ground: Ground;
}

/** One tile: what is real in it, from its mask or an earlier look at it; then its chips. */
async function chipTile({ tile, known, held, ground }: TileWork, plan: Plan, report: ChipReport): Promise<TileRecord> {
  const { cut, chipDir, force = false, handover } = plan;
  const file = await fileFacts(tile.files[cut.product], tile.files['data-mask'], ground.facts);
  const isBelieved = known?.from !== 'assumed' || plan.noMask === 'assume-real'; // what was assumed once holds for once
  const isKnown = known && !force && isBelieved && JSON.stringify(known.file) === JSON.stringify(file);
  const isReplaced = known?.file.name === file.name && (known.file.bytes !== file.bytes || known.file.modified !== file.modified); // prettier-ignore
  if ((isReplaced && !plan.dryRun) || cutsAll(plan)) await removeChips(tile, chipDir); // they show another file, or were cut otherwise
  const names = held && handover ? handover.names(held, tile) : [];
  const opened = new Opened(tile, cut.product, ground);
  try {
    const record = isKnown ? known : recordOf(tile, file, await (await opened.get()).validity(plan));
    const chips = chipsOf(record, cut.minValid).filter(isWithin(tile.cell, plan.bbox));
    if (!plan.indexOnly && !plan.dryRun) await sweepParts(join(chipDir, tile.cell.quadkey, tile.date)); // a killed worker's, whose chips another has cut
    const missing = plan.indexOnly
      ? []
      : await missingChips(tile, chips, chipDir, { ...cut, force: force || isReplaced, elsewhere: names });
    if (isReplaced || cutsAll(plan)) report.leftOut.push(...strayLines(tile, chips, names, plan));
    if (missing.length > 0 && plan.dryRun) report.bytes += bytesOf((await opened.get()).raster, missing);
    else if (missing.length > 0) {
      const { raster, readSquare } = await opened.get();
      await (handover?.sayCut(cut) ?? writeCut(chipDir, cut));
      await cutTile(raster, tile, missing, chipDir, { ...cut, force, readSquare, signal: plan.signal });
    }
    report.chips += plan.indexOnly ? 0 : chips.length;
    report.cut += missing.length;
    report.tiles.push({ ...factsOf(tile, record), cut: missing.length });
    return record;
  } finally {
    await opened.close();
  }
}

/** Chips of a tile that a bucket holds from before, and that are none of it now: nothing is deleted there. */
function strayLines(tile: Tile, chips: readonly number[], names: readonly string[], plan: Plan): string[] {
  const ids = chipIds(tile.cell);
  const own = new Set(chips.map((chip) => `${ids[chip]}_${tile.catid}`));
  const strays = names.filter(
    (name) => name.slice(23).startsWith(`${tile.catid}.`) && !own.has(name.replace(/\.\w+$/, '')),
  );
  if (strays.length === 0) return [];
  const folder = plan.handover!.addressOf(join(plan.chipDir, tile.cell.quadkey, tile.date));
  return [`${strays.length} chips in ${folder} show what ${tile.catid} was before, as ${strays[0]}: delete them`];
}

/** A raster that is brought and opened when it is first needed. */
class Opened {
  readonly #open: () => Promise<Product>;
  #product: Promise<Product> | undefined;

  constructor(tile: Tile, product: string, ground: Ground) {
    this.#open = async () => {
      await ground.bring(tile, [product, 'visual', 'data-mask']);
      return openProduct(tile, product);
    };
  }

  get(): Promise<Product> {
    return (this.#product ??= this.#open());
  }

  async close(): Promise<void> {
    const product = await this.#product?.catch(() => undefined); // who asked for it was told
    await product?.close();
  }
}

function factsOf({ cell, date, catid }: Tile, record: TileRecord): Omit<TileReport, 'cut'> {
  const valid = chipsOf(record).length;
  const shares = Object.values(record.partial);
  const filled = (valid + shares.reduce((sum, share) => sum + share, 0)) / CHIPS_PER_SIDE ** 2;
  return { cell: cell.id, date, catid, valid, partial: shares.length, filled, from: record.from };
}

/** Bytes of chips as the raster has them: a quarter of their blocks each. */
function bytesOf({ levels: [level] }: Raster, chips: readonly number[]): number {
  const bytes = (chip: number): number => {
    const [column, row] = [((chip % CHIPS_PER_SIDE) >> 1) + 1, (Math.floor(chip / CHIPS_PER_SIDE) >> 1) + 1];
    return level.byteCounts[row * level.blocksAcross + column] / 4;
  };
  return chips.reduce((sum, chip) => sum + bytes(chip), 0);
}

/** Whether a chip touches a box of degrees; every one does where there is none. */
function isWithin(cell: Cell, bbox: Bounds | undefined): (chip: number) => boolean {
  if (!bbox) return () => true;
  const ids = chipIds(cell);
  return (chip) => touches(boundsOf(polygonOf(cell.epsg, chipBounds(ids[chip])).coordinates[0]), bbox);
}
