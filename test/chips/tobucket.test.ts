import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChipOptions, type ChipReport, chipTiles } from 'imagesim/chips';
import { syncDelivery } from 'imagesim/infra';
import { type Bucket, filesUnder, objectsAt, openBucket, refuse } from '../bucket.ts';
import { emptyFolder } from '../delivery.ts';
import { smallDelivery, startChip } from './small.ts';

const CELLS = 2;
const KILLS = process.env.IMAGESIM_PROOF ? 40 : 1;
const AWAY_MS = process.env.IMAGESIM_PROOF ? 10_000 : 400;

describe('chips of workers who share no disk', () => {
  let bucket: Bucket;
  /** Address of the tiles. */
  let delivery: string;
  /** What a run into a folder makes of the same tiles, by key. */
  let expected: Map<string, Buffer>;

  before(async () => {
    bucket = await openBucket();
    const [tiles, folder] = [await emptyFolder(), await emptyFolder()];
    await smallDelivery(tiles, 33, CELLS);
    delivery = await bucket.put(tiles);
    await syncDelivery(delivery, folder); // for the record says when the tile's file was written
    await chipTiles({ dataPath: folder, zone: 33 });
    const names = (await filesUnder(folder)).filter((key) => /^(chips|nodata-index)/.test(key));
    expected = new Map(await Promise.all(names.map(async (key) => [key, await readFile(join(folder, key))] as const)));
  });
  after(() => bucket.close());

  const made = (address: string): Promise<Map<string, Buffer>> => objectsAt(bucket, address);

  async function chipTo(to: string, options: Partial<ChipOptions> = {}): Promise<ChipReport & { left: string[] }> {
    const dataPath = options.dataPath ?? (await emptyFolder());
    const report = await chipTiles({ ard: delivery, ...options, dataPath, zone: 33, to });
    return { ...report, left: await filesUnder(dataPath) };
  }

  /** Every record in the bucket speaks of chips that are there. */
  async function assertNoEarlyRecord(address: string): Promise<void> {
    const there = await made(address);
    for (const key of there.keys()) {
      const quadkey = /^nodata-index\.parts\/Z33-(\d{12})\.json$/.exec(key)?.[1];
      const chips = [...expected.keys()].filter((name) => quadkey && name.startsWith(`chips/33/${quadkey}/`));
      for (const name of chips) assert.ok(there.has(name), `${key} is there, ${name} is not`);
    }
  }

  it(`lie in the bucket byte for byte as in a folder, tiles out of it too, and nothing of them is left, though it answers 500 for ${AWAY_MS / 1000} s`, async () => {
    let [since, refused] = [Infinity, 0];
    bucket.watch({
      before: async (context, next) => {
        if (bucket.puts().length >= 5) since = Math.min(since, performance.now());
        const away = performance.now() - since;
        if (!(away >= 0 && away < AWAY_MS)) return next();
        refused++;
        return refuse(context, 500, 'InternalError');
      },
    });
    const address = delivery;
    for (const index of [0, 1]) {
      const { failed, left, merged } = await chipTo(address, { ard: undefined, shard: { index, count: 2 } });
      assert.deepEqual({ failed, left, merged }, { failed: [], left: [], merged: false });
    }
    assert.deepEqual([...(await made(address)).keys()], [...expected.keys()].filter((key) => !/index\.(json|parquet)$/.test(key))); // prettier-ignore
    await assertNoEarlyRecord(address);
    assert.ok(refused > 0);
    const { cut, chips, merged, left, filename } = await chipTo(address);
    assert.deepEqual({ cut, chips, merged, left }, { cut: 0, chips: CELLS * 15, merged: true, left: [] });
    assert.equal(filename, `${address}/nodata-index.json`);
    assert.deepEqual(await made(address), expected);
    assert.deepEqual(bucket.puts().toSorted(), [...expected.keys()].toSorted(), 'each object is put once');
  });

  it('are merged again without a byte that is put, and as an index alone too', async () => {
    bucket.watch();
    assert.equal((await chipTo(delivery, { ard: undefined })).merged, true);
    assert.equal((await chipTo(delivery, { indexOnly: true })).merged, true);
    assert.deepEqual(bucket.puts(), []);
    assert.deepEqual(await made(delivery), expected);
  });

  it('are merged once more where another zone’s record came while they were, lest the older index stays', async () => {
    const address = await bucket.begin();
    const [key, bytes] = [...expected].find(([name]) => name.startsWith('nodata-index.parts/'))!;
    const other = key.slice('nodata-index.parts/'.length, -'.json'.length).replace('Z33', 'Z34');
    const late = JSON.stringify({ ...(JSON.parse(bytes.toString()) as object), cell: other });
    let indexes = 0;
    bucket.watch({
      before: async ({ method, path }, next) => {
        const isIndex = method === 'PUT' && path.endsWith('nodata-index.json');
        if (isIndex && ++indexes === 1) await bucket.upload(`${address.slice('s3://imagesim-storage/'.length)}/nodata-index.parts/${other}.json`, late); // prettier-ignore
        await next();
      },
    });
    await chipTo(address);
    const index = (await made(address)).get('nodata-index.json')!.toString();
    assert.deepEqual([indexes, index.includes(`"${other}`)], [2, true]);
  });

  it('are refused where those in the bucket were cut otherwise, and only told of by a dry run', async () => {
    const address = await bucket.begin();
    const { cut, chipDir, left } = await chipTo(address, { dryRun: true });
    assert.deepEqual(
      { cut, chipDir, left, put: bucket.puts() },
      { cut: CELLS * 15, chipDir: `${address}/chips/33`, left: [], put: [] },
    );
    assert.equal((await chipTo(delivery, { dryRun: true })).cut, 0);
    await assert.rejects(
      chipTo(delivery, { quality: 50 }),
      new RegExp(`^Error: the chips in ${delivery}/chips/33 were cut as jpg as delivered`),
    );
    await assert.rejects(
      chipTo(address, { filename: '/tmp/index.json' }),
      /^RangeError: what goes to s3:.* give the zone/,
    );
    await assert.rejects(chipTo('s3:///'), /^Error: no bucket in s3:\/\/\/: expected s3:\/\/bucket\/prefix/);
  });

  it(`are all there, none put twice and no record before its chips, after ${KILLS} kill(s), each time on an empty disk`, async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      const address = await bucket.begin();
      const after = KILLS === 1 ? 19 : 1 + kill;
      const child = startChip(await emptyFolder(), ['--zone', '33', '--ard-dir', delivery, '--to', address]);
      const ended = once(child, 'close');
      bucket.watch({
        before: async (context, next) => {
          if (context.method === 'PUT' && bucket.puts().length >= after) child.kill('SIGKILL');
          else await next();
        },
      });
      await ended;
      assert.ok(bucket.puts().length >= after || KILLS > 1, `${bucket.puts().length} objects before it was killed`);
      await assertNoEarlyRecord(address);
      bucket.watch();
      const { failed, merged } = await chipTo(address);
      assert.deepEqual({ failed, merged }, { failed: [], merged: true });
      assert.deepEqual(await made(address), expected);
      assert.equal(
        new Set(bucket.puts()).size,
        bucket.puts().length,
        `put twice: ${bucket
          .puts()
          .filter((key, at, all) => all.indexOf(key) !== at)
          .join(', ')}`,
      );
    }
  });

  it('of a cell that the bucket refuses are named with object and remedy, stay here without a record there, and go there later uncut', async () => {
    const address = await bucket.begin();
    const dataPath = await emptyFolder();
    bucket.watch({ refused: /000001_|000001\/.*\.jpg/ });
    const { failed, cut, left } = await chipTo(address, { dataPath });
    assert.equal(cut, CELLS * 15);
    assert.equal(failed.length, 1);
    assert.match(failed[0], /^cannot write s3:\/\/imagesim-storage\/orders\/\d+\/chips\/33\/031133000001\/2023-05-17\/\S+: access is denied: ask for .*s3:PutObject/); // prettier-ignore
    assert.equal(left.filter((path) => path.endsWith('.jpg')).length, 15);
    const there = await made(address);
    assert.equal([...there.keys()].filter((key) => key.startsWith('nodata-index.parts')).length, CELLS - 1);
    bucket.watch();
    const again = await chipTo(address, { dataPath });
    assert.deepEqual([again.failed, again.cut, again.left], [[], 0, []]);
    assert.deepEqual(await made(address), expected);
  });
});
