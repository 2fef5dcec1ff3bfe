import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseCell, toUtm } from 'imagesim/ard';
import { ACQUISITIONS, Painter, type Sample, World, makeSample, makeSampleTile } from 'imagesim/sample';
import { sampleDelivery } from '../delivery.ts';

const run = promisify(execFile);

/** Runs Python where rasterio is (Debian's), with `out` for what it is to hand back as JSON. */
async function python<Out>(code: string, ...args: string[]): Promise<Out> {
  const script = `import sys, json, numpy as np, rasterio\nfrom rasterio.windows import Window\n${code}\nprint(json.dumps(out))`;
  return JSON.parse((await run('/usr/bin/python3', ['-c', script, ...args], { maxBuffer: 1e8 })).stdout) as Out;
}
const json = async <Type>(path: string): Promise<Type> => JSON.parse(await readFile(path, 'utf8')) as Type;
const digest = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

interface Element {
  type: 'node' | 'way' | 'relation';
  id: number;
  tags?: Record<string, string>;
  lat?: number;
  lon?: number;
  nodes?: number[];
  geometry?: { lat: number; lon: number }[];
  members?: { ref: number; role: string }[];
}
interface Item {
  id: string;
  properties: {
    datetime: string;
    quadkey: string;
    'grid:code': string;
    'proj:bbox': number[];
    'tile:data_area': number;
  };
}
interface Changes {
  features: { properties: { kind: string }; geometry: { coordinates: [number, number][][] } }[];
}

describe('makeSample, tiny', () => {
  let folder = '';
  let sample: Sample;
  let tiles: string[] = [];
  const answers: Element[][] = [];

  before(async () => {
    folder = await sampleDelivery();
    sample = await makeSample(folder); // tells of what is there
    tiles = sample.files.filter((file) => file.endsWith('.tif')).map((file) => join(folder, file));
    for (const cell of sample.cells)
      answers.push((await json<{ elements: Element[] }>(join(folder, 'overpass', `${cell}.json`))).elements);
  });

  it('writes two neighbouring cells at two dates, in the layout of a delivery, and every file that it lists', async () => {
    assert.deepEqual(sample.cells, ['Z33-031111212030', 'Z33-031111212031']);
    assert.deepEqual(sample.dates, ['2022-06-14', '2023-05-21']);
    assert.equal(tiles.length, 4);
    for (const file of sample.files) assert.ok(existsSync(join(folder, file)), file);
    for (const tile of tiles)
      assert.match(tile, /ard\/33\/03111121203[01]\/202[23]-\d\d-\d\d\/10[1-6][0-9A-F]{13}-visual\.tif$/);
    const [west, east] = sample.cells.map((id) => parseCell(id).cellBounds);
    assert.deepEqual([west[2], west[1], west[3]], [east[0], east[1], east[3]], 'they share an edge');
  });

  it('makes tiles that GDAL reads as COGs of 17,408 pixels on the cell’s grid, with a mask', async () => {
    for (const tile of tiles) {
      const info = JSON.parse((await run('gdalinfo', ['-json', tile])).stdout);
      assert.deepEqual(
        [info.size, info.metadata.IMAGE_STRUCTURE.LAYOUT, info.bands.length],
        [[17408, 17408], 'COG', 3],
      );
      assert.deepEqual(info.bands[0].mask.flags, ['PER_DATASET']);
      const { tileBounds } = parseCell(`Z33-${tile.split('/').at(-3)}`);
      assert.deepEqual(info.cornerCoordinates.upperLeft, [tileBounds[0], tileBounds[3]]);
      assert.deepEqual(info.cornerCoordinates.lowerRight, [tileBounds[2], tileBounds[1]]);
    }
  });

  it('states in each STAC item the extent and area of the data that rasterio finds in the mask', async () => {
    const some = process.env.IMAGESIM_PROOF ? tiles : [tiles[3]]; // a whole mask is 300 MB
    const found = await python<{ bbox: number[]; area: number }[]>(
      `out = []
for path in sys.argv[1:]:
    with rasterio.open(path) as d:
        m = d.dataset_mask() > 0
        ys, xs = np.flatnonzero(m.any(1)), np.flatnonzero(m.any(0))
        west, south = d.transform * (int(xs[0]), int(ys[-1]) + 1)
        east, north = d.transform * (int(xs[-1]) + 1, int(ys[0]))
        out.append({'bbox': [west, south, east, north], 'area': int(m.sum()) * d.res[0] ** 2 / 1e6})`,
      ...some,
    );
    for (const [k, tile] of some.entries()) {
      const { id, properties } = await json<Item>(tile.replace('-visual.tif', '.json'));
      assert.deepEqual(properties['proj:bbox'], found[k].bbox, id);
      assert.ok(Math.abs(properties['tile:data_area'] - found[k].area) <= 0.005, id);
      const [zone, quadkey, date, file] = tile.split('/').slice(-4);
      assert.equal(id, `${zone}/${quadkey}/${file.slice(0, 16)}`);
      assert.deepEqual(
        [properties.datetime.slice(0, 10), properties.quadkey, properties['grid:code']],
        [date, quadkey, `MXRA-Z33-${quadkey}`],
      );
    }
  });

  it('shows the same pixels in an apron as the neighbour shows in its cell', async () => {
    const code = `out = []
for west, east in [(sys.argv[1], sys.argv[3]), (sys.argv[2], sys.argv[4])]:
    with rasterio.open(west) as a, rasterio.open(east) as b: # 1,024 columns about the common edge
        p, q = a.read(window=Window(16384, 7168, 1024, 3072)), b.read(window=Window(0, 7168, 1024, 3072))
        m, n = a.dataset_mask(window=Window(16384, 7168, 1024, 3072)), b.dataset_mask(window=Window(0, 7168, 1024, 3072))
        out.append([int((p != q).sum()), int((m != n).sum()), float((m > 0).mean()), float(p.std())])`;
    for (const [pixels, mask, filled, contrast] of await python<number[][]>(code, ...tiles)) {
      assert.deepEqual([pixels, mask], [0, 0]);
      assert.ok(filled > 0.95 && contrast > 20);
    }
  });

  it('lets every declared change lie where both dates have data, and differ there, mostly more than its surroundings', async () => {
    const changes = await json<Changes>(join(folder, 'demo-ard/vectors/changes-2022-06-14-2023-05-21.geojson'));
    assert.equal(changes.features.length, sample.changes);
    assert.ok(sample.changes >= 8);
    const rings = changes.features.map(({ geometry }) => geometry.coordinates[0].map((place) => toUtm(32633, place)));
    // Each date is centred per band, so that sun and haze do not count; the surroundings are a ring of 30 m.
    const code = `from rasterio.features import rasterize
out = []
pair = [[rasterio.open(p) for p in sys.argv[2:4]], [rasterio.open(p) for p in sys.argv[4:6]]]
for ring in json.loads(sys.argv[1]):
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    d = pair[0 if sum(xs) / len(xs) < 275000 else 1]
    window = rasterio.windows.from_bounds(min(xs) - 30, min(ys) - 30, max(xs) + 30, max(ys) + 30, d[0].transform).round_offsets().round_lengths()
    inside = rasterize([{'type': 'Polygon', 'coordinates': [ring]}], (int(window.height), int(window.width)), transform=d[0].window_transform(window)) > 0
    a, b = [x.read(window=window).astype(float) for x in d]
    a, b = [x - x.mean((1, 2), keepdims=True) for x in (a, b)]
    real = np.minimum(*[x.dataset_mask(window=window) for x in d]) > 0
    gap = np.abs(b - a).mean(0)
    out.append([bool(real[inside].all()), float(gap[inside].mean() / gap[~inside].mean()), float(gap[inside].mean())])`;
    const found = await python<[boolean, number, number][]>(code, JSON.stringify(rings), ...tiles);
    for (const [k, [real, , gap]] of found.entries()) {
      const { kind } = changes.features[k].properties;
      assert.ok(real, `${kind} ${k} lies in the data area`);
      assert.ok(gap > 8, `${kind} ${k}: ${gap.toFixed(1)}`);
    }
    const ratios = found.map(([, ratio]) => ratio).toSorted((a, b) => a - b);
    assert.ok(ratios[Math.floor(ratios.length / 2)] > 1.3, ratios.map((ratio) => ratio.toFixed(2)).join(' ')); // not all: crops ripen and cars move, too
  });

  it('changes 5–10 % of the chips', async () => {
    const changes = await json<Changes>(join(folder, 'demo-ard/vectors/changes-2022-06-14-2023-05-21.geojson'));
    const chips = new Set<string>();
    for (const { geometry } of changes.features) {
      const ring = geometry.coordinates[0].map((place) => toUtm(32633, place));
      const box = (axis: 0 | 1): [number, number] =>
        [Math.min(...ring.map((p) => p[axis])), Math.max(...ring.map((p) => p[axis]))].map((m) =>
          Math.floor(m / 78.125),
        ) as [number, number];
      for (let x = box(0)[0]; x <= box(0)[1]; x++) for (let y = box(1)[0]; y <= box(1)[1]; y++) chips.add(`${x},${y}`);
    }
    assert.ok(chips.size / 288 > 0.05 && chips.size / 288 < 0.1, `${chips.size} of 288 chips at most`); // by bounding boxes, which say a little more
  });

  it('answers in the form of Overpass, with nodes, ways and multipolygons, and says that it is not OSM', async () => {
    for (const [k, cell] of sample.cells.entries()) {
      const answer = await json<{
        version: number;
        generator: string;
        osm3s: { copyright: string; timestamp_osm_base: string };
      }>(join(folder, 'overpass', `${cell}.json`));
      assert.equal(answer.version, 0.6);
      assert.match(answer.generator, /synthetic/);
      assert.match(answer.osm3s.copyright, /Not from www\.openstreetmap\.org/);
      assert.match(answer.osm3s.timestamp_osm_base, /^2023-06-01T/);
      assert.deepEqual([...new Set(answers[k].map(({ type }) => type))], ['node', 'way', 'relation']);
      assert.equal(
        new Set(answers[k].map(({ type, id }) => `${type}/${id}`)).size,
        answers[k].length,
        'no element twice',
      );
      for (const { nodes, geometry } of answers[k].filter(({ type }) => type === 'way'))
        assert.equal(nodes?.length, geometry?.length);
      for (const { members, tags } of answers[k].filter(({ type }) => type === 'relation')) {
        assert.equal(tags!.type, 'multipolygon');
        const ways = new Set(answers[k].filter(({ type }) => type === 'way').map(({ id }) => id));
        assert.ok(members?.every(({ ref }) => ways.has(ref)));
        assert.deepEqual(members?.map(({ role }) => role), ['outer', 'inner']); // prettier-ignore
      }
    }
  });

  it('gives what crosses the common edge to both cells, the same to the letter', () => {
    const east = new Map(answers[1].map((element) => [`${element.type}/${element.id}`, element]));
    const shared = answers[0].filter((element) => east.has(`${element.type}/${element.id}`));
    assert.ok(shared.length > 10, `${shared.length} shared`);
    for (const element of shared) assert.deepEqual(element, east.get(`${element.type}/${element.id}`));
    const reaches = ({ geometry = [], lon = 0 }: Element, sign: number): boolean =>
      [...geometry.map((place) => place.lon), lon].some((at) => at * sign > 12.177 * sign);
    assert.ok(shared.some((element) => reaches(element, 1) && reaches(element, -1)));
  });

  it('gives a node one place and one id, whichever ways share it', () => {
    const places = new Map<number, string>();
    let uses = 0;
    for (const { nodes = [], geometry = [] } of answers.flat()) {
      for (const [k, id] of nodes.entries()) {
        const place = `${geometry[k].lat},${geometry[k].lon}`;
        assert.equal(places.get(id) ?? place, place, `node ${id}`);
        places.set(id, place);
        uses++;
      }
    }
    assert.ok(uses > places.size * 1.2);
  });

  it('paints roofs where the map has houses, and not in the gardens beside them', async () => {
    const houses = answers[0].filter(({ type, tags }) => type === 'way' && tags?.building === 'house');
    const centres = houses.map(({ geometry = [] }) => {
      const corners = geometry.slice(0, -1).map(({ lon, lat }) => toUtm(32633, [lon, lat]));
      return [0, 1].map((axis) => corners.reduce((sum, corner) => sum + corner[axis], 0) / corners.length);
    });
    const gardens = centres.map(([x, y]) => [x + 11.5, y + 2]);
    const code = `d = rasterio.open(sys.argv[1])
def green(places):
    seen = [s for s in d.sample(places, masked=True) if not np.ma.getmaskarray(s).any()]
    values = np.array([[int(v) for v in s] for s in seen])
    return float(((values[:, 1] > values[:, 0]) & (values[:, 1] > values[:, 2] + 8)).mean())
out = [green(json.loads(a)) for a in sys.argv[2:4]]`;
    const [roofs, lawns] = await python<[number, number]>(
      code,
      tiles[1],
      JSON.stringify(centres),
      JSON.stringify(gardens),
    );
    assert.ok(houses.length > 100);
    assert.ok(roofs < 0.1 && lawns > 0.35, `green: ${roofs} of roofs, ${lawns} of gardens`);
  });

  it('gives the same bytes for the same seed, also when it was stopped midway, and does nothing twice', async () => {
    const other = await mkdtemp(join(tmpdir(), 'sample-'));
    const stop = new AbortController();
    const onProgress = ({ done, note }: { done: number; note?: string }): void => {
      if (done === 1 && note?.includes('row 16')) stop.abort();
    };
    await assert.rejects(makeSample(other, { signal: stop.signal, onProgress }), { name: 'AbortError' });
    const first = join(other, sample.files.find((file) => file.endsWith('.tif')) ?? '');
    const made = (await stat(first)).mtimeMs;
    const again = await makeSample(other);
    assert.deepEqual(again.files, sample.files);
    for (const file of sample.files)
      assert.equal(await digest(join(other, file)), await digest(join(folder, file)), file);
    assert.equal((await stat(first)).mtimeMs, made, 'a tile that was whole is kept');
    await rm(other, { recursive: true });
  });

  it('makes the first tile alone, with its cell’s map, of the same bytes', async () => {
    const other = await mkdtemp(join(tmpdir(), 'sample-'));
    const { cell, date, files, overpass } = await makeSampleTile(other);
    assert.deepEqual([cell.id, date, overpass], [sample.cells[0], sample.dates[0], `overpass/${sample.cells[0]}.json`]);
    for (const file of [...files, overpass])
      assert.equal(await digest(join(other, file)), await digest(join(folder, file)), file);
    assert.equal((await readdir(join(other, 'ard/33'))).length, 1, 'no second cell');
    await rm(other, { recursive: true });
  });

  it('refuses a folder that holds another sample, and wrong options, in one line', async () => {
    await assert.rejects(
      makeSample(folder, { seed: 34 }),
      /holds a sample of scale tiny, seed 33: remove it, or choose another folder for tiny, seed 34$/,
    );
    await assert.rejects(
      makeSample(folder, { scale: 'huge' as 'tiny' }),
      /knows the scales tiny, city, full, got "huge"$/,
    );
    await assert.rejects(makeSample(folder, { seed: 0.5 }), /requires a whole number as seed, got 0.5$/);
  });
});

describe('Painter', () => {
  const everywhere = [-1e5, -1e5, 1e5, -1e5, 1e5, 1e5, -1e5, 1e5];

  it('paints a block alike whatever was painted before it', () => {
    const fresh = new Painter(new World(5), ACQUISITIONS[0], everywhere).block(-2, 1);
    const used = new Painter(new World(5), ACQUISITIONS[0], everywhere);
    for (const [column, row] of [[3, 3], [-3, 1], [-1, 1], [-2, 0]]) used.block(column, row); // prettier-ignore
    assert.deepEqual(used.block(-2, 1), fresh);
  });

  it('makes another place of another seed', () => {
    const [a, b] = [33, 34].map(
      (seed) => new Painter(new World(seed), ACQUISITIONS[0], everywhere).block(0, 0)?.pixels ?? new Uint8Array(),
    );
    assert.ok(a.filter((value, k) => Math.abs(value - b[k]) > 8).length > a.length / 4);
  });

  it('shows nothing outside the swath', () => {
    const painter = new Painter(new World(33), ACQUISITIONS[0], [0, 0, 100, 0, 100, -100, 0, -100]);
    assert.equal(painter.block(2, 0), undefined);
    const { pixels, mask } = painter.block(0, 0) ?? { pixels: new Uint8Array(), mask: new Uint8Array() };
    assert.equal(mask.reduce((sum, value) => sum + value, 0), Math.round(100 / 0.30517578125) ** 2); // prettier-ignore
    assert.ok(mask.every((real, k) => pixels[3 * k] > 0 === (real === 1)));
  });
});
