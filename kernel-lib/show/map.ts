import type { Geometry, Position } from 'geojson';
import sharp from 'sharp';
import type { Bounds } from '../ard/index.ts';
import type { Picture } from './gallery.ts';
import { type Footing, type Legend, categories, creditLine, mapCss, scaleBar } from './legend.ts';
import { escapeHtml, framed, hairline } from './look.ts';
import { numberText } from './number.ts';

/** A thing on a map: a geometry, or a square by its bounds. */
export interface MapFeature {
  /** Metres, x to the east and y to the north, all features in one projection. */
  geometry: MapGeometry | { type: 'Bounds'; bounds: Bounds };
  /** What the colour tells. */
  value: string;
}

type MapGeometry = Exclude<Geometry, { type: 'GeometryCollection' }>;

/** A feature as it is drawn. */
interface Shape {
  geometry: MapGeometry;
  value: string;
  /** How much of the ground it hides, 0–1: many squares side by side would hide all of it. */
  opacity: number;
}

function shapeOfFeature({ geometry, value }: MapFeature): Shape {
  if (geometry.type !== 'Bounds') return { geometry, value, opacity: 0.34 };
  const [west, south, east, north] = geometry.bounds;
  const corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]; // prettier-ignore
  return { geometry: { type: 'Polygon', coordinates: [corners] }, value, opacity: 0.14 };
}

export interface MapOptions {
  /** What is drawn, `[west, south, east, north]`, metres. */
  bounds: Bounds;
  /** The ground beneath: a picture of just these bounds, north up. Default: none. */
  ground?: Picture | undefined;
  /** Above the map. Default: none. */
  title?: string | undefined;
  /** What the value is, beside the legend. Default: none. */
  label?: string | undefined;
  /** Whose data it shows, in the drawing: `OSM_ATTRIBUTION` where OpenStreetMap's are in it. Default: none. */
  attribution?: string | undefined;
}

/** Shown width; the picture has twice as many pixels, for dense screens. */
const WIDTH = 720;
const DENSITY = 2;
const FOOT = 26;

/**
 * Points, lines and areas over a picture of the ground.
 *
 * All of it becomes one JPEG, so that a town of 20,000 buildings takes no more room in the notebook than a field. Large
 * areas are drawn first and points last; what lies beyond the bounds is neither drawn nor counted. What has no picture
 * beneath is drawn on grey.
 *
 * @returns SVG in HTML, without script
 * @throws {RangeError} when the bounds are no rectangle
 */
export async function mapHtml(
  features: readonly MapFeature[],
  { bounds, ground, title, label, attribution }: MapOptions,
): Promise<string> {
  const [west, south, east, north] = bounds;
  if (!(west < east && south < north))
    throw new RangeError(`map requires bounds of west, south, east, north in metres, got [${bounds.join(', ')}]`);
  const pixelsPerMetre = WIDTH / (east - west);
  const view: Footing = { pixelsPerMetre, width: WIDTH, height: Math.round((north - south) * pixelsPerMetre) + FOOT };
  const shown = features.map(shapeOfFeature).filter(({ geometry }) => reaches(geometry, bounds));
  const legend = categories(shown);
  const jpeg = await drawn(shown, legend, bounds, ground);
  const words = `${title ?? 'Map'}: ${numberText(shown.length)} features`;
  const picture = `<image href="data:image/jpeg;base64,${jpeg.toString('base64')}" width="${WIDTH}" height="${view.height - FOOT}"/>`;
  const svg = `<svg class="ims-map" role="img" aria-label="${escapeHtml(words)}" width="${WIDTH}" height="${view.height}" viewBox="0 0 ${WIDTH} ${view.height}">${picture}${scaleBar(view, attribution)}${creditLine(attribution, view)}</svg>`;
  const what = label === undefined ? '' : `<b>${escapeHtml(label)}</b>`;
  return framed(`${svg}<div class="ims-key">${what}${legend.key}</div>`, mapCss, title);
}

async function drawn(
  features: readonly Shape[],
  { colourOf }: Legend,
  [west, south, east, north]: Bounds,
  ground: Picture | undefined,
): Promise<Buffer> {
  const scale = (DENSITY * WIDTH) / (east - west);
  const [width, height] = [DENSITY * WIDTH, Math.round((north - south) * scale)];
  const place = ([x, y]: Position): string => `${((x - west) * scale).toFixed(1)} ${((north - y) * scale).toFixed(1)}`;
  const shapes = features
    .map((feature) => ({ feature, rank: rankOf(feature.geometry) }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ feature }) => shapeOf(feature, colourOf(feature.value), place));
  const overlay = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${shapes.join('')}</svg>`;
  const base =
    ground === undefined
      ? sharp({ create: { width, height, channels: 3, background: '#808080' } })
      : sharp(ground).resize(width, height, { fit: 'fill' }).flatten({ background: '#808080' }).modulate({ saturation: 0.7 }); // prettier-ignore
  const beneath = await base.png({ compressionLevel: 1 }).toBuffer();
  const picture = sharp(beneath).composite([{ input: Buffer.from(overlay), limitInputPixels: false }]);
  return picture.jpeg({ quality: 78, mozjpeg: true }).toBuffer();
}

/** Large areas are beneath small ones, those beneath lines, and points on top. */
function rankOf(geometry: MapGeometry): number {
  if (geometry.type.endsWith('Point')) return -2;
  if (geometry.type.endsWith('LineString')) return -1;
  const [west, south, east, north] = extentOf(geometry);
  return (east - west) * (north - south);
}

/** Whether the rectangle around a geometry has a place in common with the bounds. */
function reaches(geometry: MapGeometry, [west, south, east, north]: Bounds): boolean {
  const [left, bottom, right, top] = extentOf(geometry);
  return left <= east && right >= west && bottom <= north && top >= south;
}

function extentOf(geometry: MapGeometry): Bounds {
  const extent: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of placesOf(geometry)) {
    extent[0] = Math.min(extent[0], x);
    extent[1] = Math.min(extent[1], y);
    extent[2] = Math.max(extent[2], x);
    extent[3] = Math.max(extent[3], y);
  }
  return extent;
}

function placesOf(geometry: MapGeometry): Position[] {
  if (geometry.type === 'Point') return [geometry.coordinates];
  return geometry.type === 'MultiPoint' ? geometry.coordinates : ringsOf(geometry).flat();
}

function shapeOf({ geometry, opacity }: Shape, colour: string, place: (at: Position) => string): string {
  if (geometry.type.endsWith('Point'))
    return placesOf(geometry)
      .map((at) => dot(place(at), colour))
      .join('');
  const isArea = geometry.type.endsWith('Polygon');
  const path = ringsOf(geometry).map((ring) => `M${ring.map(place).join('L')}${isArea ? 'Z' : ''}`).join(''); // prettier-ignore
  if (isArea)
    return `<path d="${path}" fill="${colour}" fill-opacity="${opacity}" fill-rule="evenodd" stroke="${colour}" stroke-width="1.6"/>`;
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2.4" stroke-opacity="0.9"/>`;
}

function dot(at: string, colour: string): string {
  const [x, y] = at.split(' ');
  return `<circle cx="${x}" cy="${y}" r="3.4" fill="${colour}" stroke="${hairline}"/>`;
}

/** Lines and rings of a geometry. */
function ringsOf(geometry: MapGeometry): Position[][] {
  if (geometry.type === 'LineString') return [geometry.coordinates];
  if (geometry.type === 'MultiLineString' || geometry.type === 'Polygon') return geometry.coordinates;
  return geometry.type === 'MultiPolygon' ? geometry.coordinates.flat() : [];
}
