import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NAMES, cellsOf, notebooks } from './executed.ts';

describe('notebooks, as committed', () => {
  it('are the seven stages, without outputs', () => {
    assert.deepEqual(readdirSync(notebooks).filter((name) => name.endsWith('.ipynb')), NAMES.map((name) => `${name}.ipynb`)); // prettier-ignore
    for (const name of NAMES) {
      assert.ok(
        cellsOf(join(notebooks, `${name}.ipynb`)).every(({ outputs = [] }) => outputs.length === 0),
        name,
      );
    }
  });

  it('import only imagesim, tslab and node', () => {
    for (const name of NAMES) {
      const code = cellsOf(join(notebooks, `${name}.ipynb`)).filter(({ cell_type }) => cell_type === 'code');
      const imports = code.flatMap(({ source }) =>
        [...source.join('').matchAll(/from '([^']+)'/g)].map(([, from]) => from),
      );
      assert.ok(imports.length > 0);
      assert.ok(
        imports.every((from) => /^(imagesim\/\w+|tslab|node:.*)$/.test(from)),
        `${name}: ${imports.join()}`,
      );
    }
  });

  it('ask one question, set values once, check facts and end by saying what was written', () => {
    for (const name of NAMES) {
      const cells = cellsOf(join(notebooks, `${name}.ipynb`));
      const prose = cells.filter(({ cell_type }) => cell_type === 'markdown').map(({ source }) => source.join(''));
      assert.match(prose[0], /^# \d\d · \w+\n\n\*\*[^*]+\?\*\*/, name);
      for (const heading of ['## Settings', '## Check', '## What we have now']) {
        assert.equal(prose.filter((text) => text.startsWith(heading)).length, 1, `${name}: ${heading}`);
      }
      assert.match(cells.at(-1)!.source.join(''), /show\.wrote\(/);
    }
  });
});
