import proj4, { type Converter } from 'proj4';

type Position = [x: number, y: number];

const converters = new Map<number, Converter>();

/**
 * Degrees to UTM metres (WGS 84).
 *
 * @param epsg 32601–32660 (north) or 32701–32760 (south)
 * @param lonLat degrees
 * @throws {RangeError} for another EPSG code
 */
export function toUtm(epsg: number, lonLat: Position): Position {
  return converter(epsg).forward(lonLat);
}

/** UTM metres to degrees lon, lat; the inverse of {@link toUtm}, to a millimetre within a zone. */
export function toLonLat(epsg: number, utm: Position): Position {
  return converter(epsg).inverse(utm);
}

function converter(epsg: number): Converter {
  const known = converters.get(epsg);
  if (known) return known;
  const zone = epsg % 100;
  const family = epsg - zone;
  if ((family !== 32600 && family !== 32700) || zone < 1 || zone > 60) {
    throw new RangeError(`EPSG:${epsg} is not a UTM zone of WGS 84: expected 32601–32660 or 32701–32760`);
  }
  const south = family === 32700 ? ' +south' : '';
  const made = proj4(`+proj=utm +zone=${zone}${south} +datum=WGS84 +units=m +no_defs`);
  converters.set(epsg, made);
  return made;
}
