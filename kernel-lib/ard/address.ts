import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { bucketSource } from './bucket.ts';
import { folderSource } from './folder.ts';
import type { Source, SourceOptions } from './source.ts';

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
