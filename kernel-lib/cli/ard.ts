import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { openDelivery, parseCell, readTiles, tilesOf } from '../ard/index.ts';
import { dataPath } from '../infra/index.ts';
import { print, printTable } from './output.ts';
import { zoneNumber } from './values.ts';

/** Adds the verbs that look at cells and at deliveries. */
export function ardVerbs(program: Command): void {
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
