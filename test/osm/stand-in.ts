import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { mkdir, rm } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { OsmData, OsmElement } from 'imagesim/osm';
import { emptyFolder } from '../delivery.ts';

/** A request as it came: its query is what was posted as `data`. */
export interface Asked {
  query: string;
  method: string | undefined;
  headers: IncomingMessage['headers'];
  at: number;
}

/** Answers one question; the index counts from 0. */
export type Behaviour = (response: ServerResponse, index: number, asked: Asked) => void;

/** A loopback server that behaves as told, and keeps what it was asked. */
export interface StandIn {
  endpoint: string;
  asked: Asked[];
  /** Text of `/api/status`. */
  status: string;
  close(): Promise<void>;
}

export async function standIn(behave: Behaviour): Promise<StandIn> {
  const made: StandIn = { endpoint: '', asked: [], status: 'Rate limit: 0', close: async () => undefined };
  const server = createServer((request, response) => {
    if (request.url === '/api/status') {
      response.end(made.status);
      return;
    }
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      const asked = {
        query: new URLSearchParams(body).get('data') ?? '',
        method: request.method,
        headers: request.headers,
        at: performance.now(),
      };
      behave(response, made.asked.push(asked) - 1, asked);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  made.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/interpreter`;
  made.close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return made;
}

/** A whole answer with these elements. */
export function whole(elements: unknown[] = [], timestamp = '2024-01-01T00:00:00Z', remark?: string): string {
  return JSON.stringify({
    version: 0.6,
    osm3s: { timestamp_osm_base: timestamp },
    elements,
    ...(remark ? { remark } : {}),
  });
}

/** A node with one tag. */
export function node(id: number, tags: Record<string, string> = { natural: 'tree' }): object {
  return { type: 'node', id, lat: 36.9, lon: 12.3, tags };
}

/** An empty data folder with the folders of the given cells, `33/031133012203`. */
export async function dataFolder(...cells: string[]): Promise<string> {
  const folder = await emptyFolder();
  for (const cell of cells) await mkdir(join(folder, 'ard', cell), { recursive: true });
  return folder;
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

/** Path of a real file, in the folder of data beside the checkout. */
export function realFile(path: string): string {
  return fileURLToPath(new URL(`../../../shared/data/${path}`, import.meta.url));
}

/** Skips a suite, aloud, when real files are not there. */
export function needs(suite: Mocha.Context, path: string): void {
  if (existsSync(realFile(path))) return;
  console.log(`      skipped: ../shared/data/${path} is not there`);
  suite.skip();
}

/** An Overpass answer as a cell's data; optionally with the geometry inside the ways and the nodes away, as `out geom` gives it. */
export function osmOf(all: OsmElement[], { inline = false } = {}): OsmData {
  const nodes = all.filter((element) => element.type === 'node');
  const places = new Map(nodes.map(({ id, lat, lon }) => [id, { lat, lon }]));
  const ways = all.filter((element) => element.type === 'way');
  const withPlaces = ways.map((way) => ({ ...way, geometry: way.nodes!.map((id) => places.get(id) ?? null) }));
  const relations = all.filter((element) => element.type === 'relation');
  return {
    quadkey: '031133012203',
    nodes: inline ? nodes.filter(({ tags }) => tags) : nodes,
    ways: inline ? withPlaces : ways,
    relations,
  };
}

export function answerOf(path: string): OsmElement[] {
  const bytes = readFileSync(realFile(path));
  return JSON.parse(String(path.endsWith('.gz') ? gunzipSync(bytes) : bytes)).elements;
}
