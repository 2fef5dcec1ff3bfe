import type { Tile } from './delivery.ts';
import { METRES_PER_PIXEL } from './grid.ts';
import { type Raster, openRaster } from './raster.ts';
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
 * Opens the visual raster of every tile that has one.
 *
 * @throws {Error} naming the file that is damaged or cut short
 */
export async function surveyRasters(tiles: readonly Tile[], options: StepOptions = {}): Promise<Survey[]> {
  const visual = tiles.filter(({ files }) => files.visual);
  return eachUnit(
    visual,
    'rasters',
    async (tile) => {
      const raster = await openRaster(tile.files.visual);
      await raster.close();
      const [{ mask }, ...overviews] = raster.levels;
      return { tile, placed: isPlaced(raster, tile), masked: mask !== undefined, overviews: overviews.length > 0 };
    },
    options,
  );
}

/** Whether a raster lies where the grid puts its tile: projection, origin to a hundredth of a pixel, and pixel size. */
export function isPlaced({ epsg, origin, metresPerPixel }: Raster, { cell }: Pick<Tile, 'cell'>): boolean {
  const [west, , , north] = cell.tileBounds;
  const off = Math.max(Math.abs(origin[0] - west), Math.abs(origin[1] - north));
  return epsg === cell.epsg && off <= METRES_PER_PIXEL / 100 && metresPerPixel === METRES_PER_PIXEL;
}
