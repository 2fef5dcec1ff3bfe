import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { type StepOptions, eachUnit } from '../ard/index.ts';

/** A folder of which all was known at some time. */
export interface KnownFolder {
  folder: string;
  /** Milliseconds since 1970 by the folder's disk; 0 where it was not. */
  since: number;
}

/** What was known at times so close together is asked after together. */
const TOGETHER_MS = 60_000;
/** Has glibc keep what `find` needed for a folder for the next one: to hand it back and get it anew was half of its time. */
const KEEP_MEMORY = { MALLOC_TRIM_THRESHOLD_: String(1 << 28) };
/** Folders that one process is asked after, and bytes that it may say. */
const [MOST_ASKED, MOST_SAID] = [1000, 1 << 26];

/**
 * Folders in which anything was written, renamed, added or removed since all was known, or is a link, which may lead elsewhere now.
 *
 * Asks the system's `find`, which looks at a file in half the time that it takes here, and in processes of its own: they run from
 * when this is called, as far as nobody else needs the processor. It goes by the time of the last change (ctime), which unlike that of
 * writing no program can set; only a clock that is set back hides a change from it. What `find` cannot tell counts as touched.
 */
export async function touchedFolders(
  known: readonly KnownFolder[],
  { signal }: Pick<StepOptions, 'signal'> = {},
): Promise<Set<string>> {
  const never = known.filter(({ since }) => !(since > 0)).map(({ folder }) => folder);
  const shares = sharesOf(known.filter(({ since }) => since > 0));
  const concurrency = availableParallelism();
  const touched = await eachUnit(shares, 'folders', (share) => touchedIn(share, signal), { concurrency });
  return new Set([...never, ...touched.flat()]);
}

/** In shares for as many processes as there are cores; the folders of each known at about the same time. */
function sharesOf(known: readonly KnownFolder[]): KnownFolder[][] {
  const most = Math.min(MOST_ASKED, Math.ceil(known.length / availableParallelism()));
  const shares: KnownFolder[][] = [];
  for (const folder of known.toSorted((a, b) => a.since - b.since)) {
    const share = shares.at(-1);
    if (share && share.length < most && folder.since - share[0].since < TOGETHER_MS) share.push(folder);
    else shares.push([folder]);
  }
  return shares;
}

async function touchedIn(share: readonly KnownFolder[], signal: AbortSignal | undefined): Promise<string[]> {
  const folders = share.map(({ folder }) => folder);
  const since = `@${(share[0].since / 1000).toFixed(3)}`;
  const find = ['find', ...folders, '(', '-newerct', since, '-o', '-type', 'l', ')', '-printf', '%H\\n']; // follows no link
  try {
    const { stdout } = await promisify(execFile)('nice', ['-n', '10', ...find], {
      signal,
      maxBuffer: MOST_SAID,
      env: { ...process.env, ...KEEP_MEMORY },
    });
    return stdout.split('\n').filter((folder) => folder !== '');
  } catch {
    return folders; // one is gone, there is no such find, or more was touched than there is room to say
  }
}
