import { type Element, type OsmData, type TagCounts, TagTally, type ZoneTags } from '../osm/index.ts';
import { type Sizes, type SizeWord, addSize, areaInChips, typicalSize } from './size.ts';

/** The elements that carry one tag, over all cells read. */
export interface TagElements {
  /** `key=value`. */
  tag: string;
  key: string;
  value: string;
  /** Elements by type, and in all; one that several cells share counts once. As `osmium tags-count` counts. */
  nodes: number;
  ways: number;
  relations: number;
  elements: number;
  /** Median area of those that are areas, whole, in chips. `NaN` where none is. */
  medianChips: number;
  size: SizeWord;
}

/** Counts the elements of every tag and their sizes, one cell at a time. */
export class ElementTally {
  readonly #counts: TagTally = new TagTally();
  readonly #sizes = new Map<string, Sizes>();
  readonly #measured = new Set<string>();

  /** Adds what lies in a cell, and the elements made of it. Each cell once. */
  add(osm: OsmData, found: readonly Element[]): void {
    this.#counts.add(osm);
    for (const { key, tags, geometry } of found) {
      if (this.#measured.has(key)) continue;
      this.#measured.add(key);
      const area = areaInChips(geometry);
      for (const [name, value] of Object.entries(tags)) addSize(this.#sizesOf(`${name}=${value}`), area, geometry);
    }
  }

  #sizesOf(tag: string): Sizes {
    const known = this.#sizes.get(tag);
    if (known) return known;
    const sizes = { points: 0, lines: 0, areas: [] };
    this.#sizes.set(tag, sizes);
    return sizes;
  }

  /** The tags so far, those with the most elements first. */
  tags(): TagElements[] {
    const rows = mergeTypes(this.#counts.zoneTags());
    const none = { points: 0, lines: 0, areas: [] };
    const sized = rows.map((row) => ({ ...row, ...typicalSize(this.#sizes.get(row.tag) ?? none) }));
    return sized.sort((a, b) => b.elements - a.elements || (a.tag < b.tag ? -1 : 1));
  }
}

type Counted = Omit<TagElements, 'medianChips' | 'size'>;

/** The three lists of counts as one row a tag. */
function mergeTypes({ nodeTags, wayTags, relationTags }: ZoneTags): Counted[] {
  const rows = new Map<string, Counted>();
  const add = (counts: TagCounts, type: 'nodes' | 'ways' | 'relations'): void => {
    for (const { key, value, count } of counts) {
      const tag = `${key}=${value}`;
      const row = rows.get(`${key}\0${value}`) ?? { tag, key, value, nodes: 0, ways: 0, relations: 0, elements: 0 };
      row[type] += count;
      row.elements += count;
      rows.set(`${key}\0${value}`, row);
    }
  };
  add(nodeTags, 'nodes');
  add(wayTags, 'ways');
  add(relationTags, 'relations');
  return [...rows.values()];
}
