import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What a sync is about to do: known before the first byte moves. */
export interface SyncPlan {
  /** Files that the destination is to have, and their bytes. */
  files: number;
  bytes: number;
  /** Of these, what is not there yet. */
  missing: number;
  missingBytes: number;
  /** Free bytes of the destination's disk; `undefined` where that is a bucket, or tells none. */
  freeBytes: number | undefined;
  /** About how long it takes, see {@link ASSUMED}. */
  seconds: number;
  /** What AWS charges, US dollars. */
  cost: SyncCost;
}

/** List prices of S3 in us-west-2, which most regions come close to. */
export interface SyncCost {
  /** For the requests. */
  requests: number;
  /** For bytes that leave AWS to the internet; the first 100 GB of a month are free. */
  toInternet: number;
  /** For bytes that leave the bucket to a machine in its own region. */
  toSameRegion: number;
}

/** What an estimate of time takes for granted: a middling connection between a machine and S3 in one region. */
const ASSUMED = { bytesPerSecond: 100e6, secondsPerFile: 0.03 } as const;

/** US dollars. @see https://aws.amazon.com/s3/pricing (us-west-2, as of 2025) */
const PRICE = { get: 0.0004 / 1000, put: 0.005 / 1000, internetPerGB: 0.09, freeGB: 100 } as const;

/**
 * Plans a sync.
 *
 * @param missing sizes of what is to be moved, bytes
 * @param options.to folder that it goes to; `undefined` for a bucket
 * @param options.from whose bill it is: `bucket`, `open data` that their keeper pays for, or `disk`
 * @param options.relays whether it goes to a bucket by way of the folder. Default: false
 */
export async function planSync(
  all: readonly number[],
  missing: readonly number[],
  {
    to,
    from,
    concurrency,
    relays = false,
  }: { to?: string | undefined; from: 'bucket' | 'open data' | 'disk'; concurrency: number; relays?: boolean },
): Promise<SyncPlan> {
  const missingBytes = sum(missing);
  return {
    files: all.length,
    bytes: sum(all),
    missing: missing.length,
    missingBytes,
    freeBytes: to === undefined ? undefined : await freeBytes(to),
    seconds:
      (relays ? 2 : 1) *
      (missingBytes / ASSUMED.bytesPerSecond + (missing.length * ASSUMED.secondsPerFile) / concurrency),
    cost: costOf(missing.length, missingBytes, from, {
      downloads: to !== undefined,
      uploads: to === undefined || relays,
    }),
  };
}

function costOf(
  files: number,
  bytes: number,
  from: 'bucket' | 'open data' | 'disk',
  { downloads, uploads }: { downloads: boolean; uploads: boolean },
): SyncCost {
  const requests = uploads ? files * PRICE.put : 0;
  if (!downloads || from !== 'bucket') return { requests, toInternet: 0, toSameRegion: 0 };
  const charged = Math.max(0, bytes / 1e9 - PRICE.freeGB);
  return { requests: requests + files * PRICE.get, toInternet: charged * PRICE.internetPerGB, toSameRegion: 0 };
}

/**
 * @param halfBytes of what is missing, there from an interrupted run
 * @throws {Error} when what is missing does not go onto the disk, naming the folder, both sizes and the remedy
 */
export function refuseFullDisk({ missingBytes, freeBytes: free }: SyncPlan, to: string, halfBytes = 0): void {
  if (free === undefined || missingBytes - halfBytes <= free) return;
  throw new Error(
    `${bytesText(missingBytes)} are missing in ${to}, whose disk has ${bytesText(free)} free: free some space, set IMAGESIM_DATA to a folder on a larger disk, or take less of it (--quadkey, --bbox, --since, --min-filled)`,
  );
}

/** Free bytes of the disk that a folder lies on, or will when it is made; `undefined` where that has no size to tell. */
async function freeBytes(folder: string): Promise<number | undefined> {
  let at = folder;
  while (!existsSync(at)) at = dirname(at);
  const { bavail, bsize, blocks } = await statfs(at);
  return blocks === 0 ? undefined : bavail * bsize;
}

/** A plan in lines for people: `[what, how much]`. */
export function planLines(plan: SyncPlan): [what: string, amount: string][] {
  const { cost, freeBytes: free } = plan;
  return [
    ['to be there', `${filesText(plan.files)}, ${bytesText(plan.bytes)}`],
    ['to move now', plan.missing === 0 ? 'nothing' : `${filesText(plan.missing)}, ${bytesText(plan.missingBytes)}`],
    ...(free === undefined ? [] : [['free disk', bytesText(free)] as [string, string]]),
    [
      'time',
      plan.missing === 0 ? 'none' : `about ${durationText(plan.seconds)} at ${ASSUMED.bytesPerSecond / 1e6} MB/s`,
    ],
    [
      'cost',
      cost.requests === 0
        ? 'nothing'
        : `${dollars(cost.requests)} for requests; for bytes nothing in the bucket's region, ${dollars(cost.toInternet)} to the internet`,
    ],
  ];
}

const sum = (sizes: readonly number[]): number => sizes.reduce((total, bytes) => total + bytes, 0);
const dollars = (usd: number): string => (usd > 0 && usd < 0.01 ? 'less than $0.01' : `$${usd.toFixed(2)}`);

/** `1 file`, `2,400 files`. */
export function filesText(files: number): string {
  return `${files.toLocaleString('en')} ${files === 1 ? 'file' : 'files'}`;
}

/** `3.4 MB`, `12.1 GB`, `1.20 TB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes < 1e12 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e12).toFixed(2)} TB`;
}

/** `12 s`, `3 min`, `2.5 h`. */
export function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
