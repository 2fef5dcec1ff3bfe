import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { dateOf, queryBounds } from './query.ts';
import { openShelf, type Shelf } from './shelf.ts';

/** An Overpass server on this machine. */
export interface LoopbackOverpass {
  /** Address for `IMAGESIM_OVERPASS` or the option `endpoint`. */
  endpoint: string;
  /** Stops it; open connections end. */
  close(): Promise<void>;
}

const MAX_QUERY_BYTES = 100_000;

/**
 * Serves a delivery's `overpass/` folder as an Overpass server does, on 127.0.0.1 only: map data without a network.
 *
 * Understands the one query that imagesim asks, everything in a rectangle, and answers 400 to any other, 413 to one
 * that is too long. Files are
 * answers of a real server, named `Z<zone>-<quadkey, 12 digits>.json`; nothing else in or outside the folder is read.
 *
 * @throws {Error} naming the folder or file, when there is none or it is no Overpass answer
 */
export async function serveOverpass(folder: string): Promise<LoopbackOverpass> {
  const shelf = await openShelf(folder);
  const server = createServer((request, response) => {
    answer(shelf, request, response).catch((error: unknown) => send(request, response, 500, errorPage(error)));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/interpreter`, close };
}

async function answer(shelf: Shelf, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path, base] = [request.url ?? '/', 'http://127.0.0.1'];
  if (!URL.canParse(path, base)) return send(request, response, 400, errorPage(`malformed address ${path}`));
  const { pathname, searchParams } = new URL(path, base);
  if (pathname === '/api/status') return send(request, response, 200, statusPage(), 'text/plain');
  if (pathname !== '/api/interpreter') return send(request, response, 404, errorPage('no such page'));
  const asked = request.method === 'POST' ? await bodyOf(request) : searchParams;
  if (!asked) return send(request, response, 413, errorPage(`the query is longer than ${MAX_QUERY_BYTES} bytes`));
  const query = asked.get('data');
  const fault = faultOf(query ?? '');
  if (fault) return send(request, response, 400, errorPage(fault));
  const content = await shelf.within(queryBounds(query!));
  send(request, response, 200, JSON.stringify(content), 'application/json');
}

/** Why a query cannot be answered, if so. */
function faultOf(query: string): unknown {
  if (dateOf(query) !== undefined) return 'this server keeps no history: ask without a date';
  try {
    queryBounds(query);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The fields that were posted; `undefined` where they are too long, read to their end so that the answer is heard. */
async function bodyOf(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes <= MAX_QUERY_BYTES) pieces.push(piece);
  }
  return bytes <= MAX_QUERY_BYTES ? new URLSearchParams(Buffer.concat(pieces).toString('utf8')) : undefined;
}

function statusPage(): string {
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  const running = 'Currently running queries (pid, space limit, time limit, start time):';
  return `Connected as: 0\nCurrent time: ${now}\nRate limit: 0\n${running}\n`;
}

/** As Overpass words its errors. */
function errorPage(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).replace(/[<&]/g, ' ');
  return `<html><body><p><strong style="color:#FF0000">Error</strong>: ${text}</p></body></html>`;
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/html',
): void {
  const gzip = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  const headers = { 'Content-Type': `${type}; charset=utf-8`, ...(gzip ? { 'Content-Encoding': 'gzip' } : {}) };
  response.writeHead(status, headers).end(gzip ? gzipSync(body, { level: 1 }) : body);
}
