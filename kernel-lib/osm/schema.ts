import { z } from 'zod';

/** Key and value, as mapped. */
export type OsmTags = Record<string, string>;

/** A place of an outline, degrees. */
export interface LatLon {
  lat: number;
  lon: number;
}

/** A point as Overpass gives it. Degrees. Further fields, where the server sends some, are kept. */
export interface OsmNode extends LatLon {
  type: 'node';
  id: number;
  tags?: OsmTags | undefined;
}

/** A line or outline as `out geom` gives it. */
export interface OsmWay {
  type: 'way';
  id: number;
  tags?: OsmTags | undefined;
  /** Ids of its nodes, in order; an outline repeats the first. */
  nodes?: number[] | undefined;
  /** Their places, in order; `null` where the server left one out. */
  geometry?: (LatLon | null)[] | undefined;
  bounds?: { minlat: number; minlon: number; maxlat: number; maxlon: number } | undefined;
}

/** One part of a relation. */
export interface OsmMember {
  type: 'node' | 'way' | 'relation';
  ref: number;
  /** `outer`, `inner`, `stop`, …; often empty. */
  role: string;
  /** Of the ways of a multipolygon: their places, in order, also where they lie outside the cell. */
  geometry?: (LatLon | null)[] | undefined;
}

/** A group of elements: a multipolygon, a route, a boundary. */
export interface OsmRelation {
  type: 'relation';
  id: number;
  tags?: OsmTags | undefined;
  members: OsmMember[];
}

/** Whether a relation is an area put together from ways. */
export function isMultipolygon({ tags: all }: { tags?: OsmTags | undefined }): boolean {
  return all?.['type'] === 'multipolygon';
}

/** Any of the three, as they come in an answer. */
export type OsmElement = OsmNode | OsmWay | OsmRelation;

/** All of OpenStreetMap that touches a cell: the whole content of `osm_data.json`. */
export interface OsmData {
  /** The cell's twelve digits. */
  quadkey: string;
  nodes: OsmNode[];
  ways: OsmWay[];
  relations: OsmRelation[];
}

/** An answer of an Overpass server. */
export interface OverpassAnswer {
  /** Freshness of the map, and the server's own words on whose data these are. */
  osm3s: { timestamp_osm_base: string; copyright?: string | undefined };
  elements: OsmElement[];
  /** The server's own words, an error that came late included. */
  remark?: string | undefined;
}

const id = z.int();
const lat = z.number().min(-90).max(90);
const lon = z.number().min(-180).max(180);
/** Handed on as it is: a copy would lose the key `__proto__`. */
const tags = z.custom<OsmTags>(isTags, 'expected text by key').optional();
const place = z.looseObject({ lat, lon });
const bounds = z.looseObject({ minlat: z.number(), minlon: z.number(), maxlat: z.number(), maxlon: z.number() });
const line = z.array(place.nullable()).optional();
const member = z.looseObject({
  type: z.enum(['node', 'way', 'relation']),
  ref: id,
  role: z.string(),
  geometry: line,
});

const node = z.looseObject({ type: z.literal('node'), id, lat, lon, tags });
const way = z.looseObject({
  type: z.literal('way'),
  id,
  tags,
  nodes: z.array(id).optional(),
  geometry: line,
  bounds: bounds.optional(),
});
const relation = z.looseObject({ type: z.literal('relation'), id, tags, members: z.array(member) });

/** What `osm_data.json` must look like: these four keys and no other. */
export const osmDataSchema: z.ZodType<OsmData> = z.strictObject({
  quadkey: z.string().regex(/^[0-3]{12}$/),
  nodes: z.array(node),
  ways: z.array(way),
  relations: z.array(relation),
});

/** What an Overpass answer must look like. */
export const answerSchema: z.ZodType<OverpassAnswer> = z.looseObject({
  osm3s: z.looseObject({ timestamp_osm_base: z.string(), copyright: z.string().optional() }),
  elements: z.array(z.discriminatedUnion('type', [node, way, relation])),
  remark: z.string().optional(),
});

function isTags(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((text) => typeof text === 'string');
}

/** The first fault that zod found, in a few words: `ways.3.id: expected number, received string`. */
export function firstFault(error: z.ZodError): string {
  const [issue] = error.issues;
  const where = issue?.path.join('.') || 'the whole';
  return `${where}: ${issue?.message ?? 'not as expected'}`;
}
