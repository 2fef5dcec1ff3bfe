// Map tiles beside rasterio's WarpedVRT and GDAL's PNG: of one full tile, and of fifty small ones that join.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cell, cellAt, cellFolder, eachUnit, realBounds, toLonLat, writeCog } from 'imagesim/ard';
import { type MapTile, type Mosaic, encode, mapTileAt, mapTileBounds, openMosaic } from 'imagesim/serve';
import seedrandom from 'seedrandom';
import { type Bench, type BenchOptions, type Contest, openPeer, rateOf } from './measure.ts';
import { benchTile } from './tile.ts';

const TILES = 60;
/** As many as the server paints at once. */
const AT_ONCE = 8;
/** As light as ours is packed; rio-tiler leaves GDAL's 6, which takes three times as long. */
const ZLEVEL = 1;
const RASTERIO = 'apt-get install python3-rasterio';
const NEWEST = { select: 'newest' } as const;

/** Map tiles under random places of a rectangle in UTM; the same each time. */
function randomMapTiles(epsg: number, [west, south, east, north]: readonly number[], z: number): MapTile[] {
  const random = seedrandom.alea(`serve ${z}`);
  return Array.from({ length: TILES }, () =>
    mapTileAt(toLonLat(epsg, [west + random() * (east - west), south + random() * (north - south)]), z),
  );
}

/** @param cold opens the delivery anew in each round, and decodes every block anew; the disk's own cache stays */
function bench(where: 'full' | 'fifty', z: number, cold: boolean): Bench {
  const open = async (options: BenchOptions): Promise<Contest> => {
    const { folder, epsg, bounds, close } = await (where === 'full' ? oneTile(options) : fiftyTiles());
    const wanted = randomMapTiles(epsg, bounds, z);
    const dataPath = await mkdtemp(join(tmpdir(), 'imagesim-bench-serve-'));
    let mosaic = await openMosaic(folder, { dataPath });
    await mosaic.makeOverviews();
    const tiles = wanted.map((tile) => [[tile.z, tile.x, tile.y], rastersOf(mosaic, tile, folder)]);
    const ours = async (): Promise<{ rate: number }> => {
      if (cold) {
        await mosaic.close();
        mosaic = await openMosaic(folder, { dataPath });
      }
      return { rate: await rateOf(TILES, () => paintAll(mosaic, wanted)) };
    };
    return {
      ours,
      warmUps: 8, // V8 takes so many to have compiled what is run most
      peer: await openPeer('warp.py', { tiles, cold, zlevel: ZLEVEL }, RASTERIO),
      close: async () => {
        await mosaic.close();
        await rm(dataPath, { recursive: true });
        await close();
      },
    };
  };
  return { name: `serve: z${z} ${where} ${cold ? 'cold' : 'warm'}`, unit: 'tiles/s', open };
}

async function paintAll(mosaic: Mosaic, wanted: readonly MapTile[]): Promise<void> {
  const paint = async (tile: MapTile): Promise<unknown> =>
    encode(await mosaic.render(tile, NEWEST), 'png', [255, 255, 255]);
  await eachUnit(wanted, 'map tiles', paint, { concurrency: AT_ONCE });
}

function rastersOf({ catalogue }: Mosaic, tile: MapTile, folder: string): string[] {
  const order = catalogue.ordered(catalogue.find(mapTileBounds(tile)), NEWEST);
  return order.map((index) => join(folder, catalogue.tiles[index].files.visual));
}

interface Ready {
  folder: string;
  epsg: number;
  /** Where the pictures are, UTM metres. */
  bounds: readonly number[];
  close: () => Promise<void>;
}

async function oneTile({ scale }: BenchOptions): Promise<Ready> {
  const { tile, folder } = await benchTile(scale);
  const bounds = await realBounds(tile.files.visual, tile.cell.cellBounds);
  return { folder, epsg: tile.cell.epsg, bounds, close: async () => undefined };
}

/** Ten by five cells, each with noise in the middle 4 × 4 of its blocks. */
async function fiftyTiles(): Promise<Ready> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-fifty-'));
  const first = cellAt([12.18, 44.28]);
  const [west, south] = first.cellBounds;
  const cells = Array.from({ length: 50 }, (_, at) => cellAt(toLonLat(first.epsg, [west + 2500 + 5000 * (at % 10), south + 2500 + 5000 * Math.floor(at / 10)]), first.zone)); // prettier-ignore
  for (const cell of cells) await writeSmall(folder, cell);
  const bounds = [west, south, west + 50_000, south + 25_000];
  return { folder, epsg: first.epsg, bounds, close: () => rm(folder, { recursive: true }) };
}

async function writeSmall(folder: string, cell: Cell): Promise<void> {
  const random = seedrandom.alea(cell.id);
  const blocks = (column: number, row: number): { pixels: Uint8Array; mask: Uint8Array } | undefined => {
    if (Math.min(column, row) < 15 || Math.max(column, row) > 18) return undefined;
    const pixels = new Uint8Array(512 * 512 * 3);
    for (let at = 0; at < pixels.length; at++) pixels[at] = 80 + (at % 1536) / 16 + 20 * random.quick();
    return { pixels, mask: new Uint8Array(512 * 512).fill(1) };
  };
  const [originWest, , , originNorth] = cell.tileBounds;
  const path = join(cellFolder(folder, cell), '2023-05-21', '10300100AB000000-visual.tif');
  const form = { width: 17_408, height: 17_408, epsg: cell.epsg, metresPerPixel: 5000 / 16_384, bands: 3 } as const;
  await writeCog(path, { ...form, origin: [originWest, originNorth], blocks });
}

export const serve: Bench[] = [
  ...[19, 17, 14].flatMap((z) => [bench('full', z, true), bench('full', z, false)]),
  ...[14, 12, 10].flatMap((z) => [bench('fifty', z, true), bench('fifty', z, false)]),
];
