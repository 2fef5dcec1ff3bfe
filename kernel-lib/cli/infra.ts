import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { type Bounds, type Shard, environmentShard } from '../ard/index.ts';
import { TREES, type PullReport, type SyncPlan, type SyncReport, type TreeReport, dataPath, durationText, planLines } from '../infra/index.ts'; // prettier-ignore
import { megabytes, print, printTable, steps, stop } from './output.ts';
import { between, boxOf, listOf, numberOf, shardNamed, zoneNumber } from './values.ts';

/** Adds the verbs that bring data, look at the machine and run the notebooks. */
export function infraVerbs(program: Command): void {
  program
    .command('sync')
    .description(
      'bring a delivery, chips, datasets or models from a bucket into the data folder, or back; a delivery from bucket to bucket too',
    )
    .argument(
      '<from>',
      `a delivery, s3://bucket/ard/33 say; or one of ${TREES.join(', ')}, of a bucket or of the data folder`,
    )
    .argument(
      '[to]',
      's3:// prefix or folder, for what lies in the data folder; s3:// prefix, for a delivery in another bucket; default: the data folder',
    )
    .option('--dry-run', 'say what would be moved, how long it takes and what it costs')
    .option('--zone <n>', 'only this UTM zone', zoneNumber)
    .option('--quadkey <digits>', 'only cells whose quadkey begins so')
    .option('--bbox <w,s,e,n>', 'only cells that this box touches, degrees', boxOf)
    .option('--since <day>', 'only acquisitions of this day or later, 2023-05-01')
    .option('--until <day>', 'only acquisitions of this day or before')
    .option('--max-cloud <percent>', 'only tiles with no more cloud', numberOf)
    .option('--min-filled <share>', 'only tiles with at least this share of real pixels, 0 to 1', numberOf)
    .option('--products <names>', 'by the descriptor, with commas between', listOf, ['visual'])
    .option('--force', 'replace what is newer where it goes; bring a delivery again that is there')
    .option('--shard <i/n>', 'only what falls to worker i of n, from 0; default: as the array job says', shardNamed)
    .option('--concurrency <n>', 'files at once', between(1, 64), 8)
    .option(
      '--endpoint <url>',
      'S3 endpoint, as the two below of <from> where both are buckets; default: $AWS_ENDPOINT_URL_S3, else AWS',
    )
    .option('--region <name>', 'default: of environment or profile, else us-west-2')
    .option('--anonymous', 'without credentials, for open data')
    .action(async (from: string, to: string | undefined, { since, until, maxCloud, ...flags }: SyncFlags) => {
      const infra = await import('../infra/index.ts');
      const options = {
        ...flags,
        since,
        until,
        maxCloudPercent: maxCloud,
        again: flags.force,
        shard: flags.shard ?? environmentShard(),
        onPlan: planPrinter(flags.dryRun),
        ...steps(),
      };
      const tree = to !== undefined || infra.treeAddress(from) !== undefined;
      const relays =
        to?.startsWith('s3://') === true && from.startsWith('s3://') && infra.treeAddress(from) === undefined;
      if (relays) return printMoved(await infra.relayDelivery(from, dataPath(), to, options), options);
      if (tree) refuseFilters(flags, since, until, maxCloud);
      if (to !== undefined) return printMoved(await infra.pushTree(from, dataPath(), to, options), options);
      if (tree) return printMoved(await infra.pullTree(from, dataPath(), options), options);
      if ((TREES as readonly string[]).includes(from.split('/')[0]) && !existsSync(from))
        throw new Error(`${from} of the data folder goes where? Give s3://bucket or a folder after it`);
      printMoved(await infra.syncDelivery(from, dataPath(), options), options);
    });

  const data = program.command('data').description('list, pull and verify what comes from outside: data-manifest.json');

  data
    .command('list')
    .description('list every entry, and how it stands in the data folder')
    .action(async () => {
      const { listData } = await import('../infra/index.ts');
      const size = (bytes: number | undefined): string => (bytes === undefined ? '–' : megabytes(bytes));
      printTable((await listData(dataPath())).map(({ name, stage, licence, bytes, state }) => ({ name, stage, licence, bytes: size(bytes), state }))); // prettier-ignore
    });

  data
    .command('pull')
    .description('bring entries into the data folder, and record the sha256 of every file')
    .argument('<names...>', 'entries, as imagesim data list names them')
    .option('--dry-run', 'say what would be moved')
    .option('--force', 'take what has changed at the source, and again what has changed here')
    .action(async (names: string[], { dryRun = false, force = false }: { dryRun?: boolean; force?: boolean }) => {
      const { pullData } = await import('../infra/index.ts');
      const onReport = ({ name, kept, moved, files, movedBytes }: PullReport): void => {
        kept.forEach((path) => console.error(`kept: ${path} is newer here, and differs`));
        print(`${name}: ${moved} of ${files} files ${dryRun ? 'would be moved' : 'moved'}, ${megabytes(movedBytes)}`);
      };
      await pullData(names, dataPath(), { dryRun, force, onReport, ...steps() });
    });

  data
    .command('verify')
    .description('compare the data folder with the manifest and with what was recorded; exits with 1 where it differs')
    .argument('[names...]', 'entries; default: all')
    .action(async (names: string[]) => {
      const { verifyData } = await import('../infra/index.ts');
      const verdicts = await verifyData(names, dataPath(), steps());
      printTable(verdicts.map(({ name, state, files, changed, missing }) => ({ name, state, files, changed: changed.length, missing: missing.length }))); // prettier-ignore
      for (const { name, changed, missing } of verdicts) {
        const lines = [...changed.map((path) => `changed: ${path}`), ...missing.map((path) => `missing: ${path}`)];
        if (lines.length === 0) continue;
        process.exitCode = 1;
        lines.slice(0, 10).forEach((line) => console.error(line));
        if (lines.length > 10) console.error(`and ${lines.length - 10} more`);
        console.error(`imagesim data pull ${name} --force brings them again`);
      }
    });

  data
    .command('schema')
    .description('print the JSON Schema of data-manifest.json')
    .action(async () => {
      const { manifestSchema } = await import('../infra/index.ts');
      print(JSON.stringify(manifestSchema(), undefined, 2));
    });

  program
    .command('doctor')
    .description(
      'say what this machine has and lacks, and what to do about it; exits with 1 where the work cannot go on',
    )
    .option('--json', 'one JSON line a finding')
    .action(async ({ json }: { json?: boolean }) => {
      const { doctor, findingLines, trainerOfKernel } = await import('../infra/index.ts');
      const { signal } = stop;
      const backend = (): ReturnType<typeof trainerOfKernel> => trainerOfKernel('imagesim/training', signal);
      const findings = await doctor(dataPath(), { backend, kernel: true, signal });
      (json ? findings.map((finding) => JSON.stringify(finding)) : findingLines(findings)).forEach(print);
      if (findings.some(({ verdict }) => verdict === 'error')) process.exitCode = 1;
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
}

interface SyncFlags {
  dryRun?: boolean;
  zone?: number;
  quadkey?: string;
  bbox?: Bounds;
  since?: string;
  until?: string;
  maxCloud?: number;
  minFilled?: number;
  products: string[];
  shard?: Shard;
  force?: boolean;
  concurrency: number;
  endpoint?: string;
  region?: string;
  anonymous?: boolean;
}

/** Tells a plan: as the answer to a dry run, else to who sits at a terminal. */
function planPrinter(dryRun = false): (plan: SyncPlan) => void {
  return (plan) => {
    if (!dryRun && !process.stdout.isTTY) return;
    const lines = planLines(plan);
    const width = Math.max(...lines.map(([what]) => what.length));
    lines.forEach(([what, amount]) => print(`${what.padEnd(width)}  ${amount}`));
  };
}

/** What is no delivery has no tiles to choose from. */
function refuseFilters({ zone, quadkey, bbox, minFilled, products }: SyncFlags, ...others: unknown[]): void {
  const given = [zone, quadkey, bbox, minFilled, products.join() === 'visual' ? undefined : products, ...others];
  if (given.some((value) => value !== undefined))
    throw new Error('filters choose tiles of a delivery: of chips, datasets and models name a folder, chips/33 say');
}

/** What a sync did, and on standard error what it did not. */
function printMoved(report: SyncReport | TreeReport, { dryRun = false }: { dryRun?: boolean | undefined }): void {
  const { files, moved, movedBytes, plan, seconds, unverified } = report;
  const list = (what: string, lines: string[] = []): void => lines.forEach((line) => console.error(`${what}: ${line}`));
  if ('tiles' in report) {
    list('left out', report.leftOut);
    list('not there', report.lacking);
  }
  list('kept, newer where it was to go (--force replaces it)', report.kept);
  list('checked by size alone', unverified);
  const took = dryRun
    ? 'would be moved'
    : `moved in ${durationText(seconds)} (${durationText(plan.seconds)} estimated)`;
  if (files === 0) return print('nothing to move');
  const tiles = 'tiles' in report ? `${report.tiles.length} tiles: ` : '';
  print(
    `${tiles}${moved} of ${files} files ${moved === 0 ? 'to move' : took}, ${megabytes(movedBytes)}; the others are there`,
  );
}
