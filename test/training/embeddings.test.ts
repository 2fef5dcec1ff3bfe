import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { cellOf } from 'imagesim/ard';
import { chipTiles, readChips, readPixels } from 'imagesim/chips';
import {
  type EncodeChipsOptions,
  type EncodeReport,
  type Embeddings,
  type ModelFacts,
  buildNetwork,
  embeddingParts,
  encodeChips,
  findModel,
  listModels,
  meanOf,
  openEncoder,
  packCodes,
  readEmbeddings,
  saveModel,
  trainingBackend,
  unpackCodes,
} from 'imagesim/training';
import { trainingVerbs } from '../../kernel-lib/dist/cli/training.js';
import { emptyFolder } from '../delivery.ts';
import { faultOf } from '../faults.ts';
import { writeSmallTile } from '../chips/small.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const QUADKEYS = ['031133012202', '031133012203', '031133012212'];
const LICENCE = { source: 'imagery', licence: 'CC0-1.0', attribution: 'nobody' };
const WIDTH = 40;

const factsOf = (version: string): ModelFacts => ({
  name: 'small', version, datasetVersion: 'none@0', backend: 'wasm', settings: { losses: { entropy: 1 } }, metrics: {}, curve: [], licences: [LICENCE],
}); // prettier-ignore

/** Makes a model version in a data folder, of another network for each seed. */
async function makeModel(dataPath: string, version: string, seed: number): Promise<string> {
  const network = await buildNetwork({ inputSize: 32, classes: ['a', 'b'], widths: [8, 16], embeddingWidth: WIDTH, seed });
  const folder = join(dataPath, 'models/small', version);
  await saveModel(folder, network, factsOf(version));
  network.dispose();
  return folder;
} // prettier-ignore

/** Three cells of six blocks, one of them at two dates; chips, and two versions of a model. */
async function makeGround(): Promise<string> {
  const folder = await emptyFolder();
  for (const quadkey of QUADKEYS)
    for (const date of quadkey === QUADKEYS[0] ? ['2023-05-17', '2023-06-02'] : ['2023-05-17'])
      await writeSmallTile(join(folder, 'ard/33', quadkey, date, `10300100E67475${date.slice(-2)}-visual.tif`), cellOf(33, quadkey));
  await chipTiles({ dataPath: folder, zone: 33 });
  await makeModel(folder, '1a2b3c4d5e6f', 1);
  await makeModel(folder, '1a99999d5e6f', 2);
  await writeFile(join(folder, 'models/small/latest'), '1a2b3c4d5e6f\n');
  return folder;
} // prettier-ignore

describe('training: embeddings of a zone', () => {
  let made: string;
  let folder: string;
  const model = { model: 'small', version: '1a2b3c4d5e6f' };
  const run = (options: Partial<EncodeChipsOptions> = {}): Promise<EncodeReport> =>
    encodeChips(folder, { model: 'small', zone: 33, batchSize: 8, threads: 1, ...options });
  const parts = async (): Promise<Embeddings[]> => Promise.all((await embeddingParts(folder, model, 33)).map((path) => readEmbeddings(path))); // prettier-ignore
  const bytes = async (): Promise<string[]> => Promise.all((await embeddingParts(folder, model, 33)).map((path) => readFile(path, 'base64'))); // prettier-ignore
  before(async () => {
    await trainingBackend({ name: 'wasm' });
    made = await makeGround();
  });
  beforeEach(async () => {
    folder = await emptyFolder();
    await cp(made, folder, { recursive: true, preserveTimestamps: true, mode: 2 });
  });

  it('has one row for each chip on disk, in order, and the encoder’s vectors', async () => {
    const report = await run();
    const chips = await readChips(join(folder, 'chips/33'));
    assert.deepEqual([report.cells, report.kept, report.chips, report.runtime], [3, 0, chips.length, 'onnxruntime']);
    assert.deepEqual([report.leftOut, report.failed], [[], []]);
    const all = await parts();
    assert.deepEqual(
      all.flatMap(({ rows }) => rows),
      chips.map(({ id, catid, date }) => ({ id, catid, date })),
    );
    const encoder = await openEncoder(join(folder, 'models/small/1a2b3c4d5e6f/encoder.onnx'));
    const direct = await encoder.encode(await readPixels(chips.map(({ path }) => path), 32)); // prettier-ignore
    await encoder.close();
    const own = all.flatMap(({ values }) => [...values]);
    assert.equal(own.length, direct.length);
    assert.ok(own.every((value, at) => Math.abs(value - direct[at]) < 1e-5));
    const [{ model: name, version, code, width, licences }] = all;
    assert.deepEqual([name, version, code, width, licences], ['small', '1a2b3c4d5e6f', 'float32', WIDTH, [LICENCE]]);
  });

  it('are the same bits from chips and straight from the tiles, which are not cut for it', async () => {
    await run();
    const fromChips = await parts();
    await rm(join(folder, 'chips'), { recursive: true });
    const report = await run({ from: 'ard' });
    assert.equal(report.kept, 0);
    const fromTiles = await parts();
    for (const [at, { rows, values }] of fromTiles.entries()) {
      assert.deepEqual(rows, fromChips[at].rows);
      assert.deepEqual(values, fromChips[at].values);
    }
    assert.equal(existsSync(join(folder, 'chips')), false);
    assert.equal((await run({ from: 'ard' })).kept, 3);
  });

  it('takes what is real from the no-data index alone where cells have no records', async () => {
    await run({ from: 'ard' });
    const before = await parts();
    await rm(join(folder, 'nodata-index.parts'), { recursive: true });
    assert.equal((await run({ from: 'ard', force: true })).kept, 0);
    assert.deepEqual((await parts()).map(({ sha256 }) => sha256), before.map(({ sha256 }) => sha256)); // prettier-ignore
    await rm(join(folder, 'nodata-index.json'));
    await assert.rejects(run({ from: 'ard' }), /^Error: nothing of zone 33 can be encoded: what is real in .*-visual\.tif is not known: run imagesim chip --zone 33 --index-only/); // prettier-ignore
  });

  it('leaves a cell that is done, and makes one again whose chips have changed, been added or been removed', async () => {
    await run();
    const before = await parts();
    assert.deepEqual(((r) => [r.kept, r.chips])(await run()), [3, 0]);
    const [first, second] = await readChips(join(folder, 'chips/33'));
    await cp(second.path, first.path);
    assert.deepEqual(((r) => [r.kept, r.chips])(await run()), [2, before[0].rows.length]);
    const [changed] = await parts();
    assert.deepEqual(changed.values.subarray(0, WIDTH), changed.values.subarray(WIDTH, 2 * WIDTH));
    await rm(first.path);
    assert.deepEqual(((r) => [r.kept, r.chips])(await run()), [2, before[0].rows.length - 1]);
    await cp(second.path, first.path);
    assert.deepEqual(((r) => [r.kept, r.chips])(await run()), [2, before[0].rows.length]);
    assert.deepEqual((await parts())[0], changed);
    assert.deepEqual(((r) => [r.kept, r.cells])(await run({ force: true })), [0, 3]);
  });

  it('makes a part again that is damaged, or was kept in another code', async () => {
    await run();
    const whole = await bytes();
    const [path] = await embeddingParts(folder, model, 33);
    await writeFile(path, (await readFile(path)).subarray(0, 500));
    assert.equal((await run()).kept, 2);
    assert.deepEqual(await bytes(), whole);
    assert.equal((await run({ code: 'int8' })).kept, 0);
  });

  it('is the same byte for byte from two workers as from one, no cell in both', async () => {
    await run();
    const whole = await bytes();
    await rm(join(folder, 'embeddings'), { recursive: true });
    const reports = [await run({ shard: { index: 0, count: 2 } }), await run({ shard: { index: 1, count: 2 } })];
    assert.deepEqual(reports.map(({ kept }) => kept), [0, 0]); // prettier-ignore
    assert.equal(reports[0].cells + reports[1].cells, 3);
    assert.deepEqual(await bytes(), whole);
  });

  it('leaves whole parts alone behind when it is stopped, and goes on from them', async () => {
    const stop = new AbortController();
    const onProgress = ({ done, note }: { done: number; note?: string }): void => {
      if (done === 1 && / of \d+ chips/.test(note ?? '')) stop.abort(new Error('enough'));
    };
    await assert.rejects(run({ signal: stop.signal, onProgress }), /enough/);
    const zone = join(folder, 'embeddings/parts/small-1a2b3c4d5e6f/33');
    assert.deepEqual(await readdir(zone), [`${QUADKEYS[0]}.parquet`]);
    assert.ok((await parts()).length === 1);
    assert.equal((await run()).kept, 1);
  });

  it('says how fast it is while it runs', async () => {
    const notes: string[] = [];
    await run({ onProgress: ({ note = '' }) => void notes.push(note) });
    assert.ok(
      notes.some((note) => /^\d{12}: 8 of \d+ chips, \d+ images\/s$/.test(note)),
      notes[0],
    );
  });

  it('keeps int8 to within 0.5 % of a row’s largest number, and bits as they are packed', async () => {
    await run();
    const exact = await parts();
    await run({ code: 'int8' });
    for (const [at, { values, code, codes }] of (await parts()).entries()) {
      const most = exact[at].values.reduce((high, value) => Math.max(high, Math.abs(value)), 0);
      const worst = values.reduce((high, value, i) => Math.max(high, Math.abs(value - exact[at].values[i])), 0);
      assert.deepEqual([code, codes.kind], ['int8', 'int8']);
      assert.ok(worst > 0 && worst <= 0.005 * most, `${worst} of ${most}`);
    }
    const mean = meanOf({ values: exact[0].values, width: WIDTH });
    for (const options of [{}, { mean }]) {
      await run({ code: 'bit', ...options });
      for (const [at, { values, codes }] of (await parts()).entries()) {
        const packed = packCodes({ values: exact[at].values, width: WIDTH }, 'bit', options);
        assert.deepEqual(codes.values, packed.values);
        assert.deepEqual(codes.mean, packed.mean);
        assert.deepEqual(values, unpackCodes(packed).values);
      }
    }
    assert.equal((await run({ code: 'bit' })).kept, 0); // centred by another mean
  });

  it('is read by DuckDB: float32 as lists of numbers, codes as bytes, what made them as JSON', async () => {
    await run();
    const [{ values, path, rows }] = await parts();
    const duck = await (await DuckDBInstance.create()).connect();
    const ask = async (sql: string): Promise<unknown[][]> => (await duck.runAndReadAll(sql)).getRowsJson();
    const [first] = await ask(`SELECT id, catid, date, typeof(vector), vector FROM '${path}' LIMIT 1`);
    assert.deepEqual(first.slice(0, 4), [rows[0].id, rows[0].catid, rows[0].date, 'FLOAT[]']);
    assert.deepEqual(Float32Array.from(first[4] as number[]), values.slice(0, WIDTH));
    const sum = values.reduce((total, value) => total + value, 0);
    const [[count, total]] = await ask(`SELECT count(*), sum(list_sum(vector)) FROM '${path}'`);
    assert.equal(Number(count), rows.length);
    assert.ok(Math.abs((total as number) - sum) < 1e-3);
    const [[code]] = await ask(`SELECT json_extract_string(decode(value), '$.code') FROM parquet_kv_metadata('${path}') WHERE decode(key) = 'imagesim'`); // prettier-ignore
    assert.equal(code, 'float32');
    await run({ code: 'bit' });
    assert.deepEqual(await ask(`SELECT DISTINCT typeof(vector), octet_length(vector) FROM '${path}'`), [['BLOB', `${WIDTH / 8}`]]); // prettier-ignore
  });

  it('names a chip that is no image, encodes the others, and names it again until it is mended', async () => {
    const [, bad] = await readChips(join(folder, 'chips/33'));
    const good = await readFile(bad.path);
    await writeFile(bad.path, good.subarray(0, 90));
    for (const kept of [0, 3]) {
      const report = await run();
      assert.equal(report.kept, kept);
      assert.equal(report.failed.length, 1);
      assert.match(report.failed[0], new RegExp(`^cannot read the image .*${bad.id}_${bad.catid}.jpg: .*; cut it again$`)); // prettier-ignore
    }
    const [{ rows }] = await parts();
    assert.ok(rows.length > 10 && !rows.some(({ id, date }) => id === bad.id && date === bad.date));
    await writeFile(bad.path, good);
    assert.deepEqual(((r) => [r.kept, r.failed])(await run()), [2, []]);
  });

  it('names a tile with a damaged block, and takes none of its chips', async () => {
    const path = join(folder, 'ard/33', QUADKEYS[0], '2023-06-02/10300100E6747502-visual.tif');
    const tile = await readFile(path);
    const at = tile.lastIndexOf(Buffer.from([0xff, 0xda])); // start of the last block's scan
    tile.fill(0xff, at + 20, at + 4000);
    await writeFile(path, tile);
    await assert.rejects(async () => {
      const { leftOut } = await run({ from: 'ard' });
      throw new Error(leftOut.join());
    }, /-visual\.tif has changed since it was indexed: run imagesim chip --zone 33 --index-only/);
    await chipTiles({ dataPath: folder, zone: 33, indexOnly: true });
    const { failed, cells } = await run({ from: 'ard' });
    assert.deepEqual([failed.length, cells], [1, 3]);
    assert.match(failed[0], /2023-06-02\/10300100E6747502-visual\.tif holds a damaged JPEG block/);
    const [{ rows }] = await parts();
    assert.ok(rows.length > 0 && rows.every(({ date }) => date === '2023-05-17'));
    assert.equal((await run({ from: 'ard' })).failed.length, 1);
  });

  it('tells of a part whose chips are gone', async () => {
    await run();
    await rm(join(folder, 'chips/33', QUADKEYS[1]), { recursive: true });
    const { leftOut } = await run();
    assert.equal(leftOut.length, 1);
    assert.match(leftOut[0], new RegExp(`${QUADKEYS[1]}.parquet is of chips that are no more: delete it`));
  });

  it('encodes with the training backend where onnxruntime does not load, and says why', async () => {
    await run();
    const before = await parts();
    const load = (): Promise<never> => Promise.reject(new Error('no such library'));
    const { runtime, why } = await run({ force: true, load });
    assert.deepEqual([runtime, why], ['wasm', 'onnxruntime-node does not load: no such library']);
    for (const [at, { values }] of (await parts()).entries())
      assert.ok(values.every((value, i) => Math.abs(value - before[at].values[i]) < 1e-5));
  });

  describe('readEmbeddings', () => {
    it('names a file that is missing, damaged, of another model, or no part', async () => {
      await run();
      const [path] = await embeddingParts(folder, model, 33);
      const whole = await readFile(path);
      await assert.rejects(readEmbeddings(path, { model: 'small@0' }), /\.parquet is of the model small@1a2b3c4d5e6f, not of small@0: encode/); // prettier-ignore
      await writeFile(path, whole.subarray(0, whole.length >> 1));
      await assert.rejects(readEmbeddings(path), new RegExp(`^Error: ${path} is damaged \\(.*\\): encode its cell again$`)); // prettier-ignore
      await writeFile(path, whole);
      const { rows, values } = await readEmbeddings(path);
      for (let at = 5; at < whole.length; at += 401) {
        await writeFile(path, whole.map((byte, i) => (i === at ? byte ^ 4 : byte))); // prettier-ignore
        const read = await readEmbeddings(path).catch((error: Error) => assert.ok(error.message.includes(path), error.stack)); // prettier-ignore
        if (read) assert.deepEqual([read.rows, read.values], [rows, values]); // bytes that nobody reads
      }
      const vectorAt = whole.length - 3000; // among the numbers
      await writeFile(path, whole.map((byte, i) => (i < vectorAt && i > vectorAt - 8 ? byte ^ 4 : byte))); // prettier-ignore
      await assert.rejects(readEmbeddings(path), /is damaged \(/);
      await cp(join(folder, 'chips/33/index.parquet'), path);
      await assert.rejects(readEmbeddings(path), /holds no embeddings: nothing in it says of which model/);
      await rm(path);
      await assert.rejects(readEmbeddings(path), /cannot read .*\.parquet: ENOENT/);
    });

    it('lists no parts where there are none', async () => {
      await assert.rejects(embeddingParts(folder, model, 33), /no embeddings in .*small-1a2b3c4d5e6f\/33: run imagesim encode --model small@1a2b3c4d5e6f --zone 33/); // prettier-ignore
    });
  });

  describe('the model', () => {
    it('is found by name, by the first digits of a version, or by its folder', async () => {
      const home = join(folder, 'models/small');
      assert.equal(await findModel(folder, 'small'), join(home, '1a2b3c4d5e6f'));
      assert.equal(await findModel(folder, 'small@1a9'), join(home, '1a99999d5e6f'));
      assert.equal(await findModel('/none', join(home, '1a99999d5e6f')), join(home, '1a99999d5e6f'));
      const listed = await listModels(folder);
      assert.deepEqual(Object.fromEntries(listed.map(({ version, latest }) => [version, latest])), { '1a2b3c4d5e6f': true, '1a99999d5e6f': false }); // prettier-ignore
      await rm(join(home, 'latest'));
      await assert.rejects(findModel(folder, 'small'), /latest is missing: name a version, small@1a2b3c4d5e6f or small@1a99999d5e6f/); // prettier-ignore
    });

    it('that is not there is refused, with those that are', async () => {
      await assert.rejects(run({ model: 'large' }), /^Error: no model large in .*\/models; there is small$/);
      await assert.rejects(run({ model: 'small@1a' }), /small@1a may be 1a2b3c4d5e6f or 1a99999d5e6f: give more of it/);
      await assert.rejects(run({ model: 'small@77' }), /no version 77 of small: there are 1a2b3c4d5e6f, 1a99999d5e6f/);
      await assert.rejects(run({ model: './nowhere' }), /nowhere is no model's folder: it has no card\.json/);
      await assert.rejects(run({ model: 'a@b@c' }), /RangeError: "a@b@c" names no model/);
      await writeFile(join(folder, 'models/small/latest'), 'yesterday');
      await assert.rejects(run(), /latest holds "yesterday", no version: write one of/);
    });

    it('that is damaged is named: card, or encoder', async () => {
      const home = join(folder, 'models/small/1a2b3c4d5e6f');
      const encoder = await readFile(join(home, 'encoder.onnx'));
      await writeFile(join(home, 'encoder.onnx'), encoder.map((byte, at) => (at === 999 ? byte ^ 1 : byte))); // prettier-ignore
      await assert.rejects(run(), /encoder\.onnx is not the file that card\.json describes/);
      await cp(join(folder, 'models/small/1a99999d5e6f/encoder.onnx'), join(home, 'encoder.onnx'));
      await assert.rejects(run(), /encoder\.onnx is not the file that card\.json describes/);
      await writeFile(join(home, 'card.json'), '{"format": 2}');
      await assert.rejects(run(), /card\.json: name: .*; save the model again/);
      const { fault } = (await listModels(folder, 'small')).find(({ version }) => version === '1a2b3c4d5e6f')!;
      assert.match(fault!, /card\.json: name/);
    });
  });

  it('refuses settings that can mean nothing, and a zone without chips or tiles', async () => {
    await assert.rejects(run({ zone: 61 }), /RangeError: encodeChips requires a zone of 1 to 60, got 61/);
    await assert.rejects(run({ batchSize: 0 }), /RangeError: encodeChips requires a positive whole batchSize, got 0/);
    await assert.rejects(run({ mean: new Float32Array(3) }), /a mean of 3 numbers, the model makes 40/);
    await rename(join(folder, 'chips/33'), join(folder, 'chips/32'));
    await assert.rejects(run(), /no chips in .*chips\/33: run imagesim chip --zone 33, or encode with --from ard/);
  });

  it('is a verb of the command, which exits with 1 where a chip cannot be read', async () => {
    const encode = async (...options: string[]): Promise<{ code: number; out: string; err: string }> => {
      const child = spawn(process.execPath, [cli, 'encode', '--zone', '33', ...options], { env: { ...process.env, IMAGESIM_DATA: folder } });
      const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
      return { code: code as number, out, err };
    }; // prettier-ignore
    const [bad] = await readChips(join(folder, 'chips/33'));
    await writeFile(bad.path, 'no image');
    const { code, out, err } = await encode('--model', 'small@1a2', '--batch', '16', '--shard', '0/1');
    assert.match(out, /^small@1a2b3c4d5e6f: \d+ chips encoded now at \d+ images\/s \(onnxruntime, busy \d+ % of the time\); 0 of 3 cells were there; in .*small-1a2b3c4d5e6f\/33\n$/); // prettier-ignore
    assert.match(err, new RegExp(`^imagesim: cannot read the image .*${bad.id}`));
    assert.equal(code, 1);
    assert.match((await faultOf(trainingVerbs, folder, ['encode', '--zone', '33', '--model', 'large']))!, /^no model large in .*; there is small$/); // prettier-ignore
  });
});
