import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import {
  type Bounds,
  chipBounds,
  chipIdAt,
  parseCell,
  parseChip,
  readTiles,
  squareBounds,
  toLonLat,
} from 'imagesim/ard';
import {
  type Chip,
  type ChipOptions,
  type ChipReport,
  STRETCH,
  chipFile,
  chipsPerDate,
  chipTiles,
  readChips,
  readNodataIndex,
} from 'imagesim/chips';
import sharp from 'sharp';
import { dataFolder, emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';
import { python } from '../rasterio.ts';
import { deliver } from './deliver.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));

/** Pixels of a raster within bounds, `[row, col, band]`, as rasterio reads them; one band is repeated three times. */
function rasterioAt(path: string, bounds: Bounds[]): number[][] {
  const code = `
from rasterio.windows import from_bounds
with rasterio.open(sys.argv[1]) as f:
    read = lambda b: f.read([1, 2, 3] if f.count >= 3 else [1, 1, 1], window=from_bounds(*b, f.transform).round_offsets().round_lengths())
    print(json.dumps([read(b).transpose(1, 2, 0).ravel().tolist() for b in json.loads(sys.argv[2])]))`;
  return python(code, path, JSON.stringify(bounds)) as number[][];
}

/** Runs into a folder of its own. */
async function cut(
  dataPath: string,
  options: Partial<ChipOptions> = {},
): Promise<{ report: ChipReport; chips: Chip[] }> {
  const folder = await emptyFolder();
  const zone = options.zone ?? 33;
  const places = {
    filename: join(folder, 'nodata-index.json'),
    chipDir: join(folder, 'chips', String(zone).padStart(2, '0')),
  };
  const report = await chipTiles({ dataPath, zone, ...places, ...options });
  return { report, chips: await readChips(report.chipDir) };
}

/** Every nth chip with its pixels and those that rasterio reads on the same square of ground. */
async function beside(
  chips: Chip[],
  dataPath: string,
  zone: number,
  step: number,
): Promise<{ ours: Buffer; theirs: number[] }[]> {
  const some = chips.filter((_, at) => at % step === 0);
  const tiles = await readTiles(dataPath, { zone });
  const found: { ours: Buffer; theirs: number[] }[] = [];
  for (const tile of tiles) {
    const own = some.filter(
      ({ cell, date, catid }) => cell === tile.cell.id && date === tile.date && catid === tile.catid,
    );
    if (own.length === 0) continue;
    const theirs = rasterioAt(
      tile.files.visual,
      own.map(({ id }) => chipBounds(id)),
    );
    for (const [at, { path }] of own.entries())
      found.push({ ours: await sharp(path).toColourspace('srgb').removeAlpha().raw().toBuffer(), theirs: theirs[at] });
  }
  assert.equal(found.length, some.length);
  return found;
}

/** Some 2 × 2 of the sample's chips. */
async function fewOfSample(): Promise<Pick<ChipOptions, 'dataPath' | 'bbox'>> {
  const dataPath = await sampleDelivery();
  const { filename } = (await cut(dataPath, { indexOnly: true })).report;
  const [[west, south]] = Object.keys((await readNodataIndex(filename)).chips).map(chipBounds);
  const { epsg } = cell;
  const [[left, bottom], [right, top]] = [
    toLonLat(epsg, [west - 30, south - 30]),
    toLonLat(epsg, [west + 110, south + 110]),
  ];
  return { dataPath, bbox: [left, bottom, right, top] };
}

const proof = process.env.IMAGESIM_PROOF !== undefined;

const isBorder = (at: number): boolean => {
  const [row, column] = [Math.floor(at / 768), Math.floor(at / 3) % 256];
  return row === 0 || column === 0 || row === 255 || column === 255;
};
const error = ({ ours, theirs }: { ours: Buffer; theirs: number[] }): number =>
  theirs.reduce((sum, value, at) => sum + Math.abs(value - ours[at]), 0) / theirs.length;

const cell = parseCell('Z33-031133012203');

describe('chips as cut', () => {
  const sets: [name: string, dataPath: () => Promise<string>, zone: number, step: number, before?: Mocha.Func][] = [
    ['the sample', sampleDelivery, 33, proof ? 45 : 180],
    ['Joplin, both dates', async () => joplin, 15, proof ? 40 : 130, needsShared],
  ];
  for (const [name, dataPath, zone, step, condition] of sets) {
    describe(`from ${name}`, () => {
      if (condition) before(condition);

      it('are as PNG to the last bit what rasterio reads within the bounds of the level-18 cell', async () => {
        const { chips } = await cut(await dataPath(), { zone, format: 'png' });
        for (const { ours, theirs } of await beside(chips, await dataPath(), zone, step)) assert.ok(theirs.every((value, at) => value === ours[at])); // prettier-ignore
      });

      it('are as delivered the same pixels, but for the chroma of their outermost row and column', async () => {
        const { chips } = await cut(await dataPath(), { zone });
        for (const { ours, theirs } of await beside(chips, await dataPath(), zone, step)) {
          assert.ok(theirs.every((value, at) => isBorder(at) || value === ours[at]));
          assert.ok(error({ ours, theirs }) < 0.1);
        }
      });
    });
  }

  it('are as JPEG and WebP of a quality within what one encode allows', async () => {
    const { dataPath, bbox } = await fewOfSample();
    for (const [options, most] of [[{ quality: 95 }, 3], [{ quality: 30 }, 12], [{ format: 'webp', quality: 90 }, 6]] as const) {
      const { chips } = await cut(dataPath, { ...options, bbox });
      const errors = (await beside(chips, dataPath, 33, 5)).map(error);
      assert.ok(Math.max(...errors) < most && Math.max(...errors) > 0.1, errors.join(' '));
    } // prettier-ignore
  });

  it('lie on the square that their id names, 78.125 m wide', () => {
    const id = chipIdAt(cell, 8, 9);
    assert.deepEqual(chipBounds(id), squareBounds(parseChip(id).quadkey));
    assert.deepEqual(chipBounds(id), [265000 + 9 * 78.125, 4095000 - 9 * 78.125, 265000 + 10 * 78.125, 4095000 - 8 * 78.125]); // prettier-ignore
  });

  it('are all of one kind in a folder: another format is refused, even by force', async () => {
    const { dataPath, bbox } = await fewOfSample();
    const { chipDir, filename } = (await cut(dataPath, { format: 'webp', bbox })).report;
    const again = { dataPath, bbox, chipDir, filename };
    await assert.rejects(chipTiles(again), /were cut as webp as delivered .*, not as jpg/);
    await assert.rejects(chipTiles({ ...again, force: true }), /were cut as webp/);
    await assert.rejects(chipTiles({ ...again, format: 'webp', quality: 20, force: true, since: '2023-01-01' }), /were cut as webp/); // prettier-ignore
    const [chip] = await readChips(chipDir);
    const { cell: of } = parseChip(chip.id);
    assert.equal(chipFile(chipDir, { ...chip, cell: of }, chip.id), chip.path);
  });

  it('come of one band as well, as WorldView-1 is delivered: the same in red, green and blue', async () => {
    const dataPath = await emptyFolder();
    await deliver(dataPath, { cell, bands: 1 });
    const { chips } = await cut(dataPath, { format: 'png' });
    assert.equal(chips.length, 4);
    for (const { ours, theirs } of await beside(chips, dataPath, 33, 1)) assert.ok(theirs.every((value, at) => value === ours[at])); // prettier-ignore
    const jpegs = await cut(dataPath);
    for (const { ours, theirs } of await beside(jpegs.chips, dataPath, 33, 1)) assert.ok(error({ ours, theirs }) < 12);
  });

  it('tell several acquisitions of one day apart', async () => {
    const dataPath = await emptyFolder();
    await deliver(dataPath, { cell, catid: '10300100E6747500', blocks: ['5,5', '6,5'] });
    await deliver(dataPath, { cell, catid: '1050010032C83B00', blocks: ['6,5'] });
    const { report, chips } = await cut(dataPath);
    assert.deepEqual(report.tiles.map(({ catid, valid }) => [catid, valid]), [['10300100E6747500', 8], ['1050010032C83B00', 4]]); // prettier-ignore
    assert.equal(chips.length, 12);
    const { chips: index } = await readNodataIndex(report.filename);
    assert.deepEqual(Object.values(index).map((catids) => catids.length).sort((a, b) => a - b), [1, 1, 1, 1, 2, 2, 2, 2]); // prettier-ignore
  });

  for (const id of ['Z04-213131331312', 'Z09-031133012203', 'Z33-213131331312', 'Z60-031133012203']) {
    it(`are named and placed in ${id} as anywhere`, async () => {
      const [other, dataPath] = [parseCell(id), await emptyFolder()];
      const path = await deliver(dataPath, { cell: other });
      const { chips } = await cut(dataPath, { zone: other.zone, format: 'png' });
      const expected = [8, 9].flatMap((row) => [8, 9].map((column) => chipIdAt(other, row, column))).sort();
      assert.deepEqual(chips.map((chip) => chip.id), expected); // prettier-ignore
      const [chip] = chips;
      assert.ok(chip.path.endsWith(`/${other.quadkey}/2023-05-17/${chip.id}_10300100E6747500.png`));
      const south = other.hemisphere === 'S' ? 1e7 : 0;
      const [west, bottom, east, top] = squareBounds(parseChip(chip.id).quadkey);
      const [[...theirs]] = rasterioAt(path, [chipBounds(chip.id)]);
      assert.deepEqual(chipBounds(chip.id), [west, bottom, east, top]);
      assert.ok(top > 0 && (south === 0 || top < 1e7));
      assert.ok((await sharp(chip.path).raw().toBuffer()).equals(Buffer.from(theirs)));
    });
  }

  describe('of reflectance', () => {
    // gdal's own bilinear interpolation onto the grid, then the stretch: rasterio.warp.reproject(resampling=bilinear)
    const WARPED = `
from rasterio.warp import reproject, Resampling
p, white, power = 0.30517578125, float(sys.argv[4]), float(sys.argv[5])
with rasterio.open(sys.argv[1]) as f:
    found = []
    for west, south, east, north in json.loads(sys.argv[2]):
        grid, a = rasterio.Affine(p, 0, west, 0, -p, north), numpy.zeros((3, 256, 256))
        reproject(rasterio.band(f, json.loads(sys.argv[3])), a, dst_transform=grid, dst_crs=f.crs, resampling=Resampling.bilinear, tolerance=0)
        found.append(numpy.rint(255 * numpy.clip(a.transpose(1, 2, 0) / 10000 / white, 0, 1) ** power).astype(int).ravel().tolist())
print(json.dumps(found))`;
    const WRITE = `
path, bands, epsg, west, north, size, mask = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]), float(sys.argv[6]), sys.argv[7] == 'mask'
n = 200
y, x = numpy.mgrid[0:n, 0:n]
data = numpy.stack([(1500 + 900 * numpy.sin((x + 3 * b) / 9.0) + 700 * numpy.cos((y - 5 * b) / 7.0)).astype('uint16') for b in range(bands)])
profile = dict(driver='GTiff', width=n, height=n, count=bands, dtype='uint16', crs=f'EPSG:{epsg}', transform=rasterio.Affine(size, 0, west, 0, -size, north), tiled=True, blockxsize=256, blockysize=256, compress='deflate')
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
    with rasterio.open(path, 'w', **profile) as f:
        f.write(data)
        if mask:
            m = numpy.full((n, n), 255, 'uint8'); m[:, 150:] = 0
            f.write_mask(m)
print('null')`;

    /** A data folder with an ms or pan raster over chips (8, 8) to (9, 9) and beyond, off the grid. */
    async function native(
      bands: number,
      product: string,
      { mask = false, visual = false } = {},
    ): Promise<{ dataPath: string; path: string }> {
      const dataPath = await emptyFolder();
      const tif = await deliver(dataPath, { cell });
      const path = tif.replace('-visual', `-${product}`);
      const [west, , , north] = chipBounds(chipIdAt(cell, 8, 8));
      python(WRITE, path, String(bands), String(cell.epsg), String(west - 20.3), String(north + 17.9), '1.24', mask ? 'mask' : 'none'); // prettier-ignore
      if (!visual) await rm(tif);
      return { dataPath, path };
    }

    for (const [bands, product, shown] of [[8, 'ms', [5, 3, 2]], [4, 'ms', [3, 2, 1]], [1, 'pan', [1, 1, 1]]] as const) {
      it(`are ${product} of ${bands} bands, laid on the grid as gdalwarp does and stretched, to one level`, async () => {
        const { dataPath, path } = await native(bands, product, { visual: true });
        const { chips, report } = await cut(dataPath, { product, format: 'png' });
        assert.deepEqual([chips.length, report.tiles[0].from], [4, 'mask']); // the visual raster's
        const bounds = JSON.stringify(chips.map(({ id }) => chipBounds(id)));
        const warped = python(WARPED, path, bounds, JSON.stringify(shown), String(STRETCH.white), String(STRETCH.power)) as number[][]; // prettier-ignore
        for (const [at, { path: png }] of chips.entries()) {
          const ours = await sharp(png).raw().toBuffer();
          const worst = warped[at].reduce((most, value, place) => Math.max(most, Math.abs(value - ours[place])), 0);
          assert.ok(worst <= 1, `${worst} levels apart`);
        }
      });
    } // prettier-ignore

    it('have by their own mask no pixel that is interpolated from no-data, where there is no visual raster', async () => {
      const { dataPath } = await native(8, 'ms', { mask: true });
      const { report, chips } = await cut(dataPath, { product: 'ms' });
      // real are 150 columns of 1.24 m from 20.3 m west of chip 8,8 on: 165.7 m east of its edge, two chips and a little
      assert.equal(report.tiles[0].from, 'mask');
      const columns = chips.map(({ id }) => parseChip(id).column);
      assert.deepEqual([Math.min(...columns), Math.max(...columns)], [8, 9]);
      const shares = (await cut(dataPath, { product: 'ms', minValid: 0.05 })).chips.map(
        ({ id }) => parseChip(id).column,
      );
      assert.deepEqual([Math.min(...shares), Math.max(...shares)], [7, 10]);
    });

    it('are left out and listed where nothing says what is real', async () => {
      const { dataPath } = await native(8, 'ms');
      const { report } = await cut(dataPath, { product: 'ms' });
      assert.match(report.leftOut.join(), /-ms\.tif has no mask/);
      assert.equal((await cut(dataPath, { product: 'ms', noMask: 'assume-real' })).report.tiles[0].from, 'assumed');
    });
  });

  it('are counted by cell and date, several acquisitions of a day together', () => {
    const tile = (id: string, date: string, valid: number): { cell: string; date: string; valid: number } => ({ cell: id, date, valid }); // prettier-ignore
    const rows = [
      tile('B', '2023-05-17', 3),
      tile('A', '2023-06-02', 0),
      tile('A', '2023-05-17', 4),
      tile('A', '2023-05-17', 5),
    ];
    assert.deepEqual(chipsPerDate(rows), [{ cell: 'A', dates: { '2023-05-17': 9, '2023-06-02': 0 } }, { cell: 'B', dates: { '2023-05-17': 3 } }]); // prettier-ignore
  });

  describe('by choice', () => {
    let dataPath: string;
    before(async () => {
      dataPath = await emptyFolder();
      const item = { datetime: '2023-05-17T09:55:01Z', platform: 'WV02', gsd: 0.52, 'view:off_nadir': 21.5, 'view:sun_elevation': 61, 'view:sun_azimuth': 150, 'tile:clouds_percent': 4 }; // prettier-ignore
      await deliver(dataPath, { cell, date: '2023-05-17', item });
      await deliver(dataPath, { cell, date: '2023-06-02', catid: '1040010083F3B200', item: { ...item, 'view:off_nadir': 33, 'tile:clouds_percent': 40 } }); // prettier-ignore
      await deliver(dataPath, { cell, date: '2023-07-01', catid: '1050010032C83B00' });
      await deliver(dataPath, { cell: parseCell('Z33-031133012212'), date: '2023-05-17', item });
    });
    const dates = async (options: Partial<ChipOptions>): Promise<string> =>
      (await cut(dataPath, options)).report.tiles.map(({ cell: id, date }) => `${id.slice(-2)} ${date}`).join(', '); // prettier-ignore

    it('takes acquisitions by date, cloud and angle, and says of the others why not', async () => {
      assert.equal(await dates({ since: '2023-06-01' }), '03 2023-06-02, 03 2023-07-01');
      assert.equal(await dates({ until: '2023-05-31' }), '03 2023-05-17, 12 2023-05-17');
      assert.equal(await dates({ maxCloudPercent: 4 }), '03 2023-05-17, 12 2023-05-17');
      assert.equal(await dates({ maxOffNadir: 33, since: '2023-06-01' }), '03 2023-06-02');
      const { leftOut } = (await cut(dataPath, { maxOffNadir: 30 })).report;
      assert.deepEqual(leftOut, [
        'Z33-031133012203 2023-06-02 1040010083F3B200: 33° from nadir',
        'Z33-031133012203 2023-07-01 1050010032C83B00: its STAC item states no angle from nadir, or there is none',
      ]);
      await assert.rejects(cut(dataPath, { maxOffNadir: 99 }), /max off nadir is 99: expected degrees, 0 to 90/);
    });

    it('cuts only the chips that a box touches, while the index means all of their tiles', async () => {
      const [west, south, east, north] = chipBounds(chipIdAt(cell, 8, 8));
      const [a, b] = [toLonLat(cell.epsg, [west + 20, south + 20]), toLonLat(cell.epsg, [east - 20, north - 20])];
      const { report, chips } = await cut(dataPath, { bbox: [a[0], a[1], b[0], b[1]] });
      assert.deepEqual(new Set(chips.map(({ id }) => id)), new Set([chipIdAt(cell, 8, 8)]));
      assert.deepEqual([report.tiles.length, chips.length, report.chips], [3, 3, 3]);
      assert.equal(Object.keys((await readNodataIndex(report.filename)).chips).length, 4);
    });

    it('keeps in the index what an earlier run found of acquisitions that are not chosen now', async () => {
      const { report } = await cut(dataPath);
      const before = await readFile(report.filename);
      const { filename, chipDir } = report;
      await chipTiles({ dataPath, filename, chipDir, since: '2023-07-01' });
      assert.deepEqual(await readFile(filename), before);
    });

    it('cuts a tile anew when another file has replaced it, and removes the chips that are whole no more', async () => {
      const own = await emptyFolder();
      await deliver(own, { cell, blocks: ['5,5', '6,5'] });
      const { report, chips } = await cut(own);
      const before = await readFile(chips[0].path);
      await deliver(own, { cell, date: '2023-05-18', catid: '1050010032C83B00', blocks: ['7,7'] });
      const [tile] = await readTiles(own);
      await rm(tile.files.visual);
      await deliver(own, { cell, blocks: ['5,5'], bands: 1 });
      const { filename, chipDir } = report;
      const dry = await chipTiles({ dataPath: own, filename, chipDir, dryRun: true });
      assert.deepEqual([dry.cut, (await readChips(chipDir)).length], [8, 8]);
      const again = await chipTiles({ dataPath: own, filename, chipDir });
      assert.deepEqual([again.cut, again.chips], [8, 8]);
      const there = await readChips(chipDir);
      assert.deepEqual(there.filter(({ date }) => date === '2023-05-17').map(({ id }) => id), chips.slice(0, 4).map(({ id }) => id)); // prettier-ignore
      assert.ok(!before.equals(await readFile(there[0].path)));
    });

    it('keeps the index and the records of visual rasters when another product is cut, or none is there', async () => {
      const { report } = await cut(dataPath);
      const { filename, chipDir } = report;
      const before = await readFile(filename);
      const other = await chipTiles({ dataPath, filename, chipDir: join(dirname(chipDir), 'ms/33'), product: 'ms' });
      assert.deepEqual([other.tiles, other.leftOut.length], [[], 4]);
      assert.deepEqual(await readFile(filename), before);
    });

    it('takes every pixel for real only as long as that is asked for', async () => {
      const own = await emptyFolder();
      const tif = await deliver(own, { cell });
      const bare = `${tif}.bare`;
      python(`
some = Window(2560, 2560, 512, 512)
with rasterio.open(sys.argv[1]) as f: profile, data = f.profile, f.read(window=some)
with rasterio.open(sys.argv[2], 'w', **{**profile, 'compress': 'deflate', 'photometric': 'rgb', 'nodata': None, 'sparse_ok': True}) as f: f.write(data, window=some)
print('null')`, tif, bare); // prettier-ignore
      await rename(bare, tif);
      const first = await cut(own, { noMask: 'assume-real', indexOnly: true });
      assert.deepEqual([first.report.tiles[0].from, first.report.tiles[0].valid], ['assumed', 4096]);
      const { filename, chipDir } = first.report;
      const again = await chipTiles({ dataPath: own, filename, chipDir, indexOnly: true });
      assert.deepEqual([again.tiles.length, again.leftOut.length], [0, 1]);
      assert.deepEqual((await readNodataIndex(filename)).chips, {});
    });

    it('keeps what the table says of chips that were indexed elsewhere', async () => {
      const { report } = await cut(dataPath);
      const table = join(report.chipDir, 'index.parquet');
      const read = async (): Promise<object[]> => parquetReadObjects({ file: await asyncBufferFromFile(table) });
      const before = await read();
      const elsewhere = join(await emptyFolder(), 'other.json');
      await chipTiles({ dataPath, filename: elsewhere, chipDir: report.chipDir, since: '2023-07-01' });
      assert.deepEqual(await read(), before);
    });

    it('names a damaged table where it alone knows of some chips, and makes it anew where it does not', async () => {
      const { report } = await cut(dataPath);
      const [table, elsewhere] = [join(report.chipDir, 'index.parquet'), join(await emptyFolder(), 'other.json')];
      const whole = await readFile(table);
      await writeFile(table, whole.subarray(0, 200));
      const some = { dataPath, filename: elsewhere, chipDir: report.chipDir, since: '2023-07-01' };
      await assert.rejects(chipTiles(some), /index\.parquet is damaged .*: delete it, and chip again/);
      await chipTiles({ dataPath, filename: report.filename, chipDir: report.chipDir });
      assert.deepEqual(await readFile(table), whole);
    });

    it('leaves by force nothing that was cut otherwise, and refuses to force a part of it', async () => {
      const own = await dataFolder(await sampleDelivery());
      const { report } = await cut(own, { minValid: 0.3, quality: 40 });
      const { filename, chipDir } = report;
      await assert.rejects(chipTiles({ dataPath: own, filename, chipDir, force: true, shard: { index: 0, count: 2 } }), /were cut as jpg with quality 40/); // prettier-ignore
      const forced = await chipTiles({ dataPath: own, filename, chipDir, force: true });
      assert.ok(forced.chips < report.chips);
      assert.equal((await readChips(chipDir)).length, forced.chips);
    });

    it('writes with the chips what is known of each: index.parquet', async () => {
      const { report, chips } = await cut(dataPath);
      const file = await asyncBufferFromFile(join(report.chipDir, 'index.parquet'));
      const rows = await parquetReadObjects({ file });
      assert.deepEqual(rows.map(({ id, file: path }) => [id, join(report.chipDir, path)]), chips.map(({ id, path }) => [id, path])); // prettier-ignore
      const { id: _, file: __, ...row } = rows.find(({ date, cell: of }) => date === '2023-06-02' && of === cell.id)!;
      assert.deepEqual(row, {
        catid: '1040010083F3B200', date: '2023-06-02', cell: cell.id, real: 1, cloud_percent: 40, off_nadir: 33, gsd: 0.52,
        sun_elevation: 61, sun_azimuth: 150, datetime: '2023-05-17T09:55:01.000Z', platform: 'WV02',
      }); // prettier-ignore
      assert.equal(rows.find(({ date }) => date === '2023-07-01')!['off_nadir'], null);
    });

    it('cuts the same where there is one core, and no thread beside', async () => {
      const { report, chips } = await cut(dataPath);
      const folder = await emptyFolder();
      const chipDir = join(folder, 'chips/33');
      const words = ['chip', '--filename', join(folder, 'nodata-index.json'), '--chip-dir', chipDir];
      const watch = "data:text/javascript,process.on('worker',()=>console.error('a thread'))";
      const { stderr } = await promisify(execFile)('taskset', ['-c', '0', process.execPath, '--import', watch, cli, ...words], { env: { ...process.env, IMAGESIM_DATA: dataPath } }); // prettier-ignore
      assert.doesNotMatch(stderr, /a thread/);
      const files = ['index.parquet', 'cut.json', ...chips.map(({ path }) => path.slice(report.chipDir.length + 1))];
      for (const name of files)
        assert.deepEqual(await readFile(join(chipDir, name)), await readFile(join(report.chipDir, name)), name);
    });

    it('says in a dry run what would be cut and how many bytes that is, near the truth, and writes nothing', async () => {
      const folder = await emptyFolder();
      const options = { dataPath, filename: join(folder, 'nodata-index.json'), chipDir: join(folder, 'chips/33') };
      const dry = await chipTiles({ ...options, dryRun: true });
      assert.ok(!existsSync(options.filename) && !existsSync(dirname(options.chipDir)));
      const { report, chips } = await cut(dataPath);
      assert.deepEqual([dry.cut, dry.chips, dry.tiles], [report.cut, report.chips, report.tiles]);
      const sizes = await Promise.all(chips.map(async ({ path }) => (await readFile(path)).length));
      const sum = sizes.reduce((all, size) => all + size, 0);
      assert.ok(Math.abs(dry.bytes / sum - 1) < 0.1, `${dry.bytes} of ${sum}`);
    });
  });
});
