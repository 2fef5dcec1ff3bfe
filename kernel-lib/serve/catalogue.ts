import { createHash } from 'node:crypto';
import Flatbush from 'flatbush';
import { type Bounds, type Cell, type Delivery, type Tile, toLonLat, boundsOf, tilesOf } from '../ard/index.ts';
import { HALF, toMercator } from './mercator.ts';
import { CHOICES, type Choice, type Selection, isSelected, ranksOf } from './selection.ts';

/** A cell, and which acquisitions it has. */
export interface Place {
  cell: Cell;
  /** What the cell covers, Web-Mercator metres. */
  bounds: Bounds;
  /** Of each acquisition its number in {@link Catalogue.tiles}. */
  tiles: number[];
}

/** A cell that a search found. */
export interface Hit {
  place: Place;
  /** Where the cell lies in the square searched: at the antimeridian it may come from the other side. */
  bounds: Bounds;
}

/** What is served: every acquisition of a delivery that has a visual raster, and where it lies. */
export interface Catalogue {
  tiles: Tile[];
  /** Of each tile what changes when its raster does: cell, day, acquisition, bytes, time or ETag. */
  identities: string[];
  places: Place[];
  /** Changes when anything that is served does: 16 hexadecimal digits. */
  key: string;
  /** Smallest bounds of all, degrees. */
  bounds: Bounds;
  /** Days of the first and last acquisition. */
  days: [first: string, last: string];
  /** Tiles of the delivery that have no visual raster. */
  leftOut: number;
  /** Cells that touch some bounds, Web-Mercator metres. */
  find(bounds: Bounds): Hit[];
  /** The tiles of some cells that a selection shows, first those that win. */
  ordered(hits: readonly Hit[], selection: Selection): number[];
}

/** Reads what a delivery holds. @throws {Error} when no tile of it has a visual raster */
export async function readCatalogue({ source, prefix, files }: Delivery): Promise<Catalogue> {
  const all = await tilesOf({ source, prefix, files });
  const tiles = all.filter((tile) => tile.files.visual);
  if (tiles.length === 0) throw new Error(`none of the ${all.length} tiles in ${source.address} has a visual raster: sync them with their -visual.tif`); // prettier-ignore
  const facts = new Map(files.map((file) => [file.key, file]));
  const identities = tiles.map(({ cell, date, catid, files: { visual } }) => {
    const file = facts.get(visual);
    return `${cell.id} ${date} ${catid} ${file?.bytes} ${file?.etag ?? file?.modified.getTime()}`;
  });
  const places = placesOf(tiles);
  const ranks = Object.fromEntries(CHOICES.map((choice) => [choice, ranksOf(tiles, choice)])) as Record<Choice, Uint32Array>; // prettier-ignore
  const days = tiles.map(({ date }) => date).sort();
  return {
    tiles,
    identities,
    places,
    key: createHash('sha256').update(identities.join('\n')).digest('hex').slice(0, 16),
    bounds: boundsOf(places.flatMap(({ cell }) => cell.geometry.coordinates[0])),
    days: [days[0], days[days.length - 1]],
    leftOut: all.length - tiles.length,
    find: finder(places),
    ordered: (hits, selection) => {
      const rank = ranks[selection.select];
      const wanted = new Set(hits.flatMap(({ place }) => place.tiles.filter((at) => isSelected(tiles[at], selection))));
      return [...wanted].sort((a, b) => rank[a] - rank[b]);
    },
  };
}

function placesOf(tiles: readonly Tile[]): Place[] {
  const places = new Map<string, Place>();
  for (const [index, { cell }] of tiles.entries()) {
    const place = places.get(cell.id) ?? { cell, bounds: mercatorBounds(cell), tiles: [] };
    places.set(cell.id, place);
    place.tiles.push(index);
  }
  return [...places.values()];
}

/** Edges bulge: each is looked at in eight places, and a tenth of a metre is added for what they miss. */
function mercatorBounds({ epsg, cellBounds: [west, south, east, north] }: Cell): Bounds {
  const parts = Array.from({ length: 9 }, (_, part) => part / 8);
  const edges = parts.flatMap((part): [number, number][] => {
    const [x, y] = [west + (east - west) * part, south + (north - south) * part];
    return [[x, south], [x, north], [west, y], [east, y]]; // prettier-ignore
  });
  const lonLats = edges.map((place) => toLonLat(epsg, place));
  const [first] = lonLats[0];
  const continuous = lonLats.map(([lon, lat]) => toMercator([lon - 360 * Math.round((lon - first) / 360), lat]));
  const bounds = boundsOf(continuous);
  return [bounds[0] - 0.1, bounds[1] - 0.1, bounds[2] + 0.1, bounds[3] + 0.1];
}

function finder(places: readonly Place[]): Catalogue['find'] {
  const hits: Hit[] = places.flatMap((place) => {
    const { bounds } = place;
    const shift = bounds[2] > HALF ? -2 * HALF : bounds[0] < -HALF ? 2 * HALF : 0;
    const beyond: Bounds = [bounds[0] + shift, bounds[1], bounds[2] + shift, bounds[3]];
    return shift === 0
      ? [{ place, bounds }]
      : [
          { place, bounds },
          { place, bounds: beyond },
        ];
  });
  const index = new Flatbush(hits.length);
  for (const { bounds } of hits) index.add(...bounds);
  index.finish();
  return (bounds) => index.search(...bounds).map((at) => hits[at]);
}
