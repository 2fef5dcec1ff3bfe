import type { Feature, LineString, MultiPolygon, Point, Polygon, Position } from 'geojson';
import osmtogeojson from 'osmtogeojson';
import {
  type LatLon,
  type OsmData,
  type OsmNode,
  type OsmRelation,
  type OsmTags,
  type OsmWay,
  isMultipolygon,
} from './schema.ts';

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
  /** The parts that are there: rings that close, the known stretch of a way. For a map; not to be measured. */
  parts?: Element['geometry'] | undefined;
}

/** All that is tagged in a cell: every tagged element is in just one of the lists. */
export interface Elements {
  /** Nodes, then ways, then relations, each in the order of the data. */
  elements: Element[];
  /** Those whose geometry is not whole. */
  broken: BrokenElement[];
  /**
   * Keys of relations that are no area (routes, turn restrictions, …), and of boundaries that go on beyond the data: their
   * members are among `elements`.
   */
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
 * Multipolygons are put together from their member ways, inner rings and chained members included, also where these lie
 * outside the cell: their lines come with the relation. A multipolygon without tags of its own is drawn by its outer way.
 * One of which a ring does not close, or a way is not known, is listed as broken, with the parts that close.
 *
 * An area around the whole cell, no line of which runs through it, is not in the data of the cell.
 *
 * @see https://wiki.openstreetmap.org/wiki/Relation:multipolygon
 * @see https://wiki.openstreetmap.org/wiki/Overpass_turbo/Polygon_Features for which closed ways are areas
 */
export function elements(osm: OsmData): Elements {
  const areas = osm.relations.filter(isArea);
  const lines = linesOf(osm.ways, areas);
  const { features } = osmtogeojson({ elements: forConversion(osm, areas, lines) });
  const shapes = new Map(features.map((shape) => [String(shape.id), shape]));
  const found: Elements = {
    elements: osm.nodes.filter(isTagged).map(pointElement),
    broken: [],
    unplaced: [],
    merged: [],
  };
  const drawn = new Set(areas.flatMap(({ members }) => members.map(({ type, ref }) => `${type}/${ref}`)));
  for (const way of osm.ways) if (isTagged(way)) place(found, way, shapes, wayFault(way, drawn));
  for (const relation of areas) placeArea(found, relation, shapes, lines);
  found.unplaced.push(...osm.relations.filter((relation) => isTagged(relation) && !isArea(relation)).map(keyOf));
  return found;
}

/** What is known of where the ways of a cell's areas run. */
interface Lines {
  /** Ids of the ways in the data of the cell. */
  here: Set<number>;
  /** Places of the ways that came with a multipolygon; most lie outside the cell. */
  far: Map<number, (LatLon | null)[]>;
}

function linesOf(ways: readonly OsmWay[], areas: readonly OsmRelation[]): Lines {
  const far = new Map<number, (LatLon | null)[]>();
  for (const { type, ref, geometry } of areas.flatMap(({ members }) => members))
    if (type === 'way' && geometry) far.set(ref, geometry);
  return { here: new Set(ways.map(({ id }) => id)), far };
}

/**
 * The parts that the conversion needs, copied: it writes into what it is given. Nodes only where ways lack their
 * places. Ways without the ids of their nodes, which are not known of those outside the cell: rings are joined by places.
 */
function forConversion({ nodes, ways }: OsmData, areas: readonly OsmRelation[], { here, far }: Lines): unknown[] {
  const bare = new Set(ways.filter(({ geometry }) => geometry === undefined).flatMap((way) => way.nodes ?? []));
  const needed = nodes.filter(({ id }) => bare.has(id)).map(({ id, lat, lon }) => ({ type: 'node', id, lat, lon }));
  const places = new Map(needed.map((node) => [node.id, node]));
  const outlines = ways.map(({ type, id, tags = {}, nodes: refs = [], geometry }) => ({
    type,
    id,
    tags,
    geometry: geometry ?? refs.map((ref) => places.get(ref) ?? null),
  }));
  const others = [...far].filter(([id]) => !here.has(id)).map(([id, geometry]) => ({ type: 'way', id, geometry }));
  const groups = areas.map(({ type, id, tags, members }) => ({
    type,
    id,
    tags,
    members: members.map(({ type: kind, ref, role }) => ({ type: kind, ref, role: role === '' ? 'outer' : role })),
  }));
  return [...outlines, ...others, ...groups];
}

function isTagged({ tags }: { tags?: OsmTags | undefined }): boolean {
  return tags !== undefined && Object.keys(tags).length > 0;
}

function isArea({ tags }: OsmRelation): boolean {
  return tags?.['type'] === 'boundary' || isMultipolygon({ tags });
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

/** Puts an element where it belongs; without a shape it is broken for the given reason, or an outline where there is none. */
function place(found: Elements, raw: OsmWay | OsmRelation, shapes: Map<string, Shape>, fault?: string): void {
  const { type, id, tags = {} } = raw;
  const key = keyOf(raw);
  const shape = shapes.get(key);
  const { geometry, dropped } = shape ? closedParts(shape.geometry) : { geometry: undefined, dropped: 0 };
  const flaw = flawOf(shape, dropped, raw.type === 'way' && shape ? undefined : fault);
  if (flaw !== undefined) found.broken.push({ key, tags, reason: flaw, raw, ...(geometry ? { parts: geometry } : {}) });
  else if (geometry) found.elements.push({ type, id, key, tags, geometry });
  else found.merged.push(key);
}

const SOME_NODES = 'some of its nodes are not in the data';

/** Why a shape is not whole; nothing where it is, or where another element draws it. */
function flawOf(shape: Shape | undefined, dropped: number, fault: string | undefined): string | undefined {
  if (!shape) return fault;
  if (shape.properties.tainted) return fault ?? SOME_NODES;
  return dropped > 0 ? `${dropped} of its rings do not close` : undefined;
}

/** A multipolygon: drawn by itself, or by its outer way when it has no tags but its type. */
function placeArea(found: Elements, relation: OsmRelation, shapes: Map<string, Shape>, { here, far }: Lines): void {
  const ways = relation.members.filter(({ type }) => type === 'way');
  const missing = ways.filter(({ ref }) => !here.has(ref) && !far.has(ref)).length;
  const outers = ways.filter(({ role }) => role === 'outer' || role === '').map(({ ref }) => ref);
  if (missing > 0 && !isMultipolygon(relation)) return void found.unplaced.push(keyOf(relation));
  let fault = missing > 0 ? `${missing} of its ${ways.length} ways are not in the data` : undefined;
  if (!shapes.has(keyOf(relation))) {
    if (outers.length === 0) fault = `none of its ${ways.length} ways is an outer one`;
    else if (!outers.some((ref) => shapes.has(`way/${ref}`))) fault ??= 'its outer ways make no ring';
    else if (!outers.some((ref) => here.has(ref))) fault ??= 'its tags are on a way outside the cell';
  }
  place(found, relation, shapes, fault);
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
