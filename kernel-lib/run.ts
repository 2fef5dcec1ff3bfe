import { join } from 'node:path';
import { type StepOptions, dataRoot, makeFolder, openDelivery, readTiles, tilesOf } from './ard/index.ts';
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
} from './infra/index.ts';
import { serveOverpass } from './osm/index.ts';

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

/** Opens Jupyter on the notebooks, with the same stage set; returns when it ends. */
export async function runLab({ port, print, signal }: RunOptions): Promise<void> {
  const stage = await setStage({ signal });
  try {
    const lab = await openLab({
      notebooksDir: join(projectRoot(), 'notebooks'),
      env: stage.env,
      signal,
      ...(port === undefined ? {} : { port }),
    });
    print(`Jupyter on ${stage.kind}: ${lab.url}`);
    await lab.ended;
  } finally {
    await stage.close();
  }
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
