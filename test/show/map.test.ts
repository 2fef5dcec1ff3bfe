import assert from 'node:assert/strict';
import { type MapFeature, type MapOptions, showIn } from 'imagesim/show';
import sharp from 'sharp';
import { recordingKernel, words } from './recording.ts';

const bounds = [1000, 2000, 1100, 2100] as const;

async function mapped(features: MapFeature[], options: Partial<MapOptions> = {}): Promise<string> {
  const { kernel, outputs } = recordingKernel();
  await showIn(kernel).map(features, { bounds: [...bounds], ...options });
  return outputs[0];
}

/** Colour of the drawing at a place, metres. */
async function colourAt(html: string, x: number, y: number): Promise<number[]> {
  const jpeg = Buffer.from(/base64,([^"]+)"/.exec(html)![1], 'base64');
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  const column = Math.floor(((x - bounds[0]) / 100) * info.width);
  const row = Math.floor(((bounds[3] - y) / 100) * info.height);
  return [...data.subarray((row * info.width + column) * 3, (row * info.width + column) * 3 + 3)];
}

const square = (x: number, y: number, side: number): number[][] =>
  [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]; // prettier-ignore
const area = (value: string, ...rings: number[][][]): MapFeature => ({ value, geometry: { type: 'Polygon', coordinates: rings } }); // prettier-ignore
const isGrey = ([r, g, b]: number[]): boolean => Math.max(r, g, b) - Math.min(r, g, b) < 12;

describe('show.map', () => {
  it('draws an area where it lies, north up, its hole left out', async () => {
    const html = await mapped([area('wood', square(1010, 2060, 30), square(1020, 2070, 10))]);
    assert.ok(!isGrey(await colourAt(html, 1014, 2064)));
    assert.ok(isGrey(await colourAt(html, 1025, 2075)), 'the hole');
    assert.ok(isGrey(await colourAt(html, 1014, 2036)), 'mirrored');
  });

  it('draws small areas over large ones, and points and lines over both, in whatever order they come', async () => {
    const features: MapFeature[] = [
      { value: 'tree', geometry: { type: 'Point', coordinates: [1050, 2050] } },
      { value: 'path', geometry: { type: 'LineString', coordinates: [[1000, 2050], [1100, 2050]] } }, // prettier-ignore
      area('house', square(1040, 2040, 20)),
      area('field', square(1000, 2000, 100)),
    ];
    const [one, other] = [await mapped(features), await mapped(features.toReversed())];
    const places: [number, number][] = [[1050, 2050], [1020, 2050], [1045, 2045], [1010, 2010]]; // prettier-ignore
    const colours = await Promise.all(places.map(([x, y]) => colourAt(one, x, y)));
    assert.deepEqual(await Promise.all(places.map(([x, y]) => colourAt(other, x, y))), colours);
    const apart = new Set(colours.map((colour) => colour.map((part) => Math.round(part / 16)).join()));
    assert.equal(apart.size, 4, colours.join(' | '));
  });

  it('draws squares by their bounds', async () => {
    const html = await mapped([{ value: 'chip', geometry: { type: 'Bounds', bounds: [1010, 2010, 1050, 2050] } }]);
    assert.ok(!isGrey(await colourAt(html, 1030, 2030)) && isGrey(await colourAt(html, 1070, 2030)));
  });

  it('has the ground beneath, stretched to the bounds', async () => {
    const halves = Buffer.from([200, 0, 0, 0, 0, 200]);
    const ground = await sharp(halves, { raw: { width: 2, height: 1, channels: 3 } }).resize(400, 400, { kernel: 'nearest', fit: 'fill' }).png().toBuffer(); // prettier-ignore
    const html = await mapped([], { ground });
    const [west, east] = [await colourAt(html, 1010, 2050), await colourAt(html, 1090, 2050)];
    assert.ok(west[0] > 100 && west[2] < 90 && east[2] > 100 && east[0] < 90, `${west.join()} ${east.join()}`);
  });

  it('counts what it draws by value, and neither draws nor counts what lies beyond', async () => {
    const html = await mapped([area('wood', square(1010, 2010, 5)), area('wood', square(1030, 2010, 5)), area('lake', square(5000, 2010, 5))]); // prettier-ignore
    assert.match(words(html), /wood: 2$/);
    assert.match(html, /aria-label="Map: 2 features"/);
  });

  it('says in the drawing whose data it shows, and how long 20 m are', async () => {
    const svg = /<svg[^]*<\/svg>/.exec(await mapped([], { attribution: '© <us>' }))![0];
    assert.match(words(svg), /20 m © &lt;us&gt;$/);
  });

  it('takes no more room for 20,000 buildings than a picture does', async () => {
    const many = Array.from({ length: 20_000 }, (_, at) => area('building', square(1000 + (at % 141) * 0.7, 2000 + Math.floor(at / 141) * 0.7, 0.5))); // prettier-ignore
    assert.ok((await mapped(many)).length < 1_500_000);
  });

  it('refuses bounds that are no rectangle', async () => {
    await assert.rejects(mapped([], { bounds: [1, 1, 1, 2] }), /^RangeError: map requires bounds/);
  });
});
