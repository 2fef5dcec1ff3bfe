import { open, type FileHandle } from 'node:fs/promises';
import type { Position } from 'geojson';
import initSqlJs, { type Database, type SqlJsStatic } from 'sql.js';
import { polygonsIn } from './wkb.ts';

/** SQLite works on the whole file in memory; a tile's mask takes some hundred KB. */
const MOST = 1 << 26;
const MAGIC = 'SQLite format 3\0';

let sqlite: Promise<SqlJsStatic> | undefined;

/**
 * The polygons of a GeoPackage's one layer of features, each as its outer ring and its holes, in the layer's own system.
 *
 * @param path `…/<catid>-data-mask.gpkg`
 * @param epsg the system that the layer must be in
 * @throws {Error} naming the file, when it is no GeoPackage, is damaged, or is in another system
 * @see https://www.geopackage.org/spec/, features
 */
export async function readPolygons(path: string, epsg: number): Promise<Position[][][]> {
  const bytes = await readGpkg(path);
  sqlite ??= initSqlJs();
  const database = new (await sqlite).Database(bytes);
  try {
    const [fault] = rowsOf(database, 'PRAGMA quick_check(1)')[0] ?? []; // pages that lead in circles end here
    if (fault !== 'ok') throw new Error(String(fault));
    return polygonsOf(path, database, epsg);
  } catch (error) {
    if (error instanceof LayerError) throw error;
    const words = (error as Error).message.replaceAll(/[\s*\p{Cc}]+/gu, ' ').trim(); // SQLite tells in several lines
    throw new Error(`${path} is no GeoPackage that can be read (${words}): fetch it again`, { cause: error });
  } finally {
    database.close();
  }
}

/** What is sound and not what was expected. */
class LayerError extends Error {}

async function readGpkg(path: string): Promise<Buffer> {
  const file = await open(path).catch((error: unknown) => {
    throw new Error(`cannot open ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error });
  });
  try {
    return await readOpen(path, file);
  } finally {
    await file.close();
  }
}

async function readOpen(path: string, file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  if (size > MOST) throw new Error(`${path} has ${size} bytes: expected the outline of one tile, at most ${MOST}`);
  const bytes = await file.readFile();
  const start = bytes.toString('latin1', 0, MAGIC.length);
  if (start === MAGIC) return bytes;
  throw new Error(`${path} (${size} bytes) is no GeoPackage: it begins with ${JSON.stringify(start)}; fetch it again`);
}

function polygonsOf(path: string, database: Database, epsg: number): Position[][][] {
  const layers = rowsOf(
    database,
    `SELECT c.table_name, c.column_name, s.organization, s.organization_coordsys_id
     FROM gpkg_geometry_columns c JOIN gpkg_spatial_ref_sys s ON s.srs_id = c.srs_id
     JOIN sqlite_master m ON m.name = c.table_name COLLATE NOCASE AND m.type = 'table'`,
  );
  if (layers.length !== 1) {
    const names = layers.map(([name]) => String(name)).join(', ');
    throw new LayerError(`${path} holds ${layers.length} layers of features (${names || 'none'}): expected the one of the data mask; fetch it again`); // prettier-ignore
  }
  const [table, column, organization, code] = layers[0].map(String);
  if (organization.toUpperCase() !== 'EPSG' || Number(code) !== epsg) {
    throw new LayerError(
      `${path} is in ${organization}:${code}: its tile is in EPSG:${epsg}; put it in the right cell, or fetch it again`,
    );
  }
  const blobs = rowsOf(database, `SELECT ${quoted(column)} FROM ${quoted(table)}`);
  return blobs.flatMap(([blob]) => (blob === null ? [] : polygonsIn(blob)));
}

function rowsOf(database: Database, sql: string): (number | string | Uint8Array | null)[][] {
  return database.exec(sql)[0]?.values ?? [];
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
