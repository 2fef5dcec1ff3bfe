import { readFile, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { type StepOptions, dataRoot, makeFolder, openDelivery, readTiles, tilesOf } from '../ard/index.ts';
import {
  chooseNotebooks,
  dataPath,
  findDelivery,
  HOME_ZONE,
  openLab,
  projectRoot,
  runNotebooks,
  scale,
  setting,
} from '../infra/index.ts';
import { serveOverpass } from '../osm/index.ts';

/** What a run of the notebooks needs: the delivery found, its Overpass answered, and the environment that says so. */
interface Stage {
  kind: string;
  env: Record<string, string>;
  close(): Promise<void>;
}

/** Options of {@link runAll} and {@link runLab}. */
export interface RunOptions extends StepOptions {
  /** Which notebooks, as `03-chips` or `03`. Default: all seven. */
  names?: readonly string[];
  /** Port of Jupyter. Default: 8888, or a free one. */
  port?: number;
  /** Where lines for people go. */
  print: (line: string) => void;
}

/**
 * Runs the notebooks in order on the delivery that is found, and says what they found.
 *
 * Where the delivery has a folder `overpass/`, a loopback Overpass endpoint answers from it while they run.
 */
export async function runAll({ names = [], print, signal, onProgress }: RunOptions): Promise<void> {
  const notebooksDir = join(projectRoot(), 'notebooks');
  const chosen = await chooseNotebooks(notebooksDir, names.length > 0 ? names : undefined); // before a sample is made
  const stage = await setStage({ signal, onProgress });
  const outputDir = join(dataRoot(dataPath()), 'notebooks');
  try {
    print(`on ${stage.kind}`);
    let finished = 0;
    const started = performance.now();
    const runs = await runNotebooks({
      notebooksDir,
      outputDir,
      names: chosen,
      env: stage.env,
      signal,
      onProgress: (progress) => {
        onProgress?.(progress);
        if (progress.note?.endsWith(': done'))
          print(`${++finished}. ${progress.note}, ${((performance.now() - started) / 1000).toFixed(0)} s so far`);
      },
    });
    print('');
    for (const { name, seconds: took, peakMemoryBytes, lastLine } of runs) {
      print(`${name}  ${took.toFixed(0)} s, ${(peakMemoryBytes / 1e6).toFixed(0)} MB: ${lastLine}`);
    }
    print(`\nexecuted copies: ${runs.map(({ html }) => html).join('\n                 ')}`);
    print(`(and .ipynb beside each, in ${outputDir})`);
  } finally {
    await stage.close();
  }
}

/** A lab that runs, as the data folder notes it. */
interface LabNote {
  /** The delivery that it is opened on. */
  kind: string;
  url: string;
  /** The process that ends it when it is killed. */
  pid: number;
  notebooksDir: string;
}

/**
 * Opens Jupyter on the notebooks, with the same stage set; returns when it ends.
 *
 * Over ssh it outlives the connection, so that a dropped tunnel ends no kernel. The same command again then says where
 * it is, and opens no second one.
 */
export async function runLab({ port, print, signal }: RunOptions): Promise<void> {
  const notebooksDir = join(projectRoot(), 'notebooks');
  const place = join(dataRoot(dataPath()), 'notebooks', port === undefined ? 'lab' : `lab-${port}`);
  const running = await readLab(`${place}.json`, notebooksDir);
  if (running) return print(`open already: ${labText(running)}\nIt ends with: kill ${running.pid}`);
  const stop = untilHangUp(signal);
  const stage = await setStage({ signal: stop });
  try {
    await makeFolder(dirname(place));
    const lab = await openLab({ notebooksDir, port, env: stage.env, signal: stop, log: `${place}.log` });
    const note = { kind: stage.kind, url: lab.url, pid: process.pid, notebooksDir };
    await writeFile(`${place}.json`, JSON.stringify(note), { mode: 0o600 }); // for this user only: it has the token
    print(`${labText(note)}\n${endText(note)}`);
    await lab.ended;
  } finally {
    await rm(`${place}.json`, { force: true });
    await stage.close();
  }
}

/** The lab that is noted, where it is this checkout's and still answers to its token. */
async function readLab(path: string, notebooksDir: string): Promise<LabNote | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  if (text === '') return undefined;
  const note = JSON.parse(text) as LabNote;
  const { origin, search } = new URL(note.url);
  const answer = await fetch(`${origin}/api/status${search}`).catch(() => undefined);
  return answer?.ok && note.notebooksDir === notebooksDir ? note : undefined;
}

/** Where it is, and over ssh the line that leads there; behind a gateway the machine does not know its own name. */
function labText({ kind, url }: LabNote): string {
  const [, , host, sshPort] = process.env['SSH_CONNECTION']?.split(' ') ?? [];
  const lab = `Jupyter on ${kind}: ${url}`;
  if (host === undefined) return lab;
  const { port } = new URL(url);
  const at = sshPort === '22' ? '' : `-p ${sshPort} `;
  return `${lab}\nFirst, on your own machine: ssh -N -L ${port}:127.0.0.1:${port} ${at}${userInfo().username}@${host} (or the name by which you reach it)`;
}

function endText({ pid }: LabNote): string {
  if (process.env['SSH_CONNECTION'] === undefined) return 'Ctrl-C ends it.';
  return `Ctrl-C or kill ${pid} ends it; a dropped connection does not: the same command again says where it is.`;
}

/** `kill` ends the lab, and so does the closing of its window; over ssh that is a connection that dropped. */
function untilHangUp(signal: AbortSignal | undefined): AbortSignal {
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  process.on('SIGHUP', () => process.env['SSH_CONNECTION'] ?? stop.abort());
  return AbortSignal.any(signal ? [signal, stop.signal] : [stop.signal]);
}

async function setStage(options: StepOptions): Promise<Stage> {
  const path = dataPath();
  await makeFolder(dataRoot(path)).catch((error: unknown) => {
    throw new Error(`cannot make the data folder ${dataRoot(path)}: set IMAGESIM_DATA to one that can be written`, {
      cause: error,
    });
  });
  const found = await findDelivery(path, { address: setting('IMAGESIM_DELIVERY', ''), scale: scale(), ...options });
  const zone = setting('IMAGESIM_ZONE', 0) || (await zoneOf(found.address, path));
  const overpass = found.overpass ? await serveOverpass(found.overpass) : undefined;
  return {
    kind: found.address ? `${found.kind}: ${found.address}` : found.kind,
    env: {
      IMAGESIM_DATA: dataRoot(path),
      IMAGESIM_ZONE: String(zone),
      ...(found.address ? { IMAGESIM_DELIVERY: found.address } : {}),
      ...(overpass ? { IMAGESIM_OVERPASS: overpass.endpoint } : {}),
    },
    close: async () => overpass?.close(),
  };
}

/** The zone of a delivery, or of the tiles that are there: 33 where it is among them, else the first. */
async function zoneOf(address: string | undefined, path: string): Promise<number> {
  const tiles = address ? await tilesOf(await openDelivery(address)) : await readTiles(path);
  const zones = tiles.map(({ cell }) => cell.zone);
  return zones.includes(HOME_ZONE) ? HOME_ZONE : Math.min(...zones);
}
