import assert from 'node:assert/strict';
import { DataFrame } from 'danfojs-node';
import { showIn, type Table, type TableOptions } from 'imagesim/show';
import { recordingKernel, words } from './recording.ts';

function tabled(table: Table, options?: TableOptions): string {
  const { kernel, outputs } = recordingKernel();
  showIn(kernel).table(table, options);
  return outputs[0];
}

describe('show.table', () => {
  it('shows three figures of the largest in a column and sets thousands apart from 10,000 on', () => {
    const html = tabled([
      { tag: 'building', chips: 12034, share: 0.4312, year: 2021 },
      { tag: 'leisure', chips: 9, share: 0.02, year: 2022 },
    ]);
    assert.equal(words(html), 'tag chips share year building 12,034 0.431 2021 leisure 9 0.020 2022');
  });

  it('writes a value that would round to nothing as a power of ten', () => {
    assert.equal(words(tabled([{ p: 0.41 }, { p: 3.1e-7 }])), 'p 0.410 3.1e−7');
  });

  it('sets numbers to the right, a column with text in it to the left', () => {
    const html = tabled([
      { count: 1, mixed: 'a' },
      { count: null, mixed: 2 },
    ]);
    assert.equal(html.match(/<td class="ims-number">/g)?.length, 2);
  });

  it('says n of m rows where it is cut, and nothing where it is not', () => {
    const rows = Array.from({ length: 30 }, (_, row) => ({ row }));
    assert.match(words(tabled(rows, { limit: 5 })), /4 5 of 30 rows$/);
    assert.ok(!tabled(rows, { limit: 30 }).includes('rows</p>'));
  });

  it('takes a danfojs DataFrame', () => {
    const frame = new DataFrame({ zone: [33, 34], label: ['urban', 'water'] });
    assert.equal(words(tabled(frame)), 'zone label 33 urban 34 water');
  });

  it('shows a dash for what is missing and has a column for every key of any row', () => {
    assert.equal(words(tabled([{ a: 1 }, { a: NaN, b: null }])), 'a b 1 – – –');
  });

  it('escapes cells, heads and the title', () => {
    const html = tabled([{ '<b>': '<img src=x onerror=alert(1)>' }], { title: '<u>' });
    assert.ok(!/<b>|<img|<u>/.test(html));
  });

  it('refuses a limit that is not positive', () => {
    assert.throws(() => tabled([], { limit: 0 }), {
      name: 'RangeError',
      message: 'table requires a positive limit, got 0',
    });
  });
});
