import type { Command } from 'commander';
import { dataPath } from '../infra/index.ts';
import type { KeptMosaic } from '../serve/index.ts';
import { print, steps, stop } from './output.ts';
import { between, zoneNumber } from './values.ts';

/** What `imagesim serve` was told. */
interface ServeFlags {
  port: number;
  host: string;
  ard?: string;
  zone?: number;
  cors?: boolean;
  pyramid?: boolean;
  store?: string;
  table?: string;
  versionOfTable?: string;
  changes?: string;
  title?: string;
}

/** Adds the verb that serves a delivery as a map, with a page to search it. */
export function serveVerbs(program: Command): void {
  program
    .command('serve')
    .description(
      'serve a delivery as a page to search it on, and as map tiles: XYZ, TMS and WMTS; new tiles and stores show within a minute, at once on SIGHUP',
    )
    .option('--port <n>', 'where it listens; 0: any that is free', between(0, 65_535), 8080)
    .option('--host <address>', 'which of this machine’s addresses it listens on', '127.0.0.1')
    .option('--ard <address>', 'folder or s3:// prefix; default: the data folder')
    .option('--zone <n>', 'only this UTM zone', zoneNumber)
    .option('--store <place>', 'folder or s3:// prefix above embeddings/; default: the data folder')
    .option('--table <name>', 'table of the store that answers; default: the one that was deployed last')
    .option('--version-of-table <version>', 'as imagesim similarity list names it; default: the one that answers')
    .option('--changes <file>', 'GeoJSON of imagesim change; default: the newest of embeddings/changes/')
    .option('--title <text>', 'what the page and the documents call it', 'imagesim')
    .option('--cors', 'let pages of other origins read the answers')
    .option('--pyramid', 'make the overviews for low zooms before it listens; default: while it does')
    .action(serve);
}

async function serve(flags: ServeFlags): Promise<void> {
  const { port, host, ard = dataPath(), zone, cors, pyramid, changes, title } = flags;
  process.once('SIGTERM', () => stop.abort(new Error('ended')));
  const { keepMosaic, keepStore, serveApp, startServer } = await import('../serve/index.ts');
  const mosaic = await keepMosaic(ard, { zone, dataPath: dataPath() });
  const store = keepStore(dataPath(), { store: flags.store, table: flags.table, version: flags.versionOfTable });
  const again = (): void => void refresh(mosaic);
  process.on('SIGHUP', again);
  try {
    if (pyramid) await mosaic.makeOverviews(steps());
    const app = serveApp({ mosaic, cors, store, dataPath: dataPath(), changes, title });
    const server = await startServer(app, { port, host, signal: stop.signal });
    const { tiles, places, days } = mosaic.catalogue;
    print(`${tiles.length} tiles of ${places.length} cells, ${days.join(' to ')}, from ${mosaic.address}`);
    print(`${server.url}/  ${server.url}/tiles/{z}/{x}/{y}.png  ${server.url}/tilejson.json  ${server.url}/wmts/1.0.0/WMTSCapabilities.xml`); // prettier-ignore
    mosaic.makeOverviews().catch((error: unknown) => {
      if (!stop.signal.aborted) console.error(`imagesim: no overviews for low zooms: ${(error as Error).message}`);
    });
    await server.ended;
  } finally {
    process.off('SIGHUP', again);
    store.close();
    await mosaic.close();
  }
}

async function refresh(mosaic: KeptMosaic): Promise<void> {
  try {
    const isOther = await mosaic.refresh();
    print(
      `${isOther ? 'read again' : 'nothing is new'}: ${mosaic.catalogue.tiles.length} tiles from ${mosaic.address}`,
    );
  } catch (error) {
    console.error(`imagesim: ${(error as Error).message}; what was there before is served`);
  }
}
