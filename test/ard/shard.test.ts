import assert from 'node:assert/strict';
import { environmentShard, parseShard, shardOf } from 'imagesim/ard';
import seedrandom from 'seedrandom';

describe('ard shard', () => {
  it('reads i/n, from 0', () => {
    assert.deepEqual(parseShard('0/4'), { index: 0, count: 4 });
    assert.deepEqual(parseShard('11/12'), { index: 11, count: 12 });
    for (const text of ['4/4', '1', '-1/4', '1/0', 'a/b', '1.5/4', '', '1/4/2'])
      assert.throws(() => parseShard(text), /^RangeError: no shard ".*": expected i\/n with i from 0 to n - 1/);
  });

  it('reads the array jobs of Slurm, wherever they begin and however they step, and of AWS Batch', () => {
    assert.equal(environmentShard({}), undefined);
    const slurm = (id: string, min: string, step: string): object => ({ SLURM_ARRAY_TASK_ID: id, SLURM_ARRAY_TASK_MIN: min, SLURM_ARRAY_TASK_STEP: step, SLURM_ARRAY_TASK_COUNT: '4' }); // prettier-ignore
    assert.deepEqual(environmentShard({ ...slurm('3', '1', '1') }), { index: 2, count: 4 });
    assert.deepEqual(environmentShard({ ...slurm('14', '8', '2') }), { index: 3, count: 4 });
    const batch = { AWS_BATCH_JOB_ARRAY_INDEX: '0', AWS_BATCH_JOB_ARRAY_SIZE: '3' };
    assert.deepEqual(environmentShard(batch), { index: 0, count: 3 });
  });

  it('refuses a job that does not know of how many it is', () => {
    assert.throws(
      () => environmentShard({ AWS_BATCH_JOB_ARRAY_INDEX: '2' }),
      /AWS_BATCH_JOB_ARRAY_INDEX is 2 and AWS_BATCH_JOB_ARRAY_SIZE not set: give --shard/,
    );
    assert.throws(() => environmentShard({ SLURM_ARRAY_TASK_ID: '9', SLURM_ARRAY_TASK_COUNT: '4' }), RangeError);
  });

  it('deals every unit to one shard, in order, and none has more than the lightest and one unit', () => {
    const random = seedrandom('shards');
    for (let round = 0; round < 50; round++) {
      const units = Array.from({ length: 1 + Math.floor(random() * 60) }, (_, id) => ({ id, bytes: Math.floor(random() ** 3 * 1e8) })); // prettier-ignore
      const count = 1 + Math.floor(random() * 9);
      const shards = Array.from({ length: count }, (_, index) => shardOf(units, { index, count }, ({ bytes }) => bytes)); // prettier-ignore
      assert.deepEqual(shards.flat().toSorted((a, b) => a.id - b.id), units); // prettier-ignore
      for (const shard of shards) assert.deepEqual(shard, shard.toSorted((a, b) => a.id - b.id)); // prettier-ignore
      const loads = shards.map((shard) => shard.reduce((sum, { bytes }) => sum + bytes, 0));
      const heaviest = Math.max(...units.map(({ bytes }) => bytes));
      assert.ok(Math.max(...loads) - Math.min(...loads) <= heaviest + units.length);
    }
  });

  it('deals units without weight evenly', () => {
    const sizes = [0, 1, 2].map((index) => shardOf('abcdefg'.split(''), { index, count: 3 }, () => 0).length);
    assert.deepEqual(sizes, [3, 2, 2]);
  });
});
