import type { Position } from 'geojson';

/** Bytes of the envelope between header and geometry, by the three bits that tell its kind. */
const ENVELOPES = [0, 32, 48, 48, 64];
const POLYGON = 3;
const MULTI_POLYGON = 6;
/** No easting or northing on earth is farther out, metres. */
const FARTHEST = 2e7;

/** Where a geometry is read. */
interface Cursor {
  view: DataView;
  at: number;
  little: boolean;
}

/**
 * The polygons of a GeoPackage's geometry, each as its outer ring and its holes, `[x, y]`; heights are left out.
 *
 * @param blob a header of the GeoPackage's own, then well-known binary
 * @throws {Error} saying what was found, when it is no polygon; or {RangeError} when it ends too soon
 * @see https://www.geopackage.org/spec/#gpb_format
 */
export function polygonsIn(blob: unknown): Position[][][] {
  if (!(blob instanceof Uint8Array)) throw new Error('a geometry is no binary value');
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  if (view.getUint16(0) !== 0x4750) throw new Error('a geometry does not begin with GP');
  const envelope = ENVELOPES[(view.getUint8(3) >> 1) & 7];
  if (envelope === undefined) throw new Error('a geometry has an envelope of no known kind');
  return geometry({ view, at: 8 + envelope, little: true });
}

/** One geometry: its byte order and kind, then a polygon's rings or a multipolygon's polygons. */
function geometry(cursor: Cursor): Position[][][] {
  cursor.little = cursor.view.getUint8(cursor.at++) === 1;
  const kind = count(cursor);
  const [heights, base] = [Math.floor(kind / 1000), kind % 1000];
  if (heights > 3 || (base !== POLYGON && base !== MULTI_POLYGON)) throw new Error(`a geometry is of kind ${kind}, no polygon`); // prettier-ignore
  if (base === POLYGON) return [rings(cursor, [0, 8, 8, 16][heights])];
  const polygons: Position[][][] = [];
  for (let left = count(cursor); left > 0; left--) polygons.push(...geometry(cursor));
  return polygons;
}

function rings(cursor: Cursor, skip: number): Position[][] {
  const found: Position[][] = [];
  for (let left = count(cursor); left > 0; left--) {
    const ring: Position[] = [];
    for (let points = count(cursor); points > 0; points--) {
      ring.push([metres(cursor), metres(cursor)]);
      cursor.at += skip;
    }
    found.push(ring);
  }
  return found;
}

function count(cursor: Cursor): number {
  cursor.at += 4;
  return cursor.view.getUint32(cursor.at - 4, cursor.little);
}

function metres(cursor: Cursor): number {
  cursor.at += 8;
  const value = cursor.view.getFloat64(cursor.at - 8, cursor.little);
  if (Math.abs(value) <= FARTHEST) return value;
  throw new Error(`a corner lies at ${value} m`);
}
