import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { showIn } from 'imagesim/show';
import { recordingKernel, words } from './recording.ts';

describe('show.checks', () => {
  it('shows every claim with a tick where all hold', () => {
    const { kernel, outputs } = recordingKernel();
    showIn(kernel).checks([
      ['four bands', true],
      ['no overlap', true, '0 of 12'],
    ]);
    assert.equal(words(outputs[0]), '✓ four bands ✓ no overlap 0 of 12');
  });

  it('shows all, then throws naming every claim that fails with what was found', () => {
    const { kernel, outputs } = recordingKernel();
    const facts = [
      ['four bands', true],
      ['no overlap', false, '3 of 12'],
      ['sorted', false],
    ] as const;
    assert.throws(() => showIn(kernel).checks(facts), { message: '2 of 3 checks fail: no overlap (3 of 12); sorted' });
    assert.equal(words(outputs[0]), '✓ four bands ✗ no overlap 3 of 12 ✗ sorted');
  });

  it('refuses to check nothing', () => {
    assert.throws(() => showIn(recordingKernel().kernel).checks([]), {
      name: 'RangeError',
      message: 'checks requires at least one fact, got none',
    });
  });
});

describe('show.wrote', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imagesim-wrote-'));
    await mkdir(join(folder, 'chips', '33'), { recursive: true });
    for (const name of ['a', '33/b']) await writeFile(join(folder, 'chips', name), Buffer.alloc(1500));
    await writeFile(join(folder, 'index.json'), '{}');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('counts files and bytes, in a box and in one printed line', async () => {
    const { kernel, outputs } = recordingKernel();
    const printed: string[] = [];
    const { log } = console;
    console.log = (line: string) => printed.push(line);
    try {
      await showIn(kernel).wrote([
        [join(folder, 'chips'), 'the chips'],
        [join(folder, 'index.json'), 'their index'],
      ]);
    } finally {
      console.log = log;
    }
    assert.deepEqual(printed, [
      `wrote ${folder}/chips: the chips (2 files, 3 kB); ${folder}/index.json: their index (2 bytes)`,
    ]);
    assert.equal(
      words(outputs[0]),
      `Written ${folder}/chips the chips 2 files, 3 kB ${folder}/index.json their index 2 bytes`,
    );
  });

  it('names what is not there', async () => {
    const { kernel } = recordingKernel();
    await assert.rejects(showIn(kernel).wrote([[join(folder, 'gone'), 'nothing']]), {
      message: `nothing was written to ${folder}/gone: run the cell that writes it again`,
    });
  });
});

describe('show.markdown', () => {
  it('passes the text on as it is', () => {
    const { kernel, outputs } = recordingKernel();
    showIn(kernel).markdown('**three** changes');
    assert.deepEqual(outputs, ['**three** changes']);
  });
});
