import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bounds, readJson } from '../ard/index.ts';
import { type LonLat, extentOf, overlap, touches } from './bbox.ts';
import { mergeAnswers } from './cell.ts';
import {
  type OsmElement, type OsmMember, type OsmNode, type OsmWay, type OverpassAnswer, answerSchema, firstFault, isMultipolygon,
} from './schema.ts'; // prettier-ignore

/** Overpass answers kept in a folder. */
export interface Shelf {
  /** What a server would answer to the query for everything in a rectangle of degrees. */
  within(bounds: Bounds): Promise<OverpassAnswer>;
}

/** One of its files: where its elements lie, and how fresh they are. */
interface Entry {
  path: string;
  extent: Bounds;
  timestamp: string;
  copyright: string | undefined;
}

const NAME = /^Z\d{2}-[0-3]{12}\.json$/;
/** Files kept in memory: those of a cell and its neighbours. */
const KEPT = 9;

/**
 * Opens a folder of Overpass answers, `Z<zone>-<quadkey, 12 digits>.json`. Every file is read once, to know where its
 * elements lie.
 *
 * @throws {Error} naming the folder or file, when there is none, or it is no whole Overpass answer
 */
export async function openShelf(folder: string): Promise<Shelf> {
  const load = keeping(KEPT, readAnswer);
  const entries: Entry[] = [];
  for (const path of await answerFiles(folder)) entries.push(entryOf(path, await load(path)));
  const nothing = nothingOf(entries);
  return {
    within: async (bounds) => {
      const files: OverpassAnswer[] = [];
      for (const { path } of entries.filter(({ extent }) => overlap(extent, bounds))) files.push(await load(path));
      if (files.length === 0) return nothing;
      const merged = mergeAnswers(files.map((file) => selection(file, bounds)));
      return { ...merged, elements: withMemberLines(merged.elements, files) };
    },
  };
}

/** The answer where no file has anything: no fresher than the oldest of them, under the same terms. */
function nothingOf(entries: Entry[]): OverpassAnswer {
  return mergeAnswers(
    entries.map(({ timestamp, copyright }) => ({ osm3s: { timestamp_osm_base: timestamp, copyright }, elements: [] })),
  );
}

async function answerFiles(folder: string): Promise<string[]> {
  const found = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Error(`no folder of Overpass answers at ${folder}: give a delivery's overpass folder`, { cause });
  });
  const names = found.filter((entry) => entry.isFile() && NAME.test(entry.name)).map(({ name }) => name);
  if (names.length === 0)
    throw new Error(`no Overpass answer in ${folder}: expected files named Z<zone>-<quadkey>.json`);
  return names.sort().map((name) => join(folder, name));
}

/** A file's answer, every way with its geometry. */
async function readAnswer(path: string): Promise<OverpassAnswer> {
  const checked = answerSchema.safeParse(await readJson(path));
  if (!checked.success) throw new Error(`${path} is no Overpass answer (${firstFault(checked.error)}): fetch it again`);
  const { remark } = checked.data;
  if (remark !== undefined) throw new Error(`${path} is not a whole answer (${remark.trim()}): fetch it again`);
  return { ...checked.data, elements: withGeometry(checked.data.elements) };
}

/** Gives ways that came with node ids only the places of those nodes, as `out geom` does. */
function withGeometry(elements: OsmElement[]): OsmElement[] {
  const nodes = new Map(elements.filter((element) => element.type === 'node').map((node) => [node.id, node]));
  const placeOf = (id: number): OsmNode | undefined => nodes.get(id);
  return elements.map((element) => {
    if (element.type !== 'way' || element.geometry !== undefined) return element;
    const places = (element.nodes ?? []).map(placeOf);
    return { ...element, geometry: places.map((place) => (place ? { lat: place.lat, lon: place.lon } : null)) };
  });
}

/** Gives multipolygons the lines of their ways, as far as the files know them: as `out geom` does. */
function withMemberLines(elements: OsmElement[], files: readonly OverpassAnswer[]): OsmElement[] {
  const lines = new Map<number, OsmMember['geometry']>();
  for (const element of files.flatMap((file) => file.elements)) {
    if (element.type === 'way') lines.set(element.id, element.geometry);
    else if (element.type === 'relation' && isMultipolygon(element))
      for (const { type, ref, geometry } of element.members) if (type === 'way' && geometry) lines.set(ref, geometry);
  }
  const withLine = (member: OsmMember): OsmMember => {
    const geometry = member.type === 'way' ? (member.geometry ?? lines.get(member.ref)) : undefined;
    return geometry ? { ...member, geometry } : member;
  };
  return elements.map((element) =>
    element.type === 'relation' && isMultipolygon(element)
      ? { ...element, members: element.members.map(withLine) }
      : element,
  );
}

function entryOf(path: string, { elements, osm3s }: OverpassAnswer): Entry {
  const extent = extentOf(elements.flatMap(positions));
  return { path, extent, timestamp: osm3s.timestamp_osm_base, copyright: osm3s.copyright };
}

function positions(element: OsmElement): LonLat[] {
  if (element.type === 'node') return [[element.lon, element.lat]];
  return element.type === 'way' ? wayPositions(element) : [];
}

function wayPositions({ geometry = [] }: OsmWay): LonLat[] {
  return geometry.filter((place) => place !== null).map(({ lon, lat }) => [lon, lat]);
}

/**
 * Nodes inside, ways that have a node inside or cross the rectangle, and the relations of either: Overpass's own
 * sense of a bbox.
 */
function selection(answer: OverpassAnswer, bounds: Bounds): OverpassAnswer {
  const touching = answer.elements.filter((element) => touches(positions(element), bounds));
  const keys = new Set(touching.map(({ type, id }) => `${type}/${id}`));
  const relations = answer.elements.filter(
    (element) => element.type === 'relation' && element.members.some(({ type, ref }) => keys.has(`${type}/${ref}`)),
  );
  return { ...answer, elements: [...touching, ...relations] };
}

/** A function that remembers its latest results. */
function keeping<Result>(size: number, make: (key: string) => Promise<Result>): (key: string) => Promise<Result> {
  const kept = new Map<string, Promise<Result>>();
  return (key) => {
    const result = kept.get(key) ?? make(key);
    kept.delete(key);
    kept.set(key, result); // the latest asked for is the last to go
    if (kept.size > size) kept.delete(kept.keys().next().value!);
    return result;
  };
}
