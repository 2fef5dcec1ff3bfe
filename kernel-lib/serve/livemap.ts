import sharp, { type OverlayOptions } from 'sharp';
import { mean } from 'simple-statistics';
import { type Bounds, chipBounds, parseChip, toLonLat } from '../ard/index.ts';
import { mapTileAt, mapTileBounds, toMercator } from './mercator.ts';
import { type Mosaic, openMosaic } from './mosaic.ts';
import { encode } from './picture.ts';

/** Options of {@link liveMap}: one of `chip` and `bounds` says what is seen. */
export interface LiveMapOptions {
  /** Data folder, or address of the delivery that is shown. */
  dataPath: string;
  /** A chip that the page is asked with; the ground around it is seen. */
  chip?: string | undefined;
  /** West, south, east, north, degrees. */
  bounds?: Bounds | undefined;
  /** Address of `imagesim serve`, as this machine and the reader's browser both reach it. Default: http://127.0.0.1:8080 */
  url?: string | undefined;
  /** Height of the frame, pixels. Default: 560 */
  height?: number | undefined;
}

/** Pixels of the picture, at most; what a server may take to say that it is there; degrees of latitude around a chip. */
const [MOST_PIXELS, PATIENCE_MS, AROUND] = [960, 2000, 0.004];

/**
 * The page that `imagesim serve` shows, as a frame in a notebook: `tslab.display.html(await liveMap({ … }))`.
 *
 * A picture of the same ground is in it, so that an executed copy shows something where no server runs. Through a Jupyter proxy or a tunnel `url` is
 * the address that the browser has.
 *
 * @throws {RangeError} when neither `chip` nor `bounds` says what is seen, or the chip's id is none
 */
export async function liveMap({ dataPath, chip, bounds, url = 'http://127.0.0.1:8080', height = 560 }: LiveMapOptions): Promise<string> {
  const box = bounds ?? (chip === undefined ? undefined : boundsAround(chip));
  if (!box) throw new RangeError('liveMap requires a chip or bounds, got neither');
  const mosaic = await openMosaic(dataPath, { dataPath });
  try {
    const { jpeg, zoom } = await pictureOf(mosaic, box, chip);
    const image = `<img alt="satellite picture" style="max-width:100%;display:block" src="data:image/jpeg;base64,${jpeg.toString('base64')}">`;
    const credit = `<small>${escaped(mosaic.attribution)}</small>`;
    if (!(await answers(url))) return `<div>${image}${credit}<p><small>Live where <code>imagesim serve</code> runs: start it, and run the cell again.</small></p></div>`;
    const [lon, lat] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    const address = `${url.replace(/\/$/, '')}/#map=${zoom}/${lat.toFixed(6)}/${lon.toFixed(6)}${chip === undefined ? '' : `&chip=${chip}`}`;
    const frame = `<iframe src="${escaped(address)}" title="imagesim" loading="lazy" allow="clipboard-write" style="width:100%;height:${height}px;border:1px solid rgba(128,128,128,.35);border-radius:8px"></iframe>`;
    return `<div>${frame}<details><summary>as a picture</summary>${image}</details>${credit}</div>`;
  } finally {
    await mosaic.close();
  }
} // prettier-ignore

/** Whether a map server answers at an address. */
async function answers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url.replace(/\/$/, '')}/healthz`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.ok && ((await answer.json()) as { ok?: unknown }).ok === true;
  } catch {
    return false; // nobody is there, or somebody else
  }
}

/** Corners of a chip, degrees, from the south-west on. */
function cornersOf(chip: string): [lon: number, lat: number][] {
  const [west, south, east, north] = chipBounds(chip);
  const { epsg } = parseChip(chip).cell;
  return [[west, south], [east, south], [east, north], [west, north]].map((place) => toLonLat(epsg, place as [number, number])); // prettier-ignore
}

function boundsAround(chip: string): Bounds {
  const corners = cornersOf(chip);
  const [lon, lat] = [0, 1].map((axis) => mean(corners.map((corner) => corner[axis])));
  const across = (1.5 * AROUND) / Math.cos((lat * Math.PI) / 180);
  return [lon - across, lat - AROUND, lon + across, lat + AROUND];
}

/** The newest acquisitions within some bounds, out of the map tiles that cover them; a chip framed. */
async function pictureOf(
  mosaic: Mosaic,
  bounds: Bounds,
  chip: string | undefined,
): Promise<{ jpeg: Buffer; zoom: number }> {
  const [[west, south], [east, north]] = [toMercator(bounds.slice(0, 2)), toMercator(bounds.slice(2))];
  const metresAt = (z: number): number => (mapTileBounds({ z, x: 0, y: 0 })[2] - mapTileBounds({ z, x: 0, y: 0 })[0]) / 256; // prettier-ignore
  let zoom = 18;
  while (zoom > 0 && Math.max(east - west, north - south) / metresAt(zoom) > MOST_PIXELS) zoom--;
  const [first, last] = [mapTileAt([bounds[0], bounds[3]], zoom), mapTileAt([bounds[2], bounds[1]], zoom)];
  const [across, down] = [last.x - first.x + 1, last.y - first.y + 1];
  const parts: OverlayOptions[] = [];
  for (let at = 0; at < across * down; at++) {
    const [column, row] = [at % across, Math.floor(at / across)];
    const canvas = await mosaic.render({ z: zoom, x: first.x + column, y: first.y + row }, { select: 'newest' });
    parts.push({ input: Buffer.from(await encode(canvas, 'png', [0, 0, 0])), left: 256 * column, top: 256 * row });
  }
  const [left, , , top] = mapTileBounds(first);
  const whole = await sharp({ create: { width: 256 * across, height: 256 * down, channels: 3, background: '#808080' } }).composite(parts).png({ compressionLevel: 1 }).toBuffer(); // prettier-ignore
  const pixels = (metres: number): number => Math.max(1, Math.round(metres / metresAt(zoom)));
  const cut = { left: pixels(west - left) - 1, top: pixels(top - north) - 1, width: Math.min(pixels(east - west), 256 * across - pixels(west - left)), height: Math.min(pixels(north - south), 256 * down - pixels(top - north)) }; // prettier-ignore
  const picture = await sharp(whole).extract(cut).png({ compressionLevel: 1 }).toBuffer();
  const placeOf = (corner: [number, number]): number[] => {
    const [x, y] = toMercator(corner);
    return [(x - left) / metresAt(zoom) - cut.left, (top - y) / metresAt(zoom) - cut.top];
  };
  const frame = chip === undefined ? [] : [{ input: frameAround(cornersOf(chip).map(placeOf), cut) }];
  return { jpeg: await sharp(picture).composite(frame).jpeg({ quality: 80 }).toBuffer(), zoom };
}

/** A white line with a dark edge, which shows on light and on dark ground. */
function frameAround(corners: readonly number[][], { width, height }: { width: number; height: number }): Buffer {
  const points = corners.map((corner) => corner.map((value) => value.toFixed(1)).join()).join(' ');
  const line = (colour: string, thick: number): string => `<polygon points="${points}" fill="none" stroke="${colour}" stroke-width="${thick}"/>`; // prettier-ignore
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${line('#000', 5)}${line('#fff', 2.5)}</svg>`); // prettier-ignore
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
