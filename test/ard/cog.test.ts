import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type CogBlock, writeCog } from 'imagesim/ard';
import { type StoredLevel, layOut } from '../../kernel-lib/ard/ifd.ts';

const run = promisify(execFile);
const PYTHON = '/usr/bin/python3'; // the one that has GDAL and rasterio
const ORIGIN: [number, number] = [269_843.75, 4_910_156.25];
const FORM = { epsg: 32633, origin: ORIGIN, metresPerPixel: 0.30517578125 };

/** Smooth colours, so that JPEG changes little; real within a slanted edge that no block border follows. */
function picture(column: number, row: number, bands: 1 | 3): CogBlock | undefined {
  const pixels = new Uint8Array(512 * 512 * bands);
  const mask = new Uint8Array(512 * 512);
  for (let y = 0; y < 512; y++) {
    for (let x = 0; x < 512; x++) {
      const [gx, gy] = [column * 512 + x, row * 512 + y];
      const i = y * 512 + x;
      if (!real(gx, gy)) continue;
      mask[i] = 1;
      for (let band = 0; band < bands; band++) pixels[i * bands + band] = colour(gx, gy, band);
    }
  }
  return mask.includes(1) ? { pixels, mask } : undefined;
}
const real = (x: number, y: number): boolean => x + 0.37 * y > 1200 && y < 1900;
const colour = (x: number, y: number, band: number): number =>
  Math.round(127 + 90 * Math.sin(x / 90 + band) * Math.cos(y / 130 - band));

async function python(code: string, ...args: string[]): Promise<string> {
  return (await run(PYTHON, ['-c', code, ...args], { maxBuffer: 1e9 })).stdout.trim();
}

/** Values that rasterio decodes at some pixels of a level: `[r, g, b, mask]` each, as JSON. */
const READ = `
import sys, json, rasterio
level = {} if sys.argv[2] == '-1' else {'overview_level': int(sys.argv[2])}
with rasterio.open(sys.argv[1], **level) as d:
    a, m = d.read(), d.dataset_mask()
    print(json.dumps({'shape': d.shape, 'sum': int((m > 0).sum()), 'values': [[*map(int, a[:, y, x]), int(m[y, x] > 0)] for x, y in json.loads(sys.argv[3])]}))
`;
interface Level {
  shape: number[];
  sum: number;
  values: number[][];
}
async function level(path: string, overview: number, places: number[][]): Promise<Level> {
  return JSON.parse(await python(READ, path, String(overview), JSON.stringify(places))) as Level;
}

describe('writeCog', () => {
  let folder = '';
  let path = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cog-'));
    path = join(folder, 'tile.tif');
    const written = await writeCog(path, {
      ...FORM,
      width: 2560,
      height: 2048,
      bands: 3,
      blocks: (column, row) => picture(column, row, 3),
    });
    assert.equal(written.blocks, 17, 'of 20 blocks, three in the west are empty');
  });
  after(() => rm(folder, { recursive: true }));

  it('makes what gdalinfo calls a COG of YCbCr JPEG with overviews and a mask of the dataset', async () => {
    const info = JSON.parse((await run('gdalinfo', ['-json', path])).stdout);
    const structure = info.metadata.IMAGE_STRUCTURE;
    assert.deepEqual(
      [structure.LAYOUT, structure.COMPRESSION, structure.JPEG_QUALITY, structure.INTERLEAVE],
      ['COG', 'YCbCr JPEG', '85', 'PIXEL'],
    );
    assert.deepEqual(info.geoTransform, [ORIGIN[0], FORM.metresPerPixel, 0, ORIGIN[1], 0, -FORM.metresPerPixel]);
    assert.match(info.coordinateSystem.wkt, /UTM zone 33N[\s\S]*ID\["EPSG",32633\]\]$/);
    const [band] = info.bands;
    assert.deepEqual([band.block, band.mask.flags], [[512, 512], ['PER_DATASET']]);
    const sizes = [[1280, 1024], [640, 512], [320, 256]]; // prettier-ignore
    for (const { overviews } of [band, band.mask])
      assert.deepEqual(
        overviews.map(({ size }: { size: number[] }) => size),
        sizes,
      );
  });

  it('passes the full check of GDAL’s own validator, where that is installed', async function () {
    const validator = ['-m', 'osgeo_utils.samples.validate_cloud_optimized_geotiff'];
    if (await run(PYTHON, [...validator, '--help']).then(() => false, (error: Error) => error.message.includes('No module'))) this.skip(); // prettier-ignore
    const { stdout } = await run(PYTHON, [...validator, '--full-check=yes', path]);
    assert.match(stdout, /is a valid cloud optimized GeoTIFF/);
  });

  it('keeps the mask exact and the pixels within JPEG’s error, as rasterio decodes them', async () => {
    const places = Array.from({ length: 800 }, (_, k) => [(k * 373) % 2560, (k * 641) % 2048]);
    const { shape, sum, values } = await level(path, -1, places);
    assert.deepEqual(shape, [2048, 2560]);
    let expected = 0;
    for (let y = 0; y < 2048; y++) for (let x = 0; x < 2560; x++) expected += real(x, y) ? 1 : 0;
    assert.equal(sum, expected);
    for (const [k, [x, y]] of places.entries()) {
      assert.equal(values[k][3], real(x, y) ? 1 : 0, `mask at ${x}, ${y}`);
      if (!real(x - 16, y + 16) || !real(x - 16, y - 16)) continue; // JPEG rings across the edge
      for (const band of [0, 1, 2])
        assert.ok(Math.abs(values[k][band] - colour(x, y, band)) <= 8, `band ${band} at ${x}, ${y}`);
    }
  });

  it('makes an overview pixel real where any of its four is, and averages the real ones only', async () => {
    const places = Array.from({ length: 500 }, (_, k) => [(k * 173) % 1280, (k * 241) % 1024]);
    places.push(...Array.from({ length: 400 }, (_, y) => [Math.ceil((1200 - 0.37 * 2 * y) / 2), y])); // along the slanted edge
    const { values } = await level(path, 0, places);
    for (const [k, [x, y]] of places.entries()) {
      const four = [[2 * x, 2 * y], [2 * x + 1, 2 * y], [2 * x, 2 * y + 1], [2 * x + 1, 2 * y + 1]].filter(([a, b]) => real(a, b)); // prettier-ignore
      assert.equal(values[k][3], four.length > 0 ? 1 : 0, `mask at ${x}, ${y}`);
      if (!real(2 * x - 32, 2 * y + 32) || !real(2 * x - 32, 2 * y - 32)) continue;
      const mean = four.reduce((total, [a, b]) => total + colour(a, b, 1), 0) / four.length;
      assert.ok(Math.abs(values[k][1] - mean) <= 8, `green at ${x}, ${y}`);
    }
  });

  it('keeps the masks of all overviews exact', async () => {
    for (const overview of [1, 2]) {
      const step = 4 * 2 ** (overview - 1);
      const { shape, sum } = await level(path, overview, []);
      let expected = 0;
      for (let y = 0; y < shape[0]; y++)
        for (let x = 0; x < shape[1]; x++) expected += anyReal(x * step, y * step, step) ? 1 : 0;
      assert.equal(sum, expected, `overview ${overview}`);
    }
  });

  it('stores what no acquisition reaches as sparse blocks', async () => {
    const { stdout } = await run(PYTHON, [
      '-c',
      "import sys; from osgeo import gdal; d = gdal.Open(sys.argv[1]); b = d.GetRasterBand(1); print(b.GetMetadataItem('BLOCK_OFFSET_0_0', 'TIFF'), b.GetMetadataItem('BLOCK_OFFSET_2_0', 'TIFF'))",
      path,
    ]);
    assert.match(stdout, /^None \d+/);
  });

  it('writes one band as DEFLATE, without loss', async () => {
    const grey = join(folder, 'grey.tif');
    await writeCog(grey, {
      ...FORM,
      width: 1024,
      height: 2048,
      bands: 1,
      blocks: (column, row) => picture(column, row, 1),
    });
    const info = JSON.parse((await run('gdalinfo', ['-json', grey])).stdout);
    assert.deepEqual(
      [info.metadata.IMAGE_STRUCTURE.LAYOUT, info.metadata.IMAGE_STRUCTURE.COMPRESSION],
      ['COG', 'DEFLATE'],
    );
    const places = Array.from({ length: 400 }, (_, k) => [(k * 373) % 1024, (k * 641) % 2048]);
    const { values } = await level(grey, -1, places);
    for (const [k, [x, y]] of places.entries()) assert.deepEqual(values[k], real(x, y) ? [colour(x, y, 0), 1] : [0, 0]);
  });

  it('gives the same bytes each time, however the blocks’ compression is scheduled', async () => {
    const again = join(folder, 'again.tif');
    await writeCog(again, {
      ...FORM,
      width: 2560,
      height: 2048,
      bands: 3,
      blocks: async (column, row) => picture(column, row, 3),
    });
    await run('cmp', [path, again]);
  });

  it('leaves nothing behind when the source fails, or is stopped', async () => {
    const form = { ...FORM, width: 2560, height: 2048, bands: 3 } as const;
    const failing = (column: number, row: number): CogBlock | undefined => {
      if (row === 3) throw new Error('the source broke off');
      return picture(column, row, 3);
    };
    await assert.rejects(writeCog(join(folder, 'none.tif'), { ...form, blocks: failing }), /the source broke off/);
    await assert.rejects(
      writeCog(join(folder, 'none.tif'), { ...form, blocks: () => undefined, signal: AbortSignal.abort() }),
      { name: 'AbortError' },
    );
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('none')),
      [],
    );
  });

  it('refuses, in one line, a side that is no multiple of a block and a block of the wrong size', async () => {
    await assert.rejects(
      writeCog(path, { ...FORM, width: 1000, height: 512, bands: 3, blocks: () => undefined }),
      /tile\.tif: sides must be multiples of 512 .*got 1000 × 512$/,
    );
    await assert.rejects(
      writeCog(path, { ...FORM, epsg: 4326, width: 512, height: 512, bands: 3, blocks: () => undefined }),
      /epsg must be a UTM zone .*got 4326$/,
    );
    const small = { pixels: new Uint8Array(12), mask: new Uint8Array(4) };
    await assert.rejects(
      writeCog(join(folder, 'small.tif'), { ...FORM, width: 512, height: 512, bands: 3, blocks: () => small }),
      /12 pixel and 4 mask bytes: hand over 786432 and 262144$/,
    );
  });

  it('has the order of IFDs that a delivered visual has', async () => {
    const file = await open(path);
    const types = await subfileTypes(async (at, bytes) => (await file.read(Buffer.alloc(bytes), 0, bytes, at)).buffer);
    await file.close();
    assert.deepEqual(types, [0, 4, 1, 1, 1, 5, 5, 5]);
  });
});

describe('layOut', () => {
  const form = { ...FORM, bands: 3, tables: new Uint8Array(574) } as const;
  /** One level of 34 × 34 blocks: the first of `first` bytes, the others of 3,700,000, masks of 40. */
  const stored = (first: number): StoredLevel => ({
    width: 17_408,
    height: 17_408,
    across: 34,
    down: 34,
    images: Array.from({ length: 34 * 34 }, (_, i) => ({ bytes: i ? 3_700_000 : first })),
    masks: Array.from({ length: 34 * 34 }, () => ({ bytes: 40 })),
  });

  it('fills a classic TIFF to its last byte, and refuses one more, naming the size and the remedy', () => {
    const { size } = layOut('a.tif', [stored(0)], form);
    const room = 2 ** 32 - 1 - size;
    assert.ok(room > 0, 'the other blocks alone stay below');
    assert.equal(layOut('a.tif', [stored(room)], form).size, 2 ** 32 - 1);
    assert.throws(() => layOut('a.tif', [stored(room + 1)], form), {
      name: 'RangeError',
      message:
        'writeCog a.tif: 4294967296 bytes pass the 4 GiB of a classic TIFF: lower the quality or part the raster',
    });
  });

  it('counts for each block its length before and its last four bytes after', () => {
    const { header, size } = layOut('a.tif', [stored(1000)], form);
    assert.equal(size, header.length + 1000 + (34 * 34 - 1) * 3_700_000 + 34 * 34 * (40 + 2 * 8));
  });
});

function anyReal(x: number, y: number, step: number): boolean {
  for (let b = y; b < y + step; b++) for (let a = x; a < x + step; a++) if (real(a, b)) return true;
  return false;
}

/** NewSubfileType of each IFD, in file order. */
async function subfileTypes(read: (at: number, bytes: number) => Promise<Buffer>): Promise<number[]> {
  const types: number[] = [];
  for (let at = (await read(4, 4)).readUInt32LE(); at !== 0;) {
    const count = (await read(at, 2)).readUInt16LE();
    const entries = await read(at + 2, count * 12 + 4);
    types.push(entries.readUInt16LE(0) === 254 ? entries.readUInt32LE(8) : 0);
    at = entries.readUInt32LE(count * 12);
  }
  return types;
}
