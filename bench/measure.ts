// How a row is measured: ours and the peer's rounds in turn within one run, warm-ups of each first, then medians and their spread.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { SampleScale } from 'imagesim/sample';

/** One row of the table. */
export interface Bench {
  /** `<stage>: <what>`. */
  name: string;
  /** Of the rates, so that more is better: `chips/s`. */
  unit: string;
  /** Makes ready what a round needs and is not measured. */
  open(options: BenchOptions): Promise<Contest>;
}

export interface BenchOptions {
  /** How much of the sample's tile holds data. */
  scale: SampleScale;
}

/** Both sides of a row, ready to run. */
export interface Contest {
  ours: () => Promise<Round>;
  peer: Peer | Absent;
  /** Rounds of each side before those that count. Default: 1; more for a server, which runs for days. */
  warmUps?: number | undefined;
  /** What ours ran on, where that is not plain from the row's name; told after the rounds. */
  note?: string | (() => string) | undefined;
  close?: (() => Promise<void>) | undefined;
}

/** What one round came to. */
export interface Round {
  /** In the row's unit. */
  rate: number;
  /** What was found, in words that both sides use: told where they differ. */
  found?: string;
}

/** Another program that does the same. */
export interface Peer {
  /** Name and versions. */
  name: string;
  round: () => Promise<Round>;
  close: () => void;
}

/** Why a row has no peer. */
export interface Absent {
  missing: string;
}

/** Rates of several rounds. */
export interface Spread {
  median: number;
  least: number;
  most: number;
}

/** A row as measured. */
export interface Measured {
  name: string;
  unit: string;
  ours: Spread;
  peer: Spread | undefined;
  /** The peer's name, or why there is none. */
  peerName: string;
  notes: string[];
}

/**
 * Where files cost least: memory, when the system lends as much of it as a folder. A disk's own pace is not what is measured, and ext4
 * searches long for an inode after thousands of files were removed, in this run or the last.
 */
export async function memoryFolder(bytes: number): Promise<string> {
  const free = await statfs('/dev/shm').then(({ bavail, bsize }) => bavail * bsize, () => 0); // prettier-ignore
  return free > bytes ? '/dev/shm' : tmpdir();
}

/**
 * Runs a row: warm-ups of each side, then rounds of both in turn.
 *
 * @param rounds of each side, the warm-ups not counted
 */
export async function measure(bench: Bench, rounds: number, options: BenchOptions): Promise<Measured> {
  const { ours, peer, note, close, warmUps = 1 } = await bench.open(options);
  try {
    const [mine, theirs]: [Round[], Round[]] = [[], []];
    for (let round = 0; round < warmUps + rounds; round++) {
      mine.push(await ours());
      if ('name' in peer) theirs.push(await peer.round());
    }
    const spread = (side: Round[]): Spread => spreadOf(side.slice(warmUps).map(({ rate }) => rate));
    return {
      name: bench.name,
      unit: bench.unit,
      ours: spread(mine),
      peer: theirs.length > 0 ? spread(theirs) : undefined,
      peerName: 'name' in peer ? peer.name : `none: ${peer.missing}`,
      notes: [...(note ? [typeof note === 'string' ? note : note()] : []), ...agreement(mine, theirs)],
    };
  } finally {
    if ('name' in peer) peer.close();
    await close?.();
  }
}

/** Median (of an even count the mean of the middle two), least and most. */
export function spreadOf(rates: readonly number[]): Spread {
  const sorted = rates.toSorted((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(half)] + sorted[Math.ceil(half)]) / 2;
  return { median, least: sorted[0], most: sorted[sorted.length - 1] };
}

/** What the rounds found, in one line; two where the sides differ. */
function agreement(ours: Round[], peer: Round[]): string[] {
  const said = (side: Round[]): string => [...new Set(side.map(({ found }) => found ?? ''))].join(' / ');
  if (peer.length === 0 || said(ours) === said(peer)) return said(ours) ? [`found: ${said(ours)}`] : [];
  return [`THE SIDES DIFFER, ours: ${said(ours)}`, `THE SIDES DIFFER, peer: ${said(peer)}`];
}

/** Runs some work once. @returns its rate, `count` a second */
export async function rateOf(count: number, work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (1000 * count) / (performance.now() - start);
}

/**
 * Starts a peer of `bench/peers` under the first Python that has what it imports; it stays for all rounds.
 *
 * @param task handed to it as JSON
 * @param remedy what to install where it cannot start
 * @throws {Error} with what it wrote last, when it fails for another reason than a missing module
 */
export async function openPeer(script: string, task: unknown, remedy: string): Promise<Peer | Absent> {
  const reasons: string[] = [];
  for (const python of ['/usr/bin/python3', 'python3']) {
    const peer = await startPeer(python, join(import.meta.dirname, 'peers', script), task);
    if ('name' in peer) return peer;
    reasons.push(`${python}: ${peer.missing}`);
  }
  return { missing: `${remedy} (${reasons.join('; ')})` };
}

async function startPeer(python: string, path: string, task: unknown): Promise<Peer | Absent> {
  const child = spawn(python, ['-B', path]);
  const ask = conversation(child);
  const fault = (words: string): Error => new Error(`${path} under ${python}: ${words}`);
  const answer = await ask(JSON.stringify(task));
  if ('name' in answer) {
    const round = async (): Promise<Round> => {
      const result = await ask('go');
      if ('rate' in result) return result as unknown as Round;
      throw fault(String(result.failed));
    };
    return { name: String(answer.name), round, close: () => child.stdin.end() };
  }
  const failed = String(answer.failed);
  if (/ModuleNotFoundError|ImportError|ENOENT/.test(failed)) return { missing: failed };
  throw fault(failed);
}

/** Writes a line to a program and reads the JSON line that it answers; `failed` with its last words where it ended instead. */
function conversation(child: ChildProcessWithoutNullStreams): (line: string) => Promise<Record<string, unknown>> {
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words += text));
  child.on('error', (error) => (words += error.message)).stdin.on('error', () => undefined); // told by `failed`
  const closed = new Promise((resolve) => child.once('close', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async (line) => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await lines.next();
    if (!done) return JSON.parse(value) as Record<string, unknown>;
    await closed;
    return { failed: words.trim().split('\n').at(-1) ?? '' };
  };
}
