// The no-data index and the cutting of one tile, beside rasterio and Pillow.
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CHIPS_PER_SIDE, openRaster } from 'imagesim/ard';
import { cutTile, validFractions } from 'imagesim/chips';
import { type Bench, type BenchOptions, type Contest, memoryFolder, openPeer, rateOf } from './measure.ts';
import { type BenchTile, benchTile } from './tile.ts';

const QUALITY = 90;
const RASTERIO = 'apt-get install python3-rasterio python3-pil';

async function openIndex({ scale }: BenchOptions): Promise<Contest> {
  const bench = await benchTile(scale);
  const ours = async (): Promise<{ rate: number; found: string }> => {
    let chips: number[] = [];
    const rate = await rateOf(1, async () => (chips = await realChips(bench)));
    return { rate, found: `${chips.length} of ${CHIPS_PER_SIDE ** 2} chips are real throughout` };
  };
  return { ours, peer: await openPeer('nodata.py', { path: bench.tile.files.visual }, RASTERIO) };
}

/** Chips without a no-data pixel, by index row by row. */
async function realChips({ tile }: BenchTile): Promise<number[]> {
  const raster = await openRaster(tile.files.visual);
  try {
    const fractions = await validFractions(raster);
    return [...fractions.keys()].filter((index) => fractions[index] === 1);
  } finally {
    await raster.close();
  }
}

async function openCut({ scale }: BenchOptions): Promise<Contest> {
  const bench = await benchTile(scale);
  const chips = await realChips(bench);
  const scratch = await mkdtemp(join(await memoryFolder(2 ** 30), 'imagesim-bench-cut-'));
  const ours = async (): Promise<{ rate: number; found: string }> => {
    const folder = join(scratch, 'ours');
    let cut = 0;
    const rate = await rateOf(chips.length, async () => (cut = await cutInto(bench, chips, folder)));
    await rm(folder, { recursive: true });
    return { rate, found: `${cut} chips cut` };
  };
  const task = { path: bench.tile.files.visual, chips, folder: join(scratch, 'peer'), quality: QUALITY };
  const peer = await openPeer('cut.py', task, RASTERIO);
  return {
    ours,
    peer,
    note: `chips are written to ${scratch}`,
    close: () => rm(scratch, { recursive: true, force: true }),
  };
}

async function cutInto({ tile }: BenchTile, chips: readonly number[], folder: string): Promise<number> {
  const raster = await openRaster(tile.files.visual);
  try {
    return await cutTile(raster, tile, chips, folder);
  } finally {
    await raster.close();
  }
}

export const chips: Bench[] = [
  { name: 'chips: no-data index', unit: 'tiles/s', open: openIndex },
  { name: 'chips: cut', unit: 'chips/s', open: openCut },
];
