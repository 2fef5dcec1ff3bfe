import type { Feature, FeatureCollection, Polygon } from 'geojson';
import { type Bounds, CHIPS_PER_SIDE, chipBounds, chipIdAt, polygonOf, toUtm } from '../ard/index.ts';
import type { Catalogue } from './catalogue.ts';
import { RequestError } from './fault.ts';
import { toMercator } from './mercator.ts';
import type { OpenedStore } from './openstore.ts';

/** Squares that are answered at most: a view at zoom 15 has about a thousand. */
export const MOST_CHIPS = 4096;

/**
 * The chips of the delivered cells within some bounds, degrees, as GeoJSON: where each lies, and the days it is in the store with.
 *
 * @throws {RequestError} 400 where there are more than {@link MOST_CHIPS}
 */
export async function chipGrid(
  catalogue: Catalogue,
  opened: OpenedStore | undefined,
  bounds: Bounds,
): Promise<FeatureCollection<Polygon>> {
  const [[west, south], [east, north]] = [toMercator([bounds[0], bounds[1]]), toMercator([bounds[2], bounds[3]])];
  const cells = new Map(catalogue.find([west, south, east, north]).map(({ place }) => [place.cell.id, place.cell]));
  const ids: string[] = [];
  for (const cell of cells.values()) {
    const [left, top, right, bottom] = spanOf(cell, bounds);
    if (ids.length + (right - left + 1) * (bottom - top + 1) > MOST_CHIPS)
      throw new RequestError(400, `more than ${MOST_CHIPS} chips lie in ${bounds.join(',')}: ask for a smaller box`);
    for (let row = top; row <= bottom; row++)
      for (let column = left; column <= right; column++) ids.push(chipIdAt(cell, row, column));
  }
  const epsg = new Map([...cells.values()].map((cell) => [cell.id, cell.epsg]));
  const rows = await opened?.rowsOf();
  const dates = (await opened?.loaded())?.columns.dates;
  const features = ids.map((id): Feature<Polygon> => ({
    type: 'Feature',
    geometry: polygonOf(epsg.get(id.slice(0, 16))!, chipBounds(id)),
    properties: { id, dates: [...new Set((rows?.get(id) ?? []).map((row) => dates![row]))].sort() },
  }));
  return { type: 'FeatureCollection', features };
}

type Cell = Catalogue['places'][number]['cell'];

/** First and last column and row of a cell's chips that touch some bounds; the last before the first where none does. */
function spanOf({ epsg, cellBounds }: Cell, [west, south, east, north]: Bounds): [number, number, number, number] {
  const corners = [[west, south], [east, south], [west, north], [east, north]].map((place) => toUtm(epsg, place as [number, number])); // prettier-ignore
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  const side = (cellBounds[2] - cellBounds[0]) / CHIPS_PER_SIDE;
  const within = (at: number): number => Math.max(0, Math.min(CHIPS_PER_SIDE - 1, Math.floor(at)));
  const isAside = Math.min(...xs) > cellBounds[2] || Math.max(...xs) < cellBounds[0] || Math.min(...ys) > cellBounds[3] || Math.max(...ys) < cellBounds[1]; // prettier-ignore
  if (isAside) return [0, 0, -1, -1];
  return [
    within((Math.min(...xs) - cellBounds[0]) / side),
    within((cellBounds[3] - Math.max(...ys)) / side),
    within((Math.max(...xs) - cellBounds[0]) / side),
    within((cellBounds[3] - Math.min(...ys)) / side),
  ];
}
