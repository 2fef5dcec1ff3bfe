import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import type { Hono } from 'hono';

/** Options of {@link startServer}. */
export interface ServerOptions {
  /** Default: 8080; 0 takes a free one. */
  port?: number | undefined;
  /** Which of this machine's addresses is listened on. Default: 127.0.0.1, which only this machine reaches. */
  host?: string | undefined;
  /** Stops the server. */
  signal?: AbortSignal | undefined;
}

/** A server that runs. */
export interface MapServer {
  /** `http://127.0.0.1:8080` */
  url: string;
  port: number;
  /** Takes no further request, lets those under way finish for 10 s, and ends. */
  close(): Promise<void>;
  /** Resolves when it has ended. */
  ended: Promise<void>;
}

/** A client that sends or takes nothing for so long is left. */
const IDLE_MS = 60_000;
const HEADERS_MS = 10_000;
const GRACE_MS = 10_000;

/**
 * Listens.
 *
 * @param app as `serveApp` makes it, with whatever routes were added
 * @throws {Error} naming the port that another program has, or the address that this machine has not
 */
export async function startServer(app: Pick<Hono, 'fetch'>, options: ServerOptions = {}): Promise<MapServer> {
  const { port = 8080, host = '127.0.0.1', signal } = options;
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { headersTimeout: HEADERS_MS, requestTimeout: IDLE_MS, keepAliveTimeout: 5000, connectionsCheckingInterval: 2000 }, // prettier-ignore
  }) as HttpServer;
  server.setTimeout(IDLE_MS);
  await listen(server, port, host);
  const address = server.address() as AddressInfo;
  const ended = new Promise<void>((resolve) => server.once('close', resolve));
  const close = (): Promise<void> => {
    server.close();
    const done = setInterval(() => server.closeIdleConnections(), 50); // one that has its answer is kept alive else
    const rest = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    return ended.finally(() => {
      clearInterval(done);
      clearTimeout(rest);
    });
  };
  signal?.addEventListener('abort', () => void close(), { once: true });
  if (signal?.aborted) await close();
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return { url: `http://${name}:${address.port}`, port: address.port, close, ended };
}

async function listen(server: HttpServer, port: number, host: string): Promise<void> {
  const remedies: Record<string, string> = {
    EADDRINUSE: 'another program has it: choose another with --port, or 0 for a free one',
    EADDRNOTAVAIL: 'this machine has no such address: choose another with --host',
    EACCES: 'ports below 1024 are for root: choose another with --port',
    ENOTFOUND: 'there is no such host: choose another with --host',
  };
  await new Promise<void>((resolve, reject) => {
    server.once(
      'error',
      (error: NodeJS.ErrnoException) =>
      reject(new Error(`cannot listen on ${host}:${port}: ${remedies[error.code ?? ''] ?? error.message}`, { cause: error })), // prettier-ignore
    );
    server.listen(port, host, resolve);
  });
}
