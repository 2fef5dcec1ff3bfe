import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Progress } from 'imagesim/ard';
import { chooseNotebooks, openLab, runNotebooks } from 'imagesim/infra';
import { notebookOf } from '../delivery.ts';

const here = import.meta.dirname;

describe('runNotebooks', () => {
  let notebooksDir: string;
  let outputDir: string;
  beforeEach(async () => {
    notebooksDir = await mkdtemp(join(here, '.notebooks-')); // in the checkout, so that the cells find its packages
    outputDir = join(notebooksDir, 'executed');
  });
  afterEach(() => rm(notebooksDir, { recursive: true, force: true }));
  const put = (name: string, ...cells: string[]): Promise<void> =>
    writeFile(join(notebooksDir, `${name}.ipynb`), notebookOf(cells));

  it('runs notebooks in the order of their numbers, each in its folder with the environment given, and reports every cell; the pages ask the network, and the disk around them, for nothing', async () => {
    await put('02-second', `import { readFileSync } from 'node:fs';\nconsole.log(readFileSync('note.txt', 'utf8'));`);
    await put(
      '01-first',
      `import { writeFileSync } from 'node:fs';`,
      `writeFileSync('note.txt', process.env.NOTE + '\\nlast');\nconsole.log('wrote note.txt');`,
    );
    const seen: Progress[] = [];
    const runs = await runNotebooks({
      notebooksDir,
      outputDir,
      env: { NOTE: 'first' },
      onProgress: (progress) => seen.push(progress),
    });
    assert.deepEqual(
      runs.map(({ name, lastLine }) => [name, lastLine]),
      [
        ['01-first', 'wrote note.txt'],
        ['02-second', 'last'],
      ],
    );
    assert.deepEqual((await readdir(outputDir)).sort(), [
      '01-first.html',
      '01-first.ipynb',
      '02-second.html',
      '02-second.ipynb',
    ]);
    assert.deepEqual(seen.at(-1), { done: 3, total: 3, unit: 'cells', note: '02-second: done' });
    assert.ok(runs.every(({ seconds, peakMemoryBytes }) => seconds > 0 && peakMemoryBytes > 5e7));
    const page = await readFile(runs[0].html, 'utf8');
    assert.ok(page.includes('wrote note.txt'));
    assert.deepEqual(page.match(/<(script|link|img|iframe)\b[^>]*(src|href)="?(?!data:)[^>]*>/g), null);
    assert.deepEqual(page.match(/@import|url\(['"]?(https?:|file:|\/\/)/g), null);
  });

  const failures: [what: string, cell: string, words: RegExp][] = [
    ['an error', `throw new Error('no chip in Z33-031');`, /Error: no chip in Z33-031/],
    ['a wrong type', `const zone: number = 'Z33';`, /1:7 - Type 'string' is not assignable to type 'number'/],
    [
      'a promise that nobody awaited',
      `Promise.reject(new Error('too late'));\nawait new Promise((wake) => setTimeout(wake, 50));`,
      /UnhandledPromiseRejection: Error: too late/,
    ],
    [
      'a cell that has written more than a pipe takes',
      `for (let line = 0; line < 150; line++) console.error('x'.repeat(3000));\nthrow new Error('too much');`,
      /Error: too much/,
    ],
    ['a kernel that dies', `process.exit(1);`, /the kernel died/],
  ];
  for (const [what, cell, words] of process.env.IMAGESIM_PROOF ? failures : failures.slice(1, 3)) {
    it(`names notebook, cell and error of ${what}, keeps the notebook as far as it came, and runs no further`, async () => {
      await put('01-first', `console.log('fine');`, cell, `console.log('never');`);
      await put('02-second', `console.log('never');`);
      const error = await runNotebooks({ notebooksDir, outputDir }).then(
        () => assert.fail('it ran through'),
        (reason: Error) => reason,
      );
      assert.match(
        error.message,
        /^01-first\.ipynb failed in cell \[2\]: .* \(as far as it came: .*01-first\.failed\.ipynb\)$/,
      );
      assert.match(error.message, words);
      assert.deepEqual(await readdir(outputDir), ['01-first.failed.ipynb']);
      const kept = await readFile(join(outputDir, '01-first.failed.ipynb'), 'utf8');
      assert.ok(kept.includes('"fine\\n"') && !kept.includes('"never\\n"'));
    });
  }

  it('goes on where packages change beneath an open notebook, and takes the copy of a run that failed away', async () => {
    const about = join(notebooksDir, 'node_modules/roofs/package.json');
    await mkdir(dirname(about), { recursive: true });
    await writeFile(about, JSON.stringify({ name: 'roofs', main: 'index.js', types: 'index.d.ts' }));
    await writeFile(join(about, '../index.js'), 'exports.roofs = 7;');
    await writeFile(join(about, '../index.d.ts'), 'export declare const roofs: number;');
    await mkdir(outputDir);
    await writeFile(join(outputDir, '01-first.failed.ipynb'), notebookOf([]));
    await put(
      '01-first',
      `import { roofs } from 'roofs';\nimport { appendFileSync } from 'node:fs';`,
      `appendFileSync('node_modules/roofs/package.json', ' ');\nawait new Promise((wake) => setTimeout(wake, 500));`,
      `console.log(roofs, 'roofs');`,
    );
    const [{ lastLine }] = await runNotebooks({ notebooksDir, outputDir });
    assert.equal(lastLine, '7 roofs');
    assert.deepEqual((await readdir(outputDir)).sort(), ['01-first.html', '01-first.ipynb']);
  });

  it('ends the kernel and leaves nothing behind when it is stopped', async () => {
    await put(
      '01-first',
      `import { writeFileSync } from 'node:fs';\nwriteFileSync('pid', String(process.pid));`,
      `await new Promise((wake) => setTimeout(wake, 600_000));`,
    );
    const stop = new AbortController();
    const onProgress = ({ done }: Progress): void => {
      if (done === 1) setTimeout(() => stop.abort(new Error('enough')), 300);
    };
    await assert.rejects(runNotebooks({ notebooksDir, outputDir, signal: stop.signal, onProgress }), {
      message: 'enough',
    });
    assert.deepEqual(await readdir(outputDir), []);
    const pid = await readFile(join(notebooksDir, 'pid'), 'utf8');
    const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', pid], { encoding: 'utf8' });
    assert.match(stdout, /^(Z.*\n)?$/, `the kernel ${pid} still runs`);
  });

  it('runs those that are named, by name, number or word, and says which there are where it knows none', async () => {
    for (const name of ['01-first', '02-second']) await put(name, `console.log('${name}');`);
    for (const name of ['02-second', '02', 'second'])
      assert.deepEqual(await chooseNotebooks(notebooksDir, [name]), ['02-second']);
    const runs = await runNotebooks({ notebooksDir, outputDir, names: ['02'] });
    assert.deepEqual(runs.map((run) => run.name), ['02-second']); // prettier-ignore
    await assert.rejects(runNotebooks({ notebooksDir, outputDir, names: ['third'] }), {
      message: `no notebook third in ${notebooksDir}: there are 01-first, 02-second`,
    });
  });

  it('says in one line what is wrong with a folder or a file that is no notebook', async () => {
    await assert.rejects(runNotebooks({ notebooksDir, outputDir }), {
      message: `no notebook in ${notebooksDir}: name the folder that holds 01-infra.ipynb`,
    });
    await assert.rejects(
      runNotebooks({ notebooksDir: '/nowhere', outputDir }),
      /^Error: cannot read the notebooks in \/nowhere: ENOENT/,
    );
    await writeFile(join(notebooksDir, '01-broken.ipynb'), '{}');
    await assert.rejects(runNotebooks({ notebooksDir, outputDir }), /^Error: .*01-broken\.ipynb is not a notebook/);
  });
});

describe('openLab', () => {
  it('serves the notebooks with the TypeScript kernel on 127.0.0.1, to those who have the token only', async () => {
    const lab = await openLab({ notebooksDir: here, log: 'ignore' });
    try {
      const url = new URL(lab.url);
      assert.equal(url.hostname, '127.0.0.1');
      const ask = (path: string, headers: Record<string, string>): Promise<Response> =>
        fetch(new URL(path, url), { headers, redirect: 'manual' });
      assert.notEqual((await ask('/api/kernelspecs', {})).status, 200);
      const answer = await ask('/api/kernelspecs', { authorization: `token ${url.searchParams.get('token')}` });
      const { default: first, kernelspecs } = (await answer.json()) as {
        default: string;
        kernelspecs: Record<string, unknown>;
      };
      assert.equal(first, 'tslab');
      assert.ok('tslab' in kernelspecs);
      await assert.rejects(openLab({ notebooksDir: here, port: Number(url.port), log: 'ignore' }), {
        message: `port ${url.port} is taken: end what listens there, or give another with --port`,
      });
    } finally {
      await lab.close();
    }
  });
});
