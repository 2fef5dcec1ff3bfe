import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

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

  it('does nothing, says nothing and takes less than 5 s when everything is set up', () => {
    assert.equal(setup().status, 0);
    const before = written.map((file) => statSync(join(root, file)).mtimeMs);
    const started = performance.now();
    const { status, stdout: said, stderr } = setup();
    const stdout = said.replace(/^setup: the command imagesim in .* belongs to .*\n/, ''); // another checkout's: always said
    const seconds = (performance.now() - started) / 1000;
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
    assert.ok(seconds < 5, `${seconds} s`);
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
      { status: 1, stderr: "setup.sh: unknown argument 'tests': it takes none, or the word test\n" },
    );
  });

  it('registers a kernel of this checkout, with the node that runs it', () => {
    setup();
    const { argv } = JSON.parse(readFileSync(join(root, 'environment/jupyter/kernels/tslab/kernel.json'), 'utf8')) as {
      argv: string[];
    };
    assert.ok(existsSync(argv[0]), argv[0]);
    assert.deepEqual(argv.slice(1), [
      join(root, 'environment/node_modules/tslab/bin/tslab'),
      'kernel',
      '--config-path',
      '{connection_file}',
    ]);
  });
});

/** A PATH with dirname only: all that setup.sh calls before it looks for node. */
function folderWithTools(folder: string): string {
  writeFileSync(join(folder, 'dirname'), '#!/bin/sh\nexec /usr/bin/dirname "$@"\n');
  chmodSync(join(folder, 'dirname'), 0o755);
  return folder;
}
