import assert from 'node:assert/strict';
import { type MapServer, liveMap, openMosaic, serveApp, startServer } from 'imagesim/serve';
import sharp from 'sharp';
import { colourOf, groundOnly, squares } from './pageground.ts';

describe('the live map in a notebook', () => {
  let folder: string;
  before(async () => {
    folder = await groundOnly();
  });
  const asked = squares[27];
  const free = 'http://127.0.0.1:1'; // tcpmux: nobody listens

  it('is a picture of the ground where no server answers, the chip in its middle', async () => {
    const html = await liveMap({ dataPath: folder, chip: asked.id, url: free });
    assert.ok(!html.includes('<iframe') && html.includes('imagesim serve') && html.includes('licence not stated'));
    const [, base64] = /data:image\/jpeg;base64,([^"]+)/.exec(html)!;
    const { data, info } = await sharp(Buffer.from(base64, 'base64')).raw().toBuffer({ resolveWithObject: true });
    assert.ok(info.width > 400 && info.width <= 960, `${info.width}`);
    const middle = 3 * (Math.floor(info.height / 2) * info.width + Math.floor(info.width / 2));
    assert.ok(colourOf(asked.kind, 1).every((value, band) => Math.abs(data[middle + band] - value) < 12), data.subarray(middle, middle + 3).join()); // prettier-ignore
    const row = Array.from({ length: info.width }, (_, x) => data.subarray(middle - 3 * Math.floor(info.width / 2) + 3 * x).subarray(0, 3)); // prettier-ignore
    const white = row.flatMap((pixel, x) => (Math.min(...pixel) > 215 ? [x] : []));
    const metresPerPixel = (white.at(-1)! - white[0]) / 78.125; // the frame around the chip: its two sides are as far apart as the chip is wide
    assert.ok(white.length >= 2 && white.length <= 10 && metresPerPixel > 0.5 && metresPerPixel < 2, white.join());
  });

  it('is the page, asked with the chip, where one does; the picture stays in it', async () => {
    const mosaic = await openMosaic(folder);
    const server: MapServer = await startServer(serveApp({ mosaic }), { port: 0 });
    try {
      const html = await liveMap({ dataPath: folder, chip: asked.id, url: `${server.url}/` });
      assert.match(
        html.slice(0, 200),
        new RegExp(`<iframe src="${server.url}/#map=1\\d/36\\.95\\d+/12\\.38\\d+&amp;chip=${asked.id}"`),
      );
      assert.ok(html.includes('data:image/jpeg;base64,'));
    } finally {
      await server.close();
      await mosaic.close();
    }
  });

  it('refuses to show nothing in particular', async () => {
    await assert.rejects(liveMap({ dataPath: folder }), /RangeError: liveMap requires a chip or bounds, got neither/);
    await assert.rejects(liveMap({ dataPath: folder, chip: 'here' }), /RangeError: unknown chip id "here"/);
  });
});
