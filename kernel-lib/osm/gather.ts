import { basename } from 'node:path';
import type { Cell } from '../ard/index.ts';
import { Column, Places, Tiles } from './column.ts';
import type { ExtractOptions } from './extract.ts';
import { type FileBlock, type Raw, type RawRelation, type RawWay, fileItems } from './planet.ts';
import { Reach } from './reach.ts';
import type { LatLon, OsmData, OsmNode, OsmWay } from './schema.ts';

const RANK = { node: 0, way: 1, relation: 2 };

/** What the first reading learnt of a block: of which kinds it is, and the ids of its nodes. */
interface Extent {
  first: number;
  last: number;
  nodes: boolean;
  ways: boolean;
  relations: boolean;
}

/** Two readings of a file for some cells. */
export class Gathering {
  readonly #path: string;
  readonly #options: ExtractOptions;
  readonly #reach: Reach;
  readonly #cells: OsmData[];
  readonly #tiles: Tiles = new Tiles();
  readonly #extents: Extent[] = [];
  readonly #members: Record<'node' | 'way', Map<number, number[]>> = { node: new Map(), way: new Map() };
  #candidates: RawWay[] = [];
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
    return this.#secondReading();
  }

  async #secondReading(): Promise<OsmData[]> {
    const places = new Places(this.#refs());
    let [index, placed] = [0, false];
    for await (const block of this.#blocks('second')) {
      const { first, last, nodes, relations } = this.#extents[index++];
      if (nodes && places.anyFrom(first, last)) setPlaces(places, block.read(false));
      if (!relations) continue;
      if (!placed) this.#placeWays(places);
      placed = true;
      for (const element of block.read(false)) if (element.type === 'relation') this.#addRelation(element);
    }
    if (!placed) this.#placeWays(places);
    return this.#cells;
  }

  async *#blocks(which: string): AsyncGenerator<FileBlock> {
    let told = -1;
    const { signal, note } = this.#options;
    const onShare = (share: number): void => {
      if (Math.floor(20 * share) === told) return;
      told = Math.floor(20 * share);
      note?.(`${basename(this.#path)}: ${which} of two readings, ${Math.round(100 * share)} %`);
    };
    for await (const item of fileItems(this.#path, { signal, onShare })) if ('read' in item) yield item;
  }

  #firstReading(block: FileBlock): void {
    const extent: Extent = { first: Infinity, last: -Infinity, nodes: false, ways: false, relations: false };
    let inside = false;
    for (const element of block.read(false)) {
      this.#checkOrder(element);
      extent[`${element.type}s`] = true;
      if (element.type === 'node') inside = this.#tileNode(element, extent) || inside;
      else if (element.type === 'way' && this.#mayTouch(element.refs)) this.#candidates.push(element);
    }
    this.#extents.push(extent);
    if (inside) for (const element of block.read(true)) if (element.type === 'node') this.#addNode(element);
  }

  /** Notes where a node lies. @returns whether it is in a cell */
  #tileNode({ id, lat, lon }: OsmNode, extent: Extent): boolean {
    const tile = this.#reach.tileOf(lon, lat);
    extent.first = Math.min(extent.first, id);
    extent.last = id;
    this.#tiles.add(id, tile);
    return this.#reach.cellsAt(lon, lat, tile).length > 0;
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
      throw new Error(`${this.#path} is out of order at ${type} ${id}: sort it: osmium sort`);
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
    for (const way of this.#candidates) for (const ref of way.refs) refs.push(ref);
    return refs.distinct();
  }

  /** Gives the cells the ways that touch them. */
  #placeWays(places: Places): void {
    for (const way of this.#candidates) {
      const line = way.refs.map((ref) => places.of(ref));
      const cells = this.#reach.cellsOn(line);
      if (cells.length === 0) continue;
      const whole = wholeWay(way, line);
      for (const cell of cells) this.#cells[cell].ways.push(whole);
      this.#members.way.set(way.id, cells);
    }
    this.#candidates = [];
  }

  #addRelation({ id, members, tags }: RawRelation): void {
    const cells = new Set<number>();
    for (const { type, ref } of members) {
      if (type !== 'relation') this.#members[type].get(ref)?.forEach((cell) => cells.add(cell));
    }
    for (const cell of cells)
      this.#cells[cell].relations.push({ type: 'relation', id, members, ...(tags ? { tags } : {}) });
  }
}

function setPlaces(places: Places, elements: Raw[]): void {
  for (const element of elements) if (element.type === 'node') places.set(element.id, element.lon, element.lat);
}

/** A way as `out geom` writes it. */
function wholeWay({ id, refs, tags }: RawWay, line: (LatLon | undefined)[]): OsmWay {
  const known = line.filter((place) => place !== undefined);
  const bounds = { minlat: Infinity, minlon: Infinity, maxlat: -Infinity, maxlon: -Infinity };
  for (const { lat, lon } of known) {
    bounds.minlat = Math.min(bounds.minlat, lat);
    bounds.minlon = Math.min(bounds.minlon, lon);
    bounds.maxlat = Math.max(bounds.maxlat, lat);
    bounds.maxlon = Math.max(bounds.maxlon, lon);
  }
  const geometry = line.map((place) => place ?? null);
  return { type: 'way', id, bounds, nodes: refs, geometry, ...(tags ? { tags } : {}) };
}
