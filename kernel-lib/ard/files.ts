import { createHash } from 'node:crypto';
import { existsSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';

let serial = 0;

/** Tells this process from one of the same number before it: in a container each run may have the same. */
const started = Math.floor(performance.timeOrigin).toString(36);

/** Tells this machine, or container, from others that write to the same disk: their processes cannot be asked after. */
const place = placeMark();

function placeMark(): string {
  const namespace = existsSync('/proc/self/ns/pid') ? readlinkSync('/proc/self/ns/pid') : '';
  return createHash('sha256').update(`${hostname()} ${namespace}`).digest('hex').slice(0, 8);
}

/**
 * A name beside `path` that no reader takes for the real thing: it begins with a dot and ends in `.part`.
 *
 * @param mark a word of hexadecimal digits by which a later run knows what was being written. Default: none
 */
export function partName(path: string, mark = ''): string {
  const slash = path.lastIndexOf('/') + 1;
  const own = `${place}-${process.pid}-${started}-${serial++}`;
  return `${path.slice(0, slash)}.${path.slice(slash)}.${mark && `${mark}.`}${own}.part`;
}

/** What a process that is no more left half-written. */
export interface StalePart {
  path: string;
  /** Name of the file that it was to be, with the mark that {@link partName} was given. */
  of: string;
}

/** What processes that are no more left half-written in a folder; none where there is no such folder. */
export async function staleParts(folder: string): Promise<StalePart[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.map(async (name) => {
    const [, of, where, pid, start] = /^\.(.+)\.([0-9a-f]{8})-(\d+)-([0-9a-z]+)-\d+\.part$/.exec(name) ?? [];
    const path = join(folder, name);
    return of !== undefined && (await isStale(path, where, Number(pid), start)) ? [{ path, of }] : [];
  });
  return (await Promise.all(found)).flat();
}

/** The name of a temporary file that its process is done with and a later step may go on with. */
export function laidDown(part: string): string {
  return part.replace(/[0-9a-f]{8}-\d+-[0-9a-z]+-\d+\.part$/, '00000000-0-0-0.part');
}

/** Of another machine's process nobody here can tell whether it lives: a day without a byte is taken for its end. */
async function isStale(
  path: string,
  where: string | undefined,
  pid: number,
  start: string | undefined,
): Promise<boolean> {
  if (pid === 0) return true; // laid down
  if (where === place) return pid === process.pid ? start !== started : !isAlive(pid);
  const found = await stat(path).catch(() => undefined); // gone meanwhile: its process has ended well
  return found !== undefined && Date.now() - found.mtimeMs > 24 * 3_600_000;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // signal 0 only asks
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'; // EPERM: another user's, alive
  }
}

/**
 * Writes a file whole or not at all: to a temporary name beside it, then renamed. Makes the folder where it is missing.
 *
 * @throws {Error} naming the path, when the folder cannot be written
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  await replaceWhole(path, (part) => writeFile(part, content));
}

/**
 * Has `write` make a file under a temporary name, then renames it to `path`; the temporary file is removed on failure.
 *
 * What a process that died has left half-written in the folder goes too, at the first file that this one writes there.
 */
export async function replaceWhole(path: string, write: (part: string) => Promise<unknown>): Promise<void> {
  const part = partName(path);
  try {
    await makeFolder(dirname(path));
    await sweepParts(dirname(path));
    await write(part);
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true }).catch(() => undefined); // the first error is the one to tell
    throw cannotWrite(path, part, error);
  }
}

/** Folders swept by this process: chips come by the thousand into one, which is listed once. */
const swept = new Set<string>();

/** Removes temporary files whose process is no more, once a folder. Only tidies: what cannot be removed stays. */
export async function sweepParts(folder: string): Promise<void> {
  if (swept.has(folder)) return;
  swept.add(folder);
  const stale = await staleParts(folder);
  await Promise.all(stale.map(({ path }) => rm(path, { force: true }).catch(() => undefined)));
}

/**
 * Makes a folder and those above it that are missing. Node's own `recursive` never ends below /proc (nodejs/node 20).
 *
 * @throws the system's error, where the folder cannot be made
 */
export async function makeFolder(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  await makeFolder(dirname(folder));
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error; // another worker was first
  });
}

/** A file cannot be written, for a reason that the next one will meet as well. */
export class WriteError extends Error {
  override readonly name: string = 'WriteError';
}

/** An error of the disk as one line with path, finding and remedy; another as it is. */
export function cannotWrite(path: string, part: string, error: unknown): unknown {
  const { code, path: at } = error as NodeJS.ErrnoException;
  if (at !== undefined && at !== part && !path.startsWith(at)) return error; // about a file that `write` read
  const reasons: Record<string, string> = {
    EACCES: 'no permission: give the folder to this user, or set IMAGESIM_DATA to one that is',
    EROFS: 'the disk is read-only: set IMAGESIM_DATA to a folder on a writable one',
    ENOSPC: 'the disk is full: free some space, or set IMAGESIM_DATA to a folder on a larger one',
    EPERM: 'no permission: give the folder to this user, or set IMAGESIM_DATA to one that is',
    EDQUOT: 'the quota is used up: free some space, or set IMAGESIM_DATA to a folder on another disk',
    ENOENT: 'no folder can be made there: set IMAGESIM_DATA to one on a disk',
    EISDIR: 'a folder stands where the file is to go: move it away',
    ENOTDIR: 'a file stands where a folder is needed: move it away, or set IMAGESIM_DATA to another folder',
  };
  return code !== undefined && code in reasons
    ? new WriteError(`cannot write ${path}: ${reasons[code]}`, { cause: error })
    : error;
}

/** What a JSON text says; `undefined` of one that is no JSON: a schema then says what is missing, and its caller in which file. */
export function jsonOf(text: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof text === 'string' ? text : Buffer.from(text).toString());
  } catch {
    return undefined;
  }
}

/**
 * Reads a JSON file.
 *
 * @throws {Error} naming the file and what was found, when it is missing or is not JSON
 */
export async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new Error(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error });
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not JSON (it begins with ${JSON.stringify(text.slice(0, 40))}): fetch it again`, {
      cause: error,
    });
  }
}
