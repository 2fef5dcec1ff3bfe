import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput, HeadObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import pRetry from 'p-retry';
import type { Getter } from './get.ts';
import { type Digest, type FilePart, type OpenOptions, type Source, SourceError, type SourceFile, type SourceOptions, type SourceTop } from './source.ts'; // prettier-ignore

/** The bucket and prefix of an address; the prefix ends in `/`, or is empty. @throws {Error} where it names no bucket */
export function placeOf(address: string): { bucket: string; prefix: string } {
  const [, bucket, path = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(address) ?? [];
  if (!bucket) throw new Error(`no bucket in ${address}: expected s3://bucket/prefix`);
  return { bucket, prefix: path && !path.endsWith('/') ? `${path}/` : path };
}

/** Loaded by the first who asks a bucket: it takes longer than all else of this folder. */
const loadSdk = (): Promise<typeof import('@aws-sdk/client-s3')> => import('@aws-sdk/client-s3');

/** The SDK asks for credentials even where nothing is signed with them. */
const NOBODY = { accessKeyId: '', secretAccessKey: '' };
const OPEN_DATA = 'maxar-opendata';

/** Whether an address is of Maxar's open data, which anybody reads and their keeper pays for. */
export function isOpenData(address: string): boolean {
  return address.startsWith('s3://') && placeOf(address).bucket === OPEN_DATA;
}

/**
 * A client of S3 as the options and the SDK's own chain (environment, profiles, the machine's role) have it.
 *
 * @param bucket that it is for: open data are read unsigned, where they lie
 * @returns the SDK's `S3Client`, by no more than `object`: its types would cost every notebook that enters here a second
 */
export async function s3Client(bucket: string, options: SourceOptions = {}): Promise<object> {
  return clientOf(bucket, options);
}

async function clientOf(bucket: string, { endpoint, region, anonymous }: SourceOptions): Promise<S3Client> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'; // five lines on every use with Node 20
  checkEndpoint(endpoint);
  const unsigned = anonymous ?? bucket === OPEN_DATA;
  const elsewhere = endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL;
  const { S3Client } = await loadSdk();
  return new S3Client({
    region: region ?? (bucket === OPEN_DATA && !elsewhere ? 'us-west-2' : ownRegion()),
    followRegionRedirects: !elsewhere,
    ...(endpoint ? { endpoint } : {}),
    ...(elsewhere ? { forcePathStyle: true } : {}),
    ...(unsigned ? { signer: { sign: async (request) => request }, credentials: NOBODY } : {}),
    maxAttempts: 6,
    requestHandler: {
      connectionTimeout: 10_000,
      requestTimeout: 60_000,
      httpsAgent: { maxSockets: 64 },
      httpAgent: { maxSockets: 64 },
    },
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_REQUIRED', // a moved file is checked whole, whatever pieces it came in
  });
}

function checkEndpoint(endpoint: string | undefined): void {
  if (endpoint !== undefined && !URL.canParse(endpoint))
    throw new RangeError(`the S3 endpoint is ${endpoint}: expected an address that begins with https:`);
}

/** The region of environment or profile, as the SDK finds it; asked before every request, so looked for once. */
function ownRegion(): () => Promise<string> {
  const stated = process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION;
  let found: Promise<string> | undefined;
  return () => (found ??= stated ? Promise.resolve(stated) : regionOfProfile());
}

async function regionOfProfile(): Promise<string> {
  const { S3Client } = await loadSdk();
  return new S3Client({}).config.region().catch(() => 'us-west-2');
}

/** A client, and the short cut that learns from it. */
interface Connection {
  client: S3Client;
  short: Getter;
}

async function connect(bucket: string, options: SourceOptions): Promise<Connection> {
  const [client, { shortCut }] = await Promise.all([clientOf(bucket, options), import('./get.ts')]);
  return { client, short: shortCut(client) };
}

/** The part of a bucket below a prefix. */
export function bucketSource(address: string, options: SourceOptions): Source {
  const { bucket, prefix } = placeOf(address);
  checkEndpoint(options.endpoint);
  let connection: Promise<Connection> | undefined;
  const connected = (): Promise<Connection> => (connection ??= connect(bucket, options));
  const addressOf = (key: string): string => `s3://${bucket}/${prefix}${key}`;
  const get = async (
    key: string,
    { from = 0, length, etag, signal }: OpenOptions & { length?: number | undefined },
  ): Promise<GetObjectCommandOutput> => {
    const Range =
      from > 0 || length !== undefined ? `bytes=${from}-${length === undefined ? '' : from + length - 1}` : undefined;
    const [{ client }, { GetObjectCommand }] = await Promise.all([connected(), loadSdk()]);
    const command = new GetObjectCommand({ Bucket: bucket, Key: prefix + key, Range, IfMatch: etag && `"${etag}"` });
    return client.send(command, signal ? { abortSignal: signal } : {});
  };
  const openAt = async (key: string, { from = 0, etag, signal }: OpenOptions): Promise<Readable> => {
    const headers = { ...(from > 0 ? { range: `bytes=${from}-` } : {}), ...(etag ? { 'if-match': `"${etag}"` } : {}) };
    const { short } = await connected();
    const answer = await short(prefix + key, headers, signal);
    return answer?.body ?? ((await get(key, { from, etag, signal })).Body as Readable);
  };
  const readPart: Source['readPart'] = (key, from, length, { etag } = {}) =>
    named(addressOf(key), () => again(async () => partOf(addressOf(key), await get(key, { from, length, etag }), from, length))); // prettier-ignore
  return {
    address,
    list: (within = '') => named(address, async () => listAll((await connected()).client, bucket, prefix, within)),
    top: () => named(address, async () => listTop((await connected()).client, bucket, prefix)),
    read: (key) =>
      named(addressOf(key), () => again(async () => Buffer.concat(await (await openAt(key, {})).toArray()))),
    readRange: async (key, from, length) => (await readPart(key, from, length)).bytes,
    readPart,
    open: (key, wanted = {}) => named(addressOf(key), () => openAt(key, wanted), wanted.signal),
    digest: (file) =>
      named(addressOf(file.key), async () => digestOf((await connected()).client, bucket, prefix + file.key)),
  };
}

/** Tries again what passes: the SDK does so for a request, not for an answer that breaks off. */
function again<Result>(work: () => Promise<Result>): Promise<Result> {
  return pRetry(work, { retries: 4, minTimeout: 200, shouldRetry: ({ error }) => isTransient(error) });
}

async function bytesOf({ Body }: GetObjectCommandOutput): Promise<Uint8Array> {
  return Buffer.concat(await (Body as Readable).toArray());
}

/** Of an answer the range that was asked for. A server that knows no ranges sends the whole: gigabytes, maybe. */
async function partOf(
  address: string,
  answer: GetObjectCommandOutput,
  from: number,
  length: number,
): Promise<FilePart> {
  const { ContentRange, ContentLength: whole = Infinity, ETag } = answer;
  const [first, last, size] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange ?? '') ?? []).slice(1).map(Number);
  const asked = ContentRange === undefined ? from === 0 && whole <= length : first === from && last < from + length;
  if (asked) return { bytes: await bytesOf(answer), size: size ?? whole, etag: unquoted(ETag) };
  (answer.Body as Readable).on('error', () => undefined).destroy();
  const found = ContentRange ?? `the whole${whole < Infinity ? ` of ${whole} bytes` : ''}`;
  throw new SourceError(
    `cannot read ${address}: the server was asked for bytes ${from}-${from + length - 1} and sends ${found}: bring the delivery to a disk (imagesim sync), or read it from S3 itself`,
    { transient: false },
  );
}

async function named<Result>(name: string, work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
  return work().catch((error: unknown) => {
    signal?.throwIfAborted();
    throw bucketFault(name, error);
  });
}

async function listAll(client: S3Client, bucket: string, prefix: string, within: string): Promise<SourceFile[]> {
  const { paginateListObjectsV2 } = await loadSdk();
  const files: SourceFile[] = [];
  for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix + within }))
    files.push(...filesOf(page.Contents, prefix));
  return files;
}

async function listTop(client: S3Client, bucket: string, prefix: string): Promise<SourceTop> {
  const { paginateListObjectsV2 } = await loadSdk();
  const folders = new Set<string>();
  const files: SourceFile[] = [];
  const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix, Delimiter: '/' });
  for await (const page of pages) {
    files.push(...filesOf(page.Contents, prefix));
    for (const { Prefix = '' } of page.CommonPrefixes ?? []) folders.add(Prefix.slice(prefix.length, -1));
  }
  return { folders: [...folders], files };
}

interface Listed {
  Key?: string | undefined;
  Size?: number | undefined;
  ETag?: string | undefined;
  LastModified?: Date | undefined;
}

/** What is listed without the marks of empty folders. */
function filesOf(contents: Listed[] | undefined, prefix: string): SourceFile[] {
  return (contents ?? []).flatMap(({ Key = '', Size = 0, ETag, LastModified = new Date(0) }) =>
    Key.endsWith('/')
      ? []
      : { key: Key.slice(prefix.length), bytes: Size, modified: LastModified, etag: unquoted(ETag) },
  );
}

const unquoted = (etag: string | undefined): string | undefined => etag?.replaceAll('"', '');

/**
 * What S3 states of an object's bytes. An ETag is the MD5 of what was put in one piece and not encrypted with a key of
 * KMS or the customer's; `…-7` is the MD5 of the MD5s of seven parts, whose size the first one tells.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
 */
async function digestOf(client: S3Client, Bucket: string, Key: string): Promise<Digest> {
  const { HeadObjectCommand } = await loadSdk();
  const head = await client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  const etag = unquoted(head.ETag) ?? '';
  const encrypted = head.SSECustomerAlgorithm !== undefined || head.ServerSideEncryption?.startsWith('aws:kms');
  if (!encrypted && /^[0-9a-f]{32}$/.test(etag)) return { algorithm: 'md5', value: etag };
  const whole = wholeChecksum(head);
  const parts = Number(/^[0-9a-f]{32}-(\d+)$/.exec(etag)?.[1] ?? 0);
  if (whole || encrypted || parts === 0) return whole ?? { algorithm: 'size' };
  const { ContentLength: partBytes = 0 } = await client.send(new HeadObjectCommand({ Bucket, Key, PartNumber: 1 }));
  const fits = Math.ceil((head.ContentLength ?? 0) / partBytes) === parts;
  return fits ? { algorithm: 'md5-parts', value: etag, partBytes } : { algorithm: 'size' };
}

/** A checksum of the whole object; those of parts say so by `COMPOSITE`, or end in their number. */
function wholeChecksum(head: HeadObjectCommandOutput): Digest | undefined {
  if (head.ChecksumType === 'COMPOSITE') return undefined;
  const stated = [
    ['sha256', head.ChecksumSHA256], ['sha1', head.ChecksumSHA1], ['crc64nvme', head.ChecksumCRC64NVME],
    ['crc32c', head.ChecksumCRC32C], ['crc32', head.ChecksumCRC32],
  ] as const; // prettier-ignore
  const found = stated.find(([, value]) => value !== undefined && !/-\d+$/.test(value));
  return found && { algorithm: found[0], value: found[1] ?? '' };
}

const LOGIN = 'set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
const REACH = 'check the network, and AWS_ENDPOINT_URL_S3 where the bucket is not at AWS';

/** What S3 and the way to it answer, by the error's name or code: what that means and what to do. */
const FAULTS: Record<string, string> = {
  NoSuchBucket: 'there is no such bucket: check its name, and AWS_ENDPOINT_URL_S3 where it is not at AWS',
  NoSuchKey: 'there is no such file any more: run again',
  PreconditionFailed: 'it has changed since it was listed: run again',
  InvalidRange: 'it is shorter than when it was listed: run again',
  AccessDenied: `access is denied: ask for s3:ListBucket and s3:GetObject there (s3:PutObject to write), or ${LOGIN} of somebody who has them`,
  CredentialsProviderError: `there are no credentials: ${LOGIN}`,
  InvalidAccessKeyId: `the access key is not known there: ${LOGIN}`,
  SignatureDoesNotMatch: `the secret key does not fit the access key: ${LOGIN}`,
  ExpiredToken: `the session has expired: sign in again, or ${LOGIN}`,
  PermanentRedirect: 'the bucket lies in another region: set AWS_REGION to it',
  AuthorizationHeaderMalformed: 'the bucket lies in another region: set AWS_REGION to it',
  ECONNREFUSED: `nobody answers: ${REACH}`,
  ENOTFOUND: `there is no such host: ${REACH}`,
  EAI_AGAIN: `the host's name cannot be looked up: ${REACH}`,
  ETIMEDOUT: `no answer in time: ${REACH}`,
  TimeoutError: `no answer in time: ${REACH}`,
  UND_ERR_SOCKET: `the connection broke: run again, or ${REACH}`,
  UND_ERR_CONNECT_TIMEOUT: `no answer in time: ${REACH}`,
  UND_ERR_HEADERS_TIMEOUT: `no answer in time: ${REACH}`,
  ECONNRESET: `the connection broke: run again, or ${REACH}`,
};

/** Answers of a server under load, and faults of the way to it: they pass. */
const PASSING =
  /^(SlowDown|ServiceUnavailable|InternalError|RequestTimeout|RequestTimeTooSkewed|ThrottlingException|TimeoutError|ECONN\w+|EPIPE|ETIMEDOUT|EAI_AGAIN|ERR_STREAM_PREMATURE_CLOSE|UND_ERR\w+)$/;

/** An answer to HEAD has no body that could name the fault. */
const BARE: Record<number, string> = { 403: 'AccessDenied', 404: 'NoSuchKey' };

/** Whether an error passes: the same request may well succeed a little later. */
function isTransient(error: unknown): boolean {
  const { name, code, $metadata } = error as NodeJS.ErrnoException & { $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode ?? 0;
  return PASSING.test(name) || PASSING.test(code ?? '') || status >= 500 || status === 429;
}

/**
 * One line with the address, what was found and the remedy; an error that is not S3's, of the disk say, as it is.
 *
 * @param address of what was asked for
 * @param doing what failed
 */
export function bucketFault(address: string, error: unknown, doing: 'read' | 'write' = 'read'): unknown {
  const { name, code, message, $metadata } = error as NodeJS.ErrnoException & {
    $metadata?: { httpStatusCode?: number };
  };
  const known = [name, code ?? '', BARE[$metadata?.httpStatusCode ?? 0] ?? ''].find((word) => word in FAULTS);
  const transient = isTransient(error);
  if (known === undefined && $metadata === undefined && !transient) return error;
  const detail = message.split('\n')[0];
  const finding = known ? `${FAULTS[known]} (${detail})` : `S3 answers ${name}: ${detail}; try again later`;
  return new SourceError(`cannot ${doing} ${address}: ${finding}`, { transient, cause: error });
}
