import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Position } from 'geojson';
import { type Cell, cellsOnDisk, chipIdAt, parseCell, toLonLat, toUtm } from 'imagesim/ard';
import { type OsmWay, osmPath, readOsm } from 'imagesim/osm';
import { type AtlasRow, type ChipTag, type ZoneChipTags, chipTags, frame, tagAtlas } from 'imagesim/statistics';
import { emptyFolder, mappedSample } from '../delivery.ts';

const SIDE = 78.125;
const CHIP_AREA = SIDE ** 2;
const cell = parseCell('Z33-031133012203'); // 265000, 4090000, 270000, 4095000

const near = (found: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected}`);

/** Metres from the cell's north-west corner, x east and y south, as Overpass writes places. */
function place(
  x: number,
  y: number,
  { epsg, cellBounds: [west, , , north] }: Cell = cell,
): { lat: number; lon: number } {
  const [lon, lat] = toLonLat(epsg, [west + x, north - y]);
  return { lat, lon };
}

function way(id: number, tags: Record<string, string>, places: [number, number][]): OsmWay {
  return { type: 'way', id, tags, nodes: places.map((_, k) => 100 * id + (places.length > 4 ? k % 4 : k)), geometry: places.map(([x, y]) => place(x, y)) };
} // prettier-ignore

const square = (x: number, y: number, width: number, height: number): [number, number][] => [
  [x, y],
  [x + width, y],
  [x + width, y + height],
  [x, y + height],
  [x, y],
];

/** Writes a cell's map by hand: in chip (0, 0) two buildings and a tree, and a road on through chips (0, 1) and (0, 2). */
async function handMade(): Promise<string> {
  const folder = await emptyFolder();
  const path = osmPath(folder, cell);
  await mkdir(dirname(path), { recursive: true });
  const osm = {
    quadkey: cell.quadkey,
    nodes: [{ type: 'node', id: 1, tags: { natural: 'tree' }, ...place(40, 40) }],
    ways: [
      way(2, { building: 'yes', name: 'a=b' }, square(10, 10, 20, 10)), // 200 m²
      way(3, { building: 'yes' }, square(10, 30, 20, 20)), // 400 m²
      way(4, { highway: 'service' }, [[50, 60], [200, 60]]), // 150 m
      way(8, {}, square(600, 600, 40, 40)),
      way(5, { building: 'yes' }, square(SIDE * 2 - 10, 10, 20, 10)), // 100 m² in (0, 1), 100 m² in (0, 2)
    ], // prettier-ignore
    relations: [
      { type: 'relation', id: 6, tags: { type: 'multipolygon', landuse: 'forest' }, members: [{ type: 'way', ref: 7, role: 'outer' }] }, // its way is missing
      { type: 'relation', id: 9, tags: { type: 'multipolygon', landuse: 'meadow' }, members: [8, 7].map((ref) => ({ type: 'way', ref, role: 'outer' })) }, // one closes, one is missing
    ],
  }; // prettier-ignore
  await writeFile(path, JSON.stringify(osm));
  return folder;
}

const shoelace = (ring: Position[]): number =>
  Math.abs(ring.reduce((twice, [x, y], k) => twice + x * ring[(k + 1) % ring.length][1] - y * ring[(k + 1) % ring.length][0], 0)) / 2; // prettier-ignore

describe('chipTags of a cell made by hand', () => {
  let tags: ZoneChipTags;
  let folder: string;
  const row = (rows: ChipTag[], column: number, tag: string): ChipTag | undefined =>
    rows.find((other) => other.chip === chipIdAt(cell, 0, column) && other.tag === tag);
  before(async () => {
    folder = await handMade();
    tags = await chipTags(folder, 33);
  });

  it('finds the tags that lie in each chip and no others', () => {
    assert.deepEqual(
      tags.rows.map(({ chip, tag }) => `${parseInt(chip.slice(16), 4)} ${tag}`).toSorted(),
      ['0 building=yes', '0 highway=service', '0 name=a=b', '0 natural=tree', '1 building=yes', '1 highway=service', '4 building=yes', '4 highway=service'],
    ); // prettier-ignore
    assert.deepEqual(tags.cells.map(({ id }) => id), [cell.id]); // prettier-ignore
  });

  it('adds up the areas of a tag as shares of the chip', () => {
    const building = row(tags.rows, 0, 'building=yes')!;
    near(building.area, 600 / CHIP_AREA, 1e-6);
    assert.deepEqual([building.elements, building.length, building.points], [2, 0, 0]);
    near(row(tags.rows, 1, 'building=yes')!.area, 100 / CHIP_AREA, 1e-6);
    near(row(tags.rows, 2, 'building=yes')!.area, 100 / CHIP_AREA, 1e-6);
    near(row(tags.rows, 0, 'name=a=b')!.area, 200 / CHIP_AREA, 1e-6);
  });

  it('cuts lines at the chips’ borders, in metres, and counts points', () => {
    [SIDE - 50, SIDE, 200 - 2 * SIDE].forEach((metres, column) =>
      near(row(tags.rows, column, 'highway=service')!.length, metres, 1e-3),
    );
    const tree = row(tags.rows, 0, 'natural=tree')!;
    assert.deepEqual([tree.elements, tree.area, tree.length, tree.points], [1, 0, 0, 1]);
  });

  it('counts a point in each chip of its cell within the buffer', async () => {
    const places = ({ near: found }: ZoneChipTags): string[] => found.map(({ chip, tag, near: count }) => `${parseInt(chip.slice(16), 4)} ${tag} ${count}`).sort(); // prettier-ignore
    assert.deepEqual(places(tags), ['0 natural=tree 1']);
    // 38.1 m from its place, (40, 40), to the chips east and south, 53.9 m to the one beyond the corner
    assert.deepEqual(places(await chipTags(folder, 33, { pointBuffer: 38 })), ['0 natural=tree 1']);
    assert.deepEqual(places(await chipTags(folder, 33, { pointBuffer: 39 })), ['0 natural=tree 1', '1 natural=tree 1', '2 natural=tree 1']); // prettier-ignore
    assert.equal(places(await chipTags(folder, 33, { pointBuffer: 54 })).length, 4);
  });

  it('lists an element whose geometry is not whole, and does not count it', () => {
    assert.deepEqual(tags.broken.map(({ key }) => key), ['relation/6', 'relation/9']); // prettier-ignore
    assert.ok(
      tags.rows.every(({ tag }) => tag !== 'landuse=meadow'),
      'nor the part of it that closes',
    );
    assert.ok(!tags.rows.some(({ tag }) => tag === 'landuse=forest'));
  });

  it('looks only at the chips asked for', async () => {
    const only = new Set([chipIdAt(cell, 0, 1)]);
    assert.deepEqual(
      (await chipTags(folder, 33, { only })).rows,
      tags.rows.filter(({ chip }) => only.has(chip)),
    );
  });

  it('names the zone that has no cell, and the file that is missing', async () => {
    await assert.rejects(chipTags(folder, 32), /no cell of zone 32 under .*: sync a delivery first/);
    const bare = await handMade();
    await rm(osmPath(bare, cell));
    await assert.rejects(chipTags(bare, 33), /031133012203\/osm_data\.json is missing/);
  });

  it('stops when told to', async () => {
    await assert.rejects(chipTags(folder, 33, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  });

  describe('tagAtlas', () => {
    it('sums a tag over chips in hectares, kilometres and points, and divides by all chips looked at', () => {
      const atlas = tagAtlas(tags.rows, 50);
      assert.deepEqual(
        atlas.map(({ tag, chips }) => [tag, chips]),
        [['building=yes', 3], ['highway=service', 3], ['name=a=b', 1], ['natural=tree', 1]],
      ); // prettier-ignore
      const [building, highway, name, tree] = atlas;
      near(building.hectares, 0.08, 1e-8);
      near(building.cover, 800 / CHIP_AREA / 3, 1e-6);
      near(highway.kilometres, 0.15, 1e-6);
      assert.deepEqual([name.key, name.value], ['name', 'a=b']);
      assert.deepEqual([tree.points, tree.hectares, tree.kilometres, tree.cells], [1, 0, 0, 1]);
      assert.deepEqual([building.share, tree.share], [0.06, 0.02]);
    });

    it('gives a tag of every chip a share of 1 that its interval holds', () => {
      const [{ share, low, high }] = tagAtlas(tags.rows, 3);
      assert.deepEqual([share, high], [1, 1]);
      assert.ok(low > 0 && low < 1);
    });

    it('adds the elements by type and their size, also of tags that lie in no chip', () => {
      const atlas = tagAtlas(tags.rows, 50, tags.elements);
      const of = (tag: string): AtlasRow => atlas.find((one) => one.tag === tag)!;
      const counts = ({ nodes, ways, relations, elements, chips }: AtlasRow): number[] => [nodes, ways, relations, elements, chips]; // prettier-ignore
      assert.deepEqual(counts(of('building=yes')), [0, 3, 0, 3, 3]);
      assert.deepEqual(counts(of('natural=tree')), [1, 0, 0, 1, 1]);
      assert.deepEqual(counts(of('landuse=forest')), [0, 0, 1, 1, 0]);
      assert.deepEqual(atlas.map(({ chips }) => chips), [3, 3, 1, 1, 0, 0, 0]); // prettier-ignore
      near(of('building=yes').medianChips, 200 / CHIP_AREA, 0.005 * (200 / CHIP_AREA)); // of 200, 200 and 400 m²
      assert.deepEqual(
        ['building=yes', 'highway=service', 'natural=tree', 'landuse=forest'].map((tag) => of(tag).size),
        ['part of a chip', 'line', 'point', 'unknown'],
      );
      near(of('building=yes').rarity, Math.log(50 / 3), 1e-12);
      assert.equal(of('landuse=forest').rarity, Infinity);
      assert.ok(tagAtlas(tags.rows, 50).every(({ elements, size }) => Number.isNaN(elements) && size === 'unknown'));
    });

    it('has a row of each tag where no chip was looked at, without a share', () => {
      const [first] = tagAtlas([], 0, tags.elements);
      assert.equal(first.chips, 0);
      assert.ok([first.share, first.low, first.high].every(Number.isNaN));
    });

    it('counts overlapping areas to the whole chip at most', async () => {
      const full = await emptyFolder();
      await mkdir(dirname(osmPath(full, cell)), { recursive: true });
      const ways = [2, 3].map((id) => way(id, { landuse: 'forest' }, square(0, 0, SIDE, SIDE)));
      await writeFile(osmPath(full, cell), JSON.stringify({ quadkey: cell.quadkey, nodes: [], ways, relations: [] }));
      const [forest] = (await chipTags(full, 33)).rows;
      assert.deepEqual([forest.area, forest.elements], [1, 2]);
    });

    it('refuses fewer chips than have tags, even where no tag is in so many', () => {
      const rows = ['a=1', 'b=2'].map((tag, k) => ({ chip: chipIdAt(cell, 0, k), tag, elements: 1, area: 0, length: 0, points: 1 })); // prettier-ignore
      assert.throws(() => tagAtlas(rows, 1), /RangeError: tagAtlas got tags of 2 chips, but 1 were looked at/);
    });

    it('is empty where nothing is mapped', () => {
      assert.deepEqual(tagAtlas([], 10), []);
    });
  });
});

describe('chipTags of the sample delivery', () => {
  let folder: string;
  let tags: ZoneChipTags;
  before(async () => {
    folder = await mappedSample();
    tags = await chipTags(folder, 33);
  });

  it('finds each house’s and each residential road’s own size again, over all chips of both cells', async () => {
    const atlas = tagAtlas(tags.rows, 8192);
    const houses = new Map<number, number>();
    const roads = new Map<number, Position[]>();
    const cells = await cellsOnDisk(folder, 33);
    const [[west, south], [east, north]] = [cells[0].cellBounds, cells[1].cellBounds.slice(2)];
    const inside = ([x, y]: Position): boolean => x > west && x < east && y > south && y < north;
    for (const of of cells) {
      for (const { id, tags: own, geometry } of (await readOsm(folder, of)).ways) {
        const utm = geometry!.map((at): Position => toUtm(of.epsg, [at!.lon, at!.lat]));
        if (own?.['building'] === 'house') houses.set(id, shoelace(utm));
        if (own?.['highway'] === 'residential') roads.set(id, utm);
        if (own?.['building'] === 'house') assert.ok(utm.every(inside), 'the sample’s houses lie within its cells');
      }
    }
    assert.ok(houses.size > 50 && roads.size > 5);
    const squareMetres = [...houses.values()].reduce((sum, area) => sum + area, 0);
    near(atlas.find(({ tag }) => tag === 'building=house')!.hectares, squareMetres / 10_000, 1e-3);
    const metres = [...roads.values()]
      .flatMap((utm) => utm.slice(1).map(([x, y], k) => Math.hypot(x - utm[k][0], y - utm[k][1])))
      .reduce((sum, length) => sum + length, 0);
    near(atlas.find(({ tag }) => tag === 'highway=residential')!.kilometres, metres / 1000, 1e-3);
  });

  it('has every tag once in a chip, in order, with shares of 0 to 1; broken are only multipolygons cut by a cell’s edge', () => {
    assert.equal(new Set(tags.rows.map(({ chip, tag }) => `${chip} ${tag}`)).size, tags.rows.length);
    assert.ok(tags.rows.every(({ area, length, points }) => area >= 0 && area <= 1 && area + length + points > 0));
    assert.ok(tags.broken.length < 5);
    for (const { key, reason } of tags.broken)
      assert.match(`${key}: ${reason}`, /^relation\/\d+: \d of its \d ways are not in the data$/);
    assert.equal(tags.cells.length, 2);
    const atlas = tagAtlas(tags.rows, 8192);
    assert.ok(atlas.every(({ chips }, k) => k === 0 || chips <= atlas[k - 1].chips));
    assert.ok(atlas.some(({ cells }) => cells === 2));
  });

  it('as a danfojs table, groups as a loop does', () => {
    const atlas = tagAtlas(tags.rows, 8192);
    const byKey = new Map<string, number>();
    for (const { key, chips } of atlas) byKey.set(key, (byKey.get(key) ?? 0) + chips);
    const grouped = frame(atlas.map(({ key, chips }) => ({ key, chips }))).groupby(['key']).agg({ chips: 'sum' }); // prettier-ignore
    const records = grouped.values as [string, number][];
    assert.deepEqual(new Map(records), byKey);
  });
});

describe('frame', () => {
  it('keeps the columns’ names and the rows’ order', () => {
    const table = frame([{ tag: 'b=1', chips: 3 }, { tag: 'a=1', chips: 2 }]); // prettier-ignore
    assert.deepEqual(table.columns, ['tag', 'chips']);
    assert.deepEqual(table.values, [['b=1', 3], ['a=1', 2]]); // prettier-ignore
  });

  it('refuses no rows', () => {
    assert.throws(() => frame([]), { name: 'RangeError', message: 'frame requires at least one row, got none' });
  });
});
