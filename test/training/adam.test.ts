import assert from 'node:assert/strict';
import { adamStep, freshAdam } from '../../kernel-lib/training/adam.ts';
import { near, wave } from './near.ts';

describe('training: Adam', () => {
  it('takes PyTorch’s steps, with decay of filters and none of biases, for gradients of all sizes', () => {
    // torch 1.13: w, b = the first 4 and the last 2 of sin(1.7 arange(6)); AdamW([{w, weight_decay 0.3}, {b, weight_decay 0}], lr=0.05);
    // five steps, of gradient cos(0.9 arange(6) + step) * 10 ** (step − 2) each
    const weights = wave(6, 1.7);
    const state = freshAdam(6);
    const decays = Uint8Array.of(1, 1, 1, 1, 0, 0);
    for (let step = 0; step < 5; step++) {
      const gradients = Float32Array.from({ length: 6 }, (_, i) => Math.cos(0.9 * i + step) * 10 ** (step - 2));
      assert.ok(adamStep(weights, gradients, decays, state, { learningRate: 0.05, decay: 0.3 }));
    }
    near(weights, [-0.00102809369, 0.949505633, -0.148769307, -0.79575673, 0.497028723, 0.768340444], 1e-6, 0.1);
    assert.equal(state.steps, 5);
  });

  it('tells of a weight that is no number any more', () => {
    const step = (gradient: number): boolean =>
      adamStep(new Float32Array(2), Float32Array.of(1, gradient), new Uint8Array(2), freshAdam(2), { learningRate: 1, decay: 0 }); // prettier-ignore
    assert.deepEqual([step(1), step(NaN), step(Infinity)], [true, false, false]);
  });
});
