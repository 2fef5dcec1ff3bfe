import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { joplin, needsShared } from '../delivery.ts';
import { NAMES, runNotebooks } from './executed.ts';

describe('notebooks, executed on a real delivery', function () {
  this.timeout(900_000);
  before(needsShared);
  before(function () {
    if (process.env.IMAGESIM_PROOF === undefined) {
      console.log('      skipped: two minutes more, in npm run proof; single stages are tested on Joplin');
      this.skip();
    }
  });

  it('all run, and say why a statistic is undefined where there is one cell and one tag', async () => {
    const { data, stdout } = await runNotebooks({ IMAGESIM_DELIVERY: joplin }, NAMES);
    const page = (name: string): string => readFileSync(join(data, `notebooks/${name}.html`), 'utf8');
    assert.match(stdout, /02-osm .*2823 ways/);
    assert.match(stdout, /03-chips .*534 image files/);
    assert.match(page('04-statistics'), /Undefined here: association needs two labels, and 1 is left/);
    assert.match(stdout, /07-similarity .*534 chips/);
    assert.match(page('07-similarity'), /There is one label only/);
  });
});
