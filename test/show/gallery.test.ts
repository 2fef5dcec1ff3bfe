import assert from 'node:assert/strict';
import sharp, { type Metadata } from 'sharp';
import { showIn, type Mark } from 'imagesim/show';
import { recordingKernel, words } from './recording.ts';

const red = await sharp({ create: { width: 30, height: 20, channels: 3, background: '#ff0000' } })
  .png()
  .toBuffer();

/** The images of an output, decoded. */
const images = (html: string): Promise<Metadata[]> =>
  Promise.all(
    [...html.matchAll(/src="data:image\/\w+;base64,([^"]+)"/g)].map(([, data]) =>
      sharp(Buffer.from(data, 'base64')).metadata(),
    ),
  );

describe('show.gallery', () => {
  it('shows every picture cut square at the size asked for, with its caption', async () => {
    const { kernel, outputs } = recordingKernel();
    await showIn(kernel).gallery([{ image: red, caption: 'Z33-0 · 0.95' }, { image: new Uint8Array(red) }], {
      size: 64,
      title: 'Most alike',
    });
    const found = await images(outputs[0]);
    assert.deepEqual(
      found.map(({ width, height, format }) => [width, height, format]),
      [
        [64, 64, 'jpeg'],
        [64, 64, 'jpeg'],
      ],
    );
    assert.equal(words(outputs[0]), 'Most alike Z33-0 · 0.95');
  });

  it('tells marks apart by a sign and a frame, and counts them in words', async () => {
    const { kernel, outputs } = recordingKernel();
    const marks: Mark[] = ['query', 'hit', 'hit', 'miss', 'changed'];
    await showIn(kernel).gallery(marks.map((mark) => ({ image: red, mark })));
    assert.equal(
      words(outputs[0]),
      '◎ ✓ ✓ ✗ △ ◎ query: 1, solid frame ✓ hit: 2, solid frame ✗ miss: 1, dashed frame △ changed: 1, double frame',
    );
  });

  it('writes the number on the picture by which a cell names it, and shows verdicts', async () => {
    const { kernel, outputs } = recordingKernel();
    await showIn(kernel).gallery([{ image: red, number: 13, mark: 'accepted' }, { image: red, number: 14, mark: 'rejected' }, { image: red }]); // prettier-ignore
    assert.deepEqual([...outputs[0].matchAll(/class="ims-badge">(\d+)</g)].map(([, number]) => number), ['13', '14']); // prettier-ignore
    assert.equal(words(outputs[0]), '13 ✓ 14 ✗ ✓ accepted: 1, solid frame ✗ rejected: 1, dashed frame');
  });

  it('names the file that is not an image', async () => {
    const { kernel } = recordingKernel();
    await assert.rejects(
      showIn(kernel).gallery([{ image: '/nowhere/chip.jpg' }]),
      /^Error: cannot show \/nowhere\/chip\.jpg: .*missing.*: give a JPEG/,
    );
  });

  it('refuses a size that is not positive', async () => {
    const { kernel } = recordingKernel();
    await assert.rejects(showIn(kernel).gallery([], { size: 0 }), {
      name: 'RangeError',
      message: 'gallery requires a positive size, got 0',
    });
  });
});

describe('show.pairs', () => {
  it('puts before and after side by side under one caption', async () => {
    const { kernel, outputs } = recordingKernel();
    await showIn(kernel).pairs([{ before: red, after: red, caption: 'a <new> roof' }], { labels: ['2021', '2023'] });
    assert.equal((await images(outputs[0])).length, 2);
    assert.equal(words(outputs[0]), '2021 2023 a &lt;new&gt; roof');
  });
});

describe('show.image', () => {
  it('keeps the proportions and enlarges only when asked', async () => {
    const { kernel, outputs } = recordingKernel();
    const show = showIn(kernel);
    await show.image(red, { caption: 'One chip' });
    await show.image(red, { width: 300 });
    const sides = (await Promise.all(outputs.map(images))).flat().map(({ width, height }) => [width, height]);
    assert.deepEqual(sides, [
      [30, 20],
      [300, 200],
    ]);
  });
});
