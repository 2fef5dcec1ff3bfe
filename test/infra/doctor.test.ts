import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { doctor } from 'imagesim/infra';
import { emptyFolder } from '../delivery.ts';

describe('doctor', () => {
  const path = process.env.PATH;
  afterEach(() => {
    process.env.PATH = path;
  });

  /** Puts a program that prints some lines first on the PATH. */
  const withProgram = async (name: string, lines: string): Promise<void> => {
    const folder = await emptyFolder();
    await writeFile(join(folder, name), `#!/bin/sh\nprintf '${lines}'\n`);
    await chmod(join(folder, name), 0o755);
    process.env.PATH = [folder, process.env.PATH].join(delimiter);
  };

  it('looks at six things, and gives a remedy with a warning and only then', async () => {
    const findings = await doctor(await emptyFolder());
    assert.deepEqual(findings.map(({ what }) => what), ['Node', 'cores', 'memory', 'free disk', 'Jupyter', 'GPU']); // prettier-ignore
    for (const { found, verdict, remedy } of findings) {
      assert.ok(found.length > 0);
      assert.equal(remedy.length > 0, verdict === 'warning');
    }
    assert.deepEqual(findings[0], { what: 'Node', found: process.versions.node, verdict: 'ok', remedy: '' });
    assert.match(findings[3].found, /^\d+\.\d GB$/);
  });

  it('names every GPU of the machine', async () => {
    await withProgram('nvidia-smi', 'Tesla V100-SXM2-16GB, 16384 MiB\\nTesla V100-SXM2-16GB, 16384 MiB\\n');
    const gpu = (await doctor(await emptyFolder())).find(({ what }) => what === 'GPU')!;
    assert.deepEqual(gpu, { what: 'GPU', found: '2 × Tesla V100-SXM2-16GB, 16384 MiB', verdict: 'ok', remedy: '' });
  });

  it('says that there is no GPU where no driver answers, and that it does not matter much', async () => {
    process.env.PATH = await emptyFolder();
    const gpu = (await doctor(await emptyFolder())).find(({ what }) => what === 'GPU')!;
    assert.deepEqual([gpu.found, gpu.verdict], ['none', 'warning']);
    assert.match(gpu.remedy, /^training runs on the CPU/);
  });

  it('finds the Jupyter that setup.sh found, whatever is on the PATH', async () => {
    process.env.PATH = await emptyFolder();
    const jupyter = (await doctor(await emptyFolder())).find(({ what }) => what === 'Jupyter')!;
    assert.deepEqual([jupyter.verdict, jupyter.remedy], ['ok', '']);
    assert.match(jupyter.found, /^nbconvert \d+\.\d+/);
  });

  it('names a data folder that is not there, and says how to make it', async () => {
    await assert.rejects(
      doctor('/no/such'),
      new Error('no data folder /no/such: run ./setup.sh, or set IMAGESIM_DATA'),
    );
  });

  it('says that a data folder is a file', async () => {
    const file = join(await emptyFolder(), 'file');
    await writeFile(file, '');
    await assert.rejects(doctor(file), new Error(`${file} is a file: set IMAGESIM_DATA to a folder`));
  });
});
