/** What workers leave in their job's folder: exit codes, last words, how far they are. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Progress } from '../../ard/index.ts';
import { type ArrayJob, type ShardFault, filesOf } from './array.ts';

const progressSchema = z.object({ done: z.number(), total: z.number(), unit: z.string() });

/** The exit code that a worker ended with; nothing while it has not ended by itself. */
export async function exitOf({ folder }: ArrayJob, shard: number): Promise<number | undefined> {
  const text = await readFile(filesOf(folder, shard).exit, 'utf8').catch(absent);
  return text === undefined || text.trim() === '' ? undefined : Number(text);
}

/** What became of a worker that failed, by its exit code and its last words. */
export async function faultOf({ folder }: ArrayJob, shard: number, code: number | string): Promise<ShardFault> {
  const { log } = filesOf(folder, shard);
  const lines = ((await readFile(log, 'utf8').catch(absent)) ?? '').trimEnd().split('\n');
  const said = lines.findLast((line) => line.startsWith('imagesim: '))?.slice('imagesim: '.length) ?? lines.at(-1);
  return { shard, why: `${typeof code === 'number' ? `exit code ${code}` : code}${said ? `: ${said}` : ''}`, log };
}

/** What all workers have done together; nothing where none has said. A worker that has not yet begun counts nothing. */
export async function progressOf({ folder, shards }: ArrayJob): Promise<Progress | undefined> {
  const told = await Promise.all(
    shards.map(async (shard) => {
      const text = await readFile(filesOf(folder, shard).progress, 'utf8').catch(absent);
      return text === undefined ? undefined : progressSchema.safeParse(JSON.parse(text)).data;
    }),
  );
  const known = told.filter((one) => one !== undefined);
  if (known.length === 0) return undefined;
  const sum = (of: (progress: Progress) => number): number => known.reduce((total, one) => total + of(one), 0);
  return { done: sum(({ done }) => done), total: sum(({ total }) => total), unit: known[0].unit };
}

/** A file that is not there yet; another fault of the disk is one. */
function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
