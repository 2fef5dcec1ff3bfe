import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cellOf } from 'imagesim/ard';
import { listStores, openStore } from 'imagesim/similarity';
import { buildNetwork, saveModel, trainingBackend } from 'imagesim/training';
import seedrandom from 'seedrandom';
import { filesUnder, openBucket } from '../bucket.ts';
import { writeSmallTile } from '../chips/small.ts';
import { emptyFolder } from '../delivery.ts';
import { type Cluster, type Process, NODES, kill, openCluster, whyNoSlurm } from './slurm.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const proof = process.env.IMAGESIM_PROOF !== undefined;
const CELLS = 8;
const CHIP = ['chip', '--zone', '33'];
const ENCODE = ['encode', '--zone', '33', '--model', 'small'];
const DEPLOY = ['similarity', 'deploy', '--zone', '33', '--model', 'small'];
const change = (data: string): string[] => ['change', '--zone', '33', '--to', join(data, 'changes.geojson')];
/** What is done one after the other: embeddings of chips, and embeddings straight from tiles. */
const CHAINS = {
  chips: (): string[][] => [CHIP, ENCODE, DEPLOY],
  tiles: (data: string): string[][] => [DEPLOY, change(data)],
};
type Chain = keyof typeof CHAINS;

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Eight cells of unequal size, which a worker has some seconds' work with in the long form, half of them seen twice, and a model. */
async function makeGround(): Promise<string> {
  const folder = await emptyFolder();
  for (let index = 0; index < CELLS; index++) {
    const cell = cellOf(33, `0311330${index.toString(4).padStart(5, '0')}`);
    const rows = proof ? 4 + index : 1;
    const real = (column: number, row: number): (() => boolean) | undefined => (column > 4 && column < 15 && row > 4 && row < 5 + rows ? () => true : undefined);
    for (const date of proof && index % 2 === 0 ? ['2023-05-17', '2023-08-17'] : ['2023-05-17'])
      await writeSmallTile(join(folder, 'ard/33', cell.quadkey, date, '1030010000000001-visual.tif'), cell, real);
  }
  if (!proof) return folder;
  await trainingBackend({ name: 'wasm' });
  const network = await buildNetwork({ inputSize: 32, classes: ['a', 'b'], widths: [8, 16], embeddingWidth: 16, seed: 1 });
  const licences = [{ source: 'imagery', licence: 'CC0-1.0', attribution: 'nobody' }];
  await saveModel(join(folder, 'models/small/1a2b3c4d5e6f'), network, { name: 'small', version: '1a2b3c4d5e6f', datasetVersion: 'none@0', backend: 'wasm', settings: { losses: { entropy: 1 } }, metrics: {}, curve: [], licences });
  network.dispose();
  return folder;
} // prettier-ignore

/**
 * Every file below a data folder, temporary ones too; not the jobs' own, nor `hashes.bin`, which remembers when chips were written, nor the store’s, which
 * LanceDB names at random: see {@link storeOf}.
 */
async function treeOf(folder: string): Promise<Map<string, Buffer>> {
  const files = (await filesUnder(folder)).filter(
    (file) => !/^jobs\/|\/hashes\.bin$|^embeddings\/(__manifest|\w+\.lance)\//.test(file),
  );
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(join(folder, file))] as const)));
}

function assertSame(found: Map<string, Buffer>, expected: Map<string, Buffer>): void {
  assert.deepEqual([...found.keys()], [...expected.keys()]);
  for (const [file, bytes] of found) assert.ok(bytes.equals(expected.get(file)!), `${file} differs`);
}

/** All rows of the store, in order, and their vectors. */
async function storeOf(folder: string): Promise<object> {
  const store = await openStore(folder, 'small');
  const { columns, values } = await store.load();
  store.close();
  return { columns, values, versions: (await listStores(folder)).length };
}

function start(data: string, args: string[], env: Record<string, string> = {}): ChildProcess {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('IMAGESIM_'));
  return spawn(process.execPath, [cli, ...args], { env: { ...Object.fromEntries(own), IMAGESIM_DATA: data, ...env } });
}

async function ended(child: ChildProcess): Promise<Run> {
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

describe('submit to a real Slurm', () => {
  let cluster: Cluster;
  let made: string;
  let expected: Map<string, Buffer>;
  const whole = new Map<Chain, { tree: Map<string, Buffer>; store: object }>();
  before(async function () {
    const why = whyNoSlurm();
    if (why) {
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    [cluster, made] = await Promise.all([openCluster(), makeGround()]);
    const alone = await copy();
    assert.equal((await ended(start(alone, CHIP))).code, 0);
    expected = await treeOf(alone);
    if (!proof) return;
    for (const [chain, wordsOf] of Object.entries(CHAINS)) {
      const data = await copy();
      for (const words of wordsOf(data)) {
        const { code, stderr } = await ended(start(data, words));
        assert.equal(code, 0, stderr);
      }
      whole.set(chain as Chain, { tree: await treeOf(data), store: await storeOf(data) });
    }
  });
  const assertWhole = async (data: string, chain: Chain): Promise<void> => {
    const { tree, store } = whole.get(chain)!;
    assertSame(await treeOf(data), tree);
    assert.deepEqual(await storeOf(data), store);
  };
  after(() => cluster?.close());

  const copy = async (): Promise<string> => {
    const folder = await emptyFolder();
    await cp(made, folder, { recursive: true, preserveTimestamps: true });
    return folder;
  };
  const submit = (data: string, words: string[], ...flags: string[]): ChildProcess =>
    start(
      data,
      ['submit', '--engine', 'slurm', '--array', '4', '--memory', '1024', ...flags, '--', ...words],
      cluster.env,
    );
  const programs = async (): Promise<Process[]> =>
    (await cluster.workers()).filter(({ words }) => words.includes('/cli.js '));
  const oneProgram = async (child: ChildProcess): Promise<Process | undefined> => {
    for (;;) {
      const [one] = await programs();
      if (one ?? child.exitCode !== null) return one;
      await pause(20);
    }
  };
  const assertFinished = ({ code, stdout, stderr }: Run, restarts: RegExp = /^/): void => {
    assert.match(stdout, /^4 of 4 shards finished/, stderr);
    assert.match(stdout, restarts);
    assert.equal(code, 0);
  };

  it('does as one process does, also where a worker is killed: the same bytes, and nothing else', async () => {
    const data = await copy();
    const child = submit(data, CHIP);
    const run = ended(child);
    const worker = await oneProgram(child);
    await pause(300);
    kill(worker!.pid);
    assertFinished(await run);
    const logs = (await filesUnder(join(data, 'jobs'))).filter((file) => file.endsWith('.log'));
    const said = await Promise.all(logs.map((file) => readFile(join(data, 'jobs', file), 'utf8')));
    assert.ok(
      said.some((words) => /Killed/.test(words)),
      said.join('\n'),
    ); // bash says so of what it waited for
    assertSame(await treeOf(data), expected);
  });

  if (!proof) return;
  it('says what failed and how to do only that again', async () => {
    const data = await emptyFolder();
    const run = await ended(submit(data, CHIP));
    assert.match(run.stderr, /imagesim: shard 0: exit code 1: no ARD tile under .*\(log: .*0\.log\)$/m);
    assert.match(
      run.stderr,
      /only these again, where no tile has changed since: imagesim submit --engine slurm --array 4 --only 0-3 .*-- chip --zone 33$/m,
    );
    assert.equal(run.code, 1);
  });

  it('chains chip, encode and deploy: each begins when the one before has ended well, and the store is merged once', async () => {
    const data = await copy();
    let after: string[] = [];
    for (const words of [CHIP, ENCODE, DEPLOY]) {
      const { stdout, stderr, code } = await ended(submit(data, words, ...after, '--detach'));
      assert.equal(code, 0, stderr);
      after = ['--after', stdout.trim()];
    }
    assertFinished(await ended(submit(data, CHIP, ...after))); // which finds all done, and ends when all has
    await assertWhole(data, 'chips');
  });

  for (const [chain, seed] of [
    ['chips', 1],
    ['tiles', 2],
    ['chips', 3],
  ] as const) {
    it(`chains from ${chain} though workers, scripts and nodes die at random, ${seed}: the same bytes, nothing twice, nothing missing`, async () => {
      const random = seedrandom(`deaths ${seed}`);
      const data = await copy();
      const told = { program: 0, script: 0, node: 0 };
      for (const words of CHAINS[chain](data)) {
        const child = submit(data, words, '--retries', '9');
        const run = ended(child);
        for (let deaths = 0; deaths < 8 && child.exitCode === null;) {
          await pause(300 + 2500 * random());
          const [workers, draw] = [await cluster.workers(), random()];
          if (workers.length === 0) continue;
          deaths++;
          if (draw < 0.2) {
            const node = NODES[Math.floor(random() * 2)];
            await cluster.killNode(node);
            await pause(1000 + 9000 * random());
            await cluster.startNode(node);
            told.node++;
          } else if (draw < 0.4) {
            workers.forEach(({ pid }) => kill(pid));
            told.script++;
          } else {
            const [one] = await programs();
            if (one) kill(one.pid);
            told.program++;
          }
        }
        assertFinished(await run);
      }
      await assertWhole(data, chain);
      console.log(`      ${told.program} programs, ${told.script} times all scripts, ${told.node} nodes`);
    });
  }

  it('does a zone in two arrays at once', async () => {
    const data = await copy();
    for (const words of CHAINS.chips())
      for (const run of await Promise.all([submit(data, words), submit(data, words)].map(ended))) assertFinished(run);
    await assertWhole(data, 'chips');
  });

  it('brings a delivery from a bucket that is away for ten seconds amid it', async () => {
    const bucket = await openBucket();
    try {
      const address = await bucket.put(made);
      const data = await emptyFolder();
      let [refused, awayUntil] = [0, 0];
      bucket.between(async (context, next) => {
        if (awayUntil === 0 && context.path.endsWith('-visual.tif')) awayUntil = performance.now() + 10_000; // the first tile is asked for
        if (performance.now() >= awayUntil) return next();
        refused++;
        context.respond = false;
        context.req.socket.destroy();
      });
      const words = ['sync', `${address}/ard/33`];
      const run = await ended(
        start(data, ['submit', '--engine', 'slurm', '--array', '4', '--', ...words], { ...cluster.env, ...bucket.env }),
      );
      assertFinished(run);
      assert.ok(refused > 1, `${refused} requests fell into the ten seconds`);
      const isTile = ([file]: [string, Buffer]): boolean => file.startsWith('ard/');
      assertSame(new Map([...(await treeOf(data))].filter(isTile)), new Map([...expected].filter(isTile)));
    } finally {
      await bucket.close();
    }
  });
});
