import { createReadStream, statSync } from 'node:fs';
import { open, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { FilePart, Source, SourceFile, SourceTop } from './source.ts';

/** A folder on disk, its links followed. */
export function folderSource(root: string): Source {
  return {
    address: root,
    list: (prefix = '') => listUnder(root, prefix),
    top: () => topOf(root),
    read: (key) => readFile(join(root, key)),
    readRange: async (key, offset, length) => (await readPart(join(root, key), offset, length)).bytes,
    readPart: (key, offset, length) => readPart(join(root, key), offset, length),
    open: async (key, { from = 0, signal } = {}) =>
      createReadStream(join(root, key), { start: from, highWaterMark: 1 << 20, ...(signal ? { signal } : {}) }),
    digest: async () => ({ algorithm: 'size' }),
  };
}

/** As a bucket lists: the prefix may end in the middle of a name. */
async function listUnder(root: string, prefix: string): Promise<SourceFile[]> {
  const folder = join(root, prefix.slice(0, prefix.lastIndexOf('/') + 1));
  const start = prefix.slice(prefix.lastIndexOf('/') + 1);
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []; // no key begins so
    throw error;
  });
  const above = [await realpath(root)];
  const found = names.filter((name) => name.startsWith(start)).map((name) => filesAt(root, join(folder, name), above));
  return (await Promise.all(found)).flat().sort((a, b) => (a.key < b.key ? -1 : 1));
}

async function topOf(root: string): Promise<SourceTop> {
  const names = (await readdir(root)).sort();
  const folders = names.filter((name) => statSync(join(root, name), { throwIfNoEntry: false })?.isDirectory());
  const others = names.filter((name) => !folders.includes(name));
  return { folders, files: (await Promise.all(others.map((name) => filesAt(root, join(root, name), [])))).flat() };
}

async function readPart(path: string, offset: number, length: number): Promise<FilePart> {
  const handle = await open(path);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, offset);
    return { bytes: buffer.subarray(0, bytesRead), size: (await handle.stat()).size };
  } finally {
    await handle.close();
  }
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
  if (!found?.isFile()) return [];
  return [{ key: relative(root, path), bytes: found.size, modified: found.mtime }];
}
