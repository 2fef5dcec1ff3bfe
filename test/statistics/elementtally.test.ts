import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Bounds, cellAt, toLonLat } from 'imagesim/ard';
import { type Element, type OsmWay, fetchOsmByQuadkey } from 'imagesim/osm';
import { ElementTally, chipTags, tagAtlas, typicalSize } from 'imagesim/statistics';
import { dataFolder } from '../osm/stand-in.ts';
import { emptyFolder, needsShared, shared } from '../delivery.ts';

/**
 * Elements by key, nodes, ways and those relations that have a member in the file (rel(bn) and rel(bw) find no other).
 *
 * osmium 1.15: cat -t node -t way F -o nw.osm.pbf; getparents F -I nw.osm.pbf -o p.osm.pbf; cat -t relation p.osm.pbf -o
 * r.osm.pbf; merge nw.osm.pbf r.osm.pbf -o all.osm.pbf; tags-count -s count-desc all.osm.pbf | head -50
 */
const FILES: { name: string; zone: number; extent: Bounds; counts: string }[] = [
  {
    name: 'krems',
    zone: 33,
    extent: [15.5532503, 48.3687127, 15.8582212, 48.4455284],
    counts: `
      source 1568 building 1196 highway 957 name 684 addr:housenumber 324 addr:postcode 320 addr:street 303
      addr:city 292 maxspeed 232 amenity 231 addr:country 221 oneway 206 service 179 operator 162 ref 145 railway
      136 tracktype 92 shop 91 source:maxspeed 88 electrified 86 layer 85 gauge 78 barrier 75 is_in 71 type 67
      bicycle 66 bridge 66 usage 62 access 59 power 58 fixme 54 landuse 54 foot 44 lanes 43 tracks 41 parking 36
      natural 35 opening_hours 33 voltage 32 leisure 31 waterway 29 crossing 25 toll 25 frequency 24 surface 24
      public_transport 23 cuisine 21 fee 21 man_made 21 traffic_sign 20`,
  },
  {
    name: 'north-bayreuth',
    zone: 32,
    extent: [11.3992921, 49.8832101, 11.6746911, 50.0959122],
    counts: `
      building 4269 highway 2120 source 2039 name 804 addr:street 802 addr:city 800 addr:housenumber 800
      addr:postcode 800 addr:country 790 tracktype 713 landuse 686 power 504 natural 410 ref 279 maxspeed 265
      surface 247 waterway 230 lanes 167 type 160 amenity 146 layer 146 created_by 134 oneway 126 access 96 place 71
      int_ref 70 tunnel 69 source:maxspeed 67 bridge 63 operator 62 service 54 note:name 53 reg_name 53 railway 52
      route 50 foot 48 leisure 44 boundary 41 barrier 40 network 40 restriction 40 lanes:backward 39 lanes:forward
      39 sac_scale 38 traffic_sign 36 bicycle 33 width 33 note 32 TMC:cid_58:tabcd_1:Class 30
      TMC:cid_58:tabcd_1:LCLversion 30`,
  },
];

/** A data folder with every cell that an extract reaches into, and its map. */
async function mapped(name: string, zone: number, [west, south, east, north]: Bounds): Promise<string> {
  const cells = new Set<string>();
  for (let lon = west; lon < east + 0.02; lon += 0.02) {
    for (let lat = south; lat < north + 0.02; lat += 0.02) {
      cells.add(`${zone}/${cellAt([Math.min(lon, east), Math.min(lat, north)], zone).quadkey}`);
    }
  }
  const text = gunzipSync(readFileSync(join(shared, 'data/osm', `${name}.osm.gz`))).toString();
  const source = join(await emptyFolder(), 'boundless.osm'); // its bounds are smaller than what it holds
  await writeFile(source, text.replaceAll(/<bounds [^>]*>/g, ''));
  const folder = await dataFolder(...cells);
  await fetchOsmByQuadkey(zone, folder, { source });
  return folder;
}

describe('the tag atlas of real files', () => {
  before(needsShared);

  for (const { name, zone, extent, counts } of FILES) {
    it(`counts the elements of ${name}’s 50 most frequent keys as osmium does, over many cells`, async function () {
      this.timeout(120_000);
      const { rows, elements, cells } = await chipTags(await mapped(name, zone, extent), zone);
      assert.ok(cells.length > 10);
      const atlas = tagAtlas(rows, 4096 * cells.length, elements);
      const byKey = new Map<string, number>();
      for (const { key, elements: count, nodes, ways, relations } of atlas) {
        byKey.set(key, (byKey.get(key) ?? 0) + count);
        assert.equal(nodes + ways + relations, count);
      }
      const expected = [...counts.matchAll(/(\S+)\s+(\d+)/g)].map(([, key, count]) => [key, Number(count)] as const);
      assert.equal(expected.length, 50);
      assert.deepEqual(expected.map(([key]) => [key, byKey.get(key)]), expected); // prettier-ignore
    });
  }
});

describe('the size of a tag', () => {
  const cell = cellAt([15.6, 48.4]);
  const [west, , , north] = cell.cellBounds;
  const square = (id: number, metres: number): Element => {
    const corners = [[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]].map(([x, y]) => toLonLat(cell.epsg, [west + x * metres, north - y * metres])); // prettier-ignore
    return { type: 'way', id, key: `way/${id}`, tags: { landuse: 'x' }, geometry: { type: 'Polygon', coordinates: [corners] } }; // prettier-ignore
  };
  const way = ({ id, tags }: Element): OsmWay => ({ type: 'way', id, tags });
  const tallied = (...perCell: Element[][]): ReturnType<ElementTally['tags']> => {
    const tally = new ElementTally();
    for (const found of perCell) tally.add({ quadkey: cell.quadkey, nodes: [], ways: found.map(way), relations: [] }, found); // prettier-ignore
    return tally.tags();
  };

  it('is the median of whole areas in chips, and a word for it', () => {
    const words: [number, string][] = [[4, 'below a pixel row'], [20, 'part of a chip'], [200, 'larger than a chip'], [300, 'larger than ten chips']]; // prettier-ignore
    for (const [metres, word] of words) {
      const [{ medianChips, size }] = tallied([square(1, metres), square(2, metres), square(3, 10 * metres)]);
      const chips = (metres / 78.125) ** 2;
      assert.ok(Math.abs(medianChips / chips - 1) < 0.006, `${medianChips} is not ${chips}`);
      assert.equal(size, word);
    }
  });

  it('counts an element that two cells share once', () => {
    const [{ ways, medianChips }] = tallied([square(1, 100), square(2, 10)], [square(1, 100), square(3, 10)]);
    assert.equal(ways, 3);
    assert.ok(medianChips < 0.02, 'the median of 10, 10 and 100 m');
  });

  it('leaves holes out, and is right across the antimeridian', () => {
    const ring = (lon: number, side: number): [number, number][] => [[lon, 0], [lon + side, 0], [lon + side, side], [lon, side], [lon, 0]].map(([x, y]) => [x > 180 ? x - 360 : x, y]); // prettier-ignore
    const sizeOf = (...coordinates: [number, number][][]): number =>
      tallied([{ ...square(1, 1), geometry: { type: 'Polygon', coordinates } }])[0].medianChips;
    const whole = sizeOf(ring(10, 0.02));
    assert.ok(Math.abs(sizeOf(ring(179.99, 0.02)) / whole - 1) < 1e-9);
    assert.ok(Math.abs(sizeOf(ring(10, 0.02), ring(10, 0.01)) / whole - 0.75) < 1e-6);
  });

  it('is point or line where most elements are that, and unknown where no element has a shape', () => {
    assert.deepEqual(typicalSize({ points: 3, lines: 0, areas: [0.5] }), { medianChips: 0.5, size: 'point' });
    assert.equal(typicalSize({ points: 0, lines: 3, areas: [0.5] }).size, 'line');
    const { medianChips, size } = typicalSize({ points: 0, lines: 0, areas: [] });
    assert.ok(Number.isNaN(medianChips) && size === 'unknown');
  });
});
