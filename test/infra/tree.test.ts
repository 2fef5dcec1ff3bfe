import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pullTree, pushTree, treeAddress } from 'imagesim/infra';
import { type Bucket, type Middleware, filesUnder, openBucket } from '../bucket.ts';
import { emptyFolder } from '../delivery.ts';

const HOUR = 3_600_000;

/** A data folder with some chips, a dataset version, a model, and imagery that is none of them. */
async function madeHere(): Promise<string> {
  const folder = await emptyFolder();
  const files: Record<string, Uint8Array | string> = {
    'chips/33/031133012203/2023-01-02/Z33-031133012203000000_1040010000000001.jpg': randomBytes(9000),
    'chips/33/031133012203/2023-01-02/.Z33-031133012203000001_1040010000000001.jpg.1-k3x-0.part': 'half',
    'chips/15/031133102123/2011-03-05/Z15-031133102123000000_1010010000A10F00.jpg': randomBytes(8000),
    'datasets/roofs/1a2b/manifest.json': '{"version":"1a2b"}',
    'datasets/roofs/latest': '1a2b',
    'models/roofs/9f/weights.bin': randomBytes(17 * 2 ** 20), // more than one part
    'nodata-index.json': '{"version":"0.2","chips":{}}',
    'ard/33/031133012203/2023-01-02/1040010000000001-visual.tif': 'imagery',
  };
  for (const [file, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), content);
  }
  return folder;
}

/** Sets the time of a file, so many hours from now. */
async function setHours(path: string, hours: number): Promise<void> {
  const time = new Date(Date.now() + hours * HOUR);
  await utimes(path, time, time);
}

describe('treeAddress', () => {
  it('splits an address where a folder of the data layout begins', () => {
    const base = 's3://imagesim-storage';
    assert.deepEqual(treeAddress(`${base}/chips/33`), { base, path: 'chips/33' });
    assert.deepEqual(treeAddress(`${base}/a/b/datasets/`), { base: `${base}/a/b`, path: 'datasets' });
    assert.deepEqual(treeAddress('/data/nodata-index.json'), { base: '/data', path: 'nodata-index.json' });
    assert.equal(treeAddress(`${base}/ard/33`), undefined);
    assert.equal(treeAddress('s3://chips'), undefined);
    assert.deepEqual(treeAddress(`${base}/models/chips`), { base, path: 'models/chips' });
    assert.deepEqual(treeAddress('/datasets/of/me/chips/33'), { base: '/datasets/of/me', path: 'chips/33' });
  });
});

describe('chips, datasets and models', () => {
  let bucket: Bucket;
  let serial = 0;
  before(async () => {
    bucket = await openBucket();
  });
  after(() => bucket.close());
  afterEach(() => bucket.between(undefined));
  const prefix = (): string => `s3://imagesim-storage/back/${serial++}`;

  it('go to a bucket and come back on another machine as they were, byte for byte', async () => {
    const [here, there, address] = [await madeHere(), await emptyFolder(), prefix()];
    for (const what of ['chips/33', 'datasets', join(here, 'models'), 'nodata-index.json']) await pushTree(what, here, address);
    const found = (await filesUnder(join(bucket.directory, address.slice('s3://'.length)))).filter((file) => file.endsWith('_object'));
    assert.equal(found.length, 5);
    for (const what of ['chips', 'datasets', 'models', 'nodata-index.json']) await pullTree(`${address}/${what}`, there);
    const files = await filesUnder(there);
    assert.deepEqual(files, [
      'chips/33/031133012203/2023-01-02/Z33-031133012203000000_1040010000000001.jpg',
      'datasets/roofs/1a2b/manifest.json', 'datasets/roofs/latest', 'models/roofs/9f/weights.bin', 'nodata-index.json',
    ]);
    for (const file of files) assert.ok((await readFile(join(there, file))).equals(await readFile(join(here, file))), file);
  }); // prettier-ignore

  it('move once: a second push and a second pull move nothing', async () => {
    const [here, there, address] = [await madeHere(), await emptyFolder(), prefix()];
    for (const [times, what] of ['chips', 'models', 'chips', 'models'].entries()) {
      const { moved, files } = await pushTree(what, here, address);
      assert.equal(moved, times < 2 ? files : 0, `${what}, ${times}`);
    }
    for (const times of [0, 1]) {
      const { moved, files } = await pullTree(`${address}/models`, there);
      assert.equal(moved, times === 0 ? files : 0);
    }
    assert.equal((await pullTree(`${address}/chips`, here)).moved, 0);
  });

  it('never replace what is newer on the other side, list it, and do so when forced', async () => {
    const [here, address] = [await madeHere(), prefix()];
    await pushTree('datasets', here, address);
    const latest = join(here, 'datasets/roofs/latest');
    await writeFile(latest, '3c4d');
    await setHours(latest, 1);
    const pulled = await pullTree(`${address}/datasets`, here);
    assert.deepEqual([pulled.kept, pulled.moved, await readFile(latest, 'utf8')], [['datasets/roofs/latest'], 0, '3c4d']); // prettier-ignore
    await setHours(latest, -1);
    const pushed = await pushTree('datasets', here, address);
    assert.deepEqual([pushed.kept, pushed.moved], [['datasets/roofs/latest'], 0]);
    assert.equal((await pushTree('datasets', here, address, { force: true })).moved, 1);
    assert.equal((await pullTree(`${address}/datasets`, here)).moved, 0);
    await writeFile(latest, '5e6f');
    await setHours(latest, 1);
    assert.equal((await pullTree(`${address}/datasets`, here, { force: true })).moved, 1);
    assert.equal(await readFile(latest, 'utf8'), '3c4d');
  });

  it('replace what is older on the other side', async () => {
    const [here, there, address] = [await madeHere(), await emptyFolder(), prefix()];
    await pushTree('datasets', here, address);
    await pullTree(`${address}/datasets`, there);
    const latest = join(here, 'datasets/roofs/latest');
    await writeFile(latest, '7788');
    await setHours(latest, 1);
    assert.equal((await pushTree('datasets', here, address)).moved, 1);
    await setHours(join(there, 'datasets/roofs/latest'), -1);
    assert.equal((await pullTree(`${address}/datasets`, there)).moved, 1);
    assert.equal(await readFile(join(there, 'datasets/roofs/latest'), 'utf8'), '7788');
  });

  it('say first what a push would cost and how long it takes, and in a dry run no more', async () => {
    const [here, address] = [await madeHere(), prefix()];
    const { plan, moved, seconds } = await pushTree('models', here, address, { dryRun: true });
    assert.deepEqual([plan.files, plan.missingBytes, plan.freeBytes, seconds], [1, 17 * 2 ** 20, undefined, 0]);
    assert.ok(plan.cost.requests > 0 && plan.cost.toInternet === 0 && plan.seconds > 0 && moved === 1);
    await assert.rejects(
      pullTree(`${address}/models`, here),
      new RegExp(`nothing in ${address}/models: check the name`),
    );
  });

  it('are told from others of the same size, put in parts or encrypted, whichever is newer', async () => {
    const [here, address] = [await madeHere(), prefix()];
    const weights = join(here, 'models/roofs/9f/weights.bin');
    await pushTree('models', here, address);
    const parts = 16 * 2 ** 20;
    const body = await readFile(weights);
    const md5 = (bytes: Uint8Array): Buffer => createHash('md5').update(bytes).digest();
    const etag = `${md5(Buffer.concat([md5(body.subarray(0, parts)), md5(body.subarray(parts))])).toString('hex')}-2`;
    const inParts = (encrypted: boolean): Middleware => async (context, next) => {
      const first = context.query.partNumber === '1';
      await next();
      if (context.query['list-type'] === '2') context.body = String(context.body).replaceAll(/(<ETag>).*?(<\/ETag>)/g, `$1"${etag}"$2`);
      if (!context.path.includes('weights.bin')) return;
      context.set('ETag', `"${etag}"`);
      if (first) context.set('Content-Length', String(parts));
      if (encrypted) context.set('x-amz-server-side-encryption', 'aws:kms');
      if (encrypted) context.set('x-amz-checksum-sha256', createHash('sha256').update(body).digest('base64'));
    };
    for (const encrypted of [false, true]) {
      bucket.between(inParts(encrypted));
      await writeFile(weights, body);
      for (const hours of [1, -1]) {
        await setHours(weights, hours);
        assert.deepEqual([(await pushTree('models', here, address)).moved, (await pullTree(`${address}/models`, here)).moved], [0, 0]);
      }
      await writeFile(weights, randomBytes(body.length));
      await setHours(weights, -1);
      assert.deepEqual((await pushTree('models', here, address)).kept, ['models/roofs/9f/weights.bin']);
      await setHours(weights, 1);
      assert.equal((await pushTree('models', here, address, { dryRun: true })).moved, 1);
      assert.deepEqual((await pullTree(`${address}/models`, here)).kept, ['models/roofs/9f/weights.bin']);
    }
  }); // prettier-ignore

  it('bring the map data of imagery, and no imagery', async () => {
    const [here, there, address] = [await madeHere(), await emptyFolder(), prefix()];
    for (const name of ['osm_data.json', 'osm_data.meta.json']) await writeFile(join(here, 'ard/33/031133012203', name), '{}');
    assert.equal((await pushTree('ard/33', here, address)).moved, 2);
    assert.equal((await pushTree('ard', here, there)).moved, 2);
    assert.deepEqual(await filesUnder(there), ['ard/33/031133012203/osm_data.json', 'ard/33/031133012203/osm_data.meta.json']);
  }); // prettier-ignore

  it('bring one file that is named', async () => {
    const [here, there, address] = [await madeHere(), await emptyFolder(), prefix()];
    assert.equal((await pushTree('models/roofs/9f/weights.bin', here, address)).moved, 1);
    assert.equal((await pullTree(`${address}/models/roofs/9f/weights.bin`, there)).moved, 1);
  });

  it('get there through a server that fails one request in five', async () => {
    const [here, there, address] = [await madeHere(), await emptyFolder(), prefix()];
    let requests = 0;
    bucket.between((context, next) => {
      if (++requests % 5 !== 0) return next();
      context.status = 503;
      context.type = 'application/xml';
      context.body = '<Error><Code>SlowDown</Code><Message>Please reduce.</Message></Error>';
      return undefined;
    });
    for (const what of ['chips', 'models', 'datasets']) await pushTree(what, here, address);
    for (const what of ['chips', 'models', 'datasets']) await pullTree(`${address}/${what}`, there);
    assert.equal((await filesUnder(there)).length, 5);
    for (const file of await filesUnder(there))
      assert.ok((await readFile(join(there, file))).equals(await readFile(join(here, file))), file);
    assert.ok(requests > 10);
  });

  it('refuse to put an object that arrives changed, and name it', async () => {
    const [here, address] = [await madeHere(), prefix()];
    bucket.between(async (context, next) => {
      await next();
      if (context.method === 'PUT') context.set('ETag', '"d41d8cd98f00b204e9800998ecf8427e"');
    });
    await assert.rejects(
      pushTree('nodata-index.json', here, address, { retries: 1 }),
      /^SourceError: s3:\/\/.*\/nodata-index\.json arrived changed: its MD5 is d41d8cd98f00b204e9800998ecf8427e, that of .* [0-9a-f]{32}: sync again/,
    );
  });

  it('are all that is brought to a bucket: imagery and what lies outside the data folder is refused', async () => {
    const [here, address] = [await madeHere(), prefix()];
    for (const what of ['../x', '/etc', '.', 'notebooks']) {
      await assert.rejects(pushTree(what, here, address), (error: Error) => error.message.startsWith(`${what} is not brought anywhere: give one of chips, datasets`)); // prettier-ignore
    }
    await assert.rejects(pushTree('ard/33', here, address), /no osm_data\.json in .*\/ard\/33: check the name/);
    await assert.rejects(pushTree('embeddings', here, address), /nothing in .*\/embeddings: check the name/);
    await assert.rejects(pullTree(`${address}/ard/33`, here), /names none of chips, datasets/);
  });

  it('say in one line that the bucket may not be written', async () => {
    const [here, address] = [await madeHere(), prefix()];
    bucket.between((context, next) => {
      if (context.method !== 'PUT') return next();
      context.status = 403;
      context.type = 'application/xml';
      context.body = '<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>';
      return undefined;
    });
    await assert.rejects(pushTree('datasets', here, address), /^SourceError: cannot write s3:\/\/imagesim-storage\/back\/\d+\/datasets\/roofs\/\S+: access is denied: ask for .*s3:PutObject/); // prettier-ignore
  });

  it('go to another folder as they go to a bucket', async () => {
    const [here, there] = [await madeHere(), await emptyFolder()];
    assert.equal((await pushTree('models', here, there)).moved, 1);
    assert.equal((await pushTree('models', here, there)).moved, 0);
    const [from, to] = [join(here, 'models/roofs/9f/weights.bin'), join(there, 'models/roofs/9f/weights.bin')];
    assert.ok((await readFile(from)).equals(await readFile(to)));
  });
});
