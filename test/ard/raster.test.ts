import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Bounds,
  groundPng,
  maskPng,
  openRaster,
  overviewPng,
  readTiles,
  realBounds,
  realShare,
} from 'imagesim/ard';
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

  describe('of a square of ground', () => {
    // with rasterio.open(path) as f: rasterio.windows.from_bounds(*bounds, f.transform), and f.dataset_mask() in it
    const WINDOW = `
import sys, rasterio, json
from rasterio.windows import from_bounds
with rasterio.open(sys.argv[1]) as f:
    w = from_bounds(*[float(x) for x in sys.argv[2:6]], f.transform)
    rgb = f.read(window=w, boundless=True, fill_value=0)
    real = f.dataset_mask(window=w, boundless=True) > 0
    rows, columns = real.any(axis=1).nonzero()[0], real.any(axis=0).nonzero()[0]
    print(json.dumps([[float(b[real].mean()) for b in rgb], float(real.mean()), int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]))`;
    const peer = (bounds: Bounds): number[] => {
      const found = JSON.parse(
        execFileSync('/usr/bin/python3', ['-c', WINDOW, path, ...bounds.map(String)]).toString(),
      );
      return found.flat();
    };
    /** Means of red, green and blue where it is opaque, and the share that is. */
    const means = async (png: Uint8Array): Promise<number[]> => {
      const { data } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
      const sums = [0, 0, 0, 0];
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] < 128) continue;
        for (const band of [0, 1, 2]) sums[band] += data[at + band];
        sums[3]++;
      }
      return [...sums.slice(0, 3).map((sum) => sum / sums[3]), (4 * sums[3]) / data.length];
    };

    it('shows what rasterio reads there, without the apron, and transparent what is not real or beyond', async () => {
      const [tile] = await readTiles(await sampleDelivery(), { zone: 33 });
      const [, south, east, north] = tile.cell.cellBounds;
      const boxes: Bounds[] = [[east - 1500, south + 2000, east, north - 2000], [east - 600, south + 2300, east + 400, south + 3300]]; // prettier-ignore
      for (const box of boxes) {
        const png = await groundPng(path, box, { width: 500 });
        const { width, height } = await sharp(png).metadata();
        assert.deepEqual([width, height], [500, Math.round((500 * (box[3] - box[1])) / (box[2] - box[0]))]);
        const [found, expected] = [await means(png), peer(box)];
        for (const band of [0, 1, 2])
          assert.ok(Math.abs(found[band] - expected[band]) < 2, `${found.join()} ${expected.join()}`);
        assert.ok(Math.abs(found[3] - expected[3]) < 0.012, `${found[3]} of ${expected[3]} is real`);
      }
    });

    it('finds the rectangle around what is real to a pixel of the mask', async () => {
      const [tile] = await readTiles(await sampleDelivery(), { zone: 33 });
      const [, south, east, north] = tile.cell.cellBounds;
      const box: Bounds = [east - 1300, south + 1900, east, north - 1900];
      const found = await realBounds(path, box);
      const [left, top, right, bottom] = peer(box)
        .slice(4)
        .map((pixels) => pixels * 0.30517578125);
      const expected = [box[0] + left, box[3] - bottom, box[0] + right, box[3] - top];
      found.forEach((edge, at) =>
        assert.ok(Math.abs(edge - expected[at]) <= 5312.5 / 544, `${found.join()} ${expected.join()}`),
      );
    });

    it('refuses what is no rectangle, and ground that the raster does not show', async () => {
      await assert.rejects(groundPng(path, [5, 5, 4, 6]), /^RangeError: no rectangle of metres/);
      await assert.rejects(groundPng(path, [0, 0, 10, 10]), /-visual\.tif does not reach into 0, 0, 10, 10/);
      await assert.rejects(realBounds(path, [0, 0, 10, 10]), /-visual\.tif holds no real pixel in 0, 0, 10, 10/);
    });
  });

  it('tells which share is real, to a five-hundredth', async () => {
    const code = 'import sys, rasterio\nwith rasterio.open(sys.argv[1]) as f: print((f.dataset_mask() > 0).mean())';
    const exact = Number(execFileSync('/usr/bin/python3', ['-c', code, path]));
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
