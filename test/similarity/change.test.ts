import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Position } from 'geojson';
import { type Cell, cellsOnDisk, chipBounds, chipIdAt, chipIds, parseCell, toLonLat, toUtm } from 'imagesim/ard';
import { type KnownChange, readKnownChanges, touchedChips } from 'imagesim/similarity';
import seedrandom from 'seedrandom';
import { emptyFolder, sampleDelivery } from '../delivery.ts';
import { cell } from './rows.ts';

type Place = [number, number];
const SIDE = 78.125;

/** Metres from the cell's north-west corner, x east and y south, as a ring of lon/lat. */
const ring = (places: Place[], { epsg, cellBounds: [west, , , north] }: Cell = cell): Position[] =>
  [...places, places[0]].map(([x, y]) => toLonLat(epsg, [west + x, north - y]));
const polygon = (...rings: Place[][]): KnownChange => ({
  geometry: { type: 'Polygon', coordinates: rings.map((places) => ring(places)) },
  properties: {},
});
const box = (west: number, north: number, east: number, south: number): Place[] => [
  [west, north],
  [east, north],
  [east, south],
  [west, south],
];
const inside = (places: Place[], [x, y]: Place): boolean =>
  places.reduce((odd, [ax, ay], k) => {
    const [bx, by] = places[(k + 1) % places.length];
    return ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay) ? !odd : odd;
  }, false);
const ids = chipIds(cell);
const touchedIndices = (...changes: KnownChange[]): number[] =>
  [...touchedChips(changes, ids)].map((id) => ids.indexOf(id));

describe('touchedChips', () => {
  it('is exactly the chips in whose square a polygon covers some part', () => {
    assert.deepEqual(touchedIndices(polygon(box(SIDE * 2 + 1, SIDE + 1, SIDE * 4 - 1, SIDE * 2 - 1))), [66, 67]);
    assert.deepEqual(touchedIndices(polygon(box(30, 30, 31, 31))), [0], 'smaller than a chip');
    assert.equal(touchedIndices(polygon(box(-900, -900, 9000, 9000))).length, 4096, 'larger than the cell');
    assert.deepEqual(touchedIndices(polygon(box(6000, 100, 6100, 200))), [], 'elsewhere');
    assert.deepEqual(touchedIndices(), []);
  });

  it('does not take a chip that a polygon reaches around, or that lies in its hole', () => {
    const around = box(10, 10, SIDE * 3 - 10, SIDE * 3 - 10);
    assert.deepEqual(
      touchedIndices(polygon(around, box(SIDE - 10, SIDE - 10, SIDE * 2 + 10, SIDE * 2 + 10))),
      [0, 1, 2, 64, 66, 128, 129, 130],
    );
    const arms: Place[] = [
      [10, 10],
      [20, 10],
      [20, 220],
      [220, 220],
      [220, 10],
      [230, 10],
      [230, 230],
      [10, 230],
    ];
    assert.deepEqual(touchedIndices(polygon(arms)), [0, 2, 64, 66, 128, 129, 130]);
  });

  it('takes each part of a multipolygon, and each change', () => {
    const parts = [box(1, 1, 9, 9), box(SIDE * 5 + 1, 1, SIDE * 5 + 9, 9)];
    const multi: KnownChange = {
      geometry: { type: 'MultiPolygon', coordinates: parts.map((places) => [ring(places)]) },
      properties: {},
    };
    assert.deepEqual(touchedIndices(multi, polygon(box(1, SIDE + 1, 9, SIDE + 9))), [0, 5, 64]);
  });

  it('agrees with 1,600 samples in every chip, for concave stars with a hole', () => {
    const random = seedrandom('touched');
    const star = ([x, y]: Place, radius: number, corners: number): Place[] =>
      Array.from({ length: corners }, (_, k) => {
        const away = radius * (0.2 + 0.8 * random());
        return [x + away * Math.cos((2 * Math.PI * k) / corners), y + away * Math.sin((2 * Math.PI * k) / corners)];
      });
    for (const centre of [
      [700, 800],
      [20, 4980],
      [2500, 2500],
    ] as Place[]) {
      const [outer, hole] = [star(centre, 400, 17), star(centre, 75, 7)];
      const found = new Set(touchedIndices(polygon(outer, hole)));
      let decided = 0;
      for (let chip = 0; chip < 4096; chip++) {
        const [x, y] = [(chip % 64) * SIDE, Math.floor(chip / 64) * SIDE];
        if (Math.hypot(x - centre[0], y - centre[1]) > 600) {
          assert.ok(!found.has(chip));
          continue;
        }
        let hits = 0;
        for (let k = 0; k < 1600; k++) {
          const at: Place = [x + (((k % 40) + 0.5) * SIDE) / 40, y + ((Math.floor(k / 40) + 0.5) * SIDE) / 40];
          if (inside(outer, at) && !inside(hole, at)) hits++;
        }
        if (hits > 0) assert.ok(found.has(chip), `chip ${chip}: ${hits} of 1,600 samples`);
        const edges = [outer, hole].some((places) => crosses(places, [x, y, x + SIDE, y + SIDE]));
        if (hits === 0 && !edges) assert.ok(!found.has(chip), `chip ${chip}`);
        if (hits > 0 || !edges) decided++;
      }
      assert.ok(decided > 30);
    }
  });

  it('looks at chips of several cells, and of the southern half, and only at those asked for', () => {
    const east = parseCell('Z33-031133012212');
    const across = polygon(box(5000 - SIDE / 2, 10, 5000 + SIDE / 2, 20));
    const edge = [chipIdAt(cell, 0, 63), chipIdAt(east, 0, 0), chipIdAt(east, 0, 1)];
    assert.deepEqual([...touchedChips([across], edge)], edge.slice(0, 2));
    assert.deepEqual([...touchedChips([across], [edge[1]])], [edge[1]]);
    const south = parseCell('Z33-211100001111');
    const below: KnownChange = {
      geometry: { type: 'Polygon', coordinates: [ring(box(1, 1, 9, 9), south)] },
      properties: {},
    };
    assert.deepEqual([...touchedChips([below], chipIds(south))], [chipIdAt(south, 0, 0)]);
  });
});

/** Whether an edge of a ring comes into a rectangle: Liang and Barsky's test. */
function crosses(places: Place[], [left, top, right, bottom]: [number, number, number, number]): boolean {
  return places.some(([ax, ay], k) => {
    const [bx, by] = places[(k + 1) % places.length];
    let [from, to] = [0, 1];
    for (const [step, room] of [
      [ax - bx, ax - left],
      [bx - ax, right - ax],
      [ay - by, ay - top],
      [by - ay, bottom - ay],
    ]) {
      if (step === 0 && room < 0) return false;
      if (step < 0) from = Math.max(from, room / step);
      if (step > 0) to = Math.min(to, room / step);
    }
    return from < to;
  });
}

describe('readKnownChanges', () => {
  const withFile = async (content: string): Promise<string> => {
    const folder = await emptyFolder();
    await mkdir(join(folder, 'demo-ard/vectors'), { recursive: true });
    await writeFile(join(folder, 'demo-ard/vectors/drawn.geojson'), content);
    return folder;
  };
  const feature = (geometry: unknown): object => ({ type: 'Feature', properties: { kind: 'built' }, geometry });
  const collection = (...features: unknown[]): string => JSON.stringify({ type: 'FeatureCollection', features });
  const good = polygon(box(1, 1, 9, 9)).geometry;

  it('reads every .geojson of the folder in order of names, and nothing else', async () => {
    const folder = await withFile(collection(feature(good)));
    const multi = { type: 'MultiPolygon', coordinates: [good.coordinates] };
    await writeFile(
      join(folder, 'demo-ard/vectors/another.geojson'),
      collection(feature(multi), { ...feature(good), properties: null }),
    );
    await writeFile(join(folder, 'demo-ard/vectors/README.txt'), 'no changes');
    assert.deepEqual(await readKnownChanges(folder), [
      { geometry: multi, properties: { kind: 'built' } },
      { geometry: good, properties: {} },
      { geometry: good, properties: { kind: 'built' } },
    ]);
  });

  it('finds none where there is no folder', async () => {
    assert.deepEqual(await readKnownChanges(await emptyFolder()), []);
  });

  for (const [name, content, at] of [
    ['null', 'null', 'the top'],
    ['a list', '[]', 'the top'],
    ['a bare feature', JSON.stringify(feature(good)), 'type'],
    ['features that are no list', '{"type":"FeatureCollection","features":{}}', 'features'],
    ['a feature that is null', collection(null), 'features.0'],
    ['a feature without geometry', collection(feature(good), feature(null)), 'features.1.geometry'],
    ['a point', collection(feature({ type: 'Point', coordinates: [15, 37] })), 'features.0.geometry.type'],
    [
      'a polygon without a ring',
      collection(feature({ type: 'Polygon', coordinates: [] })),
      'features.0.geometry.coordinates',
    ],
    [
      'a ring of three places',
      collection(feature({ type: 'Polygon', coordinates: [good.coordinates[0].slice(0, 3)] })),
      'features.0.geometry.coordinates.0',
    ],
    [
      'metres instead of degrees',
      collection(feature({ type: 'Polygon', coordinates: [box(265000, 4090000, 265100, 4090100)] })),
      'features.0.geometry.coordinates.0.0.0',
    ],
  ]) {
    it(`names the file that holds ${name}, and the entry`, async () => {
      await assert.rejects(readKnownChanges(await withFile(content)), (error: Error) => {
        assert.match(error.message, /vectors\/drawn\.geojson is no GeoJSON FeatureCollection of polygons/);
        assert.ok(error.message.includes(`(at ${at})`), error.message);
        return true;
      });
    });
  }

  it('names the file that is no JSON', async () => {
    await assert.rejects(readKnownChanges(await withFile('kml')), /drawn\.geojson is not JSON/);
  });

  it('reads the sample’s changes, each of which lies in its cells and touches a chip', async () => {
    const folder = await sampleDelivery();
    const changes = await readKnownChanges(folder);
    const cells = await cellsOnDisk(folder, 33);
    assert.ok(changes.length > 5);
    for (const change of changes) {
      const touched = touchedChips([change], cells.flatMap(chipIds));
      assert.ok(touched.size > 0);
      const [[lon, lat]] = (
        change.geometry.type === 'Polygon' ? change.geometry.coordinates : change.geometry.coordinates[0]
      )[0] as [Place];
      const [x, y] = toUtm(cells[0].epsg, [lon, lat]);
      const distances = [...touched]
        .map(chipBounds)
        .map(([west, south, east, north]) => Math.max(west - x, x - east, south - y, y - north));
      assert.ok(Math.min(...distances) < 1, 'a corner lies in or on a touched chip');
    }
  });
});
