import { basename, join } from 'node:path';
import {
  type Raster,
  type StepOptions,
  type Tile,
  chipIds,
  dataRoot,
  eachUnit,
  openRaster,
  readTiles,
} from '../ard/index.ts';
import { agreeOnCut, chipPath, type Chip, cutTile } from './cut.ts';
import { checkPlace, NoMaskError, readValidity, type Validity } from './nodata.ts';
import { forgetCell, readNodataIndex, recordTile, writeNodataIndex } from './nodataindex.ts';

/** Options of {@link chipTiles}. */
export interface ChipOptions extends StepOptions {
  /** Data folder with the delivery under `ard`. */
  dataPath: string;
  /** Where the no-data index lies or is to lie. Default: `nodata-index.json` in the data folder. */
  filename?: string;
  /** Where chips go; its last part is the zone. Default: `chips/<zone>` in the data folder. */
  chipDir?: string;
  /** UTM zone. Default: the last part of `chipDir`. */
  zone?: number;
  /** JPEG quality, 1–100. Default 90. */
  quality?: number;
  /** Least fraction of real pixels of a chip that is cut, 0–1. The index always means every pixel. Default 1. */
  minValid?: number;
  /** What to do with a tile that has neither mask nor alpha band nor data-mask.gpkg. Default: `leave-out`; the report lists it. */
  noMask?: 'leave-out' | 'assume-real';
  /** Writes the index and cuts nothing. Default: cuts. */
  indexOnly?: boolean;
  /** Cuts again what is there. Default: leaves it. */
  force?: boolean;
}

/** What {@link chipTiles} did. */
export interface ChipReport {
  zone: number;
  /** One for each tile with a visual raster; `from` says how what is real in it is known. */
  tiles: {
    cell: string;
    date: string;
    catid: string;
    valid: number;
    partial: number;
    cut: number;
    from: Validity['from'];
  }[];
  /** The chips that are asked for, those from an earlier run included. */
  chips: Chip[];
  /** Chips cut in this run. */
  cut: number;
  /** What was left out, and why. */
  leftOut: string[];
  filename: string;
  chipDir: string;
}

/**
 * Reads what is real from the masks, the alpha bands or the delivery's outlines, writes the no-data index, and cuts the chips of a zone.
 *
 * Idempotent: a second run cuts only what is missing. A tile is the unit.
 *
 * @throws {RangeError} when the zone is not given, or disagrees with the chip folder
 * @throws {Error} naming the file, when a raster or the index cannot be used
 */
export async function chipTiles(options: ChipOptions): Promise<ChipReport> {
  const { dataPath, minValid = 1, concurrency = 2 } = options;
  if (!(minValid > 0 && minValid <= 1))
    throw new RangeError(`chipTiles requires minValid above 0 and at most 1, got ${minValid}`);
  const zone = zoneOfChips(options);
  const filename = options.filename ?? join(dataRoot(dataPath), 'nodata-index.json');
  const chipDir = options.chipDir ?? join(dataRoot(dataPath), 'chips', String(zone).padStart(2, '0'));
  const index = await readNodataIndex(filename);
  const leftOut: string[] = [];
  const tiles = (await readTiles(dataPath, { zone })).filter((tile) => {
    if (!tile.files.visual) leftOut.push(`${tile.cell.id} ${tile.date} ${tile.catid} has no visual raster`);
    return tile.files.visual;
  });
  if (!options.indexOnly)
    await agreeOnCut(chipDir, { quality: options.quality ?? 90, minValid }, options.force ?? false);
  const done = await eachUnit(tiles, 'tiles', async (tile) => chipTile(tile, { ...options, chipDir, minValid }), {
    ...options,
    concurrency,
  });
  const results = done.flatMap((result) => {
    if ('leftOut' in result) leftOut.push(result.leftOut);
    return 'leftOut' in result ? [] : [result];
  });
  for (const cell of new Set(tiles.map((tile) => tile.cell.id))) forgetCell(index, cell); // acquisitions that are gone
  for (const { tile, valid } of results) recordTile(index, tile.catid, valid, chipIds(tile.cell));
  await writeNodataIndex(filename, index);
  return {
    zone,
    tiles: results.map(({ tile, valid, partial, cut, from }) => ({
      cell: tile.cell.id, date: tile.date, catid: tile.catid, valid: valid.size, partial, cut, from,
    })), // prettier-ignore
    chips: results.flatMap(({ chips }) => chips),
    cut: results.reduce((sum, { cut }) => sum + cut, 0),
    leftOut,
    filename,
    chipDir,
  };
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

interface TileResult {
  tile: Tile;
  valid: Set<string>;
  partial: number;
  cut: number;
  from: Validity['from'];
  chips: Chip[];
}

async function chipTile(
  tile: Tile,
  options: ChipOptions & { chipDir: string; minValid: number },
): Promise<TileResult | { leftOut: string }> {
  const raster = await openRaster(tile.files.visual);
  try {
    checkPlace(raster, tile);
    return await chipRaster(raster, tile, options);
  } catch (error) {
    if (error instanceof NoMaskError) return { leftOut: error.message };
    throw error;
  } finally {
    await raster.close();
  }
}

async function chipRaster(
  raster: Raster,
  tile: Tile,
  options: ChipOptions & { chipDir: string; minValid: number },
): Promise<TileResult> {
  const { fractions, from } = await readValidity(raster, tile, options);
  const ids = chipIds(tile.cell);
  const wanted = [...fractions.keys()].filter((index) => fractions[index] >= options.minValid);
  const cut = options.indexOnly ? 0 : await cutTile(raster, tile, wanted, options.chipDir, options);
  return {
    tile,
    valid: new Set(ids.filter((_, index) => fractions[index] === 1)),
    partial: fractions.filter((fraction) => fraction > 0 && fraction < 1).length,
    cut,
    from,
    chips: options.indexOnly
      ? []
      : wanted.map((index) => ({
          id: ids[index],
          catid: tile.catid,
          date: tile.date,
          cell: tile.cell.id,
          path: chipPath(options.chipDir, tile, ids[index]),
        })),
  };
}
