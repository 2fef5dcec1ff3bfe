import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cellAt, cellOf, chipBounds, chipIdAt, parseChip, toLonLat, toUtm } from 'imagesim/ard';
import { readPixels } from 'imagesim/chips';
import type { DatasetRow } from 'imagesim/datasets';
import {
  type Hit, type SearchOptions, type Store, answersBytes, bitCodes, bitNearest, deployStore, nearest, openStore, search, vectorAt,
} from 'imagesim/similarity'; // prettier-ignore
import { buildNetwork, openEncoder, saveModel } from 'imagesim/training';
import type { FeatureCollection, MultiPolygon, Polygon, Position } from 'geojson';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import sharp from 'sharp';
import seedrandom from 'seedrandom';
import { emptyFolder } from '../delivery.ts';
import { cell, randomVectors, vectorsOf } from './rows.ts';

// 1,500 squares of two cells, each at two dates: 3,000 rows in 60 kinds of ground, so that an index has something to find.
const EAST = cellOf(33, '031133012212');
const SQUARES = 1500;
const LICENCES = [{ source: 'imagery', licence: 'CC BY-NC 4.0', attribution: 'Maxar' }];
const DATES = ['2022-06-14', '2023-05-21'];
const random = seedrandom('search');
const rows: DatasetRow[] = Array.from({ length: 2 * SQUARES }, (_, at) => {
  const square = at >> 1;
  return {
    id: chipIdAt(square % 2 === 0 ? cell : EAST, (square >> 1) >> 6, (square >> 1) & 63),
    catid: `CAT${at % 2}`,
    date: DATES[at % 2],
    split: 'test',
    weight: 1,
    labels: { [`kind ${square % 60}`]: 1, ...(square % 100 === 7 && { rare: 1 }) },
    ...(at % 3 > 0 && { cloudPercent: (at * 7) % 100, offNadir: (at * 11) % 40 }),
  };
});
const kinds = randomVectors(60, 32, 'kinds');
const noise = (): number => random() - 0.5;
const vectors = vectorsOf(
  rows.map((_, at) => Array.from(vectorAt(kinds, (at >> 1) % 60), (value) => value + 0.25 * noise())),
);
const key = ({ id, catid }: { id: string; catid: string }): string => `${id} ${catid}`;
const utm = (id: string): [number, number] => {
  const [west, south, east, north] = chipBounds(id);
  return [(west + east) / 2, (south + north) / 2];
};

describe('similarity search', () => {
  let folder: string;
  let store: Store;
  let big: Store;
  before(async () => {
    folder = await emptyFolder();
    await deployStore(folder, 'plain', rows, vectors, 'm@1');
    await deployStore(folder, 'indexed', rows, vectors, 'm@1', { exactRows: 1000 });
    store = await openStore(folder, 'plain');
    big = await openStore(folder, 'indexed');
  });
  after(() => (store.close(), big.close()));

  /** All rows by likeness to one of them, less those of its own square, each date by itself. */
  const ranked = (from: number, admit: (row: DatasetRow) => boolean = () => true): string[] =>
    nearest(vectors, vectorAt(vectors, from), {
      admit: (at) => rows[at].id !== rows[from].id && admit(rows[at]),
    }).map(({ index }) => key(rows[index]));
  const asking = (at: number): { chip: string; catid: string } => ({ chip: rows[at].id, catid: rows[at].catid });
  const hitsOf = async (at: number, options: SearchOptions): Promise<string[]> =>
    (await search(store, asking(at), { allDates: true, k: 40, ...options })).hits.map(key);

  it('answers a chip exactly as a full sort does, its own square left out', async () => {
    for (const at of [0, 777, 2999]) assert.deepEqual(await hitsOf(at, {}), ranked(at).slice(0, 40));
    const answers = await search(store, asking(4), { k: 5 });
    assert.deepEqual(answers.recall, { value: 1, from: 'exact', k: 5, questions: 1 });
    assert.deepEqual([answers.left, answers.rows, answers.model, answers.version], [2998, 3000, 'm@1', 'v1']);
    assert.ok(answers.milliseconds > 0);
    assert.equal((await search(store, asking(4), { k: 1, own: true })).hits[0].id, rows[4].id);
  });

  it('takes the newest acquisition of a chip unless one is named', async () => {
    const newest = await search(store, { chip: rows[10].id }, { k: 3 });
    assert.deepEqual([newest.asked.chips[0].catid, newest.asked.chips[0].date], ['CAT1', DATES[1]]);
    const older = await search(store, { chip: rows[10].id, date: DATES[0] }, { k: 3 });
    assert.equal(older.asked.chips[0].catid, 'CAT0');
    const under = await search(store, { at: [older.asked.chips[0].lon, older.asked.chips[0].lat] }, { k: 3 });
    assert.deepEqual(under.hits, newest.hits);
  });

  it('finds the chip under a place in stores of far-off zones, in a zone beside the place’s own, and says where nothing is', async () => {
    const far = [cell, cellAt([122, 14]), cellAt([-179.99, -17])];
    const edge = cellAt([17.99, 45], 34); // of zone 34, on ground of zone 33
    const made = [...far, edge].flatMap((own) => [0, 1, 2, 3].map((at): DatasetRow => ({ ...rows[0], id: chipIdAt(own, 32, 30 + at) }))); // prettier-ignore
    await deployStore(folder, 'far', made, randomVectors(16, 4, 'far'), 'm@1');
    const wide = await openStore(folder, 'far');
    const { columns } = await wide.load();
    for (let at = 0; at < columns.n; at++) {
      const { asked } = await search(wide, { at: [columns.lons[at], columns.lats[at]] }, { k: 1 });
      assert.equal(asked.chips[0].id, columns.ids[at]);
    }
    wide.close();
    for (const at of [[-170, 10], [105.1, 0.5], [120, 0], [15, -80], [180, 0]] as [number, number][]) // prettier-ignore
      await assert.rejects(search(store, { at }), new RegExp(`^Error: nothing is deployed at ${at.join(',')} in table plain: the nearest chip`)); // prettier-ignore
  });

  it('asks across the antimeridian by a box whose west is above its east, or that runs on, and cuts outlines there', async () => {
    const own = cellAt([-179.999, -17]);
    const made = Array.from({ length: 64 }, (_, at): DatasetRow => ({ ...rows[0], id: chipIdAt(own, 32, at) }));
    await deployStore(folder, 'turn', made, randomVectors(64, 4, 'turn'), 'm@1', { licences: LICENCES });
    const turn = await openStore(folder, 'turn');
    const vector = Float32Array.of(1, 0, 0, 0);
    const answers = await search(turn, { vector }, { k: 64 });
    const { hits } = answers;
    assert.ok(hits.every(({ lon, west, east }) => [lon, west, east].every((each) => Math.abs(each) <= 180)));
    const crossing = hits.filter(({ west, east }) => west > east);
    assert.equal(crossing.length, 1);
    const sides = [hits.filter(({ lon }) => lon > 0).length, hits.filter(({ lon }) => lon < 0).length];
    assert.ok(sides[0] > 5 && sides[1] > 5, sides.join());
    const count = async (bbox: [number, number, number, number]): Promise<number> => (await search(turn, { vector }, { k: 64, bbox })).hits.length; // prettier-ignore
    assert.equal(await count([179, -18, -179, -16]), 64);
    assert.equal(await count([179, -18, 181, -16]), 64);
    assert.equal(await count([179, -18, 180, -16]), sides[0]);
    turn.close();
    const { features, licences } = JSON.parse(Buffer.from(answersBytes(answers, 'geojson')).toString()) as FeatureCollection<Polygon | MultiPolygon> & { licences: object[] }; // prettier-ignore
    assert.deepEqual(licences, LICENCES);
    const parts = features.map(({ geometry }) =>
      geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates,
    );
    assert.ok(parts.flat(4).every((value) => Math.abs(value) <= 180));
    assert.deepEqual(features.flatMap(({ properties }, at) => (parts[at].length === 2 ? [properties!['id'] as string] : [])), crossing.map(({ id }) => id)); // prettier-ignore
    const area = ([ring]: Position[][]): number => ring.slice(1).reduce((sum, [x, y], i) => sum + ring[i][0] * y - x * ring[i][1], 0) / 2; // prettier-ignore
    assert.ok(
      parts.flat().every((part) => area(part) > 0),
      'clockwise',
    );
    const areas = parts.map((each) => each.reduce((sum, part) => sum + area(part), 0));
    assert.ok(Math.max(...areas) < 1.001 * Math.min(...areas), 'cut off');
    const file = Uint8Array.from(answersBytes(answers, 'geoparquet')).buffer;
    const { key_value_metadata: pairs = [] } = parquetMetadata(file);
    const [geo, whose] = ['geo', 'licences'].map((name) => JSON.parse(pairs.find((pair) => pair.key === name)!.value!) as unknown); // prettier-ignore
    assert.deepEqual(whose, LICENCES);
    const { bbox, geometry_types: types } = (geo as { columns: { geometry: { bbox: number[]; geometry_types: string[] } } }).columns.geometry; // prettier-ignore
    assert.deepEqual(types, ['MultiPolygon', 'Polygon']);
    assert.ok(bbox[0] > 179.9 && bbox[2] < -179.9);
    const decoded = (await parquetReadObjects({ file })) as { geometry: object }[];
    assert.deepEqual(decoded.map(({ geometry }) => geometry), features.map(({ geometry }) => geometry)); // prettier-ignore
  });

  it('counts a square once, at the date when it is most alike', async () => {
    const { hits } = await search(store, asking(20), { k: 30 });
    assert.equal(new Set(hits.map(({ id }) => id)).size, 30);
    const once = ranked(20).filter((name, at, all) => all.findIndex((other) => other.slice(0, 22) === name.slice(0, 22)) === at); // prettier-ignore
    assert.deepEqual(hits.map(key), once.slice(0, 30));
  });

  it('gives as many answers by every filter as there are, and those of a full sort', async () => {
    const { lon, lat } = (await search(store, asking(600), { k: 1, own: true })).hits[0];
    const box = [lon - 0.01, lat - 0.006, lon + 0.01, lat + 0.006] as [number, number, number, number];
    const polygon = { type: 'Polygon' as const, coordinates: [[[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]], [[lon - 0.003, lat - 0.002], [lon + 0.003, lat - 0.002], [lon + 0.003, lat + 0.002], [lon - 0.003, lat - 0.002]]] }; // prettier-ignore
    const { columns } = await store.load();
    const place = new Map(columns.ids.map((id, at) => [id, [columns.lons[at], columns.lats[at]]]));
    const inBox = ({ id }: DatasetRow): boolean => {
      const [x, y] = place.get(id)!;
      return x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];
    };
    const inHole = ({ id }: DatasetRow): boolean => {
      const [x, y] = [(place.get(id)![0] - lon) / 0.003, (place.get(id)![1] - lat) / 0.002];
      return x < 1 && y > -1 && y < x; // the triangle under the diagonal
    };
    const cases: [SearchOptions, (row: DatasetRow) => boolean][] = [
      [{ bbox: box }, inBox],
      [{ within: polygon }, (row) => inBox(row) && !inHole(row)],
      [{ within: { type: 'FeatureCollection', features: [{ type: 'Feature', properties: {}, geometry: { type: 'MultiPolygon', coordinates: [polygon.coordinates.slice(0, 1)] } }] } }, inBox],
      [{ cells: [EAST.id] }, ({ id }) => id.startsWith(EAST.id)],
      [{ cells: ['Z33-03113301221', 'Z33-99'.replace('99', '3')] }, ({ id }) => id.startsWith('Z33-03113301221')],
      [{ since: DATES[1] }, ({ date }) => date >= DATES[1]],
      [{ until: '2022-12-31' }, ({ date }) => date < '2023'],
      [{ tags: ['rare'] }, ({ labels }) => labels['rare'] === 1],
      [{ tags: ['rare', 'kind 7'] }, ({ labels }) => labels['rare'] === 1 && labels['kind 7'] === 1],
      [{ maxCloud: 30 }, ({ cloudPercent = 101 }) => cloudPercent <= 30],
      [{ maxOffNadir: 12 }, ({ offNadir = 91 }) => offNadir <= 12],
      [{ maxCloud: 50, since: DATES[1], tags: ['kind 3'] }, ({ cloudPercent = 101, date, labels }) => cloudPercent <= 50 && date === DATES[1] && labels['kind 3'] === 1],
    ]; // prettier-ignore
    for (const [options, admit] of cases) {
      const expected = ranked(600, admit);
      assert.ok(expected.length >= 2 && expected.length < 2998, JSON.stringify(options));
      assert.deepEqual(await hitsOf(600, options), expected.slice(0, 40), JSON.stringify(options));
      const { left } = await search(store, asking(600), options);
      assert.equal(left, expected.length);
    }
  });

  it('leaves out what lies within so many metres of the chip asked with, and keeps answers apart', async () => {
    const own = utm(rows[900].id);
    const far = ({ id }: DatasetRow): boolean => Math.hypot(utm(id)[0] - own[0], utm(id)[1] - own[1]) > 500;
    const expected = ranked(900, far);
    assert.ok(expected.length < 2900);
    assert.deepEqual(await hitsOf(900, { awayMetres: 500 }), expected.slice(0, 40));
    const [west, south] = chipBounds(rows[900].id);
    const corner = toLonLat(cell.epsg, [west + 1, south + 1]);
    const fromCorner = await search(store, { at: corner, catid: rows[900].catid }, { k: 40, allDates: true, awayMetres: 100 }); // prettier-ignore
    const apart = ({ id }: DatasetRow): boolean => Math.hypot(utm(id)[0] - west - 1, utm(id)[1] - south - 1) > 100;
    assert.deepEqual(fromCorner.hits.map(key), ranked(900, apart).slice(0, 40)); // prettier-ignore
    const { hits } = await search(store, asking(900), { k: 15, apartMetres: 400 });
    const places = hits.map(({ lon, lat }) => toUtm(cell.epsg, [lon, lat]));
    for (const [at, [x, y]] of places.entries())
      for (const [u, v] of places.slice(0, at)) assert.ok(Math.hypot(x - u, y - v) > 398, `${at}`);
    const first = ranked(900)[0];
    assert.equal(key(hits[0]), first);
  });

  it('takes the mean of examples, less half of what is not wanted, and of all chips with a tag', async () => {
    const mean = (indices: number[]): number[] => Array.from({ length: 32 }, (_, i) => indices.reduce((sum, at) => sum + vectorAt(vectors, at)[i], 0) / indices.length); // prettier-ignore
    const newest = (indices: number[]): string[] => indices.map((at) => rows[at].id);
    const [wanted, unwanted] = [mean([1, 121, 241]), mean([3, 123])];
    const rocchio = vectorsOf([wanted.map((value, i) => value - 0.5 * unwanted[i])]).values;
    const { asked, hits } = await search(store, { like: newest([1, 121, 241]), unlike: newest([3, 123]) }, { k: 20 });
    asked.vector.forEach((value, i) => assert.ok(Math.abs(value - rocchio[i]) < 1e-6));
    const examples = new Set(newest([1, 121, 241, 3, 123]));
    assert.ok(hits.every(({ id, tags }) => !examples.has(id) && tags.includes('kind 0')));
    const tagged = rows.flatMap(({ labels }, at) => (labels['rare'] === 1 ? [at] : []));
    const { asked: byTag, hits: alike } = await search(store, { tag: 'rare' }, { k: 5 });
    const expected = vectorsOf([mean(tagged)]).values;
    byTag.vector.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-6));
    assert.ok(alike.some(({ tags }) => tags.includes('rare')));
  });

  describe('with an index', () => {
    it('has parameters that reach 0.98 of the exact answers, says so, and reaches them', async () => {
      const { partitions, probes, recall, questions, rows: of } = big.index!;
      assert.deepEqual([partitions, of, questions, recall.map(({ k }) => k)], [55, 3000, 100, [1, 10, 100]]);
      assert.ok(probes <= partitions && recall[1].recall >= 0.98);
      let found = 0;
      for (let at = 5; at < rows.length; at += 150) {
        const answers = await search(big, asking(at), { k: 10, allDates: true });
        assert.deepEqual(
          [answers.recall.from, answers.recall.k, answers.recall.value],
          ['sample', 10, recall[1].recall],
        );
        const truth = ranked(at).slice(0, 10);
        found += truth.filter((name) => answers.hits.some((hit) => key(hit) === name)).length / 200;
      }
      assert.ok(found >= 0.95, `${found}`);
    });

    it('tells the recall without the square that asks', async () => {
      const plain = randomVectors(rows.length, 8, 'plain'); // of no kinds: some answers are missed
      await deployStore(folder, 'recall', rows, plain, 'm@1', { exactRows: 1000 });
      const { table, index, close } = await openStore(folder, 'recall');
      for (const { k, recall } of index!.recall) {
        let found = 0;
        for (let at = 0; at < rows.length; at += rows.length / index!.questions) {
          const truth = nearest(plain, vectorAt(plain, at), { k, admit: (other) => rows[other].id !== rows[at].id });
          const hits = await table.query().nearestTo(vectorAt(plain, at)).distanceType('dot').nprobes(index!.probes).limit(k + 2).toArray(); // prettier-ignore
          const names = new Set(hits.map((hit: Hit) => key(hit)));
          found += truth.filter(({ index: other }) => names.has(key(rows[other]))).length / k / index!.questions;
        }
        assert.ok(Math.abs(recall - found) < 1e-9 && recall <= 1, `${k}: ${recall}, ${found}`);
      }
      assert.ok(index!.recall.some(({ recall }) => recall < 1));
      close();
    });

    it('counts an answer as right that is as alike as the right one', async () => {
      const same = vectorsOf(rows.map((_, at) => [...vectorAt(kinds, (at >> 1) % 60)]));
      await deployStore(folder, 'equal', rows, same, 'm@1', { exactRows: 1000 });
      const equal = await openStore(folder, 'equal');
      const [one, ten] = equal.index!.recall; // 48 others are as alike
      assert.deepEqual([one.recall, ten.recall], [1, 1]);
      const { recall } = await search(equal, asking(1500), { k: 10, verify: true });
      assert.deepEqual(recall, { value: 1, from: 'question', k: 10, questions: 1 });
      equal.close();
    });

    it('is passed by where a filter leaves something out, so that no answer is lost to it', async () => {
      for (const at of [9, 1001]) {
        const { hits, recall } = await search(big, asking(at), { k: 30, tags: ['rare'], allDates: true });
        assert.equal(recall.from, 'exact');
        assert.deepEqual(hits.map(key), ranked(at, ({ labels }) => labels['rare'] === 1).slice(0, 30)); // prettier-ignore
      }
    });

    it('fills up what its own square and other dates took from the answers', async () => {
      const { hits } = await search(big, asking(33), { k: 50 });
      assert.equal(new Set(hits.map(({ id }) => id)).size, 50);
      assert.ok(hits.every(({ id }) => id !== rows[33].id));
      assert.ok(hits.every((hit, at) => at === 0 || hit.similarity <= hits[at - 1].similarity));
    });

    it('measures the recall of one question where it is asked to', async () => {
      const { recall, hits } = await search(big, asking(1234), { k: 20, verify: true, allDates: true });
      const truth = ranked(1234).slice(0, 20);
      const found = truth.filter((name) => hits.some((hit) => key(hit) === name)).length;
      assert.deepEqual(recall, { value: found / 20, from: 'question', k: 20, questions: 1 });
    });
  });

  it('loses at most a hundredth of the average precision by bits whose first choice is put in order', () => {
    const codes = bitCodes(vectors);
    let lost = 0;
    for (let at = 0; at < rows.length; at += 100) {
      const exact = nearest(vectors, vectorAt(vectors, at), { k: 50 });
      const found = bitNearest(codes, vectors, vectorAt(vectors, at), { k: 50 });
      const alike = (index: number): boolean => (index >> 1) % 60 === (at >> 1) % 60;
      const precision = (answers: { index: number }[]): number =>
        answers.reduce(({ hits, sum }, { index }, rank) => (alike(index) ? { hits: hits + 1, sum: sum + (hits + 1) / (rank + 1) } : { hits, sum }), { hits: 0, sum: 0 }).sum / 50; // prettier-ignore
      lost += (precision(exact) - precision(found)) / 30;
      assert.deepEqual(found.slice(0, 5), exact.slice(0, 5));
    }
    assert.ok(lost < 0.01, `${lost}`);
  });

  describe('with an image', () => {
    const size = 32;
    let plate: string;
    let images: Store;
    const hue = (x: number, y: number): [number, number, number] => [x % 256, (3 * y) % 256, (x * y) % 256];
    before(async () => {
      const network = await buildNetwork({ inputSize: size, classes: ['a'], widths: [8], embeddingWidth: 16, seed: 3 });
      await saveModel(join(folder, 'models/seeing/0a0a0a0a0a0a'), network, {
        name: 'seeing', version: '0a0a0a0a0a0a', datasetVersion: 'none@0', backend: 'wasm', settings: { losses: {} }, metrics: {}, curve: [], licences: [],
      }); // prettier-ignore
      network.dispose();
      const pixels = Uint8Array.from({ length: 600 * 400 * 3 }, (_, at) => hue(Math.floor(at / 3) % 600, Math.floor(at / 1800))[at % 3]); // prettier-ignore
      plate = join(folder, 'plate.png');
      await sharp(pixels, { raw: { width: 600, height: 400, channels: 3 } })
        .png()
        .toFile(plate);
      await deployStore(folder, 'images', rows.slice(0, 40), randomVectors(40, 16, 'images'), 'seeing@0a0a0a0a0a0a');
      images = await openStore(folder, 'images');
    });

    /** What the encoder itself makes of a part of the plate. */
    const direct = async (left: number, top: number, side: number): Promise<Float32Array> => {
      const path = join(folder, `${left}-${side}.png`);
      await sharp(plate).extract({ left, top, width: side, height: side }).png().toFile(path);
      const encoder = await openEncoder(join(folder, 'models/seeing/0a0a0a0a0a0a/encoder.onnx'));
      const made = await encoder.encode(await readPixels([path], size));
      await encoder.close();
      return made;
    };

    it('takes its middle square, or its middle 78 m where the size of its pixels is known', async () => {
      const whole = await search(images, { image: plate }, { k: 3 });
      const expected = await direct(100, 0, 400);
      whole.asked.vector.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-5));
      const known = await search(images, { image: plate, metresPerPixel: 0.78125 }, { k: 3 });
      const middle = await direct(250, 150, 100);
      known.asked.vector.forEach((value, i) => assert.ok(Math.abs(value - middle[i]) < 1e-5));
      const bytes = await search(images, { image: await sharp(plate).webp({ lossless: true }).toBuffer() }, { k: 3 });
      assert.deepEqual(bytes.hits.map(key), whole.hits.map(key));
    });

    it('refuses a file that is no image, and a model that is not there', async () => {
      const text = join(folder, 'text.jpg');
      await writeFile(text, 'no image');
      await assert.rejects(search(images, { image: text }), /text\.jpg is no image that can be read \([^\n]*\): give a JPEG, PNG, WebP or TIFF$/); // prettier-ignore
      await assert.rejects(search(images, { image: '/no/such.jpg' }), /^Error: \/no\/such\.jpg is no image/);
      await assert.rejects(search(store, { image: plate }), /no model m in .*\/models; there is seeing$/);
      await assert.rejects(search(images, { image: plate, metresPerPixel: 0 }), /metresPerPixel is 0: expected metres, above 0$/); // prettier-ignore
    });
  });

  const refusals: [string, () => Promise<unknown>, RegExp][] = [
    ['a chip that is not there', () => search(store, { chip: 'Z33-031133012203333333' }), /^Error: no chip Z33-031133012203333333 in table plain: deploy its cell, Z33-031133012203$/],
    ['what is no chip', () => search(store, { chip: "' OR 1=1" }), /^RangeError: unknown chip id "' OR 1=1"/],
    ['a date that a chip has not', () => search(store, { chip: rows[0].id, date: '1999-01-01' }), /but not of 1999-01-01: there is 2022-06-14 CAT0, 2023-05-21 CAT1$/],
    ['a place where nothing is deployed', () => search(store, { at: [12.5, 41.9] }), /nothing is deployed at 12\.5,41\.9 in table plain: the nearest chip, Z33-\d+, is [\d.]+ km away; deploy the cell there, or ask elsewhere$/],
    ['a place that is none', () => search(store, { at: [12.5, 141.9] }), /no such place: lon 12\.5, lat 141\.9/],
    ['a tag that no chip has', () => search(store, { tag: 'moat' }), /no chip of table plain has the tag moat; it has kind 0, kind 1, .* and 56 more$/],
    ['no example', () => search(store, { like: [] }), /like names no chip/],
    ['a vector of another width', () => search(store, { vector: new Float32Array(7).fill(1) }), /a vector of 7 numbers cannot be asked of table plain, whose vectors have 32 \(m@1\): encode with that model$/],
    ['a vector of another model', () => search(store, { vector: vectorAt(vectors, 0), model: 'm@2' }), /a vector of m@2 cannot be asked of table plain, which is of m@1/],
    ['a vector of no length', () => search(store, { vector: new Float32Array(32) }), /has the length 0/],
    ['a filter that leaves nothing', () => search(store, { chip: rows[0].id }, { since: '2031-01-01', maxCloud: 4 }), /the filter leaves none of the 3000 rows of table plain: loosen it \(since 2031-01-01, maxCloud 4\)$/],
    ['no k', () => search(store, { chip: rows[0].id }, { k: 0 }), /positive whole k, got 0$/],
    ['a box inside out', () => search(store, { chip: rows[0].id }, { bbox: [2, 4, 3, 1] }), /bbox is 2,4,3,1: expected west,south,east,north/],
    ['a day that is none', () => search(store, { chip: rows[0].id }, { until: 'today' }), /until is today: expected a day/],
    ['days the wrong way round', () => search(store, { chip: rows[0].id }, { since: '2023-01-02', until: '2023-01-01' }), /since is 2023-01-02: expected a day no later than 2023-01-01/],
    ['cloud beyond all', () => search(store, { chip: rows[0].id }, { maxCloud: 101 }), /maxCloud is 101: expected percent/],
    ['an angle beyond the horizon', () => search(store, { chip: rows[0].id }, { maxOffNadir: 91 }), /maxOffNadir is 91/],
    ['a day that no month has', () => search(store, { chip: rows[0].id }, { until: '2023-02-30' }), /until is 2023-02-30: expected a day/],
    ['a distance from nowhere', () => search(store, { tag: 'rare' }, { awayMetres: 500 }), /awayMetres is 500, but a tag, an image or a vector lies nowhere: ask with chips or a place, or leave it out$/],
    ['a distance below nought', () => search(store, { chip: rows[0].id }, { awayMetres: -1 }), /awayMetres is -1/],
    ['distances below nought', () => search(store, { chip: rows[0].id }, { apartMetres: -1 }), /apartMetres is -1/],
    ['a cell that is none', () => search(store, { chip: rows[0].id }, { cells: ['33/0311'] }), /cells is 33\/0311: expected ids of cells/],
    ['ground that is no polygon', () => search(store, { chip: rows[0].id }, { within: { type: 'Point', coordinates: [1, 2] } as never }), /within is no GeoJSON of polygons \(at type\)/],
  ]; // prettier-ignore
  for (const [what, work, line] of refusals)
    it(`refuses ${what}`, async () => {
      await assert.rejects(work, (error: Error) => {
        assert.match(`${error.name}: ${error.message}`, line);
        return !error.message.includes('\n');
      });
    });

  it('names its hits whole: outline, centre, tags, cloud, angle, model', async () => {
    const { hits } = await search(store, asking(1), { k: 400, allDates: true });
    const at = (hit: Hit): number => rows.findIndex((row) => key(row) === key(hit));
    for (const hit of hits.slice(0, 50)) {
      const row = rows[at(hit)];
      assert.deepEqual([hit.cloudPercent, hit.offNadir, hit.gsd, hit.model], [row.cloudPercent ?? null, row.offNadir ?? null, null, 'm@1']); // prettier-ignore
      assert.deepEqual(hit.tags.toSorted(), Object.keys(row.labels).sort());
      assert.deepEqual([hit.cell, hit.zone], [parseChip(hit.id).cell.id, 33]);
      assert.ok(hit.west < hit.lon && hit.lon < hit.east && hit.south < hit.lat && hit.lat < hit.north);
    }
  });
});
