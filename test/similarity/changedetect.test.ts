import assert from 'node:assert/strict';
import { mkdir, rm, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { chipBounds, parseChip, readTiles, toLonLat } from 'imagesim/ard';
import {
  type ChangeList, type PairImages, COLOURS_AND_EDGES, changeBaselines, changeFeatures, changeFolder, changedShares, detectChange, encodeChange,
  pairImages, pairedTiles, readKnownChanges, scoreChanges,
} from 'imagesim/similarity'; // prettier-ignore
import { filesUnder } from '../bucket.ts';
import { dataFolder, emptyFolder, sampleDelivery } from '../delivery.ts';

const WEST = { index: 0, count: 2 };

describe('pairedTiles', () => {
  it('leaves a worker to whom no cell falls with nothing to do, and that is no fault', async () => {
    const none = await pairedTiles(await sampleDelivery(), { shard: { index: 40, count: 41 } });
    assert.deepEqual(none.pairs, []);
    const parts = { folder: await emptyFolder(), encoder: 'none' };
    assert.deepEqual(await encodeChange(none, { parts }), { chips: 0, kept: 0, failed: [] });
  });

  it('has the chips of each cell that are real on both days, without an index or a chip on disk', async () => {
    const { pairs, zone, leftOut } = await pairedTiles(await sampleDelivery());
    assert.deepEqual([zone, leftOut, pairs.length], [33, [], 2]);
    for (const { before, after, chips } of pairs) {
      assert.deepEqual([before.date, after.date], ['2022-06-14', '2023-05-21']);
      assert.ok(chips.length > 100 && chips.length < 144);
    }
  });

  it('gives pictures that go on in their neighbours’, margin and all', async () => {
    const { pairs: [pair] } = await pairedTiles(await sampleDelivery(), { shard: WEST }); // prettier-ignore
    const chip = pair.chips.find((one) => one % 64 < 63 && pair.chips.includes(one + 1))!;
    const read = async (chips: number[], margin: number): Promise<PairImages[]> => {
      const images: PairImages[] = [];
      for await (const some of pairImages({ ...pair, chips }, margin)) images.push(some);
      return images;
    };
    const [both] = await read([chip, chip + 1], 8);
    const [alone] = await read([chip + 1], 8);
    const bytes = both.size ** 2 * 3;
    assert.deepEqual([both.size, both.pairs.length, both.after.length], [272, 2, 2 * bytes]);
    assert.ok(Buffer.from(alone.after).equals(both.after.subarray(bytes)));
    const pixel = (image: number, row: number, column: number): number => both.before[image * bytes + (row * 272 + column) * 3]; // prettier-ignore
    for (let row = 0; row < 272; row += 7) assert.equal(pixel(0, row, 256 + 3), pixel(1, row, 3));
  });

  it('says what is missing: another day, the day asked for, the order of days, ground that both saw', async () => {
    const folder = await dataFolder(await sampleDelivery());
    await assert.rejects(pairedTiles(folder, { before: '2020-01-01' }), /^Error: no tile of zone 33 is of 2020-01-01: there are 2022-06-14, 2023-05-21$/); // prettier-ignore
    await assert.rejects(pairedTiles(folder, { before: '2023-05-21', after: '2022-06-14' }), /^RangeError: the day before, 2023-05-21, is not earlier than the day after, 2022-06-14: give the earlier one first$/); // prettier-ignore
    await assert.rejects(pairedTiles(folder, { zone: 34 }), /no tile of zone 34 in/);
    const [west, east] = [...new Set((await readTiles(folder)).map(({ cell }) => cell.quadkey))];
    await rm(join(folder, 'ard/33', west, '2023-05-21'), { recursive: true });
    await rm(join(folder, 'ard/33', east, '2022-06-14'), { recursive: true });
    await assert.rejects(pairedTiles(folder), /no chip of zone 33 in .* was seen whole on both days \(left out: Z33-\d+: seen on .* only\): bring tiles of two dates that overlap/); // prettier-ignore
    await rm(join(folder, 'ard/33', east), { recursive: true });
    await assert.rejects(pairedTiles(folder), /^Error: zone 33 was seen on one day only, 2022-06-14: bring tiles of another date \(imagesim sync\)$/); // prettier-ignore
  });

  it('compares what lies in demo-ard, where tiles lie in it', async () => {
    const [folder, delivery] = [await emptyFolder(), await sampleDelivery()];
    await mkdir(join(folder, 'demo-ard/vectors'), { recursive: true });
    assert.equal(changeFolder(folder, true), folder, 'vectors alone are no delivery');
    await symlink(join(delivery, 'ard/33'), join(folder, 'demo-ard/33'));
    assert.equal(changeFolder(folder, true), join(folder, 'demo-ard'));
    assert.equal(changeFolder(folder), folder);
  });
});

describe('detectChange', () => {
  let list: ChangeList;
  let shares: Map<string, number>;

  before(async function () {
    this.timeout(120_000);
    const folder = await sampleDelivery();
    list = await detectChange(folder, { keepsPictures: true });
    shares = changedShares(await readKnownChanges(folder), list.changes.map(({ id }) => id)); // prettier-ignore
  });

  it('finds what changed in the sample far better than plain differencing', () => {
    const { averagePrecision, prevalence, brier, brierOfPrevalence } = scoreChanges(list.changes, shares);
    assert.ok(averagePrecision.value > 0.6 && prevalence < 0.1, `${averagePrecision.value}`);
    assert.ok(brier < brierOfPrevalence, 'its probabilities tell more than the prevalence');
    for (const { name, ranked } of changeBaselines(list)) {
      const { averagePrecision: plain } = scoreChanges(ranked, shares);
      assert.ok(averagePrecision.value > plain.value + 0.2, `${name}: ${plain.value}`);
    }
  });

  it('lists each square once, the most probable first, with its own acquisitions and the licence of the imagery', () => {
    const { changes, licences, groups } = list;
    assert.equal(new Set(changes.map(({ id }) => id)).size, changes.length);
    changes.slice(1).forEach(({ probability }, at) => assert.ok(probability <= changes[at].probability));
    for (const { id, before: first, after: second } of changes)
      assert.deepEqual([first.id, first.date, second.id, second.date], [id, '2022-06-14', id, '2023-05-21']);
    assert.deepEqual(groups.map(({ chips }) => chips), [changes.length]); // prettier-ignore
    assert.match(JSON.stringify(licences), /CC0-1\.0/);
    const [{ geometry }] = changeFeatures(list).features;
    const { cell } = parseChip(changes[0].id);
    const [west, , , north] = chipBounds(changes[0].id);
    const [lon, lat] = toLonLat(cell.epsg, [west, north]);
    assert.ok(Math.hypot(geometry.coordinates[0][0][0] - lon, geometry.coordinates[0][0][1] - lat) < 1e-6);
  });

  it('is the same list from parts that several workers have made, each pair once; a part that is cut short is made again', async () => {
    const whole = await pairedTiles(await sampleDelivery());
    const few = { ...whole, pairs: whole.pairs.map((pair) => ({ ...pair, chips: pair.chips.slice(0, 8) })) };
    let calls = 0;
    const encoder = { ...COLOURS_AND_EDGES, encode: (images: Uint8Array) => (calls++, COLOURS_AND_EDGES.encode(images)) };
    const parts = { folder: await emptyFolder(), encoder: 'colours' };
    const options = { encoder, parts, keepsPictures: true };
    const alone = await detectChange(few, { keepsPictures: true });
    for (const pair of few.pairs) assert.deepEqual(await encodeChange({ ...few, pairs: [pair] }, options), { chips: 8, kept: 0, failed: [] });
    assert.deepEqual(await encodeChange(few, options), { chips: 16, kept: 16, failed: [] });
    const all = calls;
    calls = 0;
    assert.deepEqual([await detectChange(few, options), calls], [alone, 0]);
    const [file] = await filesUnder(parts.folder);
    await truncate(join(parts.folder, file), 5000);
    assert.deepEqual([await detectChange(few, options), calls], [alone, all / 2]);
    const { pictures: _, ...withoutPictures } = alone;
    assert.deepEqual([await detectChange(few, { ...options, keepsPictures: false }), calls], [withoutPictures, all / 2]);
    await encodeChange(few, { ...options, parts: { ...parts, encoder: 'another' } });
    assert.equal(calls, all / 2 + all);
  }); // prettier-ignore

  it('refuses a reach that is odd, and an encoder whose vectors are not of its width', async () => {
    const folder = await sampleDelivery();
    await assert.rejects(detectChange(folder, { reach: 3 }), /an even reach of 0 to 32 pixels, got 3/);
    const { pairs: [pair], ...rest } = await pairedTiles(folder, { shard: WEST }); // prettier-ignore
    const some = { ...rest, pairs: [{ ...pair, chips: pair.chips.slice(0, 20) }] };
    await assert.rejects(detectChange(some, { encoder: { ...COLOURS_AND_EDGES, width: 64 } }), /the encoder gave 86 numbers an image, and says 64: give one with its own width/); // prettier-ignore
  });
});
