import assert from 'node:assert/strict';
import type { Position } from 'geojson';
import { type Cell, chipIds, parseCell, toLonLat } from 'imagesim/ard';
import { type Chip, chipFeatures, chipTiles, readChips } from 'imagesim/chips';
import { type ChipLabels, labelChips, leakageReport } from 'imagesim/datasets';
import { type Element, chipCoverage } from 'imagesim/osm';
import { ORIGIN, World } from 'imagesim/sample';
import { type ChipTag, type LabelSchema, chipTags } from 'imagesim/statistics';
import { mappedSample } from '../delivery.ts';

/** Layer of what stands on the ground and has a roof, as the sample paints it. */
const BUILDING = 10;

describe('labels and splits, on the sample', () => {
  let chips: Chip[];
  let labelled: Map<string, ChipLabels>;
  let tags: ChipTag[];
  let schema: LabelSchema;
  before(async () => {
    const folder = await mappedSample();
    chips = await readChips((await chipTiles({ dataPath: folder, zone: 33 })).chipDir);
    ({ rows: tags } = await chipTags(folder, 33, { only: new Set(chips.map(({ id }) => id)) }));
    const values = [...new Set(tags.map(({ tag }) => tag))];
    const area = (label: string, pattern: RegExp, atLeast: number): LabelSchema['labels'][number] =>
      ({ label, tags: values.filter((tag) => pattern.test(tag)), measure: 'area', atLeast }); // prettier-ignore
    schema = {
      version: 1,
      labels: [
        area('building', /^building=/, 0.05),
        area('farmland', /^landuse=farmland$/, 0.2),
        area('wood', /^(landuse=forest|natural=wood)$/, 0.1),
        { label: 'street', tags: ['highway=residential'], measure: 'length', atLeast: 40 },
      ],
    };
    labelled = labelChips(new Set(chips.map(({ id }) => id)), tags, schema);
  });

  it('labels buildings as they stand in the world that the sample was painted from', () => {
    const truth = builtShares([...new Set(chips.map(({ cell }) => cell))].map(parseCell), 33);
    const rows = [...labelled].map(([id, { labels }]) => ({
      said: labels['building'],
      is: (truth.get(id) ?? 0) >= 0.05,
    }));
    const known = rows.filter(({ said }) => said !== null);
    const count = (said: 0 | 1, is: boolean): number =>
      known.filter((row) => row.said === said && row.is === is).length;
    const precision = count(1, true) / (count(1, true) + count(1, false));
    const recall = count(1, true) / (count(1, true) + count(0, true));
    assert.ok(
      known.length > 200 && count(1, true) > 80 && count(0, false) > 20,
      JSON.stringify([known.length, count(1, true)]),
    );
    assert.ok(precision > 0.95 && recall > 0.95, `precision ${precision}, recall ${recall}`);
    assert.ok(rows.some(({ said }) => said === null), 'some are not known'); // prettier-ignore
  });

  it('shows the leak: what only remembers scores best on rows at random, where it has seen the ground', async () => {
    const features = await chipFeatures(chips.map(({ path }) => path));
    const examples = chips.map(({ id }) => ({ id, labels: labelled.get(id)!.labels }));
    const report = leakageReport(examples, features, { blockZoom: 16, buffer: 1, seed: 1 });
    assert.deepEqual(report.map(({ split }) => split), ['rows at random', 'by place, no buffer', 'by place, with buffer']); // prettier-ignore
    assert.equal(new Set(report.map(({ train }) => train)).size, 1, 'each learns from as many rows');
    const [random, place, buffered] = report.map(({ score }) => score);
    assert.ok(random > place + 0.01 && random > buffered + 0.02, report.map(({ score }) => score).join(' '));
    assert.ok(buffered > 0.5 && report.every(({ labels }) => labels >= 3));
    assert.deepEqual(leakageReport(examples, features, { blockZoom: 16, buffer: 1, seed: 1 }), report);
  });

  it('shows none where features say nothing of the ground', () => {
    const examples = chips.map(({ id }) => ({ id, labels: labelled.get(id)!.labels }));
    const nothing = Float32Array.from(chips, (_, at) => ((at * 7919) % 1009) / 1009);
    const [random, , buffered] = leakageReport(examples, nothing, { blockZoom: 16 });
    assert.ok(Math.abs(random.score - 0.5) < 0.1 && Math.abs(buffered.score - 0.5) < 0.1);
  });

  it('refuses features that do not match', () => {
    const [{ id }] = chips;
    assert.throws(
      () => leakageReport([{ id, labels: {} }], new Float32Array(0)),
      /blocks of zoom 15|requires features/,
    );
    assert.throws(() => leakageReport([], new Float32Array(3)), /requires features of 0 rows, got 3 numbers/);
  });
});

/** Share of each chip under buildings that stand at the second date, mapped or not, where they really are. */
function builtShares(cells: readonly Cell[], seed: number): Map<string, number> {
  const world = new World(seed);
  const shares = new Map<string, number>();
  for (const cell of cells) {
    const [west, south, east, north] = cell.cellBounds;
    const things = world.things([west - ORIGIN[0], south - ORIGIN[1], east - ORIGIN[0], north - ORIGIN[1]]);
    const houses = things.filter(({ layer, form, when }) => layer === BUILDING && form === 'area' && when !== 1);
    const placed = houses.map(({ rings }, id): Element => ({ type: 'way', id, key: `way/${id}`, tags: {}, geometry: { type: 'Polygon', coordinates: rings.map((ring) => placesOf(ring, cell)) } })); // prettier-ignore
    const ids = chipIds(cell);
    for (const { chip, area } of chipCoverage(placed, cell)) shares.set(ids[chip], (shares.get(ids[chip]) ?? 0) + area);
  }
  return shares;
}

function placesOf(ring: readonly number[], { epsg }: Cell): Position[] {
  const places = Array.from({ length: ring.length / 2 }, (_, k) => toLonLat(epsg, [ORIGIN[0] + ring[2 * k], ORIGIN[1] + ring[2 * k + 1]])); // prettier-ignore
  return [...places, places[0]];
}
