import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, truncateSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, readdir, stat, truncate, writeFile, utimes } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Progress, openDelivery, openSource, readTiles, tilesOf } from 'imagesim/ard';
import { findDelivery, syncDelivery } from 'imagesim/infra';
import { type Bucket, filesUnder, openBucket, setEnv } from '../bucket.ts';
import { emptyFolder, sampleDelivery } from '../delivery.ts';

/** What a sync of a delivery brings: its tiles, items, collections, vectors and terms. */
async function deliveredFiles(delivery: string): Promise<string[]> {
  return (await filesUnder(delivery)).filter((file) => /^(ard|demo-ard)\/|^README|^LICENSE/.test(file));
}

/** Files of a data folder without those that a later run goes on with. */
async function wholeFiles(folder: string): Promise<string[]> {
  return (await filesUnder(folder)).filter((file) => !/^\..*\.part$/.test(basename(file)));
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

let bucket: Bucket;
const inBucket: Place = {
  put: (folder) => bucket.put(folder),
  pathOf: (address, key) => bucket.pathOf(address, key),
};

/** Sets variables for one piece of work; `undefined` unsets. */
async function withEnv<Result>(
  values: Record<string, string | undefined>,
  work: () => Promise<Result>,
): Promise<Result> {
  const restore = setEnv(values);
  return work().finally(restore);
}

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
  before(async () => {
    bucket = await openBucket();
  });
  after(() => bucket.close());

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
        const own = address.startsWith('s3://')
          ? address.slice('s3://'.length).replaceAll('/', '-')
          : basename(address);
        const placeOf = (file: string): string => (file.includes('/') ? file : `licences/${own}/${file}`);
        assert.equal(files.length, 13); // 4 tiles, 4 items, 2 collections, 1 file of vectors, licence, readme
        assert.deepEqual(await filesUnder(data), files.map(placeOf).sort()); // prettier-ignore
        for (const file of files) {
          assert.ok((await readFile(join(data, placeOf(file)))).equals(await readFile(join(sample, file))), file);
        }
        const bytes = (await Promise.all(files.map((file) => stat(join(sample, file))))).reduce((sum, { size }) => sum + size, 0); // prettier-ignore
        const { tiles, licences, plan, seconds, ...counts } = report;
        const none = { leftOut: [], lacking: [], kept: [], unverified: [] };
        assert.deepEqual(counts, { zones: [33], files: 13, bytes, moved: 13, movedBytes: bytes, ...none });
        assert.deepEqual([plan.missing, plan.missingBytes, seconds > 0], [13, bytes, true]);
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

      it('brings the terms that lie above an ard folder or a zone of it, and those of two deliveries apart', async () => {
        const [first, second] = [await smallDelivery(), await smallDelivery()];
        for (const [folder, terms] of [[first, 'one'], [second, 'two']]) await writeFile(join(folder, 'LICENSE.txt'), terms); // prettier-ignore
        const addresses = [await put(first), await put(second)];
        const data = await emptyFolder();
        const licences: string[] = [];
        for (const address of addresses) licences.push(...(await syncDelivery(`${address}/ard/33`, data)).licences);
        const texts = await Promise.all(licences.map((path) => readFile(path, 'utf8')));
        assert.deepEqual(texts, ['one', 'two']);
        assert.equal((await syncDelivery(`${addresses[0]}/ard`, data, { zone: 33 })).moved, 0);
      });

      it('brings map data along, and leaves what is newer here, with the demo’s vectors, and says so', async () => {
        const folder = await smallDelivery();
        const [osm, vectors] = ['ard/33/031133012203/osm_data.json', 'demo-ard/vectors/a.geojson'];
        await mkdir(join(folder, 'demo-ard/vectors'), { recursive: true });
        for (const file of [osm, vectors]) await writeFile(join(folder, file), 'theirs');
        const [address, data] = [await put(folder), await emptyFolder()];
        assert.equal((await syncDelivery(`${address}/ard/33`, data)).kept.length, 0);
        assert.equal(await readFile(join(data, osm), 'utf8'), 'theirs');
        const later = new Date(Date.now() + 3_600_000);
        await syncDelivery(address, data);
        for (const file of [osm, vectors]) {
          await writeFile(join(data, file), 'mine');
          await utimes(join(data, file), later, later);
        }
        assert.deepEqual((await syncDelivery(address, data)).kept, [osm, vectors]);
        assert.equal(await readFile(join(data, vectors), 'utf8'), 'mine');
        assert.deepEqual((await syncDelivery(address, data, { again: true })).kept, []);
        assert.equal(await readFile(join(data, vectors), 'utf8'), 'theirs');
      });

      it('takes the beginning of a quadkey, with its zone or without, in the address or beside it', async () => {
        const address = await put(await smallDelivery());
        const plan = async (from: string, options: object): Promise<number> =>
          (await syncDelivery(from, await emptyFolder(), { dryRun: true, ...options })).tiles.length;
        assert.equal(await plan(`${address}/ard/33/0311`, {}), 1);
        assert.equal(await plan(address, { quadkey: '0311' }), 2);
        assert.equal(await plan(address, { quadkey: '0311', zone: 33 }), 1);
        await assert.rejects(plan(address, { quadkey: '2', zone: 33 }), /no tile of zone 33 under quadkey 2 in /);
        await assert.rejects(plan(address, { quadkey: '2' }), /no tile under quadkey 2 in /);
      });

      it('says in a dry run what it would move, and moves nothing', async () => {
        const [address, data] = [await put(await smallDelivery()), await emptyFolder()];
        const { moved, movedBytes } = await syncDelivery(address, data, { dryRun: true });
        assert.deepEqual([moved, movedBytes], [2, 2 * `this is ${tile('33')}`.length]);
        assert.deepEqual(await readdir(data), []);
      });

      it('counts files and bytes as they arrive, of those that are to come', async () => {
        const [address, data] = [await put(await smallDelivery()), await emptyFolder()];
        const seen: Progress[] = [];
        await syncDelivery(address, data, { concurrency: 1, onProgress: (progress) => seen.push(progress) });
        const bytes = `this is ${tile('33')}`.length;
        const total = { total: 2, unit: 'files', totalBytes: 2 * bytes };
        assert.deepEqual(
          seen.filter(({ done }, index) => done > 0 && done !== seen[index - 1]?.done),
          [
            { done: 1, bytes, ...total },
            { done: 2, bytes: 2 * bytes, ...total },
          ],
        );
        assert.ok(seen.every((progress, index) => index === 0 || progress.bytes! >= seen[index - 1].bytes!));
      });

      it('stopped in the middle, leaves whole files and hidden halves, and goes on from there', async () => {
        const sample = await sampleDelivery();
        const [address, data] = [await put(sample), await emptyFolder()];
        const stop = new AbortController();
        const reason = new Error('enough');
        const { signal } = stop;
        const work = syncDelivery(address, data, {
          signal,
          concurrency: 4,
          onProgress: ({ done }) => void (done > 0 && stop.abort(reason)),
        });
        await assert.rejects(work, reason);
        const there = await wholeFiles(data);
        assert.ok(there.length > 0 && there.length < 13, String(there.length));
        for (const file of there) {
          const from = join(sample, file.replace(/^licences\/[^/]+\//, ''));
          assert.equal((await stat(join(data, file))).size, (await stat(from)).size);
        }
        assert.equal((await syncDelivery(address, data)).moved, 13 - there.length);
      });

      it('refuses a file that shrinks on the way, or goes: no reader sees the half of it', async () => {
        for (const [change, message] of [
          [
            (path: string) => truncateSync(path, 4),
            /1040010000000001-visual\.tif(: it is shorter than when it was listed| arrived with 4 of \d+ bytes: sync again)/,
          ],
          [(path: string) => rmSync(path), /33\/031133012203\/2023-01-02\/1040010000000001-visual\.tif/],
        ] as const) {
          const [address, data] = [await put(await smallDelivery()), await emptyFolder()];
          const onProgress = ({ done }: Progress): void => void (done === 1 && change(pathOf(address, tile('33'))));
          assert.match(
            await lineOf(() => syncDelivery(address, data, { concurrency: 1, retries: 1, onProgress })),
            message,
          );
          assert.deepEqual(await wholeFiles(data), [tile('32')]);
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
        const other = `${address}/ard/32/031133012203/2023-01-02`;
        assert.equal(
          await lineOf(() => openDelivery(other)),
          `no ARD tile in ${other}: ${other} holds 1040010000000001-visual.tif; ${expected}`,
        );
        const below = address.split('/').slice(0, -1).join('/');
        assert.match(await lineOf(() => openDelivery(below)), /^no ARD tile in .* holds /);
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

    it('gives the notebooks tiles and map: what the delivery answers for Overpass is brought along', async function () {
      if (!process.env.IMAGESIM_PROOF) this.skip(); // two notebooks, which test/notebooks runs from a folder
      const sample = await sampleDelivery();
      const address = await inBucket.put(sample);
      const data = await emptyFolder();
      const { overpass } = await findDelivery(data, { address });
      assert.deepEqual((await readdir(overpass!)).sort(), (await readdir(join(sample, 'overpass'))).sort());
      const command = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, [command, 'notebooks', '01', '02'], {
        env: { ...process.env, IMAGESIM_DATA: data, IMAGESIM_DELIVERY: address },
      });
      const page = await readFile(join(data, 'notebooks/01-infra.html'), 'utf8');
      const [, read, whole] = /: read (\d+\.\d) MB of (\d+\.\d) MB/.exec(page)!.map(Number); // before anything was copied
      assert.ok(read > 0 && read < whole / 2, `${read} of ${whole}`);
      assert.match(stdout, /01-infra .*4 tiles of zone 33/);
      assert.match(stdout, /02-osm .*osm_data\.json: \d{3} ways/);
    });

    it('lists more than the 1,000 objects of one page, each once, in order', async () => {
      const names = Array.from({ length: 1003 }, (_, index) => String(index).padStart(4, '0'));
      await bucket.upload('many/0000', '0000');
      const folder = join(bucket.directory, 'imagesim-storage/many'); // where the server keeps an object as a few files
      const kept = (await readdir(folder)).map((file) => file.slice('0000'.length));
      await Promise.all(
        names
          .slice(1)
          .flatMap((name) => kept.map((end) => copyFile(join(folder, `0000${end}`), join(folder, name + end)))),
      );
      const before = bucket.pages();
      const files = await openSource('s3://imagesim-storage/many').list();
      assert.equal(bucket.pages() - before, 2);
      assert.deepEqual(files.map(({ key }) => key), names); // prettier-ignore
      assert.ok(files.every(({ bytes }) => bytes === 4));
    });

    it('reads without credentials where the bucket allows it, from an endpoint that is given', async () => {
      await bucket.upload('open/a', 'for all');
      const endpoint = process.env.AWS_ENDPOINT_URL_S3!;
      await withEnv({ ...noKeys, AWS_ENDPOINT_URL_S3: undefined }, async () => {
        const source = openSource('s3://imagesim-storage/open', { endpoint, anonymous: true });
        assert.equal(Buffer.from(await source.read('a')).toString(), 'for all');
      });
    });

    const faults: [claim: string, env: Record<string, string | undefined>, address: string, line: RegExp][] = [
      ['a bucket that is not there', {}, 's3://no-such-bucket/x', /^cannot read s3:\/\/no-such-bucket\/x: there is no such bucket: check its name, and AWS_ENDPOINT_URL_S3/],
      ['a prefix that holds nothing', {}, 's3://imagesim-storage/none', /^no ARD tile in s3:\/\/imagesim-storage\/none: s3:\/\/imagesim-storage\/none is empty; expected ard\//],
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
