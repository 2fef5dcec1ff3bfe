import type { Context } from 'hono';
import { RequestError } from './fault.ts';
import { type MapTile, MOST_ZOOM, isMapTile } from './mercator.ts';
import type { Colour, Format } from './picture.ts';
import { type Selection, selectionSchema, selectionText } from './selection.ts';

/** A map tile that is asked for. */
export interface TileRequest {
  tile: MapTile;
  /** Pixels along its side: 256, or 512 where the name ends in `@2x`. */
  size: number;
  format: Format;
  selection: Selection;
  /** What shows in a JPEG where nothing is. */
  background: Colour;
  /** All of it in a line: the same for the same picture. */
  key: string;
}

const NAME = /^(\d{1,8})(@2x)?\.(png|jpg|jpeg|webp)$/;

/**
 * Reads a map tile's address and query.
 *
 * @param scheme how y is counted
 * @throws {RequestError} 400 where something is no number or word that is known, 404 where there is no such map tile
 */
export function tileRequest({ req }: Context, scheme: 'xyz' | 'tms'): TileRequest {
  const { z = '', x = '', file = '' } = req.param() as Record<string, string>;
  const [, row, double, ending] = NAME.exec(file) ?? [];
  if (!/^\d{1,2}$/.test(z) || !/^\d{1,8}$/.test(x) || row === undefined)
    throw new RequestError(400, `no map tile ${z}/${x}/${file}: expected whole numbers, as 14/8746/5939.png (png, jpg or webp)`); // prettier-ignore
  const zoom = Number(z);
  const tile = { z: zoom, x: Number(x), y: scheme === 'xyz' ? Number(row) : 2 ** zoom - 1 - Number(row) };
  if (!isMapTile(tile))
    throw new RequestError(404, `no map tile ${z}/${x}/${row}: zooms go from 0 to ${MOST_ZOOM}, columns and rows of one from 0 to 2^zoom - 1`); // prettier-ignore
  const format = ending === 'jpeg' ? 'jpg' : (ending as Format);
  const selection = selectionOf(req.query());
  const background = colourOf(req.query('background') ?? 'ffffff');
  const size = double ? 512 : 256;
  const key = `${tile.z}/${tile.x}/${tile.y} ${size} ${format} ${selectionText(selection)}${format === 'jpg' ? ` ${background.join()}` : ''}`; // prettier-ignore
  return { tile, size, format, selection, background, key };
}

/** The selection of a query; what else is in it, a token or a time against caches, means nothing here. */
export function selectionOf(query: Record<string, string>): Selection {
  return selectionSchema.parse(query);
}

/** The part of a query that a selection is, as it goes into the addresses of map tiles. */
export function selectionQuery(selection: Selection): string {
  const { select, from, to } = selection;
  const words = new URLSearchParams({ ...(select === 'newest' ? {} : { select }), ...(from ? { from } : {}), ...(to ? { to } : {}) }); // prettier-ignore
  return words.size > 0 ? `?${words.toString()}` : '';
}

function colourOf(text: string): Colour {
  if (!/^[0-9a-f]{6}$/i.test(text)) throw new RequestError(400, `background is ${text}: expected red, green and blue as ffffff`); // prettier-ignore
  const value = Number.parseInt(text, 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** A place of an address, `12.18,44.28`. @throws {RequestError} where it is no longitude and latitude */
export function placeOf(text: string): [lon: number, lat: number] {
  const [, lon, lat] = /^(-?\d{1,3}(?:\.\d{1,15})?),(-?\d{1,2}(?:\.\d{1,15})?)$/.exec(text) ?? [];
  const place: [number, number] = [Number(lon), Number(lat)];
  if (!(Math.abs(place[0]) <= 180 && Math.abs(place[1]) <= 90))
    throw new RequestError(400, `no place ${text}: expected degrees, longitude first, as 12.18,44.28`);
  return place;
}
