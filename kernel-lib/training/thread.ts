/** Threads of members: one that has done its work waits a little for the next team, for a new one takes half a second to load what it computes with. */
import { Worker } from 'node:worker_threads';
import type { BackendName } from './backend.ts';

/** How long one waits. Its memory is its own until then: no longer than what follows at once needs. */
const WAIT_MS = 2000;

/** One that waits. */
interface Waiting {
  worker: Worker;
  backend: BackendName;
  timer: NodeJS.Timeout;
}

let waiting: Waiting[] = [];

/** A thread on which `member.js` listens: one that waits, of the same backend, else a new one. */
export function takeThread(backend: BackendName): Worker {
  const found = waiting.find((one) => one.backend === backend);
  if (!found) return new Worker(new URL('./member.js', import.meta.url), { execArgv: [] }); // what the process was started with would be loaded again
  leave(found);
  found.worker.ref();
  return found.worker;
}

/** Keeps a sound thread, which nobody asks any more, for the next team. It does not hold up the end of the process. */
export function keepThread(worker: Worker, backend: BackendName): void {
  deafen(worker);
  worker.unref();
  const one: Waiting = { worker, backend, timer: setTimeout(() => end(one), WAIT_MS).unref() };
  worker.once('error', () => leave(one)).once('exit', () => leave(one));
  waiting.push(one);
}

function leave(one: Waiting): void {
  clearTimeout(one.timer);
  deafen(one.worker);
  waiting = waiting.filter((other) => other !== one);
}

function end(one: Waiting): void {
  leave(one);
  void one.worker.terminate();
}

function deafen(worker: Worker): void {
  for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
}
