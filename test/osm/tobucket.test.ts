import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cellOf, lonLatBounds } from 'imagesim/ard';
import { type FetchOsmOptions, type OsmMeta, type ZoneTags, fetchOsmByQuadkey } from 'imagesim/osm';
import { type Bucket, filesUnder, objectsAt, openBucket } from '../bucket.ts';
import { dataFolder, emptyFolder } from '../delivery.ts';

const CELLS = ['031133012202', '031133012203', '031133012212'].map((quadkey) => cellOf(33, quadkey));

describe('maps of workers who share no disk', () => {
  let bucket: Bucket;
  let source: string;
  /** Holds tiles of three cells, of unequal size. */
  let tiles: string;

  before(async () => {
    bucket = await openBucket();
    tiles = await emptyFolder();
    for (const [at, { quadkey }] of CELLS.entries()) {
      const path = join(tiles, 'ard/33', quadkey, '2023-05-17/1030010000000001-visual.tif');
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, 'x'.repeat(at + 1));
    }
    source = join(await emptyFolder(), 'made.osm');
    const nodes = CELLS.map((cell, at) => [lonLatBounds(cell), at] as const).map(([[west, south, east, north], at]) => `<node id="${at + 1}" version="1" lon="${(west + east) / 2}" lat="${(south + north) / 2}"><tag k="natural" v="tree"/></node>`); // prettier-ignore
    await writeFile(source, `<osm version="0.6"><bounds minlon="-180" minlat="-85" maxlon="180" maxlat="85"/>${nodes.join('')}</osm>`); // prettier-ignore
  });
  after(() => bucket.close());

  const fetchTo = (to: string, options: FetchOsmOptions = {}, dataPath?: string): Promise<ZoneTags> =>
    Promise.resolve(dataPath ?? emptyFolder()).then((folder) => fetchOsmByQuadkey(33, folder, { source, to, ...options })); // prettier-ignore

  /** Content of the bucket, without when it was fetched. */
  const made = async (address: string): Promise<Record<string, unknown>> => timeless(await objectsAt(bucket, address));

  function timeless(files: ReadonlyMap<string, Buffer>): Record<string, unknown> {
    const content = (bytes: Buffer): unknown => JSON.parse(String(bytes), (key, value: unknown) => (key === 'fetchedAt' ? '' : value)); // prettier-ignore
    return Object.fromEntries([...files].map(([key, bytes]) => [key, content(bytes)]));
  }

  /** What a run into a folder makes, and its tags. */
  async function inFolder(): Promise<{ files: Record<string, unknown>; tags: ZoneTags }> {
    const folder = await dataFolder(tiles);
    const tags = await fetchOsmByQuadkey(33, folder, { source });
    const names = (await filesUnder(folder)).filter((name) => name.endsWith('.json'));
    const files = await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const));
    return { files: timeless(new Map(files)), tags };
  }

  it('lie in the bucket as in a folder, the map after its origin, and are not fetched again on an empty disk', async () => {
    const address = await bucket.begin(tiles);
    const { files, tags } = await inFolder();
    const shards = [0, 1].map((index) => ({ index, count: 2 }));
    const folder = await emptyFolder();
    for (const shard of shards) await fetchTo(address, { shard }, folder);
    assert.deepEqual(await made(address), files);
    assert.deepEqual(await filesUnder(folder), [], 'nothing is left here');
    for (const { quadkey } of CELLS) {
      const own = bucket
        .puts()
        .filter((key) => key.includes(quadkey))
        .map((key) => key.split('/').at(-1));
      assert.deepEqual(own, ['osm_data.meta.json', 'osm_data.json']);
    }
    bucket.watch();
    const told: [string, OsmMeta['counts']][] = [];
    assert.deepEqual(await fetchTo(address, { onCell: ({ id }, { counts }) => void told.push([id, counts]) }), tags);
    assert.deepEqual(told, CELLS.map(({ id }) => [id, { nodes: 1, ways: 0, relations: 0 }])); // prettier-ignore
    assert.deepEqual(bucket.puts(), []);
  });

  it('are fetched again where a worker died between the origin and the map', async () => {
    const address = await bucket.begin(tiles);
    await fetchTo(address);
    const [key, bytes] = [...(await objectsAt(bucket, address))].find(([name]) => name.endsWith('meta.json'))!;
    const newer = String(bytes).replace('"nodes": 1', '"nodes": 2');
    await bucket.upload(`${address.slice('s3://imagesim-storage/'.length)}/${key}`, newer);
    bucket.watch();
    await fetchTo(address);
    assert.deepEqual(bucket.puts(), [key]);
    assert.deepEqual(await made(address), (await inFolder()).files);
  });

  it('stay here where the bucket refuses them, named with object and remedy; those of other cells go there', async () => {
    const [address, folder] = [await bucket.begin(tiles), await emptyFolder()];
    bucket.watch({ refused: new RegExp(`${CELLS[1].quadkey}/osm_data.json`) });
    await assert.rejects(fetchTo(address, {}, folder), /^Error: cannot write s3:\/\/\S+031133012203\/osm_data\.json: access is denied: .*; the maps stay in \S+, for the same command again$/); // prettier-ignore
    assert.equal(
      [...(await objectsAt(bucket, address)).keys()].filter((key) => key.endsWith('osm_data.json')).length,
      2,
    );
    assert.ok((await filesUnder(folder)).some((path) => path.endsWith(`${CELLS[1].quadkey}/osm_data.json`)));
    bucket.watch();
    await fetchTo(address, {}, folder);
    assert.deepEqual(await made(address), (await inFolder()).files);
    assert.deepEqual(await filesUnder(folder), []);
  });
});
