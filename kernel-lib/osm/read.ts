import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { type Cell, cellFolder, readJson, replaceWhole, staleParts, writeWhole } from '../ard/index.ts';
import { dateOf } from './query.ts';
import { type OsmData, type OverpassAnswer, answerSchema, firstFault, osmDataSchema } from './schema.ts';

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
  /** Share of the cell that the bounds stated by an extract cover, 0–1. Not there: a server's, or none stated. */
  covered?: number | undefined;
  /** What the server remarked without calling it an error, if anything. */
  remark?: string | undefined;
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
  covered: z.number().min(0).max(1).optional(),
  remark: z.string().optional(),
  attribution: z.string(),
});

const REMEDY = 'fetch it again with imagesim osm --force';

/** Path of a cell's map data. */
export function osmPath(dataPath: string, cell: Cell): string {
  return join(cellFolder(dataPath, cell), 'osm_data.json');
}

/** Path of what says where they come from. */
export function metaPath(dataPath: string, cell: Cell): string {
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
 * origin is written, and the data take their name last. Killed in between, the cell counts as not fetched. Answers
 * for parts of the cell ({@link keptSquares}) have served and go.
 */
export async function writeOsm(dataPath: string, cell: Cell, data: OsmData, meta: OsmMeta): Promise<void> {
  const path = osmPath(dataPath, cell);
  await replaceWhole(path, async (part) => {
    await writeFile(part, JSON.stringify(data));
    await rm(path, { force: true });
    await writeWhole(metaPath(dataPath, cell), `${JSON.stringify(meta, null, 2)}\n`);
  });
  await dropSquares(dataPath, cell);
}

/**
 * The day that a cell's map is of: the one that was asked for, else the server's latest when it was fetched.
 *
 * @returns milliseconds since 1970; `NaN` when the server did not say
 */
export function mapTime({ query, timestamp_osm_base }: OsmMeta): number {
  return Date.parse(dateOf(query) ?? timestamp_osm_base);
}

/** Answers for parts of a cell, until all are there; by query. */
export interface Squares {
  read(query: string): Promise<OverpassAnswer | undefined>;
  write(query: string, answer: OverpassAnswer): Promise<void>;
  /** Whether the server could not do this one, so that its quarters are asked for at once. */
  isTooMuch(query: string): Promise<boolean>;
  markTooMuch(query: string): Promise<void>;
}

/**
 * Answers for parts of a cell, in a hidden folder in the cell's own, so that a killed run loses none of them.
 *
 * @param options.endpoint the server asked; another's answers are not mixed in
 * @param options.since milliseconds since 1970; answers of an older map do not count. Default: all count
 */
export function keptSquares(
  dataPath: string,
  cell: Cell,
  { endpoint, since = -Infinity }: { endpoint: string; since?: number | undefined },
): Squares {
  const path = (query: string, ending: string): string =>
    join(squaresFolder(dataPath, cell), `${hashOf(`${endpoint} ${query}`)}.${ending}`);
  const isFresh = ({ osm3s }: OverpassAnswer, query: string): boolean =>
    since === -Infinity || Date.parse(dateOf(query) ?? osm3s.timestamp_osm_base) >= since;
  return {
    async read(query) {
      if (!existsSync(path(query, 'json'))) return undefined;
      const answer = answerSchema.safeParse(await readJson(path(query, 'json')).catch(() => undefined)); // damaged: asked again
      return answer.success && isFresh(answer.data, query) ? answer.data : undefined;
    },
    write: (query, answer) => writeWhole(path(query, 'json'), JSON.stringify(answer)),
    isTooMuch: async (query) => existsSync(path(query, 'split')),
    markTooMuch: (query) => writeWhole(path(query, 'split'), ''),
  };
}

/** Removes what waits for a cell to be whole. */
export async function dropSquares(dataPath: string, cell: Cell): Promise<void> {
  await rm(squaresFolder(dataPath, cell), { recursive: true, force: true });
}

/** Removes what a killed run left beside a cell's map that is whole. Only tidies: what cannot be removed stays. */
export async function tidyOsm(dataPath: string, cell: Cell): Promise<void> {
  const stale = (await staleParts(cellFolder(dataPath, cell))).filter(({ of }) => of.startsWith('osm_data'));
  await Promise.all(stale.map(({ path }) => rm(path, { force: true }).catch(() => undefined)));
  await dropSquares(dataPath, cell).catch(() => undefined);
}

function squaresFolder(dataPath: string, cell: Cell): string {
  return join(cellFolder(dataPath, cell), '.osm_squares');
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}
