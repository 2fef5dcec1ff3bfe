import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type Progress, openDelivery, paddedZone, parseCell, readTiles, tilesOf } from './ard/index.ts';
import { dataPath } from './infra/index.ts';

const version = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version;

const program = new Command('imagesim')
  .description('Finds places that look alike in very-high-resolution satellite imagery.')
  .version(version)
  .configureOutput({
    outputError: (text, write) =>
      write(
        `${text
          .trim()
          .replace(/^error:/, 'imagesim:')
          .replace(/\s*\n\s*/g, ' ')} (imagesim --help lists the verbs)\n`,
      ),
  });

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true'; // five lines on every use of S3 with Node 20

const stop = new AbortController();
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(); // whoever read has read enough: `imagesim cell - | head -1`
  throw error;
});
process.once('SIGINT', () => stop.abort(new Error('interrupted: run the same command again to go on')));

program
  .command('cell')
  .description('print a JSON line for each cell id')
  .argument('<ids...>', 'cell ids in any spelling, as Z33-031133012203; - reads them from standard input')
  .action(async (ids: string[]) => {
    for await (const id of ids.includes('-') ? linesAnd(ids) : ids) printCell(id);
  });

program
  .command('tiles')
  .description('list what a delivery holds')
  .argument('[delivery]', 'folder or s3:// prefix; default: the data folder')
  .option('--zone <n>', 'only this UTM zone', zoneNumber)
  .option('--json', 'one JSON line a tile')
  .action(async (delivery: string | undefined, { zone, json }: { zone?: number; json?: boolean }) => {
    const all = delivery ? await tilesOf(await openDelivery(delivery)) : await readTiles(dataPath());
    const tiles = all.filter(({ cell }) => zone === undefined || cell.zone === zone);
    if (tiles.length === 0) throw new Error(`no tile of zone ${zone} in ${delivery ?? dataPath()}`);
    const rows = tiles.map(({ cell, date, catid, files, metadata }) => ({
      cell: cell.id, date, acquisition: catid, files: Object.keys(files).sort().join(' '),
      filled: metadata?.filled, cloudPercent: metadata?.cloudPercent, offNadir: metadata?.offNadir, gsd: metadata?.gsd,
    })); // prettier-ignore
    if (json) rows.forEach((row) => print(JSON.stringify(row)));
    else printTable(rows.map((row) => ({ ...row, filled: row.filled?.toFixed(3) })));
  });

program
  .command('sample')
  .description('make the synthetic delivery')
  .argument('<folder>', 'where it goes')
  .addOption(new Option('--scale <scale>', 'how much ground').choices(['tiny', 'city', 'full']).default('tiny'))
  .option('--seed <n>', 'another country', between(-1e9, 1e9), 33)
  .action(async (folder: string, { scale, seed }: { scale: 'tiny' | 'city' | 'full'; seed: number }) => {
    const { makeSample } = await import('./sample/index.ts');
    const made = await makeSample(resolve(folder), { scale, seed, ...steps() });
    print(`${made.files.length} files in ${resolve(folder)}: ${made.cells.join(', ')} at ${made.dates.join(', ')}`);
  });

program
  .command('sync')
  .description('bring a delivery into the data folder')
  .argument('<delivery>', 'folder or s3:// prefix')
  .option('--zone <n>', 'only this UTM zone', zoneNumber)
  .option('--dry-run', 'say what would be moved')
  .action(async (delivery: string, { zone, dryRun = false }: { zone?: number; dryRun?: boolean }) => {
    const { syncDelivery } = await import('./infra/index.ts');
    const report = await syncDelivery(delivery, dataPath(), { ...(zone ? { zone } : {}), dryRun, ...steps() });
    const verb = dryRun ? 'would be moved' : 'moved';
    print(
      `${report.tiles.length} tiles: ${report.moved} of ${report.files} files ${verb}, ${megabytes(report.movedBytes)}; the others are there`,
    );
  });

program
  .command('osm')
  .description('fetch every OpenStreetMap element of every cell of a zone')
  .requiredOption('--zone <n>', 'UTM zone', zoneNumber)
  .option('--endpoint <url>', 'Overpass endpoint; default: $IMAGESIM_OVERPASS, else the public one')
  .option('--force', 'fetch again what is there')
  .action(async ({ zone, endpoint, force = false }: { zone: number; endpoint?: string; force?: boolean }) => {
    const { fetchOsmByQuadkey } = await import('./osm/index.ts');
    const tags = await fetchOsmByQuadkey(zone, dataPath(), { ...(endpoint ? { endpoint } : {}), force, ...steps() });
    const count = (rows: { count: number }[]): string => `${rows.length} tags`;
    print(`nodes: ${count(tags.nodeTags)}, ways: ${count(tags.wayTags)}, relations: ${count(tags.relationTags)}`);
  });

program
  .command('chip')
  .description('index what is real and cut the chips of a zone')
  .option('--filename <path>', 'the no-data index; default: nodata-index.json in the data folder')
  .option('--chip-dir <folder>', 'where chips go, its last part the zone; default: chips/<zone> in the data folder')
  .option('--ard-dir <folder>', 'where tiles are read, alone; default: ard in the data folder')
  .option('--zone <n>', 'UTM zone; default: the last part of --chip-dir', zoneNumber)
  .option('--quality <n>', 'JPEG quality, 1 to 100', between(1, 100), 90)
  .option('--min-valid <share>', 'least share of real pixels of a chip that is cut', Number, 1)
  .option('--index-only', 'write the index and cut nothing')
  .option('--force', 'cut again what is there')
  .action(async ({ ardDir = dataPath(), ...options }: ChipFlags) => {
    const { chipTiles } = await import('./chips/index.ts');
    const report = await chipTiles({ ...chipPlaces(options.zone), ...options, dataPath: ardDir, ...steps() });
    printTable(report.tiles);
    report.leftOut.forEach((line) => console.error(`left out: ${line}`));
    print(`${report.chips.length} chips, ${report.cut} cut now; index: ${report.filename}`);
  });

program
  .command('doctor')
  .description('say what this machine has and lacks')
  .action(async () => {
    const { doctor } = await import('./infra/index.ts');
    printTable(await doctor(dataPath()));
  });

program
  .command('notebooks')
  .description(
    'run the seven notebooks, in order, on $IMAGESIM_DELIVERY, else the delivery used last, the tiles there, or a sample',
  )
  .argument('[names...]', 'only these, as 03-chips or 03')
  .action(async (names: string[]) => {
    const { runAll } = await import('./run.ts');
    await runAll({ names, print, ...steps() });
  });

program
  .command('lab')
  .description('open Jupyter on the notebooks, on 127.0.0.1')
  .option('--port <n>', 'default: 8888, or a free one', between(1, 65_535))
  .action(async ({ port }: { port?: number }) => {
    const { runLab } = await import('./run.ts');
    await runLab({ ...(port ? { port } : {}), print, signal: stop.signal });
  });

/** Where index and chips of a zone go, wherever its tiles are read; without a zone, `--chip-dir` is to name it. */
function chipPlaces(zone: number | undefined): { filename: string; chipDir?: string } {
  const filename = join(dataPath(), 'nodata-index.json');
  return zone === undefined ? { filename } : { filename, chipDir: join(dataPath(), 'chips', paddedZone(zone)) };
}

interface ChipFlags {
  filename?: string;
  chipDir?: string;
  ardDir?: string;
  zone?: number;
  quality: number;
  minValid: number;
  indexOnly?: boolean;
  force?: boolean;
}

/** A parser of whole numbers in a range. */
function between(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high)
      throw new InvalidArgumentError(`expected a whole number, ${low} to ${high}.`);
    return value;
  };
}

function zoneNumber(text: string): number {
  return between(1, 60)(text);
}

function print(line: string): void {
  console.log(line);
}

/** Ids from the arguments, `-` standing for the lines of standard input. */
async function* linesAnd(ids: string[]): AsyncGenerator<string> {
  for (const id of ids) {
    if (id !== '-') yield id;
    else for await (const line of createInterface({ input: process.stdin })) if (line.trim()) yield line.trim();
  }
}

/** A bad id is named on standard error; the others are still printed, and the exit code says so. */
function printCell(id: string): void {
  try {
    print(JSON.stringify(parseCell(id)));
  } catch (error) {
    console.error(`imagesim: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}

function printTable(rows: object[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const cells = [columns, ...rows.map((row) => Object.values(row).map((value) => String(value ?? '–')))];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  cells.forEach((row) => print(row.map((text, column) => text.padEnd(widths[column])).join('  ').trimEnd())); // prettier-ignore
}

/** What every long step gets: Ctrl-C, and one line that is written over on a terminal. */
function steps(): { signal: AbortSignal; onProgress: (progress: Progress) => void } {
  const onProgress = ({ done, total, unit, note = '' }: Progress): void => {
    const line = `${done}/${total} ${unit} ${note}`.trimEnd();
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}${done === total ? '\n' : ''}`);
  };
  return { signal: stop.signal, onProgress };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

program.parseAsync().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  console.error(`imagesim: ${message.split('\n')[0]}`);
  if (process.env.IMAGESIM_DEBUG && error instanceof Error) console.error(error.stack);
  process.exitCode = 1;
});
