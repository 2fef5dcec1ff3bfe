import assert from 'node:assert/strict';
import { showIn } from 'imagesim/show';
import { recordingKernel, words } from './recording.ts';

describe('show.progress', () => {
  let clock = 0;
  const start = (label: string) => {
    clock = 0;
    const recording = recordingKernel();
    return { ...recording, report: showIn(recording.kernel, { now: () => clock }).progress(label) };
  };

  it('says units, rate and time left from the pace since the first report, so that units found done do not count', () => {
    const { report, outputs } = start('Cutting chips');
    report({ done: 100, total: 300, unit: 'cells' });
    clock = 10_000;
    report({ done: 120, total: 300, unit: 'cells', note: 'Z33-031' });
    assert.equal(words(outputs[0]), 'Cutting chips 120 of 300 cells · 2 cells/s · about 1 min 30 s left Z33-031');
  });

  it('overwrites one output and ends as one line with the time taken', () => {
    const { report, outputs } = start('Cutting chips');
    for (let done = 1; done <= 40; done++) {
      clock += 300;
      report({ done, total: 40, unit: 'cells', bytes: done * 1e6 });
    }
    assert.equal(outputs.length, 1);
    assert.equal(words(outputs[0]), '✓ Cutting chips 40 cells · 40 MB · in 12 s');
  });

  it('draws at most five times a second, and the last state always', () => {
    const { report, calls, outputs } = start('Encoding');
    for (let done = 1; done <= 1000; done++) {
      clock += 1;
      report({ done, total: 1000, unit: 'chips' });
    }
    assert.ok(calls() <= 7, `${calls()} draws in one second`);
    assert.match(words(outputs[0]), /^✓ Encoding 1000 chips/);
  });

  it('counts a rate below one a second by the minute', () => {
    const { report, outputs } = start('Training');
    report({ done: 0, total: 10, unit: 'epochs' });
    clock = 120_000;
    report({ done: 1, total: 10, unit: 'epochs' });
    assert.match(words(outputs[0]), /0\.5 epochs\/min · about 18 min 00 s left/);
  });

  it('says so where nothing is to do', () => {
    const { report, outputs } = start('Cutting chips');
    report({ done: 0, total: 0, unit: 'cells' });
    assert.equal(words(outputs[0]), '✓ Cutting chips nothing to do');
  });

  it('escapes label and note', () => {
    const { report, outputs } = start('<i>label</i>');
    report({ done: 0, total: 2, unit: 'cells', note: '<script>alert(1)</script>' });
    assert.ok(!outputs[0].includes('<script>') && !outputs[0].includes('<i>label'));
  });
});
