import { setMaxListeners } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import {
  type SourceFile, type SourceOptions, SourceError, bucketFault, eachUnit, placeOf, s3Client,
} from '../ard/index.ts'; // prettier-ignore
import { sumOf } from './checksum.ts';
import { patiently } from './patience.ts';
import type { TransferOptions } from './transfer.ts';

/** From here on a file goes in parts of so many bytes: a broken connection costs one of them. */
const PART_BYTES = 16 * 2 ** 20;

/**
 * Puts files of a folder into a bucket, under the same names.
 *
 * The SDK sends a checksum along, by which S3 refuses what arrives changed; the MD5 that S3 answers is compared as well.
 *
 * @param root folder that the files' keys start from
 * @param address s3:// prefix that they go below
 * @throws {Error} naming the object, what was found and the remedy; what has arrived stays
 */
export async function putFiles(
  root: string,
  files: readonly SourceFile[],
  address: string,
  { endpoint, region, anonymous, ...options }: TransferOptions & SourceOptions,
): Promise<void> {
  const put = await openUpload(address, { endpoint, region, anonymous });
  await put(root, files, options);
}

/** {@link putFiles} into one bucket, time and again by the same connections. */
export type PutFiles = (root: string, files: readonly SourceFile[], options: TransferOptions) => Promise<void>;

/** Opens a bucket for {@link PutFiles}. @throws {Error} where the address names none */
export async function openUpload(address: string, options: SourceOptions): Promise<PutFiles> {
  const { bucket, prefix } = placeOf(address);
  const client = (await s3Client(bucket, options)) as S3Client;
  return async (root, files, { signal, onProgress, concurrency = 8, retries = 5 }) => {
    if (signal) setMaxListeners(0, signal); // every request listens to it
    const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
    let bytes = 0;
    const put = async (file: SourceFile): Promise<void> => {
      const place = { Bucket: bucket, Key: prefix + file.key };
      await putFile(client, place, join(root, file.key), file.bytes, { signal, retries });
      bytes += file.bytes;
    };
    await eachUnit(files, 'files', put, {
      signal,
      concurrency,
      onProgress: (progress) => onProgress?.({ ...progress, bytes, totalBytes }),
    });
  };
}

interface Place {
  Bucket: string;
  Key: string;
}

/** Puts one file, and tries again after what passes. */
async function putFile(
  client: S3Client,
  place: Place,
  path: string,
  bytes: number,
  { signal, retries }: { signal: AbortSignal | undefined; retries: number },
): Promise<void> {
  const address = `s3://${place.Bucket}/${place.Key}`;
  const put = async (): Promise<void> => {
    const answer = await (bytes > PART_BYTES ? putParts : putWhole)(client, place, path, signal).catch(
      (error: unknown) => {
        signal?.throwIfAborted();
        throw bucketFault(address, error, 'write');
      },
    );
    await compare(answer, path, address);
  };
  await patiently(put, { retries, signal });
}

/** What S3 answers to a finished upload. */
interface Answer {
  ETag?: string | undefined;
  ServerSideEncryption?: string | undefined;
}

async function putWhole(client: S3Client, place: Place, path: string, signal?: AbortSignal): Promise<Answer> {
  const { PutObjectCommand } = await import('@aws-sdk/client-s3');
  const command = new PutObjectCommand({ ...place, Body: await readFile(path) });
  return client.send(command, signal ? { abortSignal: signal } : {});
}

async function putParts(client: S3Client, place: Place, path: string, signal?: AbortSignal): Promise<Answer> {
  const { Upload } = await import('@aws-sdk/lib-storage');
  const Body = createReadStream(path, { highWaterMark: 1 << 20 });
  const upload = new Upload({ client, params: { ...place, Body }, partSize: PART_BYTES, queueSize: 4 });
  const stop = (): void => void upload.abort();
  signal?.addEventListener('abort', stop, { once: true });
  return upload.done().finally(() => signal?.removeEventListener('abort', stop));
}

/** @throws {SourceError} where what lies there now has another MD5; with a key of KMS an ETag says nothing of it */
async function compare({ ETag = '', ServerSideEncryption = '' }: Answer, path: string, address: string): Promise<void> {
  const etag = ETag.replaceAll('"', '');
  if (!/^[0-9a-f]{32}(-\d+)?$/.test(etag) || ServerSideEncryption.startsWith('aws:kms')) return;
  const parts = { algorithm: 'md5-parts', value: etag, partBytes: PART_BYTES } as const;
  const found = await sumOf(path, etag.includes('-') ? parts : { algorithm: 'md5', value: etag });
  if (found === etag) return;
  throw new SourceError(`${address} arrived changed: its MD5 is ${etag}, that of ${path} ${found}: sync again`, {
    transient: true,
  });
}
