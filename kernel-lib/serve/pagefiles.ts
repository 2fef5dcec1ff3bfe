import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Context, Hono } from 'hono';
import { RequestError } from './fault.ts';
import { IMPORT_MAP, pageHtml } from './pagehtml.ts';
import { pageCss } from './pagestyle.ts';

const packed = promisify(gzip);

/** A file of the page, as it is sent. */
interface Sent {
  bytes: Buffer;
  gzipped: Buffer;
  etag: string;
}

/** MapLibre's files that a browser asks for. */
const MAPLIBRE = new Set(['maplibre-gl.mjs', 'maplibre-gl-worker.mjs', 'maplibre-gl-shared.mjs', 'maplibre-gl.css']);

const TYPES: Record<string, string> = {
  js: 'text/javascript; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
};

/** Nothing from outside, and no script but ours: `blob:` is for the worker that draws, and the pictures that it made. */
const POLICY = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${createHash('sha256').update(IMPORT_MAP).digest('base64')}'`,
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Adds the page at `/` and its files below `/page/`. */
export function addPageFiles(app: Hono): void {
  const known = new Map<string, Promise<Sent>>();
  const sent = (name: string, read: () => Promise<string | Buffer>): Promise<Sent> => {
    const made = known.get(name) ?? read().then(sentOf);
    known.set(name, made);
    made.catch(() => known.delete(name));
    return made;
  };
  app.get('/', async (context) => {
    context.header('Content-Security-Policy', POLICY);
    context.header('X-Content-Type-Options', 'nosniff');
    context.header('Referrer-Policy', 'no-referrer');
    return send(context, await sent('index.html', async () => pageHtml), 'html');
  });
  app.get('/page/page.css', async (context) => send(context, await sent('page.css', async () => pageCss), 'css'));
  app.get('/page/:file', async (context) => {
    const name = context.req.param('file');
    const path = pathOf(name);
    if (path === undefined) throw new RequestError(404, `nothing is at ${context.req.path}`);
    return send(context, await sent(name, () => readFile(path)), name.split('.').at(-1)!);
  });
}

/** Where a file lies: MapLibre's in its package, ours beside this one. */
function pathOf(name: string): string | undefined {
  if (MAPLIBRE.has(name)) return join(dirname(createRequire(import.meta.url).resolve('maplibre-gl/package.json')), 'dist', name); // prettier-ignore
  if (!/^[a-z]+\.js$/.test(name)) return undefined;
  const path = fileURLToPath(new URL(`page/${name}`, import.meta.url));
  return existsSync(path) ? path : undefined;
}

async function sentOf(content: string | Buffer): Promise<Sent> {
  const bytes = Buffer.from(content);
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  return { bytes, gzipped: await packed(bytes), etag };
}

function send(context: Context, { bytes, gzipped, etag }: Sent, ending: string): Response {
  const headers = { ETag: etag, 'Cache-Control': 'no-cache', Vary: 'Accept-Encoding', 'Content-Type': TYPES[ending] };
  if (context.req.header('if-none-match') === etag) return context.body(null, 304, headers);
  const isPacked = /\bgzip\b/.test(context.req.header('accept-encoding') ?? '');
  const body = (isPacked ? gzipped : bytes) as Uint8Array<ArrayBuffer>;
  return context.body(body, 200, isPacked ? { ...headers, 'Content-Encoding': 'gzip' } : headers);
}
