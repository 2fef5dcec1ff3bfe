import assert from 'node:assert/strict';
import seedrandom from 'seedrandom';
import { type Cell, cellAt, parseCell, toLonLat, toUtm } from 'imagesim/ard';
import { type ChipCoverage, type Element, chipCoverage, elements } from 'imagesim/osm';
import { answerOf, needs, osmOf } from './stand-in.ts';

type Place = [number, number];

const cell = parseCell('Z33-031133012203'); // 265000, 4090000, 270000, 4095000
const SIDE = 78.125;

/** Metres from the cell's north-west corner, x east and y south, as lon/lat. */
const lonLat = ([x, y]: Place, { epsg, cellBounds: [west, , , north] }: Cell = cell): Place =>
  toLonLat(epsg, [west + x, north - y]);
const ring = (places: Place[], of: Cell = cell): Place[] => [...places, places[0]].map((place) => lonLat(place, of));
const box = (x: number, y: number, width: number, height: number): Place[] => [
  [x, y],
  [x + width, y],
  [x + width, y + height],
  [x, y + height],
];
const element = (geometry: Element['geometry']): Element => ({
  type: 'way',
  id: 1,
  key: 'way/1',
  tags: { a: 'b' },
  geometry,
});
const polygon = (...rings: Place[][]): Element =>
  element({ type: 'Polygon', coordinates: rings.map((places) => ring(places)) });
const line = (...places: Place[]): Element =>
  element({ type: 'LineString', coordinates: places.map((place) => lonLat(place)) });
const sum = (rows: ChipCoverage[], of: 'area' | 'length' | 'points'): number =>
  rows.reduce((total, row) => total + row[of], 0);
const near = (found: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected}`);
const areaOf = (places: Place[]): number =>
  Math.abs(
    places.reduce((twice, [x, y], k) => {
      const [u, v] = places[(k + 1) % places.length];
      return twice + x * v - u * y;
    }, 0),
  ) / 2;
const inside = (places: Place[], [x, y]: Place): boolean =>
  places.reduce((odd, [ax, ay], k) => {
    const [bx, by] = places[(k + 1) % places.length];
    return ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay) ? !odd : odd;
  }, false);
/** A star about a centre, its corners between 0.3 and 1 of the radius away. */
const star = (random: () => number, [x, y]: Place, radius: number, corners: number): Place[] =>
  Array.from({ length: corners }, (_, k) => {
    const away = radius * (0.3 + 0.7 * random());
    return [x + away * Math.cos((2 * Math.PI * k) / corners), y + away * Math.sin((2 * Math.PI * k) / corners)];
  });

describe('osm coverage', () => {
  it('gives a chip that is covered whole 1, and its neighbours their share', () => {
    const rows = chipCoverage([polygon(box(SIDE * 2, SIDE * 3, SIDE * 1.5, SIDE * 1.25))], cell);
    assert.deepEqual(
      rows.map(({ chip }) => chip),
      [3 * 64 + 2, 3 * 64 + 3, 4 * 64 + 2, 4 * 64 + 3],
    );
    rows.forEach(({ area }, k) => near(area, [1, 0.5, 0.25, 0.125][k], 1e-6));
    assert.ok(rows.every(({ length, points, element: index }) => length === 0 && points === 0 && index === 0));
  });

  it('takes holes off', () => {
    const rows = chipCoverage([polygon(box(0, 0, SIDE, SIDE), box(10, 20, SIDE / 2, SIDE / 5))], cell);
    assert.equal(rows.length, 1);
    near(rows[0].area, 0.9, 1e-6);
  });

  it('adds the parts of a multipolygon', () => {
    const parts = [box(1, 1, 10, 10), box(40, 40, 20, 20)].map((places) => [ring(places)]);
    near(chipCoverage([element({ type: 'MultiPolygon', coordinates: parts })], cell)[0].area, 500 / SIDE ** 2, 1e-6);
  });

  it('covers all 4,096 chips whole under an area far larger than the cell, even than its zone', () => {
    const rows = chipCoverage(
      [
        polygon(box(-900, -900, 9000, 9000)),
        element({
          type: 'Polygon',
          coordinates: [
            [
              ...[-179, -60, 60, 179].map((lon) => [lon, -80]),
              ...[179, 60, -60, -179].map((lon) => [lon, 84]),
              [-179, -80],
            ],
          ],
        }),
      ],
      cell,
    );
    assert.equal(rows.length, 8192);
    assert.ok(rows.every(({ area }, k) => Math.abs(area - 1) < 1e-9 && rows[k].chip === k % 4096));
  });

  it('agrees with 1,600 samples in every chip, for stars with a hole, inside and across the edge of the cell', () => {
    const random = seedrandom('coverage');
    for (const centre of [
      [700, 800],
      [20, 4980],
      [4900, 30],
      [2500, 2500],
    ] as Place[]) {
      const outer = star(random, centre, 300, 24);
      const hole = star(random, centre, 80, 9);
      const rows = new Map(chipCoverage([polygon(outer, hole)], cell).map(({ chip, area }) => [chip, area]));
      for (let chip = 0; chip < 4096; chip++) {
        const [x, y] = [(chip % 64) * SIDE, Math.floor(chip / 64) * SIDE];
        if (Math.hypot(x - centre[0], y - centre[1]) > 500) {
          assert.equal(rows.get(chip), undefined);
          continue;
        }
        let hits = 0;
        for (let k = 0; k < 1600; k++) {
          const at: Place = [x + (((k % 40) + 0.5) * SIDE) / 40, y + ((Math.floor(k / 40) + 0.5) * SIDE) / 40];
          if (inside(outer, at) && !inside(hole, at)) hits++;
        }
        near(rows.get(chip) ?? 0, hits / 1600, 0.02);
      }
    }
  });

  it('sums over all chips to the area inside, for a star of 20,000 corners', () => {
    const places = star(seedrandom('many'), [2500, 2500], 2400, 20_000);
    const rows = chipCoverage([polygon(places)], cell);
    near(sum(rows, 'area') * SIDE ** 2, areaOf(places), 1);
    assert.ok(rows.every(({ area }) => area > 0 && area <= 1));
  });

  it('sums lines to their length inside, whatever borders they run along or leave by', () => {
    const lines: [Element, number][] = [
      [line([100, 100], [400, 500]), 500],
      [line([-300, 2500], [5300, 2500]), 5000],
      [line([1000, 1000], [1000, 1300], [1400, 1300]), 700],
      [line([-100, -100], [-500, 9000]), 0],
      [line([2500, -50], [2600, -50], [2600, 50]), 50],
    ];
    for (const [element_, length] of lines) near(sum(chipCoverage([element_], cell), 'length'), length, 0.01);
  });

  it('counts a line that runs along a border between chips once', () => {
    near(sum(chipCoverage([line([SIDE * 5, 100], [SIDE * 5, 900])], cell), 'length'), 800, 0.01);
  });

  it('agrees with 100,000 samples along a random line', () => {
    const random = seedrandom('line');
    const places = Array.from({ length: 30 }, (): Place => [random() * 6000 - 500, random() * 6000 - 500]);
    const rows = new Map(chipCoverage([line(...places)], cell).map(({ chip, length }) => [chip, length]));
    const samples = new Map<number, number>();
    for (let k = 1; k < places.length; k++) {
      const [[ax, ay], [bx, by]] = [places[k - 1], places[k]];
      const step = Math.hypot(bx - ax, by - ay) / 4000;
      for (let s = 0.5; s < 4000; s++) {
        const [column, row] = [ax + ((bx - ax) * s) / 4000, ay + ((by - ay) * s) / 4000].map((at) =>
          Math.floor(at / SIDE),
        ) as Place;
        if (column >= 0 && row >= 0 && column < 64 && row < 64)
          samples.set(row * 64 + column, (samples.get(row * 64 + column) ?? 0) + step);
      }
    }
    for (const chip of new Set([...rows.keys(), ...samples.keys()]))
      near(rows.get(chip) ?? 0, samples.get(chip) ?? 0, 4);
  });

  it('counts points in their chip, and none outside the cell or far away', () => {
    const points = [
      [1, 1],
      [4999, 4999],
      [-1, 5],
      [5001, 5],
    ] as Place[];
    const far = element({ type: 'Point', coordinates: [-100, 40] });
    const rows = chipCoverage(
      [...points.map((place) => element({ type: 'Point', coordinates: lonLat(place) })), far],
      cell,
    );
    assert.deepEqual(
      rows.map(({ chip, element: index, points: count }) => [chip, index, count]),
      [
        [0, 0, 1],
        [4095, 1, 1],
      ],
    );
  });

  it('works south of the equator and across the antimeridian', () => {
    for (const id of ['Z33-211100001111', 'Z60-300202333111', 'Z01-211313222000']) {
      const other = parseCell(id);
      const onGlobe = ([lon, lat]: Place): Place => [lon > 180 ? lon - 360 : lon, lat];
      const places = ring(box(0, 0, 5000, 5000), other).map(onGlobe);
      const rows = chipCoverage([element({ type: 'Polygon', coordinates: [places] })], other);
      near(sum(rows, 'area'), 4096, 0.1);
    }
  });

  it('has no row for an area of nothing', () => {
    assert.deepEqual(
      chipCoverage(
        [
          polygon([
            [10, 10],
            [20, 20],
            [10, 10],
          ]),
          polygon(box(5, 5, 50, 50), box(5, 5, 50, 50)),
        ],
        cell,
      ),
      [],
    );
  });

  describe('of a dense real place', function () {
    before(function () {
      needs(this, 'osm/overpass-json');
    });
    it('sums every building that lies in the cell to its own area', () => {
      const osm = osmOf(answerOf('osm/overpass-json/overpass-response-1.json.gz'));
      const oakland = cellAt([-122.23, 37.825]);
      const list = elements(osm).elements;
      const rows = chipCoverage(osm, oakland);
      const shares = new Map<number, number>();
      for (const { element: index, area } of rows) shares.set(index, (shares.get(index) ?? 0) + area);
      const [west, south, east, north] = oakland.cellBounds;
      let whole = 0;
      list.forEach(({ geometry }, index) => {
        if (geometry.type !== 'Polygon' || geometry.coordinates.length > 1) return;
        const places = geometry.coordinates[0].map((at) => toUtm(oakland.epsg, at as Place));
        if (!places.every(([x, y]) => x > west && x < east && y > south && y < north)) return;
        near((shares.get(index) ?? 0) * SIDE ** 2, areaOf(places.map(([x, y]) => [x - west, y - south])), 1e-4);
        whole++;
      });
      assert.ok(whole > 1000, `${whole} buildings`);
    });
  });
});
