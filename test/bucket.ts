// A real S3 server on loopback, for all suites that read or write a bucket, and what may go wrong on the way to it.
import { createRequire } from 'node:module';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { emptyFolder } from './delivery.ts';

// s3rver 3.7.1 serves this SDK as it is: checksum trailers are read past, buckets go by path, both keys are "S3RVER".
// Three quirks: it does not verify V4 signatures, so that a wrong secret passes; and it makes the token of a next page with
// a cipher that OpenSSL 3 no longer has. `pageByMarker` has it list as version 1 does, whose marker is a plain key.
// A third: with a delimiter it passes over folders that hold folders alone, so that `grouped` does the grouping.

/** What a middleware sees of a request and its answer: Koa's context. */
export interface Context {
  method: string;
  path: string;
  query: Record<string, string>;
  status: number;
  body: unknown;
  type: string;
  get(header: string): string;
  set(header: string, value: string): void;
  remove(header: string): void;
  /** False: what the middleware wrote to `res` is the answer. */
  respond: boolean;
  req: import('node:http').IncomingMessage;
  res: import('node:http').ServerResponse;
}
/** Stands between the way to the server and the server. */
export type Middleware = (context: Context, next: () => Promise<void>) => Promise<void> | void;

interface S3Server {
  middleware: Middleware[];
  run(): Promise<{ port: number }>;
  close(): Promise<void>;
}
const S3rver = createRequire(import.meta.url)('s3rver') as new (options: object) => S3Server;

/** A running server with the bucket `imagesim-storage`. */
export interface Bucket {
  endpoint: string;
  /** Environment by which the SDK, aws and the command `imagesim` find it. */
  env: Record<string, string>;
  /** Where the server keeps an object. */
  pathOf: (address: string, key: string) => string;
  /** The folder of all that it keeps. */
  directory: string;
  /** Pages listed so far. */
  pages: () => number;
  upload: (key: string, body: Uint8Array | string) => Promise<unknown>;
  /** Uploads a folder under a prefix of its own. @returns its address */
  put: (folder: string) => Promise<string>;
  /** A new address, which holds what a folder does, or nothing; from then on it is watched. */
  begin: (folder?: string) => Promise<string>;
  /** From now on what is put is noted and deletes are refused; nothing else stands between than what is given. */
  watch: (over?: Watch) => void;
  /** Keys that were put whole since the last `watch`, below their address, in order. */
  puts: () => string[];
  /** From now on this stands between; `undefined`: nothing does. */
  between: (middleware: Middleware | undefined) => void;
  close: () => Promise<void>;
}

/** What stands between while it is noted what is put. */
export interface Watch {
  /** Paths of the objects that nobody may put. Default: none. */
  refused?: RegExp;
  /** Stands before the server; its `next` goes on there. Default: nothing does. */
  before?: Middleware;
}

/** The keys that the server knows. */
export const keys = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };

let prefixes = 0;

/**
 * Starts a server on a port of its own and points this process's environment at it, until it is closed.
 *
 * @param folder where it keeps its objects. Default: one that is gone with the process
 */
export async function openBucket(folder?: string): Promise<Bucket> {
  const directory = folder ?? (await emptyFolder());
  const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory, configureBuckets: [{ name: 'imagesim-storage' }] }); // prettier-ignore
  let [pages, between, puts] = [0, undefined as Middleware | undefined, [] as string[]];
  server.middleware.unshift(
    (context, next) => (between ? between(context, next) : next()),
    async (context, next) => {
      pages += context.query['list-type'] === '2' ? 1 : 0;
      await pageByMarker(context, next);
    },
  );
  const endpoint = `http://127.0.0.1:${(await server.run()).port}`;
  const env = { ...keys, AWS_ENDPOINT_URL_S3: endpoint };
  const restore = setEnv(env);
  const client = new S3Client({ region: 'us-west-2', forcePathStyle: true, endpoint });
  const upload = (Key: string, Body: Uint8Array | string): Promise<unknown> =>
    client.send(new PutObjectCommand({ Bucket: 'imagesim-storage', Key, Body }));
  const put = async (files?: string): Promise<string> => {
    const prefix = `orders/${prefixes++}`;
    for (const key of files === undefined ? [] : await filesUnder(files))
      await upload(`${prefix}/${key}`, await readFile(join(files!, key)));
    return `s3://imagesim-storage/${prefix}`;
  };
  const watch = (over: Watch = {}): void => void (between = noting((puts = []), over));
  return {
    endpoint,
    env,
    directory,
    pages: () => pages,
    pathOf: (address, key) => join(directory, `${address.slice('s3://'.length)}/${key}._S3rver_object`),
    upload,
    put,
    begin: async (files) => {
      between = undefined;
      const address = await put(files);
      watch();
      return address;
    },
    watch,
    puts: () => puts,
    between: (middleware) => (between = middleware),
    close: async () => {
      restore();
      client.destroy();
      await server.close();
    },
  };
}

/** Notes the key of each object that is put whole, of one in several parts when they are put together. Nobody may delete, as the machines' roles may not. */
function noting(puts: string[], { refused, before = (_, next) => next() }: Watch): Middleware {
  return async (context, next) => {
    const { method, path, query } = context;
    const isPut = method === 'PUT' || (method === 'POST' && 'uploadId' in query);
    const isDelete = (method === 'DELETE' && !('uploadId' in query)) || 'delete' in query;
    await before(context, async () => {
      if (isDelete || (isPut && refused?.test(path))) refuse(context, 403, 'AccessDenied');
      else await next();
    });
    if (isPut && context.status === 200 && !('partNumber' in query)) puts.push(/\/orders\/\d+\/(.*)$/.exec(path)?.[1] ?? path);
  };
} // prettier-ignore

async function pageByMarker(context: Context, next: () => Promise<void>): Promise<void> {
  const asked = context.query;
  const { 'list-type': type, 'continuation-token': marker, delimiter, ...query } = asked;
  if (type !== '2' && delimiter === undefined) return next();
  context.query = { ...query, ...(marker === undefined ? {} : { marker }) };
  await next();
  context.query = asked;
  const xml = String(context.body);
  const token = type === '2' ? 'NextContinuationToken' : 'NextMarker';
  const last = /.*<Key>(.*?)<\/Key>/s.exec(xml)?.[1];
  const paged = xml.includes('<IsTruncated>true')
    ? xml.replace('<IsTruncated>', `<${token}>${last}</${token}><IsTruncated>`)
    : xml;
  context.body = delimiter ? grouped(paged, query.prefix ?? '', delimiter) : paged;
}

/** Has each key that goes on below a delimiter stand for its folder, once. */
function grouped(xml: string, prefix: string, delimiter: string): string {
  const seen = new Set<string>();
  return xml.replaceAll(/<Contents>.*?<Key>(.*?)<\/Key>.*?<\/Contents>/gs, (entry, key: string) => {
    const end = key.indexOf(delimiter, prefix.length);
    if (end < 0) return entry;
    const folder = key.slice(0, end + 1);
    if (seen.has(folder)) return '';
    seen.add(folder);
    return `<CommonPrefixes><Prefix>${folder}</Prefix></CommonPrefixes>`;
  });
}

/** Answers a request as S3 does where something is wrong. */
export function refuse(context: Context, status: number, code: string): void {
  context.req.resume();
  context.status = status;
  context.type = 'application/xml';
  context.body = `<Error><Code>${code}</Code><Message>said by the test</Message></Error>`;
}

/** What a bucket holds below an address, without the delivery's own files, by key and in order. */
export async function objectsAt({ directory }: Bucket, address: string): Promise<Map<string, Buffer>> {
  const folder = join(directory, address.slice('s3://'.length));
  const keysThere = (await filesUnder(folder)).flatMap((name) => /^(.*)\._S3rver_object$/.exec(name)?.[1] ?? []);
  const made = keysThere.filter((key) => !/^ard\/.*\/\d{4}-\d\d-\d\d\//.test(key));
  return new Map(
    await Promise.all(made.map(async (key) => [key, await readFile(join(folder, `${key}._S3rver_object`))] as const)),
  );
}

/** Files below a folder, `/`-separated, in order. */
export async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Sets variables of this process; `undefined` unsets. @returns puts things back */
export function setEnv(values: Record<string, string | undefined>): () => void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  Object.entries(values).forEach(([name, value]) => set(name, value));
  return () => before.forEach(([name, value]) => set(name, value));
}
