import assert from 'node:assert/strict';
import { filterTags } from 'imagesim/statistics';

describe('filterTags', () => {
  const rows = ['a=1', 'b=2', 'c=3', 'd=4', 'e=5', 'f=6'].map((tag, chips) => ({ tag, chips }));

  it('says what each step kept, of how many, and what it left out', () => {
    const filtered = filterTags(rows).keep('in 4 chips or more', ({ chips }) => chips >= 4).keep('not f', ({ tag }) => tag !== 'f=6'); // prettier-ignore
    assert.deepEqual(filtered.rows, [rows[4]]);
    assert.deepEqual(filtered.steps, [
      { step: 'in 4 chips or more', of: 6, kept: 2, leftOut: 'a=1, b=2, c=3 and 1 more' },
      { step: 'not f', of: 2, kept: 1, leftOut: 'f=6' },
    ]);
  });

  it('leaves the chain before a step as it was', () => {
    const all = filterTags(rows);
    const none = all.keep('none', () => false);
    assert.deepEqual([all.rows.length, all.steps.length, none.rows.length], [6, 0, 0]);
    assert.equal(none.keep('still none', () => true).steps[1].of, 0);
  });
});
