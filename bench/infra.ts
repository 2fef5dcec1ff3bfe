// A sync beside aws and rclone: the same server, the same files, each as the program that a user starts.
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pushTree } from 'imagesim/infra';
import type { Absent, Bench, Contest, Peer, Round } from './measure.ts';

const cli = fileURLToPath(new URL('../kernel-lib/bin/imagesim.js', import.meta.url));
const MIB = 2 ** 20;

/** What a row moves: rasters of a delivery, or chips. */
const loads = {
  'large files': { unit: 'MB/s', count: 40, bytes: 32 * MIB },
  'small files': { unit: 'files/s', count: 6000, bytes: 15_000 },
} as const;
type Load = keyof typeof loads;

/** How a peer is started, and what says that it is there. */
const peers = {
  aws: {
    program: '/usr/bin/aws',
    remedy: 'apt-get install awscli',
    command: (from: string, to: string, endpoint: string) => ['s3', 'cp', '--recursive', '--only-show-errors', '--endpoint-url', endpoint, from, to], // prettier-ignore
  },
  rclone: {
    program: 'rclone',
    remedy: 'apt-get install rclone',
    command: (from: string, to: string) => ['copy', '--transfers', '8', from.replace('s3://', 'bench:'), to],
  },
} as const;

/** A server in a process of its own, so that nobody shares its loop. */
async function startServer(folder: string): Promise<{ endpoint: string; child: ChildProcess }> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'peers/bucket.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [endpoint] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { endpoint, child };
}

async function open(load: Load, peerName: keyof typeof peers): Promise<Contest> {
  const { count, bytes } = loads[load];
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-bench-'));
  const { endpoint, child } = await startServer(join(folder, 'server'));
  const env = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER', AWS_ENDPOINT_URL_S3: endpoint, AWS_REGION: 'us-west-2' }; // prettier-ignore
  Object.assign(process.env, env, remoteOf(endpoint));
  await fill(join(folder, 'data'), count, bytes);
  const address = `s3://imagesim-storage/${peerName}`;
  await pushTree('chips', join(folder, 'data'), address);
  const to = join(folder, 'to');
  const round = (program: string, args: string[]): (() => Promise<Round>) => async () => {
    await rm(to, { recursive: true, force: true });
    await mkdir(to);
    const start = performance.now();
    await promisify(execFile)(program, args, { env: { ...process.env, ...env, IMAGESIM_DATA: to, AWS_CA_BUNDLE: undefined } });
    const seconds = (performance.now() - start) / 1000;
    const found = `${(await readdir(to, { recursive: true })).filter((name) => name.endsWith('.jpg')).length} files`;
    return { found, rate: load === 'large files' ? (count * bytes) / 1e6 / seconds : count / seconds };
  }; // prettier-ignore
  return {
    ours: round(process.execPath, [cli, 'sync', `${address}/chips`]),
    peer: peerOf(peerName, (program, args) => round(program, args), `${address}/chips`, to, endpoint),
    note: `${count} files of ${bytes >= MIB ? `${bytes / MIB} MiB` : `${bytes / 1000} kB`}, from s3rver in a process of its own on the same machine`,
    close: async () => {
      child.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function peerOf(
  name: keyof typeof peers,
  round: (program: string, args: string[]) => () => Promise<Round>,
  from: string,
  to: string,
  endpoint: string,
): Peer | Absent {
  const { program, remedy, command } = peers[name];
  const { stdout, stderr, error } = spawnSync(program, [name === 'aws' ? '--version' : 'version'], {
    encoding: 'utf8',
  });
  if (error) return { missing: `${remedy} (${error.message})` };
  const version = /[\w-]+[/ ]v?[\d.]+\S*/.exec(stdout || stderr)?.[0] ?? name;
  return { name: version, round: round(program, [...command(from, to, endpoint)]), close: () => undefined };
}

/** The server as rclone's remote `bench`. */
function remoteOf(endpoint: string): Record<string, string> {
  const settings = { type: 's3', provider: 'Other', env_auth: 'true', force_path_style: 'true', endpoint, region: 'us-west-2' }; // prettier-ignore
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [`RCLONE_CONFIG_BENCH_${name.toUpperCase()}`, value])); // prettier-ignore
}

async function fill(folder: string, count: number, bytes: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const path = join(folder, 'chips/33', String(index % 16).padStart(12, '0'), `${index}.jpg`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, randomBytes(bytes));
  }
}

export const infra: Bench[] = (Object.keys(loads) as Load[]).flatMap((load) =>
  (Object.keys(peers) as (keyof typeof peers)[]).map((peer) => ({
    name: `infra sync: ${load}, ${peer}`,
    unit: loads[load].unit,
    open: () => open(load, peer),
  })),
);
