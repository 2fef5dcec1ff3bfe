import assert from 'node:assert/strict';
import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { findDelivery, syncDelivery } from 'imagesim/infra';
import { dataFolder, emptyFolder, sampleDelivery } from '../delivery.ts';

/** A data folder after a first run on the sample: the sample itself, and its tiles. */
async function afterSample(): Promise<string> {
  const folder = await dataFolder(await sampleDelivery());
  await cp(await sampleDelivery(), join(folder, 'sample/tiny'), { recursive: true });
  return folder;
}
const ownTile = 'ard/15/031133102123/2011-03-05';
const sampleAt = (folder: string): object => ({
  address: join(folder, 'sample/tiny'),
  kind: 'the synthetic sample, scale tiny',
  overpass: join(folder, 'sample/tiny/overpass'),
});
const tilesThere = { address: undefined, kind: 'the tiles that the data folder holds', overpass: undefined };

describe('findDelivery', () => {
  it('takes the one that is given before all others, with its map data where it has them', async () => {
    const [folder, sample] = [await afterSample(), await sampleDelivery()];
    const kind = 'the delivery that was given';
    assert.deepEqual(await findDelivery(folder, { address: sample }), { address: sample, kind, overpass: join(sample, 'overpass') }); // prettier-ignore
    const bare = await dataFolder(sample);
    assert.deepEqual(await findDelivery(folder, { address: bare }), { address: bare, kind, overpass: undefined });
    assert.deepEqual(await findDelivery(folder, { address: 's3://b/p' }), { address: 's3://b/p', kind, overpass: undefined }); // prettier-ignore
  });

  it('makes a relative address absolute: notebooks run in a folder of their own', async () => {
    const sample = await sampleDelivery();
    const { address } = await findDelivery(await emptyFolder(), { address: relative(process.cwd(), sample) });
    assert.equal(address, sample);
  });

  it('takes the sample again after a run on it, and writes nothing anew', async () => {
    const folder = await afterSample();
    const item = join(folder, 'sample/tiny/sample.json');
    const { mtimeMs } = await stat(item);
    assert.deepEqual(await findDelivery(folder), sampleAt(folder));
    assert.deepEqual(await findDelivery(join(folder, 'ard')), sampleAt(folder));
    assert.deepEqual(await findDelivery(folder, { address: join(folder, 'sample/tiny') }), sampleAt(folder));
    assert.equal((await stat(item)).mtimeMs, mtimeMs);
  });

  it('takes tiles that are there and makes no sample beside them', async () => {
    const folder = await emptyFolder();
    await mkdir(join(folder, ownTile), { recursive: true });
    assert.deepEqual(await findDelivery(folder), tilesThere);
    assert.deepEqual(await readdir(folder), ['ard']);
  });

  it('never brings a sample that lies there to tiles that are not its own', async () => {
    const folder = await afterSample();
    await mkdir(join(folder, ownTile), { recursive: true });
    assert.deepEqual(await findDelivery(folder), tilesThere);
    await rm(join(folder, 'ard/33'), { recursive: true });
    assert.deepEqual(await findDelivery(folder), tilesThere);
  });

  it('makes the sample where there is no tile, only the folders that setup.sh makes, and a sync then finds it', async () => {
    const folder = await emptyFolder();
    await mkdir(join(folder, 'ard/33'), { recursive: true });
    const units: string[] = [];
    const found = await findDelivery(folder, { onProgress: ({ unit }) => units.push(unit) });
    assert.deepEqual(found, sampleAt(folder));
    assert.ok(units.length > 0);
    assert.equal((await syncDelivery(found.address!, folder)).tiles.length, 4);
    assert.deepEqual(await findDelivery(folder), sampleAt(folder));
  });

  it('makes another scale where the tiles that are there are a sample’s', async () => {
    const folder = await afterSample();
    const stop = new AbortController();
    const onProgress = (): void => stop.abort(new Error('far enough: it is being made'));
    const { signal } = stop;
    await assert.rejects(findDelivery(folder, { scale: 'city', signal, onProgress }), /far enough/);
    assert.deepEqual((await readdir(join(folder, 'sample'))).sort(), ['city', 'tiny']);
  });
});
