import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { maskPng, openRaster, overviewPng, readTiles, realShare } from 'imagesim/ard';
import sharp from 'sharp';
import { dataFolder, emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';

/** A window as rasterio reads it: RGB bytes, or the mask with band 0. */
function rasterio(path: string, [column, row, width, height]: number[], mask = false): Buffer {
  const code = `
import sys, rasterio
from rasterio.windows import Window
with rasterio.open(sys.argv[1]) as f:
    w = Window(*map(int, sys.argv[2:6]))
    a = f.dataset_mask(window=w) if sys.argv[6] == 'mask' else f.read(window=w).transpose(1, 2, 0)
    sys.stdout.buffer.write(a.tobytes())`;
  const args = ['-c', code, path, ...[column, row, width, height].map(String), mask ? 'mask' : 'pixels'];
  return execFileSync('/usr/bin/python3', args, { maxBuffer: 1e9 });
}

describe('ard raster', () => {
  let folder: string;
  let path: string;
  before(async () => {
    folder = await dataFolder(await sampleDelivery());
    path = (await readTiles(folder))[0].files.visual!;
  });

  it('finds seven levels and a mask for each, whatever their order in the file', async () => {
    const raster = await openRaster(path);
    assert.deepEqual(raster.levels.map(({ width }) => width), [17408, 8704, 4352, 2176, 1088, 544, 272]); // prettier-ignore
    assert.ok(raster.levels.every(({ mask, width }) => mask?.width === width));
    await raster.close();
  });

  it('reads the pixels that rasterio reads, across blocks and at their edges', async () => {
    const raster = await openRaster(path);
    const { left, top } = await middle(path);
    const window = [left - 300, top - 200, 700, 500] as const;
    const ours = await raster.readWindow(...window);
    const theirs = rasterio(path, [...window]);
    assert.ok(
      theirs.some((value) => value > 0),
      'the window holds a picture',
    );
    assert.ok(ours.every((value, index) => value === theirs[index]));
    await raster.close();
  });

  it('refuses a file cut short, with the byte where it ends', async () => {
    const short = join(await emptyFolder(), 'short.tif');
    const whole = await readFile(path);
    await writeFile(short, whole.subarray(0, whole.length - 1000));
    await assert.rejects(
      openRaster(short),
      /short\.tif is cut short: block \d+ ends at byte \d+, the file at \d+; fetch it again/,
    );
    await writeFile(short, whole.subarray(0, 400));
    await assert.rejects(openRaster(short), /short\.tif .*fetch it again/);
  });

  it('refuses what is no TIFF, and what is not there', async () => {
    const page = join(await emptyFolder(), 'page.tif');
    await writeFile(page, '<html>not found</html>');
    await assert.rejects(openRaster(page), /page\.tif \(22 bytes\) is no TIFF that can be read/);
    await assert.rejects(openRaster('/no/such.tif'), /cannot open \/no\/such\.tif: ENOENT/);
  });

  it('draws a picture of what is real, with the rest transparent', async () => {
    const { width, hasAlpha } = await sharp(await overviewPng(path, { width: 300 })).metadata();
    assert.equal(hasAlpha, true);
    assert.equal(width, 300);
  });

  it('draws the mask of the whole tile in one tone and nothing, each where the mask has it', async () => {
    const { data, info } = await sharp(await maskPng(path, { width: 272 })).ensureAlpha().raw().toBuffer({ resolveWithObject: true }); // prettier-ignore
    assert.deepEqual([info.width, info.height], [272, 272]);
    const raster = await openRaster(path);
    const mask = (await raster.readMask(6))!;
    const colours = new Set<string>();
    for (const [pixel, bit] of mask.entries()) {
      assert.equal(data[pixel * 4 + 3], bit * 255);
      if (bit) colours.add(data.subarray(pixel * 4, pixel * 4 + 3).join());
    }
    assert.deepEqual([...colours], ['86,180,233']);
    assert.equal((await sharp(await maskPng(raster)).metadata()).width, 360);
    await raster.close();
  });

  it('tells which share is real, to a five-hundredth', async () => {
    const exact = rasterio(path, [0, 0, 17408, 17408], true).reduce((sum, bit) => sum + (bit ? 1 : 0), 0) / 17408 ** 2;
    assert.ok(exact > 0.01 && exact < 0.9);
    assert.ok(Math.abs((await realShare(path)) - exact) < 0.002, `${await realShare(path)} of ${exact}`);
  });

  it('refuses the mask of a raster that has none, and draws it whole', async () => {
    const bare = join(await emptyFolder(), 'bare.tif');
    execFileSync('/usr/bin/python3', ['-c', BARE, bare]);
    const line = /bare\.tif has no mask: which of its pixels are real is not known$/;
    await assert.rejects(maskPng(bare), line);
    await assert.rejects(realShare(bare), line);
    assert.equal((await sharp(await overviewPng(bare)).metadata()).width, 600);
  });

  describe('on a real file', () => {
    before(needsShared);
    it('reads the mask of every level as rasterio reads it', async () => {
      const real = (await readTiles(joplin))[0].files.visual;
      const raster = await openRaster(real);
      const mask = (await raster.readMask(2))!; // 4352 px; rasterio reads the same level by overview_level=1
      const theirs = rasterioLevel(real, 1);
      assert.equal(mask.length, theirs.length);
      assert.ok(mask.every((bit, index) => bit * 255 === theirs[index]));
      await raster.close();
    });
  });
});

function rasterioLevel(path: string, overview: number): Buffer {
  const code = `
import sys, rasterio
with rasterio.open(sys.argv[1], overview_level=int(sys.argv[2])) as f: sys.stdout.buffer.write(f.dataset_mask().tobytes())`;
  return execFileSync('/usr/bin/python3', ['-c', code, path, String(overview)], { maxBuffer: 1e9 });
}

/** rasterio writes a raster of one level, without a mask. */
const BARE = `
import sys, numpy, rasterio
from rasterio.transform import from_origin
with rasterio.open(sys.argv[1], 'w', driver='GTiff', width=600, height=600, count=3, dtype='uint8', crs='EPSG:32633',
                   transform=from_origin(3e5, 5e6, 1, 1), tiled=True, compress='DEFLATE', interleave='pixel') as f:
    f.write(numpy.full((3, 600, 600), 99, 'uint8'))
`;

/** A place in full-level pixels in the middle of what is real. */
async function middle(path: string): Promise<{ left: number; top: number }> {
  const raster = await openRaster(path);
  const mask = (await raster.readMask(6))!;
  await raster.close();
  const real = [...mask.keys()].filter((index) => mask[index]);
  const centre = (of: (index: number) => number): number =>
    Math.round(real.reduce((sum, index) => sum + of(index), 0) / real.length) * 64;
  return { left: centre((index) => index % 272), top: centre((index) => Math.floor(index / 272)) };
}
