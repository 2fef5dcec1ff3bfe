import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, truncateSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type Progress, openDelivery, openSource, readTiles, tilesOf } from 'imagesim/ard';
import { findDelivery, syncDelivery } from 'imagesim/infra';
import { emptyFolder, sampleDelivery } from '../delivery.ts';

// s3rver 3.7.1 serves this SDK as it is: checksum trailers are read past, buckets go by path, both keys are "S3RVER".
// Two quirks: it does not verify V4 signatures, so that a wrong secret passes; and it makes the token of a next page with
// a cipher that OpenSSL 3 no longer has. `pageByMarker` has it list as version 1 does, whose marker is a plain key.
interface Context {
  query: Record<string, string>;
  body: unknown;
}
interface S3Server {
  middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
  run(): Promise<{ port: number }>;
  close(): Promise<void>;
}
const S3rver = createRequire(import.meta.url)('s3rver') as new (options: object) => S3Server;

let pages = 0;
async function pageByMarker(context: Context, next: () => Promise<void>): Promise<void> {
  const { 'list-type': type, 'continuation-token': marker = '', ...query } = context.query;
  if (type !== '2') return next();
  pages++;
  context.query = { ...query, marker };
  await next();
  const xml = String(context.body);
  const last = /.*<Key>(.*?)<\/Key>/s.exec(xml)?.[1];
  if (xml.includes('<IsTruncated>true')) {
    context.body = xml.replace('<IsTruncated>', `<NextContinuationToken>${last}</NextContinuationToken><IsTruncated>`);
  }
}

/** Files below a folder, `/`-separated, in order. */
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** What a sync of a delivery brings: its tiles, items, collections, vectors and terms. */
async function deliveredFiles(delivery: string): Promise<string[]> {
  return (await filesUnder(delivery)).filter((file) => /^(ard|demo-ard)\/|^README|^LICENSE/.test(file));
}

/** A delivery of 2 zones whose files are a few bytes; `tile(zone)` names a visual. */
const tile = (zone: string, product = 'visual'): string =>
  `ard/${zone}/031133012203/2023-01-02/1040010000000001-${product}.tif`;
async function smallDelivery(): Promise<string> {
  const folder = await emptyFolder();
  for (const key of [tile('32'), tile('33'), tile('33', 'ms'), 'order-request.json']) {
    await mkdir(join(folder, key, '..'), { recursive: true });
    await writeFile(join(folder, key), `this is ${key}`);
  }
  return folder;
}

interface Place {
  /** Puts a folder there. @returns its address */
  put: (folder: string) => Promise<string>;
  /** The file on this disk that holds a file of it. */
  pathOf: (address: string, key: string) => string;
}

const onDisk: Place = {
  put: async (folder) => {
    const copy = await emptyFolder();
    await cp(folder, copy, { recursive: true });
    return copy;
  },
  pathOf: (address, key) => join(address, key),
};

let directory: string;
let server: S3Server;
let client: S3Client;
let prefixes = 0;
const inBucket: Place = {
  put: async (folder) => {
    const prefix = `orders/${prefixes++}`;
    for (const key of await filesUnder(folder)) await upload(`${prefix}/${key}`, await readFile(join(folder, key)));
    return `s3://imagesim-storage/${prefix}`;
  },
  pathOf: (address, key) => join(directory, `${address.slice('s3://'.length)}/${key}._S3rver_object`),
};
const upload = (Key: string, Body: Uint8Array | string): Promise<unknown> =>
  client.send(new PutObjectCommand({ Bucket: 'imagesim-storage', Key, Body }));

/** Sets variables for one piece of work; `undefined` unsets. */
async function withEnv<Result>(
  values: Record<string, string | undefined>,
  work: () => Promise<Result>,
): Promise<Result> {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  Object.entries(values).forEach(([name, value]) => set(name, value));
  try {
    return await work();
  } finally {
    before.forEach(([name, value]) => set(name, value));
  }
}

const keys = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };
const noKeys = {
  AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_SESSION_TOKEN: undefined, AWS_PROFILE: undefined,
  AWS_SHARED_CREDENTIALS_FILE: '/no/credentials', AWS_CONFIG_FILE: '/no/config', AWS_EC2_METADATA_DISABLED: 'true',
}; // prettier-ignore

/** The one line that a failure says. */
async function lineOf(work: () => Promise<unknown>): Promise<string> {
  let line = '';
  await assert.rejects(work, (error: Error) => {
    line = error.message;
    return true;
  });
  assert.ok(!line.includes('\n'), line);
  return line;
}

describe('syncDelivery', () => {
  const environment: Record<string, string | undefined> = {};
  before(async () => {
    directory = await emptyFolder();
    const configureBuckets = [{ name: 'imagesim-storage' }];
    server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory, configureBuckets });
    server.middleware.unshift(pageByMarker);
    const endpoint = `http://127.0.0.1:${(await server.run()).port}`;
    for (const [name, value] of Object.entries({ ...keys, AWS_ENDPOINT_URL_S3: endpoint })) {
      environment[name] = process.env[name];
      process.env[name] = value;
    }
    client = new S3Client({ region: 'us-west-2', forcePathStyle: true });
  });
  after(async () => {
    for (const [name, value] of Object.entries(environment)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    client.destroy();
    await server.close();
  });

  for (const [name, { put, pathOf }] of [
    ['a folder', onDisk],
    ['a bucket', inBucket],
  ] as const) {
    describe(`from ${name}`, () => {
      it('copies tiles, items, collections, vectors and terms, byte for byte, and nothing else', async () => {
        const sample = await sampleDelivery();
        const [address, data] = [await put(sample), await emptyFolder()];
        const report = await syncDelivery(address, data);
        const files = await deliveredFiles(sample);
        const placeOf = (file: string): string => (file.includes('/') ? file : `licences/${basename(address)}/${file}`);
        assert.equal(files.length, 13); // 4 tiles, 4 items, 2 collections, 1 file of vectors, licence, readme
        assert.deepEqual(await filesUnder(data), files.map(placeOf).sort()); // prettier-ignore
        for (const file of files) {
          assert.ok((await readFile(join(data, placeOf(file)))).equals(await readFile(join(sample, file))), file);
        }
        const bytes = (await Promise.all(files.map((file) => stat(join(sample, file))))).reduce((sum, { size }) => sum + size, 0); // prettier-ignore
        const { tiles, licences, ...counts } = report;
        assert.deepEqual(counts, { zones: [33], files: 13, bytes, moved: 13, movedBytes: bytes });
        assert.deepEqual(licences, ['LICENSE.txt', 'README.md'].map((file) => join(data, placeOf(file)))); // prettier-ignore
        assert.deepEqual(tiles, await tilesOf(await openDelivery(address)));
        assert.deepEqual(tiles.map(({ metadata }) => metadata), (await readTiles(data)).map(({ metadata }) => metadata)); // prettier-ignore

        const again = await syncDelivery(address, data);
        assert.deepEqual([again.moved, again.movedBytes, again.files], [0, 0, 13]);

        const tif = files.find((file) => file.endsWith('.tif'))!;
        await truncate(join(data, tif), 1000);
        assert.equal((await syncDelivery(address, data)).moved, 1);
        assert.ok((await readFile(join(data, tif))).equals(await readFile(join(sample, tif))));
      });

      it('takes the delivery’s ard folder as the delivery', async () => {
        const [address, data] = [await put(await smallDelivery()), await emptyFolder()];
        await syncDelivery(`${address}/ard`, data);
        assert.deepEqual(await filesUnder(data), [tile('32'), tile('33')]);
      });

      it('brings one zone, and products other than visual, only when asked to', async () => {
        const address = await put(await smallDelivery());
        const [all, one] = [await emptyFolder(), await emptyFolder()];
        assert.deepEqual((await syncDelivery(address, all)).zones, [32, 33]);
        assert.deepEqual(await filesUnder(all), [tile('32'), tile('33')]);
        await syncDelivery(address, one, { zone: 33, products: ['visual', 'ms'] });
        assert.deepEqual(await filesUnder(one), [tile('33', 'ms'), tile('33')]);
        await assert.rejects(
          syncDelivery(address, await emptyFolder(), { zone: 5 }),
          new Error(`no tile of zone 5 in ${address}`),
        );
      });

      it('says in a dry run what it would move, and moves nothing', async () => {
        const [address, data] = [await put(await smallDelivery()), await emptyFolder()];
        const { moved, movedBytes } = await syncDelivery(address, data, { dryRun: true });
        assert.deepEqual([moved, movedBytes], [2, 2 * `this is ${tile('33')}`.length]);
        assert.deepEqual(await readdir(data), []);
      });

      it('counts files and bytes as they arrive', async () => {
        const [address, data] = [await put(await smallDelivery()), await emptyFolder()];
        const seen: Progress[] = [];
        await syncDelivery(address, data, { concurrency: 1, onProgress: (progress) => seen.push(progress) });
        const bytes = `this is ${tile('33')}`.length;
        assert.deepEqual(seen, [
          { done: 1, total: 2, unit: 'files', bytes },
          { done: 2, total: 2, unit: 'files', bytes: 2 * bytes },
        ]);
      });

      it('stopped in the middle, leaves whole files only, and goes on from there', async () => {
        const sample = await sampleDelivery();
        const [address, data] = [await put(sample), await emptyFolder()];
        const stop = new AbortController();
        const reason = new Error('enough');
        const { signal } = stop;
        const work = syncDelivery(address, data, { signal, concurrency: 4, onProgress: () => stop.abort(reason) });
        await assert.rejects(work, reason);
        const there = await filesUnder(data);
        assert.ok(there.length > 0 && there.length < 13, String(there.length));
        for (const file of there) {
          const from = join(sample, file.replace(/^licences\/[^/]+\//, ''));
          assert.equal((await stat(join(data, file))).size, (await stat(from)).size);
        }
        assert.equal((await syncDelivery(address, data)).moved, 13 - there.length);
      });

      it('refuses a file that shrinks on the way, or goes: nothing half-written stays', async () => {
        for (const [change, message] of [
          [
            (path: string) => truncateSync(path, 4),
            /1040010000000001-visual\.tif arrived with 4 of \d+ bytes: sync again/,
          ],
          [(path: string) => rmSync(path), /33\/031133012203\/2023-01-02\/1040010000000001-visual\.tif/],
        ] as const) {
          const [address, data] = [await put(await smallDelivery()), await emptyFolder()];
          const onProgress = (): void => change(pathOf(address, tile('33')));
          assert.match(await lineOf(() => syncDelivery(address, data, { concurrency: 1, onProgress })), message);
          assert.deepEqual(await filesUnder(data), [tile('32')]);
        }
      });

      it('says in one line where it cannot write', async () => {
        const address = await put(await smallDelivery());
        const file = join(await emptyFolder(), 'file');
        await writeFile(file, '');
        assert.equal(
          await lineOf(() => syncDelivery(address, file, { concurrency: 1 })),
          `cannot write ${file}/${tile('32')}: a file stands where a folder is needed: move it away, or set IMAGESIM_DATA to another folder`,
        );
      });

      it('says of a place that holds no delivery what it found and what was expected', async () => {
        const address = await put(await smallDelivery());
        const expected = 'expected ard/<zone>/<quadkey>/<date>/<catalogue id>-visual.tif';
        const other = `${address}/ard/32/031133012203`;
        assert.equal(
          await lineOf(() => openDelivery(other)),
          `no ARD tile in ${other}: it holds 1 other files, 2023-01-02/1040010000000001-visual.tif the first; ${expected}`,
        );
        const below = address.split('/').slice(0, -1).join('/');
        assert.match(await lineOf(() => openDelivery(below)), /^no ARD tile in .*: it holds \d+ other files, /);
      });
    });
  }

  describe('from a bucket alone', () => {
    it('reads a delivery as it does from a folder, whether or not the prefix ends in a slash', async () => {
      const sample = await sampleDelivery();
      const address = await inBucket.put(sample);
      const tiles = await tilesOf(await openDelivery(sample));
      assert.deepEqual(await tilesOf(await openDelivery(address)), tiles);
      assert.deepEqual(await tilesOf(await openDelivery(`${address}/`)), tiles);
    });

    it('gives the notebooks tiles and map: what the delivery answers for Overpass is brought along', async () => {
      const sample = await sampleDelivery();
      const address = await inBucket.put(sample);
      const data = await emptyFolder();
      const { overpass } = await findDelivery(data, { address });
      assert.deepEqual((await readdir(overpass!)).sort(), (await readdir(join(sample, 'overpass'))).sort());
      const command = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, [command, 'notebooks', '01', '02'], {
        env: { ...process.env, IMAGESIM_DATA: data, IMAGESIM_DELIVERY: address },
      });
      assert.match(stdout, /01-infra .*4 tiles of zone 33/);
      assert.match(stdout, /02-osm .*osm_data\.json: \d{3} ways/);
    });

    it('lists more than the 1,000 objects of one page, each once, in order', async () => {
      const names = Array.from({ length: 1003 }, (_, index) => String(index).padStart(4, '0'));
      await upload('many/0000', '0000');
      const folder = join(directory, 'imagesim-storage/many'); // where the server keeps an object as a few files
      const kept = (await readdir(folder)).map((file) => file.slice('0000'.length));
      await Promise.all(
        names
          .slice(1)
          .flatMap((name) => kept.map((end) => copyFile(join(folder, `0000${end}`), join(folder, name + end)))),
      );
      pages = 0;
      const files = await openSource('s3://imagesim-storage/many').list();
      assert.equal(pages, 2);
      assert.deepEqual(files, names.map((key) => ({ key, bytes: 4 }))); // prettier-ignore
    });

    it('reads without credentials where the bucket allows it, from an endpoint that is given', async () => {
      await upload('open/a', 'for all');
      const endpoint = process.env.AWS_ENDPOINT_URL_S3!;
      await withEnv({ ...noKeys, AWS_ENDPOINT_URL_S3: undefined }, async () => {
        const source = openSource('s3://imagesim-storage/open', { endpoint, anonymous: true });
        assert.equal(Buffer.from(await source.read('a')).toString(), 'for all');
      });
    });

    const faults: [claim: string, env: Record<string, string | undefined>, address: string, line: RegExp][] = [
      ['a bucket that is not there', {}, 's3://no-such-bucket/x', /^cannot read s3:\/\/no-such-bucket\/x: there is no such bucket: check its name, and AWS_ENDPOINT_URL_S3/],
      ['a prefix that holds nothing', {}, 's3://imagesim-storage/none', /^no ARD tile in s3:\/\/imagesim-storage\/none: it is empty; expected ard\//],
      ['an address without a bucket', {}, 's3://', /^no bucket in s3:\/\/: expected s3:\/\/bucket\/prefix$/],
      ['no credentials', noKeys, 's3://imagesim-storage', /^cannot read s3:\/\/imagesim-storage: there are no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/],
      ['an unknown access key', { AWS_ACCESS_KEY_ID: 'X' }, 's3://imagesim-storage', /^cannot read s3:\/\/imagesim-storage: the access key is not known there: set AWS_PROFILE/],
      ['an endpoint where nobody answers', { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1' }, 's3://imagesim-storage', /^cannot read s3:\/\/imagesim-storage: nobody answers: check the network, and AWS_ENDPOINT_URL_S3 .*127\.0\.0\.1:1/],
    ]; // prettier-ignore
    for (const [claim, env, address, line] of faults) {
      it(`says of ${claim}, in one line, where, what was found and what to do`, () =>
        withEnv(env, async () => assert.match(await lineOf(async () => openDelivery(address)), line)));
    }

    it('names the file when one is refused', async () => {
      const source = openSource('s3://imagesim-storage/open');
      assert.equal(
        await lineOf(() => source.read('gone')),
        'cannot read s3://imagesim-storage/open/gone: there is no such file any more: run again (The specified key does not exist.)',
      );
    });

    it('names region and rights in the same way, as AWS answers them', async () => {
      for (const [code, status, line] of [
        [
          'AccessDenied',
          403,
          /^cannot read s3:\/\/b\/p: access is denied: ask for s3:ListBucket and s3:GetObject there/,
        ],
        [
          'SignatureDoesNotMatch',
          403,
          /^cannot read s3:\/\/b\/p: the secret key does not fit the access key: set AWS_PROFILE/,
        ],
        ['ExpiredToken', 400, /^cannot read s3:\/\/b\/p: the session has expired: sign in again/],
        ['PermanentRedirect', 301, /^cannot read s3:\/\/b\/p: the bucket lies in another region: set AWS_REGION/],
        ['Novelty', 400, /^cannot read s3:\/\/b\/p: S3 answers Novelty: So it is\.; try again later$/],
      ] as const) {
        const refusing = createServer((_, response) => {
          response.writeHead(status, { 'Content-Type': 'application/xml' });
          response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>So it is.</Message></Error>`);
        }).listen(0, '127.0.0.1');
        await once(refusing, 'listening');
        const endpoint = `http://127.0.0.1:${(refusing.address() as AddressInfo).port}`;
        assert.match(await lineOf(() => openSource('s3://b/p', { endpoint }).list()), line);
        refusing.closeAllConnections();
        refusing.close();
      }
    });
  });
});
