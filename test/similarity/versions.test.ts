import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from '@lancedb/lancedb';
import { withLock } from 'imagesim/ard';
import { deployStore, extendStore, goBack, listStores, listTables, openStore, pruneStore, rowsOf, search } from 'imagesim/similarity'; // prettier-ignore
import { openBucket } from '../bucket.ts';
import { emptyFolder } from '../delivery.ts';
import { randomVectors, rowAt } from './rows.ts';

const WIDTH = 16;
const vectors = randomVectors(600, WIDTH, 'versions');
/** Rows of a generation, each of which says so. */
const rowsIn = (generation: number, n = 300): ReturnType<typeof rowAt>[] =>
  Array.from({ length: n }, (_, at) => rowAt(at, { catid: `GEN${generation}` }));
const some = (n: number): typeof vectors => rowsOf(vectors, [...Array(n).keys()]);

/** Deploys generation after generation, each of one row more, and says so after each. */
const deployer = `
  import { cellOf, chipIdAt } from 'imagesim/ard';
  import { deployStore } from 'imagesim/similarity';
  const [folder, from] = process.argv.slice(1);
  const cell = cellOf(33, '031133012203');
  for (let generation = Number(from); ; generation++) {
    const rows = Array.from({ length: 300 + generation }, (_, at) => ({ id: chipIdAt(cell, at >> 6, at & 63), catid: 'GEN' + generation, date: '2023-05-21', labels: {} }));
    const values = new Float32Array(rows.length * 16).fill(0.25);
    await deployStore(folder, 't', rows, { values, width: 16 }, 'm@1', { keep: 3 });
    console.log(generation);
  }`;

/** Loads a table, and says how many bytes it holds at most beyond what it began with, and in how many batches they came. */
const loader = `
  import { openStore } from 'imagesim/similarity';
  const store = await openStore(process.argv[1], 't');
  gc();
  const start = process.memoryUsage().external;
  let [most, batches] = [0, 0];
  const { set } = BigUint64Array.prototype;
  BigUint64Array.prototype.set = function (...args) {
    gc();
    most = Math.max(most, process.memoryUsage().external - start);
    batches++;
    set.apply(this, args);
  };
  await store.load();
  console.log(JSON.stringify({ most, batches }));`;

/** Waits for the first word of a program. */
async function begun(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit').then(() => assert.fail('it ended before it did anything'));
  ended.catch(() => undefined);
  await Promise.race([once(child.stdout!, 'data'), ended]);
}

describe('versions of the similarity store', () => {
  it('are listed with what they are, gone back to, and gone on from', async () => {
    const folder = await emptyFolder();
    for (const generation of [1, 2, 3]) await deployStore(folder, 't', rowsIn(generation), some(300), `m@${generation}`); // prettier-ignore
    await deployStore(folder, 'other', rowsIn(9, 10), some(10), 'm@9');
    const told = async (): Promise<string[]> =>
      (await listStores(folder)).map(({ table, version, live, model, rows }) => `${table} ${version} ${model} ${rows}${live ? ' *' : ''}`); // prettier-ignore
    const before = ['other v1 m@9 10 *', 't v1 m@1 300', 't v2 m@2 300', 't v3 m@3 300 *'];
    assert.deepEqual(await told(), before);
    const kept = await openStore(folder, 't');
    await goBack(folder, 't', 'v1');
    assert.deepEqual(await told(), ['other v1 m@9 10 *', 't v1 m@1 300 *', 't v2 m@2 300', 't v3 m@3 300']);
    const store = await openStore(folder, 't');
    assert.deepEqual([store.version, store.model], ['v1', 'm@1']);
    const { hits } = await search(store, { chip: rowAt(5).id }, { k: 3 });
    assert.ok(hits.every(({ catid }) => catid === 'GEN1'));
    await extendStore(folder, 't', rowsIn(1, 20).map(({ id, ...row }) => ({ ...row, id: id.replace('031133012203', '031133012212') })), some(20), 'm@1'); // prettier-ignore
    assert.deepEqual(await told(), ['other v1 m@9 10 *', 't v1 m@1 300', 't v2 m@2 300', 't v3 m@3 300', 't v4 m@1 320 *']); // prettier-ignore
    const { hits: old } = await search(kept, { chip: rowAt(5).id }, { k: 3 });
    assert.ok(kept.version === 'v3' && old.every(({ catid }) => catid === 'GEN3'));
    await assert.rejects(goBack(folder, 't', 'v9'), /no version v9 of table t: there are v1, v2, v3, v4$/);
    await assert.rejects(listStores(folder, 'none'), /no table none in .* \(it holds other, t\)/);
    await assert.rejects(openStore(folder, 't', { version: 'live2' }), /no version live2 of table t/);
  });

  it('go when asked, or beyond the number that is kept; what is live and what is left stay whole', async () => {
    const folder = await emptyFolder();
    const names = async (): Promise<string[]> => (await listStores(folder, 't')).map(({ version, live }) => `${version}${live ? '*' : ''}`); // prettier-ignore
    for (let generation = 1; generation <= 6; generation++)
      await deployStore(folder, 't', rowsIn(generation), some(300), 'm@1', { keep: 4 });
    assert.deepEqual(await names(), ['v3', 'v4', 'v5', 'v6*']);
    const files = async (): Promise<number> => (await readdir(join(folder, 'embeddings/t.lance/data'))).length;
    await goBack(folder, 't', 'v4');
    assert.deepEqual(await pruneStore(folder, 't', 1), ['v3', 'v5']);
    assert.deepEqual(await names(), ['v4*', 'v6']);
    const { columns } = await (await openStore(folder, 't')).load();
    assert.ok(columns.n === 300 && columns.catids.every((catid) => catid === 'GEN4'));
    const last = await (await openStore(folder, 't', { version: 'v6' })).load();
    assert.ok(last.columns.catids.every((catid) => catid === 'GEN6'));
    await deployStore(folder, 'one', rowsIn(1, 5), some(5), 'm@1', { keep: 1 });
    await deployStore(folder, 'one', rowsIn(2, 5), some(5), 'm@1', { keep: 1 });
    assert.deepEqual((await listStores(folder, 'one')).map(({ version, live }) => [version, live]), [['v2', true]]); // prettier-ignore
    await goBack(folder, 't', 'v6');
    await pause(2500); // what is nearly as new as what stays is left for the next time
    await extendStore(folder, 't', rowsIn(6, 5), some(5), 'm@1');
    const before = await files();
    assert.deepEqual(await pruneStore(folder, 't', 1), ['v4', 'v6']);
    assert.ok((await files()) < before);
    assert.deepEqual((await openStore(folder, 't')).rows, 5);
    await assert.rejects(pruneStore(folder, 't', 0), /RangeError: pruneStore keeps 1 version or more, got 0/);
  });

  it('keep the rows of other cells when some are added, and refuse vectors of another model or width', async () => {
    const folder = await emptyFolder();
    await deployStore(folder, 't', rowsIn(1), some(300), 'm@1');
    const east = rowsIn(2, 40).map((row) => ({ ...row, id: row.id.replace('031133012203', '031133012212') }));
    assert.equal((await extendStore(folder, 't', east, some(40), 'm@1')).rows, 340);
    assert.equal((await extendStore(folder, 't', east.slice(0, 30), some(30), 'm@1')).rows, 330);
    await assert.rejects(extendStore(folder, 't', east, some(40), 'm@2'), /RangeError: table t is of m@1, 16 numbers; these vectors are of m@2, 16 numbers: encode with that model, or take another table$/); // prettier-ignore
    await assert.rejects(extendStore(folder, 't', east, randomVectors(40, 8, 'x'), 'm@1'), /these vectors are of m@1, 8 numbers/); // prettier-ignore
    await assert.rejects(extendStore(folder, 'u', east, some(40), 'm@1'), /no table u in .* to extend/);
    const bad = some(40);
    bad.values[5 * WIDTH] = Number.NaN;
    await assert.rejects(extendStore(folder, 't', east, bad, 'm@1'), new RegExp(`the vector of ${east[5].id} holds NaN`)); // prettier-ignore
    await assert.rejects(deployStore(folder, 'a/b', east, some(40), 'm@1'), /"a\/b" cannot be a table's name/);
    assert.equal((await openStore(folder, 't')).rows, 330);
  });

  it('are taken in by an index when they are many, and searched beside it before', async () => {
    const folder = await emptyFolder();
    const options = { exactRows: 200 };
    await deployStore(folder, 't', rowsIn(1, 500), some(500), 'm@1', options);
    const east = rowsIn(2, 100).map((row) => ({ ...row, id: row.id.replace('031133012203', '031133012212') }));
    for (const n of [30, 100]) {
      const added = rowsOf(
        vectors,
        Array.from({ length: n }, (_, at) => 500 + at),
      );
      await extendStore(folder, 't', east.slice(0, n), added, 'm@1', options);
      const store = await openStore(folder, 't');
      assert.equal(store.index!.rows, 500);
      for (const at of [0, n - 1]) {
        const { hits, recall } = await search(store, { vector: vectors.values.slice((500 + at) * WIDTH, (501 + at) * WIDTH) }, { k: 1 }); // prettier-ignore
        assert.deepEqual([recall.from, hits[0].id], ['sample', east[at].id]);
      }
      const unsorted = (await store.table.indexStats('vector_idx'))!.numUnindexedRows;
      assert.equal(unsorted, n === 30 ? 30 : 0);
      store.close();
    }
  });

  it('say so when they were pruned while they were open, and are read where their files come back', async () => {
    const folder = await emptyFolder();
    await deployStore(folder, 't', rowsIn(1), some(300), 'm@1');
    const store = await openStore(folder, 't');
    const data = join(folder, 'embeddings/t.lance/data');
    await rename(data, `${data}-away`); // as pruning does
    const gone = /^Error: version v1 of table t was pruned: open the store again$/;
    await assert.rejects(store.load(), gone);
    await assert.rejects(search(store, { chip: rowAt(5).id }), gone);
    await rename(`${data}-away`, data);
    assert.equal((await store.load()).columns.n, 300);
    store.close();
  });

  it('are left out of the list when they go while it is made', async () => {
    const folder = await emptyFolder();
    for (const generation of [1, 2, 3]) await deployStore(folder, 't', rowsIn(generation, 5), some(5), 'm@1');
    const { table } = await openStore(folder, 't');
    const kind = Object.getPrototypeOf(table) as { checkout: (version: string) => Promise<void> };
    const { checkout } = kind;
    kind.checkout = async function (version) {
      if (version === 'v2') await (await table.tags()).delete('v2');
      return checkout.call(this, version);
    };
    try {
      assert.deepEqual((await listStores(folder)).map(({ version }) => version), ['v1', 'v3']); // prettier-ignore
    } finally {
      kind.checkout = checkout;
    }
    await (await connect(join(folder, 'embeddings'))).createTable('unfinished', [{ id: 'x', vector: [1, 0] }]);
    assert.deepEqual(await listTables(folder), ['t']);
  });

  it('take no more memory when they are loaded than their vectors and a batch or two', async () => {
    const folder = await emptyFolder();
    const [n, width] = [6000, 512];
    const rows = Array.from({ length: n }, (_, at) => rowAt(at % 4096));
    await deployStore(folder, 't', rows, { values: new Float32Array(n * width).fill(1 / 23), width }, 'm@1');
    const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', loader, folder], { stdio: ['ignore', 'pipe', 'inherit'] }); // prettier-ignore
    const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
    const { most, batches } = JSON.parse(said) as { most: number; batches: number };
    assert.ok(batches >= 4 && most > 4 * n * width && most < 1.6 * 4 * n * width, said);
  });

  it('are not seen before they are whole, by who reads while another process deploys', async () => {
    const folder = await emptyFolder();
    const child = spawn(process.execPath, ['--input-type=module', '-e', deployer, folder, '1'], { stdio: ['ignore', 'pipe', 'inherit'] }); // prettier-ignore
    await begun(child);
    const seen = new Set<string>();
    try {
      for (let time = 0; time < 20; time++) {
        const store = await openStore(folder, 't');
        const { columns } = await store.load();
        const generation = columns.catids[0];
        seen.add(generation);
        assert.equal(columns.n, 300 + Number(generation.slice(3)));
        assert.ok(columns.catids.every((catid) => catid === generation));
        store.close();
      }
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    assert.ok(seen.size > 1, 'nothing was deployed meanwhile');
  });

  it('stay in force when the one who deploys is killed', async () => {
    const folder = await emptyFolder();
    const times = process.env.IMAGESIM_PROOF ? 200 : 2;
    let generation = 1;
    for (let time = 0; time < times; time++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', deployer, folder, String(generation)], { stdio: ['ignore', 'pipe', 'inherit'] }); // prettier-ignore
      let told = '';
      child.stdout.setEncoding('utf8').on('data', (said: string) => (told += said));
      await begun(child);
      await pause((time * 37) % 200);
      child.kill('SIGKILL');
      await once(child, 'close');
      const last = Number(told.trim().split('\n').at(-1));
      const store = await openStore(folder, 't');
      const { columns } = await store.load();
      const found = Number(columns.catids[0].slice(3));
      assert.ok(found === last || found === last + 1, `${found} after ${last}`);
      assert.ok(columns.n === 300 + found && columns.catids.every((catid) => catid === `GEN${found}`));
      store.close();
      generation = found + 1;
    }
  });

  it('have one writer at a time', async () => {
    const folder = await emptyFolder();
    await deployStore(folder, 't', rowsIn(1), some(300), 'm@1');
    await withLock(join(folder, 'embeddings/t'), async () => {
      await assert.rejects(deployStore(folder, 't', rowsIn(2), some(300), 'm@1', { waitMs: 50 }), /table t in .*embeddings is being written by another process: try again when it is done$/); // prettier-ignore
      await deployStore(folder, 'u', rowsIn(2), some(300), 'm@1', { waitMs: 50 });
    });
    await Promise.all([2, 3].map((generation) => deployStore(folder, 't', rowsIn(generation), some(300), 'm@1', { waitMs: 60_000 }))); // prettier-ignore
    assert.equal((await listStores(folder, 't')).length, 3);
  });

  it('leave out a table that no deploy was finished of, and say so', async () => {
    const folder = await emptyFolder();
    const store = await connect(join(folder, 'embeddings'));
    await store.createTable('t', [{ id: 'x', vector: [1, 0] }]);
    assert.deepEqual(await listStores(folder), []);
    await assert.rejects(openStore(folder, 't'), /table t in .* was never deployed whole by this version of imagesim: deploy it again$/); // prettier-ignore
    await deployStore(folder, 't', rowsIn(1), some(300), 'm@1');
    assert.equal((await openStore(folder, 't')).rows, 300);
  });

  it('are made where a deploy that died has left files and no version, and until then there is none', async () => {
    const folder = await emptyFolder();
    await mkdir(join(folder, 'embeddings/t.lance/data'), { recursive: true });
    await writeFile(join(folder, 'embeddings/t.lance/data/half.lance'), 'half');
    assert.deepEqual([await listTables(folder), await listStores(folder)], [[], []]);
    await assert.rejects(openStore(folder, 't'), /table t in .* was never deployed whole/);
    await deployStore(folder, 't', rowsIn(1), some(300), 'm@1');
    assert.equal((await openStore(folder, 't')).rows, 300);
  });

  it('are never mixed of two writers where nothing is locked, and are told in one line', async () => {
    const folder = await emptyFolder();
    await deployStore(folder, 't', rowsIn(1), some(300), 'm@1');
    const east = rowsIn(2, 40).map((row) => ({ ...row, id: row.id.replace('031133012203', '031133012212') }));
    const meanwhile = /^Error: table t was deployed by another process meanwhile: deploy again$/;
    const { table } = await openStore(folder, 't');
    const kind = Object.getPrototypeOf(table) as Record<string, (argument: unknown) => Promise<unknown>>;
    for (const step of ['add', 'delete', 'updateFieldMetadata']) {
      const own = kind[step];
      kind[step] = async function (argument) {
        kind[step] = own; // the other writer comes in between once
        const other = await (await connect(join(folder, 'embeddings'))).openTable('t');
        await (step === 'add' ? other.add(argument as never) : other.delete("catid = 'GEN1'"));
        return own.call(this, argument);
      };
      try {
        await assert.rejects(extendStore(folder, 't', step === 'delete' ? rowsIn(1) : east, some(step === 'delete' ? 300 : 40), 'm@1'), meanwhile, step); // prettier-ignore
      } finally {
        kind[step] = own;
      }
      const seen = await openStore(folder, 't');
      assert.deepEqual([seen.version, (await seen.load()).columns.n], ['v1', 300]);
      seen.close();
    }
    assert.equal((await extendStore(folder, 't', east, some(40), 'm@1')).rows, 340);
  });

  it('lie in a bucket as well', async () => {
    const bucket = await openBucket();
    try {
      const place = 's3://imagesim-storage/store';
      await deployStore(place, 't', rowsIn(1), some(300), 'm@1');
      await extendStore(place, 't', rowsIn(2, 50).map((row) => ({ ...row, id: row.id.replace('031133012203', '031133012212') })), some(50), 'm@1'); // prettier-ignore
      assert.deepEqual((await listStores(place)).map(({ version, rows, live }) => [version, rows, live]), [['v1', 300, false], ['v2', 350, true]]); // prettier-ignore
      const store = await openStore(await emptyFolder(), 't', { store: place });
      const { hits } = await search(store, { chip: rowAt(5).id }, { k: 349 });
      assert.equal(hits.length, 349);
      assert.equal(store.place, `${place}/embeddings`);
    } finally {
      await bucket.close();
    }
  });
});
