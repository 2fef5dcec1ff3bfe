/** Rows of the store as LanceDB takes and gives them. */
import { createRequire } from 'node:module';
import type { Table as ArrowTable, DataType } from 'apache-arrow';
import type { StoreRow } from './row.ts';

// LanceDB loads apache-arrow by `require`: of the copy that `import` would load it knows none of the classes, and drops nested columns without a word.
export const arrow: typeof import('apache-arrow') = createRequire(import.meta.url)(
  'apache-arrow',
) as typeof import('apache-arrow');

const TEXTS = ['id', 'catid', 'date', 'cell', 'model'] as const;
const DEGREES = ['lon', 'lat', 'west', 'south', 'east', 'north'] as const;
const FACTS = ['cloudPercent', 'offNadir', 'gsd'] as const;

/** Names of the columns beside `vector`. */
export const COLUMNS: readonly (keyof StoreRow)[] = [...TEXTS, 'zone', ...DEGREES, ...FACTS, 'tags'];

/**
 * A table for LanceDB.
 *
 * @param values `[n, width]`, in the order of `rows`
 */
export function arrowTable(rows: readonly StoreRow[], values: Float32Array, width: number): ArrowTable {
  const zone = arrow.makeData({ type: new arrow.Uint8(), data: Uint8Array.from(rows, (row) => row.zone) });
  const columns: Column[] = [
    ...TEXTS.map((name) => columnOf(rows, name, new arrow.Utf8(), false)),
    { name: 'zone', data: zone, nullable: false },
    ...DEGREES.map((name) => columnOf(rows, name, new arrow.Float64(), false)),
    ...FACTS.map((name) => columnOf(rows, name, new arrow.Float64(), true)),
    { name: 'tags', data: tagColumn(rows), nullable: false },
    { name: 'vector', data: vectorColumn(values, width), nullable: false },
  ];
  const schema = new arrow.Schema(
    columns.map(({ name, data, nullable }) => new arrow.Field(name, data.type, nullable)),
  );
  const type = new arrow.Struct(schema.fields);
  const children = columns.map(({ data }) => data);
  const struct = arrow.makeData({ type, length: rows.length, nullCount: 0, children });
  return new arrow.Table(schema, [new arrow.RecordBatch(schema, struct)]);
}

type Data = ReturnType<typeof arrow.makeData>;

interface Column {
  name: string;
  data: Data;
  nullable: boolean;
}

type Plain = (typeof TEXTS)[number] | (typeof DEGREES)[number] | (typeof FACTS)[number];

function columnOf(rows: readonly StoreRow[], name: Plain, type: DataType, nullable: boolean): Column {
  return { name, data: arrow.vectorFromArray<DataType>(rows.map((row) => row[name]), type).data[0], nullable }; // prettier-ignore
}

function tagColumn(rows: readonly StoreRow[]): Data {
  const offsets = new Int32Array(rows.length + 1);
  rows.forEach(({ tags }, row) => (offsets[row + 1] = offsets[row] + tags.length));
  const all = rows.flatMap(({ tags }) => tags);
  const [child] = arrow.vectorFromArray(all.length > 0 ? all : [''], new arrow.Utf8()).data; // arrow makes no data of no text
  const type = new arrow.List(new arrow.Field('item', new arrow.Utf8(), true));
  return arrow.makeData({ type, length: rows.length, nullCount: 0, valueOffsets: offsets, child } as never) as Data; // its types lack offsets
}

function vectorColumn(values: Float32Array, width: number): Data {
  const child = arrow.makeData({ type: new arrow.Float32(), data: values });
  const type = new arrow.FixedSizeList(width, new arrow.Field('item', new arrow.Float32(), true));
  return arrow.makeData({ type, length: values.length / width, nullCount: 0, child }) as Data;
}
