import { toLonLat } from '../ard/index.ts';
import { ORIGIN } from './plan.ts';
import type { Quarter } from './quarter.ts';
import { LAYER, boxOf, meet, type Box, type Ring, type Thing } from './thing.ts';
import type { World } from './world.ts';

interface LatLon {
  lat: number;
  lon: number;
}
interface Bounds {
  minlat: number;
  minlon: number;
  maxlat: number;
  maxlon: number;
}
type Tags = Record<string, string>;
interface Member {
  type: 'way';
  ref: number;
  role: 'outer' | 'inner';
}

/** An element as Overpass writes it: nodes and ways with their places, relations with their members' ids alone. */
export type SampleElement =
  | { type: 'node'; id: number; lat: number; lon: number; tags?: Tags }
  | { type: 'way'; id: number; bounds: Bounds; nodes: number[]; geometry: LatLon[]; tags?: Tags }
  | { type: 'relation'; id: number; members: Member[]; tags: Tags };

/** An Overpass answer, whole. */
export interface SampleAnswer {
  version: number;
  generator: string;
  osm3s: { timestamp_osm_base: string; copyright: string };
  elements: SampleElement[];
}

const EPSG = 32633;
/** Nodes lie on a lattice of 10 cm, so that a place has one id however many ways pass through it. */
const SNAP = 10;
const HALF = 2 ** 19;

/**
 * What a map maker drew of the world at its second date: an Overpass answer for the part of a cell that the picture shows.
 *
 * Whatever touches the box is there whole, with the untagged nodes of its ways; ids do not depend on the box, so neighbouring answers share their elements.
 *
 * @param box metres east and north of the origin
 */
export function osmAnswer(world: World, box: Box): SampleAnswer {
  const found = new Map<string, SampleElement>();
  for (const element of world.quarters(box).flatMap((quarter) => elementsOf(quarter, box))) {
    const key = `${element.type}/${element.id}`;
    if (element.tags || !found.has(key)) found.set(key, element); // a tree may stand on a corner of a way: one node, with its tags
  }
  const order = { node: 0, way: 1, relation: 2 };
  return {
    version: 0.6,
    generator: 'imagesim sample (synthetic, not OpenStreetMap)',
    osm3s: {
      timestamp_osm_base: '2023-06-01T00:00:00Z',
      copyright:
        'Synthetic data made by imagesim, CC0-1.0. Not from www.openstreetmap.org: no place on Earth looks like this.',
    },
    elements: [...found.values()].sort((a, b) => order[a.type] - order[b.type] || a.id - b.id),
  };
}

/** Quarters are numbered in the id's high digits, what is in them in the low ones; ring k of an area is way id + k + 1. */
function elementsOf(quarter: Quarter, box: Box): SampleElement[] {
  const first = ((quarter.i + 2048) * 4096 + quarter.j + 2048) * 4096;
  const mapped = quarter.things.filter(({ tags, when }) => tags && when !== 1);
  const drawn = mapped.map((thing, n) => ({ id: (first + n) * 4, thing: thing.nudge ? nudged(thing) : thing }));
  return drawn
    .filter(({ thing }) => meet(grow(boxOf(thing.rings)), box))
    .flatMap(({ id, thing }) => elementsOfThing(id, thing));
}

const grow = ([west, south, east, north]: Box): Box => [west - 0.01, south - 0.01, east + 0.01, north + 0.01]; // a point has no ground

function nudged(thing: Thing): Thing {
  const [dx, dy] = thing.nudge ?? [0, 0];
  return { ...thing, rings: thing.rings.map((ring) => ring.map((value, k) => value + (k % 2 ? dy : dx))) };
}

function elementsOfThing(id: number, { form, rings, tags = {}, layer }: Thing): SampleElement[] {
  if (form === 'point') return [{ type: 'node', ...nodesOf(rings[0], false)[0], tags }];
  if (rings.length === 1) return wayOf(id + 1, rings[0], form === 'area', tags);
  const ways = rings.flatMap((ring, k) => wayOf(id + k + 1, ring, true));
  const members = rings.map((_, k): Member => ({ type: 'way', ref: id + k + 1, role: k ? 'inner' : 'outer' }));
  const kind = layer === LAYER.building ? { type: 'multipolygon', ...tags } : { ...tags, type: 'multipolygon' };
  return [...ways, { type: 'relation', id, members, tags: kind }];
}

/** A way and its nodes. */
function wayOf(id: number, ring: Ring, closed: boolean, tags?: Tags): SampleElement[] {
  const nodes = nodesOf(ring, closed);
  const way = {
    type: 'way' as const,
    id,
    bounds: boundsOf(nodes),
    nodes: nodes.map((node) => node.id),
    geometry: nodes.map(place),
  };
  return [...nodes.map((node) => ({ type: 'node' as const, ...node })), tags ? { ...way, tags } : way];
}

const place = ({ lat, lon }: LatLon): LatLon => ({ lat, lon });

/** The nodes of a line, or of a ring with its first repeated. */
function nodesOf(ring: Ring, closed: boolean): (LatLon & { id: number })[] {
  const nodes: (LatLon & { id: number })[] = [];
  for (let k = 0; k < ring.length; k += 2) {
    const [x, y] = [Math.round(ring[k] * SNAP), Math.round(ring[k + 1] * SNAP)];
    const id = (x + HALF) * 2 ** 20 + y + HALF;
    if (id === nodes.at(-1)?.id) continue;
    const [lon, lat] = toLonLat(EPSG, [ORIGIN[0] + x / SNAP, ORIGIN[1] + y / SNAP]);
    nodes.push({ id, lat: seven(lat), lon: seven(lon) });
  }
  if (closed && nodes[0].id !== nodes.at(-1)?.id) nodes.push(nodes[0]);
  return nodes;
}

/** Seven decimals, as OSM stores them: a centimetre. */
export const seven = (degrees: number): number => Math.round(degrees * 1e7) / 1e7;

function boundsOf(places: LatLon[]): Bounds {
  const [lats, lons] = [places.map(({ lat }) => lat), places.map(({ lon }) => lon)];
  return { minlat: Math.min(...lats), minlon: Math.min(...lons), maxlat: Math.max(...lats), maxlon: Math.max(...lons) };
}
