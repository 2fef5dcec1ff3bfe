import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { showIn, type Show } from 'imagesim/show';
import { recordingKernel } from './recording.ts';

function charted(...draw: ((show: Show) => void)[]): string[] {
  const { kernel, outputs } = recordingKernel();
  const show = showIn(kernel);
  for (const each of draw) each(show);
  return outputs;
}

const bars = (show: Show): void =>
  show.bars({
    labels: ['a', 'b'],
    values: [0.4, 0.3],
    intervals: [
      [0.3, 0.5],
      [0.2, 0.4],
    ],
    title: 'Share',
    xTitle: 'Key',
    yTitle: 'Share of chips',
  });
const lines = (show: Show): void =>
  show.lines({
    series: [
      { name: 'train', x: Float32Array.of(1, 2), y: Float32Array.of(3, 4) },
      { name: '</script>', x: [1], y: [2] },
    ],
    title: 'Loss',
    xTitle: 'Epoch',
    yTitle: 'Loss',
  });

const band = (show: Show): void =>
  show.lines({
    series: [{ name: 'tags', x: [1, 2], y: [3, 4], low: [2, 3], high: [4, 5] }],
    title: 'Rarefaction',
    xTitle: 'Cells',
    yTitle: 'Tags',
  });
const heat = (show: Show): void =>
  show.heat({
    rows: ['a', 'b'],
    values: [
      [1, 0.25],
      [Number.NaN, 1],
    ],
    title: 'Company',
    xTitle: 'with',
    yTitle: 'tag',
    zTitle: 'share, %',
  });

describe('show.chart', () => {
  it('brings plotly with the first chart only, and again when that chart is drawn again', () => {
    const sizes = charted(bars, lines, bars).map((html) => html.length);
    assert.ok(sizes[0] > 1e6 && sizes[1] < 10_000 && sizes[2] > 1e6, sizes.join());
  });

  it('stays below what Jupyter passes on within three seconds: 3 MB', () => {
    assert.ok(charted(bars)[0].length < 2.5e6);
  });

  it('refuses bars whose values or intervals do not match the labels', () => {
    const draw = (show: Show): void => show.bars({ labels: ['a'], values: [1, 2], title: '', xTitle: '', yTitle: '' });
    assert.throws(() => charted(draw), {
      name: 'RangeError',
      message: 'bars requires as many values as labels, got 2 for 1',
    });
  });

  it('refuses a band with one bound, and a heat map whose values do not match its labels', () => {
    const half = (show: Show): void => show.lines({ series: [{ name: 's', x: [1, 2], y: [1, 2], low: [0, 1] }], title: '', xTitle: '', yTitle: '' }); // prettier-ignore
    assert.throws(() => charted(half), {
      name: 'RangeError',
      message: 'lines requires low and high for each of the 2 points of s, got 2 and 0',
    });
    for (const values of [[[1, 2]], [[1, 2], [1]]]) assert.throws(() => charted((show) => show.heat({ rows: ['a', 'b'], values, title: '', xTitle: '', yTitle: '', zTitle: '' })), /RangeError: heat requires 2 × 2 values, got [12] × [12]/); // prettier-ignore
  });

  describe('in a browser', () => {
    let browser: Browser;
    let folder: string;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'imagesim-chart-'));
      browser = await chromium.launch({
        executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
        args: ['--no-sandbox'],
      });
    });
    after(async () => {
      await browser?.close();
      await rm(folder, { recursive: true, force: true });
    });

    const drawn = async (
      head: string,
      outputs: string[],
    ): Promise<{ charts: number; text: string; colour: string; requests: string[] }> => {
      const file = join(folder, 'page.html');
      await writeFile(
        file,
        `<!DOCTYPE html><meta charset="utf-8">${head}<body style="color: rgb(9, 8, 7)">${outputs.join('')}</body>`,
      );
      const page = await browser.newPage();
      const requests: string[] = [];
      page.on('request', (request) => requests.push(request.url()));
      await page.goto(`file://${file}`);
      await page.waitForFunction(`document.querySelectorAll('.xtitle').length === ${outputs.length}`);
      const charts = await page.locator('.plot-container').count();
      const text = (await page.locator('.ims').allInnerTexts()).join(' ');
      const colour = await page.evaluate<string>(`getComputedStyle(document.querySelector('.xtitle')).fill`);
      await page.close();
      return { charts, text, colour, requests: requests.filter((url) => !/^(file|blob|data):/.test(url)) };
    };

    it('draws every chart in the colour of the text around it, with titles, and asks the network for nothing', async () => {
      const { charts, text, colour, requests } = await drawn('', charted(bars, lines));
      assert.equal(charts, 2);
      for (const title of ['Share', 'Key', 'Share of chips', 'Loss', 'Epoch', '</script>'])
        assert.ok(text.includes(title), title);
      assert.equal(colour, 'rgb(9, 8, 7)');
      assert.deepEqual(requests, []);
    });

    it('draws the band of a line beneath it, and the squares of a heat map with their numbers, blank where there is none', async () => {
      const { charts, text } = await drawn('', charted(band, heat));
      assert.equal(charts, 2);
      assert.match(text, /Company[^]*0\.25[^]*share, %/);
      assert.doesNotMatch(text, /NaN|null/);
      const page = await browser.newPage();
      await page.goto(`file://${join(folder, 'page.html')}`);
      await page.waitForSelector('.hm');
      assert.equal(await page.locator('.js-fill').count(), 1);
      assert.equal(await page.locator('.heatmap-label').count(), 3);
      await page.close();
    });

    it('draws where require.js has defined define() and module', async () => {
      const amd =
        '<script>window.define = function () {}; window.define.amd = {}; window.module = { exports: {} };</script>';
      assert.equal((await drawn(amd, charted(bars))).charts, 1);
    });

    it('draws charts whose output comes before the one that brings plotly', async () => {
      assert.equal((await drawn('', charted(bars, lines).reverse())).charts, 2);
    });
  });
});
