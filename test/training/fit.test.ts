import assert from 'node:assert/strict';
import { trainingBackend } from 'imagesim/training';
import { type Projection, fitDiscriminant, fitProjection } from '../../kernel-lib/training/fit.ts';
import { near } from './near.ts';

/** Columns less their means. */
function centred(rows: number[][]): Float32Array {
  const means = rows[0].map((_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);
  return Float32Array.from(rows.flatMap((row) => row.map((value, k) => value - means[k])));
}

/** NumPy: x = sin(1.1 * arange(240) ** 1.3).reshape(40, 6) @ diag([3, 2, 1.5, 1, .7, .4]); x −= x.mean(0) */
const x = centred(
  Array.from({ length: 40 }, (_, i) => [3, 2, 1.5, 1, 0.7, 0.4].map((scale, k) => scale * Math.sin(1.1 * (6 * i + k) ** 1.3))),
); // prettier-ignore
/** y = (sin(2.3 * arange(80)).reshape(40, 2) > 0) */
const labels = Float32Array.from({ length: 80 }, (_, i) => Number(Math.sin(2.3 * i) > 0));

/** What a layer makes of rows. */
function projected(rows: Float32Array, d: number, { kernel, bias }: Projection): number[][] {
  const width = bias.length;
  return Array.from({ length: rows.length / d }, (_, i) =>
    Array.from({ length: width }, (__, k) => {
      let sum = bias[k];
      for (let j = 0; j < d; j++) sum += rows[i * d + j] * kernel[j * width + k];
      return sum;
    }),
  );
}

/** Dot products of the first rows: the same whatever way the axes point. */
const gram = (rows: number[][], n: number): number[] =>
  rows.slice(0, n).flatMap((a) => rows.slice(0, n).map((b) => a.reduce((sum, value, k) => sum + value * b[k], 0)));

const square = (rows: number[][]): number =>
  rows.reduce((sum, row) => sum + row.reduce((all, value) => all + value ** 2, 0), 0) / rows.length;

describe('training: a layer fitted without a gradient', () => {
  before(() => trainingBackend({ name: 'wasm' }));

  it('is scikit-learn’s ridge regression beside NumPy’s evened-out principal components, of mean lengths 2 and 1', async () => {
    // y = (y − y.mean(0)) / y.std(0); a = 0.3 * (x**2).sum() / 40; p = x @ Ridge(alpha=a, fit_intercept=False).fit(x, y).coef_.T
    // l, u = eigh(x.T @ x / 40), largest first; q = x @ (u[:, :3] * (l[:3] + 0.1 * l.mean()) ** −.25)
    // both over sqrt((p**2).sum() / 40), p twice that; (p @ p.T + q @ q.T)[:4, :4]
    const rows = projected(x, 6, await fitProjection(x, 6, { width: 6, labels, classes: 2 }));
    near(gram(rows, 4), [19.7066546, 12.7047599, -4.31398561, -7.13138243, 12.7047599, 9.8390764, -3.84510493, -4.37902635, -4.31398561, -3.84510493, 1.70947872, 1.27966565, -7.13138243, -4.37902635, 1.27966565, 2.94288628], 1e-3, 1); // prettier-ignore
    near([square(rows)], [5], 1e-4);
  });

  it('is the components alone where there are no labels', async () => {
    // the same q of five components, (q @ q.T)[:4, :4]
    const rows = projected(x, 6, await fitProjection(x, 6, { width: 6 }));
    near(gram(rows, 4), [0.857574183, 0.291968466, -0.0459394629, -0.4463611, 0.291968466, 2.03222577, -1.38945104, 0.451631109, -0.0459394629, -1.38945104, 1.01579157, -0.492625044, -0.4463611, 0.451631109, -0.492625044, 0.748345447], 1e-3, 1); // prettier-ignore
  });

  it('gives rows of mean zero, which taking the mean away does not change', async () => {
    for (const options of [{ width: 6, labels, classes: 2 }, { width: 16, labels, classes: 2 }, { width: 2 }]) {
      for (const row of projected(x, 6, await fitProjection(x, 6, options)))
        assert.ok(Math.abs(row.reduce((sum, value) => sum + value, 0)) < 1e-4);
    }
  });

  it('takes an unknown label for the mean of those known', async () => {
    const unknown = labels.map((label, i) => (i % 7 === 0 ? NaN : label));
    const means = [0, 1].map((k) => {
      const known = [...unknown].filter((label, i) => i % 2 === k && !Number.isNaN(label));
      return known.reduce((sum, label) => sum + label, 0) / known.length;
    });
    const filled = unknown.map((label, i) => (Number.isNaN(label) ? means[i % 2] : label));
    const [a, b] = await Promise.all([unknown, filled].map((y) => fitProjection(x, 6, { width: 6, labels: y, classes: 2 }))); // prettier-ignore
    near(a.kernel, [...b.kernel], 1e-4, 0.1);
  });

  it('keeps of more labels than it has room for the directions in which they vary most', async () => {
    const many = Float32Array.from({ length: 40 * 5 }, (_, i) => labels[2 * Math.floor(i / 5)]); // five times the first
    const once = labels.filter((_, i) => i % 2 === 0);
    const [five, one] = await Promise.all([
      fitProjection(x, 6, { width: 3, labels: many, classes: 5 }), // room for one direction
      fitProjection(x, 6, { width: 3, labels: once, classes: 1 }),
    ]);
    near(gram(projected(x, 6, five), 3), gram(projected(x, 6, one), 3), 1e-3, 0.1);
  });

  it('is the discriminant of places by SciPy where views of each are given', async () => {
    // X = sin(1.37 * arange(360) ** 1.2).reshape(30, 3, 4) * .3 + sin(.71 * arange(120) ** 1.1).reshape(30, 1, 4) * [1, .8, .6, .4]
    // X −= X.reshape(−1, 4).mean(0); m = X.mean(1); a = (X − m[:, None]).reshape(−1, 4); w = a.T @ a / 90; b = m.T @ m / 30
    // l, v = scipy.linalg.eigh(b, w + .01 * trace(w) / 4 * eye(4)), the two largest: z = X.reshape(−1, 4) @ (v * l ** .25); (z @ z.T)[:3, :3]
    const views = centred(
      Array.from({ length: 90 }, (_, i) =>
        [1, 0.8, 0.6, 0.4].map((scale, k) => 0.3 * Math.sin(1.37 * (4 * i + k) ** 1.2) + scale * Math.sin(0.71 * (4 * Math.floor(i / 3) + k) ** 1.1)),
      ),
    ); // prettier-ignore
    const rows = projected(views, 4, await fitDiscriminant(views, 4, 3, 3));
    near(gram(rows, 3), [234.80410038, 215.97210382, 189.36906706, 215.97210382, 201.80859035, 167.88731733, 189.36906706, 167.88731733, 165.26867528], 1e-3); // prettier-ignore
    for (const row of rows) assert.ok(Math.abs(row.reduce((sum, value) => sum + value, 0)) < 1e-4);
  });

  it('is a layer of numbers for one row, and for features that do not vary', async () => {
    const one = await fitProjection(Float32Array.of(0, 0, 0), 3, { width: 4, labels: Float32Array.of(1), classes: 1 });
    const none = await fitProjection(new Float32Array(30), 3, { width: 4, labels: new Float32Array(10).map((_, i) => i % 2), classes: 1 }); // prettier-ignore
    for (const { kernel } of [one, none]) assert.ok(kernel.length === 12 && kernel.every(Number.isFinite));
  });
});
