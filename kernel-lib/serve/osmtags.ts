import { existsSync, statSync } from 'node:fs';
import type { Feature, Position } from 'geojson';
import Flatbush from 'flatbush';
import { LRUCache } from 'lru-cache';
import { type Bounds, boundsOf } from '../ard/index.ts';
import { OSM_ATTRIBUTION, type Element, elements, osmPath, primaryKey, readOsm } from '../osm/index.ts';
import type { Catalogue, Place } from './catalogue.ts';
import { RequestError } from './fault.ts';
import { toMercator } from './mercator.ts';
import type { TagCollection } from './page/shapes.ts';

/** Cells that are looked into at once, features that are answered, and cells that are kept in memory. */
const [MOST_CELLS, MOST_FEATURES, MOST_KEPT] = [4, 3000, 6];

/** The tagged elements of a cell, and where they lie. */
interface CellMap {
  elements: Element[];
  extents: Bounds[];
  index: Flatbush | undefined;
}

/** Reads what the data folder knows of OpenStreetMap, cell by cell, and keeps the last few. */
export class TagMap {
  readonly #dataPath: string;
  readonly #kept = new LRUCache<string, Promise<CellMap>>({ max: MOST_KEPT });

  constructor(dataPath: string) {
    this.#dataPath = dataPath;
  }

  /**
   * The elements that touch some bounds, degrees; of too many the largest.
   *
   * @param tag `key` or `key=value` that they have. Default: any
   * @throws {RequestError} 400 where the bounds touch more cells than are looked into at once
   * @throws {Error} naming a map that is damaged
   */
  async within(catalogue: Catalogue, bounds: Bounds, tag?: string): Promise<TagCollection> {
    const [[west, south], [east, north]] = [toMercator([bounds[0], bounds[1]]), toMercator([bounds[2], bounds[3]])];
    const places = [...new Set(catalogue.find([west, south, east, north]).map(({ place }) => place))];
    if (places.length > MOST_CELLS) throw new RequestError(400, `${places.length} cells lie in ${bounds.join(',')}: ask for a smaller box, of ${MOST_CELLS} cells at most`); // prettier-ignore
    const there = places.filter(({ cell }) => existsSync(osmPath(this.#dataPath, cell)));
    const maps = await Promise.all(there.map((place) => this.#mapOf(place)));
    const found = maps.flatMap((map) => touching(map, bounds, tag)).sort((a, b) => b.size - a.size);
    const once = [...new Map(found.map((one) => [one.element.key, one])).values()];
    const missing = places.filter((place) => !there.includes(place)).map(({ cell }) => cell);
    return {
      type: 'FeatureCollection',
      features: once.slice(0, MOST_FEATURES).map(({ element }) => featureOf(element)),
      attribution: OSM_ATTRIBUTION,
      leftOut: Math.max(0, once.length - MOST_FEATURES),
      missing: missing.map(({ id }) => id),
      ...(missing.length > 0 && { remedy: `fetch the map with imagesim osm --zone ${missing[0].zone}` }),
    };
  }

  #mapOf({ cell }: Place): Promise<CellMap> {
    const { mtimeMs } = statSync(osmPath(this.#dataPath, cell));
    const key = `${cell.id} ${mtimeMs}`;
    const known = this.#kept.get(key);
    if (known) return known;
    const made = readOsm(this.#dataPath, cell).then((osm) => cellMap(elements(osm).elements));
    this.#kept.set(key, made);
    made.catch(() => this.#kept.delete(key));
    return made;
  }
}

function cellMap(all: Element[]): CellMap {
  const extents = all.map(({ geometry }) => boundsOf(placesOf(geometry)));
  if (all.length === 0) return { elements: all, extents, index: undefined };
  const index = new Flatbush(all.length);
  for (const extent of extents) index.add(...extent);
  index.finish();
  return { elements: all, extents, index };
}

function touching(
  { elements: all, extents, index }: CellMap,
  bounds: Bounds,
  tag: string | undefined,
): { element: Element; size: number }[] {
  const [key, value] = tag?.split('=') ?? [];
  const isAsked = ({ tags }: Element): boolean => key === undefined || (key in tags && (value === undefined || tags[key] === value)); // prettier-ignore
  return (index?.search(...bounds) ?? [])
    .filter((at) => isAsked(all[at]))
    .map((at) => ({ element: all[at], size: (extents[at][2] - extents[at][0]) * (extents[at][3] - extents[at][1]) }));
}

function placesOf(geometry: Element['geometry']): Position[] {
  if (geometry.type === 'Point') return [geometry.coordinates];
  if (geometry.type === 'LineString') return geometry.coordinates;
  return geometry.type === 'Polygon' ? geometry.coordinates[0] : geometry.coordinates.flatMap(([outer]) => outer);
}

function featureOf({ key, tags, geometry }: Element): Feature {
  const main = primaryKey(tags) ?? Object.keys(tags)[0];
  const text = Object.entries(tags).slice(0, 12).map(([name, value]) => `${name}=${value}`).join('\n'); // prettier-ignore
  return { type: 'Feature', id: key, geometry, properties: { key, main, tag: `${main}=${tags[main]}`, tags: text } };
}
