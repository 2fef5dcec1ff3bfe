import type { Feature, LineString, MultiPolygon, Point, Polygon, Position } from 'geojson';
import osmtogeojson from 'osmtogeojson';
import type { OsmData, OsmNode, OsmRelation, OsmTags, OsmWay } from './schema.ts';

/** A tagged thing on the map and where it lies. */
export interface Element {
  type: 'node' | 'way' | 'relation';
  id: number;
  /** `way/123`: unique among all elements. */
  key: string;
  tags: OsmTags;
  /** Degrees lon, lat. Areas are polygons, with their holes; which closed ways are areas, their tags decide. */
  geometry: Point | LineString | Polygon | MultiPolygon;
}

/** An element whose geometry is not whole, or not there at all. */
export interface BrokenElement {
  key: string;
  tags: OsmTags;
  /** What is missing, in one line. */
  reason: string;
  /** As it is in the data: the way with its nodes, the relation with all its members. */
  raw: OsmWay | OsmRelation;
}

/**
 * All that is tagged in a cell. Every tagged element is in one of the lists; a broken one of which parts remain is in
 * two.
 */
export interface Elements {
  /** Nodes, then ways, then relations, each in the order of the data. */
  elements: Element[];
  /** Those whose geometry is not whole; what closes of it is among `elements`. */
  broken: BrokenElement[];
  /** Keys of relations that are no area (routes, turn restrictions, …): their members are among `elements`. */
  unplaced: string[];
  /**
   * Keys of what another element draws: outlines of a multipolygon with no tags but its, multipolygons drawn by their
   * outer way.
   */
  merged: string[];
}

type Shape = Feature<Element['geometry'], { tainted?: boolean }>;

/**
 * The geometry of every tagged element.
 *
 * Multipolygons are put together from their member ways, inner rings and chained members included; a multipolygon
 * without tags of its own is drawn by its outer way. A ring that does not close (its ways lie partly outside the
 * cell's data) is left out and listed.
 *
 * @see https://wiki.openstreetmap.org/wiki/Relation:multipolygon
 * @see https://wiki.openstreetmap.org/wiki/Overpass_turbo/Polygon_Features for which closed ways are areas
 */
export function elements(osm: OsmData): Elements {
  const shapes = new Map(
    osmtogeojson({ elements: forConversion(osm) }).features.map((shape) => [String(shape.id), shape]),
  );
  const found: Elements = {
    elements: osm.nodes.filter(isTagged).map(pointElement),
    broken: [],
    unplaced: [],
    merged: [],
  };
  const areas = osm.relations.filter(isArea);
  const drawn = new Set(areas.flatMap(({ members }) => members.map(({ type, ref }) => `${type}/${ref}`)));
  const known = new Set(osm.ways.map(({ id }) => id));
  for (const way of osm.ways) if (isTagged(way)) place(found, way, shapes, wayFault(way, drawn));
  for (const relation of areas) placeArea(found, relation, shapes, known);
  found.unplaced.push(...osm.relations.filter((relation) => isTagged(relation) && !isArea(relation)).map(keyOf));
  return found;
}

/**
 * The parts that the conversion needs, copied: it writes into what it is given. Nodes only where ways lack their
 * places.
 */
function forConversion({ nodes, ways, relations }: OsmData): unknown[] {
  const bare = new Set(ways.filter(({ geometry }) => geometry === undefined).flatMap((way) => way.nodes ?? []));
  const needed = nodes.filter(({ id }) => bare.has(id)).map(({ id, lat, lon }) => ({ type: 'node', id, lat, lon }));
  const outlines = ways.map(({ type, id, tags, nodes: refs, geometry }) => ({ type, id, tags, nodes: refs, geometry }));
  const groups = relations.filter(isArea).map(({ type, id, tags, members }) => ({
    type,
    id,
    tags,
    members: members.map(({ type: kind, ref, role }) => ({ type: kind, ref, role: role === '' ? 'outer' : role })),
  }));
  return [...needed, ...outlines.map(withoutUndefined), ...groups];
}

function withoutUndefined(way: object): object {
  return Object.fromEntries(Object.entries(way).filter(([, value]) => value !== undefined));
}

function isTagged({ tags }: { tags?: OsmTags | undefined }): boolean {
  return tags !== undefined && Object.keys(tags).length > 0;
}

function isArea({ tags }: OsmRelation): boolean {
  return tags?.['type'] === 'multipolygon' || tags?.['type'] === 'boundary';
}

function keyOf({ type, id }: { type: string; id: number }): string {
  return `${type}/${id}`;
}

function pointElement({ type, id, lat, lon, tags = {} }: OsmNode): Element {
  return { type, id, key: `node/${id}`, tags, geometry: { type: 'Point', coordinates: [lon, lat] } };
}

/** Why a way has no shape: it is the outline of a multipolygon (`drawn`), or it has too few places. */
function wayFault(way: OsmWay, drawn: Set<string>): string | undefined {
  return drawn.has(keyOf(way)) ? undefined : 'fewer than two of its nodes are in the data';
}

/**
 * Puts an element where it belongs; without a shape it is broken for the given reason, or an outline where there is
 * none.
 */
function place(found: Elements, raw: OsmWay | OsmRelation, shapes: Map<string, Shape>, fault?: string): void {
  const { type, id, tags = {} } = raw;
  const key = keyOf(raw);
  const shape = shapes.get(key);
  const { geometry, dropped } = shape ? closedParts(shape.geometry) : { geometry: undefined, dropped: 0 };
  if (geometry) found.elements.push({ type, id, key, tags, geometry });
  if (dropped > 0) listBroken(found, raw, `${dropped} of its rings do not close`);
  else if (shape?.properties.tainted) listBroken(found, raw, 'some of its nodes or ways are not in the data');
  else if (!shape && fault !== undefined) listBroken(found, raw, fault);
  else if (!shape) found.merged.push(key);
}

/** A multipolygon: drawn by itself, or by its outer way when it has no tags but its type. */
function placeArea(found: Elements, relation: OsmRelation, shapes: Map<string, Shape>, known: Set<number>): void {
  const key = keyOf(relation);
  const ways = relation.members.filter(({ type }) => type === 'way');
  const missing = ways.filter(({ ref }) => !known.has(ref)).length;
  const outers = ways.filter(({ role }) => role === 'outer' || role === '');
  const parts = `${missing} of its ${ways.length} ways are not in the data`;
  if (shapes.has(key)) place(found, relation, shapes);
  else if (outers.length === 0) listBroken(found, relation, `none of its ${ways.length} ways is an outer one`);
  else if (missing > 0) listBroken(found, relation, parts);
  else if (!outers.some(({ ref }) => shapes.has(`way/${ref}`)))
    listBroken(found, relation, 'its outer ways make no ring');
  else found.merged.push(key);
  const listed = found.broken.at(-1);
  if (missing > 0 && listed?.key === key) listed.reason = parts;
}

function listBroken(found: Elements, raw: OsmWay | OsmRelation, reason: string): void {
  found.broken.push({ key: keyOf(raw), tags: raw.tags ?? {}, reason, raw });
}

/** A geometry without the rings that do not close; a polygon goes with its outer ring. */
function closedParts(geometry: Element['geometry']): { geometry: Element['geometry'] | undefined; dropped: number } {
  if (geometry.type !== 'Polygon' && geometry.type !== 'MultiPolygon') return { geometry, dropped: 0 };
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
  const closed = polygons.filter(([outer]) => isClosed(outer)).map((rings) => rings.filter(isClosed));
  const dropped = polygons.flat().length - closed.flat().length;
  if (closed.length === 0) return { geometry: undefined, dropped };
  if (closed.length === 1) return { geometry: { type: 'Polygon', coordinates: closed[0] }, dropped };
  return { geometry: { type: 'MultiPolygon', coordinates: closed }, dropped };
}

function isClosed(ring: Position[]): boolean {
  const first = ring[0];
  const last = ring.at(-1);
  return ring.length > 3 && first[0] === last![0] && first[1] === last![1];
}
