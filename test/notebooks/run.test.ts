import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { emptyFolder, joplin, needsShared } from '../delivery.ts';

const NAMES = ['01-infra', '02-osm', '03-chips', '04-statistics', '05-datasets', '06-training', '07-similarity'];
const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const notebooks = fileURLToPath(new URL('../../notebooks/', import.meta.url));

/** Runs `imagesim notebooks` into an empty data folder. */
async function run(env: Record<string, string>): Promise<{ data: string; stdout: string }> {
  const data = await emptyFolder();
  const ours = Object.entries(process.env).filter(([name]) => !name.startsWith('IMAGESIM_'));
  const { stdout } = await promisify(execFile)(process.execPath, [cli, 'notebooks'], {
    env: { ...Object.fromEntries(ours), IMAGESIM_DATA: data, ...env },
  });
  return { data, stdout };
}

interface Cell {
  cell_type: string;
  source: string[];
  outputs?: { output_type: string; data?: Record<string, unknown>; text?: string[] }[];
}

function cellsOf(path: string): Cell[] {
  return JSON.parse(readFileSync(path, 'utf8')).cells;
}

describe('notebooks, as committed', () => {
  it('are the seven stages, without outputs', () => {
    assert.deepEqual(readdirSync(notebooks).filter((name) => name.endsWith('.ipynb')), NAMES.map((name) => `${name}.ipynb`)); // prettier-ignore
    for (const name of NAMES) {
      assert.ok(
        cellsOf(join(notebooks, `${name}.ipynb`)).every(({ outputs = [] }) => outputs.length === 0),
        name,
      );
    }
  });

  it('import only imagesim, tslab and node', () => {
    for (const name of NAMES) {
      const code = cellsOf(join(notebooks, `${name}.ipynb`)).filter(({ cell_type }) => cell_type === 'code');
      const imports = code.flatMap(({ source }) =>
        [...source.join('').matchAll(/from '([^']+)'/g)].map(([, from]) => from),
      );
      assert.ok(imports.length > 0);
      assert.ok(
        imports.every((from) => /^(imagesim\/\w+|tslab|node:.*)$/.test(from)),
        `${name}: ${imports.join()}`,
      );
    }
  });

  it('ask one question, set values once, check facts and end by saying what was written', () => {
    for (const name of NAMES) {
      const cells = cellsOf(join(notebooks, `${name}.ipynb`));
      const prose = cells.filter(({ cell_type }) => cell_type === 'markdown').map(({ source }) => source.join(''));
      assert.match(prose[0], /^# \d\d · \w+\n\n\*\*[^*]+\?\*\*/, name);
      for (const heading of ['## Settings', '## Check', '## What we have now']) {
        assert.equal(prose.filter((text) => text.startsWith(heading)).length, 1, `${name}: ${heading}`);
      }
      assert.match(cells.at(-1)!.source.join(''), /show\.wrote\(/);
    }
  });
});

describe('notebooks, executed', function () {
  this.timeout(600_000);
  let real: ReturnType<typeof run> | undefined; // runs beside the sample's: each keeps one core busy
  before(() => {
    real = existsSync(joplin) ? run({ IMAGESIM_DELIVERY: joplin, IMAGESIM_EPOCHS: '3' }) : undefined;
    real?.catch(() => undefined); // told by the test that waits for it
  });

  describe('on the sample', () => {
    let data: string;
    let stdout: string;
    before(async () => ({ data, stdout } = await run({})));
    const executed = (name: string): Cell[] => cellsOf(join(data, 'notebooks', `${name}.ipynb`));

    it('all run, in order, and are named at the end with what they found', () => {
      const finished = [...stdout.matchAll(/^\d\. (\S+): done/gm)].map(([, name]) => name);
      assert.deepEqual(finished, NAMES);
      for (const name of NAMES) assert.match(stdout, new RegExp(`${name}  \\d+ s, \\d+ MB: wrote \\S+`));
      assert.match(stdout, /06-training .*mAP 0\.\d+, colour histogram 0\.\d+/);
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

    it('train a network that finds labels on unseen ground better than a colour histogram', () => {
      const { metrics } = newestCard(data);
      assert.ok(metrics.meanAveragePrecision > metrics.histogramMeanAveragePrecision, JSON.stringify(metrics));
    });

    it('carry the licences of imagery and labels into the model', () => {
      const { licences } = newestCard(data);
      assert.deepEqual(licences.map(({ source }) => source.split(' ')[0]), ['imagery', 'labels']); // prettier-ignore
      assert.ok(licences.every(({ licence }) => licence !== 'not stated'));
    });
  });

  describe('on a real delivery', () => {
    before(needsShared);
    it('all run, and say why a statistic is undefined where there is one cell and one tag', async () => {
      const { data, stdout } = await real!;
      assert.match(stdout, /02-osm .*2823 ways/);
      assert.match(stdout, /03-chips .*534 image files/);
      assert.match(stdout, /07-similarity .*534 chips/);
      const statistics = readFileSync(join(data, 'notebooks/04-statistics.html'), 'utf8');
      assert.match(statistics, /Undefined here: association needs two labels, and 1 is left/);
      const similarity = readFileSync(join(data, 'notebooks/07-similarity.html'), 'utf8');
      assert.match(similarity, /There is one label only/);
    });
  });
});

interface Card {
  metrics: { meanAveragePrecision: number; histogramMeanAveragePrecision: number };
  licences: { source: string; licence: string }[];
}

function newestCard(data: string): Card {
  const models = join(data, 'models/zone33');
  const version = readdirSync(models, { withFileTypes: true }).find((entry) => entry.isDirectory())!;
  return JSON.parse(readFileSync(join(models, version.name, 'card.json'), 'utf8'));
}
