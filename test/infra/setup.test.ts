import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const stamps = [
  'node_modules/.imagesim-setup',
  'environment/node_modules/.imagesim-setup',
  'kernel-lib/dist/.imagesim-setup',
];
const written = [...stamps, 'environment/jupyter/python', 'environment/jupyter/kernels/tslab/kernel.json'];

describe('setup.sh', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'imagesim-setup-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const setup = (env: Record<string, string> = {}, ...args: string[]) =>
    spawnSync(join(root, 'setup.sh'), args, {
      encoding: 'utf8',
      env: { ...process.env, IMAGESIM_DATA: join(folder, 'data'), ...env },
    });

  /** Puts a `node` that says it is `version` first on the PATH. */
  const withNode = (program: string): Record<string, string> => {
    writeFileSync(join(folder, 'node'), program);
    chmodSync(join(folder, 'node'), 0o755);
    return { PATH: [folder, process.env['PATH']].join(delimiter) };
  };

  it('does nothing, says nothing and takes less than 5 s of the processor when everything is set up', () => {
    assert.equal(setup().status, 0);
    const before = written.map((file) => statSync(join(root, file)).mtimeMs);
    const timed = spawnSync('bash', ['-c', `TIMEFORMAT='%U %S'; time "$0"`, join(root, 'setup.sh')], {
      encoding: 'utf8',
      env: { ...process.env, IMAGESIM_DATA: join(folder, 'data') },
    });
    const { status, stdout: said } = timed;
    const [, stderr, user, system] = /^(.*?)([\d.]+) ([\d.]+)\n$/s.exec(timed.stderr) ?? [];
    const stdout = said
      .replace(/^setup: the command imagesim in .* belongs to .*\n/m, '') // another checkout's: always said
      .replace(/^setup: training runs on \w+, not on a GPU, .*\n/m, ''); // a trainer that lacks something says so each time
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
    assert.ok(Number(user) + Number(system) < 5, timed.stderr); // the clock would tell of what else runs
    assert.deepEqual(
      written.map((file) => statSync(join(root, file)).mtimeMs),
      before,
    );
  });

  it('lays out the data folder, given as itself or as its ard folder, and leaves what is there', () => {
    const { stdout } = setup({ IMAGESIM_DATA: join(folder, 'data', 'ard') });
    const folders = ['ard', 'chips', 'datasets', 'demo-ard', 'embeddings', 'models', 'notebooks'];
    assert.deepEqual(readdirSync(join(folder, 'data')).sort(), folders);
    assert.match(stdout, /^setup: folders in .*data: ard chips/);
    rmSync(join(folder, 'data', 'models'), { recursive: true });
    assert.match(setup().stdout, /^setup: folders in .*data: models\n$/);
  });

  it('says in one line where the data folder cannot be made', () => {
    writeFileSync(join(folder, 'file'), '');
    const { status, stderr } = setup({ IMAGESIM_DATA: join(folder, 'file', 'data') });
    assert.equal(status, 1);
    assert.match(stderr, /^setup\.sh: cannot make .*: set IMAGESIM_DATA to a folder that \S+ may write\n$/);
  });

  it('refuses a bucket as data folder, in one line', () => {
    const { status, stdout, stderr } = setup({ IMAGESIM_DATA: 's3://b/p' });
    const line =
      'setup.sh: IMAGESIM_DATA is s3://b/p: expected a folder on a disk; a bucket goes into IMAGESIM_DELIVERY\n';
    assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: '', stderr: line });
  });

  for (const version of ['v18.19.1', 'v20.18.3']) {
    it(`refuses Node ${version} in one line, before anything is done`, () => {
      const { status, stdout, stderr } = setup(withNode(`#!/bin/sh\necho ${version}\n`));
      assert.deepEqual({ status, stdout }, { status: 1, stdout: '' });
      assert.match(
        stderr,
        new RegExp(`^setup\\.sh: found Node ${version} \\(.*/node\\): install Node 22, or 20\\.19 and later .*\n$`),
      );
      assert.ok(!existsSync(join(folder, 'data')));
    });
  }

  it('says in one line that node is missing', () => {
    const { status, stderr } = spawnSync('/bin/bash', [join(root, 'setup.sh')], {
      encoding: 'utf8',
      env: { PATH: folderWithTools(folder) },
    });
    assert.equal(status, 1);
    assert.match(stderr, /^setup\.sh: found no node: install Node 22, or 20\.19 and later .*\n$/);
  });

  it('refuses an argument that it does not know', () => {
    const { status, stderr } = setup({}, 'tests');
    assert.deepEqual(
      { status, stderr },
      { status: 1, stderr: "setup.sh: unknown argument 'tests': it takes none, or one of datamaker, trainer, test\n" },
    );
  });

  it('refuses two arguments', () => {
    const { status, stderr } = setup({}, 'trainer', 'test');
    const line = 'setup.sh: found 2 arguments: it takes none, or one of datamaker, trainer, test\n';
    assert.deepEqual({ status, stderr }, { status: 1, stderr: line });
  });

  it('registers a kernel of this checkout, with the node that runs it', () => {
    setup();
    const { argv } = JSON.parse(readFileSync(join(root, 'environment/jupyter/kernels/tslab/kernel.json'), 'utf8')) as {
      argv: string[];
    };
    assert.ok(existsSync(argv[0]), argv[0]);
    assert.deepEqual(argv.slice(1), [
      '--require',
      join(root, 'environment/steady-kernel.cjs'),
      join(root, 'environment/node_modules/tslab/bin/tslab'),
      'kernel',
      '--config-path',
      '{connection_file}',
    ]);
  });
});

describe('setup.sh for a role', () => {
  let folder: string; // a copy of the checkout in which nothing is installed or built: programs of our own stand for npm, conda and nvidia-smi
  let programs: string;
  const data = join(tmpdir(), 'imagesim-role-data');
  before(() =>
    assert.equal(spawnSync(join(root, 'setup.sh'), { env: { ...process.env, IMAGESIM_DATA: data } }).status, 0),
  );
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'imagesim-role-'));
    programs = join(folder, 'programs');
    copyCheckout(folder);
    program('npm', `echo "npm $*" >>${folder}/calls\n[ "$1" = run ]`);
    program('apt-get', 'exit 1');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const environment = (): Record<string, string | undefined> => ({
    ...process.env,
    IMAGESIM_DATA: data,
    PATH: [programs, process.env['PATH']].join(delimiter),
    LD_LIBRARY_PATH: '',
  });
  after(() => rmSync(data, { recursive: true, force: true }));

  const setup = (...args: string[]): string[] => {
    const { status, stdout, stderr } = spawnSync(join(folder, 'setup.sh'), args, {
      encoding: 'utf8',
      env: environment(),
    });
    assert.equal(status, 0, stderr);
    return `${stdout}${stderr}`
      .split('\n')
      .filter((line) => line !== '' && !/ (building|registering|Jupyter of|the command) /.test(line));
  };
  const program = (name: string, lines: string, place = programs): void => {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, name), `#!/bin/sh\n${lines}\n`);
    chmodSync(join(place, name), 0o755);
  };
  const calls = (): string[] =>
    existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n') : [];
  const read = (file: string): string => readFileSync(join(folder, 'environment/jupyter', file), 'utf8').trim();
  const kernel = (): { env?: Record<string, string> } =>
    JSON.parse(read('kernels/tslab/kernel.json')) as { env?: Record<string, string> };

  /** A conda that makes an environment with a python that says it has Jupyter, and with CUDA when asked for. */
  const withConda = (): void =>
    program(
      'conda',
      `echo "conda $*" >>${folder}/calls
mkdir -p "$5/bin" "$5/lib"
printf '#!/bin/sh\\necho "$0"\\n' >"$5/bin/python"; chmod +x "$5/bin/python"
if grep -q '^  - cudatoolkit=11.2$' "$7" && grep -q '^  - cudnn=8.1$' "$7"; then touch "$5/lib/libcudart.so.11.0" "$5/lib/libcudnn.so.8"; fi`,
    );

  /** A tfjs-node-gpu that brings up a backend as the native one does, where CUDA's libraries are given to it. */
  const withGpuModule = (): void => {
    const place = join(folder, 'node_modules/@tensorflow/tfjs-node-gpu');
    mkdirSync(join(place, 'lib/napi-v8'), { recursive: true });
    mkdirSync(join(place, 'deps/lib'), { recursive: true });
    writeFileSync(join(place, 'lib/napi-v8/tfjs_binding.node'), '');
    writeFileSync(join(place, 'package.json'), '{ "name": "@tensorflow/tfjs-node-gpu", "main": "index.js" }');
    const backend = `Object.assign(new tf.KernelBackend(), { isUsingGpuDevice: (process.env.LD_LIBRARY_PATH ?? '').includes('conda-trainer/lib') })`;
    const load = `const tf = require('@tensorflow/tfjs-core'); tf.registerBackend('tensorflow', () => ${backend});`;
    writeFileSync(join(place, 'index.js'), `${load} tf.setBackend('tensorflow'); module.exports = tf;`);
  };

  it('says what a trainer could not get and what runs instead; the second time in one line, and asks npm no more', function () {
    if (hasCuda()) this.skip(); // then there is less to lack
    program('nvidia-smi', 'echo "NVIDIA-SMI has failed because it could not talk to the driver."; exit 9');
    const [npm, gpu, cuda, module, runs] = setup('trainer');
    assert.deepEqual(calls().slice(-1), ['npm install --no-save --no-audit --no-fund --loglevel=error']);
    assert.match(npm, /^setup: npm once more, for @tensorflow\/tfjs-node-gpu: /);
    assert.match(gpu, /^setup: could not get an NVIDIA GPU: nvidia-smi says 'NVIDIA-SMI has failed .*'; install the /);
    assert.match(
      cuda,
      /^setup: could not get CUDA 11\.2 and cuDNN 8\.1: found no libcudart\.so\.11\.0 libcudnn\.so\.8; /,
    );
    assert.match(module, /^setup: could not get @tensorflow\/tfjs-node-gpu: its binary did not come from /);
    assert.match(runs, /^setup: training runs on wasm: WebAssembly .*; @tensorflow\/tfjs-node-gpu is not installed; /);
    const before = calls().length;
    const wants = 'an NVIDIA GPU, CUDA 11.2 and cuDNN 8.1, @tensorflow/tfjs-node-gpu';
    assert.deepEqual(setup('trainer'), [`setup: training runs on wasm, not on a GPU, for want of ${wants}`]);
    assert.equal(calls().length, before);
  });

  it('tries again for the module when environment/jupyter/tried is removed, with rebuild where only its binary is missing', () => {
    setup('trainer');
    rmSync(join(folder, 'environment/jupyter/tried'), { recursive: true });
    mkdirSync(join(folder, 'node_modules/@tensorflow/tfjs-node-gpu'));
    setup('trainer');
    assert.deepEqual(calls().slice(-1), ['npm rebuild @tensorflow/tfjs-node-gpu --loglevel=error']);
  });

  it('makes the conda environment of the trainer, gives its libraries to the kernel, and trains on the GPU', () => {
    withConda();
    withGpuModule();
    program('nvidia-smi', 'echo "GPU 0: NVIDIA A10G"');
    const lines = setup('trainer');
    const place = join(folder, 'environment/jupyter/conda-trainer');
    assert.deepEqual(
      calls().filter((call) => call.startsWith('conda')),
      [`conda env create -q -p ${place} -f environment/trainer.yml`],
    );
    assert.ok(
      lines.includes(
        'setup: training runs on tensorflow-gpu: @tensorflow/tfjs-node-gpu runs native TensorFlow on a GPU',
      ),
    );
    assert.equal(read('python'), join(place, 'bin/python'));
    assert.deepEqual(kernel().env, {
      LD_LIBRARY_PATH: `${place}/lib:${folder}/node_modules/@tensorflow/tfjs-node-gpu/deps/lib`,
      CUDA_CACHE_MAXSIZE: '4294967296',
    });
    assert.deepEqual(setup('trainer'), []); // all is there: silent
    assert.equal(calls().filter((call) => call.startsWith('conda')).length, 1);
  });

  it('makes the environment anew when its file changes, and goes on without where conda fails', () => {
    withConda();
    setup('trainer');
    const file = join(folder, 'environment/trainer.yml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('notebook=7.4', 'notebook=7.5'));
    setup('trainer');
    assert.equal(calls().filter((call) => call.startsWith('conda')).length, 2);
    program('conda', 'echo "ResolvePackageNotFound: cudnn=8.1"; exit 1');
    writeFileSync(file, readFileSync(file, 'utf8').replace('notebook=7.5', 'notebook=7.6'));
    const said =
      'setup: conda could not make the environment of environment/trainer.yml: ResolvePackageNotFound: cudnn=8.1';
    assert.ok(setup('trainer').includes(said));
    assert.ok(!existsSync(join(folder, 'environment/jupyter/conda-trainer')));
    assert.ok(!setup('trainer').some((line) => line.includes('conda'))); // tried once
  });

  it('keeps the role for npm start, npm run lab and the tests, until it is given another', () => {
    setup('trainer');
    const spec = kernel();
    setup();
    setup('test');
    assert.deepEqual({ role: read('role'), spec: kernel() }, { role: 'trainer', spec });
    setup('datamaker');
    assert.deepEqual(kernel().env, undefined);
    assert.deepEqual(setup(), []);
  });

  it('takes the datamaker from conda where there is no Jupyter', () => {
    withConda();
    const place = join(folder, 'environment/jupyter/conda-datamaker');
    const script = join(folder, 'setup.sh');
    writeFileSync(script, readFileSync(script, 'utf8').replace('find_jupyter || ', '')); // this machine has one
    setup('datamaker');
    assert.deepEqual(
      calls().filter((call) => call.startsWith('conda')),
      [`conda env create -q -p ${place} -f environment/datamaker.yml`],
    );
    assert.equal(read('python'), join(place, 'bin/python'));
    assert.deepEqual(setup(), []);
  });
});

/** What setup.sh reads; the packages as links, so that one more can be put beside them. */
function copyCheckout(folder: string): void {
  const files = [
    'setup.sh',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'kernel-lib/package.json',
    'kernel-lib/tsconfig.json',
  ];
  for (const file of [
    ...files,
    ...['package.json', 'package-lock.json', 'datamaker.yml', 'trainer.yml'].map((f) => `environment/${f}`),
  ]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(root, file), join(folder, file));
  }
  symlinkSync(join(root, 'environment/node_modules'), join(folder, 'environment/node_modules'));
  linkEach('node_modules', folder, (name) => !['@tensorflow', 'tfjs-node-native'].includes(name));
  linkEach('node_modules/@tensorflow', folder, (name) => name !== 'tfjs-node-gpu');
  mkdirSync(join(folder, 'kernel-lib/dist'));
}

function hasCuda(): boolean {
  const known = spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? '';
  return known.includes('libcudart.so.11.0') || readdirSync('/usr/local').some((name) => name.startsWith('cuda-11'));
}

function linkEach(place: string, folder: string, wanted: (name: string) => boolean): void {
  mkdirSync(join(folder, place));
  for (const name of readdirSync(join(root, place)).filter(wanted))
    symlinkSync(join(root, place, name), join(folder, place, name));
}

/** A PATH with dirname only: all that setup.sh calls before it looks for node. */
function folderWithTools(folder: string): string {
  writeFileSync(join(folder, 'dirname'), '#!/bin/sh\nexec /usr/bin/dirname "$@"\n');
  chmodSync(join(folder, 'dirname'), 0o755);
  return folder;
}
