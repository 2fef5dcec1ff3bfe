import assert from 'node:assert/strict';
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Chip, chipTiles, decodeImage, readChips, recordedChips } from 'imagesim/chips';
import {
  type DatasetParts,
  type DatasetVersion,
  labelChips,
  loadImages,
  makeDataset,
  openImages,
  splitDrift,
  readDataset,
  rowPath,
  splitByPlace,
} from 'imagesim/datasets';
import { OSM_ATTRIBUTION } from 'imagesim/osm';
import { type ChipTag, chipTags, proposeSchema, tagAtlas } from 'imagesim/statistics';
import sharp from 'sharp';
import { emptyFolder, mappedSample } from '../delivery.ts';
import { datasetRows, schema } from './ground.ts';

describe('makeDataset, on the sample', () => {
  let folder: string;
  let chips: Chip[];
  let tags: ChipTag[];
  let parts: DatasetParts;
  let dataset: DatasetVersion;
  before(async () => {
    folder = await mappedSample();
    chips = await readChips((await chipTiles({ dataPath: folder, zone: 33 })).chipDir);
    const ids = new Set(chips.map(({ id }) => id));
    ({ rows: tags } = await chipTags(folder, 33, { only: ids }));
    const often = tagAtlas(tags, ids.size).filter((row) => row.chips > 20 && ['building', 'highway', 'landuse'].includes(row.key)); // prettier-ignore
    parts = { name: 'sample', zone: 33, chips, tags, schema: proposeSchema(often), split: { seed: 3 } };
    dataset = await makeDataset(folder, parts);
  });

  it('has one row for each chip on disk, every date, labelled and split as the parts say', () => {
    const labelled = labelChips(new Set(chips.map(({ id }) => id)), tags, parts.schema);
    const split = splitByPlace(labelled, { seed: 3 });
    assert.deepEqual(
      dataset.rows.map((row) => rowPath(folder, row)).toSorted(),
      chips.map(({ path }) => path).toSorted(),
    );
    for (const { id, split: side, weight, labels } of dataset.rows)
      assert.deepEqual({ side, weight, labels }, { side: split.get(id), ...labelled.get(id)! });
  });

  it('keeps all dates of a chip on one side', () => {
    const sides = new Map(dataset.rows.map(({ id, split }) => [id, split]));
    assert.ok(sides.size < dataset.rows.length);
    assert.ok(dataset.rows.every(({ id, split }) => sides.get(id) === split));
  });

  it('states how it was split, defaults included', () => {
    assert.deepEqual(dataset.manifest.split, {
      blockZoom: 15, buffer: 1, validation: 0.15, test: 0.25, seed: 3, unmappedWeight: 'completeness of the cell',
    }); // prettier-ignore
  });

  it('carries the licences of imagery and map', () => {
    const [imagery, labels] = dataset.manifest.licences;
    assert.equal(dataset.manifest.licences.length, 2);
    assert.equal(imagery.source, 'imagery 103001007FBB177B, 10400100BC69F3F8');
    assert.equal(imagery.licence, 'CC0-1.0');
    assert.deepEqual([labels.source, labels.attribution.length > 0], ['labels', true]);
    assert.equal(labels.licence, labels.attribution === OSM_ATTRIBUTION ? 'ODbL 1.0' : 'as the map server states');
  });

  it('makes the same version again', async () => {
    const again = await makeDataset(folder, { ...parts, chips: chips.toReversed() });
    assert.deepEqual(again, dataset);
    assert.deepEqual(await readDataset(folder, 'sample'), dataset);
  });

  it('says so where a licence is not stated, and names a collection that is none', async () => {
    const collection = join(folder, 'ard/acquisition_collections/103001007FBB177B_collection.json');
    await rename(collection, `${collection}.aside`);
    try {
      const { manifest } = await makeDataset(folder, { ...parts, name: 'unstated' });
      assert.ok(manifest.licences.some(({ source, licence }) => source === 'imagery 103001007FBB177B' && licence === 'not stated')); // prettier-ignore
      await writeFile(collection, '{"license": 7}');
      await assert.rejects(makeDataset(folder, parts), /103001007FBB177B_collection\.json is no STAC collection/);
    } finally {
      await rename(`${collection}.aside`, collection);
    }
  });

  it('leaves out chips whose tile has gone, and tells which', async () => {
    const tile = join(folder, `ard/33/${chips[0].cell.slice(4)}/${chips[0].date}`);
    await rename(tile, `${tile}.aside`);
    try {
      await chipTiles({ dataPath: folder, zone: 33 });
      const { recorded, orphans } = await recordedChips(join(folder, 'nodata-index.json'), chips);
      assert.ok(orphans.length > 50, `${orphans.length} orphans`);
      assert.ok(orphans.every(({ cell, date }) => cell === chips[0].cell && date === chips[0].date));
      assert.deepEqual([...recorded, ...orphans].map(({ path }) => path).sort(), chips.map(({ path }) => path).sort());
    } finally {
      await rename(`${tile}.aside`, tile);
      await chipTiles({ dataPath: folder, zone: 33 });
    }
    assert.deepEqual((await recordedChips(join(folder, 'nodata-index.json'), chips)).orphans, []);
  });

  it('tells how far labels differ between the sides: a label on one alone most of all', () => {
    const [label] = dataset.manifest.labels;
    const rows = dataset.rows.map((row) => ({ ...row, labels: { ...row.labels, [label]: row.split === 'test' ? 1 : 0 } as const })); // prettier-ignore
    const [first] = splitDrift({ manifest: dataset.manifest, rows });
    assert.deepEqual([first.tag, first.commonest, first.most, first.least], [label, 'test', 1, 0]);
    assert.ok(Math.abs(first.cramersV - 1) < 1e-9);
  });

  it('refuses to make one of no chips', async () => {
    await assert.rejects(makeDataset(folder, { ...parts, chips: [] }), /RangeError: splitByPlace found 0 blocks/);
  });

  it('loads the images of the sides asked for, each with its own row', async () => {
    const loaded = await loadImages(folder, dataset, { splits: ['validation', 'test'], size: 16 });
    assert.deepEqual(
      loaded.rows,
      dataset.rows.filter(({ split }) => split === 'validation' || split === 'test'),
    );
    const last = loaded.rows.length - 1;
    const alone = await decodeImage(rowPath(folder, loaded.rows[last]), 16);
    assert.deepEqual(Buffer.from(loaded.images.subarray(last * 16 * 16 * 3)), Buffer.from(alone));
  });
});

describe('loadImages', () => {
  let folder: string;
  let dataset: DatasetVersion;
  before(async () => {
    folder = await emptyFolder();
    const rows = datasetRows(24, 'load').map((row, k) => ({ ...row, split: k % 2 === 0 ? ('train' as const) : ('test' as const) })); // prettier-ignore
    const licences: [] = [];
    dataset = { manifest: { format: 3, osmDates: {}, nodataIndex: null, rows: '', codeVersion: '', parent: null, checksum: '', name: 'hand', version: '0123456789ab', zone: 33, schema, split: {}, licences, sha256: '', labels: schema.labels.map(({ label }) => label), counts: { train: 12, validation: 0, test: 12, buffer: 0 } }, rows, folder }; // prettier-ignore
    for (const [k, row] of rows.entries()) {
      const path = rowPath(folder, row);
      await mkdir(dirname(path), { recursive: true });
      const image = sharp({
        create: { width: 8, height: 8, channels: 3, background: { r: 10 * k, g: 10 * k, b: 10 * k } },
      });
      await image.jpeg({ quality: 100 }).toFile(path);
    }
  });

  it('lays images, labels and weights in the order of the rows and of the manifest’s labels, unknown as NaN', async () => {
    const { rows, images, labels, weights, size } = await loadImages(folder, dataset, { splits: ['test'], size: 4 });
    assert.deepEqual(rows, dataset.rows.filter(({ split }) => split === 'test')); // prettier-ignore
    assert.deepEqual([images.length, labels.length, weights.length, size], [12 * 48, 12 * 3, 12, 4]);
    for (const [k, row] of rows.entries()) {
      assert.ok(images.subarray(k * 48, k * 48 + 48).every((value) => Math.abs(value - 10 * (2 * k + 1)) <= 1));
      assert.equal(weights[k], Math.fround(row.weight));
      dataset.manifest.labels.forEach((label, column) =>
        assert.ok(Object.is(labels[k * 3 + column], row.labels[label] ?? Number.NaN), `${k} ${label}`),
      );
    }
    assert.ok(labels.some(Number.isNaN) && labels.includes(1) && labels.includes(0));
  });

  it('says where a row’s chip lies: zone, cell, date, square and acquisition', () => {
    const row = { id: 'Z33-031133012203000012', catid: '10400100BC69F3F8', date: '2022-06-14' };
    assert.equal(
      rowPath('/data', row),
      '/data/chips/33/031133012203/2022-06-14/Z33-031133012203000012_10400100BC69F3F8.jpg',
    );
    assert.equal(rowPath('/data/ard', row), rowPath('/data', row));
    assert.throws(() => rowPath('/data', { ...row, id: 'Z33-0311' }), /RangeError: unknown chip id "Z33-0311"/);
  });

  it('opens images that are read when they are asked for, and stay in memory where there is room', async () => {
    const copy = await emptyFolder();
    await cp(join(folder, 'chips'), join(copy, 'chips'), { recursive: true });
    const options = { splits: ['test', 'train'], size: 4 } as const;
    const [kept, read] = [openImages(copy, dataset, options), openImages(copy, dataset, { ...options, keepBytes: 47 })];
    assert.deepEqual(kept.places, dataset.rows.map(({ id }) => id)); // prettier-ignore
    assert.equal(kept.images.identity, 'hand 0123456789ab test+train at 4');
    const some = Uint32Array.of(5, 0, 5, 23);
    const first = await kept.images.read(some);
    assert.deepEqual([0, 48, 96, 144].map((at) => Math.round(first[at] / 10)), [5, 0, 5, 23]); // prettier-ignore
    assert.deepEqual(await read.images.read(some), first);
    await rm(rowPath(copy, dataset.rows[5]));
    assert.deepEqual(await kept.images.read(some), first);
    await assert.rejects(read.images.read(some), new RegExp(`cannot read the image .*${dataset.rows[5].id}`));
    await assert.rejects(openImages(copy, dataset, options).images.read(some), /cannot read the image/);
  });

  it('names the chip that is missing', async () => {
    const [gone] = dataset.rows;
    await rm(rowPath(folder, gone));
    await assert.rejects(
      loadImages(folder, dataset, { splits: ['train'], size: 4 }),
      new RegExp(`cannot read the image .*${gone.id}_${gone.catid}\\.jpg`),
    );
  });

  it('refuses sides that hold no row, naming them', async () => {
    await assert.rejects(
      loadImages(folder, dataset, { splits: ['validation', 'buffer'], size: 4 }),
      /RangeError: dataset hand 0123456789ab has no row in validation, buffer/,
    );
  });
});
