import type { S3Client } from '@aws-sdk/client-s3';
import { bucketFault, placeOf, s3Client } from '../ard/index.ts';
import { type Finding, type Probe, ok, warning } from './finding.ts';
import { setting } from './settings.ts';
import { TREES } from './tree.ts';

const REACH = 'check the network, and AWS_ENDPOINT_URL_S3 where the bucket is not at AWS';

/** The project's bucket, with a prefix maybe: `$IMAGESIM_BUCKET`, else `s3://imagesim-storage`. */
function bucketAddress(): string {
  const name = setting('IMAGESIM_BUCKET', 'imagesim-storage');
  return name.startsWith('s3://') ? name : `s3://${name}`;
}

/** Whether the project's bucket can be read, and what lies in it. */
export function bucketProbe(timeoutMs: number): Probe {
  const remedy = `${REACH}; or set IMAGESIM_BUCKET`;
  return { what: 'S3', remedy, timeoutMs, look: async (signal) => bucketRows(bucketAddress(), signal) };
}

async function bucketRows(address: string, signal: AbortSignal): Promise<Finding[]> {
  try {
    const names = await namesIn(address, signal);
    return [ok('S3', `${address} can be read`), layoutRow(address, names)];
  } catch (error) {
    signal.throwIfAborted();
    return [unreachable('S3', address, error as Error)];
  }
}

/** What the bucket holds for other machines; embeddings come when somebody brings them. */
function layoutRow(address: string, names: string[]): Finding {
  const expected = ['ard', ...TREES.filter((name) => name !== 'embeddings')];
  const [there, missing] = [true, false].map((is) => expected.filter((name) => names.includes(name) === is));
  const known = new Set<string>(['ard', ...TREES, 'nodata-index.parts']); // the last where chips came straight from workers
  const others = names.filter((name) => !known.has(name));
  const found = [
    there.join(' ') || 'nothing of ours',
    missing.length > 0 ? `no ${missing.join(', ')}` : '',
    others.length > 0 ? `beside them ${some(others)}` : '',
  ];
  const row = found.filter(Boolean).join('; ');
  if (missing.length === 0) return ok('bucket layout', row);
  const made = missing.find((name) => name !== 'ard');
  const remedy = made
    ? `once there is something: imagesim sync ${made} ${address}, and so on`
    : 'put the imagery there, as Maxar delivers it';
  return warning('bucket layout', row, remedy);
}

/** The first five names, and how many more there are. */
function some(names: string[]): string {
  return names.slice(0, 5).join(' ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
}

/** Whether Maxar's open data can be read, which takes no account. */
export function openDataProbe(timeoutMs: number): Probe {
  const address = 's3://maxar-opendata';
  const look = async (signal: AbortSignal): Promise<Finding[]> => {
    const rows = (names: string[]): Finding[] => [ok('open data', `${address} can be read: ${some(names)}`)];
    return namesIn(address, signal).then(rows, (error: Error) => [unreachable('open data', address, error)]);
  };
  return { what: 'open data', remedy: `${REACH}; only deliveries from there need it`, timeoutMs, look };
}

/** Folders and files at the top of a prefix, the first thousand. */
async function namesIn(address: string, signal: AbortSignal): Promise<string[]> {
  const { bucket, prefix } = placeOf(address);
  const { ListObjectsV2Command } = await import('@aws-sdk/client-s3');
  const client = (await s3Client(bucket)) as S3Client;
  try {
    const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, Delimiter: '/' });
    const { CommonPrefixes = [], Contents = [] } = await client.send(command, { abortSignal: signal });
    const keys = [
      ...CommonPrefixes.map(({ Prefix = '' }) => Prefix.slice(0, -1)),
      ...Contents.map(({ Key = '' }) => Key),
    ];
    return keys.map((key) => key.slice(prefix.length)).filter(Boolean);
  } catch (error) {
    throw bucketFault(address, error);
  } finally {
    client.destroy();
  }
}

/** A bucket's error, `cannot read s3://b: finding: remedy`, as a row. */
function unreachable(what: string, address: string, { message }: Error): Finding {
  const [line] = message.replace(`cannot read ${address}: `, '').split('\n');
  const [, found = line, remedy = REACH] = /^(.+?): (.+)$/.exec(line) ?? [];
  return warning(what, `${address} cannot be read: ${found}`, remedy);
}
