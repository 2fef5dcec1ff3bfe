import { type Footing, type Legend, categories, creditLine, mapCss, scaleBar, swatch } from './legend.ts';
import { escapeHtml, framed, hairline } from './look.ts';
import { decimalsFor, numberText } from './number.ts';

/** A chip or cell on the ground. */
export interface Square {
  /** `[west, south, east, north]` in metres, all squares in one projection. */
  bounds: readonly [west: number, south: number, east: number, north: number];
  /** What the colour tells. */
  value: number | string;
  /** Shown on hover. Default: none. */
  title?: string | undefined;
}

export interface SquaresOptions {
  /** Above the map. Default: none. */
  title?: string | undefined;
  /** Default: `sequential` where every value is a number, else `category`. */
  scale?: 'category' | 'sequential' | undefined;
  /** What the value is, beside the legend. Default: none. */
  label?: string | undefined;
  /** Whose data it is made of, in the drawing: `OSM_ATTRIBUTION` where OpenStreetMap's are in it. Default: none. */
  attribution?: string | undefined;
}

/**
 * Dark to light in even steps of brightness, also without colour vision: seven points of cividis (Nuñez, Anderton &
 * Renslow 2018).
 */
const ramp = [
  [0, 34, 78],
  [44, 62, 107],
  [87, 92, 109],
  [124, 123, 120],
  [165, 156, 116],
  [209, 193, 95],
  [254, 232, 56],
];

/** Squares with a title of their own cost 100 bytes each: beyond this many, one path a colour draws them all. */
const titledAtMost = 5000;

const [longSide, gap] = [620, 8];

/**
 * A map of squares, north up, coloured by value, with a legend and a scale bar.
 *
 * Squares that would be smaller than 1.5 pixels are drawn at that size. Numbers that are not finite are drawn hollow
 * and counted.
 *
 * @returns SVG in HTML, without script
 */
export function squaresHtml(
  features: readonly Square[],
  { title, scale, label, attribution }: SquaresOptions = {},
): string {
  if (features.length === 0) return framed('<p class="ims-note">no squares</p>', mapCss, title);
  const kind = scale ?? (features.every(({ value }) => typeof value === 'number') ? 'sequential' : 'category');
  const { colourOf, key } = kind === 'sequential' ? sequential(features) : categories(features);
  const view = viewOf(features);
  const drawn =
    features.length > titledAtMost ? drawPaths(features, view, colourOf) : drawRects(features, view, colourOf);
  const words = `${title ?? 'Map'}: ${numberText(features.length)} squares`;
  const svg = `<svg class="ims-map" role="img" aria-label="${escapeHtml(words)}" width="${view.width}" height="${view.height}" viewBox="0 0 ${view.width} ${view.height}">${drawn}${scaleBar(view, attribution)}${creditLine(attribution, view)}</svg>`;
  const what = label === undefined ? '' : `<b>${escapeHtml(label)}</b>`;
  return framed(`${svg}<div class="ims-key">${what}${key}</div>`, mapCss, title);
}

interface View extends Footing {
  west: number;
  north: number;
}

function viewOf(features: readonly Square[]): View {
  let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { bounds } of features) {
    if (!bounds.every(Number.isFinite))
      throw new RangeError(`squares requires finite bounds in metres, got [${bounds.join(', ')}]`);
    west = Math.min(west, bounds[0]);
    south = Math.min(south, bounds[1]);
    east = Math.max(east, bounds[2]);
    north = Math.max(north, bounds[3]);
  }
  const pixelsPerMetre = longSide / Math.max(east - west, north - south, 1);
  const [width, height] = [east - west, north - south].map((metres) => Math.ceil(metres * pixelsPerMetre) + 2 * gap);
  return { west, north, pixelsPerMetre, width: Math.max(width, 160), height: height + 26 };
}

function place(
  { bounds: [west, south, east, north] }: Square,
  view: View,
): [x: number, y: number, width: number, height: number] {
  const [x, y] = [(west - view.west) * view.pixelsPerMetre + gap, (view.north - north) * view.pixelsPerMetre + gap];
  const sides = [east - west, north - south].map((metres) => Math.max(1.5, metres * view.pixelsPerMetre));
  return [x, y, sides[0], sides[1]].map((pixels) => Math.round(pixels * 100) / 100) as [number, number, number, number];
}

type ColourOf = Legend['colourOf'];

/** Fill, and a thin seam so that neighbours of one colour stay apart. */
const paint = (colour: string): string =>
  colour === 'none'
    ? `fill="none" stroke="${hairline}"`
    : `fill="${colour}" stroke="rgba(128,128,128,0.35)" stroke-width="0.4"`;

function drawRects(features: readonly Square[], view: View, colourOf: ColourOf): string {
  const rects = features.map((feature) => {
    const [x, y, width, height] = place(feature, view);
    const words = feature.title === undefined ? '' : `<title>${escapeHtml(feature.title)}</title>`;
    return `<rect x="${x}" y="${y}" width="${width}" height="${height}" ${paint(colourOf(feature.value))}>${words}</rect>`;
  });
  return rects.join('');
}

function drawPaths(features: readonly Square[], view: View, colourOf: ColourOf): string {
  const paths = new Map<string, string[]>();
  for (const feature of features) {
    const [x, y, width, height] = place(feature, view);
    const colour = colourOf(feature.value);
    const path = paths.get(colour) ?? [];
    path.push(`M${x} ${y}h${width}v${height}h${-width}z`);
    paths.set(colour, path);
  }
  return [...paths].map(([colour, path]) => `<path ${paint(colour)} d="${path.join('')}"/>`).join('');
}

/** The ramp runs from dark blue (least) to yellow (most), on light ground as on dark. */
function sequential(features: readonly Square[]): Legend {
  const numbers = features.map(({ value }) => Number(value)).filter(Number.isFinite);
  const [least, most] = numbers.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
  const colourOf: ColourOf = (value) =>
    Number.isFinite(Number(value)) ? rampColour(most > least ? (Number(value) - least) / (most - least) : 0.5) : 'none';
  const decimals = numbers.every(Number.isInteger) ? 0 : decimalsFor(Math.max(Math.abs(least), Math.abs(most)));
  const end = (value: number): string => `<span>${numberText(Number(value.toFixed(decimals)), decimals)}</span>`;
  const without = features.length - numbers.length;
  const entries = numbers.length === 0 ? [] : [end(least), rampKey, end(most)];
  if (without > 0) entries.push(swatch('none', `no value: ${numberText(without)}`));
  return { colourOf, key: entries.join('') };
}

const rampKey = `<span class="ims-ramp" style="background:linear-gradient(90deg, ${ramp.map((colour) => `rgb(${colour.join()})`).join(', ')})"></span>`;

/** @param share 0–1 along the ramp; 64 steps, so that equal colours can share a path */
function rampColour(share: number): string {
  const at = (Math.round(share * 63) / 63) * (ramp.length - 1);
  const from = Math.min(Math.floor(at), ramp.length - 2);
  const parts = ramp[from].map((part, band) => Math.round(part + (at - from) * (ramp[from + 1][band] - part)));
  return `rgb(${parts.join()})`;
}
