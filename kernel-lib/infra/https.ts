import { Readable } from 'node:stream';
import pRetry from 'p-retry';
import { type OpenOptions, type Source, type SourceFile, SourceError } from '../ard/index.ts';

/**
 * One file of a web server as a source: its key is the last part of the address.
 *
 * A transfer goes on from the byte that it came to, also where the server knows no ranges: then the bytes that are there
 * come again and are passed over. What changes meanwhile is refused. Plain http is for this machine's own loopback.
 *
 * @param url `https://host/folder/file`
 * @throws {Error} when it is no such address
 */
export function httpsSource(url: string): Source {
  const { origin, pathname } = parsed(url);
  const slash = pathname.lastIndexOf('/');
  const [address, key] = [origin + pathname.slice(0, slash), decodeURIComponent(pathname.slice(slash + 1))];
  const list: Source['list'] = async (prefix = '') => [await lookUp(url, key)].filter((file) => file.key.startsWith(prefix)); // prettier-ignore
  const all = async (): Promise<Uint8Array> => Buffer.concat((await (await openAt(url)).toArray()) as Uint8Array[]);
  const readPart: Source['readPart'] = async (_, from, length, { etag } = {}) => {
    const file = await lookUp(url, key);
    const parts: Uint8Array[] = [];
    for await (const bytes of await openAt(url, { from, etag: etag ?? file.etag })) {
      parts.push(bytes as Uint8Array);
      if (parts.reduce((sum, part) => sum + part.length, 0) >= length) break;
    }
    return { bytes: Buffer.concat(parts).subarray(0, length), size: file.bytes, etag: file.etag };
  };
  return {
    address,
    list,
    top: async () => ({ folders: [], files: await list() }),
    read: all,
    readPart,
    readRange: async (name, from, length) => (await readPart(name, from, length)).bytes,
    open: (_, options) => openAt(url, options),
    digest: async () => ({ algorithm: 'size' }), // a server states nothing of the bytes
  };
}

function parsed(url: string): URL {
  const found = URL.canParse(url) ? new URL(url) : undefined;
  if (found && isTrusted(found) && !found.pathname.endsWith('/')) return found;
  throw new Error(`${url} is no address of a file: expected https://host/path`);
}

function isTrusted({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(hostname));
}

/** Size, time and state of a file, by its head; of a server that gives no heads by the beginning of an answer. */
async function lookUp(url: string, key: string): Promise<SourceFile> {
  const ask = async (): Promise<SourceFile> => {
    const head = await request(url, { method: 'HEAD', signal: AbortSignal.timeout(60_000) }, [405, 501]);
    if (head.ok && head.headers.has('content-length')) return fileOf(url, key, head);
    const answer = await request(url, { signal: AbortSignal.timeout(60_000) });
    await answer.body?.cancel();
    return fileOf(url, key, answer);
  };
  const passes = ({ error }: { error: Error }): boolean => error instanceof SourceError && error.transient;
  return pRetry(ask, { retries: 4, minTimeout: 200, maxTimeout: 2000, shouldRetry: passes });
}

function fileOf(url: string, key: string, { headers }: Response): SourceFile {
  const length = headers.get('content-length') ?? '';
  if (!/^\d+$/.test(length))
    throw new SourceError(`${url} states no size: bring it by hand, and check its sha256`, { transient: false });
  return { key, bytes: Number(length), ...stateOf(headers) };
}

/** By what two answers are of the same file; the time alone where the server has no ETag. */
function stateOf(headers: Headers): { modified: Date; etag: string } {
  const modified = new Date(headers.get('last-modified') ?? 0);
  return { modified, etag: headers.get('etag') ?? `of ${modified.toISOString()}` };
}

/** The bytes from one on. */
async function openAt(url: string, { from = 0, etag, signal }: OpenOptions = {}): Promise<Readable> {
  const headers = { ...(from > 0 && { range: `bytes=${from}-` }), ...(etag?.startsWith('"') && { 'if-match': etag }) };
  const answer = await request(url, { headers, ...(signal && { signal }) });
  const [, start] = /^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '') ?? [];
  const at = answer.status === 206 ? Number(start) : 0;
  if ((etag !== undefined && stateOf(answer.headers).etag !== etag) || !(at <= from)) {
    await answer.body?.cancel();
    throw new SourceError(`cannot read ${url}: it has changed since it was looked up: run again`, { transient: false });
  }
  return Readable.from(bytesOf(url, answer, from - at, signal));
}

/** What an answer brings, less what is there already: of that comes nothing, which tells that the line is alive. */
async function* bytesOf(
  url: string,
  { body }: Response,
  skip: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of body ?? []) {
      yield bytes.subarray(skip);
      skip = Math.max(0, skip - bytes.length);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw fault(url, error);
  }
}

async function request(
  url: string,
  init: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> },
  allowed: number[] = [],
): Promise<Response> {
  const headers = { 'accept-encoding': 'identity', 'user-agent': 'imagesim', ...init.headers };
  const answer = await fetch(url, { ...init, headers }).catch((error: unknown) => {
    throw fault(url, error);
  });
  const away = !isTrusted(new URL(answer.url));
  if ((answer.ok && !away) || allowed.includes(answer.status)) return answer;
  await answer.body?.cancel();
  throw away ? refused(url, `it leads on to ${answer.url}: expected https`) : refusal(url, answer.status);
}

const ANSWERS: Record<number, string> = {
  401: 'access is denied: ask who publishes it',
  403: 'access is denied: ask who publishes it',
  404: 'there is no such file: mend its source in data-manifest.json',
  410: 'there is no such file any more: mend its source in data-manifest.json',
  412: 'it has changed since it was looked up: run again',
};

function refusal(url: string, status: number): SourceError {
  const passes = status >= 500 || status === 429 || status === 408;
  return refused(url, ANSWERS[status] ?? `the server answers ${status}: try again later`, passes);
}

function refused(url: string, finding: string, transient = false): SourceError {
  return new SourceError(`cannot read ${url}: ${finding}`, { transient });
}

/** A fault of the way to the server; that passes, unless nobody has that name or its certificate is wrong. */
function fault(url: string, error: unknown): unknown {
  const { name, message, cause } = error as Error & { cause?: NodeJS.ErrnoException };
  const code = cause?.code ?? name;
  const lasting = /ENOTFOUND|CERT|UNABLE_TO_VERIFY|SELF_SIGNED|ERR_TLS/.test(code);
  return new SourceError(
    `cannot read ${url}: ${lasting ? 'no such server can be reached' : 'the connection fails'} (${cause?.message || message}, ${code}): check the network`,
    { transient: !lasting, cause: error },
  );
}
