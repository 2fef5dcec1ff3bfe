/** What Overpass answers, worked out from the XML the plain way, with nothing of the library's. */
import { type Cell, lonLatBounds } from 'imagesim/ard';

/** An element of a file. */
export interface Naive {
  type: string;
  id: number;
  lat?: number;
  lon?: number;
  tags?: Record<string, string>;
  nodes?: number[];
  geometry?: (LatLon | null)[];
  bounds?: object;
  members?: { type: string; ref: number; role: string }[];
}
interface LatLon {
  lat: number;
  lon: number;
}

/** The elements of an XML, in its order. */
export function naiveElements(text: string): Naive[] {
  const all: Naive[] = [];
  const places = new Map<number, LatLon>();
  for (const [, name, rest] of text.matchAll(/<(node|way|relation|nd|member|tag) ([^>]*)>/g)) {
    const of = (key: string): string => naiveText(new RegExp(`(?:^| )${key}=(['"])(.*?)\\1`).exec(rest)?.[2] ?? '');
    const last = all[all.length - 1];
    if (name === 'tag') (last.tags ??= {})[of('k')] = of('v');
    else if (name === 'nd') last.nodes!.push(Number(of('ref')));
    else if (name === 'member') last.members!.push({ type: of('type'), ref: Number(of('ref')), role: of('role') });
    else all.push({ type: name, id: Number(of('id')), ...naiveBody(name, of) });
    if (name === 'node') places.set(Number(of('id')), { lat: Number(of('lat')), lon: Number(of('lon')) });
  }
  for (const element of all) if (element.nodes) element.geometry = element.nodes.map((id) => places.get(id) ?? null);
  return all;
}

function naiveBody(name: string, of: (key: string) => string): Partial<Naive> {
  if (name === 'node') return { lat: Number(of('lat')), lon: Number(of('lon')) };
  return name === 'way' ? { nodes: [] } : { members: [] };
}

function naiveText(text: string): string {
  const named = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, name: keyof typeof named) => named[name]);
}

/** The answer to the question for a cell. */
export function naiveAnswer(all: Naive[], cell: Cell): string {
  const [west, south, east, north] = lonLatBounds(cell);
  const box = [Math.floor(west * 1e7), Math.floor(south * 1e7), Math.ceil(east * 1e7), Math.ceil(north * 1e7)] as const;
  const kept = all.filter((element) => element.type !== 'relation' && naiveTouches(element, box)).map(naiveWay);
  const keys = new Set(kept.map(({ type, id }) => `${type} ${id}`));
  const groups = all.filter(({ members }) => members?.some(({ type, ref }) => keys.has(`${type} ${ref}`))).map(withLines(all)); // prettier-ignore
  const osm3s = { timestamp_osm_base: '2014-01-01T00:00:00Z', copyright: 'ODbL' };
  return JSON.stringify({ version: 0.6, osm3s, elements: [...kept, ...groups] });
}

/** A multipolygon comes with the lines of its ways, wherever they are. */
function withLines(all: Naive[]): (group: Naive) => Naive {
  const lines = new Map(all.filter(({ type }) => type === 'way').map(({ id, geometry }) => [id, geometry]));
  return (group) => {
    if (group.tags?.['type'] !== 'multipolygon') return group;
    const members = group.members?.map((member) => {
      const geometry = member.type === 'way' ? lines.get(member.ref) : undefined;
      return geometry ? { ...member, geometry } : member;
    });
    return { ...group, ...(members ? { members } : {}) };
  };
}

function naiveWay(element: Naive): Naive {
  const known = element.geometry?.filter((place) => place !== null);
  if (!known) return element;
  const [lats, lons] = [known.map(({ lat }) => lat), known.map(({ lon }) => lon)];
  const least = { minlat: Math.min(...lats), minlon: Math.min(...lons) };
  return { ...element, bounds: { ...least, maxlat: Math.max(...lats), maxlon: Math.max(...lons) } };
}

type Box = readonly [number, number, number, number];

/** In whole ten-millionths of a degree; a segment is cut by the rectangle's four half-planes in turn (Liang–Barsky). */
function naiveTouches({ lat, lon, geometry }: Naive, box: Box): boolean {
  const line = geometry ?? [{ lat: lat!, lon: lon! }];
  return line.some((to, index) => {
    const from = line[index - 1] ?? to;
    return to !== null && crosses(whole(from!), whole(to), box);
  });
}

const whole = ({ lon, lat }: LatLon): [number, number] => [Math.round(lon * 1e7), Math.round(lat * 1e7)];

function crosses([x, y]: [number, number], [x2, y2]: [number, number], [west, south, east, north]: Box): boolean {
  const sides = [[x - x2, x - west], [x2 - x, east - x], [y - y2, y - south], [y2 - y, north - y]]; // prettier-ignore
  let [enter, leave] = [0, 1];
  for (const [slope, room] of sides) {
    if (slope === 0 && room < 0) return false;
    if (slope < 0) enter = Math.max(enter, room / slope);
    if (slope > 0) leave = Math.min(leave, room / slope);
  }
  return enter <= leave;
}
