import { statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Cell } from '../ard/index.ts';
import { Column, Places, Tiles } from './column.ts';
import type { ExtractOptions } from './extract.ts';
import { type FileBlock, type FileHeader, type Raw, type RawRelation, type RawWay, fileItems } from './planet.ts';
import { Reach } from './reach.ts';
import { type LatLon, type OsmData, type OsmMember, type OsmNode, type OsmWay, isMultipolygon } from './schema.ts';

const RANK = { node: 0, way: 1, relation: 2 };

/** Ids in a block, of one kind of element; none where the first is larger than the last. */
interface Range {
  first: number;
  last: number;
}

/** What the first reading learnt of a block. */
interface Extent {
  node: Range;
  way: Range;
  relation: Range;
}

/** Three readings of a file for some cells. */
export class Gathering {
  readonly #path: string;
  readonly #options: ExtractOptions;
  readonly #reach: Reach;
  readonly #cells: OsmData[];
  readonly #tiles: Tiles = new Tiles();
  readonly #extents: Extent[] = [];
  readonly #members: Record<'node' | 'way', Map<number, number[]>> = { node: new Map(), way: new Map() };
  /** Ways that may touch a cell, and of multipolygons those that do not. */
  readonly #candidates = new Map<number, RawWay>();
  /** Ways of multipolygons that may reach into a cell, and where they run once that is known. */
  readonly #memberLines = new Map<number, (LatLon | null)[] | undefined>();
  readonly #counts: Record<Raw['type'], number> = { node: 0, way: 0, relation: 0 };
  #header: FileHeader | undefined;
  #seen: string | undefined;
  #latest: { type: Raw['type']; id: number } = { type: 'node', id: -Infinity };

  constructor(path: string, cells: readonly Cell[], options: ExtractOptions) {
    this.#path = path;
    this.#options = options;
    this.#reach = new Reach(cells);
    this.#cells = cells.map(({ quadkey }) => ({ quadkey, nodes: [], ways: [], relations: [] }));
  }

  /** @returns what is in each cell; nothing where that is too much at once */
  async gather(): Promise<OsmData[] | undefined> {
    const { nodesAtOnce = 1_500_000 } = this.#options;
    for await (const block of this.#blocks('first')) {
      this.#firstReading(block);
      if (this.#members.node.size > nodesAtOnce && this.#cells.length > 1) return undefined;
    }
    this.#checkNodes();
    await this.#readFarWays();
    return this.#readPlaces();
  }

  /** The ways of multipolygons that lie elsewhere. */
  async #readFarWays(): Promise<void> {
    const far = sortedIds([...this.#memberLines.keys()].filter((id) => !this.#candidates.has(id)));
    if (far.length === 0) return;
    const wanted = new Set(far);
    let index = 0;
    for await (const block of this.#blocks('second')) {
      if (!anyIn(far, this.#extents[index++].way)) continue;
      for (const element of block.read(false))
        if (element.type === 'way' && wanted.has(element.id)) this.#candidates.set(element.id, element);
    }
  }

  async #readPlaces(): Promise<OsmData[]> {
    const places = new Places(this.#refs());
    let [index, placed] = [0, false];
    for await (const block of this.#blocks('last')) {
      const { node, relation } = this.#extents[index++];
      if (places.anyFrom(node.first, node.last)) setPlaces(places, block.read(false));
      if (relation.first > relation.last) continue;
      if (!placed) this.#placeWays(places);
      placed = true;
      for (const element of block.read(false)) if (element.type === 'relation') this.#addRelation(element);
    }
    if (!placed) this.#placeWays(places);
    return this.#cells;
  }

  async *#blocks(which: string): AsyncGenerator<FileBlock> {
    this.#checkSame();
    let told = -1;
    const { signal, note } = this.#options;
    const onShare = (share: number): void => {
      if (Math.floor(20 * share) === told) return;
      told = Math.floor(20 * share);
      note?.(`${basename(this.#path)}: ${which} of three readings, ${Math.round(100 * share)} %`);
    };
    for await (const item of fileItems(this.#path, { signal, onShare })) {
      if ('read' in item) yield item;
      else this.#header = item.header;
    }
    this.#checkSame();
  }

  /** The readings go hand in hand: a file that another one took the place of meanwhile is not read on. */
  #checkSame(): void {
    const { ino, size, mtimeMs } = statSync(this.#path);
    const seen = `${ino} ${size} ${mtimeMs}`;
    this.#seen ??= seen;
    if (seen !== this.#seen) throw new Error(`${this.#path} was changed while it was read: run again`);
  }

  /** Ways that say themselves where they run are often all that is left of their nodes. */
  #checkNodes(): void {
    const { node, way } = this.#counts;
    if (way > 0 && (node === 0 || (this.#header?.placesOnWays && node < 2 * way)))
      throw new Error(`${this.#path} has ${way} ways and the nodes of few: make it with osmium add-locations-to-ways -n, or without`); // prettier-ignore
  }

  #firstReading(block: FileBlock): void {
    const extent: Extent = { node: noIds(), way: noIds(), relation: noIds() };
    let inside = false;
    for (const element of block.read(false)) {
      this.#checkOrder(element);
      this.#counts[element.type]++;
      const range = extent[element.type];
      range.first = Math.min(range.first, element.id);
      range.last = element.id;
      if (element.type === 'node') inside = this.#tileNode(element) || inside;
      else if (element.type === 'relation') this.#noteMultipolygon(element);
      else if (this.#mayTouch(element.refs)) this.#candidates.set(element.id, element);
    }
    this.#extents.push(extent);
    if (inside) for (const element of block.read(true)) if (element.type === 'node') this.#addNode(element);
  }

  /** Notes where a node lies. @returns whether it is in a cell */
  #tileNode({ id, lat, lon }: OsmNode): boolean {
    const tile = this.#reach.tileOf(lon, lat);
    this.#tiles.add(id, tile);
    return this.#reach.cellsAt(lon, lat, tile).length > 0;
  }

  /** A multipolygon that may reach into a cell needs all its ways: relations come last, when the ways are known. */
  #noteMultipolygon({ members, tags }: RawRelation): void {
    if (!isMultipolygon({ tags })) return;
    const near = ({ type, ref }: OsmMember): boolean =>
      type === 'way' ? this.#candidates.has(ref) : type === 'node' && this.#members.node.has(ref);
    if (!members.some(near)) return;
    for (const { type, ref } of members) if (type === 'way') this.#memberLines.set(ref, undefined);
  }

  #addNode({ id, lat, lon, tags }: OsmNode): void {
    const cells = this.#reach.cellsAt(lon, lat, this.#reach.tileOf(lon, lat));
    if (cells.length === 0) return;
    const node: OsmNode = { type: 'node', id, lat, lon, ...(tags ? { tags } : {}) };
    for (const cell of cells) this.#cells[cell].nodes.push(node);
    this.#members.node.set(id, cells);
  }

  #checkOrder({ type, id }: Raw): void {
    const { type: before, id: idBefore } = this.#latest;
    if (RANK[type] < RANK[before] || (type === before && id <= idBefore))
      throw new Error(`${this.#path} is out of order at ${type} ${id}: ${id < 0 ? 'give its new elements ids: osmium renumber' : 'sort it: osmium sort'}`); // prettier-ignore
    this.#latest.type = type;
    this.#latest.id = id;
  }

  /** Whether a way may touch a cell, by the tiles of its nodes. */
  #mayTouch(refs: number[]): boolean {
    if (this.#tiles.runs === 0 || refs.length === 0) return false;
    let before = this.#tiles.of(refs[0]);
    if (this.#reach.mayTouch(before, before)) return true;
    for (const ref of refs) {
      const tile = this.#tiles.of(ref);
      if (tile !== before && this.#reach.mayTouch(before, tile)) return true;
      before = tile;
    }
    return false;
  }

  #refs(): Float64Array {
    const refs = new Column();
    for (const way of this.#candidates.values()) for (const ref of way.refs) refs.push(ref);
    return refs.distinct();
  }

  /** Gives the cells the ways that touch them, and multipolygons the lines of theirs. */
  #placeWays(places: Places): void {
    for (const way of this.#candidates.values()) {
      const line = way.refs.map((ref) => places.of(ref));
      const cells = this.#reach.cellsOn(line);
      const geometry = line.map((place) => place ?? null);
      if (this.#memberLines.has(way.id)) this.#memberLines.set(way.id, geometry);
      if (cells.length === 0) continue;
      const whole = wholeWay(way, geometry);
      for (const cell of cells) this.#cells[cell].ways.push(whole);
      this.#members.way.set(way.id, cells);
    }
    this.#candidates.clear();
  }

  #addRelation({ id, members, tags }: RawRelation): void {
    const cells = new Set<number>();
    for (const { type, ref } of members) {
      if (type !== 'relation') this.#members[type].get(ref)?.forEach((cell) => cells.add(cell));
    }
    if (cells.size === 0) return;
    const whole = isMultipolygon({ tags }) ? members.map((member) => withLine(member, this.#memberLines)) : members;
    for (const cell of cells)
      this.#cells[cell].relations.push({ type: 'relation', id, members: whole, ...(tags ? { tags } : {}) });
  }
}

/** A member with its line, where it is a way of which that is known. */
function withLine(member: OsmMember, lines: ReadonlyMap<number, (LatLon | null)[] | undefined>): OsmMember {
  const geometry = member.type === 'way' ? lines.get(member.ref) : undefined;
  return geometry ? { ...member, geometry } : member;
}

function noIds(): Range {
  return { first: Infinity, last: -Infinity };
}

function sortedIds(ids: number[]): Float64Array {
  return Float64Array.from(ids).sort();
}

/** Whether any of some ids, ascending, lies in a range. */
function anyIn(ids: Float64Array, { first, last }: Range): boolean {
  return ids.some((id) => id >= first && id <= last);
}

function setPlaces(places: Places, elements: Raw[]): void {
  for (const element of elements) if (element.type === 'node') places.set(element.id, element.lon, element.lat);
}

/** A way as `out geom` writes it. */
function wholeWay({ id, refs, tags }: RawWay, geometry: (LatLon | null)[]): OsmWay {
  const known = geometry.filter((place) => place !== null);
  const bounds = { minlat: Infinity, minlon: Infinity, maxlat: -Infinity, maxlon: -Infinity };
  for (const { lat, lon } of known) {
    bounds.minlat = Math.min(bounds.minlat, lat);
    bounds.minlon = Math.min(bounds.minlon, lon);
    bounds.maxlat = Math.max(bounds.maxlat, lat);
    bounds.maxlon = Math.max(bounds.maxlon, lon);
  }
  return { type: 'way', id, bounds, nodes: refs, geometry, ...(tags ? { tags } : {}) };
}
