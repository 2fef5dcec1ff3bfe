import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type KeptStore, type MapServer, type Mosaic, keepStore, openMosaic, serveApp, startServer } from 'imagesim/serve'; // prettier-ignore
import { type Browser, type Page, chromium } from 'playwright-core';
import sharp from 'sharp';
import { CATIDS, DAYS, addChanges, addStore, colourOf, groundOnly, middleOf, squares } from './pageground.ts';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const asked = squares[27];
const [LON, LAT] = middleOf(asked.id);
const VIEW = `map=16.5/${LAT.toFixed(6)}/${LON.toFixed(6)}`;
/** What the page's script sees of a window, as far as it is asked here. */
type Seen = { document: { querySelector(of: string): { getAttribute(name: string): string } | null } };

/** A browser without a graphics card takes its time: these run by npm run proof. */
const atLength = (title: string, work: () => Promise<void>): Mocha.Test =>
  it(title, async function () {
    if (process.env.IMAGESIM_PROOF) return work();
    console.log('      skipped: it takes long, npm run proof runs it');
    this.skip();
  });

/** A proxy that serves what another server has below a prefix, and says nothing of it to that. */
async function startProxy(prefix: string, to: string): Promise<{ url: string; passedOn: string[]; close: () => Promise<void> }> {
  const passedOn: string[] = [];
  const proxy = createServer((request, response) => {
    if (!request.url?.startsWith(`${prefix}/`)) {
      response.writeHead(404).end();
      return;
    }
    const path = request.url.slice(prefix.length);
    passedOn.push(path);
    const passed = forward(to + path, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    request.pipe(passed);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}${prefix}`, passedOn, close: async () => { proxy.closeAllConnections(); proxy.close(); await once(proxy, 'close'); } };
} // prettier-ignore

describe('the page in a browser', function () {
  this.timeout(60_000);
  let mosaic: Mosaic;
  let store: KeptStore;
  let server: MapServer;
  let browser: Browser;
  let tab: Page;
  const faults: string[] = [];

  before(async function () {
    if (!existsSync(CHROMIUM)) {
      console.log(`      skipped: no ${CHROMIUM} (apt-get install chromium)`);
      this.skip();
    }
    const folder = await groundOnly();
    await addStore(folder);
    await addChanges(folder);
    [mosaic, store] = [await openMosaic(folder), keepStore(folder)];
    server = await startServer(serveApp({ mosaic, store, dataPath: folder }), { port: 0 });
    const args = ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
    browser = await chromium.launch({ executablePath: CHROMIUM, args });
    tab = await browser.newPage({
      viewport: { width: 760, height: 360 },
      colorScheme: 'light',
      reducedMotion: 'reduce',
    });
    tab.on('request', (request) => !/^(data|blob):/.test(request.url()) && !request.url().startsWith(`${server.url}/`) && faults.push(request.url())); // prettier-ignore
    tab.on('pageerror', ({ message }) => faults.push(message));
    tab.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    await tab.goto(`${server.url}/#${VIEW}`);
    await tab.locator('#time .day').waitFor();
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    store?.close();
    await mosaic?.close();
  });

  const hashOf = async (page: Page): Promise<URLSearchParams> =>
    new URLSearchParams(await page.evaluate(() => (globalThis as unknown as { location: { hash: string } }).location.hash.slice(1))); // prettier-ignore
  const hash = (): Promise<URLSearchParams> => hashOf(tab);
  const stage = async (): Promise<{ x: number; y: number; width: number; height: number }> => (await tab.locator('#stage').boundingBox())!; // prettier-ignore
  const middle = async (): Promise<[number, number]> => {
    const { x, y, width, height } = await stage();
    return [x + width / 2, y + height / 2];
  };
  /** Red, green and blue of a pixel of the page. */
  const pixelAt = async (x: number, y: number): Promise<number[]> => {
    const shot = await tab.screenshot({ clip: { x: Math.round(x), y: Math.round(y), width: 1, height: 1 } });
    return [...(await sharp(shot).removeAlpha().raw().toBuffer())];
  };
  /** Waits until a pixel has a colour, as JPEG and WebP keep it. */
  const untilColour = async (x: number, y: number, colour: readonly number[]): Promise<void> => {
    let found: number[] = [];
    for (let tries = 0; tries < 60; tries++) {
      found = await pixelAt(x, y);
      if (found.every((value, band) => Math.abs(value - colour[band]) < 14)) return;
      await tab.waitForTimeout(200);
    }
    assert.fail(`the pixel at ${x}, ${y} is ${found.join()}, not ${colour.join()}`);
  };

  it('shows the mosaic, and says whose pictures and what store it has', async () => {
    const [x, y] = await middle();
    await untilColour(x, y, colourOf(asked.kind, 1));
    assert.match(await tab.locator('#subject').innerText(), /^128 chips · colours v1$/);
    assert.match(await tab.locator('#credit').innerText(), /licence not stated · MapLibre/);
    assert.match(await tab.locator('#question').innerText(), /^Click a place on the map/);
  });

  it('answers a click with places that look alike, as a list and on the map', async () => {
    await tab.mouse.click(...(await middle()));
    await tab.locator('.hit').nth(11).waitFor();
    assert.equal((await hash()).get('chip'), `${asked.id}@${DAYS[1]}@${CATIDS[1]}`);
    const labels = await tab.locator('.hit').evaluateAll((all) => all.map((each) => (each as unknown as { getAttribute(name: string): string }).getAttribute('aria-label'))); // prettier-ignore
    assert.ok(
      labels.every((label) => label.includes(`kind=${asked.kind}`)),
      labels.join('\n'),
    );
    assert.equal(await tab.locator('#marks span').count(), 13); // the answers and the question
    assert.match(await tab.locator('.told').innerText(), /12 places[\s\S]*of 126 · [\d.]+ ms · exact/);
    const picture = tab.locator('.hit img').first();
    await picture.evaluate((image) => (image as unknown as { decode(): Promise<void> }).decode());
    await tab.locator('.hit').nth(2).hover();
    await tab.locator('#marks span.at', { hasText: '3' }).waitFor();
  });

  it('is the same again for whoever opens its address', async () => {
    const address = await hash();
    await tab.keyboard.press('Escape');
    assert.equal(await tab.locator('.hit').count(), 0);
    assert.equal((await hash()).get('chip'), null);
    await tab.evaluate((to) => ((globalThis as unknown as { location: { hash: string } }).location.hash = to), address.toString()); // prettier-ignore
    await tab.locator('.hit').nth(11).waitFor();
    assert.deepEqual(Object.fromEntries(await hash()), Object.fromEntries(address));
  });

  it('is used by keys: answers are walked through, liked and not liked, and asked for anew', async () => {
    await tab.locator('.hit').first().focus();
    for (const key of ['j', 'y', 'j', 'n']) await tab.keyboard.press(key);
    const [liked, unliked] = [(await hash()).get('like')!, (await hash()).get('unlike')!];
    assert.ok(liked.startsWith('Z33-') && unliked.startsWith('Z33-') && liked !== unliked);
    assert.deepEqual([await tab.locator('.hit.accepted').count(), await tab.locator('.hit.rejected').count()], [1, 1]);
    await tab.locator('#refine select').selectOption('probe');
    const answered = tab.waitForResponse(/\/search$/);
    await tab.getByRole('button', { name: 'Refine' }).click();
    assert.equal((await answered).status(), 200);
    await tab.locator('.judged').waitFor();
    await tab.locator('.hit b', { hasText: '%' }).first().waitFor();
    assert.equal(await tab.locator('.hit.accepted, .hit.rejected').count(), 0); // neither is shown again
    await tab.keyboard.press('?');
    assert.equal(await tab.locator('dialog[open] dt').first().innerText(), 'Click the map');
    await tab.keyboard.press('Escape');
    assert.equal(await tab.locator('dialog[open]').count(), 0);
    assert.ok(await tab.locator('.hit').count(), 'the first Esc closes the keys alone');
  });

  atLength('narrows the answers by filters, and says where nothing passes', async () => {
    await tab.locator('#filters summary').click();
    await tab.locator('[name=since]').selectOption(DAYS[1]);
    await tab.locator('[name=maxCloud]').fill('2');
    await tab.locator('#filterCount', { hasText: '2' }).waitFor();
    await tab.waitForFunction(() => (globalThis as unknown as { location: { hash: string } }).location.hash.includes('maxCloud=2')); // prettier-ignore
    await tab.locator('.hit').first().waitFor();
    await tab.locator('[name=tags]').selectOption(`kind=${(asked.kind + 1) % 4}`);
    await tab.locator('[name=awayMetres]').fill('5000');
    await tab.locator('.empty', { hasText: 'Nothing passes the filters' }).waitFor();
    await tab.getByRole('button', { name: 'Clear filters' }).click();
    await tab.locator('.hit').nth(5).waitFor();
    await tab.locator('#filters summary').click();
  });

  it('compares two days beside a divider that is dragged, and moved by keys', async () => {
    await tab.keyboard.press('Escape');
    await tab.keyboard.press('c');
    const [x, y] = await middle();
    const divider = tab.locator('#divider');
    assert.equal(await divider.getAttribute('aria-valuenow'), '50');
    assert.equal(await tab.locator('#time .day').count(), 2);
    await tab.keyboard.press('End');
    assert.equal(await divider.getAttribute('aria-valuenow'), '100');
    await untilColour(x, y, colourOf(asked.kind, 0));
    const { x: left, width } = await stage();
    await tab.mouse.move(left + width - 2, y);
    await tab.mouse.down();
    await tab.mouse.move(left + width * 0.25, y, { steps: 3 });
    await tab.mouse.up();
    assert.equal((await hash()).get('swipe'), '0.25');
    await untilColour(x, y, colourOf(asked.kind, 1));
    await tab.keyboard.press('c');
    assert.equal(await divider.isVisible(), false);
  });

  atLength('says of which day the picture in the middle is, where it is not of the chosen one', async () => {
    const other = await browser.newPage({ viewport: { width: 760, height: 360 }, reducedMotion: 'reduce' });
    other.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    const note = other.locator('#time .day .note');
    await other.goto(`${server.url}/#${VIEW}`);
    await other.locator('#time .day').waitFor();
    await other.waitForLoadState('networkidle');
    assert.equal(await note.isVisible(), false);
    await other.goto(`${server.url}/#map=16.5/${(LAT + 0.05).toFixed(6)}/${LON.toFixed(6)}`);
    await note.waitFor();
    assert.equal(await note.innerText(), 'In the middle of the map: no picture until then');
    await other.close();
  });

  atLength('works the same below a prefix, as a Jupyter proxy serves it', async () => {
    const proxy = await startProxy('/user/someone/proxy/8080', server.url);
    const other = await browser.newPage({ viewport: { width: 760, height: 360 }, reducedMotion: 'reduce' });
    const strays: string[] = [];
    other.on('request', (request) => !/^(data|blob):/.test(request.url()) && !request.url().startsWith(`${proxy.url}/`) && strays.push(request.url())); // prettier-ignore
    other.on('response', (response) => response.status() >= 400 && strays.push(response.url()));
    other.on('console', (message) => message.type() === 'error' && strays.push(message.text()));
    await other.goto(`${proxy.url}/#${VIEW}`);
    await other.locator('#time .day').waitFor();
    const { x, y, width, height } = (await other.locator('#stage').boundingBox())!;
    await other.mouse.click(x + width / 2, y + height / 2);
    await other.locator('.hit').nth(11).waitFor();
    const picture = other.locator('.hit img').first();
    await picture.evaluate((image) => (image as unknown as { decode(): Promise<void> }).decode());
    for (const key of ['g', 't', 'h']) await other.keyboard.press(key);
    await other.locator('#changeNote', { hasText: 'of 64 in made-up' }).waitFor();
    await other.close();
    await proxy.close();
    assert.deepEqual(strays, []);
    assert.ok(proxy.passedOn.some((path) => path.startsWith('/tiles/')) && proxy.passedOn.includes('/search'));
  });

  atLength('shows the day that is chosen', async () => {
    const [x, y] = await middle();
    await tab.keyboard.press('[');
    assert.equal((await hash()).get('day'), DAYS[0]);
    await untilColour(x, y, colourOf(asked.kind, 0));
    await tab.keyboard.press(']');
  });

  atLength(
    'lays chips, tags and change on the map, with OpenStreetMap’s licence, and no tag of it is markup',
    async () => {
      for (const key of ['g', 't', 'h']) await tab.keyboard.press(key);
      await tab.locator('#gridNote', { hasText: 'in the store' }).waitFor();
      await tab.locator('#tagsNote', { hasText: 'mapped here' }).waitFor();
      await tab.locator('#changeNote', { hasText: 'of 64 in made-up' }).waitFor();
      assert.match(await tab.locator('#credit').innerText(), /© OpenStreetMap contributors, ODbL/);
      await tab.waitForTimeout(400); // the map draws in its own time
      const [x, y] = await middle();
      await tab.mouse.click(x + 100, y); // a square further east: more probable
      await tab.locator('#card h2', { hasText: /^Changed: probability 0\.\d\d|1\.00$/ }).waitFor();
      assert.equal(await tab.locator('#card img').count(), 2);
      await tab.getByRole('button', { name: 'Compare on the map' }).click();
      assert.deepEqual([(await hash()).get('before'), (await hash()).get('day')], [...DAYS]);
      await tab.keyboard.press('c');
      await tab.keyboard.press('Escape');
      assert.equal(await tab.locator('#card').isVisible(), false);
      for (const key of ['g', 't', 'h']) await tab.keyboard.press(key);
      assert.equal(await tab.locator('img[src=x]').count(), 0);
    },
  );

  atLength('is the same again on a narrow screen, and goes from light to dark', async () => {
    const address = `${VIEW}&day=${DAYS[1]}&before=${DAYS[0]}&swipe=0.3&chip=${asked.id}@${DAYS[0]}@${CATIDS[0]}&like=${squares[5].id}@${DAYS[0]}@${CATIDS[0]}&k=6&with=kind=${asked.kind}`; // prettier-ignore
    const other = await browser.newPage({
      viewport: { width: 390, height: 560 },
      colorScheme: 'dark',
      reducedMotion: 'reduce',
    });
    other.on('pageerror', ({ message }) => faults.push(message));
    await other.goto(`${server.url}/#${address}`);
    await other.locator('.hit').nth(5).waitFor();
    assert.equal(await other.locator('.hit').count(), 6);
    assert.equal(await other.locator('.judged button').count(), 1);
    assert.equal(await other.locator('#divider').getAttribute('aria-valuenow'), '30');
    const kept = await hashOf(other);
    for (const [name, value] of new URLSearchParams(address)) if (name !== 'map') assert.equal(kept.get(name), value, name); // prettier-ignore
    const ground = (): Promise<string> => other.evaluate(() => (globalThis as unknown as { getComputedStyle(of: unknown): { backgroundColor: string } } & Seen).getComputedStyle((globalThis as unknown as Seen).document.querySelector('#panel')).backgroundColor); // prettier-ignore
    assert.equal(await ground(), 'rgb(22, 24, 27)');
    await other.keyboard.press('d');
    assert.equal(await ground(), 'rgb(251, 251, 250)');
    const { width } = (await other.locator('#panel').boundingBox())!;
    assert.equal(width, 390);
    assert.equal(await other.evaluate(() => (globalThis as unknown as { document: { documentElement: { scrollWidth: number } } }).document.documentElement.scrollWidth), 390); // prettier-ignore
    await other.close();
  });

  it('asks no other host, and reports no fault', () => assert.deepEqual(faults, []));
});
