import assert from 'node:assert/strict';
import { cp, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { findDelivery, syncDelivery } from 'imagesim/infra';
import { dataFolder, emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';

/** A data folder after a first run on the sample: the sample itself, its tiles, and the note of it. */
async function afterSample(): Promise<string> {
  const folder = await dataFolder(await sampleDelivery());
  await cp(await sampleDelivery(), join(folder, 'sample/tiny'), { recursive: true });
  await writeFile(join(folder, 'delivery.json'), JSON.stringify({ address: '/moved/sample/tiny', kind: 'sample' }));
  return folder;
}
/** A folder that holds one real tile, of a few bytes. */
async function realTile(folder?: string): Promise<string> {
  const root = folder ?? (await emptyFolder());
  await mkdir(join(root, 'ard/15/031133102123/2011-03-05'), { recursive: true });
  await writeFile(join(root, 'ard/15/031133102123/2011-03-05/1010010000A10F00-visual.tif'), 'tile');
  return root;
}
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
    const folder = await realTile();
    assert.deepEqual(await findDelivery(folder), tilesThere);
    assert.deepEqual(await readdir(folder), ['ard']);
  });

  it('without an address takes the delivery used last, whatever lies there beside', async () => {
    const [folder, real] = [await afterSample(), await realTile()];
    await findDelivery(folder, { address: real });
    assert.deepEqual(JSON.parse(await readFile(join(folder, 'delivery.json'), 'utf8')), { address: real, kind: 'given' }); // prettier-ignore
    const last = { address: real, kind: 'the delivery used last', overpass: undefined };
    assert.deepEqual(await findDelivery(folder), last);
    assert.deepEqual(await findDelivery(join(folder, 'ard')), last);
    await findDelivery(folder, { address: join(folder, 'sample/tiny') });
    await realTile(folder);
    assert.deepEqual(await findDelivery(folder), sampleAt(folder));
  });

  it('where the delivery used last is gone, takes the tiles that are there, else says so', async () => {
    const [folder, real] = [await emptyFolder(), await realTile()];
    await findDelivery(folder, { address: real });
    await rm(real, { recursive: true });
    const line = `${folder}/delivery.json names ${real}, which is gone: set IMAGESIM_DELIVERY to where it lies now`;
    await assert.rejects(findDelivery(folder), new Error(line));
    await realTile(folder);
    assert.deepEqual(await findDelivery(folder), tilesThere);
    await writeFile(join(folder, 'delivery.json'), '{"address":""}');
    const wrong = `${folder}/delivery.json names no delivery: remove it, or set IMAGESIM_DELIVERY`;
    await assert.rejects(findDelivery(folder), new Error(wrong));
  });

  it('writes down no folder that is not there', async () => {
    const folder = await emptyFolder();
    const message = 'no folder /no/such: give a folder or s3://bucket/prefix';
    await assert.rejects(findDelivery(folder, { address: '/no/such' }), new Error(message));
    assert.deepEqual(await readdir(folder), []);
  });

  it('given the ard folder of a delivery, finds what lies beside it', async () => {
    const [folder, sample] = [await emptyFolder(), await sampleDelivery()];
    for (const address of [join(sample, 'ard'), `${sample}/ard/`, `${sample}/`]) {
      const { address: whole, overpass } = await findDelivery(folder, { address });
      assert.deepEqual([whole, overpass], [sample, join(sample, 'overpass')]);
    }
    const named = join(await emptyFolder(), 'ard'); // a delivery that is itself called so
    await realTile(named);
    assert.equal((await findDelivery(folder, { address: named })).address, named);
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

describe('syncDelivery, sample and real tiles', () => {
  /** A real tile, of a few bytes, in the sample's own zone. */
  const realIn33 = async (): Promise<string> => {
    const folder = await emptyFolder();
    await mkdir(join(folder, 'ard/33/031133012203/2023-01-02'), { recursive: true });
    await writeFile(join(folder, 'ard/33/031133012203/2023-01-02/1040010000000001-visual.tif'), 'tile');
    return folder;
  };
  const remedy = 'set IMAGESIM_DATA to another folder, or remove that one';

  it('refuses to mix them in a zone, either way round, before anything is moved', async () => {
    const [sample, real] = [await sampleDelivery(), await realIn33()];
    const [first, second] = [await dataFolder(sample), await dataFolder(real)];
    const [zones, cells] = [await readdir(join(first, 'ard/33')), await readdir(join(second, 'ard/33'))];
    const line = `${first}/ard/33 holds tiles of the synthetic sample, and those of ${real} are real: ${remedy}`;
    await assert.rejects(syncDelivery(real, first), new Error(line));
    const reverse = `${second}/ard/33 holds real tiles, and those of ${sample} are synthetic: ${remedy}`;
    await assert.rejects(syncDelivery(sample, second), new Error(reverse));
    assert.deepEqual(await readdir(join(first, 'ard/33')), zones);
    assert.deepEqual(await readdir(join(second, 'ard/33')), cells);
    assert.deepEqual(await readdir(second), ['ard']);
  });

  it('brings them into zones of their own, and goes on with what an interruption left', async () => {
    const folder = await dataFolder(await sampleDelivery());
    assert.equal((await syncDelivery(await realTile(), folder)).moved, 1);
    const item = (await readdir(join(folder, 'ard/33'), { recursive: true })).find((name) =>
      /^\d.*\.json$/.test(name),
    )!;
    await rm(join(folder, 'ard/33', item));
    assert.ok((await syncDelivery(await sampleDelivery(), folder)).moved >= 1);
  });

  it('marks the sample’s tiles as synthetic, and only those', async () => {
    const { tiles } = await syncDelivery(await sampleDelivery(), await emptyFolder());
    assert.ok(tiles.every(({ metadata }) => metadata!.synthetic));
  });

  describe('of Joplin', () => {
    before(needsShared);
    it('brings licence and provenance along, given its ard folder too', async () => {
      const folder = await emptyFolder();
      const { tiles, licences } = await syncDelivery(join(joplin, 'ard'), folder, { dryRun: true });
      assert.deepEqual(licences, [join(folder, 'licences/joplin-ard/PROVENANCE.txt')]);
      assert.ok(tiles.every(({ metadata }) => metadata?.synthetic === false));
    });
  });
});
