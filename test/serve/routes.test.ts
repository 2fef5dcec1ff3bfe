import assert from 'node:assert/strict';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openStore, search, startSearch } from 'imagesim/similarity';
import { type AnswerCollection, type KeptStore, type Mosaic, keepMosaic, keepStore, openMosaic, serveApp } from 'imagesim/serve'; // prettier-ignore
import type { Hono } from 'hono';
import sharp from 'sharp';
import { emptyFolder } from '../delivery.ts';
import { CATIDS, CELL, DAYS, addChanges, addDay, addStore, colourOf, groundOnly, middleOf, rows, squares, vectors } from './pageground.ts'; // prettier-ignore

const THERE = 27; // a square that is asked with, fourth row, fourth column
const asked = squares[THERE];

let folder: string;
let bare: string;
let mosaic: Mosaic;
let store: KeptStore;
let app: Hono;
before(async () => {
  folder = await groundOnly();
  bare = await copyOf(folder);
  await addStore(folder);
  await addChanges(folder);
  mosaic = await openMosaic(folder);
  store = keepStore(folder);
  app = serveApp({ mosaic, store, dataPath: folder });
});
after(async () => {
  store.close();
  await mosaic.close();
});

/** A folder of one's own with the same tiles. */
async function copyOf(of: string): Promise<string> {
  const copy = await emptyFolder();
  await cp(of, copy, { recursive: true, mode: 2 });
  return copy;
}
const jsonOf = async <Answer = Record<string, unknown>>(answer: Response): Promise<Answer> => (await answer.json()) as Answer; // prettier-ignore
async function ask(question: object): Promise<AnswerCollection> {
  const answer = await app.request('/search', { method: 'POST', body: JSON.stringify(question) });
  assert.equal(answer.status, 200, await answer.clone().text());
  return jsonOf<AnswerCollection>(answer);
}
const idsOf = ({ features }: Pick<AnswerCollection, 'features'>): string[] => features.map(({ properties }) => properties!.id as string); // prettier-ignore
const kindOfId = new Map(squares.map(({ id, kind }) => [id, kind]));

describe('/search', () => {
  it('answers a chip as the library does, with recall, time and what was asked', async () => {
    const found = await ask({ chip: `${asked.id}@${DAYS[0]}@${CATIDS[0]}`, k: 10 });
    const opened = await openStore(folder, 'colours');
    const { hits } = await search(opened, { chip: asked.id, date: DAYS[0] }, { k: 10 });
    opened.close();
    assert.deepEqual(idsOf(found), hits.map(({ id }) => id)); // prettier-ignore
    assert.ok(idsOf(found).every((id) => kindOfId.get(id) === asked.kind));
    assert.deepEqual(found.recall, { value: 1, from: 'exact', k: 10, questions: 1 });
    assert.deepEqual([found.rows, found.left, found.table, found.version, found.model, found.score], [128, 126, 'colours', 'v1', 'made-up@1', 'cosine']); // prettier-ignore
    assert.ok(found.milliseconds > 0);
    const [{ properties, geometry }] = found.asked.features;
    assert.deepEqual([properties!.id, properties!.date, geometry.coordinates[0].length], [asked.id, DAYS[0], 5]);
  });

  it('answers simple questions by GET, as by POST', async () => {
    const [lon, lat] = middleOf(asked.id);
    const query = `at=${lon},${lat}&asOf=2022-12-31&k=5&tags=kind=${asked.kind}&since=${DAYS[1]}`;
    const got = await jsonOf<AnswerCollection>(await app.request(`/search?${query}`));
    const posted = await ask({ at: [lon, lat], asOf: '2022-12-31', k: 5, tags: [`kind=${asked.kind}`], since: DAYS[1] }); // prettier-ignore
    assert.deepEqual(idsOf(got), idsOf(posted));
    assert.equal(got.asked.features[0].properties!.date, DAYS[0]); // the newest until then
    assert.ok(got.features.every(({ properties }) => properties!.date === DAYS[1]));
    assert.equal((await ask({ at: [lon, lat], k: 1 })).asked.features[0].properties!.date, DAYS[1]);
  });

  it('asks by a tag, and filters by box, cloud, distance and one hit a place', async () => {
    const tagged = await ask({ tag: 'kind=2', k: 16 });
    assert.ok(idsOf(tagged).every((id) => kindOfId.get(id) === 2));
    assert.equal(new Set(idsOf(tagged)).size, 16);
    const [lon, lat] = middleOf(asked.id);
    const boxed = await ask({ chip: asked.id, k: 100, bbox: [lon - 1, lat - 1, lon, lat + 1] });
    assert.ok(boxed.features.every(({ properties }) => properties!.lon <= lon));
    assert.ok((await ask({ chip: asked.id, k: 100, maxCloud: 2 })).features.every(({ properties }) => properties!.cloud_percent <= 2)); // prettier-ignore
    const metres = ([x, y]: number[]): number => Math.hypot((x - lon) * 111_320 * Math.cos((lat * Math.PI) / 180), (y - lat) * 111_320); // prettier-ignore
    const away = await ask({ chip: asked.id, k: 100, awayMetres: 200 });
    assert.ok(away.features.length > 0 && away.features.every(({ properties }) => metres([properties!.lon, properties!.lat]) > 199)); // prettier-ignore
    const apart = await ask({ chip: asked.id, k: 100, apartMetres: 300 });
    assert.ok(apart.features.length > 1 && apart.features.length < 12);
  });

  it('refines by what is liked and what is not as startSearch does, without showing either again', async () => {
    const [liked, unliked] = [2 * 5, 2 * 40];
    const question = { chip: `${asked.id}@${DAYS[1]}`, like: [`${rows[liked].id}@${DAYS[0]}`], unlike: [`${rows[unliked].id}@${DAYS[0]}`], k: 8 }; // prettier-ignore
    for (const method of ['rocchio', 'probe', 'uncertain'] as const) {
      const found = await ask({ ...question, method });
      const { answers } = startSearch(vectors, rows, { query: 2 * THERE + 1, accepted: [liked], rejected: [unliked], k: 8, method }); // prettier-ignore
      assert.deepEqual(idsOf(found), answers.map(({ row }) => row.id), method); // prettier-ignore
      assert.equal(found.score, method === 'rocchio' ? 'cosine' : 'probability');
    }
    const spread = await ask({ ...question, apartMetres: 200, until: DAYS[0] });
    assert.ok(spread.features.length > 1 && spread.features.every(({ properties }) => properties!.date === DAYS[0]));
    assert.ok((await ask({ like: [rows[0].id, rows[8].id], k: 3 })).features.length === 3);
  });

  it('answers nothing where the filter leaves nothing', async () => {
    const none = await ask({ chip: asked.id, since: '2030-01-01' });
    assert.deepEqual([none.features, none.left, idsOf(none.asked)], [[], 0, [asked.id]]);
    assert.deepEqual((await ask({ chip: asked.id, like: [rows[0].id], since: '2030-01-01' })).features, []);
  });

  it('refuses what means nothing with 400, and what is not there with 404', async () => {
    const cases: [question: unknown, status: number, reason: RegExp][] = [
      [{}, 400, /ask with chip, at, tag or like/],
      [[], 400, /expected object/],
      [{ chip: 'here' }, 400, /chip: expected a chip, as Z33/],
      [{ chip: asked.id, tag: 'kind=1' }, 400, /ask with one of chip, at and tag/],
      [{ chip: asked.id, k: 0 }, 400, /k: /],
      [{ chip: asked.id, k: 201 }, 400, /k: /],
      [{ chip: asked.id, k: 1.5 }, 400, /k: expected a whole number/],
      [{ chip: asked.id, since: '2023-02-30' }, 400, /since: expected a day/],
      [{ chip: asked.id, since: '2023-02-03', until: '2023-02-02' }, 400, /since is later than until/],
      [{ chip: asked.id, bbox: [2, 1, 1, 2] }, 400, /bbox: expected west,south,east,north/],
      [{ chip: asked.id, maxCloud: 101 }, 400, /maxCloud/],
      [{ chip: asked.id, colour: 'red' }, 400, /Unrecognized key.*colour/],
      [{ chip: asked.id, like: Array.from({ length: 201 }, () => asked.id) }, 400, /like: /],
      [{ chip: asked.id, unlike: [asked.id] }, 400, /unlike names a chip that is asked with/],
      [{ at: [200, 1] }, 400, /at/],
      [{ chip: asked.id.replace(/.$/, '9') }, 400, /expected a chip/],
      [{ chip: asked.id.replace('031133012203', '031133012202') }, 404, /no chip Z33-031133012202\d+ in table colours: deploy its cell, Z33-031133012202$/],
      [{ chip: `${asked.id}@2020-01-01` }, 404, /in table colours: there is 2022-06-14 104/],
      [{ at: [1, 1] }, 404, /nothing is deployed at 1, 1 in table colours/],
      [{ at: [105.1, 0.5] }, 404, /nothing is deployed at 105\.1, 0\.5 in table colours/], // no zone of the table holds it
      [{ at: [-170, 10] }, 404, /nothing is deployed at -170, 10 in table colours/],
      [{ tag: 'kind=9' }, 404, /no chip of table colours has the tag kind=9/],
    ]; // prettier-ignore
    for (const [question, status, reason] of cases) {
      const answer = await app.request('/search', { method: 'POST', body: JSON.stringify(question) });
      const { error } = await jsonOf(answer);
      assert.deepEqual([answer.status, reason.test(String(error))], [status, true], `${JSON.stringify(question).slice(0, 80)}: ${String(error)}`); // prettier-ignore
    }
    assert.equal((await app.request('/search', { method: 'POST', body: '{"chip"' })).status, 400);
    const large = await app.request('/search', { method: 'POST', body: JSON.stringify({ tag: 'x'.repeat(70_000) }) });
    assert.match(String((await jsonOf(large)).error), /larger than 65536 bytes/);
  });
});

describe('the grid, the pictures and the layers', () => {
  const box = ([lon, lat]: number[], half: number): string =>
    [lon - half, lat - half, lon + half, lat + half].join(',');

  it('lists the chips in a box, and the days each is in the store with', async () => {
    const answer = await app.request(`/chips?bbox=${box(middleOf(asked.id), 0.0001)}`);
    const { features } = await jsonOf<{ features: { properties: unknown; geometry: object }[] }>(answer);
    assert.deepEqual(features.map(({ properties }) => properties), [{ id: asked.id, dates: [...DAYS] }]); // prettier-ignore
    const west = await jsonOf<{ features: { properties: { id: string; dates: string[] } }[] }>(await app.request(`/chips?bbox=${box(middleOf(squares[0].id), 0.002)}`)); // prettier-ignore
    assert.ok(west.features.some(({ properties: { dates } }) => dates.length === 0));
    assert.deepEqual((await jsonOf(await app.request('/chips?bbox=1,1,1.1,1.1'))).features, []);
    assert.equal((await app.request('/chips?bbox=1,2,3')).status, 400);
    assert.equal((await app.request('/chips')).status, 400);
  });

  it('tells which acquisition shows at a place as of a day, and null where none does', async () => {
    const shown = async (place: number[], query: string): Promise<unknown> => {
      const answer = await app.request(`/shown/${place.map((degrees) => degrees.toFixed(6)).join(',')}${query}`);
      assert.equal(answer.status, 200, await answer.clone().text());
      const found = (await jsonOf<{ shown: { date: string; catid: string } | null }>(answer)).shown;
      return found && [found.date, found.catid];
    };
    const middle = middleOf(asked.id);
    assert.deepEqual(await shown(middle, ''), [DAYS[1], CATIDS[1]]);
    assert.deepEqual(await shown(middle, `?to=${DAYS[0]}`), [DAYS[0], CATIDS[0]]);
    assert.equal(await shown(middle, '?to=2001-01-01'), null);
    assert.equal(await shown([0, 0], ''), null);
    assert.equal((await app.request('/shown/1,100')).status, 400);
    assert.equal((await app.request('/shown/1,1?to=yesterday')).status, 400);
  });

  it('shows a chip of an acquisition in its colour, at three sizes, and does not send it twice', async () => {
    for (const [day, side] of [[0, 256], [1, 128], [1, 64]] as const) {
      const path = `/thumbnails/${asked.id}/${DAYS[day]}/${CATIDS[day]}.jpg?side=${side}`;
      const answer = await app.request(path);
      assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'image/jpeg']);
      const { data, info } = await sharp(await answer.arrayBuffer()).raw().toBuffer({ resolveWithObject: true });
      assert.deepEqual([info.width, info.height], [side, side]);
      const edge = side / 16; // a neighbour's colour comes in a pixel or two by JPEG's halved chroma
      for (const at of [edge * side + edge, (side / 2) * side + side / 2, (side - edge) * side - edge]) 
        assert.ok(colourOf(asked.kind, day).every((value, band) => Math.abs(data[3 * at + band] - value) < 12), `${path} at ${at}: ${data.subarray(3 * at, 3 * at + 3).join()}`);
      const again = await app.request(path, { headers: { 'if-none-match': answer.headers.get('etag')! } });
      assert.equal(again.status, 304);
    }
    const statusOf = async (path: string): Promise<number> => (await app.request(`/thumbnails/${path}`)).status;
    assert.equal(await statusOf(`${asked.id}/${DAYS[0]}/NOBODY.jpg`), 404);
    assert.equal(await statusOf(`${asked.id.replace('031133012203', '031133012202')}/${DAYS[0]}/${CATIDS[0]}.jpg`), 404); // prettier-ignore
    for (const bad of [`here/${DAYS[0]}/${CATIDS[0]}.jpg`, `${asked.id}/today/${CATIDS[0]}.jpg`, `${asked.id}/${DAYS[0]}/..%2f..%2fx.jpg`, `${asked.id}/${DAYS[0]}/${CATIDS[0]}.jpg?side=9999`]) // prettier-ignore
      assert.equal(await statusOf(bad), 400, bad);
  }); // prettier-ignore

  it('shows what OpenStreetMap has in a box, and names its contributors', async () => {
    const found = await jsonOf(await app.request(`/tags?bbox=${box(middleOf(squares[0].id), 0.0002)}`));
    const [{ properties }] = found.features as { properties: Record<string, string> }[];
    assert.deepEqual([properties.key, properties.main, properties.tag], ['way/9', 'building', 'building=house']);
    assert.match(String(found.attribution), /^© OpenStreetMap contributors, ODbL/);
    const all = `/tags?bbox=${box(middleOf(asked.id), 0.02)}`;
    const count = async (path: string): Promise<number> => ((await jsonOf(await app.request(path))).features as []).length; // prettier-ignore
    assert.deepEqual([await count(all), await count(`${all}&tag=natural=tree`), await count(`${all}&tag=highway`)], [2, 1, 0]); // prettier-ignore
    const unmapped = serveApp({ mosaic, dataPath: join(folder, 'elsewhere') });
    const { missing, remedy } = await jsonOf(await unmapped.request(all));
    assert.deepEqual([missing, remedy], [[CELL.id], 'fetch the map with imagesim osm --zone 33']);
    assert.equal((await serveApp({ mosaic }).request(all)).status, 404);
  });

  it('shows the change list from a probability on; says how to make one, and which one is damaged', async () => {
    const found = await jsonOf(await app.request('/change?least=0.5&most=10'));
    const probabilities = (found.features as { properties: { probability: number } }[]).map(({ properties }) => properties.probability); // prettier-ignore
    assert.deepEqual(probabilities, [...Array.from({ length: 8 }, () => 1), 0.8571, 0.8571]);
    assert.deepEqual([found.name, found.of, found.leftOut], ['made-up', 64, 22]);
    assert.equal(((await jsonOf(await app.request(`/change?bbox=${box(middleOf(asked.id), 0.0001)}`))).features as []).length, 1); // prettier-ignore
    assert.equal((await app.request('/change?least=2')).status, 400);
    const none = await serveApp({ mosaic, dataPath: join(folder, 'ard/none') }).request('/change');
    assert.equal(none.status, 404);
    assert.match(String((await jsonOf(none)).error), /make one with imagesim change --to .*changes\.geojson/);
    const path = join(folder, 'other.geojson');
    await writeFile(path, '{"type":"FeatureCollection","features":[{}]}');
    const told: string[] = [];
    const broken = await serveApp({ mosaic, dataPath: folder, changes: path, onFault: (line) => told.push(line) }).request('/change'); // prettier-ignore
    assert.equal(broken.status, 500);
    assert.match(told.join(), /other\.geojson is no change list/);
  });
});

describe('the page’s files', () => {
  it('are ours and MapLibre’s alone, packed, and let nothing come from elsewhere', async () => {
    const page = await app.request('/');
    const html = await page.text();
    assert.match(page.headers.get('content-security-policy')!, /^default-src 'none'; script-src 'self' 'sha256-/);
    assert.ok(!/(src|href)="(https?:)?\//.test(html), 'every address is relative to the page');
    for (const [name, type] of [
      ['page.css', /^text\/css/],
      ['main.js', /^text\/javascript/],
      ['maplibre-gl.mjs', /^text\/javascript/],
      ['maplibre-gl.css', /^text\/css/],
    ] as const)
      // prettier-ignore
      assert.match((await app.request(`/page/${name}`)).headers.get('content-type')!, type);
    const packed = await app.request('/page/maplibre-gl.mjs', { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(packed.headers.get('content-encoding'), 'gzip');
    assert.ok((await packed.arrayBuffer()).byteLength < 400_000);
    for (const name of ['state.ts', 'main.js.map', '..%2fapp.js', 'none.js']) assert.equal((await app.request(`/page/${name}`)).status, 404, name); // prettier-ignore
  });

  it('say what is served: days, store and tags; or how to make a store', async () => {
    const facts = await jsonOf(await app.request('/facts.json'));
    assert.deepEqual(facts.days, DAYS.map((day) => ({ day, cells: 1 }))); // prettier-ignore
    const { tags, days, hasCloud, table } = facts.store as { tags: { tag: string }[]; days: string[]; hasCloud: boolean; table: string }; // prettier-ignore
    assert.deepEqual([tags.length, days, hasCloud, table, facts.changes], [5, [...DAYS], true, 'colours', { there: true }]); // prettier-ignore
  });
});

describe('what comes while it serves', () => {
  it('shows without a restart: tiles, a store, its next version', async () => {
    const other = await copyOf(bare);
    const day = join(other, 'ard/33', CELL.quadkey, DAYS[1]);
    await rm(day, { recursive: true });
    const kept = await keepMosaic(other, { everySeconds: 0 });
    const late = keepStore(other, {}, 0);
    const its = serveApp({ mosaic: kept, store: late, dataPath: other });
    try {
      const facts = async (): Promise<Record<string, unknown>> => jsonOf(await its.request('/facts.json'));
      const before = await facts();
      assert.deepEqual(before.days, [{ day: DAYS[0], cells: 1 }]);
      assert.match((before.store as { remedy: string }).remedy, /^no table in .*embeddings: make one with imagesim similarity deploy/); // prettier-ignore
      const refused = await its.request(`/search?chip=${asked.id}`);
      assert.equal(refused.status, 404);
      assert.match(String((await jsonOf(refused)).error), /imagesim similarity deploy/);
      await addDay(other, DAYS[1], CATIDS[1], 1);
      assert.equal(await kept.refresh(), true);
      assert.equal(await kept.refresh(), false);
      const after = await facts();
      assert.equal((after.days as unknown[]).length, 2);
      assert.notEqual(after.key, before.key);
      assert.equal((await its.request(`/thumbnails/${asked.id}/${DAYS[1]}/${CATIDS[1]}.jpg`)).status, 200);
      for (const version of ['v1', 'v2']) {
        await addStore(other);
        assert.equal(((await facts()).store as { version: string }).version, version);
      }
    } finally {
      late.close();
      await kept.close();
    }
  });

  it('keeps serving what was there when the delivery cannot be read any more, and says so', async () => {
    const told: string[] = [];
    const other = await copyOf(bare);
    const kept = await keepMosaic(other, { everySeconds: 0, onFault: (line) => told.push(line) });
    await rm(join(other, 'ard'), { recursive: true });
    await assert.rejects(kept.refresh(), /no ARD tile in/);
    assert.equal(kept.catalogue.tiles.length, 2);
    await kept.refresh().catch(() => undefined);
    assert.match(told[0], /^imagesim serve: no ARD tile in .*; what was there before is served$/);
    await kept.close();
  });
});
