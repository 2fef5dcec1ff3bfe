import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDelivery, readTiles, tilesOf } from 'imagesim/ard';
import { dataFolder, emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';

describe('ard delivery', () => {
  it('lists every acquisition of every cell of the sample, in order', async () => {
    const tiles = await tilesOf(await openDelivery(await sampleDelivery()));
    assert.equal(tiles.length, 4);
    assert.equal(new Set(tiles.map(({ cell }) => cell.id)).size, 2);
    const names = tiles.map(({ cell, date }) => `${cell.id} ${date}`);
    assert.deepEqual(names, names.toSorted());
    for (const { files, metadata } of tiles) {
      assert.deepEqual(Object.keys(files).sort(), ['item', 'visual']);
      assert.ok(metadata!.filled! > 0.01 && metadata!.filled! < 0.2);
    }
  });

  it('takes the ard folder itself for a delivery as well', async () => {
    const tiles = await tilesOf(await openDelivery(join(await sampleDelivery(), 'ard')));
    assert.equal(tiles.length, 4);
  });

  it('takes the data folder or its ard folder alike', async () => {
    const folder = await dataFolder(await sampleDelivery());
    assert.deepEqual(await readTiles(join(folder, 'ard'), { zone: 33 }), await readTiles(folder));
  });

  it('refuses an empty delivery and says what was expected', async () => {
    const folder = await emptyFolder();
    await assert.rejects(openDelivery(folder), /no ARD tile in .* is empty; expected ard\/<zone>/);
  });

  it('refuses a folder of something else and names what it found', async () => {
    const folder = await emptyFolder();
    await writeFile(join(folder, 'holiday.jpg'), '');
    await assert.rejects(openDelivery(folder), / holds holiday.jpg; expected/);
  });

  it('refuses a folder that is not there', async () => {
    await assert.rejects(openDelivery('/no/such/folder'), /no folder \/no\/such\/folder/);
  });

  it('names a STAC item that is not JSON', async () => {
    const folder = await dataFolder(await sampleDelivery());
    const [tile] = await readTiles(folder);
    await writeFile(tile.files.item, '<html>502 Bad Gateway</html>');
    await assert.rejects(readTiles(folder), (error: Error) => {
      assert.ok(error.message.includes(tile.catid), error.message);
      assert.match(
        error.message,
        /is no STAC item: not JSON, it begins with "<html>502 Bad Gateway<\/html>"; fetch it again/,
      );
      return true;
    });
  });

  it('reads a time with a space, an offset or a Z as the same moment', async () => {
    const spellings = [
      '2016-10-08 19:25:32Z',
      '2016-10-08T19:25:32+00:00',
      '2016-10-08T19:25:32Z',
      '2016-10-08 19:25:32',
    ];
    for (const datetime of spellings) {
      const folder = await emptyFolder();
      const date = join(folder, '33/031133012203/2016-10-08');
      await mkdir(date, { recursive: true });
      await writeFile(join(date, '1030010000000000.json'), JSON.stringify({ properties: { datetime } }));
      const [tile] = await tilesOf(await openDelivery(folder));
      assert.equal(tile.metadata!.datetime, '2016-10-08T19:25:32.000Z');
      assert.equal(tile.metadata!.filled, undefined);
    }
  });

  it('knows the catalogue ids of WorldView-4 and no others of that form', async () => {
    const folder = await emptyFolder();
    const date = join(folder, '33/031133012203/2018-10-08');
    await mkdir(date, { recursive: true });
    await writeFile(join(date, '4a2b9d9e-1c2d-4f3a-9a7b-0123456789ab-inv-visual.tif'), '');
    await writeFile(join(date, 'thumbnail-visual.tif'), '');
    const tiles = await tilesOf(await openDelivery(folder));
    assert.deepEqual(tiles.map(({ catid }) => catid), ['4a2b9d9e-1c2d-4f3a-9a7b-0123456789ab-inv']); // prettier-ignore
  });

  describe('on real items', () => {
    before(needsShared);
    it('reads both spellings of Joplin’s metadata', async () => {
      const tiles = await tilesOf(await openDelivery(joplin));
      assert.deepEqual(tiles.map(({ metadata }) => metadata!.datetime), ['2011-03-05T17:05:11.000Z', '2011-05-24T16:58:40.000Z']); // prettier-ignore
      assert.deepEqual(tiles.map(({ metadata }) => metadata!.offNadir), [12, 21.5]); // prettier-ignore
      const item = JSON.parse(await readFile(join(joplin, tiles[0].files.item), 'utf8'));
      assert.equal(tiles[0].metadata!.filled, item.properties['tile:data_area'] / 28.22265625);
    });
  });
});
