import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { type Cell, cellFolder, readJson, replaceWhole, writeWhole } from '../ard/index.ts';
import { type OsmData, firstFault, osmDataSchema } from './schema.ts';

/** What everything made from OpenStreetMap must carry (ODbL 1.0, section 4.3). */
export const OSM_ATTRIBUTION = '© OpenStreetMap contributors, ODbL 1.0, https://www.openstreetmap.org/copyright';

/** Where a cell's map data come from: the content of `osm_data.meta.json`. */
export interface OsmMeta {
  /** The server asked. */
  endpoint: string;
  /** The question, word for word. */
  query: string;
  /** How fresh the server's map was: the oldest, where several answers were merged. */
  timestamp_osm_base: string;
  /** When it was asked, ISO 8601. */
  fetchedAt: string;
  /** Elements stored. */
  counts: { nodes: number; ways: number; relations: number };
  /** To be shown wherever the data are. */
  attribution: string;
}

const count = z.int().min(0);
const metaSchema: z.ZodType<OsmMeta> = z.looseObject({
  endpoint: z.string(),
  query: z.string(),
  timestamp_osm_base: z.string(),
  fetchedAt: z.string(),
  counts: z.looseObject({ nodes: count, ways: count, relations: count }),
  attribution: z.string(),
});

const REMEDY = 'fetch it again with imagesim osm --force';

/** Path of a cell's map data. */
export function osmPath(dataPath: string, cell: Cell): string {
  return join(cellFolder(dataPath, cell), 'osm_data.json');
}

function metaPath(dataPath: string, cell: Cell): string {
  return join(cellFolder(dataPath, cell), 'osm_data.meta.json');
}

/**
 * The map data of a cell, as fetched.
 *
 * @param dataPath the data folder or its `ard` folder
 * @throws {Error} naming the file, what was found and the remedy, when it is missing, damaged, or another cell's
 */
export async function readOsm(dataPath: string, cell: Cell): Promise<OsmData> {
  const path = osmPath(dataPath, cell);
  if (!existsSync(path)) throw new Error(`${path} is missing: fetch it with imagesim osm --zone ${cell.zone}`);
  const data = await readChecked(path, osmDataSchema);
  if (data.quadkey !== cell.quadkey) {
    throw new Error(`${path} holds the map of ${data.quadkey}, not of ${cell.quadkey}: ${REMEDY}`);
  }
  return data;
}

/** Where a cell's map data come from. @throws {Error} naming the file, when it is missing or damaged */
export async function readOsmMeta(dataPath: string, cell: Cell): Promise<OsmMeta> {
  return readChecked(metaPath(dataPath, cell), metaSchema);
}

async function readChecked<Content>(path: string, schema: z.ZodType<Content>): Promise<Content> {
  const content = await readJson(path).catch((cause: unknown) => {
    throw new Error(`${(cause as Error).message.replace(/: fetch it again$/, '')}: ${REMEDY}`, { cause });
  });
  const checked = schema.safeParse(content);
  if (!checked.success) throw new Error(`${path} is damaged (${firstFault(checked.error)}): ${REMEDY}`);
  return checked.data;
}

/**
 * Writes a cell's map data and where they come from.
 *
 * Data that are there always match what is said about them: the new data are written aside, the old ones go, the
 * origin is written, and the data take their name last. Killed in between, the cell counts as not fetched.
 */
export async function writeOsm(dataPath: string, cell: Cell, data: OsmData, meta: OsmMeta): Promise<void> {
  const path = osmPath(dataPath, cell);
  await replaceWhole(path, async (part) => {
    await writeFile(part, JSON.stringify(data));
    await rm(path, { force: true });
    await writeWhole(metaPath(dataPath, cell), `${JSON.stringify(meta, null, 2)}\n`);
  });
}
