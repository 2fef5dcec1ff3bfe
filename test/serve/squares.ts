// Small deliveries of plain squares, and what the map tests share.
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Cell, cellFolder, writeCog } from 'imagesim/ard';
import type { MapTile, Selection } from 'imagesim/serve';
import sharp from 'sharp';

export const NEWEST: Selection = { select: 'newest' };

/** A tile to be written. */
export interface Square {
  cell: Cell;
  date: string;
  catid: string;
  /** Which blocks of 512 px hold data: first column and row, last column and row, of 0 to 33. */
  blocks: readonly [left: number, top: number, right: number, bottom: number];
  /** A value a band at a pixel of the full level; undefined where it is not real. */
  at: (column: number, row: number) => readonly number[] | undefined;
  bands?: 1 | 3;
  cloudPercent?: number;
  offNadir?: number;
}

/** Writes a tile and its STAC item. @returns the raster's path */
export async function writeSquare(folder: string, square: Square): Promise<string> {
  const { cell, date, catid, bands = 3, blocks: [left, top, right, bottom], at, cloudPercent, offNadir } = square; // prettier-ignore
  const path = join(cellFolder(folder, cell), date, `${catid}-visual.tif`);
  const block = (column: number, row: number): { pixels: Uint8Array; mask: Uint8Array } => {
    const [pixels, mask] = [new Uint8Array(512 * 512 * bands), new Uint8Array(512 * 512)];
    for (let pixel = 0; pixel < mask.length; pixel++) {
      const value = at(column * 512 + (pixel % 512), row * 512 + Math.floor(pixel / 512));
      if (!value) continue;
      mask[pixel] = 1;
      pixels.set(value, pixel * bands);
    }
    return { pixels, mask };
  };
  const [west, , , north] = cell.tileBounds;
  const form = { width: 17_408, height: 17_408, epsg: cell.epsg, metresPerPixel: 5000 / 16_384, bands } as const;
  const blocks = (column: number, row: number): ReturnType<typeof block> | undefined =>
    column >= left && column <= right && row >= top && row <= bottom ? block(column, row) : undefined;
  await writeCog(path, { ...form, origin: [west, north], quality: 95, blocks });
  const properties = { datetime: `${date}T10:00:00Z`, 'tile:clouds_percent': cloudPercent, 'view:off_nadir': offNadir };
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path.replace('-visual.tif', '.json'), JSON.stringify({ properties }));
  return path;
}

/** Pixels of a picture, `[row, col, 4]`. */
export async function rgbaOf(bytes: Uint8Array): Promise<Uint8Array> {
  return sharp(bytes).ensureAlpha().raw().toBuffer();
}

/** Whether GDAL's programs are here: tests that need them are skipped where not, saying so. */
export function hasGdal(): boolean {
  try {
    execFileSync('gdalinfo', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('      skipped: no GDAL (apt-get install gdal-bin)');
    return false;
  }
}

/** The path of a map tile below `/tiles`. */
export function pathOf({ z, x, y }: MapTile, ending = 'png'): string {
  return `/tiles/${z}/${x}/${y}.${ending}`;
}
