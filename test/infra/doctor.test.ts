import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { chmod, mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { partName } from 'imagesim/ard';
import { type DoctorOptions, type Finding, doctor, findingLines, projectRoot } from 'imagesim/infra';
import { trainingBackend } from 'imagesim/training';
import { type Bucket, openBucket, setEnv } from '../bucket.ts';
import { emptyFolder } from '../delivery.ts';

const folders = ['ard', 'chips', 'datasets', 'models', 'embeddings', 'demo-ard', 'notebooks'];
const nowhere = { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1', AWS_ACCESS_KEY_ID: 'X', AWS_SECRET_ACCESS_KEY: 'X' };

/** A data folder as setup.sh lays it out. */
async function layout(): Promise<string> {
  const data = await emptyFolder();
  for (const name of folders) await mkdir(join(data, name));
  return data;
}

async function writeProgram(path: string, script: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

/** What is looked at in a checkout, by programs that take their time; nothing of it tells of the machine, the data or the buckets. */
const ofCheckout = new Set(['kernel-lib', 'kernel', 'Jupyter']);

/** The row of one thing. */
async function rowOf(what: string, data: string, options: DoctorOptions = {}): Promise<Finding | undefined> {
  const networkTimeoutMs = process.env.AWS_ENDPOINT_URL_S3 === nowhere.AWS_ENDPOINT_URL_S3 ? 50 : 5000;
  const bare = ofCheckout.has(what) ? {} : { checkout: '/no/checkout' };
  const findings = await doctor(data, { networkTimeoutMs, ...bare, ...options });
  for (const { found, verdict, remedy } of findings) {
    assert.ok(found.length > 0);
    assert.equal(remedy === '', verdict === 'ok');
    assert.ok(!`${found}${remedy}`.includes('\n'));
  }
  return findings.find((finding) => finding.what === what);
}

const row = (what: string, verdict: Finding['verdict'], found: string, remedy = ''): Finding => ({ what, found, verdict, remedy }); // prettier-ignore

/** Fails unless the row's verdict is as given and its texts match. */
function isRow(finding: Finding | undefined, verdict: Finding['verdict'], found: RegExp, remedy = /^$/): void {
  assert.ok(finding);
  assert.equal(finding.verdict, verdict, JSON.stringify(finding));
  assert.match(finding.found, found);
  assert.match(finding.remedy, remedy);
}

describe('doctor', () => {
  const path = process.env.PATH;
  let restore: () => void;
  beforeEach(() => {
    restore = setEnv({ ...nowhere, IMAGESIM_BUCKET: undefined });
  });
  afterEach(() => {
    restore();
    process.env.PATH = path;
  });

  /** Puts a program first on the PATH. */
  const withProgram = async (name: string, script: string): Promise<void> => {
    const folder = await emptyFolder();
    await writeProgram(join(folder, name), script);
    process.env.PATH = [folder, process.env.PATH].join(delimiter);
  };

  it('looks at the machine, the data folder, the kernel, the GPU and the buckets, in this order', async () => {
    const findings = await doctor(await layout(), { backend: trainingBackend, networkTimeoutMs: 50 });
    assert.deepEqual(findings.map(({ what }) => what), [
      'Node', 'cores', 'memory', 'free disk', 'data folder', 'imagery', 'unfinished files', 'kernel-lib', 'kernel', 'Jupyter', 'GPU',
      'training backend', 'S3', 'open data',
    ]); // prettier-ignore
    assert.ok(findings.every(({ verdict }) => verdict !== 'error'));
  });

  it('stops when it is told to', async () => {
    const reason = new Error('enough');
    await assert.rejects(doctor(await layout(), { signal: AbortSignal.abort(reason) }), reason);
    const stop = new AbortController();
    const backend = async (): Promise<never> => {
      stop.abort(reason);
      return pause(60_000, undefined as never, { ref: false });
    };
    await assert.rejects(doctor(await layout(), { signal: stop.signal, backend }), reason);
  });

  describe('on the machine', () => {
    it('knows which Node is too old', async () => {
      const { versions } = process;
      assert.deepEqual(await rowOf('Node', '/no'), row('Node', 'ok', versions.node));
      try {
        Object.defineProperty(process, 'versions', { value: { ...versions, node: '20.18.3' } });
        assert.deepEqual(await rowOf('Node', '/no'), row('Node', 'warning', '20.18.3', 'install Node 22, or 20.19 and later')); // prettier-ignore
      } finally {
        Object.defineProperty(process, 'versions', { value: versions });
      }
    });

    it('takes a container’s memory for its own where that is less than the machine’s', async () => {
      const own = Object.getOwnPropertyDescriptor(process, 'constrainedMemory')!;
      try {
        process.constrainedMemory = () => 0; // not known
        const whole = await rowOf('memory', '/no');
        assert.match(whole!.found, /^\d+ GB$/);
        process.constrainedMemory = () => 2 ** 64; // no limit
        assert.deepEqual(await rowOf('memory', '/no'), whole);
        process.constrainedMemory = () => 2e9;
        isRow(await rowOf('memory', '/no'), 'warning', /^2 GB, all that this container may take of \d+ GB$/, /^give the container 8 GB/); // prettier-ignore
      } finally {
        Object.defineProperty(process, 'constrainedMemory', own);
      }
    });

    it('names every GPU, with its driver', async () => {
      const line = 'Tesla V100-SXM2-16GB, 16384 MiB, 535.183.01';
      await withProgram('nvidia-smi', `printf '${`${line}\\n`.repeat(4)}'`);
      assert.deepEqual(await rowOf('GPU', '/no'), row('GPU', 'ok', '4 × Tesla V100-SXM2-16GB, 16384 MiB, driver 535.183.01')); // prettier-ignore
    });

    it('says that there is no GPU where there is no driver, and that it does not matter much', async () => {
      process.env.PATH = await emptyFolder();
      isRow(await rowOf('GPU', '/no'), 'warning', /^none$/, /^training runs on the processor/);
    });

    it('gives the driver’s own words where it fails', async () => {
      await withProgram('nvidia-smi', "echo 'NVIDIA-SMI has failed because it could not reach the driver.'; exit 9");
      isRow(await rowOf('GPU', '/no'), 'warning', /^NVIDIA-SMI has failed/, /^install the NVIDIA driver again/);
    });
  });

  describe('on the training backend', () => {
    it('has it compute, and says what would be faster', async () => {
      const { name, why, faster } = await trainingBackend();
      const finding = await rowOf('training backend', '/no', { backend: trainingBackend });
      isRow(finding, faster ? 'warning' : 'ok', new RegExp(`^${name}: ${why.slice(0, 20)}`), faster ? /^faster: / : /^$/); // prettier-ignore
    });

    it('is content with one that nothing would make faster', async () => {
      const backend = async () => ({ name: 'tensorflow-gpu', why: 'it is there', faster: '' });
      assert.deepEqual(await rowOf('training backend', '/no', { backend }), row('training backend', 'ok', 'tensorflow-gpu: it is there')); // prettier-ignore
    });

    it('says so where it computes wrong, or fails', async () => {
      const { tf, ...trainer } = await trainingBackend();
      const wrong = async () => ({ ...trainer, tf: { ...tf, sum: (tf as { mean: unknown }).mean } });
      isRow(await rowOf('training backend', '/no', { backend: wrong }), 'warning', /^\w+ computes wrong: .* are 9 1 1/, /^run .\/setup.sh trainer/); // prettier-ignore
      const broken = async (): Promise<never> => Promise.reject(new Error('no backend\nat all'));
      isRow(await rowOf('training backend', '/no', { backend: broken }), 'warning', /^no backend$/, /setup.sh trainer/); // prettier-ignore
    });
  });

  describe('on the data folder', () => {
    it('finds its disk and its folders', async () => {
      const data = await layout();
      isRow(await rowOf('free disk', data), 'ok', /^\d+\.\d GB$/);
      const expected = row('data folder', 'ok', `${data}: ${folders.join(' ')}`);
      assert.deepEqual(await rowOf('data folder', data), expected);
      assert.deepEqual(await rowOf('data folder', join(data, 'ard')), expected);
    });

    it('names a folder that it lacks, one that is a file included', async () => {
      const data = await emptyFolder();
      await mkdir(join(data, 'chips'));
      await writeFile(join(data, 'ard'), '');
      const lacks = row('data folder', 'warning', `${data} lacks ard datasets models embeddings demo-ard notebooks`, 'run ./setup.sh'); // prettier-ignore
      assert.deepEqual(await rowOf('data folder', data), lacks);
    });

    it('says where it is not there, or is a file, and leaves out what lies in it', async () => {
      const file = join(await emptyFolder(), 'file');
      await writeFile(file, '');
      assert.deepEqual(await rowOf('data folder', '/no/such'), row('data folder', 'error', '/no/such is not there', 'run ./setup.sh, or set IMAGESIM_DATA')); // prettier-ignore
      assert.deepEqual(await rowOf('data folder', file), row('data folder', 'error', `${file} is a file`, 'set IMAGESIM_DATA to a folder')); // prettier-ignore
      for (const what of ['free disk', 'imagery', 'unfinished files']) assert.equal(await rowOf(what, '/no/such'), undefined); // prettier-ignore
    });

    it('says where it cannot be written, and where its disk is full', async function () {
      if (process.platform !== 'linux') this.skip();
      isRow(await rowOf('data folder', '/proc/sys'), 'error', /^\/proc\/sys cannot be written: the folder itself$/, /^give it to this user, or set IMAGESIM_DATA/); // prettier-ignore
      isRow(await rowOf('free disk', '/proc/sys'), 'warning', /^0\.0 GB$/, /^free some space under \/proc\/sys/);
    });

    it('counts the cells of every zone', async () => {
      isRow(await rowOf('imagery', await layout()), 'warning', /^none$/, /^run imagesim sync/);
      const data = await layout();
      for (const cell of ['33/031111212030', '33/031111212031', '04/300000000000'])
        await mkdir(join(data, 'ard', cell), { recursive: true });
      assert.deepEqual(await rowOf('imagery', data), row('imagery', 'ok', 'zone 4: 1 cell, zone 33: 2 cells'));
    });

    it('finds what dead runs left half-written, however deep, and not what is being written', async () => {
      const data = await layout();
      const folder = join(data, 'chips/33/031111212030/2022-06-14');
      await mkdir(folder, { recursive: true });
      await writeFile(partName(join(folder, 'a.jpg')), 'alive');
      const dead = (file: string): string => partName(file).replace(/-\d+-(\w+-\d+\.part)$/, '-4194305-$1'); // beyond the largest number of a process
      assert.deepEqual(await rowOf('unfinished files', data), row('unfinished files', 'ok', 'none'));
      await writeFile(dead(join(folder, 'b.jpg')), new Uint8Array(1.5e6));
      await writeFile(dead(join(data, 'nodata-index.json')), '{');
      isRow(await rowOf('unfinished files', data), 'warning', /^2 of runs that broke off, 1\.5 MB, as .*\.part$/, /^run the same step again/); // prettier-ignore
    });
  });

  describe('on the kernel', () => {
    const kernelFile = 'environment/jupyter/kernels/tslab/kernel.json';

    /** A checkout with a library of one file, a kernel and a Jupyter of one's own. */
    const checkoutWith = async (programs: { python?: string; node?: string; tslab?: string } = {}): Promise<string> => {
      const checkout = await emptyFolder();
      const write = async (name: string, text: string): Promise<void> => {
        await mkdir(dirname(join(checkout, name)), { recursive: true });
        await writeFile(join(checkout, name), text);
      };
      const tslab = await writeProgram(join(checkout, 'tslab/bin/tslab'), programs.tslab ?? '');
      await write('tslab/package.json', '{ "version": "1.2.3" }');
      await write('notebooks/01.ipynb', '{}');
      await write(kernelFile, JSON.stringify({ argv: [programs.node ?? process.execPath, tslab, 'kernel', '{connection_file}'], language: 'typescript' })); // prettier-ignore
      await write('environment/jupyter/python', `${programs.python ?? (await readFile(join(projectRoot(), 'environment/jupyter/python'), 'utf8'))}\n`); // prettier-ignore
      await write('kernel-lib/ard/grid.ts', '');
      await write('kernel-lib/dist/ard/grid.js', '');
      return checkout;
    };

    it('starts it, and has it run a cell that imports the library', async () => {
      isRow(await rowOf('kernel', '/no', { kernel: true }), 'ok', /^tslab 1\.\d+\.\d+ on Node [\d.]+, has run a cell that imports imagesim$/); // prettier-ignore
      isRow(await rowOf('kernel', '/no'), 'ok', /^tslab 1\.\d+\.\d+ on Node [\d.]+$/);
    });

    it('says so where it dies before it answers', async () => {
      const checkout = await checkoutWith({ tslab: 'exit 3', node: '/bin/sh' });
      await writeProgram(join(checkout, 'sh'), '[ "$1" = --version ] && echo v22.1.0 || exit 3');
      const spec = { argv: [join(checkout, 'sh'), join(checkout, 'tslab/bin/tslab'), '{connection_file}'], display_name: 'T', language: 'typescript' }; // prettier-ignore
      await writeFile(join(checkout, kernelFile), JSON.stringify(spec));
      isRow(await rowOf('kernel', '/no', { checkout }), 'ok', /^tslab 1\.2\.3 on Node 22\.1\.0$/);
      isRow(await rowOf('kernel', '/no', { checkout, kernel: true }), 'error', /^RuntimeError: Kernel died/, /^run .\/setup.sh$/); // prettier-ignore
    });

    it('says what is wrong with a broken kernel.json, and that there is none', async () => {
      const checkout = await checkoutWith();
      for (const text of ['{ "argv": [', '{}', '{ "argv": "node" }', '{ "argv": ["node"] }']) {
        await writeFile(join(checkout, kernelFile), text);
        assert.deepEqual(await rowOf('kernel', '/no', { checkout }), row('kernel', 'error', `${join(checkout, kernelFile)} is damaged`, 'run ./setup.sh')); // prettier-ignore
      }
      assert.deepEqual(await rowOf('kernel', '/no', { checkout: '/no' }), row('kernel', 'error', 'not registered', 'run ./setup.sh')); // prettier-ignore
    });

    it('says where its Node or its tslab is gone, or too old', async () => {
      const old = await writeProgram(join(await emptyFolder(), 'node'), 'echo v18.20.1');
      const cases: [string, string, RegExp][] = [
        ['/no/node', 'tslab/bin/tslab', /^its Node does not run: spawn \/no\/node ENOENT$/],
        [old, 'tslab/bin/tslab', /^its Node is too old, .*\/node says v18\.20\.1$/],
        [process.execPath, 'gone/bin/tslab', /^its tslab is gone: .*\/gone\/bin\/tslab$/],
      ];
      for (const [node, tslab, found] of cases) {
        const checkout = await checkoutWith();
        await writeFile(join(checkout, kernelFile), JSON.stringify({ argv: [node, join(checkout, tslab)] }));
        isRow(await rowOf('kernel', '/no', { checkout }), 'error', found, /^run .\/setup.sh$/);
      }
    });

    it('finds the Jupyter that setup.sh found, whatever is on the PATH', async () => {
      process.env.PATH = await emptyFolder();
      isRow(await rowOf('Jupyter', '/no'), 'ok', /^(JupyterLab|classic notebook) \d+\.\d.*, nbconvert \d+\.\d/);
    });

    it('says what a Jupyter lacks, that it does not run, or that there is none', async () => {
      const says = async (...packages: string[]): Promise<Finding | undefined> => {
        const python = await writeProgram(join(await emptyFolder(), 'python'), packages.map((line) => `echo ${line}`).join('\n')); // prettier-ignore
        return rowOf('Jupyter', '/no', { checkout: await checkoutWith({ python }) });
      };
      const whole = [
        'jupyterlab 4.4.1',
        'notebook 7.4.0',
        'nbconvert 7.16.0',
        'nbclient 0.10.2',
        'jupyter_client 8.6.3',
      ];
      assert.deepEqual(await says(...whole), row('Jupyter', 'ok', 'JupyterLab 4.4.1, nbconvert 7.16.0'));
      isRow(await says(...whole.slice(2)), 'error', /lacks jupyterlab or notebook$/, /^run .\/setup.sh$/);
      isRow(await says(...whole.slice(0, 3)), 'error', /lacks nbclient, jupyter_client$/, /^run .\/setup.sh$/);
      isRow(await says('no', 'exit 1'), 'error', /lacks jupyterlab or notebook, nbconvert, nbclient, jupyter_client$/, /setup/); // prettier-ignore
      isRow(await rowOf('Jupyter', '/no', { checkout: await checkoutWith({ python: '/no/python' }) }), 'error', /^\/no\/python does not run: spawn/, /^run .\/setup.sh$/); // prettier-ignore
      assert.deepEqual(await rowOf('Jupyter', '/no', { checkout: '/no' }), row('Jupyter', 'error', 'not found', 'run ./setup.sh')); // prettier-ignore
    });

    it('knows a library that is not built, or not from its sources', async () => {
      const checkout = await checkoutWith();
      const now = new Date();
      const set = (name: string, seconds: number): Promise<void> => utimes(join(checkout, 'kernel-lib', name), now, now.getTime() / 1000 + seconds); // prettier-ignore
      await set('dist/ard/grid.js', 10);
      assert.deepEqual(await rowOf('kernel-lib', '/no', { checkout }), row('kernel-lib', 'ok', 'built from the sources that are there')); // prettier-ignore
      await set('ard/grid.ts', 20);
      assert.deepEqual(await rowOf('kernel-lib', '/no', { checkout }), row('kernel-lib', 'warning', 'built before 1 of its sources changed, as ard/grid.ts', 'run npm run build')); // prettier-ignore
      await mkdir(join(checkout, 'bare/kernel-lib'), { recursive: true });
      assert.deepEqual(await rowOf('kernel-lib', '/no', { checkout: join(checkout, 'bare') }), row('kernel-lib', 'error', 'not built', 'run npm run build')); // prettier-ignore
    });
  });

  describe('on the buckets', () => {
    const address = 's3://imagesim-storage';
    const keys = ['ard/33/a', 'chips/33/b', 'datasets/c', 'models/d', 'demo-ard/e', 'nodata-index.json'];
    let bucket: Bucket;
    before(async () => {
      bucket = await openBucket();
    });
    after(() => bucket.close());
    beforeEach(() => {
      const { env } = bucket;
      const nobody = restore;
      const away = setEnv(env);
      restore = () => {
        away();
        nobody();
        bucket.between(undefined);
      };
    });

    const s3 = (): Promise<Finding | undefined> => rowOf('S3', '/no');
    const withEnv = async (env: Record<string, string | undefined>): Promise<Finding | undefined> => {
      const back = setEnv(env);
      return s3().finally(back);
    };

    it('says which prefixes are there, which are missing, and what lies beside them', async () => {
      assert.deepEqual(await s3(), row('S3', 'ok', `${address} can be read`));
      isRow(await rowOf('bucket layout', '/no'), 'warning', /^nothing of ours; no ard, chips, .*nodata-index.json$/, /^once there is something: imagesim sync chips s3:\/\/imagesim-storage/); // prettier-ignore
      for (const key of keys.slice(1)) await bucket.upload(key, 'x');
      assert.deepEqual(await rowOf('bucket layout', '/no'), row('bucket layout', 'warning', 'chips datasets models demo-ard nodata-index.json; no ard', 'put the imagery there, as Maxar delivers it')); // prettier-ignore
      for (const key of [keys[0], ...[1, 2, 3, 4, 5, 6, 7].map((i) => `other${i}/f`)]) await bucket.upload(key, 'x');
      assert.deepEqual(await rowOf('bucket layout', '/no'), row('bucket layout', 'ok', 'ard chips datasets models demo-ard nodata-index.json; beside them other1 other2 other3 other4 other5 and 2 more')); // prettier-ignore
    });

    it('looks at another bucket, or a prefix, where IMAGESIM_BUCKET names it', async () => {
      isRow(await withEnv({ IMAGESIM_BUCKET: 'imagesim-none' }), 'warning', /^s3:\/\/imagesim-none cannot be read: there is no such bucket$/, /^check its name/); // prettier-ignore
      const back = setEnv({ IMAGESIM_BUCKET: `${address}/mine` });
      await bucket.upload('mine/ard/33/a', 'x');
      await bucket.upload('mine/notes.txt', 'x');
      isRow(await rowOf('bucket layout', '/no').finally(back), 'warning', /^ard; no chips, .*; beside them notes\.txt$/, /imagesim sync chips s3:\/\/imagesim-storage\/mine,/); // prettier-ignore
    });

    it('finds Maxar’s open data, without credentials', async () => {
      isRow(await rowOf('open data', '/no'), 'warning', /^s3:\/\/maxar-opendata cannot be read: there is no such bucket$/, /^check its name/); // prettier-ignore
      let signed = false;
      bucket.between(async (context, next) => {
        signed ||= context.path.startsWith('/maxar-opendata') && context.get('authorization') !== '';
        if (context.path.startsWith('/maxar-opendata')) {
          context.type = 'xml';
          context.body =
            '<ListBucketResult><CommonPrefixes><Prefix>events/</Prefix></CommonPrefixes></ListBucketResult>';
        } else await next();
      });
      assert.deepEqual(await rowOf('open data', '/no'), row('open data', 'ok', 's3://maxar-opendata can be read: events')); // prettier-ignore
      assert.equal(signed, false);
    });

    it('says that access is denied, or that the bucket lies in another region', async () => {
      const answer = (status: number, code: string, message: string): void =>
        bucket.between((context) => {
          [context.status, context.type] = [status, 'xml'];
          context.body = `<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
        });
      answer(403, 'AccessDenied', 'User x is not authorized');
      isRow(await s3(), 'warning', /^s3:\/\/imagesim-storage cannot be read: access is denied$/, /^ask for s3:ListBucket .*\(User x is not authorized\)$/); // prettier-ignore
      assert.equal(await rowOf('bucket layout', '/no'), undefined);
      answer(400, 'AuthorizationHeaderMalformed', "the region 'a' is wrong; expecting 'b'");
      isRow(await s3(), 'warning', /cannot be read: the bucket lies in another region$/, /^set AWS_REGION to it .*expecting 'b'/); // prettier-ignore
      answer(418, 'Teapot', 'short and stout');
      isRow(await s3(), 'warning', /cannot be read: S3 answers Teapot$/, /^short and stout; try again later$/);
    });

    it('says that there are no credentials, or none that are known there', async () => {
      const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_PROFILE: undefined, AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/no/config', AWS_SHARED_CREDENTIALS_FILE: '/no/credentials' }; // prettier-ignore
      isRow(await withEnv(none), 'warning', /cannot be read: there are no credentials$/, /^set AWS_PROFILE, or AWS_ACCESS_KEY_ID/); // prettier-ignore
      isRow(await withEnv({ AWS_ACCESS_KEY_ID: 'X' }), 'warning', /cannot be read: the access key is not known there$/, /^set AWS_PROFILE/); // prettier-ignore
    });

    it('says that nobody answers, at once or never, and waits no longer than it may', async () => {
      const deaf = createServer().listen(0, '127.0.0.1');
      const { port } = await new Promise<AddressInfo>((resolve) => deaf.once('listening', () => resolve(deaf.address() as AddressInfo))); // prettier-ignore
      const back = setEnv({ AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` });
      const started = performance.now();
      const findings = await doctor('/no', { networkTimeoutMs: 1000 }).finally(back);
      assert.ok(performance.now() - started < 15_000);
      const silent = findings.filter(({ what }) => what === 'S3' || what === 'open data');
      assert.deepEqual(silent.map(({ found, verdict }) => `${verdict}: ${found}`), ['warning: no answer in 1 s', 'warning: no answer in 1 s']); // prettier-ignore
      for (const { remedy } of silent) assert.match(remedy, /^check the network, and AWS_ENDPOINT_URL_S3/);
      deaf.close();
      isRow(await withEnv({ AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:2' }), 'warning', /cannot be read: nobody answers$/, /^check the network.*127\.0\.0\.1:2\)$/); // prettier-ignore
    });
  });

  describe('as imagesim doctor', () => {
    const run = (data: string, ...flags: string[]): SpawnSyncReturns<string> =>
      spawnSync(process.execPath, [join(projectRoot(), 'kernel-lib/dist/cli.js'), 'doctor', ...flags], {
        env: { ...process.env, ...nowhere, IMAGESIM_DATA: data },
        encoding: 'utf8',
      });

    it('prints one JSON line a finding, has the kernel run, and asks what trains there', async () => {
      const { status, stdout, stderr } = run(await layout(), '--json');
      assert.deepEqual([status, stderr], [0, '']);
      const findings = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Finding); // prettier-ignore
      isRow(
        findings.find(({ what }) => what === 'kernel'),
        'ok',
        /has run a cell that imports imagesim$/,
      );
      const { name } = await trainingBackend();
      assert.match(findings.find(({ what }) => what === 'training backend')!.found, new RegExp(`^${name}: `));
    });

    it('exits with 1 where the work cannot go on', () => {
      const { status, stdout, stderr } = run('/no/such');
      assert.deepEqual([status, stderr], [1, '']);
      assert.match(stdout, /^✗ data folder +\/no\/such is not there\n +→ run .\/setup.sh, or set IMAGESIM_DATA$/m);
      assert.match(stdout, /^✓ Node +\d/m);
      assert.match(stdout, / 1 ✗ that it cannot go on without\n$/);
    });
  });

  it('shows as lines, a sign before each and the remedy below', () => {
    const findings = [row('Node', 'ok', '22.1.0'), row('free disk', 'warning', '1.0 GB', 'free some'), row('kernel', 'error', 'gone', 'run ./setup.sh')]; // prettier-ignore
    assert.deepEqual(findingLines(findings), [
      '✓ Node       22.1.0',
      '! free disk  1.0 GB',
      '             → free some',
      '✗ kernel     gone',
      '             → run ./setup.sh',
      '',
      '1 of 3 ✓, 1 ! that the work goes on without, 1 ✗ that it cannot go on without',
    ]);
    assert.deepEqual(findingLines(findings.slice(0, 1)).at(-1), 'all 1 as they should be');
  });
});
