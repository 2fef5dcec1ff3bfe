import { createHash } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { LRUCache } from 'lru-cache';
import { baseOf } from './address.ts';
import {
  type Described,
  mosaicJson,
  tileJson,
  tmsMap,
  tmsService,
  tmsServices,
  wmtsCapabilities,
} from './documents.ts';
import { RequestError, answerTo, refuse } from './fault.ts';
import { mapTileBounds } from './mercator.ts';
import type { Mosaic } from './mosaic.ts';
import { MEDIA_TYPES, encode } from './picture.ts';
import { type PageOptions, pageRoutes } from './pageroutes.ts';
import { Queue } from './queue.ts';
import { type TileRequest, placeOf, selectionOf, selectionQuery, tileRequest } from './request.ts';

/** Options of {@link serveApp}. */
export interface ServeOptions extends PageOptions {
  /** What is served; the app does not close it. */
  mosaic: Mosaic;
  /** What the documents call it. Default: imagesim. */
  title?: string | undefined;
  /** Lets pages of other origins read the answers. Default: no. */
  cors?: boolean | undefined;
  /** Map tiles painted at once. Default: 8. */
  atOnce?: number | undefined;
  /** Map tiles that may wait; further ones are answered 503. Default: 1,000. */
  mostWaiting?: number | undefined;
  /** Megabytes of encoded map tiles that are kept. Default: 64. */
  tileCacheMegabytes?: number | undefined;
  /** Told of answers of 500 and above that no overload explains. Default: standard error. */
  onFault?: ((line: string) => void) | undefined;
}

/** Map tiles change only when other files are served, which their ETag tells; so long browsers need not ask. */
const TILE_SECONDS = 3600;

/**
 * The server's answers, to be mounted anywhere: others may add routes of their own.
 *
 * `/tiles/{z}/{x}/{y}.png|jpg|webp`, `/tms/1.0.0/ard/{z}/{x}/{y}.png`, `/tilejson.json`, `/tms/1.0.0/ard/tilejson.json`,
 * `/wmts/1.0.0/WMTSCapabilities.xml`, `/mosaic.json`, `/point/{lon},{lat}`, `/healthz`, and those of {@link pageRoutes}; with `select`, `from`, `to` and
 * `background` in the query. A map tile where nothing is comes transparent; one that cannot be is 404.
 */
export function serveApp(options: ServeOptions): Hono {
  const app = new Hono();
  if (options.cors) app.use(cors({ origin: '*', exposeHeaders: ['ETag', 'Retry-After'] }));
  const { onFault = (line) => console.error(line) } = options;
  app.onError((error, context) => {
    if (answerTo(error).status >= 500 && answerTo(error).status !== 503) onFault(`imagesim serve: ${context.req.path}: ${error.message}`); // prettier-ignore
    return refuse(context, error);
  });
  app.notFound((context) => refuse(context, new RequestError(404, `nothing is at ${context.req.path}`)));
  const tiles = tileAnswerer(options);
  app.get('/tiles/:z/:x/:file', (context) => tiles.answer(context, 'xyz'));
  app.get('/tms/1.0.0/ard/tilejson.json', (context) => context.json(tileJson(describe(context, options), 'tms')));
  app.get('/tms/1.0.0/ard/:z/:x/:file', (context) => tiles.answer(context, 'tms'));
  addDocuments(app, options);
  app.get('/point/:place', async (context) => {
    const place = placeOf(context.req.param('place'));
    const pixels = await options.mosaic.pixelsAt(place, selectionOf(context.req.query()));
    if (pixels.length === 0) throw new RequestError(404, `no acquisition shows ${place.join(', ')}`);
    context.header('Cache-Control', 'no-cache');
    return context.json({ coordinates: place, shown: pixels[0], pixels });
  });
  app.get('/healthz', (context) => {
    context.header('Cache-Control', 'no-store');
    return context.json({ ok: true, ...healthOf(options.mosaic), ...tiles.state() });
  });
  app.route('/', pageRoutes(options));
  return app;
}

function describe(context: Context, { mosaic, title = 'imagesim' }: ServeOptions): Described {
  context.header('Cache-Control', 'no-cache');
  const query = selectionQuery(selectionOf(context.req.query()));
  return { catalogue: mosaic.catalogue, title, attribution: mosaic.attribution, base: baseOf(context), query };
}

function addDocuments(app: Hono, options: ServeOptions): void {
  const { mosaic } = options;
  const xml = (path: string, write: (described: Described) => string): unknown =>
    app.get(path, (context) => {
      const text = write(describe(context, options));
      return context.body(text, 200, { 'Content-Type': 'application/xml; charset=utf-8' });
    });
  xml('/tms', tmsServices);
  for (const end of ['', '/']) xml(`/tms/1.0.0${end}`, tmsService);
  for (const end of ['', '/', '/tilemapresource.xml']) xml(`/tms/1.0.0/ard${end}`, tmsMap);
  xml('/wmts/1.0.0/WMTSCapabilities.xml', wmtsCapabilities);
  app.get('/tilejson.json', (context) => context.json(tileJson(describe(context, options), 'xyz')));
  app.get('/mosaic.json', (context) => {
    const { catalogue, address } = mosaic;
    const selection = selectionOf(context.req.query());
    const described = describe(context, options);
    return context.json(mosaicJson(described, address, (tile) => catalogue.ordered(catalogue.find(mapTileBounds(tile)), selection))); // prettier-ignore
  });
}

function healthOf(mosaic: Mosaic): object {
  const { tiles, places, days, bounds, leftOut } = mosaic.catalogue;
  const zones = [...new Set(places.map(({ cell }) => cell.zone))].sort((a, b) => a - b);
  return {
    tiles: tiles.length,
    cells: places.length,
    zones,
    days,
    bounds,
    leftOut,
    overviews: mosaic.overviews,
    ...mosaic.state(),
  };
}

/** Answers requests for map tiles: what is known from memory, else through the queue. */
function tileAnswerer(options: ServeOptions): {
  answer: (context: Context, scheme: 'xyz' | 'tms') => Promise<Response>;
  state: () => object;
} {
  const { mosaic, atOnce = 8, mostWaiting = 1000, tileCacheMegabytes = 64 } = options;
  const queue = new Queue<Uint8Array>({ atOnce, most: mostWaiting });
  const kept = new LRUCache<string, Uint8Array>({ maxSize: tileCacheMegabytes * 1e6, sizeCalculation: ({ length }) => length }); // prettier-ignore
  const make = async ({ tile, selection, size, format, background, key }: TileRequest): Promise<Uint8Array> => {
    const bytes = await encode(await mosaic.render(tile, selection, size), format, background);
    kept.set(key, bytes);
    return bytes;
  };
  const answer = async (context: Context, scheme: 'xyz' | 'tms'): Promise<Response> => {
    const asked = tileRequest(context, scheme);
    const request = { ...asked, key: `${mosaic.catalogue.key} ${asked.key}` };
    const etag = `"${createHash('sha256').update(request.key).digest('base64url').slice(0, 22)}"`; // prettier-ignore
    const headers = { ETag: etag, 'Cache-Control': `public, max-age=${TILE_SECONDS}` };
    if (matches(context.req.header('if-none-match'), etag)) return context.body(null, 304, headers);
    const bytes = kept.get(request.key) ?? (await queue.run(request.key, () => make(request), context.req.raw.signal));
    return context.body(bytes as Uint8Array<ArrayBuffer>, 200, { ...headers, 'Content-Type': MEDIA_TYPES[request.format] }); // prettier-ignore
  };
  return { answer, state: () => ({ ...queue.state, tileBytes: kept.calculatedSize }) };
}

/** Whether a browser has this very answer. */
function matches(header: string | undefined, etag: string): boolean {
  return header === '*' || (header?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag) ?? false);
}
