import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { deflateSync } from 'node:zlib';
import type { MultiPolygon, Position } from 'geojson';
import { type Cell, openRaster, parseCell, readTiles, writeCog } from 'imagesim/ard';
import { type Validity, checkPlace, chipTiles, NoMaskError, readNodataIndex, readValidity, validFractions } from 'imagesim/chips'; // prettier-ignore
import { emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';
import { python, rasterioCounts, rasterizedCounts } from '../rasterio.ts';
import { type MaskForm, writeMasked } from './tiff.ts';

const cell = parseCell('Z33-031133012203');
const southern = parseCell('Z04-213131331312');

/** Real pixels by chip as {@link readValidity} has them, and where from. */
async function ours(
  path: string,
  files: Record<string, string> = {},
  at = cell,
): Promise<Validity & { counts: number[] }> {
  const raster = await openRaster(path);
  try {
    const validity = await readValidity(raster, { cell: at, files });
    return { ...validity, counts: Array.from(validity.fractions, (fraction) => fraction * 256 ** 2) };
  } finally {
    await raster.close();
  }
}

/** Whole chips of some counts. */
const whole = (counts: readonly number[]): number => counts.filter((count) => count === 256 ** 2).length;

describe('what is real', () => {
  let folder: string;
  let bare: string; // a raster without a mask
  before(async () => {
    folder = await emptyFolder();
    bare = join(folder, 'bare.tif');
    await writeMasked(bare, cell);
  });

  describe('from a mask', () => {
    it('is in the sample’s tiles what rasterio’s dataset_mask has, pixel by pixel', async () => {
      const paths = (await readTiles(await sampleDelivery())).map(({ files }) => files.visual);
      for (const [at, counts] of rasterioCounts(...paths).entries()) {
        const mine = await ours(paths[at]);
        assert.deepEqual(mine.counts, counts);
        assert.equal(mine.from, 'mask');
        assert.ok(whole(counts) > 50);
      }
    });

    it('is what rasterio has along a diagonal edge and in a tile that is sparse', async () => {
      const paths = ['diagonal.tif', 'sparse.tif'].map((name) => join(folder, name));
      const places = new Set(['5,5', '6,5', '20,33', '1,1', '0,0']);
      const blocks = [(column: number, row: number) => column > row - 3, (column: number, row: number) => places.has(`${column},${row}`)]; // prettier-ignore
      for (const [at, path] of paths.entries()) {
        await writeCog(path, {
          width: 17408, height: 17408, epsg: cell.epsg, origin: [264843.75, 4095156.25], metresPerPixel: 0.30517578125, bands: 1,
          blocks: (column, row) => (row < 12 || at === 1) && blocks[at](column, row) ? diagonalBlock(column === row) : undefined,
        }); // prettier-ignore
      }
      const theirs = rasterioCounts(...paths);
      for (const [at, path] of paths.entries()) assert.deepEqual((await ours(path)).counts, theirs[at]);
      assert.ok(whole(theirs[0]) > 500);
      assert.ok(theirs[0].some((count) => count > 0 && count < 256 ** 2));
      assert.equal(whole(theirs[1]), 4 + 1 + 1); // 6,5; the lower left of 5,5 and 1,1; 20,33 and 0,0 lie in the apron
    });

    const edge = (row: number): number => (row < 700 ? 17408 : Math.min(17408, 300 + 3 * Math.floor(row / 8)));
    const every: [name: string, form: MaskForm][] = [
      ['uncompressed', { edge, compression: 1 }],
      ['DEFLATE by its older number', { edge, compression: 32946 }],
      ['LZW', { edge, compression: 5 }],
      ['PackBits', { edge, compression: 32773 }],
      ['blocks of 256 px', { edge, block: [256, 256] }],
      ['blocks of 1024 px', { edge, block: [1024, 1024] }],
      ['blocks of 240 × 112 px, which chips do not fit', { edge, block: [240, 112] }],
      ['strips of 100 rows', { edge, strips: true, block: [17408, 100] }],
      ['one strip', { edge, strips: true, block: [17408, 17408] }],
      ['bytes', { edge, bits: 8 }],
      ['bytes in strips, PackBits', { edge, bits: 8, strips: true, block: [17408, 3], compression: 32773 }],
    ];
    const forms = every.filter((_, at) => process.env.IMAGESIM_PROOF || at % 2 === 0); // a second and more each
    it(`is what rasterio has in ${forms.map(([name]) => name).join('; ')}`, async () => {
      const paths = forms.map((_, at) => join(folder, `form-${at}.tif`));
      for (const [at, [, form]] of forms.entries()) await writeMasked(paths[at], cell, form);
      const [first, ...others] = rasterioCounts(...(process.env.IMAGESIM_PROOF ? paths : paths.slice(0, 1))); // of the others it would say the same
      assert.ok(whole(first) > 1000 && whole(first) < 4096);
      for (const [at, counts] of others.entries())
        assert.deepEqual(counts, first, `rasterio reads ${forms[at + 1][0]}`);
      for (const [at, path] of paths.entries()) assert.deepEqual((await ours(path)).counts, first, forms[at][0]);
    });

    it('is what rasterio has in a WorldView-1 tile that rasterio wrote, noise and all, north and south', async () => {
      const paths = [join(folder, 'wv1.tif'), join(folder, 'wv1-south.tif')];
      for (const [at, path] of paths.entries()) {
        const { epsg, tileBounds } = at === 0 ? cell : southern;
        python(
          `
path, epsg, west, north = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
p = 0.30517578125
random = numpy.random.default_rng(33)
with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, 'w', driver='GTiff', width=17408, height=17408, count=1,
    dtype='uint8', crs=f'EPSG:{epsg}', transform=rasterio.Affine(p, 0, west, 0, -p, north), tiled=True, blockxsize=512,
    blockysize=512, compress='deflate', sparse_ok=True) as f:
    f.write_mask(random.integers(0, 20, (1500, 2300)) > 0, window=Window(1300, 2100, 2300, 1500))
    f.write_mask(numpy.ones((2048, 1024), bool), window=Window(5120, 5000, 1024, 2048))`,
          path, String(epsg), String(tileBounds[0]), String(tileBounds[3]),
        ); // prettier-ignore
        const raster = await openRaster(path);
        checkPlace(raster, { cell: at === 0 ? cell : southern } as Parameters<typeof checkPlace>[1]);
        await raster.close();
      }
      const theirs = rasterioCounts(...paths);
      assert.deepEqual(theirs[0], theirs[1]);
      assert.equal(whole(theirs[0]), 4 * 7);
      for (const path of paths) assert.deepEqual((await ours(path)).counts, theirs[0]);
    });

    it('is named when it is damaged, cut short, a bomb, or not of the tile’s size', async () => {
      const straight = (): number => 9000;
      const spoilt = (spoil: MaskForm['spoil'], form: Partial<MaskForm> = {}): MaskForm => ({ edge: straight, ...form, spoil: spoil! }); // prettier-ignore
      const cases: [form: MaskForm, line: RegExp][] = [
        [spoilt((packed) => packed.fill(7, 4)), /broken\.tif holds a damaged block \(.+\): fetch it again$/],
        [spoilt((packed) => packed.subarray(0, 12)), /damaged block \(unexpected end of file\)/],
        [spoilt((packed) => packed.subarray(0, 3000), { compression: 1 }), /damaged block \(3000 bytes of 32768\)/],
        [
          spoilt(() => deflateSync(Buffer.alloc(5e7))),
          /damaged block \(Cannot create a Buffer larger than 32768 bytes\)/,
        ],
        [
          spoilt(() => Buffer.alloc(90_000)),
          /has a mask block of 90000 bytes, which unpacked are 32768: fetch it again$/,
        ],
        [spoilt(() => Buffer.from([0x80, 0x40, 0x55, 0x77]), { compression: 5 }), /holds a damaged block/],
        [spoilt(() => Buffer.from([127, 1]), { compression: 32773 }), /holds a damaged block/],
        [{ edge: straight, compression: 34887 }, /has a mask or alpha band in compression 34887: expected none, DEFLATE, LZW or PackBits/], // prettier-ignore
        [{ edge: straight, claims: { size: [2 ** 31, 2 ** 31] } }, /a mask of 2147483648 × 2147483648 px for an image of 17408 × 17408: fetch/], // prettier-ignore
        [
          { edge: straight, claims: { size: [17408, 2 ** 31] } },
          /mask or alpha band of 17408 × 2147483648 px in blocks of 512 × 512/,
        ],
        [
          { edge: straight, claims: { block: [2 ** 31, 2 ** 31] } },
          /in blocks of 2147483648 × 2147483648 px: expected/,
        ],
        [{ edge: straight, claims: { block: [0, 512] } }, /in blocks of 0 × 512/],
        [{ edge: straight, claims: { block: [16, 16] } }, /lists 1156 of the 1183744 blocks/],
      ];
      const broken = join(folder, 'broken.tif');
      for (const [form, line] of cases) {
        await writeMasked(broken, cell, form);
        await assert.rejects(ours(broken), (error: Error) => {
          assert.match(error.message, line);
          assert.ok(error.message.includes(broken) && !error.message.includes('\n'), error.message);
          return true;
        });
      }
    });
  });

  describe('from an alpha band', () => {
    it('is what rasterio has: RGBA, predicted differences, bands apart, grey; all but 0 counts as real', async () => {
      const kinds = ['rgba', 'predicted', 'apart', 'grey'];
      const paths = kinds.map((name) => join(folder, `${name}.tif`));
      python(
        `
def make(path, bands, **options):
    p = 0.30517578125
    random = numpy.random.default_rng(4)
    with rasterio.open(path, 'w', driver='GTiff', width=17408, height=17408, count=bands, dtype='uint8', crs='EPSG:32633', alpha='YES',
        transform=rasterio.Affine(p, 0, 264843.75, 0, -p, 4095156.25), tiled=True, sparse_ok=True, **options) as f:
        pixels = random.integers(0, 255, (bands, 900, 1100), dtype='uint8')
        pixels[-1, :600, :600] = random.integers(1, 256, (600, 600))
        pixels[:-1, :, :300] = 0
        f.write(pixels, window=Window(700, 500, 1100, 900))
make(sys.argv[1], 4, photometric='RGB', compress='deflate', blockxsize=512, blockysize=512)
make(sys.argv[2], 4, photometric='RGB', compress='lzw', predictor=2, blockxsize=128, blockysize=64)
make(sys.argv[3], 4, photometric='RGB', compress='deflate', interleave='band', blockxsize=256, blockysize=256)
make(sys.argv[4], 2, photometric='MINISBLACK', compress='packbits', blockxsize=128, blockysize=128)`,
        ...paths,
      );
      for (const [at, counts] of rasterioCounts(...paths).entries()) {
        const mine = await ours(paths[at]);
        assert.deepEqual(mine.counts, counts, kinds[at]);
        assert.equal(mine.from, 'alpha');
        assert.ok(whole(counts) >= 1 && counts.some((count) => count > 0 && count < 256 ** 2));
      }
    });
  });

  describe('from the delivery’s data-mask.gpkg', () => {
    const [west, south, east, north] = cell.cellBounds;
    const chip = 78.125;
    const holed: MultiPolygon = {
      type: 'MultiPolygon',
      coordinates: [
        [box(west - 900, south + 1000.3, west + 2500.123, north + 50), box(west + 5 * chip, north - 9 * chip, west + 8 * chip, north - 6.5 * chip)],
        [[[east, south], [east, south + 2222], [east - 2001, south + 3], [east, south]]],
        [box(west + 40 * chip, south + 40 * chip, west + 44 * chip, south + 44 * chip)],
        [box(west + 44 * chip, south + 40 * chip, west + 44.5 * chip, south + 44 * chip)],
        [box(west + 44.5 * chip, south + 40 * chip, west + 46 * chip, south + 44 * chip)],
      ],
    }; // prettier-ignore

    it('is the share of each chip that its polygons cover, holes left out, as rasterize has it but for pixels on edges', async () => {
      const { fractions, from } = await ours(bare, { 'data-mask': writeGpkg(join(folder, 'holed.gpkg'), cell, holed) });
      assert.equal(from, 'gpkg');
      const theirs = rasterizedCounts(holed, cell);
      for (const [at, fraction] of fractions.entries()) {
        assert.ok(Math.abs(fraction - theirs[at] / 256 ** 2) < 0.004, `chip ${at}: ${fraction} and ${theirs[at] / 256 ** 2}`); // prettier-ignore
      }
      const inside = [...fractions.keys()].filter((at) => fractions[at] === 1);
      assert.ok(inside.length > 1500 && inside.every((at) => theirs[at] === 256 ** 2));
      const covered = fractions.reduce((sum, fraction) => sum + fraction, 0) * chip ** 2;
      const hole = 3 * chip * 2.5 * chip;
      const exact = 2500.123 * (5000 - 1000.3) - hole + 24 * chip ** 2 + (2222 * 2001) / 2;
      assert.ok(Math.abs(covered - exact) < 1, `${covered} m² and ${exact}`);
    });

    it('is whole in the chips of polygons along their borders, also in parts that meet; one by hole and sliver is not', async () => {
      const at = (row: number, column: number): number => row * 64 + column;
      const { fractions } = await ours(bare, { 'data-mask': join(folder, 'holed.gpkg') });
      for (let row = 20; row < 24; row++) for (let column = 40; column < 46; column++) assert.equal(fractions[at(row, column)], 1); // prettier-ignore
      assert.equal(fractions[at(6, 5)], 0.5); // the hole's northern border halves these
      assert.equal(fractions[at(7, 5)], 0);
      assert.equal(fractions[at(6, 4)], 1);
      const sliver: MultiPolygon = { type: 'MultiPolygon', coordinates: [[box(west + 1e-6, south, east, north)]] };
      const slit = await ours(bare, { 'data-mask': writeGpkg(join(folder, 'sliver.gpkg'), cell, sliver) });
      assert.deepEqual([slit.fractions[0] < 1, slit.fractions[1]], [true, 1]);
    });

    it('never takes overlap for cover: of polygons that overlap in a chip the largest counts', async () => {
      const parts = [box(west, north - chip, west + 0.8 * chip, north), box(west, north - chip, west + 0.7 * chip, north), box(west, north - 2 * chip, west + 2 * chip, north - chip)]; // prettier-ignore
      const geometry: MultiPolygon = { type: 'MultiPolygon', coordinates: parts.map((ring) => [ring]) };
      const { fractions } = await ours(bare, { 'data-mask': writeGpkg(join(folder, 'overlap.gpkg'), cell, geometry) });
      assert.ok(Math.abs(fractions[0] - 0.8) < 1e-6);
      assert.equal(fractions[64], 1);
    });

    it('is read in the south and in a zone of one digit', async () => {
      const [w, s, , n] = southern.cellBounds;
      assert.ok(s > 1e6 && southern.epsg === 32704);
      const path = join(folder, 'south.tif');
      await writeMasked(path, southern);
      const geometry: MultiPolygon = { type: 'MultiPolygon', coordinates: [[box(w, s, w + 32 * chip, n)]] };
      const gpkg = writeGpkg(join(folder, 'south.gpkg'), southern, geometry);
      const { counts } = await ours(path, { 'data-mask': gpkg }, southern);
      assert.deepEqual(counts, rasterizedCounts(geometry, southern));
      assert.equal(whole(counts), 2048);
    });

    it('is not asked where there is a mask', async () => {
      const path = join(folder, 'half.tif');
      await writeMasked(path, cell, { edge: () => 8704 });
      const { from, counts } = await ours(path, { 'data-mask': join(folder, 'nowhere.gpkg') });
      assert.deepEqual([from, whole(counts)], ['mask', 2048]);
    });

    it('is named when it is not there, no SQLite, cut short, damaged, without a layer, or in another system', async () => {
      const sound = await readFile(join(folder, 'sliver.gpkg'));
      const shape = JSON.stringify({ type: 'LineString', coordinates: [[west, south], [east, north]] }); // prettier-ignore
      const lines = ogr(join(folder, 'by-ogr-lines.gpkg'), 'GPKG', shape, '-a_srs', 'EPSG:32633');
      const tableless = ogr(join(folder, 'by-ogr.sqlite'), 'SQLite', shape);
      const layerless = ogr(join(folder, 'by-ogr.gpkg'), 'GPKG', shape, '-nlt', 'NONE');
      const zeros = Buffer.from(sound).fill(0, 4096);
      const corner = Buffer.from(sound);
      for (let x = corner.indexOf(doubleOf(east)); x !== -1; x = corner.indexOf(doubleOf(east), x)) corner.writeDoubleLE(Infinity, x); // prettier-ignore
      const cases: [path: string, bytes: Buffer | undefined, line: RegExp][] = [
        ['absent', undefined, /cannot open .*absent\.gpkg: ENOENT/],
        ['text', Buffer.from('<html>no such key</html>'), /\(24 bytes\) is no GeoPackage: it begins with "<html>no such ke"; fetch it again$/], // prettier-ignore
        ['empty', Buffer.alloc(0), /\(0 bytes\) is no GeoPackage/],
        ['short', sound.subarray(0, 20_000), /is no GeoPackage that can be read \(.+\): fetch it again$/],
        ['zeros', zeros, /is no GeoPackage that can be read \(.+\): fetch it again$/],
        ['corner', corner, /a corner lies at Infinity m/],
        ['lines', await readFile(lines), /a geometry is of kind 2, no polygon/],
        ['tableless', await readFile(tableless), /no such table: gpkg_geometry_columns/],
        ['layerless', await readFile(layerless), /holds 0 layers of features \(none\): expected the one of the data mask/], // prettier-ignore
        ['south', await readFile(join(folder, 'south.gpkg')), /is in EPSG:32704: its tile is in EPSG:32633; put it in the right cell/], // prettier-ignore
      ];
      for (const [name, bytes, line] of cases) {
        const path = join(folder, `${name}.gpkg`);
        if (bytes) await writeFile(path, bytes);
        await assert.rejects(ours(bare, { 'data-mask': path }), (error: Error) => {
          assert.match(error.message, line);
          assert.ok(error.message.includes(path) && !error.message.includes('\n'), error.message);
          return true;
        });
      }
      await writeFile(join(folder, 'large.gpkg'), sound);
      await truncate(join(folder, 'large.gpkg'), 2 ** 33); // a hole in the file: it takes no room
      await assert.rejects(ours(bare, { 'data-mask': join(folder, 'large.gpkg') }), /large\.gpkg has 8589934592 bytes/);
    });
  });

  describe('where nothing tells', () => {
    it('is not known, unless the caller says that all is real', async () => {
      const raster = await openRaster(bare);
      await assert.rejects(readValidity(raster, { cell, files: {} }), NoMaskError);
      await assert.rejects(validFractions(raster), /bare\.tif has no mask, no alpha band and no -data-mask\.gpkg/);
      const { fractions, from } = await readValidity(raster, { cell, files: {} }, { noMask: 'assume-real' });
      assert.deepEqual([from, fractions.every((fraction) => fraction === 1)], ['assumed', true]);
      await raster.close();
    });

    it('is left out and listed by chipTiles, or taken for real and said to be so, beside tiles of other kinds', async () => {
      const place = join(await emptyFolder(), 'ard/33', cell.quadkey, '2024-05-06');
      await mkdir(place, { recursive: true });
      const [first, second, third] = ['1030010000000001', '1030010000000002', '1030010000000003'];
      for (const catid of [first, second]) await copyFile(bare, join(place, `${catid}-visual.tif`));
      await copyFile(join(folder, 'sliver.gpkg'), join(place, `${second}-data-mask.gpkg`));
      await copyFile(join(folder, 'half.tif'), join(place, `${third}-visual.tif`));
      const dataPath = dirname(dirname(dirname(dirname(place))));
      const options = { dataPath, zone: 33, indexOnly: true };
      const careful = await chipTiles(options);
      assert.deepEqual(careful.tiles.map(({ valid, from }) => [valid, from]), [[4032, 'gpkg'], [2048, 'mask']]); // prettier-ignore
      assert.match(careful.leftOut.join(), new RegExp(`${first}-visual\\.tif has no mask.* it is left out$`));
      const bold = await chipTiles({ ...options, noMask: 'assume-real' });
      assert.deepEqual(bold.tiles.map(({ valid, from }) => [valid, from]), [[4096, 'assumed'], [4032, 'gpkg'], [2048, 'mask']]); // prettier-ignore
      assert.deepEqual(bold.leftOut, []);
      const { chips } = await readNodataIndex(bold.filename);
      assert.deepEqual(chips[`${cell.id}000000`], [first]);
      assert.deepEqual(chips[`${cell.id}333333`], [first, second, third]);
    });
  });

  it('is refused for a tile of another size, pixel, place or zone, each named', async () => {
    const path = join(folder, 'other.tif');
    const [west, , , north] = cell.tileBounds;
    const make = async (side: number, metresPerPixel: number, x: number, epsg: number): Promise<void> => {
      await writeCog(path, { width: side, height: side, epsg, origin: [x, north], metresPerPixel, bands: 1, blocks: () => undefined }); // prettier-ignore
    };
    await make(512, 0.30517578125, west, cell.epsg);
    await assert.rejects(
      ours(path),
      /other\.tif is 512 × 512 px: expected an ARD visual, 17408 px square; fetch it again/,
    );
    for (const [pixel, x, zone] of [[0.5, 0, 0], [0.30517578125, 3, 0], [0.30517578125, 0, 1]]) {
      await make(512, pixel, west + x, cell.epsg + zone);
      const raster = await openRaster(path);
      const line = new RegExp(`${path} begins at ${west + x}, ${north} of EPSG:${cell.epsg + zone}, ${pixel} m a pixel; its folder says ${cell.id}`); // prettier-ignore
      assert.throws(() => checkPlace(raster, { cell } as Parameters<typeof checkPlace>[1]), line);
      await raster.close();
    } // prettier-ignore
  });

  describe('on real imagery', () => {
    before(needsShared);
    it('is what rasterio has in both Joplin tiles: 196 and 338 whole chips', async () => {
      const paths = (await readTiles(joplin)).map(({ files }) => files.visual);
      const theirs = rasterioCounts(...paths);
      assert.deepEqual(theirs.map(whole), [196, 338]);
      for (const [at, path] of paths.entries()) assert.deepEqual((await ours(path)).counts, theirs[at]);
    });
  });
});

/** A block that is real throughout, or below its diagonal. */
function diagonalBlock(halved: boolean): { pixels: Uint8Array; mask: Uint8Array } {
  const mask = new Uint8Array(512 ** 2).fill(1);
  if (halved) for (let row = 0; row < 512; row++) mask.fill(0, row * 512 + row, (row + 1) * 512);
  return { pixels: new Uint8Array(512 ** 2).fill(99), mask };
}

function box(west: number, south: number, east: number, north: number): Position[] {
  return [[west, south], [east, south], [east, north], [west, north], [west, south]]; // prettier-ignore
}

/** A geometry as GDAL writes it into a GeoPackage, in the cell's system. @returns the path */
function writeGpkg(path: string, { epsg }: Cell, geometry: MultiPolygon): string {
  const layer = ['-a_srs', `EPSG:${epsg}`, '-nln', 'data-mask', '-nlt', 'MULTIPOLYGON'];
  return ogr(path, 'GPKG', JSON.stringify(geometry), ...layer);
}

/** Writes a file through ogr2ogr. @returns the path */
function ogr(path: string, format: string, input: string, ...words: string[]): string {
  execFileSync('ogr2ogr', ['-f', format, path, '/vsistdin/', ...words], { input, stdio: ['pipe', 'ignore', 'pipe'] });
  return path;
}

function doubleOf(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}
