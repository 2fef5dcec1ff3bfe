import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Progress, eachUnit } from 'imagesim/ard';

describe('eachUnit', () => {
  it('gives results in the order of the units, whichever ends first', async () => {
    const work = async (wait: number, index: number): Promise<string> => {
      await sleep(wait);
      return `${index}: ${wait}`;
    };
    assert.deepEqual(await eachUnit([12, 1, 6, 0], 'waits', work, { concurrency: 4 }), ['0: 12', '1: 1', '2: 6', '3: 0']); // prettier-ignore
  });

  it('has at most `concurrency` units under way, two where nothing is said', async () => {
    for (const concurrency of [1, 3, undefined, 50]) {
      let now = 0;
      let most = 0;
      const work = async (): Promise<void> => {
        most = Math.max(most, ++now);
        await sleep(1);
        now--;
      };
      await eachUnit(Array.from({ length: 12 }), 'units', work, { concurrency });
      assert.equal(most, Math.min(concurrency ?? 2, 12));
    }
  });

  it('reports after every unit, and nothing for none', async () => {
    const seen: Progress[] = [];
    const onProgress = (progress: Progress): number => seen.push(progress);
    assert.deepEqual(await eachUnit([], 'cells', async () => 1, { onProgress }), []);
    assert.deepEqual(seen, []);
    await eachUnit([5, 6], 'cells', async () => 1, { onProgress });
    assert.deepEqual(seen, [
      { done: 1, total: 2, unit: 'cells' },
      { done: 2, total: 2, unit: 'cells' },
    ]);
  });

  it('deals out nothing after an error, and waits for what is under way', async () => {
    const log: string[] = [];
    const work = async (unit: number): Promise<void> => {
      log.push(`begin ${unit}`);
      await sleep(unit === 0 ? 20 : 2);
      if (unit === 1) throw new Error('unit 1');
      log.push(`end ${unit}`);
    };
    await assert.rejects(eachUnit([0, 1, 2, 3, 4, 5], 'units', work, { concurrency: 2 }), new Error('unit 1'));
    assert.deepEqual(log, ['begin 0', 'begin 1', 'end 0']);
  });

  it('throws the error that came first in time, where several units fail', async () => {
    const work = async (unit: number): Promise<void> => {
      await sleep(unit === 0 ? 20 : 2);
      throw new Error(`unit ${unit}`);
    };
    await assert.rejects(eachUnit([0, 1], 'units', work, { concurrency: 2 }), new Error('unit 1'));
  });

  it('stops before the next unit when it is told to, with the reason that was given', async () => {
    const stop = new AbortController();
    const reason = new Error('interrupted');
    const done: number[] = [];
    const work = async (unit: number): Promise<void> => {
      if (unit === 2) stop.abort(reason);
      done.push(unit);
    };
    const { signal } = stop;
    await assert.rejects(eachUnit([0, 1, 2, 3, 4], 'units', work, { signal, concurrency: 1 }), reason);
    assert.deepEqual(done, [0, 1, 2]);
    await assert.rejects(eachUnit([9], 'units', work, { signal }), reason);
    assert.deepEqual(done, [0, 1, 2]);
  });

  it('throws what a report throws', async () => {
    const onProgress = (): never => assert.fail('no report');
    await assert.rejects(eachUnit([1], 'units', async () => 1, { onProgress }), /no report/); // prettier-ignore
  });

  it('refuses a concurrency below one, rather than do nothing', async () => {
    for (const concurrency of [0, -1, Number.NaN]) {
      await assert.rejects(
        eachUnit([1], 'cells', async () => 1, { concurrency }),
        new RangeError(`concurrency is ${concurrency}: expected 1 or more cells at once`),
      );
    }
  });
});
