import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  type Bounds, type Cell, type Raster, type Shard, type StepOptions, type Tile, CHIPS_PER_SIDE, WriteError, atWork, boundsOf,
  chipBounds, chipIds, dataRoot, eachUnit, isShare, paddedZone, polygonOf, readTiles, shardOf, sweepParts,
} from '../ard/index.ts'; // prettier-ignore
import { type TileFilter, checkFilter, isWanted, touches, whyUnfit } from '../infra/index.ts';
import { type ChipFormat, type Cut, agreeOnCut, cutTile, missingChips, removeChips, writeCut } from './cut.ts';
import { mergeRecords } from './merge.ts';
import { NoMaskError } from './nodata.ts';
import { checkIndex } from './nodataindex.ts';
import { type Product, openProduct } from './product.ts';
import { type TileRecord, chipsOf, fileFacts, readRecord, recordOf, writeRecord } from './record.ts';

/** Options of {@link chipTiles}. */
export interface ChipOptions extends StepOptions, Omit<TileFilter, 'zone'> {
  /** Data folder with the delivery under `ard`. */
  dataPath: string;
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
  /** Whether the index has it all; of several workers who ends last merges what the others have done. */
  merged: boolean;
}

/** What is settled before work begins. */
interface Plan extends ChipOptions {
  filename: string;
  chipDir: string;
  zone: number;
  cut: Cut;
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
 * @throws {RangeError} when the zone is not given, disagrees with the chip folder, or a filter can mean nothing
 * @throws {Error} naming the index, when it is of another version, or the chips, when they were cut otherwise
 */
export async function chipTiles(options: ChipOptions): Promise<ChipReport> {
  const plan = settle(options);
  await checkIndex(plan.filename); // one of another version ends it here
  if (!plan.indexOnly)
    await agreeOnCut(plan.chipDir, plan.cut, cutsAll(plan) || (plan.dryRun === true && plan.force === true));
  const report: ChipReport = {
    zone: plan.zone, quadkeys: [], tiles: [], chips: 0, cut: 0, bytes: 0, leftOut: [], failed: [], filename: plan.filename, chipDir: plan.chipDir,
    merged: false,
  }; // prettier-ignore
  const isLast =
    isShare(plan.shard) && !plan.dryRun
      ? (await atWork(plan.filename, () => chipCells(plan, report))).isLast
      : (await chipCells(plan, report), true);
  report.tiles.sort((a, b) => (`${a.cell} ${a.date} ${a.catid}` < `${b.cell} ${b.date} ${b.catid}` ? -1 : 1));
  if (plan.dryRun || !isLast) return report;
  await mergeRecords(plan.filename, plan.indexOnly ? undefined : plan.chipDir, plan.signal);
  return { ...report, merged: true };
}

async function chipCells(plan: Plan, report: ChipReport): Promise<void> {
  const cells = await chooseCells(plan, report);
  report.quadkeys = cells.map(({ cell }) => cell.quadkey).sort();
  await eachUnit(cells, 'cells', (work) => chipCell(work, plan, report), { ...plan, concurrency: plan.concurrency ?? 2 }); // prettier-ignore
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
  const filename = options.filename ?? join(dataRoot(dataPath), 'nodata-index.json');
  const chipDir = options.chipDir ?? join(dataRoot(dataPath), 'chips', paddedZone(zone));
  return { ...options, zone, filename, chipDir, cut: { format, quality, minValid, product } };
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
async function chooseCells(plan: Plan, { leftOut, failed }: ChipReport): Promise<CellWork[]> {
  const { product } = plan.cut;
  const onFault = (fault: Error): void => void failed.push(fault.message);
  const cells = new Map<string, CellWork>();
  for (const tile of await readTiles(plan.dataPath, { zone: plan.zone, onFault })) {
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
  return plan.shard ? shareOf([...cells.values()], plan.shard, product) : [...cells.values()];
}

/** The cells that fall to one worker, by the bytes of their rasters. */
async function shareOf(cells: CellWork[], shard: Shard, product: string): Promise<CellWork[]> {
  const sizeOf = (path: string): Promise<number> => stat(path).then(({ size }) => size, () => 0); // prettier-ignore
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

/** All wanted tiles of a cell, one after another; then its record. */
async function chipCell({ cell, tiles, there }: CellWork, plan: Plan, report: ChipReport): Promise<void> {
  const before = await readRecord(plan.filename, cell.id);
  const after = new Map(before.tiles.filter((one) => there.has(keyOf(one))).map((one) => [keyOf(one), one]));
  for (const tile of tiles) {
    plan.signal?.throwIfAborted();
    try {
      const record = await chipTile(tile, after.get(keyOf(tile)), plan, report);
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
}

/** One tile: what is real in it, from its mask or an earlier look at it; then its chips. */
async function chipTile(
  tile: Tile,
  known: TileRecord | undefined,
  plan: Plan,
  report: ChipReport,
): Promise<TileRecord> {
  const { cut, chipDir, force = false } = plan;
  const file = await fileFacts(tile.files[cut.product], tile.files['data-mask']);
  const isBelieved = known?.from !== 'assumed' || plan.noMask === 'assume-real'; // what was assumed once holds for once
  const isKnown = known && !force && isBelieved && JSON.stringify(known.file) === JSON.stringify(file);
  const isReplaced = known?.file.name === file.name && (known.file.bytes !== file.bytes || known.file.modified !== file.modified); // prettier-ignore
  if ((isReplaced && !plan.dryRun) || cutsAll(plan)) await removeChips(tile, chipDir); // they show another file, or were cut otherwise
  const opened = new Opened(tile, cut.product);
  try {
    const record = isKnown ? known : recordOf(tile, file, await (await opened.get()).validity(plan));
    const chips = chipsOf(record, cut.minValid).filter(isWithin(tile.cell, plan.bbox));
    if (!plan.indexOnly && !plan.dryRun) await sweepParts(join(chipDir, tile.cell.quadkey, tile.date)); // a killed worker's, whose chips another has cut
    const missing = plan.indexOnly
      ? []
      : await missingChips(tile, chips, chipDir, { ...cut, force: force || isReplaced });
    if (missing.length > 0 && plan.dryRun) report.bytes += bytesOf((await opened.get()).raster, missing);
    else if (missing.length > 0) {
      const { raster, readSquare } = await opened.get();
      await writeCut(chipDir, cut);
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

/** A raster that is opened when it is first needed. */
class Opened {
  readonly #open: () => Promise<Product>;
  #product: Promise<Product> | undefined;

  constructor(tile: Tile, product: string) {
    this.#open = () => openProduct(tile, product);
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
