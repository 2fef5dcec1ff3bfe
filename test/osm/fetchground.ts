/** What suites of fetches have in common: a stand-in for the server, and a data folder of their own for each test. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FetchOsmOptions, type OsmData, type OsmMeta, type ZoneTags, fetchOsmByQuadkey } from 'imagesim/osm';
import { type Behaviour, type StandIn, dataFolder, removeFolder, standIn } from './stand-in.ts';

// Cells that share no side, each after the next.
export const FIRST = '33/031133012203';
export const SECOND = '33/031133012212';
export const THIRD = '33/031133012221';
/** With little patience. */
export const quick: FetchOsmOptions = { minRateWaitMs: 5, baseWaitMs: 5, retries: 1, timeoutMs: 2000 };
/** What a server says of a cell that is too much for it. */
export const remark = 'runtime error: Query run out of memory in "query" at line 2 using about 512 MB of RAM.';

/** The server and the folder of the test that runs, and what is done with them. */
export interface FetchGround {
  server: StandIn;
  folder: string;
  /** Has a server behave so, and makes a folder of cells. */
  start: (behave: Behaviour, ...cells: string[]) => Promise<void>;
  run: (options?: FetchOsmOptions) => Promise<ZoneTags>;
  /** Path of a cell's file. Default: its map. */
  file: (cell: string, name?: string) => string;
  read: (cell: string) => Promise<OsmData>;
  readMeta: (cell: string) => Promise<OsmMeta>;
}

/** Call it in a `describe`: what a test has started is ended after it. */
export function fetchGround(): FetchGround {
  const ground = {} as FetchGround;
  const file = (cell: string, name = 'osm_data.json'): string => join(ground.folder, 'ard', cell, name);
  const json = async <Content>(path: string): Promise<Content> => JSON.parse(await readFile(path, 'utf8')) as Content;
  afterEach(async () => {
    await ground.server.close();
    await removeFolder(ground.folder);
  });
  return Object.assign(ground, {
    start: async (behave: Behaviour, ...cells: string[]) => {
      ground.server = await standIn(behave);
      ground.folder = await dataFolder(...cells);
    },
    run: (options: FetchOsmOptions = {}) =>
      fetchOsmByQuadkey(33, ground.folder, { endpoint: ground.server.endpoint, ...quick, ...options }),
    file,
    read: (cell: string) => json<OsmData>(file(cell)),
    readMeta: (cell: string) => json<OsmMeta>(file(cell, 'osm_data.meta.json')),
  });
}
