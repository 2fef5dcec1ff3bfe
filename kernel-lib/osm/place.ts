import type { LineString, MultiLineString, MultiPolygon, Point, Polygon, Position } from 'geojson';
import { clipPolyline } from 'lineclip';
import { type Bounds, type Cell, lonLatBounds, toLonLat, toUtm } from '../ard/index.ts';
import { clipPolygon, isInside } from './clip.ts';
import { clip, lengthOf, ringsArea } from './cut.ts';
import type { Element } from './elements.ts';

/** A geometry cut at a cell's border: lines may come apart. */
export type PlacedGeometry = Point | LineString | MultiLineString | Polygon | MultiPolygon;

/** What of an element lies in a cell. */
export interface PlacedElement extends Omit<Element, 'geometry'> {
  /** Cut at the cell's border. Degrees lon, lat. */
  geometry: PlacedGeometry;
  /** The same in metres of the cell's UTM, x to the east and y to the north. */
  utm: PlacedGeometry;
  /** Square metres in the UTM grid (true to 0.2 %), holes left out. 0 for lines and points. */
  area: number;
  /** Metres in the UTM grid (true to 0.1 %). 0 for areas and points. */
  length: number;
}

/** Degrees around a cell beyond which geometry is cut off before it is projected: UTM fails far from its zone. */
const MARGIN = 0.5;

/**
 * The elements of a cell, cut at its border, in lon/lat and in the cell's UTM; those that do not reach it are left out.
 *
 * What lies inside whole keeps its lon/lat as mapped. An area that the border parts becomes a multipolygon, a line
 * several. A point on the border belongs to the cell to its east and south.
 *
 * @returns in the order given
 */
export function placeInCell(list: readonly Element[], cell: Cell): PlacedElement[] {
  const ground = groundOf(cell);
  return list.flatMap((element) => {
    const utm = ground.cut(element.geometry);
    if (!utm) return [];
    const geometry = isWhole(element.geometry, utm, cell.cellBounds) ? element.geometry : ground.onGlobe(utm);
    const [area, length] = [areaIn(utm), lengthIn(utm)];
    return area === 0 && length === 0 && utm.type !== 'Point' ? [] : [{ ...element, geometry, utm, area, length }];
  });
}

/** A cell as geometry is laid on it. */
export interface Ground {
  /** A lon/lat geometry's part in the cell, UTM metres. */
  cut(geometry: Element['geometry']): PlacedGeometry | undefined;
  /** UTM metres to degrees lon, lat. */
  onGlobe(utm: PlacedGeometry): PlacedGeometry;
}

export function groundOf(cell: Cell): Ground {
  const { epsg, cellBounds: box } = cell;
  const [west, south, east, north] = lonLatBounds(cell);
  const margin: Bounds = [west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN];
  const project = (line: Position[]): Position[] => line.map((place) => toUtm(epsg, place as [number, number]));
  const nearRings = (ring: Position[]): Position[][] =>
    turns(ring, margin).map((turn) => clip(turn, margin)).filter(({ length }) => length > 0).map(project); // prettier-ignore
  return {
    cut: (geometry) => {
      if (geometry.type === 'Point') return pointIn(nearRings([geometry.coordinates])[0]?.[0], box);
      if (geometry.type !== 'LineString') return areaInside(geometry, nearRings, box);
      const near = turns(geometry.coordinates, margin).flatMap((line) => clipPolyline(line, margin));
      return linesOf(near.flatMap((line) => clipPolyline(project(line), box)));
    },
    onGlobe: (utm) => mapped(utm, (place) => onGlobe(toLonLat(epsg, place as [number, number]))),
  };
}

function pointIn(coordinates: Position | undefined, [west, south, east, north]: Bounds): Point | undefined {
  if (!coordinates) return undefined;
  const [x, y] = coordinates;
  return x >= west && x < east && y > south && y <= north ? { type: 'Point', coordinates } : undefined;
}

function linesOf(parts: Position[][]): LineString | MultiLineString | undefined {
  const lines = parts.filter((part) => lengthOf(part) > 0);
  if (lines.length < 2) return lines.length === 0 ? undefined : { type: 'LineString', coordinates: lines[0] };
  return { type: 'MultiLineString', coordinates: lines };
}

function areaInside(
  geometry: Polygon | MultiPolygon,
  nearRings: (ring: Position[]) => Position[][],
  box: Bounds,
): Polygon | MultiPolygon | undefined {
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
  const parts = polygons.flatMap(([outer, ...holes]) => {
    const inner = holes.flatMap(nearRings);
    return nearRings(outer).flatMap((ring) => clipPolygon([closed(ring), ...inner.map(closed)], box));
  });
  if (parts.length < 2) return parts.length === 0 ? undefined : { type: 'Polygon', coordinates: parts[0] };
  return { type: 'MultiPolygon', coordinates: parts };
}

/** Clipping leaves the repeated first place out where it was cut off. */
function closed(ring: Position[]): Position[] {
  const [[x, y], last] = [ring[0], ring.at(-1)!];
  return x === last[0] && y === last[1] ? ring : [...ring, ring[0]];
}

/**
 * Positions whose longitudes run on across the antimeridian, at each full turn that may bring them to the margin;
 * nearly always one.
 */
function turns(positions: Position[], [west]: Bounds): Position[][] {
  let [last] = positions[0] as [number];
  let [least, most] = [last, last];
  const joined = positions.map(([lon, lat]) => {
    last = lon - 360 * Math.round((lon - last) / 360);
    least = Math.min(least, last);
    most = Math.max(most, last);
    return [last, lat];
  });
  const first = Math.round((west - most) / 360);
  const count = Math.round((west - least) / 360) - first + 1;
  return Array.from({ length: count }, (_, k) => joined.map(([lon, lat]) => [lon + 360 * (first + k), lat]));
}

function onGlobe([lon, lat]: Position): Position {
  return [lon - 360 * Math.round(lon / 360), lat];
}

/** Whether nothing was cut off. */
function isWhole(before: PlacedGeometry, after: PlacedGeometry, box: Bounds): boolean {
  const places = positionsOf(after);
  return places.length === positionsOf(before).length && isInside(places, box);
}

/** All positions of a geometry. */
function positionsOf({ coordinates }: PlacedGeometry): Position[] {
  const flat: number[] = coordinates.flat(3);
  return Array.from({ length: flat.length / 2 }, (_, k) => [flat[2 * k], flat[2 * k + 1]]);
}

function mapped(geometry: PlacedGeometry, move: (place: Position) => Position): PlacedGeometry {
  if (geometry.type === 'Point') return { ...geometry, coordinates: move(geometry.coordinates) };
  const line = (places: Position[]): Position[] => places.map(move);
  if (geometry.type === 'LineString') return { ...geometry, coordinates: line(geometry.coordinates) };
  if (geometry.type !== 'MultiPolygon') return { ...geometry, coordinates: geometry.coordinates.map(line) };
  return { ...geometry, coordinates: geometry.coordinates.map((rings) => rings.map(line)) };
}

/** Polygons of a geometry; none of lines and points. */
export function polygonsIn(geometry: PlacedGeometry): Position[][][] {
  if (geometry.type === 'Polygon') return [geometry.coordinates];
  return geometry.type === 'MultiPolygon' ? geometry.coordinates : [];
}

/** Lines of a geometry; none of areas and points. */
export function linesIn(geometry: PlacedGeometry): Position[][] {
  if (geometry.type === 'LineString') return [geometry.coordinates];
  return geometry.type === 'MultiLineString' ? geometry.coordinates : [];
}

function areaIn(geometry: PlacedGeometry): number {
  return polygonsIn(geometry).reduce((sum, rings) => sum + ringsArea(rings), 0);
}

function lengthIn(geometry: PlacedGeometry): number {
  return linesIn(geometry).reduce((sum, line) => sum + lengthOf(line), 0);
}
