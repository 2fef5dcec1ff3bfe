import type { Tile } from './delivery.ts';
import { openSource } from './address.ts';
import { METRES_PER_PIXEL } from './grid.ts';
import { type Raster, openObject, openRaster } from './raster.ts';
import { objectAt } from './remote.ts';
import type { Source, SourceOptions } from './source.ts';
import { type StepOptions, eachUnit } from './step.ts';

/** What one look into a tile's visual raster tells, no pixel decoded. */
export interface Survey {
  tile: Tile;
  /** Whether it lies where its folder says, to a hundredth of a pixel. */
  placed: boolean;
  /** Whether it has a mask that says which pixels are real. */
  masked: boolean;
  /** Whether it has more levels than the full one. */
  overviews: boolean;
}

/**
 * Opens the visual raster of every tile that has one. Of one in a bucket its beginning is read, 64 KiB.
 *
 * @param tiles their files by path or `s3://` address
 * @param options how to reach a bucket; concurrency: 8 where the first tile lies in one, else 2
 * @throws {Error} naming the file that is damaged or cut short
 */
export async function surveyRasters(
  tiles: readonly Tile[],
  options: StepOptions & SourceOptions = {},
): Promise<Survey[]> {
  const visual = tiles.filter(({ files }) => files.visual);
  const openTile = opener(options);
  const concurrency = visual[0]?.files.visual.startsWith('s3://') ? 8 : 2;
  return eachUnit(
    visual,
    'rasters',
    async (tile) => {
      const raster = await openTile(tile.files.visual);
      await raster.close();
      const [{ mask }, ...overviews] = raster.levels;
      return { tile, placed: isPlaced(raster, tile), masked: mask !== undefined, overviews: overviews.length > 0 };
    },
    { ...options, concurrency: options.concurrency ?? concurrency },
  );
}

/** Opens rasters, those of one bucket through one client. */
function opener(options: SourceOptions): (path: string) => Promise<Raster> {
  const buckets = new Map<string, Source>();
  return (path) => {
    if (!path.startsWith('s3://')) return openRaster(path);
    const { bucket, key } = objectAt(path);
    const source = buckets.get(bucket) ?? openSource(bucket, options);
    buckets.set(bucket, source);
    return openObject(source, key);
  };
}

/** Whether a raster lies where the grid puts its tile: projection, origin to a hundredth of a pixel, and pixel size. */
export function isPlaced({ epsg, origin, metresPerPixel }: Raster, { cell }: Pick<Tile, 'cell'>): boolean {
  const [west, , , north] = cell.tileBounds;
  const off = Math.max(Math.abs(origin[0] - west), Math.abs(origin[1] - north));
  return epsg === cell.epsg && off <= METRES_PER_PIXEL / 100 && metresPerPixel === METRES_PER_PIXEL;
}
