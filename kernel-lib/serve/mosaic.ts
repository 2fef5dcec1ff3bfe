import { type DeliveryOptions, type Tile, chipBounds, eachUnit, openDelivery, parseChip, toUtm } from '../ard/index.ts';
import { readAttribution } from './attribution.ts';
import { type Canvas, type Window, emptyCanvas } from './canvas.ts';
import { type Catalogue, readCatalogue } from './catalogue.ts';
import { type MapTile, toMercator } from './mercator.ts';
import { Ground } from './ground.ts';
import { Rasters } from './rasters.ts';
import { render } from './render.ts';
import type { Selection } from './selection.ts';
import { viewOf } from './warp.ts';

/** Options of {@link openMosaic}; those of a delivery say which part of it is served and how its bucket is reached. */
export interface MosaicOptions extends DeliveryOptions {
  /** Data folder, below which `serve/` keeps the overviews of what is served. Default: none are kept, they are made in memory. */
  dataPath?: string | undefined;
  /** Megabytes of decoded blocks that are kept. Default: 256. */
  blockCacheMegabytes?: number | undefined;
}

/** What one acquisition shows at a place. */
export interface PixelAt {
  cell: string;
  date: string;
  catid: string;
  datetime: string | undefined;
  cloudPercent: number | undefined;
  offNadir: number | undefined;
  /** Pixel of the visual raster, from its north-west corner. */
  column: number;
  row: number;
  /** One value a band, 0–255. */
  values: number[];
}

/** A delivery as one picture: all its cells, days and zones in Web Mercator. Close it. */
export interface Mosaic {
  /** What is served. */
  catalogue: Catalogue;
  /** Address of the delivery. */
  address: string;
  /** Whose pictures they are, and under which licence. */
  attribution: string;
  /** The overviews by which low zooms are shown: how many there are, and the work on the others. */
  overviews: Ground['overviews'];
  /**
   * Paints a map tile; where nothing is real, nothing is painted.
   *
   * @param size pixels along its side. Default 256
   * @throws {NotReadyError} where it needs overviews that are still being made
   * @throws {Error} naming the raster that is damaged
   */
  render(tile: MapTile, selection: Selection, size?: number): Promise<Canvas>;
  /** What each acquisition shows at a place (degrees lon, lat), first the one that is shown; empty where none is real. */
  pixelsAt(lonLat: [lon: number, lat: number], selection: Selection): Promise<PixelAt[]>;
  /**
   * Pixels of a chip in one acquisition, from the level that is just finer than wanted, up to a pixel of ground around it.
   *
   * @param side pixels that would do
   * @returns undefined where no such tile is served, or nothing is real
   * @throws {RangeError} when the id is none
   */
  readChip(id: string, of: Pick<Tile, 'date' | 'catid'>, side: number): Promise<Window | undefined>;
  /** Rasters open, and bytes of decoded blocks in memory. */
  state(): { open: number; blockBytes: number };
  /** Brings the overviews up to what is served; resolves when all are there. */
  makeOverviews(options?: Parameters<Ground['makeOverviews']>[0]): Promise<number>;
  close(): Promise<void>;
}

/**
 * Opens a delivery for a map: its files are listed, its STAC items read, no raster opened.
 *
 * @param address a folder, or `s3://bucket/prefix`
 * @throws {Error} when no tile with a visual raster is there, saying what was found
 */
export async function openMosaic(
  address: string,
  { dataPath, blockCacheMegabytes = 256, ...options }: MosaicOptions = {},
): Promise<Mosaic> {
  const delivery = await openDelivery(address, options);
  const catalogue = await readCatalogue(delivery);
  const rasters = new Rasters(delivery.source, blockCacheMegabytes * 1e6);
  const ground = await Ground.open(catalogue, rasters, delivery.source.address, dataPath);
  return {
    catalogue,
    address: delivery.source.address,
    attribution: await readAttribution(delivery, catalogue.tiles),
    overviews: ground.overviews,
    render: async (tile, selection, size = 256) => {
      const canvas = emptyCanvas(size);
      await render(canvas, viewOf(tile, size), catalogue, selection, ground);
      return canvas;
    },
    pixelsAt: (lonLat, selection) => pixelsAt(catalogue, rasters, lonLat, selection),
    readChip: (id, of, side) => readChip(catalogue, rasters, id, of, side),
    state: () => rasters.state,
    makeOverviews: (step) => ground.makeOverviews(step),
    close: async () => {
      await ground.close();
      rasters.close();
    },
  };
}

async function readChip(
  { tiles, places }: Catalogue,
  rasters: Rasters,
  id: string,
  { date, catid }: Pick<Tile, 'date' | 'catid'>,
  side: number,
): Promise<Window | undefined> {
  const { cell } = parseChip(id);
  const place = places.find((one) => one.cell.id === cell.id);
  const index = place?.tiles.find((at) => tiles[at].date === date && tiles[at].catid === catid);
  const bounds = chipBounds(id);
  return index === undefined ? undefined : rasters.readWindow(tiles[index], bounds, (bounds[2] - bounds[0]) / side);
}

async function pixelsAt(
  catalogue: Catalogue,
  rasters: Rasters,
  lonLat: [lon: number, lat: number],
  selection: Selection,
): Promise<PixelAt[]> {
  const [x, y] = toMercator(lonLat);
  const order = catalogue.ordered(catalogue.find([x, y, x, y]), selection);
  const found = await eachUnit(order, 'tiles', (index) => pixelOf(catalogue.tiles[index], rasters, lonLat), {
    concurrency: 4,
  });
  return found.filter((pixel) => pixel !== undefined);
}

/** The pixel of a tile under a place; undefined where that is not in its cell, or not real. */
async function pixelOf(tile: Tile, rasters: Rasters, lonLat: [number, number]): Promise<PixelAt | undefined> {
  const { cell, date, catid, metadata } = tile;
  const [east, north] = toUtm(cell.epsg, lonLat);
  const [west, south, right, top] = cell.cellBounds;
  if (!(east >= west && east < right && north > south && north <= top)) return undefined;
  return rasters.with(tile, async (open) => {
    const { origin, metresPerPixel, bands, levels } = open.raster;
    const [column, row] = [Math.floor((east - origin[0]) / metresPerPixel), Math.floor((origin[1] - north) / metresPerPixel)]; // prettier-ignore
    const inside = column >= 0 && row >= 0 && column < levels[0].width && row < levels[0].height;
    if (!inside || !(await rasters.isReal(open, column, row))) return undefined;
    const values = Array.from(await open.raster.readWindow(column, row, 1, 1)).slice(0, bands === 1 ? 1 : 3);
    const { datetime, cloudPercent, offNadir } = metadata ?? {};
    return { cell: cell.id, date, catid, datetime, cloudPercent, offNadir, column, row, values };
  });
}
