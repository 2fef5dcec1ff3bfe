import assert from 'node:assert/strict';
import { openProducts } from 'imagesim/training';
import seedrandom from 'seedrandom';

describe('training: products in onnxruntime', () => {
  it('are the dot products of a vector with every row, to the rounding of their order', async () => {
    const random = seedrandom('products');
    for (const [n, width] of [[1, 1], [3, 5], [1001, 128]] as const) {
      const values = Float32Array.from({ length: n * width }, () => 2 * random() - 1);
      const query = Float32Array.from({ length: width }, () => 2 * random() - 1);
      const found = await (await openProducts())!(values, query);
      assert.equal(found.length, n);
      for (const [row, score] of found.entries()) {
        const sum = query.reduce((all, value, at) => all + value * values[row * width + at], 0);
        assert.ok(Math.abs(score - sum) < 1e-5, `row ${row} of ${n} × ${width}: ${score} and ${sum}`);
      }
    }
  }); // prettier-ignore

  it('are left to others where onnxruntime-node does not load', async () => {
    assert.equal(await openProducts({ load: () => Promise.reject(new Error('no binary')) }), undefined);
  });
});
