import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Measured,
  type LabelSchema,
  measureOf,
  proposeSchema,
  readSchema,
  writeSchema,
} from 'imagesim/statistics';
import { emptyFolder } from '../delivery.ts';

const row = (tag: string, amounts: Partial<Measured> & { points?: number }): Measured => ({
  tag,
  hectares: 0,
  kilometres: 0,
  ...amounts,
});

const atlas = [
  row('building=house', { hectares: 3 }),
  row('highway=service', { kilometres: 2 }),
  row('natural=tree', { points: 9 }),
  row('surface=asphalt', { hectares: 1, kilometres: 2, points: 3 }),
];

describe('label schema', () => {
  it('measures a tag by area where it has any, else by length, else by points', () => {
    assert.deepEqual(atlas.map(measureOf), ['area', 'length', 'points', 'area']);
  });

  it('proposes one label for each tag, with the measure’s own threshold', () => {
    assert.deepEqual(proposeSchema(atlas.slice(0, 3)), {
      version: 1,
      labels: [
        { label: 'building=house', tags: ['building=house'], measure: 'area', atLeast: 0.05 },
        { label: 'highway=service', tags: ['highway=service'], measure: 'length', atLeast: 20 },
        { label: 'natural=tree', tags: ['natural=tree'], measure: 'points', atLeast: 1 },
      ],
    });
    const loose = proposeSchema(atlas.slice(0, 3), { area: 0.01, length: 5, points: 3 });
    assert.deepEqual(loose.labels.map(({ atLeast }) => atLeast), [0.01, 5, 3]); // prettier-ignore
  });

  it('refuses to propose nothing', () => {
    assert.throws(() => proposeSchema([]), /RangeError: proposeSchema requires at least one tag, got none/);
  });

  it('comes back from disk as it was written, as text that people can read', async () => {
    const path = join(await emptyFolder(), 'datasets/zone33.schema.json');
    const schema = proposeSchema(atlas);
    await writeSchema(path, schema);
    assert.deepEqual(await readSchema(path), schema);
    assert.match(await readFile(path, 'utf8'), /^\{\n {2}"version": 1,\n[^]*\}\n$/);
  });

  describe('refuses a file', () => {
    const good = proposeSchema(atlas.slice(0, 1));
    const [rule] = good.labels;
    const faults: [string, unknown, RegExp][] = [
      ['of another version', { ...good, version: 2 }, /no label schema at version: /],
      ['with no label', { ...good, labels: [] }, /at labels: /],
      ['with a label twice', { ...good, labels: [rule, rule] }, /at labels: a label is there twice/],
      ['with a threshold of 0', { ...good, labels: [{ ...rule, atLeast: 0 }] }, /at labels\.0\.atLeast: /],
      ['with a tag that has no value', { ...good, labels: [{ ...rule, tags: ['building'] }] }, /at labels\.0\.tags\.0: /],
      ['with an unknown measure', { ...good, labels: [{ ...rule, measure: 'weight' }] }, /at labels\.0\.measure: /],
      ['with a field that it does not know', { ...good, labels: [{ ...rule, atMost: 1 }] }, /at labels\.0: .*atMost/],
      ['that is a list', [], /at the top: /],
    ]; // prettier-ignore
    for (const [name, content, message] of faults) {
      it(`${name}, naming it and the entry`, async () => {
        const path = join(await emptyFolder(), 'wrong.schema.json');
        await writeSchema(path, content as LabelSchema);
        await assert.rejects(readSchema(path), (error: Error) => {
          assert.match(error.message, message);
          assert.match(error.message, /wrong\.schema\.json is .*; mend it, or run 04-statistics again$/);
          return true;
        });
      });
    }

    it('that is not there, or is no JSON', async () => {
      const path = join(await emptyFolder(), 'none.json');
      await assert.rejects(readSchema(path), /cannot read .*none\.json: ENOENT/);
      await writeFile(path, 'labels: 1');
      await assert.rejects(readSchema(path), /none\.json is not JSON/);
    });
  });
});
