import { createReadStream, createWriteStream, existsSync, statSync } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3';

/** One file of a {@link Source}. */
export interface SourceFile {
  /** Path inside the source, with `/`. */
  key: string;
  bytes: number;
}

/** A folder of files, on disk or in a bucket, that is only read. */
export interface Source {
  /** The address it was opened by, for messages. */
  address: string;
  /** Every file below a prefix, in order of key; on disk with links followed. */
  list(prefix?: string): Promise<SourceFile[]>;
  /** A small file, whole. */
  read(key: string): Promise<Uint8Array>;
  /** Copies a file to a path on disk. */
  copy(key: string, path: string, signal?: AbortSignal): Promise<void>;
}

/** How to reach a bucket. */
export interface SourceOptions {
  /** S3 endpoint of one's own. Default: `$AWS_ENDPOINT_URL_S3`, else AWS. */
  endpoint?: string;
  /** Default: `$AWS_REGION` or `$AWS_DEFAULT_REGION`, else us-west-2, where Maxar's open data lies. */
  region?: string;
  /** Unsigned requests, for open data. Default: `true` for the bucket `maxar-opendata`. */
  anonymous?: boolean;
}

/**
 * Opens a folder or an S3 prefix for reading.
 *
 * @param address `/data/delivery` or `s3://bucket/prefix`
 * @throws {Error} when a folder is not there, or is a file, naming it; a bucket is asked only once it is read
 */
export function openSource(address: string, options: SourceOptions = {}): Source {
  if (address.startsWith('s3://')) return bucketSource(address, options);
  if (!existsSync(address)) throw new Error(`no folder ${address}: give a folder or s3://bucket/prefix`);
  if (!statSync(address).isDirectory()) throw new Error(`${address} is a file: give the folder that holds ard/`);
  return folderSource(resolve(address));
}

function folderSource(root: string): Source {
  return {
    address: root,
    async list(prefix = '') {
      const folder = join(root, prefix);
      if (!existsSync(folder)) return [];
      return (await filesUnder(root, folder)).sort((a, b) => (a.key < b.key ? -1 : 1));
    },
    read: (key) => readFile(join(root, key)),
    copy: (key, path, signal) => writeStream(createReadStream(join(root, key)), path, signal),
  };
}

/** Every file below a folder, links followed; a link to a folder that it lies in itself is passed over. */
async function filesUnder(root: string, folder: string, above: readonly string[] = []): Promise<SourceFile[]> {
  const place = await realpath(folder);
  if (above.includes(place)) return [];
  const names = await readdir(folder);
  const found = await Promise.all(names.map((name) => filesAt(root, join(folder, name), [...above, place])));
  return found.flat();
}

/** A file, or those of a folder; none for what is neither, or is gone since the folder above was listed. */
async function filesAt(root: string, path: string, above: readonly string[]): Promise<SourceFile[]> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ELOOP') return undefined; // ELOOP: a link to itself
    throw error;
  });
  if (found?.isDirectory()) return filesUnder(root, path, above);
  return found?.isFile() ? [{ key: relative(root, path), bytes: found.size }] : [];
}

/** The SDK asks for credentials even where nothing is signed with them. */
const NOBODY = { accessKeyId: '', secretAccessKey: '' };

function bucketSource(address: string, { endpoint, region, anonymous }: SourceOptions): Source {
  const [, bucket, path] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(address) ?? [];
  if (!bucket) throw new Error(`no bucket in ${address}: expected s3://bucket/prefix`);
  const prefix = path && !path.endsWith('/') ? `${path}/` : (path ?? '');
  const unsigned = anonymous ?? bucket === 'maxar-opendata';
  const client = new S3Client({
    region: region ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? 'us-west-2',
    ...(endpoint ? { endpoint } : {}),
    ...(endpoint || process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL ? { forcePathStyle: true } : {}),
    ...(unsigned ? { signer: { sign: async (request) => request }, credentials: NOBODY } : {}),
  });
  const get = async (key: string, signal?: AbortSignal): Promise<Readable> => {
    const command = new GetObjectCommand({ Bucket: bucket, Key: prefix + key });
    const answer = await client.send(command, signal ? { abortSignal: signal } : {});
    return answer.Body as Readable;
  };
  const named = async <Result>(name: string, work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> =>
    work().catch((error: unknown) => {
      signal?.throwIfAborted();
      throw bucketFault(name, error);
    });
  const addressOf = (key: string): string => `s3://${bucket}/${prefix}${key}`;
  return {
    address,
    list: async (within = '') =>
      named(address, async () => {
        const files: SourceFile[] = [];
        const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix + within });
        for await (const page of pages) {
          for (const { Key = '', Size = 0 } of page.Contents ?? []) {
            if (!Key.endsWith('/')) files.push({ key: Key.slice(prefix.length), bytes: Size });
          }
        }
        return files;
      }),
    read: async (key) => named(addressOf(key), async () => Buffer.concat(await (await get(key)).toArray())),
    copy: async (key, to, signal) =>
      named(addressOf(key), async () => writeStream(await get(key, signal), to, signal), signal),
  };
}

/** Writes a stream to a file; when it is stopped, the error is the signal's own reason. */
async function writeStream(stream: Readable, path: string, signal?: AbortSignal): Promise<void> {
  await pipeline(stream, createWriteStream(path), signal ? { signal } : {}).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}

const LOGIN = 'set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
const REACH = 'check the network, and AWS_ENDPOINT_URL_S3 where the bucket is not at AWS';

/** What S3 and the way to it answer, by the error's name or code: what that means and what to do. */
const FAULTS: Record<string, string> = {
  NoSuchBucket: 'there is no such bucket: check its name, and AWS_ENDPOINT_URL_S3 where it is not at AWS',
  NoSuchKey: 'there is no such file any more: run again',
  AccessDenied: `access is denied: ask for s3:ListBucket and s3:GetObject there, or ${LOGIN} of somebody who has them`,
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
  ECONNRESET: `the connection broke: run again, or ${REACH}`,
};

/** One line with the address, what was found and the remedy; an error that is not S3's, of the disk say, as it is. */
function bucketFault(address: string, error: unknown): unknown {
  const { name, code, message, $metadata } = error as NodeJS.ErrnoException & { $metadata?: object };
  const known = [name, code ?? ''].find((word) => word in FAULTS);
  if (known === undefined && $metadata === undefined) return error;
  const detail = message.split('\n')[0];
  return new Error(
    `cannot read ${address}: ${known ? `${FAULTS[known]} (${detail})` : `S3 answers ${name}: ${detail}; try again later`}`,
    { cause: error },
  );
}
