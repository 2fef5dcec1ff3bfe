import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chipBounds, openRaster, parseChip, readTiles } from 'imagesim/ard';
import {
  type Chip,
  type ChipReport,
  chipTiles,
  readChips,
  readNodataIndex,
  readPixels,
  validFractions,
} from 'imagesim/chips';
import sharp from 'sharp';
import { dataFolder, emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';
import { rasterioValid } from '../rasterio.ts';

describe('chips', () => {
  let folder: string;
  let report: ChipReport;
  let there: Chip[];
  before(async () => {
    folder = await dataFolder(await sampleDelivery());
    report = await chipTiles({ dataPath: folder, chipDir: join(folder, 'chips/33') });
    there = await readChips(report.chipDir);
  });

  it('calls real exactly what rasterio’s mask calls real', async () => {
    const all = await readTiles(folder);
    for (const tile of process.env.IMAGESIM_PROOF ? all : all.slice(0, 1)) {
      const raster = await openRaster(tile.files.visual);
      const fractions = await validFractions(raster);
      const ours = [...fractions.keys()].filter((index) => fractions[index] === 1);
      assert.deepEqual(ours, rasterioValid(tile.files.visual));
      assert.ok(ours.length > 50);
      await raster.close();
    }
  });

  it('writes an index and chips that agree, named by square and acquisition', async () => {
    const { version, chips } = await readNodataIndex(report.filename);
    assert.equal(version, '0.2');
    const indexed = Object.entries(chips).flatMap(([id, catids]) => catids.map((catid) => `${id}_${catid}.jpg`));
    const files = await readChips(report.chipDir);
    assert.deepEqual(files.map(({ path }) => path.split('/').at(-1)!).toSorted(), indexed.toSorted()); // prettier-ignore
    for (const { id, cell, path, date } of files) {
      assert.equal(parseChip(id).cell.id, cell);
      assert.ok(path.startsWith(join(report.chipDir, cell.slice(4), date)));
    }
  });

  it('leaves chips with a hole or an edge in them out, and counts them', () => {
    assert.ok(report.tiles.some(({ partial }) => partial > 0));
    assert.equal(report.cut, report.tiles.reduce((sum, { valid }) => sum + valid, 0)); // prettier-ignore
  });

  it('cuts the pixels of the chip’s own square, within what one JPEG encode allows', async () => {
    const { id, catid, path } = there[there.length >> 1];
    const tile = (await readTiles(folder)).find((other) => other.catid === catid && id.startsWith(other.cell.id))!;
    const raster = await openRaster(tile.files.visual);
    const [west, , , north] = chipBounds(id);
    const column = (west - raster.origin[0]) / raster.metresPerPixel;
    const row = (raster.origin[1] - north) / raster.metresPerPixel;
    const original = await raster.readWindow(column, row, 256, 256);
    const cut = await sharp(path).raw().toBuffer();
    const error = cut.reduce((sum, value, index) => sum + Math.abs(value - original[index]), 0) / cut.length;
    assert.ok(error < 4, `mean error ${error}`);
    await raster.close();
  });

  it('cuts nothing twice, and only what is missing', async () => {
    const [first] = there;
    const before = await stat(first.path);
    await rename(there[1].path, join(folder, 'away.jpg'));
    const again = await chipTiles({ dataPath: folder, chipDir: report.chipDir });
    assert.equal(again.cut, 1);
    assert.equal((await stat(first.path)).mtimeMs, before.mtimeMs);
    assert.deepEqual(await readFile(there[1].path), await readFile(join(folder, 'away.jpg')));
  });

  it('writes the same index bytes again', async () => {
    const before = await readFile(report.filename);
    await chipTiles({ dataPath: folder, chipDir: report.chipDir });
    assert.deepEqual(await readFile(report.filename), before);
  });

  it('writes the index alone when asked to', async () => {
    const other = await dataFolder(await sampleDelivery());
    const indexOnly = await chipTiles({ dataPath: other, zone: 33, indexOnly: true });
    assert.ok(Object.keys((await readNodataIndex(indexOnly.filename)).chips).length > 100);
    assert.ok(!existsSync(join(other, 'chips')));
  });

  it('cuts partial chips from the share that is asked for, while the index goes on meaning every pixel', async () => {
    const other = await dataFolder(await sampleDelivery());
    const loose = await chipTiles({ dataPath: other, zone: 33, minValid: 0.5 });
    assert.ok(loose.cut > report.cut);
    assert.deepEqual(await readFile(loose.filename), await readFile(report.filename));
  });

  it('refuses to mix chips of two qualities in one folder, and cuts all again when forced to', async () => {
    const other = await dataFolder(await sampleDelivery());
    const first = await chipTiles({ dataPath: other, zone: 33, quality: 40 });
    await assert.rejects(
      chipTiles({ dataPath: other, zone: 33 }),
      /were cut as jpg with quality 40 and at least 1 real, not as jpg as delivered and at least 1 real/,
    );
    const again = await chipTiles({ dataPath: other, zone: 33, force: true });
    assert.equal(again.cut, first.cut);
    const [fresh] = await readChips(again.chipDir);
    assert.deepEqual(await readFile(fresh.path), await readFile(there[0].path));
  });

  it('takes an acquisition that is gone out of the index, and leaves other zones alone', async () => {
    const other = await dataFolder(await sampleDelivery());
    const filename = join(other, 'nodata-index.json');
    await writeFile(filename, '{"version":"0.2","chips":{"Z15-031133102123010332":["1010010000A10F00"]}}');
    await chipTiles({ dataPath: other, zone: 33, indexOnly: true });
    const [gone] = await readTiles(other);
    await rm(join(gone.files.visual, '..'), { recursive: true });
    await chipTiles({ dataPath: other, zone: 33, indexOnly: true });
    const { chips: indexed } = await readNodataIndex(filename);
    assert.deepEqual(indexed['Z15-031133102123010332'], ['1010010000A10F00']);
    const ofCell = Object.entries(indexed).filter(([id]) => id.startsWith(gone.cell.id));
    assert.ok(ofCell.length > 50 && ofCell.every(([, catids]) => !catids.includes(gone.catid)));
  });

  it('refuses an index of another version, names it, and leaves it alone', async () => {
    const filename = join(await emptyFolder(), 'nodata-index.json');
    await writeFile(filename, '{"version":"0.1","chips":{}}');
    await assert.rejects(
      chipTiles({ dataPath: folder, zone: 33, filename }),
      /nodata-index\.json is a no-data index of version "0\.1": expected "0\.2"/,
    );
    assert.equal(await readFile(filename, 'utf8'), '{"version":"0.1","chips":{}}');
  });

  it('refuses a zone that disagrees with the chip folder, and no zone at all', async () => {
    await assert.rejects(
      chipTiles({ dataPath: folder, zone: 32, chipDir: join(folder, 'chips/33') }),
      /zone 32 and chip folder .* disagree/,
    );
    await assert.rejects(
      chipTiles({ dataPath: folder, chipDir: join(folder, 'chips') }),
      /no zone: let the chip folder end in it/,
    );
    await assert.rejects(chipTiles({ dataPath: folder, zone: 33, minValid: 0 }), RangeError);
  });

  it('names a tile that lies in another cell’s folder, and both cells, and leaves it out', async () => {
    const other = await dataFolder(await sampleDelivery());
    const cells = (await readTiles(other)).map(({ cell }) => cell.quadkey);
    const [a, b] = [...new Set(cells)];
    await rename(join(other, 'ard/33', a), join(other, 'ard/33/aside'));
    await rename(join(other, 'ard/33', b), join(other, 'ard/33', a));
    const { failed, chips: count } = await chipTiles({ dataPath: other, zone: 33 });
    assert.equal(failed.length, 2);
    for (const line of failed) assert.match(line, new RegExp(`its folder says Z33-${a}`));
    assert.deepEqual([count, (await readNodataIndex(join(other, 'nodata-index.json'))).chips], [0, {}]);
  });

  it('reads chips as pixels in the order asked for, and names one that is damaged', async () => {
    const paths = there.slice(0, 3).map(({ path }) => path);
    const pixels = await readPixels(paths, 32);
    assert.equal(pixels.length, 3 * 32 * 32 * 3);
    assert.deepEqual((await readPixels([paths[2]], 32)).slice(), pixels.slice(2 * 32 * 32 * 3));
    const broken = join(await emptyFolder(), 'broken.jpg');
    await writeFile(broken, 'no picture');
    await assert.rejects(readPixels([broken], 32), /cannot read the image .*broken\.jpg/);
  });

  describe('on real imagery', () => {
    before(needsShared);
    it('finds 196 and 338 whole chips in Joplin, as rasterio does, and cuts them', async () => {
      const out = await emptyFolder();
      const real = await chipTiles({
        dataPath: joplin,
        chipDir: join(out, 'chips/15'),
        filename: join(out, 'nodata-index.json'),
      });
      assert.deepEqual(real.tiles.map(({ valid }) => valid), [196, 338]); // prettier-ignore
      assert.equal(real.cut, 534);
      const cut = await readChips(real.chipDir);
      for (const tile of await readTiles(joplin)) {
        const ids = cut.filter(({ catid }) => catid === tile.catid).map(({ id }) => parseChip(id));
        assert.deepEqual(ids.map(({ row, column }) => row * 64 + column).sort((a, b) => a - b), rasterioValid(tile.files.visual)); // prettier-ignore
      }
    });
  });
});
