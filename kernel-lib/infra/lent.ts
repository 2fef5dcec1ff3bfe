import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceFile } from '../ard/index.ts';
import type { Outbox } from './outbox.ts';

/** A file that is there on a disk, or is brought out of a bucket for as long as somebody reads it. */
export interface LentFile {
  /** Its size, and when it was written or what the bucket states of its bytes: where that is the same, so is the file. */
  mark: string;
  /** Has it read where it lies. @param work told its path, and the folder that keys start from */
  read: <Result>(work: (path: string, root: string) => Promise<Result>) => Promise<Result>;
}

/** A file below a folder; nothing where there is none. */
export async function lentOnDisk(root: string, key: string): Promise<LentFile | undefined> {
  const path = join(root, key);
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found && { mark: `${found.size} ${found.mtimeMs}`, read: (work) => work(path, root) };
}

/** An object of a bucket: brought to the outbox's inbox when it is read, and removed there then. */
export function lentInBucket(outbox: Outbox, file: SourceFile): LentFile {
  const here = outbox.at(outbox.inbox);
  const path = join(here.root, file.key);
  return {
    mark: `${file.bytes} ${file.etag ?? file.modified.getTime()}`,
    read: async (work) => {
      await here.bring([file]);
      try {
        return await work(path, here.root);
      } finally {
        await rm(path, { force: true });
      }
    },
  };
}
