/** Answers as files that other programs read. */
import type { Feature, FeatureCollection, Position } from 'geojson';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { writeWhole } from '../ard/index.ts';
import type { Licence } from '../datasets/index.ts';
import { type Outline, boxAround, outlineOf } from './outline.ts';
import type { Answers, Hit } from './search.ts';

/** What answers can be written as. */
export type AnswersFormat = 'geojson' | 'geoparquet' | 'csv';

/** Columns of a file of answers, in order. */
const COLUMNS = ['rank', 'id', 'catid', 'date', 'similarity', 'lon', 'lat', 'tags', 'cloud_percent', 'off_nadir', 'gsd', 'model'] as const; // prettier-ignore

type Value = string | number | null;

function valuesOf(hit: Hit, rank: number): Record<(typeof COLUMNS)[number], Value> {
  const { id, catid, date, similarity, lon, lat, tags, cloudPercent, offNadir, gsd, model } = hit;
  return {
    rank, id, catid, date, similarity, lon, lat, tags: tags.join(';'), cloud_percent: cloudPercent, off_nadir: offNadir, gsd, model,
  }; // prettier-ignore
}

/** Answers and whose data they are of. */
type Written = Pick<Answers, 'hits'> & Partial<Pick<Answers, 'licences'>>;

/** Answers as GeoJSON: the outline of each chip, degrees, and what is known of it; whose data they are as members of their own. */
export function answersGeojson({ hits, licences = [] }: Written): FeatureCollection<Outline> & { licences: readonly Licence[] } {
  const features = hits.map((hit, at): Feature<Outline> => ({
    type: 'Feature',
    geometry: outlineOf(hit.id),
    properties: valuesOf(hit, at + 1),
  }));
  return { type: 'FeatureCollection', licences, features };
} // prettier-ignore

/** Answers as the bytes of a file. */
export function answersBytes(answers: Written, format: AnswersFormat): Uint8Array {
  if (format === 'geojson') return Buffer.from(`${JSON.stringify(answersGeojson(answers))}\n`);
  if (format === 'csv') return Buffer.from(csvOf(answers));
  return geoparquetOf(answers);
}

/** Writes answers to a file, whole or not at all. CSV has no room for licences: say them beside it. */
export async function writeAnswers(path: string, answers: Written, format: AnswersFormat): Promise<void> {
  await writeWhole(path, answersBytes(answers, format));
}

/** @see RFC 4180 */
function csvOf({ hits }: Pick<Answers, 'hits'>): string {
  const quoted = (value: Value): string => {
    const text = value === null ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = hits.map((hit, at) => {
    const values = valuesOf(hit, at + 1);
    return COLUMNS.map((name) => quoted(values[name])).join(',');
  });
  return [COLUMNS.join(','), ...lines, ''].join('\r\n');
}

/** @see https://geoparquet.org/releases/v1.1.0/ */
function geoparquetOf({ hits, licences = [] }: Written): Uint8Array {
  const rows = hits.map((hit, at) => valuesOf(hit, at + 1));
  const outlines = hits.map(({ id }) => outlineOf(id));
  const isText = (name: string): boolean => ['id', 'catid', 'date', 'tags', 'model'].includes(name);
  const schema = COLUMNS.map((name) => ({
    name,
    ...(isText(name) ? { type: 'BYTE_ARRAY' as const, converted_type: 'UTF8' as const } : { type: name === 'rank' ? ('INT32' as const) : ('DOUBLE' as const) }),
    repetition_type: ['cloud_percent', 'off_nadir', 'gsd'].includes(name) ? ('OPTIONAL' as const) : ('REQUIRED' as const),
  }));
  return new Uint8Array(
    parquetWriteBuffer({
      schema: [{ name: 'root', num_children: COLUMNS.length + 1 }, ...schema, { name: 'geometry', type: 'BYTE_ARRAY', repetition_type: 'REQUIRED' }],
      columnData: [
        ...COLUMNS.map((name) => ({ name, data: rows.map((row) => row[name]) })),
        { name: 'geometry', data: outlines.map(wkbOf) },
      ],
      kvMetadata: [
        { key: 'geo', value: JSON.stringify(geoOf(outlines)) },
        { key: 'licences', value: JSON.stringify(licences) },
      ],
    }),
  );
} // prettier-ignore

/** What GeoParquet asks to be said of the file; no `crs` means longitude and latitude on WGS 84, OGC:CRS84. */
function geoOf(outlines: readonly Outline[]): object {
  const types = [...new Set(outlines.map(({ type }) => type))].sort();
  const geometry = { encoding: 'WKB', geometry_types: types, orientation: 'counterclockwise', ...(outlines.length > 0 && { bbox: boxAround(outlines) }) }; // prettier-ignore
  return { version: '1.1.0', primary_column: 'geometry', columns: { geometry } };
}

/** An outline as well-known binary, little-endian: byte order, kind 3, rings, and of each its points; of several, kind 6 and how many before. */
function wkbOf({ type, coordinates }: Outline): Uint8Array {
  if (type === 'Polygon') return wkbOfRings(coordinates);
  const head = new DataView(new ArrayBuffer(9));
  head.setUint8(0, 1);
  head.setUint32(1, 6, true);
  head.setUint32(5, coordinates.length, true);
  return Uint8Array.from(Buffer.concat([new Uint8Array(head.buffer), ...coordinates.map(wkbOfRings)]));
}

function wkbOfRings(rings: Position[][]): Uint8Array {
  const points = rings.reduce((sum, ring) => sum + ring.length, 0);
  const bytes = new DataView(new ArrayBuffer(9 + 4 * rings.length + 16 * points));
  bytes.setUint8(0, 1);
  bytes.setUint32(1, 3, true);
  bytes.setUint32(5, rings.length, true);
  let at = 9;
  for (const ring of rings) {
    bytes.setUint32(at, ring.length, true);
    at += 4;
    for (const [x, y] of ring) {
      bytes.setFloat64(at, x, true);
      bytes.setFloat64(at + 8, y, true);
      at += 16;
    }
  }
  return new Uint8Array(bytes.buffer);
}
