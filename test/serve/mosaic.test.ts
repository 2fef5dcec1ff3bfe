import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open, readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cell, METRES_PER_PIXEL, cellAt, openRaster, readTiles, realBounds, toLonLat, toUtm } from 'imagesim/ard';
import { type MapTile, type Mosaic, type Selection, encode, lonLatIn, mapTileAt, mapTileBounds, openMosaic, toMercator, viewOf } from 'imagesim/serve'; // prettier-ignore
import sharp from 'sharp';
import { emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';
import { python } from '../rasterio.ts';
import { NEWEST, type Square, hasGdal, writeSquare } from './squares.ts';

const RED = [200, 40, 40];
const BLUE = [40, 40, 200];
const GREEN = [40, 200, 40];

/** A cell of zone 33, and its eastern neighbour. */
const west = cellAt([12.15, 44.28]);
const east = beside(west, 1);

function beside({ cellBounds: [left, south], epsg, zone }: Cell, columns: number): Cell {
  return cellAt(toLonLat(epsg, [left + 5000 * columns + 2500, south + 2500]), zone);
}

const is = (pixels: Uint8Array, at: number, colour: readonly number[]): boolean =>
  colour.every((value, band) => Math.abs(pixels[3 * at + band] - value) <= 3);

/** A delivery of some squares, opened. */
async function mosaicOf(squares: Square[], dataPath?: string): Promise<{ mosaic: Mosaic; folder: string }> {
  const folder = await emptyFolder();
  for (const square of squares) await writeSquare(folder, square);
  return { mosaic: await openMosaic(folder, { dataPath }), folder };
}

/** Pixel of a visual raster, from the corner of its tile, under a place. */
function pixelUnder({ epsg, tileBounds }: Cell, lonLat: [number, number]): [column: number, row: number] {
  const [x, y] = toUtm(epsg, lonLat);
  return [(x - tileBounds[0]) / METRES_PER_PIXEL, (tileBounds[3] - y) / METRES_PER_PIXEL];
}

describe('a map tile', () => {
  /** Rises and falls by 16 a pixel: a tenth of a pixel is 1.6. */
  const wave = (at: number): number => Math.min(255, Math.abs(((16 * at) % 512) - 256));
  const waveAt = (place: number): number => {
    const [before, part] = [Math.floor(place - 0.5), place - 0.5 - Math.floor(place - 0.5)];
    return wave(before) * (1 - part) + wave(before + 1) * part;
  };

  it('shows each pixel within a tenth of where the projection puts it', async () => {
    const grey = { cell: west, blocks: [16, 16, 19, 19], bands: 1 } as const;
    const { mosaic } = await mosaicOf([
      { ...grey, date: '2023-05-21', catid: '1030010000000001', at: (column) => [wave(column)] },
      { ...grey, date: '2022-05-21', catid: '1030010000000002', at: (_, row) => [wave(row)] },
    ]);
    const [cornerWest, , , cornerNorth] = west.tileBounds;
    const middle = toLonLat(west.epsg, [cornerWest + 18 * 156.25, cornerNorth - 18 * 156.25]);
    for (const z of [18, 19, 20, 22]) {
      const tile = mapTileAt(middle, z);
      const view = viewOf(tile);
      const [across, along] = [await mosaic.render(tile, NEWEST), await mosaic.render(tile, { select: 'oldest' })];
      assert.equal(across.left, 0, `zoom ${z} is full`);
      let worst = 0;
      for (let at = 0; at < 65_536; at += 7) {
        const place = pixelUnder(west, lonLatIn(view, (at % 256) + 0.5, Math.floor(at / 256) + 0.5));
        worst = Math.max(worst, Math.abs(across.pixels[3 * at] - waveAt(place[0])), Math.abs(along.pixels[3 * at] - waveAt(place[1]))); // prettier-ignore
      }
      assert.ok(worst < 1.6, `zoom ${z}: a value is off by ${worst}, a tenth of a pixel is 1.6`);
    }
    await mosaic.close();
  });

  it('lies within a quarter of a pixel of what gdalwarp makes', async function () {
    if (!hasGdal()) this.skip();
    const folder = await sampleDelivery();
    const paths = (await readTiles(folder)).filter(({ date }) => date > '2023').map(({ files }) => files.visual);
    const mosaic = await openMosaic(folder);
    const out = join(await emptyFolder(), 'warped.tif');
    for (const z of [15, 16, 17, 19]) {
      const tile = mapTileAt([12.178, 44.2855], z);
      const bounds = mapTileBounds(tile).map(String);
      execFileSync('gdalwarp', ['-q', '-overwrite', '-t_srs', 'EPSG:3857', '-te', ...bounds, '-ts', '256', '256', '-r', 'bilinear', '-dstalpha', ...paths, out]); // prettier-ignore
      const theirs = await sharp(out).raw().toBuffer();
      const { pixels, filled } = await mosaic.render(tile, NEWEST);
      const real = filled.map((value, at) => (value && theirs[4 * at + 3] ? 1 : 0));
      const shift = shiftBetween(greyOf(pixels, 3), greyOf(theirs, 4), real);
      assert.ok(
        Math.hypot(...shift) < 0.25,
        `zoom ${z} lies off by ${shift.map((part) => part.toFixed(3)).join(', ')}`,
      );
      const differ = filled.filter((value, at) => value > 0 !== theirs[4 * at + 3] > 0).length;
      assert.ok(differ < 600, `zoom ${z}: ${differ} pixels are real in one and not in the other`);
    }
    await mosaic.close();
  });

  it('shows no seam between cells: each to its own edge, aprons cut off', async () => {
    const { mosaic } = await mosaicOf([
      { cell: west, date: '2023-05-21', catid: '1030010000000001', blocks: [31, 16, 33, 18], at: () => RED },
      { cell: east, date: '2023-05-21', catid: '1030010000000001', blocks: [0, 16, 2, 18], at: () => BLUE },
    ]);
    const [, south, edge] = west.cellBounds;
    const tile = mapTileAt(toLonLat(west.epsg, [edge, south + 2500 - 78]), 19);
    const view = viewOf(tile);
    const { pixels, left } = await mosaic.render(tile, NEWEST);
    assert.equal(left, 0);
    let [reds, blues] = [0, 0];
    for (let at = 0; at < 65_536; at++) {
      const [x] = toUtm(west.epsg, lonLatIn(view, (at % 256) + 0.5, Math.floor(at / 256) + 0.5));
      if (Math.abs(x - edge) < 0.03) continue; // a tenth of a pixel either way
      assert.ok(is(pixels, at, x < edge ? RED : BLUE), `pixel ${at}, ${x - edge} m from the edge`);
      if (x < edge) reds++;
      else blues++;
    }
    assert.ok(reds > 5000 && blues > 5000, `${reds} of one cell, ${blues} of the other`);
    await mosaic.close();
  });

  it('joins two UTM zones without a gap', async () => {
    const places = [[11.97, 44.28], [12.03, 44.28]] as const; // prettier-ignore
    const cells = places.map(([lon, lat]) => cellAt([lon, lat]));
    assert.deepEqual(cells.map(({ zone }) => zone), [32, 33]); // prettier-ignore
    const rows = (cell: Cell): readonly [number, number, number, number] => {
      const [column, row] = pixelUnder(cell, [12, 44.28]).map((at) => Math.floor(at / 512));
      return [Math.max(0, column - 1), Math.max(0, row - 1), Math.min(33, column + 1), Math.min(33, row + 1)];
    };
    const { mosaic } = await mosaicOf([
      { cell: cellAt([12, 44.28], 32), date: '2023-05-21', catid: '1030010000000001', blocks: rows(cellAt([12, 44.28], 32)), at: () => RED }, // prettier-ignore
      { cell: cellAt([12, 44.28], 33), date: '2022-05-21', catid: '1030010000000002', blocks: rows(cellAt([12, 44.28], 33)), at: () => BLUE }, // prettier-ignore
    ]);
    const tile = mapTileAt([12, 44.28], 18);
    for (const [select, colour] of [
      ['newest', RED],
      ['oldest', BLUE],
    ] as const) {
      const { pixels, left, filled } = await mosaic.render(tile, { select });
      assert.equal(left, 0, `${left} pixels are empty`);
      const first = filled.filter((_, at) => is(pixels, at, colour)).length;
      assert.ok(first > 30_000, `the ${select} is shown in ${first} pixels`);
    }
    await mosaic.close();
  });

  it('shows the acquisition that is asked for, and the next one where that is not real', async () => {
    const blocks = [16, 16, 17, 17] as const;
    const { mosaic } = await mosaicOf([
      { cell: west, date: '2023-05-21', catid: '1030010000000001', blocks, cloudPercent: 30, offNadir: 10, at: (column) => (column % 512 < 256 ? RED : undefined) }, // prettier-ignore
      { cell: west, date: '2022-05-21', catid: '1030010000000002', blocks, cloudPercent: 0, offNadir: 20, at: () => BLUE }, // prettier-ignore
      { cell: west, date: '2021-05-21', catid: '1020010000000003', blocks, bands: 1, offNadir: 5, at: () => [90] },
    ]);
    const [cornerWest, , , cornerNorth] = west.tileBounds;
    const colourAt = async (column: number, selection: Selection): Promise<number[] | undefined> => {
      const lonLat = toLonLat(west.epsg, [cornerWest + column * METRES_PER_PIXEL, cornerNorth - 8700 * METRES_PER_PIXEL]); // prettier-ignore
      const tile = mapTileAt(lonLat, 22);
      const { pixels, filled } = await mosaic.render(tile, selection);
      const view = viewOf(tile);
      const at = Math.floor((toMercator(lonLat)[0] - view.west) / view.metres) + 128 * 256;
      return filled[at] ? [...pixels.subarray(3 * at, 3 * at + 3)].map((value) => Math.round(value / 10) * 10) : undefined; // prettier-ignore
    };
    const GREY = [90, 90, 90];
    assert.deepEqual(await colourAt(8300, NEWEST), RED);
    assert.deepEqual(await colourAt(8600, NEWEST), BLUE, 'the newest is not real there');
    assert.deepEqual(await colourAt(8300, { select: 'oldest' }), GREY);
    assert.deepEqual(await colourAt(8300, { select: 'least-cloud' }), BLUE, 'one that does not say comes last');
    assert.deepEqual(await colourAt(8300, { select: 'lowest-off-nadir' }), GREY);
    assert.deepEqual(await colourAt(8300, { select: 'newest', to: '2022-12-31' }), BLUE);
    assert.deepEqual(await colourAt(8300, { select: 'oldest', from: '2022-01-01' }), BLUE);
    assert.equal(await colourAt(8300, { select: 'newest', from: '2024-01-01' }), undefined);
    await mosaic.close();
  });

  it('lays real neighbouring cells side by side at every zoom', async () => {
    const mosaic = await openMosaic(await sampleDelivery());
    for (let z = 0; z <= 22; z++) {
      const canvas = await mosaic.render(mapTileAt([12.18, 44.2859], z), NEWEST);
      assert.ok(canvas.left < 65_536, `zoom ${z} shows something`);
      if (z >= 16) assert.equal(canvas.left, 0, `zoom ${z} is full`);
    }
    await mosaic.close();
  });
});

/** Mean of the colours. */
function greyOf(pixels: Uint8Array, depth: number): Float32Array {
  return Float32Array.from({ length: pixels.length / depth }, (_, at) => (pixels[depth * at] + pixels[depth * at + 1] + pixels[depth * at + 2]) / 3); // prettier-ignore
}

/** By how much one picture lies off another, least squares over gradients. @see Lucas and Kanade 1981 */
function shiftBetween(a: Float32Array, b: Float32Array, real: Uint8Array): [x: number, y: number] {
  let [xx, xy, yy, xt, yt] = [0, 0, 0, 0, 0];
  for (let at = 257; at < 65_536 - 257; at++) {
    if (!(real[at] && real[at - 1] && real[at + 1] && real[at - 256] && real[at + 256])) continue;
    const [dx, dy, dt] = [(b[at + 1] - b[at - 1]) / 2, (b[at + 256] - b[at - 256]) / 2, b[at] - a[at]];
    xx += dx * dx;
    xy += dx * dy;
    yy += dy * dy;
    xt += dx * dt;
    yt += dy * dt;
  }
  const determinant = xx * yy - xy * xy;
  return [(yy * xt - xy * yt) / determinant, (xx * yt - xy * xt) / determinant];
}

describe('overviews', () => {
  const squares = [west, east].map((cell): Square => ({
    cell,
    date: '2023-05-21',
    catid: '1030010000000001',
    blocks: [1, 1, 3, 3],
    at: () => GREEN,
  }));

  it('are kept in one file, made once, and made anew for what is new alone', async () => {
    const dataPath = await emptyFolder();
    const { mosaic, folder } = await mosaicOf(squares, dataPath);
    assert.deepEqual(mosaic.overviews, { total: 2, ready: 0, making: false, fault: undefined });
    assert.equal(await mosaic.makeOverviews(), 2);
    const tile = mapTileAt(toLonLat(west.epsg, [west.cellBounds[0] + 200, west.cellBounds[3] - 200]), 10);
    const before = await mosaic.render(tile, NEWEST);
    assert.ok(before.left < 65_536);
    await mosaic.close();
    const [name, ...others] = await readdir(join(dataPath, 'serve'));
    assert.deepEqual(others, []);
    await writeSquare(folder, { ...squares[0], date: '2022-01-01', at: () => RED });
    const again = await openMosaic(folder, { dataPath });
    assert.deepEqual([again.overviews.ready, again.overviews.total], [2, 3]);
    assert.equal(await again.makeOverviews(), 1);
    assert.deepEqual(await again.render(tile, NEWEST), before);
    const old = await again.render(tile, { select: 'oldest' });
    assert.ok(old.filled.some((value, at) => value && is(old.pixels, at, RED)));
    await again.close();
    const path = join(dataPath, 'serve', name);
    const { size } = await stat(path);
    const handle = await open(path, 'r+');
    await handle.write('x', size - 'imagesim-overviews-2'.length - 8 - 1); // the list's last bracket
    await handle.close();
    await assert.rejects(
      openMosaic(folder, { dataPath }),
      /is no file of overviews \(another list than its records\): remove it/,
    );
    await truncate(path, 1000);
    await assert.rejects(openMosaic(folder, { dataPath }), /is no file of overviews \(another ending\): remove it/);
  });

  it('show the same from the file as made for one map tile in memory', async () => {
    const folder = await sampleDelivery();
    const [kept, made] = [await openMosaic(folder, { dataPath: await emptyFolder() }), await openMosaic(folder)];
    await kept.makeOverviews();
    for (const z of [3, 6, 8, 9, 10, 11]) {
      const tile = mapTileAt([12.18, 44.2859], z);
      assert.deepEqual(await kept.render(tile, NEWEST), await made.render(tile, NEWEST), `zoom ${z}`);
    }
    await Promise.all([kept.close(), made.close()]);
  });

  it('lie where the rasters lie', async () => {
    const mosaic = await openMosaic(await sampleDelivery());
    // zoom 11 takes our overviews, zoom 13 the raster's own: brought to the same size they agree
    const coarse = await mosaic.render(mapTileAt([12.18, 44.2859], 11), NEWEST);
    const parent = mapTileAt([12.18, 44.2859], 11);
    let [filledFine, filledCoarse, off, count] = [0, 0, 0, 0];
    for (let column = 0; column < 4; column++) {
      for (let row = 0; row < 4; row++) {
        const tile: MapTile = { z: 13, x: parent.x * 4 + column, y: parent.y * 4 + row };
        const fine = await mosaic.render(tile, NEWEST);
        for (let at = 0; at < 4096; at++) {
          const [x, y] = [at % 64, Math.floor(at / 64)];
          const to = (row * 64 + y) * 256 + column * 64 + x;
          const four = [0, 1, 2, 3].flatMap((dy) => [0, 1, 2, 3].map((dx) => (4 * y + dy) * 256 + 4 * x + dx));
          const real = four.filter((one) => fine.filled[one]);
          filledFine += real.length / 16;
          filledCoarse += coarse.filled[to] ? 1 : 0;
          if (real.length < 16 || !coarse.filled[to]) continue;
          off += Math.abs(
            real.reduce((sum, one) => sum + fine.pixels[3 * one + 1], 0) / 16 - coarse.pixels[3 * to + 1],
          );
          count++;
        }
      }
    }
    assert.ok(Math.abs(filledFine - filledCoarse) < 0.12 * filledFine, `${filledFine} and ${filledCoarse} pixels`);
    assert.ok(count > 300 && off / count < 8, `${off / count} grey levels over ${count} pixels`);
    await mosaic.close();
  });

  it('that are missing in numbers are waited for, not made for one map tile', async () => {
    const many = Array.from({ length: 17 }, (_, at) => ({ ...squares[0], cell: beside(west, at), blocks: [1, 1, 1, 1] as const })); // prettier-ignore
    const { mosaic } = await mosaicOf(many);
    const tile = mapTileAt(toLonLat(west.epsg, [west.cellBounds[0] + 40_000, west.cellBounds[3]]), 7);
    await assert.rejects(mosaic.render(tile, NEWEST), { name: 'NotReadyError', message: /being made: 0 of 17 tiles/ });
    await mosaic.close();
  });
});

describe('a place', () => {
  it('has the values that rasterio reads, first of the acquisition that is shown', async () => {
    const folder = await sampleDelivery();
    const mosaic = await openMosaic(folder);
    const lonLat: [number, number] = [12.1785, 44.2861];
    const pixels = await mosaic.pixelsAt(lonLat, NEWEST);
    assert.deepEqual(pixels.map(({ date }) => date), ['2023-05-21', '2022-06-14']); // prettier-ignore
    for (const { cell, date, values } of pixels) {
      const tile = (await readTiles(folder)).find((one) => one.cell.id === cell && one.date === date);
      const code = 'f = rasterio.open(sys.argv[1])\nprint(json.dumps([int(v) for v in next(f.sample([(float(sys.argv[2]), float(sys.argv[3]))]))]))'; // prettier-ignore
      const [x, y] = toUtm(32633, lonLat);
      assert.deepEqual(values, python(code, tile?.files.visual ?? '', String(x), String(y)));
    }
    assert.deepEqual(await mosaic.pixelsAt([13, 44], NEWEST), []);
    await mosaic.close();
  });
});

describe('a delivery that cannot be served', () => {
  it('says what was found', async () => {
    const folder = await emptyFolder();
    await assert.rejects(openMosaic(folder), /no ARD tile in .*is empty/);
    await assert.rejects(openMosaic(join(folder, 'nowhere')), /no folder/);
  });

  it('names the raster that is damaged', async () => {
    const { mosaic, folder } = await mosaicOf([
      { cell: west, date: '2023-05-21', catid: '1030010000000001', blocks: [16, 16, 16, 16], at: () => RED },
    ]);
    const [{ files }] = await readTiles(folder);
    const raster = await openRaster(files.visual);
    const { offsets, byteCounts } = raster.levels[0];
    const block = Array.from(byteCounts).findIndex((bytes) => bytes > 0);
    await raster.close();
    const handle = await open(files.visual, 'r+');
    await handle.write(Buffer.alloc(byteCounts[block] - 8), 0, null, offsets[block] + 4);
    await handle.close();
    const [cornerWest, , , cornerNorth] = west.tileBounds;
    const tile = mapTileAt(toLonLat(west.epsg, [cornerWest + 16.5 * 156.25, cornerNorth - 16.5 * 156.25]), 19);
    await assert.rejects(mosaic.render(tile, NEWEST), /1030010000000001-visual\.tif holds a damaged JPEG block/);
    await mosaic.close();
  });
});

describe('the real delivery', () => {
  before(needsShared);

  it('shows what was before and after the tornado', async () => {
    const mosaic = await openMosaic(joplin);
    const [tile] = (await readTiles(joplin)).map(({ files }) => files.visual);
    const { cell } = mosaic.catalogue.tiles[0];
    const [realWest, realSouth, realEast, realNorth] = await realBounds(tile, cell.cellBounds);
    const middle = toLonLat(cell.epsg, [(realWest + realEast) / 2, (realSouth + realNorth) / 2]);
    const place = mapTileAt(middle, 17);
    const [after, before] = [await mosaic.render(place, NEWEST), await mosaic.render(place, { select: 'oldest' })];
    assert.equal(after.left + before.left, 0);
    const off = after.pixels.reduce((sum, value, at) => sum + Math.abs(value - before.pixels[at]), 0) / 196_608;
    assert.ok(off > 10, `the days differ by ${off} grey levels`);
    const png = await encode(after, 'png', [0, 0, 0]);
    assert.deepEqual(Buffer.from(await sharp(png).raw().toBuffer()), Buffer.from(after.pixels));
    await mosaic.close();
  });
});
