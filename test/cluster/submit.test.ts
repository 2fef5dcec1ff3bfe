import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cellOf } from 'imagesim/ard';
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

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Eight cells of unequal size, which a worker has some seconds' work with in the long form, and a model. */
async function makeGround(): Promise<string> {
  const folder = await emptyFolder();
  for (let index = 0; index < CELLS; index++) {
    const cell = cellOf(33, `0311330${index.toString(4).padStart(5, '0')}`);
    const rows = proof ? 4 + index : 1;
    const real = (column: number, row: number): (() => boolean) | undefined => (column > 4 && column < 15 && row > 4 && row < 5 + rows ? () => true : undefined);
    await writeSmallTile(join(folder, 'ard/33', cell.quadkey, '2023-05-17/1030010000000001-visual.tif'), cell, real);
  }
  if (!proof) return folder;
  await trainingBackend({ name: 'wasm' });
  const network = await buildNetwork({ inputSize: 32, classes: ['a', 'b'], widths: [8, 16], embeddingWidth: 16, seed: 1 });
  const licences = [{ source: 'imagery', licence: 'CC0-1.0', attribution: 'nobody' }];
  await saveModel(join(folder, 'models/small/1a2b3c4d5e6f'), network, { name: 'small', version: '1a2b3c4d5e6f', datasetVersion: 'none@0', backend: 'wasm', settings: { losses: { entropy: 1 } }, metrics: {}, curve: [], licences });
  network.dispose();
  return folder;
} // prettier-ignore

/** Every file below a data folder, temporary ones too; not the jobs' own, nor `hashes.bin`, which remembers when chips were written. */
async function treeOf(folder: string): Promise<Map<string, Buffer>> {
  const files = (await filesUnder(folder)).filter((file) => !/^jobs\/|\/hashes\.bin$/.test(file));
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(join(folder, file))] as const)));
}

function assertSame(found: Map<string, Buffer>, expected: Map<string, Buffer>): void {
  assert.deepEqual([...found.keys()], [...expected.keys()]);
  for (const [file, bytes] of found) assert.ok(bytes.equals(expected.get(file)!), `${file} differs`);
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
  before(async function () {
    const why = whyNoSlurm();
    if (why) {
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    [cluster, made] = await Promise.all([openCluster(), makeGround()]);
    const alone = await copy();
    for (const words of proof ? [CHIP, ENCODE] : [CHIP]) {
      const { code, stderr } = await ended(start(alone, words));
      assert.deepEqual([code, stderr], [0, '']);
    }
    expected = await treeOf(alone);
  });
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
    const tree = await treeOf(data);
    const chips = new Map([...expected].filter(([file]) => !file.startsWith('embeddings/')));
    assertSame(tree, chips);
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

  it('chains: encode begins when chip has ended well', async () => {
    const data = await copy();
    const { stdout, code } = await ended(submit(data, CHIP, '--detach'));
    assert.equal(code, 0);
    assertFinished(await ended(submit(data, ENCODE, '--after', stdout.trim())));
    assertSame(await treeOf(data), expected);
  });

  for (const seed of [1, 2, 3]) {
    it(`chains though workers, scripts and nodes die at random, ${seed}: the same bytes, nothing twice, nothing missing`, async function () {
      const random = seedrandom(`deaths ${seed}`);
      const data = await copy();
      const told = { program: 0, script: 0, node: 0 };
      for (const words of [CHIP, ENCODE]) {
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
      assertSame(await treeOf(data), expected);
      console.log(`      ${told.program} programs, ${told.script} times all scripts, ${told.node} nodes`);
    });
  }

  it('does a zone in two arrays at once', async () => {
    const data = await copy();
    const runs = [submit(data, CHIP), submit(data, CHIP)].map(ended);
    for (const run of await Promise.all(runs)) assertFinished(run);
    assertSame(await treeOf(data), new Map([...expected].filter(([file]) => !file.startsWith('embeddings/'))));
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
