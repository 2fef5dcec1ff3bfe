import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cellOf, lonLatBounds } from 'imagesim/ard';
import { chipTiles } from 'imagesim/chips';
import { createDataset } from 'imagesim/datasets';
import { syncDelivery } from 'imagesim/infra';
import {
  type Columns,
  type DeployOptions,
  type DeployReport,
  deploy,
  deployStore,
  listStores,
  openStore,
} from 'imagesim/similarity';
import { writeSchema } from 'imagesim/statistics';
import { buildNetwork, saveModel, trainingBackend } from 'imagesim/training';
import { type Bucket, filesUnder, objectsAt, openBucket } from '../bucket.ts';
import { writeSmallTile } from '../chips/small.ts';
import { emptyFolder } from '../delivery.ts';
import { randomVectors, rowAt } from './rows.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const KILLS = 12;
const QUADKEYS = ['031133000000', '031133000001', '031133000002'];
const EACH = 15;

/** Tiles with STAC items; all but the last cell have a map: trees in the middle of the cell. */
async function makeDelivery(folder: string): Promise<void> {
  for (const [at, quadkey] of QUADKEYS.entries()) {
    const cell = cellOf(33, quadkey);
    const stem = join(folder, 'ard/33', quadkey, '2023-05-17/1030010000000001');
    await writeSmallTile(`${stem}-visual.tif`, cell);
    await writeFile(
      `${stem}.json`,
      JSON.stringify({ properties: { 'tile:clouds_percent': at, 'view:off_nadir': 21.5 } }),
    );
    if (at < 2) await addMap(folder, quadkey);
  }
}

async function addMap(folder: string, quadkey: string): Promise<void> {
  const [west, south, east, north] = lonLatBounds(cellOf(33, quadkey));
  const step = (east - west) / 200;
  const nodes = Array.from({ length: 200 }, (_, id) => ({ type: 'node', id: id + 1, lon: west + id * step, lat: north - (id / 200) * (north - south) * 0.9, tags: { natural: 'tree' } })); // prettier-ignore
  const meta = { endpoint: 'file', query: 'all', timestamp_osm_base: '2023-06-01T00:00:00Z', fetchedAt: '2023-06-02T00:00:00Z', counts: { nodes: 200, ways: 0, relations: 0 }, attribution: 'nobody' }; // prettier-ignore
  await writeFile(join(folder, 'ard/33', quadkey, 'osm_data.json'), JSON.stringify({ quadkey, nodes, ways: [], relations: [] })); // prettier-ignore
  await writeFile(join(folder, 'ard/33', quadkey, 'osm_data.meta.json'), JSON.stringify(meta));
}

/** A dataset of the first two cells, and a model that learnt from it. */
async function addModel(folder: string): Promise<void> {
  await chipTiles({ dataPath: folder, zone: 33, quadkey: '03113300000' });
  await mkdir(join(folder, 'datasets'));
  await writeFile(join(folder, 'ard/33', QUADKEYS[2], 'osm_data.json'), JSON.stringify({ quadkey: QUADKEYS[2], nodes: [], ways: [], relations: [] })); // prettier-ignore
  await writeFile(join(folder, 'ard/33', QUADKEYS[2], 'osm_data.meta.json'), await readFile(join(folder, 'ard/33', QUADKEYS[0], 'osm_data.meta.json'))); // prettier-ignore
  await writeSchema(join(folder, 'datasets/zone33.schema.json'), { version: 1, labels: [{ label: 'near a tree', tags: ['natural=tree'], measure: 'near', atLeast: 1 }] }); // prettier-ignore
  const { manifest } = await createDataset(folder, { zone: 33, name: 'trees', split: { blockZoom: 17, buffer: 0 } });
  for (const name of ['osm_data.json', 'osm_data.meta.json']) await rm(join(folder, 'ard/33', QUADKEYS[2], name));
  await rm(join(folder, 'chips'), { recursive: true });
  const network = await buildNetwork({ inputSize: 16, classes: ['a'], widths: [8], embeddingWidth: 24, seed: 1 });
  await saveModel(join(folder, 'models/small/1a2b3c4d5e6f'), network, {
    name: 'small', version: '1a2b3c4d5e6f', datasetVersion: `trees@${manifest.version}`, backend: 'wasm', settings: { losses: {} }, metrics: {}, curve: [],
    licences: [{ source: 'imagery', licence: 'CC0-1.0', attribution: 'nobody' }],
  }); // prettier-ignore
  network.dispose();
  await writeFile(join(folder, 'models/small/latest'), '1a2b3c4d5e6f\n');
}

describe('a store that workers who share no disk deploy', () => {
  let bucket: Bucket;
  /** A data folder with tiles, maps, model and dataset. */
  let folder: string;

  before(async () => {
    bucket = await openBucket();
    await trainingBackend({ name: 'wasm' });
    folder = await emptyFolder();
    const made = await emptyFolder();
    await makeDelivery(made);
    await syncDelivery(made, folder);
    await addModel(folder);
  });
  after(() => bucket.close());

  /** Keys that were put, without those of the store's own files. */
  const put = (): string[] => bucket.puts().filter((key) => !key.includes('.lance/'));

  const deployTo = async (to: string, options: Partial<DeployOptions> = {}, dataPath?: string): Promise<DeployReport> =>
    deploy(dataPath ?? (await emptyFolder()), { model: 'small', threads: 1, to, ...options });

  const loaded = async (place: string): Promise<{ columns: Columns; values: Float32Array; licences: unknown }> => {
    const store = await openStore(place, 'small');
    const { columns, values } = await store.load();
    const { licences } = store;
    store.close();
    return { columns, values, licences };
  };

  const parts = async (address: string): Promise<[string, Buffer][]> =>
    [...(await objectsAt(bucket, address))].filter(([key]) => key.startsWith('embeddings/parts/'));

  it('is that of a run into a folder row for row, and needs room for a cell or two; a second run puts nothing', async () => {
    const address = await bucket.begin(folder);
    let own = '';
    let most = 0;
    bucket.watch({
      before: async (_, next) => {
        const big = existsSync(own) ? (await filesUnder(own)).filter((path) => /\.(tif|parquet)$|osm_data\.json$/.test(path)) : []; // prettier-ignore
        most = Math.max(most, big.length);
        await next();
      },
    });
    let encoded = 0;
    for (const index of [0, 1]) {
      own = await emptyFolder();
      const share = await deployTo(address, { shard: { index, count: 2 } }, own);
      assert.deepEqual([share.failed, share.version], [[], undefined]);
      encoded += share.encoded;
    }
    assert.equal(encoded, EACH * QUADKEYS.length);
    assert.deepEqual(await listStores(address), []);
    own = await emptyFolder();
    const { encoded: late, rows, version, place, failed } = await deployTo(address, {}, own);
    assert.deepEqual([late, rows, version, place, failed], [0, encoded, 'v1', `${address}/embeddings`, []]);
    const left = (await filesUnder(own)).filter((path) => !path.includes('/in/models/'));
    assert.deepEqual(left, [], 'but for the model, nothing is left here');
    assert.ok(most > 0 && most <= 3, `${most} tiles, maps and parts lay here at once`);
    const whole = await emptyFolder();
    await cp(folder, whole, { recursive: true, preserveTimestamps: true, mode: 2 });
    await deploy(whole, { model: 'small', threads: 1 });
    const expected = await loaded(whole);
    assert.deepEqual(await loaded(address), expected);
    assert.deepEqual(expected.columns.tagNames, ['near a tree']);
    assert.deepEqual(new Set(expected.columns.clouds), new Set([0, 1, 2]));
    assert.equal((await parts(address)).length, QUADKEYS.length);
    assert.equal(new Set(put()).size, put().length);
    bucket.watch();
    const again = await deployTo(address);
    assert.deepEqual([again.version, again.kept, again.encoded, put()], [undefined, QUADKEYS.length, 0, []]);
  });

  it('has the rows of a cell whose embeddings the bucket refuses, which are named, stay here and go there later', async () => {
    const [address, own] = [await bucket.begin(folder), await emptyFolder()];
    bucket.watch({ refused: /embeddings\/parts\/.*01\.parquet/ });
    const refused = await deployTo(address, { shard: { index: 0, count: 1 } }, own);
    assert.match(refused.failed.join('\n'), /^cannot write s3:\/\/\S+\/031133000001\.parquet: access is denied: ask for .*s3:PutObject/); // prettier-ignore
    assert.deepEqual([refused.rows, (await parts(address)).length], [EACH * QUADKEYS.length, 2]);
    bucket.watch();
    const { failed, encoded } = await deployTo(address, { shard: { index: 0, count: 2 } }, own);
    const rest = await deployTo(address, { shard: { index: 1, count: 2 } }, own);
    assert.deepEqual([failed, rest.failed, encoded + rest.encoded, put()], [[], [], 0, [`embeddings/parts/small-1a2b3c4d5e6f/33/${QUADKEYS[1]}.parquet`]]); // prettier-ignore
    assert.deepEqual(
      (await filesUnder(own)).filter((path) => path.endsWith('.parquet')),
      [],
    );
  });

  it('is deployed again where nothing may be deleted: older versions than are kept stay, which is told', async () => {
    bucket.watch();
    const [place, notes] = ['s3://imagesim-storage/made', [] as string[]];
    const rows = Array.from({ length: 20 }, (_, at) => rowAt(at));
    for (let time = 0; time < 3; time++) await deployStore(place, 't', rows, randomVectors(20, 8, `${time}`), 'm@1', { keep: 1, onNote: (note) => void notes.push(note) }); // prettier-ignore
    assert.deepEqual((await listStores(place)).map(({ version, live }) => [version, live]), [['v1', false], ['v2', false], ['v3', true]]); // prettier-ignore
    assert.match(notes[0], /^old versions of table t stay, for nothing may be deleted there: ask for s3:DeleteObject/);
  });

  it(`is whole, and no embedding put twice, after the command was killed at each of its first ${KILLS} objects and begun again on an empty disk`, async function () {
    if (!process.env.IMAGESIM_PROOF) this.skip(); // throws
    const whole = await bucket.begin(folder);
    await deployTo(whole);
    const expected = await loaded(whole);
    for (let kill = 1; kill <= KILLS; kill++) {
      const address = await bucket.begin(folder);
      const env = { ...process.env, IMAGESIM_DATA: await emptyFolder() };
      const child = spawn(process.execPath, [cli, 'similarity', 'deploy', '--model', 'small', '--to', address], { env, stdio: 'ignore' }); // prettier-ignore
      const ended = once(child, 'close');
      let begun = 0;
      bucket.watch({
        before: ({ method }, next) => {
          if (method === 'PUT' && ++begun === kill + 1) child.kill('SIGKILL');
          return next();
        },
      });
      await ended;
      const early = put();
      bucket.watch();
      const { failed } = await deployTo(address);
      assert.deepEqual([failed, await loaded(address)], [[], expected], `after ${kill} objects`);
      const both = [...early, ...put()].filter((key) => key.startsWith('embeddings/parts/'));
      assert.deepEqual([both.length, new Set(both).size], [QUADKEYS.length, QUADKEYS.length], `after ${kill} objects`);
    }
  });

  it('takes a delivery from the bucket alone, and says how one comes there', async () => {
    const address = await bucket.begin(folder);
    const told = (ard: string, sync: string): RegExp => new RegExp(`^RangeError: ${ard} is not brought to ${address} by deploy: run imagesim sync ${sync} first, and deploy without --ard$`); // prettier-ignore
    await assert.rejects(deployTo(address, { ard: folder }), told(folder, folder));
    await assert.rejects(deployTo(address, { ard: 's3://elsewhere/ard' }), told('s3://elsewhere/ard', `s3://elsewhere/ard ${address}`)); // prettier-ignore
    await assert.rejects(deployTo(address, { zone: 34 }), /^Error: no cell of zone 34 in s3:\/\/\S+\/ard that can be deployed: bring tiles there with imagesim sync s3:\/\/… s3:/); // prettier-ignore
    await assert.rejects(deployTo(address, { model: 'large' }), /^Error: no model large in \S+, nor in s3:/);
  });
});
