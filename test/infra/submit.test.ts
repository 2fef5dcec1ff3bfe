import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { paddedZone, readTiles } from 'imagesim/ard';
import {
  type ArrayJob,
  type Engine,
  type ShardFault,
  BatchEngine,
  LocalEngine,
  SlurmEngine,
  arrayJob,
  redoCommand,
  submitArray,
  syncDelivery,
} from 'imagesim/infra';
import { fetchOsmByQuadkey, osmCells } from 'imagesim/osm';
import { filesUnder, setEnv } from '../bucket.ts';
import { smallDelivery } from '../chips/small.ts';
import { emptyFolder, sampleDelivery } from '../delivery.ts';
import { type StandInBatch, openBatch } from './batch.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const CHIP = ['chip', '--zone', '33'];
const CELLS = 3;

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(data: string, args: string[], env: Record<string, string> = {}): ChildProcess {
  const own = Object.entries(process.env).filter(([name]) => !/^(IMAGESIM|SLURM|AWS)_/.test(name));
  return spawn(process.execPath, [cli, ...args], { env: { ...Object.fromEntries(own), IMAGESIM_DATA: data, ...env } });
}

async function ended(child: ChildProcess): Promise<Run> {
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

const imagesim = (data: string, args: string[], env?: Record<string, string>): Promise<Run> => ended(start(data, args, env)); // prettier-ignore

/** Every file below a data folder but the jobs' own. */
async function treeOf(folder: string): Promise<Map<string, string>> {
  const files = (await filesUnder(folder)).filter((file) => !file.startsWith('jobs/'));
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(join(folder, file), 'base64')] as const)));
} // prettier-ignore

function assertSame(found: Map<string, string>, expected: Map<string, string>): void {
  assert.deepEqual([...found.keys()], [...expected.keys()]);
  for (const [file, bytes] of found) assert.ok(bytes === expected.get(file), `${file} differs`);
}

describe('infra: shards of verbs', () => {
  let sample: string;
  before(async () => (sample = await sampleDelivery()));

  it('sync deals whole cells out by bytes, all of them to one worker each, and the first brings what is of no cell', async () => {
    const source = await emptyFolder();
    await smallDelivery(source, 33, CELLS);
    const paths = await filesUnder(source);
    await writeFile(join(source, paths[1]), Buffer.concat([await readFile(join(source, paths[1])), Buffer.alloc(5e6)]));
    await writeFile(join(source, 'LICENSE'), 'CC0');
    const shares: string[][] = [];
    for (const index of [0, 1]) {
      const own = await emptyFolder();
      const { files } = await syncDelivery(source, own, { shard: { index, count: 2 } });
      shares.push(await filesUnder(own));
      assert.equal(shares[index].length, files);
    }
    const [first, second] = shares.map((share) => share.filter((path) => path.endsWith('.tif')));
    assert.deepEqual(
      [...first, ...second].sort(),
      paths.filter((path) => path.endsWith('.tif')),
    );
    assert.deepEqual([first.length, second.length], [1, CELLS - 1]); // the one of 5 MB, and the others
    assert.ok(shares[0].some((path) => path.endsWith('/LICENSE')));
    assert.ok(!shares[1].some((path) => path.endsWith('LICENSE')));
  });

  it('sync deals alike whatever is there already, and a worker without a cell brings nothing', async () => {
    const whole = await emptyFolder();
    await syncDelivery(sample, whole);
    const again = await syncDelivery(sample, whole, { shard: { index: 1, count: 2 } });
    const afresh = await syncDelivery(sample, await emptyFolder(), { shard: { index: 1, count: 2 }, dryRun: true });
    assert.deepEqual([again.files, again.moved], [afresh.files, 0]);
    const { files, tiles } = await syncDelivery(sample, await emptyFolder(), { shard: { index: 40, count: 41 } });
    assert.deepEqual([files, tiles], [0, []]);
  });

  it('osm reads an extract for the cells of one worker, the same as one process does', async () => {
    const [alone, dealt] = [await emptyFolder(), await emptyFolder()];
    const cells = [...new Set((await readTiles(sample)).map(({ cell }) => cell.quadkey))];
    const zone = (await readTiles(sample))[0].cell.zone;
    for (const folder of [alone, dealt])
      for (const quadkey of cells) await mkdir(join(folder, 'ard', paddedZone(zone), quadkey), { recursive: true });
    const source = join(await emptyFolder(), 'map.osm');
    await writeFile(source, '<osm version="0.6"><bounds minlat="-90" minlon="-180" maxlat="90" maxlon="180"/></osm>');
    await fetchOsmByQuadkey(zone, alone, { source });
    const shares = await Promise.all([0, 1].map((index) => osmCells(zone, dealt, { index, count: 2 })));
    assert.deepEqual(shares.flat().map(({ quadkey }) => quadkey).sort(), cells.sort()); // prettier-ignore
    for (const index of [0, 1]) {
      await fetchOsmByQuadkey(zone, dealt, { source, shard: { index, count: 2 } });
      const there = (await filesUnder(dealt)).filter((path) => path.endsWith('osm_data.json')).length;
      assert.equal(there, index === 0 ? shares[0].length : cells.length);
    }
    const data = (tree: Map<string, string>): [string, string][] => [...tree].filter(([path]) => path.endsWith('osm_data.json')); // prettier-ignore
    assert.deepEqual(data(await treeOf(dealt)), data(await treeOf(alone)));
  });

  it('osm refuses to have many workers ask the public server', async () => {
    const restore = setEnv({ IMAGESIM_OVERPASS: undefined });
    const asked = fetchOsmByQuadkey(33, sample, { shard: { index: 0, count: 4 } });
    restore();
    await assert.rejects(asked, /overpass-api\.de.* is not for 4 workers at once: give --source with a planet extract/);
  });
});

describe('infra: submit', () => {
  let made: string;
  let expected: Map<string, string>;
  const copy = async (): Promise<string> => {
    const folder = await emptyFolder();
    await cp(made, folder, { recursive: true, preserveTimestamps: true });
    return folder;
  };
  before(async () => {
    made = await emptyFolder();
    await smallDelivery(made, 33, CELLS);
    const alone = await copy();
    assert.equal((await imagesim(alone, CHIP)).code, 0);
    expected = await treeOf(alone);
  });

  describe('local', () => {
    it('does as one process does though a worker is killed, and says where the logs are', async () => {
      const data = await copy();
      const child = start(data, ['submit', '--engine', 'local', '--array', '2', '--', ...CHIP]);
      const run = ended(child);
      let worker: string | undefined;
      while (worker === undefined && child.exitCode === null) {
        await pause(20);
        worker = childrenOf(child.pid!)[0];
      }
      process.kill(Number(worker), 'SIGKILL');
      const { code, stdout, stderr } = await run;
      assert.match(
        stdout,
        /^2 of 2 shards finished in .*, 1 started again after a death; logs: .*\/jobs\/chip-/,
        stderr,
      );
      assert.equal(code, 0);
      assertSame(await treeOf(data), expected);
    });

    it('tells how far all are together, says of each that failed why, and does only that again', async () => {
      const data = await copy();
      const cells = (await filesUnder(join(data, 'ard'))).filter((path) => path.endsWith('.tif'));
      const { size } = await stat(join(data, 'ard', cells[2]));
      await writeFile(join(data, 'ard', cells[2]), Buffer.alloc(size)); // as long as it was: dealt out alike
      const job = arrayJob(CHIP, data, { array: CELLS });
      const progress: string[] = [];
      const { state, failed } = await submitArray(new LocalEngine(), job, { array: CELLS, everyMs: 100, onProgress: ({ done, total, note }) => progress.push(`${done}/${total} ${note}`) });
      assert.deepEqual([state.finished, state.failed], [CELLS - 1, 1]);
      const [{ shard, why, log }] = failed;
      assert.match(why, new RegExp(`^exit code 1: .*${cells[2].split('/')[1]}`));
      assert.match(await readFile(log, 'utf8'), /imagesim: /);
      assert.match(progress.at(-1)!, /^3\/3 1 failed, 3 of 3 cells$/);
      assert.equal(redoCommand(new LocalEngine(), job, failed), `imagesim submit --engine local --array ${CELLS} --only ${shard} -- chip --zone 33`);
      await cp(join(made, 'ard', cells[2]), join(data, 'ard', cells[2]), { preserveTimestamps: true });
      const again = arrayJob(CHIP, data, { array: CELLS, only: [shard] });
      assert.equal((await submitArray(new LocalEngine(), again, { array: CELLS, everyMs: 100 })).state.finished, 1);
      assertSame(await treeOf(data), expected);
    }); // prettier-ignore

    it('ends its workers when it is ended, and says how it goes on', async () => {
      const data = await copy();
      const stop = new AbortController();
      const running = submitArray(new LocalEngine(), arrayJob(CHIP, data, { array: 2 }), { array: 2, everyMs: 50, signal: stop.signal, onSubmit: () => setTimeout(() => stop.abort(), 100) }); // prettier-ignore
      await assert.rejects(running, /^Error: the workers have ended: the same command again goes on$/);
      assert.deepEqual(childrenOf(process.pid, ' chip '), []); // prettier-ignore
    });
  });

  describe('batch', () => {
    let batch: StandInBatch;
    let data: string;
    beforeEach(async () => {
      data = await copy();
      batch = await openBatch(data);
    });
    afterEach(() => batch.close());
    const submit = (...args: string[]): ChildProcess => start('/no/data', ['submit', '--engine', 'batch', ...args], batch.env); // prettier-ignore

    it('does as one process does though a machine is taken away, asking again where it is told to wait', async () => {
      batch.refuse(2);
      const child = submit('--array', '2', '--', ...CHIP);
      const run = ended(child);
      while (child.exitCode === null && !batch.loseMachine()) await pause(20);
      const { code, stdout, stderr } = await run;
      assert.match(stdout, /^2 of 2 shards finished/, stderr);
      assert.equal(code, 0);
      const [{ arrayProperties, containerOverrides }, ...more] = batch.submitted;
      assert.deepEqual([more, arrayProperties, containerOverrides?.command], [[], { size: 2 }, CHIP]);
      assertSame(await treeOf(data), expected);
    });

    it('names every child that failed, over the pages of the list, and does only those again, as jobs of their own', async () => {
      await rm(join(data, 'ard'), { recursive: true });
      const { code, stderr } = await ended(submit('--array', '3', '--cpus', '2', '--', ...CHIP));
      assert.equal(code, 1);
      for (const shard of [0, 1, 2]) assert.match(stderr, new RegExp(`^imagesim: shard ${shard}: exit code 1: Essential container in task exited \\(log: CloudWatch, /aws/batch/job imagesim/default/0\\)$`, 'm')); // prettier-ignore
      assert.match(
        stderr,
        /^only these again, where no tile has changed since: imagesim submit --engine batch --array 3 --only 0-2 --cpus 2 .*-- chip --zone 33$/m,
      );
      const { stdout } = await ended(submit('--array', '3', '--only', '0,2', '--dry-run', '--', ...CHIP));
      const again = JSON.parse(`[${stdout.replace('}\n{', '},{')}]`) as { arrayProperties?: object; containerOverrides: { command: string[] } }[]; // prettier-ignore
      assert.deepEqual(again.map(({ arrayProperties, containerOverrides }) => [arrayProperties, ...containerOverrides.command.slice(-2)]), [[undefined, '--shard', '0/3'], [undefined, '--shard', '2/3']]); // prettier-ignore
    });

    it('says in one line what Batch refuses', async () => {
      const { code, stdout, stderr } = await ended(submit('--array', '2', '--queue', 'none', '--', ...CHIP));
      assert.match(stderr, /^imagesim: AWS Batch: ClientException: .*JobQueue none not found\.\n$/);
      assert.deepEqual([code, stdout], [1, '']);
    });
  });

  describe('a verb that one worker merges', () => {
    const DEPLOY = ['similarity', 'deploy', '--zone', '33', '--model', 'small'];
    /** Runs nothing: of each job some shards have failed as soon as it is submitted. */
    const engineOf = (name: string, failed: (job: ArrayJob) => ShardFault[] = () => []): Engine & { jobs: ArrayJob[] } => {
      const jobs: ArrayJob[] = [];
      return {
        name, jobs,
        draft: () => '',
        submit: async (job) => `job ${jobs.push(job)}`,
        look: async (job) => {
          const faults = failed(job);
          return { waiting: 0, running: 0, restarts: 0, finished: job.shards.length - faults.length, failed: faults.length, faults };
        },
        leave: async () => '',
      };
    }; // prettier-ignore
    const job = arrayJob(DEPLOY, '/data', { array: 4, atOnce: 2 });
    const fault = { shard: 2, why: 'exit code 1', log: 'none' };

    it('is done once more, with all of it for one worker, when all have ended well', async () => {
      const engine = engineOf('slurm');
      const report = await submitArray(engine, job, { array: 4, merges: true });
      assert.deepEqual(engine.jobs, [job, { ...job, count: 1, shards: [0], folder: join(job.folder, 'merge'), atOnce: undefined, after: undefined }]);
      assert.deepEqual(report.merge, { folder: join(job.folder, 'merge'), failed: [] });
      await submitArray(engine, arrayJob(DEPLOY, '/data', { array: 1 }), { array: 1, merges: true });
      assert.equal(engine.jobs.length, 3); // one worker of one has merged already
    }); // prettier-ignore

    it('is not merged where a worker failed; a merge that fails is told as such', async () => {
      const engine = engineOf('slurm', () => [fault]);
      const report = await submitArray(engine, job, { array: 4, merges: true });
      assert.deepEqual([engine.jobs.length, report.merge, report.failed], [1, undefined, [fault]]);
      const failing = engineOf('slurm', ({ count }) => (count === 1 ? [{ ...fault, shard: 0 }] : []));
      const { merge, failed } = await submitArray(failing, job, { array: 4, merges: true });
      assert.deepEqual([merge!.failed[0].why, failed], ['exit code 1', []]);
    });

    it('has its merge wait for the array where nobody follows it, and its id is the one to wait for', async () => {
      const engine = engineOf('batch');
      const { id } = await submitArray(engine, job, { array: 4, merges: true, detach: true });
      assert.deepEqual([id, engine.jobs[1].after, engine.jobs[1].count], ['job 2', 'job 1', 1]);
      const local = submitArray(engineOf('local'), job, { array: 4, merges: true, detach: true });
      await assert.rejects(local, /^Error: local cannot be left before it has merged .*: leave out --detach$/);
    });

    it('is shown with its merge by a dry run, without where that is left', async () => {
      const dry = ['submit', '--engine', 'slurm', '--array', '4', '--dry-run'];
      const both = await imagesim(made, [...dry, '--', ...DEPLOY]);
      assert.deepEqual(both.stdout.match(/--shard "\$shard\/\d+"/g), ['--shard "$shard/4"', '--shard "$shard/1"']);
      const alone = await imagesim(made, [...dry, '--no-merge', '--', ...DEPLOY]);
      assert.deepEqual(alone.stdout.match(/#SBATCH --array=.*/g), ['#SBATCH --array=0-3']);
    });

    it('is that of the bucket where what is made goes to one, which every worker and the merge are told', async () => {
      for (const verb of [DEPLOY, ['change', '--zone', '33']]) {
        const { stdout } = await imagesim(made, ['submit', '--engine', 'slurm', '--array', '4', '--dry-run', '--', ...verb, '--to', 's3://b/here']); // prettier-ignore
        const told = stdout.match(/ --to \S*s3:\/\/b\/here\S* --shard "\$shard\/\d+"/g);
        assert.deepEqual(told?.map((line) => line.slice(-3)), ['/4"', '/1"']); // prettier-ignore
      }
    });

    it('is chip too where chips go to a bucket, which every worker and the merge are told', async () => {
      const { stdout } = await imagesim(made, ['submit', '--engine', 'slurm', '--array', '4', '--dry-run', '--', ...CHIP, '--to', 's3://b/here']); // prettier-ignore
      const told = stdout.match(/chip --zone 33 --to \S*s3:\/\/b\/here\S* --shard "\$shard\/\d+"/g);
      assert.deepEqual(told?.map((line) => line.slice(-3)), ['/4"', '/1"']); // prettier-ignore
    });
  });

  describe('what is submitted', () => {
    const job = (more: Partial<ArrayJob> = {}): ArrayJob => ({
      ...arrayJob(CHIP, "/data/it's $HOME", { array: 4 }),
      ...more,
    });

    it('to Slurm is a script that bash reads, with every worker’s shard of the whole array', () => {
      const script = new SlurmEngine('spot').draft(job({ shards: [1, 3], after: '17' }));
      execFileSync('bash', ['-n'], { input: script });
      for (const line of ['#SBATCH --array=1,3', '#SBATCH --requeue', '#SBATCH --partition=spot', '#SBATCH --dependency=afterok:17'])
        assert.ok(script.split('\n').includes(line), line);
      assert.match(script, / chip --zone 33 --shard "\$shard\/4"$/m);
      const read = execFileSync('bash', { input: `${script.split('\n').find((line) => line.startsWith('export'))}\nprintf '%s|%s' "$IMAGESIM_DATA" "$IMAGESIM_PROGRESS"`, env: { ...process.env, shard: '3' } }).toString();
      assert.match(read, /^\/data\/it's \$HOME\|\/data\/it's \$HOME\/jobs\/chip-\w+-\d+\/3\.progress\.json$/);
    }); // prettier-ignore

    it('to Batch is one request; a job to wait for and a single worker have theirs', () => {
      const [request] = JSON.parse(`[${new BatchEngine({ queue: 'q', definition: 'd' }).draft(job({ after: 'a,b' }))}]`) as Record<string, unknown>[];
      assert.deepEqual([request['jobQueue'], request['jobDefinition'], request['arrayProperties'], request['dependsOn']], ['q', 'd', { size: 4 }, [{ jobId: 'a' }, { jobId: 'b' }]]);
      const single = JSON.parse(new BatchEngine().draft(job({ count: 1, shards: [0] }))) as { arrayProperties?: object; containerOverrides: { command: string[] } };
      assert.deepEqual([single.arrayProperties, single.containerOverrides.command.slice(-2)], [undefined, ['--shard', '0/1']]);
    }); // prettier-ignore

    it('is refused where there is no such worker', () => {
      assert.throws(() => arrayJob(CHIP, '/data', { array: 4, only: [4] }), /^RangeError: an array of 4 has no worker 4: they are 0 to 3$/); // prettier-ignore
      assert.throws(() => arrayJob(CHIP, '/data', { array: 0 }), /^RangeError: submit requires a positive whole array, got 0$/); // prettier-ignore
    });

    const refused: [string[], RegExp][] = [
      [['doctor'], /^imagesim: doctor is no verb that is dealt out: .*sync, osm, chip, encode.* are\n$/],
      [['encode', '--zone', '33'], /^imagesim: encode lacks --model <model>\n$/],
      [['chip', '--zone', '33', '--colour', 'red'], /^imagesim: chip has no option --colour: imagesim chip --help lists them\n$/],
      [['chip', '--zone', '33', '--shard', '0/4'], /^imagesim: --shard is for the workers: leave it out\n$/],
      [['chip', '--zone', '61'], /^imagesim: option '--zone <n>' argument '61' is invalid\. expected a whole number, 1 to 60\./],
      [['sync'], /^imagesim: sync lacks <from>\n$/],
    ]; // prettier-ignore
    for (const [words, line] of refused) {
      it(`is refused before any worker: ${words.join(' ')}`, async () => {
        const run = await imagesim('/no/data', ['submit', '--engine', 'local', '--array', '2', '--', ...words]);
        assert.match(run.stderr, line);
        assert.deepEqual([run.code, run.stdout], [1, '']);
      });
    }

    it('may be said without -- where no option is called alike', async () => {
      const { stdout } = await imagesim('/data', ['submit', ...CHIP, '--engine', 'local', '--array', '2', '--dry-run']);
      assert.equal(stdout.split('\n')[2], 'imagesim chip --zone 33 --shard 1/2');
    });
  });
});

/** Processes that a process has started, with such words. */
function childrenOf(pid: number, words = ''): string[] {
  const table = execFileSync('ps', ['-ww', '-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  const rows = table.map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line)!);
  return rows.filter(([, , parent, args]) => parent === String(pid) && args.includes(words)).map(([, own]) => own);
}
