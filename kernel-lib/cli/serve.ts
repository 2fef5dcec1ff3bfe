import type { Command } from 'commander';
import { dataPath } from '../infra/index.ts';
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
}

/** Adds the verb that serves a delivery as a map. */
export function serveVerbs(program: Command): void {
  program
    .command('serve')
    .description('serve a delivery as map tiles: XYZ, TMS and WMTS')
    .option('--port <n>', 'where it listens; 0: any that is free', between(0, 65_535), 8080)
    .option('--host <address>', 'which of this machine’s addresses it listens on', '127.0.0.1')
    .option('--ard <address>', 'folder or s3:// prefix; default: the data folder')
    .option('--zone <n>', 'only this UTM zone', zoneNumber)
    .option('--cors', 'let pages of other origins read the answers')
    .option('--pyramid', 'make the overviews for low zooms before it listens; default: while it does')
    .action(serve);
}

async function serve({ port, host, ard = dataPath(), zone, cors, pyramid }: ServeFlags): Promise<void> {
  process.once('SIGTERM', () => stop.abort(new Error('ended')));
  const { openMosaic, serveApp, startServer } = await import('../serve/index.ts');
  const mosaic = await openMosaic(ard, { zone, dataPath: dataPath() });
  try {
    if (pyramid) await mosaic.makeOverviews(steps());
    const server = await startServer(serveApp({ mosaic, cors }), { port, host, signal: stop.signal });
    const { tiles, places, days } = mosaic.catalogue;
    print(`${tiles.length} tiles of ${places.length} cells, ${days.join(' to ')}, from ${mosaic.address}`);
    print(`${server.url}/tiles/{z}/{x}/{y}.png  ${server.url}/tilejson.json  ${server.url}/wmts/1.0.0/WMTSCapabilities.xml`); // prettier-ignore
    mosaic.makeOverviews().catch((error: unknown) => {
      if (!stop.signal.aborted) console.error(`imagesim: no overviews for low zooms: ${(error as Error).message}`);
    });
    await server.ended;
  } finally {
    await mosaic.close();
  }
}
