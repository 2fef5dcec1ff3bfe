import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
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
  /** Every file below a prefix, in order of key. */
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
  /** Default: the SDK's own, else us-west-2, where Maxar's open data lies. */
  region?: string;
  /** Unsigned requests, for open data. Default: `true` for the bucket `maxar-opendata`. */
  anonymous?: boolean;
}

/**
 * Opens a folder or an S3 prefix for reading.
 *
 * @param address `/data/delivery` or `s3://bucket/prefix`
 * @throws {Error} when a folder is not there, naming it
 */
export function openSource(address: string, options: SourceOptions = {}): Source {
  if (address.startsWith('s3://')) return bucketSource(address, options);
  if (!existsSync(address)) throw new Error(`no folder ${address}: give a folder or s3://bucket/prefix`);
  return folderSource(resolve(address));
}

function folderSource(root: string): Source {
  return {
    address: root,
    async list(prefix = '') {
      const folder = join(root, prefix);
      if (!existsSync(folder)) return [];
      const entries = await readdir(folder, { withFileTypes: true, recursive: true });
      const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
      const files = await Promise.all(paths.map((path) => fileAt(root, path)));
      return files.filter((file) => file !== undefined).sort((a, b) => (a.key < b.key ? -1 : 1));
    },
    read: (key) => readFile(join(root, key)),
    copy: (key, path, signal) =>
      pipeline(createReadStream(join(root, key)), createWriteStream(path), withSignal(signal)),
  };
}

/** A file of a folder; `undefined` for what is none, or is gone since the folder was listed. */
async function fileAt(root: string, path: string): Promise<SourceFile | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found?.isFile() ? { key: relative(root, path), bytes: found.size } : undefined;
}

function bucketSource(address: string, { endpoint, region, anonymous }: SourceOptions): Source {
  const [, bucket, path] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(address) ?? [];
  if (!bucket) throw new Error(`no bucket in ${address}: expected s3://bucket/prefix`);
  const prefix = path && !path.endsWith('/') ? `${path}/` : (path ?? '');
  const unsigned = anonymous ?? bucket === 'maxar-opendata';
  const client = new S3Client({
    region: region ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? 'us-west-2',
    ...(endpoint ? { endpoint } : {}),
    ...(endpoint || process.env.AWS_ENDPOINT_URL_S3 ? { forcePathStyle: true } : {}),
    ...(unsigned ? { signer: { sign: async (request) => request } } : {}),
  });
  const get = async (key: string): Promise<Readable> => {
    const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: prefix + key }));
    return answer.Body as Readable;
  };
  return {
    address,
    async list(within = '') {
      const files: SourceFile[] = [];
      const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix + within });
      for await (const page of pages) {
        for (const { Key = '', Size = 0 } of page.Contents ?? []) {
          if (!Key.endsWith('/')) files.push({ key: Key.slice(prefix.length), bytes: Size });
        }
      }
      return files;
    },
    async read(key) {
      return Buffer.concat(await (await get(key)).toArray());
    },
    copy: async (key, to, signal) => pipeline(await get(key), createWriteStream(to), withSignal(signal)),
  };
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
