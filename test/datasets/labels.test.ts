import assert from 'node:assert/strict';
import { type ChipLabels, labelChips } from 'imagesim/datasets';
import type { ChipTag } from 'imagesim/statistics';
import { schema } from './ground.ts';

const tag = (chip: string, name: string, amounts: Partial<ChipTag>): ChipTag => ({
  chip, tag: name, elements: 1, area: 0, length: 0, points: 0, ...amounts,
}); // prettier-ignore
const [house, street, tree] = schema.labels.map(({ label }) => label);

describe('labelChips', () => {
  const labelsOf = (...tags: ChipTag[]): ChipLabels => labelChips(['A'], tags, schema).get('A')!;

  it('calls a label present from its threshold on, unknown below it, absent where there is none', () => {
    for (const [area, value] of [[0.05, 1], [0.8, 1], [0.0499, null]] as const) // prettier-ignore
      assert.deepEqual(labelsOf(tag('A', 'building=house', { area })).labels, { [house]: value, [street]: 0, [tree]: 0 }); // prettier-ignore
    for (const [length, value] of [
      [20, 1],
      [19.9, null],
    ] as const)
      // prettier-ignore
      assert.equal(labelsOf(tag('A', 'highway=service', { length })).labels[street], value);
    assert.deepEqual(labelsOf(tag('A', 'natural=tree', { points: 2 })).labels, { [house]: 0, [street]: 0, [tree]: 1 });
  });

  it('adds up the tags that give one label', () => {
    const both = [tag('A', 'highway=service', { length: 12 }), tag('A', 'highway=residential', { length: 8 })];
    assert.equal(labelsOf(...both).labels[street], 1);
    assert.equal(labelsOf(both[0]).labels[street], null);
  });

  it('counts points with a buffer where a rule measures what is near', () => {
    const rule = { label: 'tower', tags: ['power=tower', 'man_made=mast'], measure: 'near' as const, atLeast: 2 };
    const near = [['A', 'power=tower', 1], ['A', 'man_made=mast', 1], ['B', 'power=tower', 1]].map(([chip, name, count]) => ({ chip: `${chip}`, tag: `${name}`, near: Number(count) })); // prettier-ignore
    const found = labelChips(['A', 'B', 'C'], [], { version: 1, labels: [rule] }, { near });
    assert.deepEqual(['A', 'B', 'C'].map((chip) => found.get(chip)!.labels['tower']), [1, null, 0]); // prettier-ignore
  });

  it('weighs a chip in which nothing is mapped by how complete the map of its cell is', () => {
    const [here, there] = ['Z33-031133012203000000', 'Z33-031133012212000000'];
    const completeness = new Map([['Z33-031133012203', 0.9]]);
    const found = labelChips([here, there], [], schema, { completeness });
    assert.deepEqual([found.get(here)!.weight, found.get(there)!.weight], [0.9, 0.5]);
  });

  it('calls a label unknown where its tag is there in another measure alone', () => {
    assert.equal(labelsOf(tag('A', 'building=house', { points: 1 })).labels[house], null);
  });

  it('believes absence less in a chip where nothing at all is mapped', () => {
    const of = (unmappedWeight?: number): number[] =>
      [...labelChips(['A', 'B'], [tag('A', 'barrier=fence', { length: 1 })], schema, unmappedWeight === undefined ? {} : { unmappedWeight }).values()].map(({ weight }) => weight); // prettier-ignore
    assert.deepEqual(of(), [1, 0.5]);
    assert.deepEqual(of(0), [1, 0]);
    assert.deepEqual(of(1), [1, 1]);
  });

  it('labels exactly the chips asked for, each by its own tags', () => {
    const labelled = labelChips(
      ['B', 'A', 'B'],
      [tag('A', 'natural=tree', { points: 1 }), tag('C', 'natural=tree', { points: 1 })],
      schema,
    );
    assert.deepEqual([...labelled.keys()], ['B', 'A']);
    assert.deepEqual([...labelled.values()].map(({ labels }) => labels[tree]), [0, 1]); // prettier-ignore
  });

  it('refuses a weight that is none', () => {
    for (const unmappedWeight of [-0.1, 1.1, Number.NaN])
      assert.throws(() => labelChips([], [], schema, { unmappedWeight }), {
        name: 'RangeError',
        message: `labelChips requires an unmappedWeight of 0–1, got ${unmappedWeight}`,
      });
  });
});
