import assert from 'node:assert/strict';
import { showIn, type Square, type SquaresOptions } from 'imagesim/show';
import { recordingKernel, words } from './recording.ts';

function mapped(features: Square[], options?: SquaresOptions): string {
  const { kernel, outputs } = recordingKernel();
  showIn(kernel).squares(features, options);
  return outputs[0];
}

/** A row of squares of 100 m, from west to east. */
const row = (values: (number | string)[]): Square[] =>
  values.map((value, at) => ({ bounds: [100 * at, 0, 100 * at + 100, 100] as const, value }));
const fills = (html: string): string[] => [...html.matchAll(/<rect [^>]*fill="([^"]+)"/g)].map(([, colour]) => colour);

describe('show.squares', () => {
  it('counts each category in its legend, the commonest first', () => {
    const html = mapped(row(['train', 'test', 'train']), { title: 'Splits', label: 'Split' });
    assert.match(words(html), /^Splits .*Split train: 2 test: 1$/);
    const [first, second, third] = fills(html);
    assert.ok(first === third && first !== second);
  });

  it('lets the rarest share the grey where there are more categories than colours', () => {
    const html = mapped(row(Array.from({ length: 12 }, (_, at) => `class ${at}`)));
    assert.match(words(html), /5 others: 5$/);
  });

  it('colours numbers along one ramp from least to most, and counts those without a value', () => {
    const html = mapped(row([0, 5, 10, NaN]));
    assert.deepEqual([fills(html)[0], fills(html)[2], fills(html)[3]], ['rgb(0,34,78)', 'rgb(254,232,56)', 'none']);
    assert.match(words(html), /0 10 no value: 1$/);
  });

  it('puts north up and west left', () => {
    const html = mapped([
      { bounds: [0, 100, 100, 200], value: 'north' },
      { bounds: [100, 0, 200, 100], value: 'south' },
    ]);
    const corners = [...html.matchAll(/<rect x="([\d.]+)" y="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
    assert.ok(corners[0][1] < corners[1][1] && corners[0][0] < corners[1][0]);
  });

  it('draws as much with one path a colour where there are very many', () => {
    const html = mapped(
      Array.from({ length: 6000 }, (_, at) => ({
        bounds: [at % 80, at, (at % 80) + 1, at + 1] as const,
        value: at % 2 === 0 ? 'a' : 'b',
      })),
    );
    assert.equal(html.match(/<path fill="#/g)?.length, 2);
    assert.equal(html.match(/M[\d.]+ [\d.]+h[\d.]+v/g)?.length, 6000);
  });

  it('draws a square that would vanish at 1.5 pixels', () => {
    const html = mapped([
      { bounds: [0, 0, 10, 10], value: 1 },
      { bounds: [1e6, 1e6, 1e6 + 10, 1e6 + 10], value: 2 },
    ]);
    assert.equal(html.match(/width="1\.5" height="1\.5"/g)?.length, 2);
  });

  it('has a scale bar of a round length', () => {
    assert.match(words(mapped(row(Array.from({ length: 40 }, () => 1)))), /1 km/);
  });

  it('lifts the scale bar above a credit that needs its room', () => {
    const baseline = (attribution: string): number =>
      Number(/y="([\d.]+)"[^>]*>[^<]* m</.exec(mapped(row([1, 2]), { attribution }))![1]);
    assert.equal(baseline('© OpenStreetMap contributors') - baseline('© '.padEnd(110, 'x')), 12);
  });

  it('says in the drawing whose data it is made of', () => {
    const svg = /<svg[^]*<\/svg>/.exec(mapped(row([1, 2]), { attribution: '© OpenStreetMap contributors' }))![0];
    assert.match(words(svg), /© OpenStreetMap contributors$/);
  });

  it('refuses bounds that are not finite, and escapes titles', () => {
    assert.throws(() => mapped([{ bounds: [NaN, 0, 1, 1], value: 1 }]), { name: 'RangeError' });
    assert.ok(!mapped([{ bounds: [0, 0, 1, 1], value: '<b>', title: '<script>' }]).includes('<script>'));
  });
});
