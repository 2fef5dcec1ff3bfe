import assert from 'node:assert/strict';
import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { chipTiles } from 'imagesim/chips';
import { pushTree, syncDelivery } from 'imagesim/infra';
import { type EncodeChipsOptions, type EncodeReport, buildNetwork, encodeChips, saveModel, trainingBackend } from 'imagesim/training'; // prettier-ignore
import { type Bucket, filesUnder, objectsAt, openBucket } from '../bucket.ts';
import { smallDelivery } from '../chips/small.ts';
import { emptyFolder } from '../delivery.ts';

const CELLS = 2;
const VERSION = '1a2b3c4d5e6f';

describe('embeddings of workers who share no disk', () => {
  let bucket: Bucket;
  /** Address of tiles, chips, records and a model. */
  let address: string;
  /** A data folder with all of them. */
  let folder: string;

  before(async () => {
    bucket = await openBucket();
    await trainingBackend({ name: 'wasm' });
    const tiles = await emptyFolder();
    await smallDelivery(tiles, 33, CELLS);
    address = await bucket.put(tiles);
    folder = await emptyFolder();
    await syncDelivery(address, folder); // for what is encoded says when the tile's file was written
    const network = await buildNetwork({
      inputSize: 32,
      classes: ['a', 'b'],
      widths: [8],
      embeddingWidth: 16,
      seed: 1,
    });
    await saveModel(join(folder, 'models/small', VERSION), network, {
      name: 'small', version: VERSION, datasetVersion: 'none@0', backend: 'wasm', settings: { losses: { entropy: 1 } }, metrics: {}, curve: [],
      licences: [{ source: 'imagery', licence: 'CC0-1.0', attribution: 'nobody' }],
    }); // prettier-ignore
    network.dispose();
    await pushTree('models', folder, address);
    await chipTiles({ dataPath: folder, zone: 33 });
    await chipTiles({ dataPath: await emptyFolder(), zone: 33, to: address });
  });
  after(() => bucket.close());
  beforeEach(() => bucket.watch());

  const encodeTo = async (options: Partial<EncodeChipsOptions> = {}, dataPath?: string): Promise<EncodeReport> =>
    encodeChips(dataPath ?? (await emptyFolder()), { model: `small@${VERSION.slice(0, 4)}`, zone: 33, threads: 1, to: address, ...options }); // prettier-ignore

  const made = async (): Promise<Map<string, Buffer>> =>
    new Map([...(await objectsAt(bucket, address))].filter(([key]) => key.startsWith('embeddings/')));

  /** What a run into a folder makes, by key. */
  async function inFolder(from: 'chips' | 'ard'): Promise<Map<string, Buffer>> {
    const own = await emptyFolder();
    await cp(folder, own, { recursive: true, preserveTimestamps: true, mode: 2 });
    await encodeChips(own, { model: 'small', zone: 33, threads: 1, from });
    const keys = (await filesUnder(own)).filter((key) => key.startsWith('embeddings/'));
    return new Map(await Promise.all(keys.map(async (key) => [key, await readFile(join(own, key))] as const)));
  }

  for (const from of ['chips', 'ard'] as const) {
    it(`lie in the bucket byte for byte as in a folder, from ${from} that lie there, and are not encoded again on an empty disk`, async () => {
      const own = await emptyFolder();
      const count = from === 'ard' ? CELLS : 1;
      for (let index = 0; index < count; index++) {
        const { chips, failed } = await encodeTo({ from, shard: { index, count }, force: true }, own);
        assert.deepEqual({ chips, failed }, { chips: (15 * CELLS) / count, failed: [] });
      }
      assert.deepEqual(await made(), await inFolder(from));
      assert.equal(bucket.puts().length, CELLS);
      const left = (await filesUnder(own)).filter((path) => !/\/in\/(models|nodata-index\.parts)\//.test(path));
      assert.deepEqual(left, [], 'but for the model and the records, nothing is left here');
      bucket.watch();
      const { kept, chips, folder: place } = await encodeTo({ from });
      assert.deepEqual({ kept, chips, put: bucket.puts() }, { kept: CELLS, chips: 0, put: [] });
      assert.equal(place, `${address}/embeddings/parts/small-${VERSION}/33`);
    });
  }

  it('stay here where the bucket refuses them, named with object and remedy, and go there later, not encoded again', async () => {
    const own = await emptyFolder();
    bucket.watch({ refused: /embeddings\/.*01\.parquet/ });
    const refused = await encodeTo({ code: 'int8' }, own);
    assert.match(
      refused.failed.join('\n'),
      /^cannot write s3:\/\/\S+\/031133000001\.parquet: access is denied: ask for .*s3:PutObject/m,
    );
    assert.equal(bucket.puts().length, CELLS - 1);
    bucket.watch();
    const { failed, chips, kept } = await encodeTo({ code: 'int8' }, own);
    assert.deepEqual({ failed, chips, kept, put: bucket.puts().length }, { failed: [], chips: 0, kept: CELLS, put: 1 });
  });

  it('are of the very version that is meant: another whose id begins alike is not brought, and of several none', async () => {
    const card = await readFile(join(folder, 'models/small', VERSION, 'card.json'));
    await bucket.upload(`${address.slice('s3://imagesim-storage/'.length)}/models/small/${VERSION}7/card.json`, card);
    const own = await emptyFolder();
    await encodeTo({ model: `small@${VERSION}` }, own);
    const brought = (await filesUnder(own)).filter((path) => path.includes('/models/small/'));
    assert.ok(brought.length > 1 && brought.every((path) => path.includes(`/models/small/${VERSION}/`)));
    await assert.rejects(encodeTo(), /^Error: small@1a2b may be 1a2b3c4d5e6f or 1a2b3c4d5e6f7: give more of it$/);
    await assert.rejects(encodeTo({ model: 'small' }), /^Error: s3:\/\/\S+\/models\/small\/latest is missing: name a version, small@1a2b3c4d5e6f or /); // prettier-ignore
    await rm(bucket.pathOf(address, `models/small/${VERSION}7/card.json`));
  });

  it('need a model that lies here or there', async () => {
    await assert.rejects(encodeTo({ model: 'roofs' }), /^Error: no model roofs in \S+\/models, nor in s3:\/\/\S+\/models: put it there with imagesim sync models\/roofs s3:/); // prettier-ignore
    await assert.rejects(encodeTo({ model: 'small@2' }), /^Error: no version 2 of small: there is 1a2b3c4d5e6f$/);
    await assert.rejects(encodeTo({ zone: 34 }), /^Error: no chips in s3:\/\/\S+\/chips\/34: run imagesim chip --zone 34 --to s3:/); // prettier-ignore
  });
});
