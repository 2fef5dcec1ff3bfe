import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Cell,
  type Progress,
  METRES_PER_PIXEL,
  TILE_PIXELS,
  readJson,
  toLonLat,
  writeWhole,
} from '../ard/index.ts';
import { type CogBlock, writeCog } from '../ard/index.ts';
import type { Acquisition } from './light.ts';
import { hash } from './noise.ts';
import { osmAnswer, seven } from './osm.ts';
import { Painter } from './paint.ts';
import { ORIGIN } from './plan.ts';
import { clip, holds, swathOf } from './swath.ts';
import { meet, type Box, type Ring } from './thing.ts';
import type { World } from './world.ts';

const BLOCK = 512;
const EPSG = 32633;

/** What a tile's files are made from. */
export interface TilePlan {
  folder: string;
  world: World;
  cell: Cell;
  acquisition: Acquisition;
  /** The rectangle that holds data, metres from the origin, on block borders. */
  area: Box;
  signal?: AbortSignal | undefined;
  /** Called after every row of blocks. */
  onRow?: (row: number) => void;
}

/** A catalogue id of the form of a real one: the series of its satellite, then eight digits of the seed's. */
export function catalogId(seed: number, { series, which }: Acquisition): string {
  return `${series}${hash(seed, 60, which).toString(16).toUpperCase().padStart(8, '0')}`;
}

/** A box of UTM metres as metres from the sample's origin. */
export function local([west, south, east, north]: readonly number[]): Box {
  return [west - ORIGIN[0], south - ORIGIN[1], east - ORIGIN[0], north - ORIGIN[1]];
}

/**
 * Writes one tile and its STAC item; does nothing when both are there.
 *
 * @returns the two files, relative to the sample's folder
 */
export async function writeTile(plan: TilePlan): Promise<string[]> {
  const { folder, world, cell, acquisition } = plan;
  const catid = catalogId(world.seed, acquisition);
  const stem = `ard/33/${cell.quadkey}/${acquisition.date}/${catid}`;
  const files = [`${stem}-visual.tif`, `${stem}.json`];
  if (files.every((file) => existsSync(join(folder, file)))) return files;
  const extent = await writePixels(join(folder, files[0]), plan);
  await writeWhole(join(folder, files[1]), JSON.stringify(itemOf(plan, catid, extent), null, 1));
  return files;
}

/** Where a tile has data: the count of real pixels, and their first and one past their last column and row. */
interface Extent {
  pixels: number;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

async function writePixels(path: string, { world, cell, acquisition, area, signal, onRow }: TilePlan): Promise<Extent> {
  const [west, , , north] = local(cell.tileBounds);
  const painter = new Painter(world, acquisition, swathOf(area, acquisition.which));
  const [first, top] = [west / METRES_PER_PIXEL / BLOCK, -north / METRES_PER_PIXEL / BLOCK];
  const extent: Extent = { pixels: 0, left: Infinity, top: Infinity, right: 0, bottom: 0 };
  const blocks = (column: number, row: number): CogBlock | undefined => {
    if (column === 0) onRow?.(row);
    if (!meet(blockBox(first + column, top + row), area)) return undefined;
    const block = painter.block(first + column, top + row);
    if (block) extend(extent, block.mask, column * BLOCK, row * BLOCK);
    return block;
  };
  const origin: [number, number] = [cell.tileBounds[0], cell.tileBounds[3]];
  const form = {
    width: TILE_PIXELS,
    height: TILE_PIXELS,
    epsg: EPSG,
    origin,
    metresPerPixel: METRES_PER_PIXEL,
    bands: 3,
  } as const;
  await writeCog(path, { ...form, blocks, signal });
  return extent;
}

function blockBox(column: number, row: number): Box {
  const side = BLOCK * METRES_PER_PIXEL;
  return [column * side, -(row + 1) * side, (column + 1) * side, -row * side];
}

function extend(extent: Extent, mask: Uint8Array, left: number, top: number): void {
  for (let y = 0; y < BLOCK; y++) {
    const row = mask.subarray(y * BLOCK, (y + 1) * BLOCK);
    const from = row.indexOf(1);
    if (from < 0) continue;
    for (let x = from; x < BLOCK; x++) extent.pixels += row[x];
    extent.left = Math.min(extent.left, left + from);
    extent.right = Math.max(extent.right, left + row.lastIndexOf(1) + 1);
    extent.top = Math.min(extent.top, top + y);
    extent.bottom = Math.max(extent.bottom, top + y + 1);
  }
}

/** The STAC item of a tile, as deliveries have it: `proj:bbox` is the extent of the data, not of the tile. */
function itemOf({ cell, acquisition, area }: TilePlan, catid: string, extent: Extent): unknown {
  const [west, , , north] = cell.tileBounds;
  const r = METRES_PER_PIXEL;
  const bbox = [west + extent.left * r, north - extent.bottom * r, west + extent.right * r, north - extent.top * r];
  const footprint = clip(swathOf(area, acquisition.which), local(cell.tileBounds));
  const corners = pairs([...footprint, footprint[0], footprint[1]]).map(([x, y]): [number, number] => [
    ORIGIN[0] + x,
    ORIGIN[1] + y,
  ]);
  const lonLats = corners.map((corner) => toLonLat(EPSG, corner));
  return {
    type: 'Feature',
    stac_version: '1.0.0',
    stac_extensions: [
      'https://stac-extensions.github.io/view/v1.0.0/schema.json',
      'https://stac-extensions.github.io/projection/v1.0.0/schema.json',
    ],
    id: `33/${cell.quadkey}/${catid}`,
    properties: {
      datetime: acquisition.datetime,
      platform: acquisition.platform,
      gsd: acquisition.gsd,
      ard_metadata_version: '0.0.1',
      catalog_id: catid,
      utm_zone: 33,
      quadkey: cell.quadkey,
      'view:off_nadir': acquisition.offNadir,
      'view:azimuth': acquisition.lookAzimuth,
      'view:sun_azimuth': acquisition.sunAzimuth,
      'view:sun_elevation': acquisition.sunElevation,
      'proj:epsg': EPSG,
      'proj:geometry': { type: 'Polygon', coordinates: [corners] },
      'proj:bbox': bbox,
      'tile:data_area': Math.round(extent.pixels * r * r * 1e-4) / 100,
      'tile:clouds_area': 0,
      'tile:clouds_percent': 0,
      'grid:code': `MXRA-Z33-${cell.quadkey}`,
      'imagesim:synthetic': true,
    },
    bbox: lonLatBox(lonLats),
    geometry: { type: 'Polygon', coordinates: [lonLats] },
    links: [
      {
        rel: 'collection',
        href: `../../../acquisition_collections/${catid}_collection.json`,
        type: 'application/json',
      },
    ],
    assets: {
      visual: {
        type: 'image/tiff; application=geotiff; profile=cloud-optimized',
        title: 'Visual Image',
        href: `./${catid}-visual.tif`,
        'proj:shape': [TILE_PIXELS, TILE_PIXELS],
        'proj:transform': [r, 0, west, 0, -r, north, 0, 0, 1],
      },
    },
    collection: catid,
  };
}

const pairs = (ring: Ring): [number, number][] =>
  Array.from({ length: ring.length / 2 }, (_, k) => [ring[2 * k], ring[2 * k + 1]]);

function lonLatBox(places: [number, number][]): number[] {
  const [lons, lats] = [places.map(([lon]) => lon), places.map(([, lat]) => lat)];
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** Writes the collection of one acquisition: its extent and its items. @returns the file, relative to the folder */
export async function writeCollection(
  folder: string,
  seed: number,
  acquisition: Acquisition,
  cells: Cell[],
): Promise<string> {
  const catid = catalogId(seed, acquisition);
  const hrefs = cells.map(({ quadkey }) => `../33/${quadkey}/${acquisition.date}/${catid}.json`);
  const items = await Promise.all(
    cells.map(({ quadkey }) => readJson(join(folder, 'ard/33', quadkey, acquisition.date, `${catid}.json`))),
  );
  const boxes = items.map((item) => (item as { bbox: number[] }).bbox);
  const bbox = lonLatBox(boxes.flatMap(([w, s, e, n]): [number, number][] => [[w, s], [e, n]])); // prettier-ignore
  const file = `ard/acquisition_collections/${catid}_collection.json`;
  const collection = {
    type: 'Collection',
    stac_version: '1.0.0',
    id: catid,
    description: 'Synthetic acquisition, made by imagesim',
    license: 'CC0-1.0',
    extent: { spatial: { bbox: [bbox] }, temporal: { interval: [[acquisition.datetime, acquisition.datetime]] } },
    links: hrefs.map((href) => ({ rel: 'item', href })),
  };
  await writeWhole(join(folder, file), JSON.stringify(collection, null, 1));
  return file;
}

/** Writes the Overpass answer of a cell for what its picture shows. @returns the file, relative to the folder */
export async function writeOverpass(folder: string, world: World, cell: Cell, area: Box): Promise<string> {
  const [west, south, east, north] = local(cell.cellBounds);
  const shown: Box = [
    Math.max(west, area[0]),
    Math.max(south, area[1]),
    Math.min(east, area[2]),
    Math.min(north, area[3]),
  ];
  const file = `overpass/${cell.id}.json`;
  await writeWhole(join(folder, file), JSON.stringify(osmAnswer(world, shown)));
  return file;
}

/** Writes what changed between the dates where both saw it, as polygons. @returns the file and how many there are */
export async function writeChanges(
  folder: string,
  world: World,
  [before, after]: readonly [Acquisition, Acquisition],
  area: Box,
): Promise<[file: string, count: number]> {
  const swaths = [swathOf(area, before.which), swathOf(area, after.which)];
  const seen = world.changes(area).filter(({ ring }) => swaths.every((swath) => holds(swath, ring)));
  const features = seen.map(({ kind, ring }) => {
    const corners = pairs([...ring, ring[0], ring[1]]).map(([x, y]) =>
      toLonLat(EPSG, [ORIGIN[0] + x, ORIGIN[1] + y]).map(seven),
    );
    const properties = { kind, before: before.date, after: after.date };
    return { type: 'Feature', properties, geometry: { type: 'Polygon', coordinates: [corners] } };
  });
  const file = `demo-ard/vectors/changes-${before.date}-${after.date}.geojson`;
  await writeWhole(join(folder, file), JSON.stringify({ type: 'FeatureCollection', features }, null, 1));
  return [file, features.length];
}

/** What a tile's row of blocks tells whoever waits. */
export function rowProgress(
  onProgress: ((progress: Progress) => void) | undefined,
  done: number,
  total: number,
  cell: Cell,
  date: string,
): (row: number) => void {
  return (row) => {
    if (row % 4 === 0) onProgress?.({ done, total, unit: 'tiles', note: `${cell.id} ${date}, row ${row} of 34` });
  };
}
