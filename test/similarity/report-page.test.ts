import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type DatasetRow, hashChips, rowPath, writeDataset } from 'imagesim/datasets';
import { type Report, layout, likenessView, makeReport, nearest, reportPath, vectorAt } from 'imagesim/similarity';
import { likenessHtml, reportPage } from 'imagesim/show';
import { buildNetwork, openBackbone, saveModel, trainingBackend } from 'imagesim/training';
import { type Browser, type Page, chromium } from 'playwright-core';
import sharp from 'sharp';
import { facts, writeChip } from '../datasets/chips.ts';
import { schema } from '../datasets/ground.ts';
import { reportVerbs } from '../../kernel-lib/dist/cli/report.js';
import { emptyFolder, shared } from '../delivery.ts';
import { faultOf } from '../faults.ts';
import { randomVectors, rowAt, vectorsOf } from './rows.ts';

const cli = fileURLToPath(new URL('../../kernel-lib/bin/imagesim.js', import.meta.url));
const [house, street, tree] = schema.labels.map(({ label }) => label);

/** Chips of even greys: light ones are houses; every other place is test ground. */
const rows = Array.from({ length: 120 }, (_, k): DatasetRow => {
  const place = k >> 1;
  const labels = { [house]: place % 3 === 0 ? 1 : 0, [street]: place % 5 === 0 ? null : place % 2 === 0 ? 1 : 0, [tree]: 0 } as const; // prettier-ignore
  return rowAt(place, { date: `2022-06-1${k % 2}`, catid: `CAT${k % 2}`, split: place % 4 < 2 ? 'test' : 'train', labels, gsd: 0.46 }); // prettier-ignore
});
const grey = (k: number): number => ((k >> 1) % 3 === 0 ? 200 : 60) + ((7 * k) % 40);

/** A data folder with the chips, a dataset of them, and a model that knows little. */
async function makeGround(): Promise<string> {
  const folder = await emptyFolder();
  for (const [k, row] of rows.entries()) await writeChip(rowPath(folder, row), grey(k));
  const { sha256 } = await hashChips(join(folder, 'chips/33'), rows);
  const { manifest } = await writeDataset(folder, { ...facts, name: 'greys' }, rows.map((row, k) => ({ ...row, sha256: sha256[k] }))); // prettier-ignore
  const network = await buildNetwork({ inputSize: 16, classes: [house, street], widths: [4], embeddingWidth: 8, seed: 1 }); // prettier-ignore
  await saveModel(join(folder, 'models/small/1a2b3c4d5e6f'), network, {
    name: 'small', version: '1a2b3c4d5e6f', datasetVersion: `greys@${manifest.version}`, backend: 'wasm', settings: { losses: { entropy: 1 } }, metrics: {}, curve: [], licences: manifest.licences,
  }); // prettier-ignore
  network.dispose();
  await writeFile(join(folder, 'models/small/latest'), '1a2b3c4d5e6f\n');
  return folder;
}

describe('layout', () => {
  it('keeps those together that are alike, and is the same for the same seed', async () => {
    const around = Array.from({ length: 90 }, (_, k) => Array.from({ length: 12 }, (__, i) => (i === k % 3 ? 3 : 0) + Math.sin(7 * k + 3 * i * i))); // prettier-ignore
    const vectors = vectorsOf(around);
    const found = await layout(vectors, { neighbours: 10 });
    const flat = { values: Float32Array.from(found), width: 2 };
    const nearestInPlane = (row: number): number => [...around.keys()].filter((at) => at !== row).sort((a, b) => Math.hypot(flat.values[2 * a] - flat.values[2 * row], flat.values[2 * a + 1] - flat.values[2 * row + 1]) - Math.hypot(flat.values[2 * b] - flat.values[2 * row], flat.values[2 * b + 1] - flat.values[2 * row + 1]))[0]; // prettier-ignore
    const kept = [...around.keys()].filter((row) => nearest(vectors, vectorAt(vectors, row), { k: 21 }).some(({ index }) => index === nearestInPlane(row))).length; // prettier-ignore
    assert.ok(kept > 75, `${kept} of 90`); // by chance 20 of 89 others: 21 of 90
    assert.deepEqual(await layout(vectors, { neighbours: 10 }), found);
    assert.notDeepEqual(await layout(vectors, { neighbours: 10, seed: 2 }), found);
  });

  it('stops when told, and refuses fewer than five rows', async () => {
    await assert.rejects(layout(randomVectors(20, 4, 'stop'), { signal: AbortSignal.abort(new Error('enough')) }), /enough/); // prettier-ignore
    await assert.rejects(layout(randomVectors(4, 4, 'few')), /RangeError: layout requires at least 5 rows, got 4/);
  });
});

describe('a report', () => {
  let folder: string;
  let report: Report;
  let page: string;
  before(async () => {
    await trainingBackend({ name: 'wasm' });
    folder = await makeGround();
    report = await makeReport(folder, { model: 'small' });
    page = reportPage(report);
  });

  it('is of the test ground of the dataset that the model was trained on, beside the colour histogram', () => {
    const { card, testChips, model, dataset, absent } = report;
    assert.deepEqual([model, dataset.split('@')[0]], ['small@1a2b3c4d5e6f', 'greys']);
    assert.deepEqual([card.chips, testChips, card.places, card.cells, card.dates], [60, 60, 30, 1, 2]);
    assert.deepEqual(card.embeddings.map(({ name }) => name), ['small', 'colour histogram']); // prettier-ignore
    const houses = card.labels.find(({ label }) => label === house)!;
    assert.ok(houses.mAP[1].value > 0.95, 'greys tell houses'); // by how the chips were painted
    assert.deepEqual(card.undefinedLabels.map(({ label }) => label), [tree]); // prettier-ignore
    assert.deepEqual(absent, ['The frozen backbone is not shown: the model stands on none, and none was named with --backbone.']); // prettier-ignore
    assert.deepEqual(card.groups.find(({ by }) => by === 'ground sample distance')!.rows.map(({ name }) => name), ['0.4–0.5 m']); // prettier-ignore
  });

  it('draws whole places where there are more chips than are asked for, and says so', async () => {
    const { card, testChips, view } = await makeReport(folder, { model: 'small', atMost: 25 });
    assert.deepEqual([card.chips, card.places, testChips, view!.points.length], [24, 12, 60, 24]);
    assert.match(reportPage({ ...report, card, testChips }), /24 chips of 60, whole places drawn at random, of 12 places/); // prettier-ignore
    await assert.rejects(makeReport(folder, { model: 'small', atMost: 0 }), /RangeError: makeReport requires a positive whole atMost, got 0/); // prettier-ignore
  });

  it('tells where the model has learnt from the ground that is scored, and where there is no test ground', async () => {
    const { sha256 } = await hashChips(join(folder, 'chips/33'), rows);
    const write = (name: string, split: (k: number) => DatasetRow['split']): Promise<unknown> =>
      writeDataset(folder, { ...facts, name }, rows.map((row, k) => ({ ...row, split: split(k), sha256: sha256[k] }))); // prettier-ignore
    await write('turned', (k) => (rows[k].split === 'test' ? 'train' : 'test'));
    const turned = await makeReport(folder, { model: 'small', dataset: 'turned' });
    assert.match(turned.card.notes.join(), /The model was trained on greys@[0-9a-f]{12}, on 30 of the 30 places that are scored here: the figures are too good/); // prettier-ignore
    await write('untested', () => 'train');
    const untested = await makeReport(folder, { model: 'small', dataset: 'untested' });
    assert.deepEqual([untested.card.chips, untested.view], [0, undefined]);
    const html = reportPage(untested);
    assert.match(html, /No chip of the dataset is in its test split/);
    assert.match(html, /Nothing could be scored/);
    assert.ok(!/NaN|undefined/.test(html.replace(/<script>[\s\S]*/, '')));
  });

  it('shows the network that the model stood on, where it is named', async function () {
    const path = join(shared, 'data/backbone/mobilenet_v1_1.0_224_embed_w8.onnx');
    if (!existsSync(path) || !process.env.IMAGESIM_PROOF) {
      const why = existsSync(path) ? 'it takes long, npm run proof runs it' : 'the backbone in ../shared is not there';
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    const backbone = await openBackbone(path);
    const network = await buildNetwork({ classes: [house, street], backbone, embeddingWidth: 8, seed: 1 });
    const { name: _, ...card } = report.modelCard;
    await saveModel(join(folder, 'models/stood/1a2b3c4d5e6f'), network, { ...card, name: 'stood' });
    network.dispose();
    await backbone.close();
    const { card: found, absent } = await makeReport(folder, { model: 'stood@1a', atMost: 8 });
    assert.deepEqual([found.embeddings.map(({ name }) => name), absent], [['stood', 'frozen backbone', 'colour histogram'], []]); // prettier-ignore
    await assert.rejects(makeReport(folder, { model: 'stood@1a', backbone: '/no/where.onnx' }), /^Error: no backbone at \/no\/where\.onnx: give its file$/); // prettier-ignore
  });

  it('has a picture of all chips, each thumbnail its own', async () => {
    const { points, sheet, of, labels } = report.view!;
    assert.deepEqual([points.length, of, sheet.side, sheet.columns], [60, 60, 64, 8]);
    assert.deepEqual(labels, [street, house]); // the most frequent first; none has a tree
    assert.ok(points.every(({ x, y }) => x >= 0 && x <= 1 && y >= 0 && y <= 1));
    const { data, info } = await sharp(sheet.jpeg).raw().toBuffer({ resolveWithObject: true });
    assert.deepEqual([info.width, info.height], [8 * 64, 8 * 64]);
    for (const [at, { row }] of points.entries()) {
      const k = rows.findIndex(({ id, date }) => id === row.id && date === row.date);
      const middle = ((Math.floor(at / 8) * 64 + 32) * info.width + (at % 8) * 64 + 32) * info.channels;
      assert.ok(Math.abs(data[middle] - grey(k)) < 6, `${at}: ${data[middle]}, painted ${grey(k)}`);
    }
    const sampled = await likenessView(folder, randomVectors(120, 4, 'view'), rows, [house, street], { atMost: 20 });
    assert.deepEqual([sampled.points.length, sampled.of], [20, 120]);
    assert.match(likenessHtml(sampled), /20 of 120 chips, drawn at random/);
  });

  it('is one page: nothing is fetched, every text is escaped, licences are said', async () => {
    assert.ok(!/(src|href|url)\s*[=(]\s*["']?(https?:)?\/\//.test(page), 'no address is loaded');
    assert.ok(!page.includes('__name('), 'the script stands alone');
    for (const { licence, attribution } of facts.licences) assert.ok(page.includes(licence) && page.includes(attribution)); // prettier-ignore
    assert.match(page, new RegExp(`<b>${tree}</b>: 0 places with it among 60 chips: two are needed`));
    const evil = structuredClone(report);
    evil.card.notes.push('<img src=x onerror=alert(1)>');
    evil.view!.labels[0] = '</script><script>alert(2)</script>';
    const html = reportPage(evil);
    assert.ok(!html.includes('<img') && !html.includes('</script><script>alert(2)'));
  });

  it('has its place in embeddings/reports, and is small', () => {
    const place = join(folder, `embeddings/reports/small-1a2b3c4d5e6f/${report.dataset.replace('@', '-')}.html`);
    assert.equal(reportPath(folder, report), place);
    assert.ok(Buffer.byteLength(page) < 300_000);
  });

  it('is written by the command, which names what is not there', async () => {
    const run = async (...options: string[]): Promise<{ code: number; out: string; err: string }> => {
      const child = spawn(process.execPath, [cli, 'report', ...options], { env: { ...process.env, IMAGESIM_DATA: folder } });
      const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
      return { code: code as number, out, err };
    }; // prettier-ignore
    const to = join(folder, 'by command.html');
    const { code, out, err } = await run('--model', 'small', '--to', to);
    assert.equal(code, 0);
    assert.match(out, /^embedding +mAP +by shared tags .*\nsmall +0\.\d{3} \(0\.\d{3}–\d\.\d{3}\).*\ncolour histogram .*\n.*by command\.html\n$/); // prettier-ignore
    assert.match(err, /All chips lie in one cell/);
    assert.equal(await readFile(to, 'utf8').then((html) => html.length), page.length);
    assert.match((await faultOf(reportVerbs, folder, ['report', '--model', 'large']))!, /^no model large in /);
  });

  describe('in a browser', () => {
    let browser: Browser;
    let tab: Page;
    const faults: string[] = [];
    before(async () => {
      browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
      tab = await browser.newPage({ viewport: { width: 1000, height: 900 } });
      tab.on('request', (request) => !/^(file|data):/.test(request.url()) && faults.push(request.url()));
      tab.on('pageerror', ({ message }) => faults.push(message));
      tab.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
      const path = join(folder, 'page.html');
      await writeFile(path, page);
      await tab.goto(`file://${path}`);
    });
    after(() => browser.close());

    it('shows the chip under the pointer, with its tags', async () => {
      const circle = tab.locator('.likeness circle').nth(11);
      const { x, y, width, height } = (await circle.boundingBox())!;
      await circle.scrollIntoViewIfNeeded();
      const box = (await circle.boundingBox())!;
      await tab.mouse.move(box.x + width / 2, box.y + height / 2);
      assert.ok(x > 0 && y > 0);
      const at = await tab.locator('.likeness circle').evaluateAll((all) => all.findIndex((each) => (each as unknown as { classList: { contains(name: string): boolean } }).classList.contains('at'))); // prettier-ignore
      const { row } = report.view!.points[at];
      const said = await tab.locator('.likeness .chip').innerText();
      assert.ok(said.includes(row.id) && said.includes(row.date), said);
      assert.equal(said.includes(house), row.labels[house] === 1);
      assert.match(await tab.locator('.likeness .chip i').evaluate((place) => (globalThis as unknown as { getComputedStyle(of: unknown): { backgroundImage: string } }).getComputedStyle(place).backgroundImage), /^url\("data:image\/jpeg;base64,/); // prettier-ignore
    });

    it('marks the chips that have the tag chosen', async () => {
      await tab.locator('.likeness select').selectOption(house);
      const having = report.view!.points.filter(({ row }) => row.labels[house] === 1).length;
      assert.equal(await tab.locator('.likeness circle.on').count(), having);
      assert.equal(await tab.locator('.likeness circle.off').count(), 60 - having);
      await tab.locator('.likeness select').selectOption('all');
      assert.equal(await tab.locator('.likeness circle.on, .likeness circle.off, .likeness circle.maybe').count(), 0);
    });

    it('fetches nothing and reports no fault', () => assert.deepEqual(faults, []));
  });

  it('names a chip that cannot be read', async () => {
    const path = rowPath(
      folder,
      rows.find(({ split }) => split === 'test')!,
    );
    await rm(path);
    await assert.rejects(makeReport(folder, { model: 'small' }), new RegExp(`cannot read the image ${path}`));
  });
});
