// Deliveries of a few blocks, made for a test.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cell, METRES_PER_PIXEL, TILE_PIXELS, paddedZone, writeCog } from 'imagesim/ard';
import seedrandom from 'seedrandom';

/** A tile to make: what is not said is the least that there can be. */
export interface MadeTile {
  cell: Cell;
  date?: string;
  catid?: string;
  /** Blocks of 512 px that are real, `column,row`, the apron counted. Default: `5,5` */
  blocks?: string[];
  bands?: 1 | 3;
  /** Properties of the STAC item. Default: there is none */
  item?: Record<string, unknown>;
}

/** Writes a tile under a data folder, noise and slopes in its blocks. @returns its path */
export async function deliver(
  dataPath: string,
  { cell, date = '2023-05-17', catid = '10300100E6747500', blocks = ['5,5'], bands = 3, item }: MadeTile,
): Promise<string> {
  const folder = join(dataPath, 'ard', paddedZone(cell.zone), cell.quadkey, date);
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${catid}-visual.tif`);
  const random = seedrandom(`${cell.id} ${date} ${catid}`);
  await writeCog(path, {
    width: TILE_PIXELS, height: TILE_PIXELS, epsg: cell.epsg, origin: [cell.tileBounds[0], cell.tileBounds[3]],
    metresPerPixel: METRES_PER_PIXEL, bands,
    blocks: (column, row) => {
      if (!blocks.includes(`${column},${row}`)) return undefined;
      const pixels = Uint8Array.from({ length: 512 * 512 * bands }, (_, at) => (at / (700 * bands)) % 200 + random() * 40);
      return { pixels, mask: new Uint8Array(512 * 512).fill(1) };
    },
  }); // prettier-ignore
  if (item) await writeFile(join(folder, `${catid}.json`), JSON.stringify({ type: 'Feature', properties: item }));
  return path;
}
