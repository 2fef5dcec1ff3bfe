import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { joplin, needsShared } from '../delivery.ts';
import { runNotebooks } from './executed.ts';

/** What shortens the training: how well it learns is asked of the sample. */
const short = process.env.IMAGESIM_PROOF
  ? {}
  : { IMAGESIM_EPOCHS: '2', IMAGESIM_IMAGE_SIZE: '32', IMAGESIM_COMPARED_EPOCHS: '1', IMAGESIM_SCORED: '60' };

describe('notebooks, executed on a real delivery', function () {
  this.timeout(600_000);
  before(needsShared);
  it('all run, and say why a statistic is undefined where there is one cell and one tag', async () => {
    const { data, stdout } = await runNotebooks({ IMAGESIM_DELIVERY: joplin, ...short });
    assert.match(stdout, /02-osm .*2823 ways/);
    assert.match(stdout, /03-chips .*534 image files/);
    assert.match(stdout, /07-similarity .*534 chips/);
    const statistics = readFileSync(join(data, 'notebooks/04-statistics.html'), 'utf8');
    assert.match(statistics, /Undefined here: association needs two labels, and 1 is left/);
    const similarity = readFileSync(join(data, 'notebooks/07-similarity.html'), 'utf8');
    assert.match(similarity, /There is one label only/);
  });
});
