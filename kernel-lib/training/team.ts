/** Members that train one network together, each on shards of the batch: worker threads, or a process for each GPU. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BackendName } from './backend.ts';
import type { Envelope, Reply, Request } from './member.ts';
import type { Objective, Shard, ShardGradients } from './replica.ts';
import type { Seat } from './seats.ts';
import { keepThread, takeThread } from './thread.ts';

/** Members with replicas of one network. */
export interface Team {
  /** How many. */
  size: number;
  /** Gives every member the same weights. */
  setWeights(values: Float32Array): Promise<void>;
  /** Outputs of each shard; shard `i` is always at member `i` modulo their number. */
  outputs(shards: readonly Shard[], training: boolean): Promise<Float32Array[][]>;
  gradients(shards: readonly Shard[], objectives: readonly Objective[]): Promise<ShardGradients[]>;
  close(): Promise<void>;
}

/** One member, asked and answering. */
interface Member {
  ask(request: Request): Promise<unknown>;
  end(): Promise<void>;
}

/**
 * Opens a team for a network.
 *
 * @param seats where members sit, as `seatsOf` gives them
 * @param topology the layers as JSON, without weights
 * @throws {Error} naming the member and its reason, when one does not come up
 */
export async function openTeam(seats: readonly Seat[], topology: string): Promise<Team> {
  const members = seats.map((seat, i) => memberAt(seat, `training member ${i + 1} of ${seats.length} (${seat.backend}, a ${seat.kind})`)); // prettier-ignore
  const close = async (): Promise<void> => void (await Promise.all(members.map((member) => member.end())));
  const dealt = <Answer>(count: number, request: (shard: number) => Request): Promise<Answer[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => members[i % members.length].ask(request(i)))) as Promise<Answer[]>; // prettier-ignore
  try {
    await Promise.all(members.map((member, i) => member.ask({ ask: 'open', topology, backend: seats[i].backend })));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    size: members.length,
    setWeights: async (values) =>
      void (await Promise.all(members.map((member) => member.ask({ ask: 'weights', values })))),
    outputs: (shards, training) => dealt(shards.length, (i) => ({ ask: 'outputs', shard: shards[i], training })),
    gradients: (shards, objectives) =>
      dealt(shards.length, (i) => ({ ask: 'gradients', shard: shards[i], objective: objectives[i] })),
    close,
  };
}

/** What threads and processes have in common. */
interface Line {
  post(envelope: Envelope): void;
  onReply(listener: (reply: Reply) => void): void;
  onEnd(listener: (reason: string) => void): void;
  end(): Promise<unknown>;
  /** Leaves it, sound and idle, to the next team; not there: it can only be ended. */
  keep?(): void;
}

function memberAt(seat: Seat, name: string): Member {
  const line = seat.kind === 'thread' ? threadLine(seat.backend) : processLine(seat.env);
  const waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  let next = 0;
  let death: Error | undefined;
  let isSound = true;
  line.onReply((reply) => {
    const asked = waiting.get(reply.id);
    waiting.delete(reply.id);
    if ('answer' in reply) asked?.resolve(reply.answer);
    else {
      isSound = false;
      asked?.reject(new Error(`${name}: ${reply.error}`));
    }
  });
  line.onEnd((reason) => {
    death ??= new Error(`${name} ended: ${reason}; give it a smaller batch or fewer members, and run again to go on`);
    for (const asked of waiting.values()) asked.reject(death);
    waiting.clear();
  });
  const ask = (request: Request): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (death) return reject(death);
      waiting.set(next, { resolve, reject });
      line.post({ id: next++, request });
    });
  return {
    ask,
    async end() {
      if (line.keep && isSound && !death && waiting.size === 0 && (await isEmptied(ask))) line.keep();
      else await line.end();
      death ??= new Error(`${name} has left its team, which is closed`);
    },
  };
}

/** Whether a member has given back the memory of its replica. */
function isEmptied(ask: Member['ask']): Promise<boolean> {
  return ask({ ask: 'close' }).then(() => true, () => false); // prettier-ignore
}

function threadLine(backend: BackendName): Line {
  const worker = takeThread(backend);
  return {
    post: (envelope) => worker.postMessage(envelope, []),
    onReply: (listener) => worker.on('message', listener),
    onEnd: (listener) =>
      worker.on('error', (error) => listener(error.message)).on('exit', (code) => listener(`exit code ${code}`)),
    end: () => worker.terminate(),
    keep: () => keepThread(worker, backend),
  };
}

function processLine(env: Record<string, string>): Line {
  const child = fork(fileURLToPath(new URL('./member.js', import.meta.url)), {
    serialization: 'advanced',
    execArgv: [],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return {
    post: (envelope) => void child.send(envelope),
    onReply: (listener) => child.on('message', listener),
    onEnd: (listener) =>
      child.on('error', (error) => listener(error.message)).on('exit', (code, signal) => listener(signal ?? `exit code ${code}`)), // prettier-ignore
    end: () => ended(child),
  };
}

function ended(child: ChildProcess): Promise<void> {
  const isGone = child.pid === undefined || child.exitCode !== null || child.signalCode !== null; // without a number it never began
  if (isGone) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill();
  });
}
