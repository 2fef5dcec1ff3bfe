import { chipBounds, parseChip, polygonOf, toLonLat } from '../../ard/index.ts';

/** One row of the store: a square of ground in one acquisition. */
export interface StoreRow {
  /** `Z33-<18 digits>`, the same at every date. */
  id: string;
  catid: string;
  date: string;
  /** `Z33-<12 digits>`. */
  cell: string;
  /** UTM zone. */
  zone: number;
  /** Centre of the chip, degrees, −180 to 180. */
  lon: number;
  lat: number;
  /** Smallest box of degrees around it; across the antimeridian west is above east. @see RFC 7946, 5.2 */
  west: number;
  south: number;
  east: number;
  north: number;
  /** What the map has there: labels of the model's dataset, else every `key=value`. */
  tags: string[];
  /** Cloud of the acquisition over the tile, percent; `null`, like the two below, where it is not known. */
  cloudPercent: number | null;
  /** Degrees off the vertical. */
  offNadir: number | null;
  /** Ground sample distance of the sensor, metres. */
  gsd: number | null;
  /** Model that made the vector: `name@version`. */
  model: string;
}

/** What a row says of itself; the rest follows from its id. */
export type RowFacts = Pick<StoreRow, 'id' | 'catid' | 'date' | 'tags' | 'cloudPercent' | 'offNadir' | 'gsd' | 'model'>;

/** A whole row: with the place of its chip, in degrees. */
export function storeRow(facts: RowFacts): StoreRow {
  const { cell, zone } = parseChip(facts.id);
  const bounds = chipBounds(facts.id);
  const [west, south, east, north] = bounds;
  const [lon, lat] = toLonLat(cell.epsg, [(west + east) / 2, (south + north) / 2]);
  const ring = polygonOf(cell.epsg, bounds).coordinates[0];
  const [lons, lats] = [ring.map(([x]) => x), ring.map(([, y]) => y)];
  return {
    ...facts, cell: cell.id, zone, lon: within180(lon), lat,
    west: within180(Math.min(...lons)), south: Math.min(...lats), east: within180(Math.max(...lons)), north: Math.max(...lats),
  }; // prettier-ignore
}

/** A longitude of −180 to 180. */
export function within180(lon: number): number {
  return Math.abs(lon) <= 180 ? lon : lon - 360 * Math.round(lon / 360);
}
