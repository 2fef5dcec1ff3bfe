import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Source, type SourceFile, eachUnit } from '../ard/index.ts';
import { sumOf } from './checksum.ts';

const md5 = { algorithm: 'md5', value: '' } as const;

/** Whether a file on disk has the bytes that a source states; `undefined` where that states nothing of them but their number. */
export async function sameBytes(path: string, file: SourceFile, source: Source): Promise<boolean | undefined> {
  if (file.etag === undefined) return (await sumOf(path, md5)) === (await sumOf(join(source.address, file.key), md5));
  const plain = { ...md5, value: file.etag };
  if (/^[0-9a-f]{32}$/.test(file.etag) && (await sumOf(path, plain)) === file.etag) return true;
  const digest = await source.digest(file); // an ETag may be another thing than the MD5: asked, the bucket tells
  return digest.algorithm === 'size' ? undefined : (await sumOf(path, digest)) === digest.value;
}

/**
 * Of files on both sides those that differ and are newer on the disk: nobody has brought them anywhere yet.
 *
 * @param mine files of the disk, by key
 * @param pathOf where on the disk a key lies
 * @returns keys
 */
export async function newerOnDisk(
  source: Source,
  files: readonly SourceFile[],
  mine: ReadonlyMap<string, SourceFile>,
  pathOf: (key: string) => string,
): Promise<Set<string>> {
  const differs = await eachUnit(files, 'files', async (file) => {
    const local = mine.get(file.key);
    if (!local || local.modified.getTime() <= file.modified.getTime()) return false;
    return local.bytes !== file.bytes || (await sameBytes(pathOf(file.key), file, source)) !== true;
  });
  return new Set(files.filter((_, index) => differs[index]).map(({ key }) => key));
}

/** Whether a file on disk has the size and the time of a source's, as one that was brought has: told by one look. */
export async function looksSame(path: string, { bytes, modified }: SourceFile): Promise<boolean> {
  const found = await stat(path).catch(() => undefined); // what stands in the way is told when it is written
  return found?.isFile() === true && found.size === bytes && Math.abs(found.mtimeMs - modified.getTime()) < 2;
}
