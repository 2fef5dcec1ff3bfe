import type { OsmData, OsmTags } from './schema.ts';

/** How often one tag occurs: a row of a table. */
export interface TagCount {
  key: string;
  value: string;
  /** Distinct elements that carry it; one that several cells share counts once. */
  count: number;
  /** Cells in which it occurs. */
  cells: number;
  /**
   * Elements that carry it in each of these cells, by quadkey; one that cells share counts in each. Not enumerable: a
   * table or a file of the rows is without it.
   */
  readonly byCell: ReadonlyMap<string, number>;
}

/** Every tag of one type of element, the most frequent first; equals by key, then by value. */
export type TagCounts = TagCount[];

/** The tags of a zone, by type of element. */
export interface ZoneTags {
  nodeTags: TagCounts;
  wayTags: TagCounts;
  relationTags: TagCounts;
}

/** Counts tags over cells, one cell at a time, so that only the counts stay in memory. */
export class TagTally {
  readonly #nodes: Tally = new Tally();
  readonly #ways: Tally = new Tally();
  readonly #relations: Tally = new Tally();

  /** Adds what lies in a cell. Each cell once. */
  add({ quadkey, nodes, ways, relations }: OsmData): void {
    this.#nodes.add(quadkey, nodes);
    this.#ways.add(quadkey, ways);
    this.#relations.add(quadkey, relations);
  }

  /** The counts so far. */
  zoneTags(): ZoneTags {
    return { nodeTags: this.#nodes.sorted(), wayTags: this.#ways.sorted(), relationTags: this.#relations.sorted() };
  }
}

type Row = TagCount & { byCell: Map<string, number> };

/** The counts of one type of element. */
class Tally {
  readonly #rows = new Map<string, Row>();
  readonly #counted = new Set<number>();

  add(quadkey: string, elements: readonly { id: number; tags?: OsmTags | undefined }[]): void {
    const here = new Map<Row, number>();
    for (const { id, tags } of elements) {
      if (tags === undefined) continue;
      const known = this.#counted.has(id);
      this.#counted.add(id);
      for (const [key, value] of Object.entries(tags)) {
        const row = this.#row(key, value);
        here.set(row, (here.get(row) ?? 0) + 1);
        if (!known) row.count++;
      }
    }
    for (const [row, count] of here) {
      row.cells++;
      row.byCell.set(quadkey, count);
    }
  }

  #row(key: string, value: string): Row {
    const name = `${key}\0${value}`;
    const known = this.#rows.get(name);
    if (known) return known;
    const row = { key, value, count: 0, cells: 0, byCell: new Map<string, number>() };
    Object.defineProperty(row, 'byCell', { enumerable: false });
    this.#rows.set(name, row);
    return row;
  }

  sorted(): TagCounts {
    const order = (a: string, b: string): number => (a < b ? -1 : Number(a > b)); // by code unit: the same on every machine
    return [...this.#rows.values()].sort((a, b) => b.count - a.count || order(a.key, b.key) || order(a.value, b.value));
  }
}

/** The tags of the given cells' data, by type of element. */
export function countTags(data: Iterable<OsmData>): ZoneTags {
  const tally = new TagTally();
  for (const cell of data) tally.add(cell);
  return tally.zoneTags();
}

/** Keys that say what a thing is, the most visible from above first. */
const KINDS = [
  'building', 'highway', 'railway', 'aeroway', 'waterway', 'power', 'barrier', 'natural', 'landuse', 'leisure',
  'man_made', 'amenity', 'shop', 'tourism', 'historic', 'office', 'craft', 'public_transport', 'boundary', 'place',
]; // prettier-ignore

/**
 * The key that says what a thing is: `building` of a shop in a house of its own.
 *
 * @returns one of the primary features' keys, the most visible from above; `other` where there is none
 * @see https://wiki.openstreetmap.org/wiki/Map_features
 */
export function primaryKey(tags: OsmTags): string {
  return KINDS.find((key) => tags[key] !== undefined && tags[key] !== 'no') ?? 'other';
}
