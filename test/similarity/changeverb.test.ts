import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { filesUnder } from '../bucket.ts';
import { changeVerbs } from '../../kernel-lib/dist/cli/change.js';
import { dataFolder, emptyFolder, sampleDelivery } from '../delivery.ts';
import { faultOf } from '../faults.ts';

describe('imagesim change', () => {
  const program = join(import.meta.dirname, '../../kernel-lib/dist/cli.js');
  const run = async (data: string, ...args: string[]): Promise<{ stdout: string; stderr: string; code: number }> =>
    promisify(execFile)(process.execPath, [program, 'change', ...args], { env: { ...process.env, IMAGESIM_DATA: data } })
      .then((out) => ({ ...out, code: 0 }), (error: { stdout: string; stderr: string; code: number }) => error); // prettier-ignore
  const vectorsOf = async (places: number[][]): Promise<string> => {
    const folder = await emptyFolder();
    const geometry = { type: 'Polygon', coordinates: [places] };
    await writeFile(join(folder, 'drawn.geojson'), JSON.stringify({ type: 'FeatureCollection', features: [{ type: 'Feature', properties: {}, geometry }] })); // prettier-ignore
    return folder;
  };
  const square = (x: number, y: number, side: number): number[][] => [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]; // prettier-ignore

  it('prints the list and its scores, and writes GeoJSON; in shards it encodes alone, and what it has made is taken', async () => {
    const data = await dataFolder(await sampleDelivery());
    const to = join(await emptyFolder(), 'changes.geojson');
    const vectors = join(await sampleDelivery(), 'demo-ard/vectors');
    const share = await run(data, '--shard', '0/2', '--vectors', vectors, '--to', to);
    assert.match(
      share.stdout,
      /^shard 0\/2: 1\d\d chips seen twice, 0 of them encoded before, by colours and edges; the same without --shard ranks those of all\n$/,
    );
    assert.deepEqual(
      [share.code, share.stderr, existsSync(to), (await filesUnder(join(data, 'embeddings'))).length],
      [0, '', false, 1],
    );
    const { stdout, stderr, code } = await run(data, '--vectors', vectors, '--top', '3', '--to', to);
    assert.equal((await filesUnder(join(data, 'embeddings'))).length, 2);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /chips seen twice, .* by colours and edges\n/);
    assert.match(stdout, /\n1 +Z33-\d{18} +0\.99\d +2022-06-14 +2023-05-21/);
    assert.match(stdout, /\ncolours and edges +0\.\d{3} \(0\.\d{3}–\d\.\d{3}\)/);
    assert.match(stdout, /\npixel difference, matched +0\.\d{3}/);
    const { features, licences } = JSON.parse(await readFile(to, 'utf8')) as { features: { geometry: { type: string } }[]; licences: object[] }; // prettier-ignore
    assert.ok(features.length > 100 && features[0].geometry.type === 'Polygon' && licences.length === 1);
  }).timeout(120_000);

  it('says in one line what is wrong before it works', async () => {
    const data = await sampleDelivery();
    const fails = async (line: RegExp, ...args: string[]): Promise<void> => {
      const fault = await faultOf(changeVerbs, data, ['change', ...args]);
      assert.match(fault!, line);
      assert.ok(!fault!.includes('\n'));
    };
    await fails(/drawn\.geojson is no GeoJSON .* its coordinates are no degrees: bring it to lon\/lat, as ogr2ogr/, '--vectors', await vectorsOf(square(500_000, 4_100_000, 100))); // prettier-ignore
    await fails(/none of 1 known changes in .* touches one of the 2\d\d chips that were seen twice: check their place/, '--vectors', await vectorsOf(square(2, 48, 0.01))); // prettier-ignore
    await fails(/no change in .*: give a folder with \.geojson files/, '--vectors', await emptyFolder());
    await fails(/cannot read the folder of vectors \/no\/such: ENOENT/, '--vectors', '/no/such');
    await fails(/no model roofs in/, '--model', 'roofs');
    await fails(/change takes --model or --backbone, not both/, '--model', 'roofs', '--backbone', 'x.onnx');
    assert.deepEqual(await run(data, '--least', '2').then(({ stdout, stderr, code }) => [code, stdout, stderr]), [1, '', 'imagesim: --least is 2: expected a probability, 0 to 1\n']); // prettier-ignore
    await fails(/^--min-share is 0: expected a share above 0 and up to 1$/, '--min-share', '0');
    await fails(/no tile of zone 33 is of 2021-01-01/, '--after', '2021-01-01');
  }).timeout(120_000);
});
