import { createHash } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { parseChip } from '../ard/index.ts';
import { answerQuestion } from './answer.ts';
import { Changes, MOST_CHANGES } from './changes.ts';
import { chipGrid } from './chipgrid.ts';
import { factsOf } from './facts.ts';
import { RequestError } from './fault.ts';
import type { Mosaic } from './mosaic.ts';
import type { KeptStore } from './openstore.ts';
import { TagMap } from './osmtags.ts';
import { addPageFiles } from './pagefiles.ts';
import { Queue } from './queue.ts';
import { boxSchema, questionOf } from './question.ts';
import { placeOf, selectionOf } from './request.ts';
import { SIDES, thumbnail } from './thumbnail.ts';

/** What the page's routes answer from. */
export interface PageOptions {
  mosaic: Mosaic;
  title?: string | undefined;
  /** The store that searches are put to; the app does not close it. Default: none, the page says how to make one. */
  store?: KeptStore | undefined;
  /** Data folder, for OpenStreetMap's tags and change lists. Default: neither is shown. */
  dataPath?: string | undefined;
  /** GeoJSON that `imagesim change` wrote. Default: the newest of `embeddings/changes/` in the data folder. */
  changes?: string | undefined;
}

const MOST_BODY = 64 * 1024;
const PICTURE_SECONDS = 3600;

/**
 * The page and what it asks: `/`, `/facts.json`, `/search`, `/chips?bbox`, `/thumbnails/{chip}/{date}/{catid}.jpg`, `/tags?bbox`, `/change`,
 * and `/shown/{lon},{lat}`: as `/point`, but only what shows, and null where nothing does.
 */
export function pageRoutes(options: PageOptions): Hono {
  const app = new Hono();
  const { mosaic, title = 'imagesim', store, dataPath, changes: file } = options;
  const changes = dataPath === undefined ? undefined : new Changes(dataPath, file);
  addPageFiles(app);
  app.get('/facts.json', async (context) => fresh(context, await factsOf(mosaic, title, store, changes)));
  addSearch(app, store);
  app.get('/chips', async (context) => {
    const { bbox } = inView.parse(context.req.query());
    return fresh(context, await chipGrid(mosaic.catalogue, await store?.open(), bbox));
  });
  app.get('/shown/:place', async (context) => {
    const coordinates = placeOf(context.req.param('place'));
    const [shown = null] = await mosaic.pixelsAt(coordinates, selectionOf(context.req.query()));
    return fresh(context, { coordinates, shown });
  });
  addTags(app, options);
  app.get('/change', async (context) => {
    if (!changes) throw new RequestError(404, 'this server has no data folder: start it with imagesim serve');
    return fresh(context, await changes.within(changeQuery.parse(context.req.query())));
  });
  addThumbnails(app, mosaic);
  return app;
}

const inView = z.object({ bbox: boxSchema });
const tagQuery = z.object({ bbox: boxSchema, tag: z.string().max(200).optional() });
const changeQuery = z.object({
  bbox: boxSchema.optional(),
  least: z.coerce.number().min(0).max(1).default(0),
  most: z.coerce.number().int().min(1).max(MOST_CHANGES).default(2000),
});

function fresh(context: Context, value: object): Response {
  context.header('Cache-Control', 'no-cache');
  return context.json(value);
}

function addSearch(app: Hono, store: KeptStore | undefined): void {
  const answer = async (context: Context, asked: unknown): Promise<Response> => {
    const question = questionOf(asked);
    const opened = await store?.open();
    if (!opened) throw new RequestError(404, store?.remedy ?? 'this server has no store: start it with imagesim serve');
    return fresh(context, await answerQuestion(opened, question));
  };
  app.get('/search', (context) => answer(context, context.req.query()));
  app.post('/search', bodyLimit({ maxSize: MOST_BODY, onError: () => { throw new RequestError(400, `a question is larger than ${MOST_BODY} bytes: ask with fewer chips`); } }), async (context) => {
    const body: unknown = await context.req.json().catch((cause: unknown) => {
      if (cause instanceof RequestError) throw cause;
      throw new RequestError(400, 'the body is no JSON: send an object, as {"chip": "Z33-031133012203000000"}');
    });
    return answer(context, body);
  });
} // prettier-ignore

function addTags(app: Hono, { mosaic, dataPath }: PageOptions): void {
  const tags = dataPath === undefined ? undefined : new TagMap(dataPath);
  app.get('/tags', async (context) => {
    const { bbox, tag } = tagQuery.parse(context.req.query());
    if (!tags) throw new RequestError(404, 'this server has no data folder: start it with imagesim serve');
    return fresh(context, await tags.within(mosaic.catalogue, bbox, tag));
  });
}

const FILE = /^([\w-]{1,40})\.jpg$/;

function addThumbnails(app: Hono, mosaic: Mosaic): void {
  const queue = new Queue<Uint8Array>({ atOnce: 4, most: 500 });
  const kept = new LRUCache<string, Uint8Array>({ maxSize: 32e6, sizeCalculation: ({ length }) => length });
  app.get('/thumbnails/:chip/:date/:file', async (context) => {
    const { chip, date, catid, side } = thumbnailAsked(context);
    const key = `${mosaic.catalogue.key} ${chip} ${date} ${catid} ${side}`;
    const etag = `"${createHash('sha256').update(key).digest('base64url').slice(0, 22)}"`;
    const headers = { ETag: etag, 'Cache-Control': `public, max-age=${PICTURE_SECONDS}` };
    if (context.req.header('if-none-match') === etag) return context.body(null, 304, headers);
    const make = async (): Promise<Uint8Array> => {
      const window = await mosaic.readChip(chip, { date, catid }, side);
      if (!window) throw new RequestError(404, `no acquisition ${catid} of ${date} shows ${chip} in this delivery`);
      const bytes = await thumbnail(chip, window, side);
      kept.set(key, bytes);
      return bytes;
    };
    const bytes = kept.get(key) ?? (await queue.run(key, make, context.req.raw.signal));
    return context.body(bytes as Uint8Array<ArrayBuffer>, 200, { ...headers, 'Content-Type': 'image/jpeg' });
  });
}

function thumbnailAsked({ req }: Context): { chip: string; date: string; catid: string; side: number } {
  const { chip = '', date = '', file = '' } = req.param() as Record<string, string>;
  const [, catid] = FILE.exec(file) ?? [];
  const side = Number(req.query('side') ?? 256);
  if (catid === undefined || !/^\d{4}-\d\d-\d\d$/.test(date) || !SIDES.includes(side))
    throw new RequestError(400, `no thumbnail ${chip}/${date}/${file}: expected a chip, a day and an acquisition with .jpg, and side ${SIDES.join(', ')}`); // prettier-ignore
  try {
    parseChip(chip);
  } catch (error) {
    throw new RequestError(400, (error as Error).message);
  }
  return { chip, date, catid, side };
}
