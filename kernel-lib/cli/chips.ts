import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Bounds, type Shard, environmentShard } from '../ard/index.ts';
import { dataPath } from '../infra/index.ts';
import { megabytes, print, printTable, steps } from './output.ts';
import { TO, between, boxOf, numberOf, shardNamed, zoneNumber } from './values.ts';

/** Adds the verb that indexes and cuts chips. */
export function chipVerbs(program: Command): void {
  program
    .command('chip')
    .description('index what is real and cut the chips of a zone')
    .option('--filename <path>', 'the no-data index; default: nodata-index.json in the data folder')
    .option('--chip-dir <folder>', 'where chips go, its last part the zone; default: chips/<zone> in the data folder')
    .option(
      '--ard-dir <folder>',
      'where tiles are read, alone: a folder or s3:// prefix; default: ard in the data folder',
    )
    .option('--to <address>', TO)
    .option('--zone <n>', 'UTM zone; default: the last part of --chip-dir', zoneNumber)
    .option('--bbox <w,s,e,n>', 'only chips that this box touches, degrees', boxOf)
    .option('--date <day>', 'only acquisitions of this day, 2023-05-17, or of several, 2023-05-01..2023-05-31', daysOf)
    .option('--max-cloud <percent>', 'only tiles with no more cloud', numberOf)
    .option('--max-off-nadir <degrees>', 'only acquisitions from no further aside', numberOf)
    .addOption(new Option('--product <name>', 'raster that is cut').choices(['visual', 'ms', 'pan']).default('visual'))
    .addOption(new Option('--format <format>', 'of the chips').choices(['jpg', 'png', 'webp']).default('jpg'))
    .option('--quality <n>', '1 to 100; default: as delivered, JPEG cropped without a second loss', between(1, 100))
    .option('--min-valid <share>', 'least share of real pixels of a chip that is cut', Number, 1)
    .option('--assume-real', 'take every pixel of a tile for real that does not say which are; default: leave it out')
    .option('--index-only', 'write the index and cut nothing')
    .option('--dry-run', 'say what would be cut, and write nothing')
    .option(
      '--shard <i/n>',
      'only the cells that fall to worker i of n, from 0; who ends last merges the index, of a bucket a run without it. Default: as the array job says',
      shardNamed,
    )
    .option('--force', 'read masks anew and cut again what is there')
    .action(async ({ ardDir, date, maxCloud, assumeReal, shard, ...options }: ChipFlags) => {
      const { chipTiles } = await import('../chips/index.ts');
      const report = await chipTiles({
        ...options,
        ...date,
        maxCloudPercent: maxCloud,
        noMask: assumeReal ? 'assume-real' : 'leave-out',
        shard: shard ?? environmentShard(),
        dataPath: dataPath(),
        ard: ardDir,
        ...steps(),
      });
      printTable(report.tiles.map((tile) => ({ ...tile, filled: tile.filled.toFixed(3) })));
      report.leftOut.forEach((line) => console.error(`left out: ${line}`));
      report.failed.forEach((line) => console.error(`imagesim: ${line}`));
      if (report.failed.length > 0) process.exitCode = 1;
      const { chips, cut, bytes, filename, chipDir, merged } = report;
      const later = options.to ? 'the same without --shard merges the index' : 'who ends last merges the index';
      if (options.dryRun)
        print(
          `${chips} chips, ${cut} to cut, ${megabytes(bytes)}${options.to ? `, to ${chipDir}` : ''}; nothing is written`,
        );
      else print(`${chips} chips, ${cut} cut now; ${merged ? `index: ${filename}` : later}`);
    });
}

interface ChipFlags {
  filename?: string;
  chipDir?: string;
  ardDir?: string;
  to?: string;
  zone?: number;
  bbox?: Bounds;
  date?: { since: string; until: string };
  maxCloud?: number;
  maxOffNadir?: number;
  product: 'visual' | 'ms' | 'pan';
  format: 'jpg' | 'png' | 'webp';
  quality?: number;
  minValid: number;
  assumeReal?: boolean;
  indexOnly?: boolean;
  dryRun?: boolean;
  shard?: Shard;
  force?: boolean;
}

/** A day, or the first and the last of several. */
function daysOf(text: string): { since: string; until: string } {
  const [since, until = since, ...more] = text.split('..');
  if (more.length > 0 || ![since, until].every((day) => /^\d{4}-\d\d-\d\d$/.test(day)))
    throw new InvalidArgumentError('expected a day, 2023-05-17, or two, 2023-05-01..2023-05-31.');
  return { since, until };
}
