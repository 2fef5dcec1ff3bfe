import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cellOf, lonLatBounds, parseCell, parseChip, toLonLat } from 'imagesim/ard';
import { chipTiles } from 'imagesim/chips';
import { type DatasetRow, createDataset } from 'imagesim/datasets';
import { type DeployReport, deploy, deployStore, listStores, openStore, search } from 'imagesim/similarity';
import { writeSchema } from 'imagesim/statistics';
import {
  buildNetwork,
  embeddingParts,
  encodeChips,
  readEmbeddings,
  saveModel,
  trainingBackend,
} from 'imagesim/training';
import { writeSmallTile } from '../chips/small.ts';
import { emptyFolder } from '../delivery.ts';

const WIDTH = 24;
const QUADKEYS = ['031133012202', '031133012203'];

async function makeModel(folder: string, version: string, seed: number, datasetVersion = 'none@0'): Promise<void> {
  const network = await buildNetwork({ inputSize: 16, classes: ['a'], widths: [8], embeddingWidth: WIDTH, seed });
  await saveModel(join(folder, 'models/small', version), network, {
    name: 'small', version, datasetVersion, backend: 'wasm', settings: { losses: {} }, metrics: {}, curve: [],
    licences: [{ source: 'imagery', licence: 'CC0-1.0', attribution: 'nobody' }],
  }); // prettier-ignore
  network.dispose();
}

/** Writes a small tile of a cell, with a STAC item that says how it was taken. */
async function addTile(folder: string, quadkey: string, date = '2023-05-17', cloud = 3): Promise<void> {
  const stem = join(folder, 'ard/33', quadkey, date, '10300100E67475AB');
  await writeSmallTile(`${stem}-visual.tif`, cellOf(33, quadkey));
  await addItem(stem, cloud);
}

async function addItem(stem: string, cloud: number): Promise<void> {
  await writeFile(`${stem}.json`, JSON.stringify({ properties: { 'tile:clouds_percent': cloud, 'view:off_nadir': 21.5, gsd: 0.48 } })); // prettier-ignore
}

/** A house on the western columns of the chips that small tiles hold, up to half of column 10, from half of row 9 on; and a tree in a chip east of it. */
async function addMap(folder: string, quadkey: string, value = 'house'): Promise<void> {
  const { epsg, cellBounds: [west, , , north] } = cellOf(33, quadkey); // prettier-ignore
  const at = (column: number, row: number): { lon: number; lat: number } => {
    const [lon, lat] = toLonLat(epsg, [west + column * 78.125, north - row * 78.125]);
    return { lon, lat };
  };
  const corners = [at(4, 9.5), at(10.5, 9.5), at(10.5, 20), at(4, 20)];
  const nodes = corners.map((place, id) => ({ type: 'node', id: id + 1, ...place, tags: {} }));
  const osm = {
    quadkey,
    nodes: [...nodes, { type: 'node', id: 5, ...at(12.5, 10.5), tags: { natural: 'tree', name: 'Linde' } }],
    ways: [{ type: 'way', id: 9, nodes: [1, 2, 3, 4, 1], tags: { building: value, name: 'Haus' } }],
    relations: [],
  };
  await writeFile(join(folder, 'ard/33', quadkey, 'osm_data.json'), JSON.stringify(osm));
  await writeFile(join(folder, 'ard/33', quadkey, 'osm_data.meta.json'), JSON.stringify(META));
}

const META = {
  endpoint: 'file', query: 'all', timestamp_osm_base: '2023-06-01T00:00:00Z', fetchedAt: '2023-06-02T00:00:00Z',
  counts: { nodes: 5, ways: 1, relations: 0 }, attribution: 'nobody',
}; // prettier-ignore

/** What the map has in a chip of it. */
function mapOf(id: string): string[] {
  const { row, column } = parseChip(id);
  const tags = [...(column <= 10 && row >= 9 ? ['building=house'] : []), ...(column === 12 && row === 10 ? ['natural=tree'] : [])];
  return tags;
} // prettier-ignore

const counts = ({ cells, changed, kept, written, rows, encoded, replaced, version }: DeployReport): unknown[] => [cells, changed, kept, written, rows, encoded, replaced, version]; // prettier-ignore

describe('similarity deploy', () => {
  let made: string;
  let folder: string;
  before(async () => {
    await trainingBackend({ name: 'wasm' });
    made = await emptyFolder();
    for (const quadkey of QUADKEYS) await addTile(made, quadkey);
    await addMap(made, QUADKEYS[0]);
    await makeModel(made, '1a2b3c4d5e6f', 1);
    await makeModel(made, '2b2b3c4d5e6f', 2);
    await writeFile(join(made, 'models/small/latest'), '1a2b3c4d5e6f\n');
  });
  beforeEach(async () => {
    folder = await emptyFolder();
    await cp(made, folder, { recursive: true, preserveTimestamps: true, mode: 2 });
  });

  it('makes a row of each real chip of the tiles, none of them cut, with its vector and what is known of it', async () => {
    const report = await deploy(folder, { model: 'small', threads: 1 });
    const parts = await embeddingParts(folder, { model: 'small', version: '1a2b3c4d5e6f' }, 33);
    const encoded = await Promise.all(parts.map((path) => readEmbeddings(path)));
    const all = encoded.flatMap(({ rows }) => rows);
    assert.deepEqual(counts(report), [2, 2, 0, all.length, all.length, all.length, false, 'v1']);
    assert.equal(existsSync(join(folder, 'chips')), false);
    assert.deepEqual(report.leftOut, [`Z33-${QUADKEYS[1]} has no osm_data.json: its chips are in the store without tags; run imagesim osm --zone 33`]); // prettier-ignore
    const store = await openStore(folder, 'small');
    assert.deepEqual([store.model, store.width, store.licences[0].licence, Object.keys(store.cells)], ['small@1a2b3c4d5e6f', WIDTH, 'CC0-1.0', QUADKEYS.map((quadkey) => `Z33-${quadkey}`)]); // prettier-ignore
    for (const { rows, values } of encoded)
      for (const [at, { id, catid, date }] of rows.entries()) {
        const [hit] = (await search(store, { vector: values.slice(at * WIDTH, (at + 1) * WIDTH) }, { k: 1, cells: [id] })).hits; // prettier-ignore
        assert.ok(Math.abs(hit.similarity - 1) < 1e-5);
        assert.deepEqual([hit.catid, hit.date, hit.cloudPercent, hit.offNadir, hit.gsd], [catid, date, 3, 21.5, 0.48]);
        assert.deepEqual(hit.tags, id.startsWith(`Z33-${QUADKEYS[0]}`) ? mapOf(id) : []);
      }
    store.close();
  });

  it('takes in only what is new or has changed: a cell, its map, its STAC item, its embeddings', async () => {
    const first = await deploy(folder, { model: 'small', threads: 1 });
    const each = first.rows / 2;
    assert.deepEqual(counts(await deploy(folder, { model: 'small', threads: 1 })), [2, 0, 2, 0, 2 * each, 0, false, undefined]); // prettier-ignore
    await addTile(folder, '031133012212');
    const grown = await deploy(folder, { model: 'small', threads: 1 });
    assert.deepEqual(counts(grown), [3, 1, 2, each, 3 * each, each, false, 'v2']);
    await addMap(folder, QUADKEYS[0], 'barn');
    const mapped = await deploy(folder, { model: 'small', threads: 1 });
    assert.deepEqual(counts(mapped), [3, 1, 2, each, 3 * each, 0, false, 'v3']);
    await addItem(join(folder, 'ard/33', QUADKEYS[1], '2023-05-17/10300100E67475AB'), 44);
    const cloudy = await deploy(folder, { model: 'small', threads: 1 });
    assert.deepEqual(counts(cloudy), [3, 1, 2, each, 3 * each, 0, false, 'v4']);
    const store = await openStore(folder, 'small');
    const { columns } = await store.load();
    assert.deepEqual(columns.tagNames.toSorted(), ['building=barn', 'natural=tree']);
    assert.equal(columns.clouds.filter((value) => value === 44).length, each);
    assert.equal(new Set(columns.ids).size, 3 * each);
    store.close();
    await addTile(folder, QUADKEYS[1], '2023-08-01', 9);
    const dated = await deploy(folder, { model: 'small', threads: 1 });
    assert.deepEqual(counts(dated), [3, 1, 2, 2 * each, 4 * each, 2 * each, false, 'v5']);
  });

  it('takes the place of rows from memory in the same cells', async () => {
    const { rows } = await deploy(folder, { model: 'small', threads: 1 });
    const store = await openStore(folder, 'small');
    const { columns, values } = await store.load();
    const known = columns.ids.map((id, at): DatasetRow => ({ id, catid: columns.catids[at], date: columns.dates[at], split: 'test', weight: 1, labels: {} })); // prettier-ignore
    await deployStore(folder, 'memory', known, { values, width: WIDTH }, store.model);
    store.close();
    const [first] = await listStores(folder, 'memory');
    assert.deepEqual(Object.keys(first.cells).sort(), QUADKEYS.map((quadkey) => `Z33-${quadkey}`)); // prettier-ignore
    assert.deepEqual(counts(await deploy(folder, { model: 'small', threads: 1, table: 'memory' })), [2, 2, 0, rows, rows, 0, false, 'v2']); // prettier-ignore
  });

  it('takes only the zone and the cells that a box touches, and leaves the others as they are', async () => {
    const [west, south, east, north] = lonLatBounds(parseCell(`Z33-${QUADKEYS[0]}`));
    const inner = [west + 0.02, south + 0.02, east - 0.02, north - 0.02] as [number, number, number, number];
    const one = await deploy(folder, { model: 'small', zone: 33, bbox: inner, threads: 1, table: 'part' });
    assert.deepEqual([one.cells, one.table], [1, 'part']);
    const both = await deploy(folder, { model: 'small', threads: 1, table: 'part' });
    assert.deepEqual([both.cells, both.kept, both.rows], [2, 1, 2 * one.rows]);
    const again = await deploy(folder, { model: 'small', bbox: inner, threads: 1, table: 'part' });
    assert.deepEqual([again.cells, again.changed, again.rows], [1, 0, 2 * one.rows]);
    await assert.rejects(deploy(folder, { model: 'small', bbox: [1, 1, 2, 2] }), /no cell in 1,1,2,2 in .*\/ard that can be deployed: bring tiles with imagesim sync, or name a delivery with --ard$/); // prettier-ignore
    await assert.rejects(deploy(folder, { model: 'small', zone: 32 }), /no cell of zone 32 in /);
  });

  it('takes embeddings that are there, of chips on disk, without encoding them again', async () => {
    await chipTiles({ dataPath: folder, zone: 33 });
    await encodeChips(folder, { model: 'small', zone: 33, threads: 1 });
    const parts = await embeddingParts(folder, { model: 'small', version: '1a2b3c4d5e6f' }, 33);
    const bytes = await readFile(parts[0], 'base64');
    const report = await deploy(folder, { model: 'small', threads: 1 });
    assert.deepEqual([report.encoded, report.changed], [0, 2]);
    assert.equal(await readFile(parts[0], 'base64'), bytes);
    await utimes(parts[0], new Date(), new Date(Date.now() + 5000));
    assert.equal((await deploy(folder, { model: 'small', threads: 1 })).changed, 1);
  });

  it('takes in a new date of a cell whose embeddings are of chips on disk, and a new cell straight from its tile', async () => {
    await chipTiles({ dataPath: folder, zone: 33 });
    await encodeChips(folder, { model: 'small', zone: 33, threads: 1 });
    const { rows } = await deploy(folder, { model: 'small', threads: 1 });
    await addTile(folder, QUADKEYS[1], '2023-08-01');
    await chipTiles({ dataPath: folder, zone: 33 });
    await addTile(folder, '031133012212');
    const each = rows / 2;
    assert.deepEqual(counts(await deploy(folder, { model: 'small', threads: 1 })), [3, 2, 1, 3 * each, 4 * each, 3 * each, false, 'v2']); // prettier-ignore
  });

  it('takes the rows of a cell away when its last tile is withdrawn, and says so', async () => {
    const { rows } = await deploy(folder, { model: 'small', threads: 1 });
    await rm(join(folder, 'ard/33', QUADKEYS[1], '2023-05-17'), { recursive: true });
    const report = await deploy(folder, { model: 'small', threads: 1 });
    assert.deepEqual([...counts(report), report.withdrawn], [2, 0, 1, 0, rows / 2, 0, false, 'v2', 1]);
    assert.ok(report.leftOut.includes(`Z33-${QUADKEYS[1]} has no tile any more: its chips went from the store`));
    const store = await openStore(folder, 'small');
    assert.ok((await store.load()).columns.ids.every((id) => id.startsWith(`Z33-${QUADKEYS[0]}`)));
    store.close();
    assert.deepEqual(counts(await deploy(folder, { model: 'small', threads: 1 })), [1, 0, 1, 0, rows / 2, 0, false, undefined]); // prettier-ignore
    await rm(join(folder, 'ard/33', QUADKEYS[0], '2023-05-17'), { recursive: true });
    await assert.rejects(deploy(folder, { model: 'small', threads: 1 }), /nothing would be left in table small/);
    await assert.rejects(deploy(folder, { model: 'small', threads: 1, table: 'new' }), /no cell in .*\/ard that can be deployed \(Z33-\d+ has no embeddings/); // prettier-ignore
  });

  it('brings the tiles of a delivery elsewhere, then deploys them', async () => {
    const elsewhere = await emptyFolder();
    await cp(join(folder, 'models'), join(elsewhere, 'models'), { recursive: true });
    const report = await deploy(elsewhere, { model: 'small', ard: join(folder, 'ard/33'), threads: 1 });
    assert.deepEqual([report.cells, report.changed], [2, 2]);
    assert.ok(existsSync(join(elsewhere, 'ard/33', QUADKEYS[0], '2023-05-17/10300100E67475AB-visual.tif')));
  });

  it('in shards encodes each cell once and leaves the store to a deploy without, which makes it as one process does', async () => {
    const run = (shard?: { index: number; count: number }): Promise<DeployReport> => deploy(folder, { model: 'small', threads: 1, shard }); // prettier-ignore
    const third = '031133012212';
    await addTile(folder, third);
    const single = await emptyFolder();
    await cp(folder, single, { recursive: true, preserveTimestamps: true });
    const alone = await deploy(single, { model: 'small', threads: 1 });
    const shares = await Promise.all([0, 1].map((index) => run({ index, count: 2 })));
    assert.deepEqual(
      shares.map(({ cells }) => cells).toSorted((a, b) => a - b),
      [1, 2],
    );
    assert.equal(shares[0].encoded + shares[1].encoded, alone.encoded);
    assert.deepEqual([await listStores(folder), shares[0].rows, shares[0].version], [[], 0, undefined]);
    const merged = await run({ index: 0, count: 1 });
    assert.deepEqual(counts(merged), [3, 3, 0, alone.rows, alone.rows, 0, false, 'v1']);
    assert.deepEqual(counts(await run()), [3, 0, 3, 0, alone.rows, 0, false, undefined]); // once more does no harm
    const model = { model: 'small', version: '1a2b3c4d5e6f' };
    const [parts, expected] = await Promise.all([folder, single].map(async (data) => Promise.all((await embeddingParts(data, model, 33)).map((path) => readFile(path, 'base64'))))); // prettier-ignore
    assert.deepEqual(parts, expected);
    const [own, other] = await Promise.all(
      [folder, single].map(async (data) => (await openStore(data, 'small')).load()),
    );
    assert.deepEqual(own, other);
  });

  it('in shards does what a dead one has left undone, and refuses to bring a delivery', async () => {
    const { encoded } = await deploy(folder, { model: 'small', threads: 1, shard: { index: 1, count: 2 } });
    const rest = await deploy(folder, { model: 'small', threads: 1 });
    assert.ok(encoded > 0 && rest.encoded > 0);
    assert.equal(rest.rows, encoded + rest.encoded);
    const elsewhere = await emptyFolder();
    await cp(join(folder, 'models'), join(elsewhere, 'models'), { recursive: true });
    const bringing = deploy(elsewhere, { model: 'small', ard: folder, shard: { index: 0, count: 2 } });
    await assert.rejects(bringing, /cannot be brought by one of 2 workers, .*: run imagesim sync first, and deploy without --ard$/); // prettier-ignore
  });

  it('replaces all rows by those of another model, and says so', async () => {
    const old = await deploy(folder, { model: 'small', threads: 1 });
    const report = await deploy(folder, { model: 'small@2b', threads: 1 });
    assert.deepEqual(counts(report), [2, 2, 0, old.rows, old.rows, old.rows, true, 'v2']);
    assert.deepEqual((await listStores(folder)).map(({ version, model, live }) => [version, model, live]), [['v1', 'small@1a2b3c4d5e6f', false], ['v2', 'small@2b2b3c4d5e6f', true]]); // prettier-ignore
    const store = await openStore(folder, 'small', { version: 'v1' });
    assert.equal(store.model, 'small@1a2b3c4d5e6f');
    store.close();
  });

  it('refuses a model that is not there', async () => {
    await assert.rejects(deploy(folder, { model: 'large' }), /no model large in .*; there is small$/);
    assert.equal(existsSync(join(folder, 'embeddings')), false);
  });

  it('leaves what was there in force when it is killed, at whatever moment, and goes on from it', async () => {
    const before = await deploy(folder, { model: 'small', threads: 1 });
    const program = "import { deploy } from 'imagesim/similarity'; console.log('begun'); await deploy(process.argv[1], { model: 'small', threads: 1 }); console.log('done');"; // prettier-ignore
    const delays = process.env.IMAGESIM_PROOF ? Array.from({ length: 100 }, (_, at) => 30 * at) : [150];
    for (const [at, delay] of delays.entries()) {
      await addMap(folder, QUADKEYS[at % 2], `kind${at}`);
      const child = spawn(process.execPath, ['--input-type=module', '-e', program, folder], { stdio: ['ignore', 'pipe', 'inherit'] }); // prettier-ignore
      const closed = once(child, 'close'); // it may have done all before it is killed
      await once(child.stdout, 'data');
      await pause(delay);
      child.kill('SIGKILL');
      await closed;
      const store = await openStore(folder, 'small');
      const { columns } = await store.load();
      assert.equal(columns.n, before.rows);
      assert.equal(new Set(columns.ids).size, before.rows);
      store.close();
      const after = await deploy(folder, { model: 'small', threads: 1 });
      assert.equal(after.rows, before.rows);
      const now = await openStore(folder, 'small');
      assert.ok((await now.load()).columns.tagNames.includes(`building=kind${at}`));
      now.close();
    }
  });

  it('tags chips by the schema of the dataset that the model learnt from, as that has labelled them', async () => {
    await chipTiles({ dataPath: folder, zone: 33 });
    await addMap(folder, QUADKEYS[1], 'barn');
    await mkdir(join(folder, 'datasets'), { recursive: true });
    const rules = [
      { label: 'roofed', tags: ['building=house', 'building=barn'], measure: 'area' as const, atLeast: 0.05 },
      { label: 'whole', tags: ['building=house'], measure: 'area' as const, atLeast: 0.9 },
      { label: 'near a tree', tags: ['natural=tree'], measure: 'near' as const, atLeast: 1 },
    ];
    await writeSchema(join(folder, 'datasets/zone33.schema.json'), { version: 1, labels: rules });
    const { manifest, rows } = await createDataset(folder, {
      zone: 33,
      name: 'roofs',
      split: { blockZoom: 17, buffer: 0 },
    });
    await makeModel(folder, '3c2b3c4d5e6f', 1, `roofs@${manifest.version}`);
    await deploy(folder, { model: 'small@3c', threads: 1 });
    const store = await openStore(folder, 'small');
    const { columns } = await store.load();
    const labelled = new Map(rows.map((row) => [`${row.id} ${row.catid}`, row]));
    assert.equal(columns.n, rows.length);
    const seen = new Set<string>();
    for (let at = 0; at < columns.n; at++) {
      const { labels, cloudPercent, offNadir, gsd } = labelled.get(`${columns.ids[at]} ${columns.catids[at]}`)!;
      const tags = columns.tags.slice(columns.tagStarts[at], columns.tagStarts[at + 1]).map((tag) => columns.tagNames[tag]); // prettier-ignore
      assert.deepEqual(tags.sort(), Object.keys(labels).filter((label) => labels[label] === 1).sort()); // prettier-ignore
      assert.deepEqual([columns.clouds[at], columns.offNadirs[at], columns.gsds[at]], [cloudPercent, offNadir, gsd]);
      tags.forEach((tag) => seen.add(tag));
    }
    assert.deepEqual([...seen].sort(), ['near a tree', 'roofed', 'whole']);
    store.close();
  });
});
