import assert from 'node:assert/strict';
import { type Elements, type OsmData, type OsmElement, elements } from 'imagesim/osm';
import { answerOf, needs, osmOf } from './stand-in.ts';

const rings = ({ elements: list }: Elements, key: string): number[][] => {
  const { geometry } = list.find((element) => element.key === key)!;
  if (geometry.type === 'MultiPolygon')
    return geometry.coordinates.map((polygon) => polygon.map((ring) => ring.length));
  return geometry.type === 'Polygon' ? [geometry.coordinates.map((ring) => ring.length)] : [];
};
const square = (id: number, west: number, side: number, tags?: Record<string, string>): OsmElement => ({
  type: 'way',
  id,
  nodes: [1, 2, 3, 4, 1].map((n) => id * 10 + n),
  ...(tags ? { tags } : {}),
  geometry: [
    [0, 0],
    [0, 1],
    [1, 1],
    [1, 0],
    [0, 0],
  ].map(([lat, lon]) => ({ lat: west + lat * side, lon: west + lon * side })),
});

describe('osm elements', () => {
  describe('of real multipolygons', function () {
    before(function () {
      needs(this, 'osm/overpass-json');
    });
    for (const inline of [false, true]) {
      const of = (name: string): Elements => elements(osmOf(answerOf(`osm/overpass-json/${name}.json`), { inline }));
      const form = inline ? 'with the places in the ways' : 'with the places in the nodes';

      it(`keeps the inner rings apart from the outer one, ${form}`, () => {
        assert.deepEqual(rings(of('new_river_head'), 'relation/9246394'), [[21, 11, 5]]);
        assert.deepEqual(of('new_river_head').broken, []);
      });

      it(`chains inner ways to one ring, ${form}`, () => {
        const found = of('inner_chain');
        assert.deepEqual(rings(found, 'relation/9650545'), [[39, 5, 5, 5, 5, 5, 5, 5, 5]]);
        assert.deepEqual(found.broken, []);
      });

      it(`lists a multipolygon whose outer ring is missing, and does not lose it, ${form}`, () => {
        const found = of('relation_no_outer');
        const raw = answerOf('osm/overpass-json/relation_no_outer.json').find(({ type }) => type === 'relation');
        assert.deepEqual(found.broken, [
          {
            key: 'relation/7417759',
            tags: { building: 'yes', type: 'multipolygon' },
            reason: 'none of its 1 ways is an outer one',
            raw,
          },
        ]);
        assert.deepEqual(
          found.elements.map(({ key }) => key),
          ['way/510398146'],
        );
      });

      it(`chains outer ways to rings of one multipolygon, with a hole in one, ${form}`, () => {
        const found = of('clapham_common');
        assert.deepEqual(
          rings(found, 'relation/1290065')
            .map((polygon) => polygon.length)
            .sort((a, b) => a - b),
          [1, 1, 1, 1, 2],
        );
        assert.deepEqual(found.broken, []);
        assert.deepEqual(
          found.elements.map(({ key }) => key),
          ['way/42441854', 'relation/1290065'],
        );
      });
    }

    it('places every tagged element of a dense answer, or lists it', () => {
      const osm = osmOf(answerOf('osm/overpass-json/overpass-response-1.json.gz'));
      const found = elements(osm);
      const tagged = [...osm.nodes, ...osm.ways, ...osm.relations].filter(
        ({ tags }) => tags && Object.keys(tags).length > 0,
      );
      assert.equal(osm.ways.length, 4701);
      const listed = new Set(
        [...found.elements, ...found.broken].map(({ key }) => key).concat(found.unplaced, found.merged),
      );
      const lost = tagged.map(({ type, id }) => `${type}/${id}`).filter((key) => !listed.has(key));
      assert.deepEqual(lost, []);
      assert.equal(new Set(found.elements.map(({ key }) => key)).size, found.elements.length);
    });
  });

  const member = (ref: number, role: string) => ({ type: 'way' as const, ref, role });
  const multipolygon = (members: ReturnType<typeof member>[], tags = {}): OsmElement => ({
    type: 'relation',
    id: 9,
    members,
    tags: { type: 'multipolygon', ...tags },
  });
  const data = (...all: OsmElement[]): OsmData => ({
    quadkey: '031133012203',
    nodes: all.filter((element) => element.type === 'node'),
    ways: all.filter((element) => element.type === 'way'),
    relations: all.filter((element) => element.type === 'relation'),
  });

  it('draws a multipolygon without tags of its own by its outer way, hole and all', () => {
    const found = elements(
      data(
        square(1, 10, 1, { landuse: 'forest' }),
        square(2, 10.2, 0.1),
        multipolygon([member(1, 'outer'), member(2, 'inner')]),
      ),
    );
    assert.deepEqual(rings(found, 'way/1'), [[5, 5]]);
    assert.deepEqual([found.elements.length, found.broken, found.merged], [1, [], ['relation/9']]);
  });

  it('takes members without a role for outer ones', () => {
    const found = elements(
      data(square(1, 10, 1), square(2, 12, 1), multipolygon([member(1, ''), member(2, '')], { natural: 'water' })),
    );
    assert.deepEqual(rings(found, 'relation/9'), [[5], [5]]);
  });

  it('lists a multipolygon of which ways are not known, with the parts that close, and draws nothing of it', () => {
    const found = elements(
      data(
        square(1, 10, 1),
        multipolygon([member(1, 'outer'), member(2, 'outer'), member(3, 'inner')], { natural: 'water' }),
      ),
    );
    assert.deepEqual(found.elements, []);
    const [{ key, reason, parts }] = found.broken;
    assert.deepEqual([key, reason], ['relation/9', '2 of its 3 ways are not in the data']);
    assert.equal(parts?.type === 'Polygon' && parts.coordinates[0].length, 5);
  });

  describe('of a multipolygon that goes on beyond the cell', () => {
    const places = (...all: [number, number][]): { lon: number; lat: number }[] => all.map(([lon, lat]) => ({ lon, lat })); // prettier-ignore
    const inside: OsmElement = {
      type: 'way', id: 1, nodes: [1, 2, 3], geometry: places([10, 0], [10, 1], [11, 1]), tags: { barrier: 'fence' },
    }; // prettier-ignore
    const far = { ...member(2, 'outer'), geometry: places([10, 0], [14, -3], [11, 1]) };

    it('closes it by the lines that came with it, though the ids of their nodes are not known', () => {
      const found = elements(data(inside, multipolygon([member(1, 'outer'), far], { landuse: 'forest' })));
      assert.deepEqual(rings(found, 'relation/9'), [[5]]);
      assert.deepEqual([found.elements.map(({ key }) => key), found.broken], [['way/1', 'relation/9'], []]);
    });

    it('cuts out of it a hole that lies in the cell, though no outer way does', () => {
      const around = { ...member(2, 'outer'), geometry: places([0, 0], [30, 0], [30, 30], [0, 30], [0, 0]) };
      const found = elements(data(square(1, 10, 1), multipolygon([around, member(1, 'inner')], { natural: 'wood' })));
      assert.deepEqual(rings(found, 'relation/9'), [[5, 5]]);
    });

    it('lists it where one place of its lines is not known', () => {
      const torn = { ...far, geometry: [far.geometry[0], null, far.geometry[2]] };
      const found = elements(data(inside, multipolygon([member(1, 'outer'), torn], { landuse: 'forest' })));
      assert.deepEqual(found.broken.map(({ key, reason }) => `${key}: ${reason}`), [
        'relation/9: some of its nodes are not in the data',
      ]); // prettier-ignore
    });

    it('lists it where its tags are on an outer way that lies elsewhere', () => {
      const around = { ...member(2, 'outer'), geometry: places([0, 0], [30, 0], [30, 30], [0, 30], [0, 0]) };
      const found = elements(data(square(1, 10, 1), multipolygon([around, member(1, 'inner')])));
      assert.deepEqual(
        found.broken.map(({ reason }) => reason),
        ['its tags are on a way outside the cell'],
      );
    });

    it('calls a boundary that does so no fault: what of it lies here is a line', () => {
      const border: OsmElement = { type: 'relation', id: 5, members: [member(1, 'outer'), member(2, 'outer')], tags: { type: 'boundary', boundary: 'administrative' } }; // prettier-ignore
      const found = elements(data(inside, border));
      assert.deepEqual([found.unplaced, found.broken], [['relation/5'], []]);
    });
  });

  it('lists a multipolygon whose ring stays open and draws nothing of it', () => {
    const open: OsmElement = {
      type: 'way',
      id: 1,
      nodes: [1, 2, 3, 4, 5],
      geometry: [
        [0, 0],
        [0, 1],
        [1, 1],
        [1, 0],
        [2, 2],
      ].map(([lat, lon]) => ({ lat: lat, lon: lon })),
    };
    const found = elements(data(open, multipolygon([member(1, 'outer')], { natural: 'water' })));
    assert.deepEqual([found.elements, found.broken.map(({ reason }) => reason)], [[], ['1 of its rings do not close']]);
  });

  it('names relations that are no area, and ways that a multipolygon says in full', () => {
    const route: OsmElement = { type: 'relation', id: 4, members: [member(1, '')], tags: { type: 'route' } };
    const found = elements(
      data(square(1, 10, 1, { natural: 'water' }), route, multipolygon([member(1, 'outer')], { natural: 'water' })),
    );
    assert.deepEqual([found.unplaced, found.merged], [['relation/4'], ['way/1']]);
    assert.deepEqual(
      found.elements.map(({ key }) => key),
      ['relation/9'],
    );
  });

  it('lists a way of which no two nodes are known', () => {
    const way: OsmElement = { type: 'way', id: 3, nodes: [1, 2], tags: { highway: 'path' } };
    const found = elements(data(way));
    assert.deepEqual(found.broken, [
      { key: 'way/3', tags: { highway: 'path' }, reason: 'fewer than two of its nodes are in the data', raw: way },
    ]);
  });

  it('lists a way of which one node is not known, and says so, with the stretch that is', () => {
    const way = square(3, 10, 1, { building: 'yes' });
    assert.ok(way.type === 'way');
    way.geometry![1] = null;
    const { broken, elements: whole } = elements(data(way));
    assert.deepEqual([broken[0].key, broken[0].reason, whole], ['way/3', 'some of its nodes are not in the data', []]);
    assert.ok(broken[0].parts);
  });

  it('gives closed ways as areas or lines by their tags, and tagged nodes only', () => {
    const tree: OsmElement = { type: 'node', id: 8, lat: 1, lon: 2, tags: { source: 'survey' } };
    const plain: OsmElement = { type: 'node', id: 7, lat: 1, lon: 2 };
    const found = elements(
      data(
        tree,
        plain,
        square(1, 10, 1, { building: 'yes' }),
        square(2, 20, 1, { highway: 'residential' }),
        square(3, 30, 1),
      ),
    );
    assert.deepEqual(
      found.elements.map(({ key, geometry }) => `${key} ${geometry.type}`),
      ['node/8 Point', 'way/1 Polygon', 'way/2 LineString'],
    );
    assert.deepEqual(found.elements[0].geometry, { type: 'Point', coordinates: [2, 1] });
  });

  it('leaves the data it is given as they are', () => {
    const osm = data(square(1, 10, 1, { natural: 'water' }), multipolygon([member(1, '')], { natural: 'wood' }));
    const before = structuredClone(osm);
    elements(osm);
    assert.deepEqual(osm, before);
  });
});
