import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { DuckDBInstance } from '@duckdb/node-api';
import type { FeatureCollection, Polygon } from 'geojson';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { chipBounds, toUtm } from 'imagesim/ard';
import { type Answers, type Store, deployStore, openStore, search, writeAnswers } from 'imagesim/similarity';
import { similarityVerbs } from '../../kernel-lib/dist/cli/similarity.js';
import { emptyFolder } from '../delivery.ts';
import { faultOf } from '../faults.ts';
import { cell, randomVectors, rowAt } from './rows.ts';

const program = join(import.meta.dirname, '../../kernel-lib/dist/cli.js');
const rows = Array.from({ length: 200 }, (_, at) =>
  rowAt(at, { labels: { 'a,"b"': 1, [`odd=${at % 2}`]: 1 }, ...(at % 2 === 0 && { cloudPercent: at / 4, offNadir: 20, gsd: 0.5 }) }),
); // prettier-ignore
const vectors = randomVectors(rows.length, 8, 'answers');

/** How far the corners of an outline lie from those of a chip, metres. */
function cornersOff(id: string, outline: readonly number[][]): number {
  const [west, south, east, north] = chipBounds(id);
  const corners = [[west, north], [west, south], [east, south], [east, north], [west, north]]; // prettier-ignore
  const places = outline.map(([lon, lat]) => toUtm(cell.epsg, [lon, lat]));
  assert.equal(outline.length, 5);
  return Math.max(...places.map(([x, y], at) => Math.hypot(x - corners[at][0], y - corners[at][1])));
}

describe('similarity answers', () => {
  let folder: string;
  let store: Store;
  let answers: Answers;
  before(async () => {
    folder = await emptyFolder();
    await deployStore(folder, 'zone33', rows, vectors, 'm@1', { licences: [{ source: 'imagery', licence: 'CC0', attribution: 'somebody' }] }); // prettier-ignore
    store = await openStore(folder, 'zone33');
    answers = await search(store, { chip: rows[3].id }, { k: 20 });
  });

  it('are GeoJSON of the chips’ outlines, counter-clockwise, with what is known of them', async () => {
    const path = join(folder, 'answers.geojson');
    await writeAnswers(path, answers, 'geojson');
    const { type, features } = JSON.parse(await readFile(path, 'utf8')) as FeatureCollection<Polygon>;
    assert.equal(type, 'FeatureCollection');
    assert.deepEqual(features.map(({ properties }) => properties!['id'] as string), answers.hits.map(({ id }) => id)); // prettier-ignore
    for (const [at, { geometry, properties }] of features.entries()) {
      const [ring] = geometry.coordinates;
      assert.ok(cornersOff(properties!['id'] as string, ring) < 1e-3);
      const twice = ring.slice(1).reduce((sum, [x, y], i) => sum + ring[i][0] * y - x * ring[i][1], 0);
      assert.ok(twice > 0, 'clockwise');
      assert.deepEqual([properties!['rank'], properties!['similarity'], properties!['tags']], [at + 1, answers.hits[at].similarity, answers.hits[at].tags.join(';')]); // prettier-ignore
    }
  });

  it('are CSV that DuckDB reads, quotation marks, commas and gaps included', async () => {
    const path = join(folder, 'answers.csv');
    await writeAnswers(path, answers, 'csv');
    const connection = await (await DuckDBInstance.create()).connect();
    const reader = await connection.runAndReadAll(`SELECT id, tags, cloud_percent, similarity FROM read_csv('${path}', nullstr='', types={'id': 'VARCHAR'}) ORDER BY rank`); // prettier-ignore
    const expected = answers.hits.map(({ id, tags, cloudPercent, similarity }) => [id, tags.join(';'), cloudPercent, similarity]); // prettier-ignore
    assert.deepEqual(reader.getRowsJS(), expected);
    assert.ok(expected.some(([, , cloud]) => cloud === null) && expected.some(([, , cloud]) => cloud !== null));
  });

  it('are GeoParquet 1.1, by DuckDB’s reading of the columns, the geometry and the metadata, and by hyparquet’s', async () => {
    const path = join(folder, 'answers.parquet');
    await writeAnswers(path, answers, 'geoparquet');
    const connection = await (await DuckDBInstance.create()).connect();
    const reader = await connection.runAndReadAll(`SELECT rank, id, catid, date, tags, cloud_percent, off_nadir, gsd, model FROM '${path}'`); // prettier-ignore
    const expected = answers.hits.map(({ id, catid, date, tags, cloudPercent, offNadir, gsd, model }, at) => [at + 1, id, catid, date, tags.join(';'), cloudPercent, offNadir, gsd, model]); // prettier-ignore
    assert.deepEqual(reader.getRowsJS(), expected);
    const [[json]] = (await connection.runAndReadAll(`SELECT decode(value) FROM parquet_kv_metadata('${path}') WHERE decode(key) = 'geo'`)).getRowsJS() as [[string]]; // prettier-ignore
    const geo = JSON.parse(json) as { version: string; primary_column: string; columns: Record<string, { encoding: string; geometry_types: string[]; bbox: number[]; orientation: string }> }; // prettier-ignore
    const { geometry } = geo.columns;
    assert.deepEqual([geo.version, geo.primary_column, Object.keys(geo.columns)], ['1.1.0', 'geometry', ['geometry']]);
    assert.deepEqual([geometry.encoding, geometry.geometry_types, geometry.orientation], ['WKB', ['Polygon'], 'counterclockwise']); // prettier-ignore
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const decoded = (await parquetReadObjects({ file, metadata })) as { id: string; geometry: Polygon }[]; // by `geo` it knows the column
    for (const { id, geometry: outline } of decoded) {
      assert.equal(outline.type, 'Polygon');
      assert.ok(cornersOff(id, outline.coordinates[0]) < 1e-3);
    }
    const all = decoded.flatMap(({ geometry: outline }) => outline.coordinates[0]);
    const [lons, lats] = [all.map(([lon]) => lon), all.map(([, lat]) => lat)];
    assert.deepEqual(geometry.bbox, [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)]);
  });

  describe('of the command', () => {
    const run = async (args: string[]): Promise<{ code: number | null; out: string; said: string }> => {
      const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, IMAGESIM_DATA: folder } });
      const [out, said] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
      return { code: child.exitCode, out, said };
    };

    it('are a table, with how they were found, or a file', async () => {
      const { code, out, said } = await run(['search', '--chip', rows[3].id, '--k', '3', '--tags', 'odd=0', '--max-cloud', '30']);
      assert.equal(code, 0);
      const expected = await search(store, { chip: rows[3].id }, { k: 3, tags: ['odd=0'], maxCloud: 30 });
      const lines = out.trimEnd().split('\n');
      assert.match(lines[0], /^similarity +id +catid +date +lon +lat +tags$/);
      assert.deepEqual(lines.slice(1).map((line) => line.split(/ +/)[1]), expected.hits.map(({ id }) => id)); // prettier-ignore
      assert.match(said, /^3 of 61 rows in [\d.]+ ms, exact; table zone33 v1 of m@1\ngoes with them: somebody \(CC0\)\n$/);
      const examples = ['--like', `${rows[3].id},${rows[5].id}`, '--unlike', rows[8].id];
      const parquet = await run(['search', ...examples, '--to', join(folder, 'to.parquet')]); // the ending says of what format
      assert.deepEqual([parquet.code, parquet.out], [0, '']);
      const metadata = await parquetMetadataAsync(await asyncBufferFromFile(join(folder, 'to.parquet')));
      assert.equal(Number(metadata.num_rows), 12);
    }); // prettier-ignore

    it('come of the version that is live, as the list says', async () => {
      await deployStore(folder, 'zone33', rows.slice(0, 50), { values: vectors.values.slice(0, 400), width: 8 }, 'm@1');
      const listed = await run(['similarity', 'list']);
      assert.match(listed.out, /^table +version +rows +model +width +made +change +search\nzone33 +v1 +200 +m@1 +8 .* searched exactly\nzone33 +v2 \* +50 +m@1 .*\n$/); // prettier-ignore
      const back = await run(['similarity', 'back', 'zone33', 'v1']);
      assert.deepEqual([back.code, back.out], [0, 'zone33 answers by v1\n']);
      assert.equal((await openStore(folder, 'zone33')).rows, 200);
    });

    it('are one line where there can be none', async () => {
      const bad = join(folder, 'bad.geojson');
      await writeFile(bad, '{');
      const none = 'imagesim: search requires one of --chip, --at, --image, --tag and --like, got none\n';
      assert.deepEqual(await run(['search', '--k', '3']), { code: 1, out: '', said: none });
      const cases: [string[], RegExp][] = [
        [['search', '--chip', rows[0].id, '--table', 'zone34'], /^no table zone34 in .*embeddings \(it holds zone33\): run imagesim similarity deploy, or notebook 07-similarity$/],
        [['search', '--chip', rows[0].id, '--format', 'geoparquet'], /^geoparquet is no text: name a file with --to$/],
        [['search', '--chip', rows[0].id, '--within', bad], /bad\.geojson is no GeoJSON \(.*\): name a file of polygons in degrees$/],
        [['search', '--chip', rows[0].id, '--unlike', rows[1].id], /^search takes --unlike with --like: without, it means nothing$/],
        [['search', '--tag', 'odd=0', '--metres-per-pixel', '0.3'], /^search takes --metres-per-pixel with --image: without, it means nothing$/],
        [['search', '--at', '12'], /expected lon,lat in degrees/],
      ]; // prettier-ignore
      for (const [args, line] of cases) {
        const fault = await faultOf(similarityVerbs, folder, args);
        assert.match(fault!, line);
        assert.ok(!fault!.includes('\n'), fault);
      }
    });
  });
});
