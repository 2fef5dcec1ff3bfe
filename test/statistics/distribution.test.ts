import assert from 'node:assert/strict';
import { chiSquaredTail, kolmogorovTail, logChoose, normalQuantile, normalTail } from 'imagesim/statistics';
import { near } from './near.ts';

describe('distributions', () => {
  it('have R’s χ² tails, those too that 1 − p would lose', () => {
    // R 4.2.2: pchisq(x, df, lower.tail = FALSE)
    const expected = [
      [3.84, 1, 5.00435212487052e-2], [100, 4, 9.83662422461598e-21], [700, 3, 2.09913085342041e-151],
      [30, 20, 6.98536606994098e-2], [0.001, 1, 9.7477287936996e-1], [200, 250, 9.91226401011327e-1],
    ]; // prettier-ignore
    for (const [x, df, p] of expected) near(chiSquaredTail(x, df), p, 1e-11);
    assert.deepEqual([chiSquaredTail(0, 3), chiSquaredTail(Infinity, 3)], [1, 0]);
    assert.ok(Number.isNaN(chiSquaredTail(NaN, 1)));
  });

  it('have R’s normal tails and quantiles', () => {
    // R 4.2.2: pnorm(z, lower.tail = FALSE)
    const tails = [[-3, 9.9865010196837e-1], [0.5, 3.08537538725987e-1], [8, 6.22096057427178e-16], [30, 4.90671392714819e-198]]; // prettier-ignore
    for (const [z, p] of tails) near(normalTail(z), p, 1e-11);
    // R 4.2.2: qnorm(p)
    const quantiles = [[0.975, 1.959963984540054], [1e-6, -4.753424308822899], [0.999, 3.090232306167813], [0.3, -0.524400512708041]]; // prettier-ignore
    for (const [p, z] of quantiles) near(normalQuantile(p), z);
    assert.ok(Math.abs(normalQuantile(0.5)) < 1e-12);
  });

  it('have scipy’s Kolmogorov limit, on both sides of where the series change', () => {
    // scipy 1.10.1: scipy.stats.kstwobign.sf(x)
    const expected = [
      [0.3, 0.9999906941986655], [0.5, 0.9639452436648751], [0.8, 0.5441424115741981], [0.999, 0.27107316411506394],
      [1, 0.26999967167735456], [1.2, 0.11224966667072497], [2, 0.0006709252557796953], [4, 2.532833109818835e-14],
    ]; // prettier-ignore
    for (const [x, p] of expected) near(kolmogorovTail(x), p, 1e-10);
    assert.deepEqual([kolmogorovTail(0), kolmogorovTail(-1)], [1, 1]);
  });

  it('have R’s binomial coefficients', () => {
    // R 4.2.2: lchoose(n, k)
    for (const [n, k, log] of [[10, 3, 4.78749174278205], [1000, 500, 689.4672615678511], [4096, 17, 107.86370358488308]]) near(logChoose(n, k), log, 1e-11); // prettier-ignore
    assert.deepEqual([logChoose(5, 0), logChoose(5, 5), logChoose(5, 6), logChoose(5, -1)], [0, 0, -Infinity, -Infinity]); // prettier-ignore
  });
});
