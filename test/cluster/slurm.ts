// Slurm itself on loopback, of Debian's packages: controller, two nodes of one processor, and munge, started without systemd in a folder of its own.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Nodes of the cluster. */
export const NODES = ['one', 'two'] as const;
export type Node = (typeof NODES)[number];

/** A cluster that runs. */
export interface Cluster {
  /** Environment by which sbatch, squeue and scontrol find it. */
  env: Record<string, string>;
  /** Kills the daemon of a node, and every worker on it, as a machine that loses power. */
  killNode(node: Node): Promise<void>;
  /** Starts it again, empty. */
  startNode(node: Node): Promise<void>;
  /** Processes of scripts that run on it, and of what these started. */
  workers(node?: Node): Promise<Process[]>;
  /** Runs a command of Slurm. @returns what it said */
  command(name: string, ...words: string[]): Promise<string>;
  close(): Promise<void>;
}

const DAEMONS = ['/usr/sbin/munged', '/usr/sbin/slurmctld', '/usr/sbin/slurmd', '/usr/bin/sbatch'];

/** Why there can be no cluster here; nothing where there can. */
export function whyNoSlurm(): string | undefined {
  const missing = DAEMONS.find((path) => !existsSync(path));
  if (missing) return `found no ${missing}: apt-get install slurmctld slurmd slurm-client munge`;
  return userInfo().uid === 0 ? undefined : 'slurmd runs as root alone';
}

/** Starts a cluster; of a test's `before`. @throws {Error} with the logs' last lines, when it is not up within 20 s */
export async function openCluster(): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'imagesim-slurm-'));
  const cluster = new LoopbackCluster(folder);
  try {
    await cluster.open();
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

class LoopbackCluster implements Cluster {
  readonly env: Record<string, string>;
  readonly #folder: string;
  readonly #daemons = new Map<string, ChildProcess>();

  constructor(folder: string) {
    this.#folder = folder;
    this.env = { SLURM_CONF: join(folder, 'slurm.conf') };
  }

  async open(): Promise<void> {
    const folder = this.#folder;
    process.once('exit', () => this.#daemons.forEach((child) => child.kill('SIGKILL'))); // also where the tests are broken off
    for (const name of ['state', ...NODES.map((node) => `spool-${node}`)]) await mkdir(join(folder, name));
    await chmod(folder, 0o755);
    await writeFile(join(folder, 'munge.key'), randomBytes(128), { mode: 0o400 });
    const ports = [await freePort(), await freePort(), await freePort()];
    await writeFile(this.env['SLURM_CONF'], settings(folder, ports));
    const munge = ['--foreground', '--force', '--num-threads=2', `--key-file=${folder}/munge.key`, `--socket=${folder}/munge.socket`];
    this.#start('munged', [...munge, `--pid-file=${folder}/munged.pid`, `--log-file=${folder}/munged.log`, `--seed-file=${folder}/munge.seed`]); // prettier-ignore
    await until(() => existsSync(join(folder, 'munge.socket')), 'munged', () => this.#words());
    this.#start('slurmctld', ['-D', '-i']);
    for (const node of NODES) await this.startNode(node);
    await until(() => this.#idle(), 'the nodes', () => this.#words());
  } // prettier-ignore

  #start(program: string, words: string[], name = program): void {
    const child = spawn(`/usr/sbin/${program}`, words, { env: { ...process.env, ...this.env }, stdio: 'ignore' });
    this.#daemons.set(name, child);
  }

  async #idle(): Promise<boolean> {
    const states = await this.command('sinfo', '--noheader', '--Node', '--format=%T').catch(() => ''); // the controller comes up
    return states.trim().split('\n').filter((state) => state === 'idle').length === NODES.length; // prettier-ignore
  }

  async startNode(node: Node): Promise<void> {
    this.#start('slurmd', ['-D', '-N', node], node);
  }

  async killNode(node: Node): Promise<void> {
    const daemon = this.#daemons.get(node)!;
    const ended = once(daemon, 'exit');
    const workers = await this.workers(node);
    daemon.kill('SIGKILL');
    for (const { pid } of [...(await this.#keepers(node)), ...workers]) kill(pid);
    await ended;
  }

  async workers(node?: Node): Promise<Process[]> {
    const spools = (node ? [node] : NODES).map((name) => join(this.#folder, `spool-${name}/job`));
    const table = await processes();
    const own = new Set(table.filter(({ words }) => spools.some((spool) => words.includes(spool))).map(({ pid }) => pid));
    for (let before = -1; before < own.size;) {
      before = own.size;
      for (const { pid, parent } of table) if (own.has(parent)) own.add(pid);
    }
    return table.filter(({ pid }) => own.has(pid));
  } // prettier-ignore

  /** The processes of Slurm that watch over the scripts of a node. */
  async #keepers(node: Node): Promise<Process[]> {
    const table = await processes();
    const scripts = table.filter(({ words }) => words.includes(join(this.#folder, `spool-${node}/job`)));
    return table.filter(({ pid, words }) => words.startsWith('slurmstepd') && scripts.some(({ parent }) => parent === pid)); // prettier-ignore
  }

  async command(name: string, ...words: string[]): Promise<string> {
    return (await run(name, words, { env: { ...process.env, ...this.env } })).stdout;
  }

  async #words(): Promise<string> {
    const logs = ['munged', 'slurmctld', ...NODES.map((node) => `slurmd-${node}`)].map((name) => join(this.#folder, `${name}.log`)); // prettier-ignore
    const texts = await Promise.all(logs.map((log) => readFile(log, 'utf8').catch(() => '')));
    return texts.map((text) => text.trimEnd().split('\n').slice(-3).join('\n')).join('\n');
  }

  async close(): Promise<void> {
    for (const { pid } of await this.workers()) kill(pid);
    const ends = [...this.#daemons.values()].filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).map((child) => once(child, 'exit')); // prettier-ignore
    for (const child of this.#daemons.values()) child.kill('SIGKILL');
    await Promise.all(ends);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** A process of this machine. */
export interface Process {
  pid: number;
  parent: number;
  words: string;
}

/** Every process of this machine. */
async function processes(): Promise<Process[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,ppid=,args='], { maxBuffer: 2 ** 24 });
  return stdout.trim().split('\n').map((line) => {
    const [, pid, parent, words] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line)!;
    return { pid: Number(pid), parent: Number(parent), words };
  }); // prettier-ignore
}

/** Kills a process, which may have ended meanwhile. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function until(isSo: () => boolean | Promise<boolean>, what: string, words: () => Promise<string>): Promise<void> {
  for (const start = performance.now(); !(await isSo()); await pause(50))
    if (performance.now() - start > 20_000) throw new Error(`${what} did not come up: ${await words()}`);
} // prettier-ignore

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** slurm.conf: two nodes that are this machine, found dead after some seconds (and a worker begun again after `cred_expire`), without cgroups and accounting. */
function settings(folder: string, [controller, ...nodes]: number[]): string {
  const own = hostname();
  return `ClusterName=imagesim
SlurmctldHost=${own}(127.0.0.1)
SlurmctldPort=${controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=${folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool-%n
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd-%n.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdTimeout=5
KillWait=2
BatchStartTimeout=1
MinJobAge=300
MailProg=/bin/true
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,sched_interval=1
${NODES.map((node, at) => `NodeName=${node} NodeHostname=${own} NodeAddr=127.0.0.1 Port=${nodes[at]} CPUs=1 RealMemory=4096`).join('\n')}
PartitionName=all Nodes=${NODES.join(',')} Default=YES MaxTime=INFINITE State=UP
`;
}
