import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findModel, readCard } from 'imagesim/training';
import { type Cell, NAMES, cellsOf, runNotebooks } from './executed.ts';

/** What is the same code in a shorter time: small images, few passes. */
const QUICK = { IMAGESIM_IMAGE_SIZE: '32', IMAGESIM_EPOCHS: '12', IMAGESIM_COMPARED_EPOCHS: '1' };

describe('notebooks, executed on the sample', function () {
  this.timeout(600_000);
  let data: string;
  let stdout: string;
  before(async () => ({ data, stdout } = await runNotebooks(QUICK)));
  const executed = (name: string): Cell[] => cellsOf(join(data, 'notebooks', `${name}.ipynb`));

  it('all run, in order, and are named at the end with what they found', () => {
    const finished = [...stdout.matchAll(/^\d\. (\S+): done/gm)].map(([, name]) => name);
    assert.deepEqual(finished, NAMES);
    for (const name of NAMES) assert.match(stdout, new RegExp(`${name}  \\d+ s, \\d+ MB: wrote \\S+`));
    assert.match(stdout, /06-training .*mAP 0\.\d+ \(.+\), colour histogram 0\.\d+/);
    for (const name of NAMES) assert.ok(stdout.includes(join(data, 'notebooks', `${name}.html`)));
  });

  it('leave no error and no unfinished cell behind', () => {
    for (const name of NAMES) {
      const outputs = executed(name).flatMap(({ outputs: found = [] }) => found);
      assert.ok(
        outputs.every(({ output_type }) => output_type !== 'error'),
        name,
      );
      assert.ok(
        !readdirSync(join(data, 'notebooks')).some((file) => file.includes('.failed.') || file.includes('.part')),
      );
    }
  });

  it('are pages that need no network', () => {
    for (const name of NAMES) {
      const html = readFileSync(join(data, 'notebooks', `${name}.html`), 'utf8');
      assert.doesNotMatch(html, /<(script|link|img)[^>]+(src|href)=["']?https?:/, name);
    }
  });

  it('show pictures in 01, 02, 03, 05 and 07, and charts in 04 and 06', () => {
    for (const name of ['01-infra', '02-osm', '03-chips', '05-datasets', '07-similarity']) {
      assert.match(
        readFileSync(join(data, 'notebooks', `${name}.html`), 'utf8'),
        /data:image\/(jpeg|png);base64/,
        name,
      );
    }
    for (const name of ['04-statistics', '06-training']) {
      assert.match(readFileSync(join(data, 'notebooks', `${name}.html`), 'utf8'), /plotly\.newPlot\(/, name);
    }
  });

  it('say on every drawing made of OpenStreetMap data whose they are', () => {
    const [quadkey] = readdirSync(join(data, 'ard/33'));
    const meta = JSON.parse(readFileSync(join(data, 'ard/33', quadkey, 'osm_data.meta.json'), 'utf8'));
    const counts = { '02-osm': 2, '04-statistics': 1 };
    for (const [name, count] of Object.entries(counts)) {
      const html = readFileSync(join(data, 'notebooks', `${name}.html`), 'utf8');
      const drawings = [...html.matchAll(/<svg class="ims-map"[^]*?<\/svg>/g)].map(([svg]) => svg);
      assert.equal(drawings.length, count, name);
      for (const svg of drawings) assert.ok(svg.includes(`>${meta.attribution}</text>`), name);
    }
  });

  it('train a network that finds labels on unseen ground better than a colour histogram', async () => {
    const { metrics } = await readCard(await findModel(data, 'zone33'));
    const valueOf = (name: string): number => (metrics[name] as { value: number }).value;
    assert.ok(valueOf('mAP') > valueOf('histogramMAP'), JSON.stringify(metrics));
  });

  it('carry the licences of imagery and labels into the model', async () => {
    const { licences } = await readCard(await findModel(data, 'zone33'));
    assert.deepEqual(licences.map(({ source }) => source.split(' ')[0]), ['imagery', 'labels']); // prettier-ignore
    assert.ok(licences.every(({ licence }) => licence !== 'not stated'));
  });
});
