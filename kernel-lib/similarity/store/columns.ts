/** Rows of the store in memory, column by column, so that a million of them can be sifted in a moment. */
import type { RecordBatch, Vector } from 'apache-arrow';
import { COLUMNS, arrow } from './arrow.ts';
import { type StoreRow, storeRow } from './row.ts';

/** Columns of some rows of a table. */
export interface Columns {
  n: number;
  ids: string[];
  catids: string[];
  dates: string[];
  /** Centres, degrees. */
  lons: Float64Array;
  lats: Float64Array;
  /** Percent, degrees, metres; NaN where it is not known. */
  clouds: Float64Array;
  offNadirs: Float64Array;
  gsds: Float64Array;
  /** Names of the tags, and which of them each row has: those of row `i` from `tagStarts[i]` on. */
  tagNames: string[];
  tagStarts: Uint32Array;
  tags: number[];
}

/** Columns that {@link columnsOf} needs; the others follow from the id. */
export const NEEDED: readonly (keyof StoreRow)[] = COLUMNS.filter((name) => ['id', 'catid', 'date', 'lon', 'lat', 'cloudPercent', 'offNadir', 'gsd', 'tags'].includes(name)); // prettier-ignore

/** The columns of all rows of some batches. */
export function columnsOf(batches: readonly RecordBatch[]): Columns {
  const filling = new Filling(batches.reduce((sum, { numRows }) => sum + numRows, 0)); // prettier-ignore
  for (const batch of batches) filling.add(batch);
  return filling.columns;
}

/** Columns that are filled batch after batch. Nothing of a batch is held on to: its vectors lie in the same memory as all else of it. */
export class Filling {
  readonly columns: Columns;
  readonly #texts = new Map<string, string>();
  readonly #names = new Map<string, number>();

  /** @param n rows of all batches */
  constructor(n: number) {
    const numbers = (): Float64Array => new Float64Array(n);
    this.columns = {
      n, ids: [], catids: [], dates: [], lons: numbers(), lats: numbers(), clouds: numbers(), offNadirs: numbers(), gsds: numbers(),
      tagNames: [], tagStarts: new Uint32Array(n + 1), tags: [],
    }; // prettier-ignore
  }

  add(batch: RecordBatch): void {
    const { columns } = this;
    const from = columns.ids.length;
    const column = (name: keyof StoreRow): Vector => batch.getChild(name)!;
    columns.lons.set(column('lon').toArray() as Float64Array, from);
    columns.lats.set(column('lat').toArray() as Float64Array, from);
    const [id, catid, date, tags] = (['id', 'catid', 'date', 'tags'] as const).map(column);
    const [cloud, offNadir, gsd] = (['cloudPercent', 'offNadir', 'gsd'] as const).map(column);
    for (let row = 0; row < batch.numRows; row++) {
      columns.ids.push(id.get(row) as string);
      columns.catids.push(this.#once(catid.get(row) as string));
      columns.dates.push(this.#once(date.get(row) as string));
      columns.clouds[from + row] = (cloud.get(row) as number | null) ?? Number.NaN;
      columns.offNadirs[from + row] = (offNadir.get(row) as number | null) ?? Number.NaN;
      columns.gsds[from + row] = (gsd.get(row) as number | null) ?? Number.NaN;
    }
    addTags(columns, tags, from, this.#names);
  }

  #once(text: string): string {
    return this.#texts.get(text) ?? (this.#texts.set(text, text), text);
  }
}

/** Tags of a batch, out of the list's own offsets and texts: a vector a row would take three times as long. */
function addTags(columns: Columns, lists: Vector, from: number, names: Map<string, number>): void {
  let row = from;
  for (const { valueOffsets, children, length } of lists.data) {
    const texts = new arrow.Vector([children[0]]);
    for (let at = 0; at < length; at++) {
      for (let tag = valueOffsets[at]; tag < valueOffsets[at + 1]; tag++)
        columns.tags.push(numberOf(texts.get(tag) as string, names, columns.tagNames));
      columns.tagStarts[++row] = columns.tags.length;
    }
  }
}

function numberOf(tag: string, numbers: Map<string, number>, names: string[]): number {
  const known = numbers.get(tag);
  if (known !== undefined) return known;
  numbers.set(tag, names.length);
  return names.push(tag) - 1;
}

/** A row as the store has it. */
export function rowOf(columns: Columns, at: number, model: string): StoreRow {
  const known = (value: number): number | null => (Number.isNaN(value) ? null : value);
  return storeRow({
    id: columns.ids[at],
    catid: columns.catids[at],
    date: columns.dates[at],
    tags: tagsAt(columns, at).map((tag) => columns.tagNames[tag]),
    cloudPercent: known(columns.clouds[at]),
    offNadir: known(columns.offNadirs[at]),
    gsd: known(columns.gsds[at]),
    model,
  });
}

/** Numbers of the tags of a row. */
export function tagsAt({ tags, tagStarts }: Columns, at: number): number[] {
  return tags.slice(tagStarts[at], tagStarts[at + 1]);
}
