import { createInterface } from 'node:readline';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  type Bounds, type Progress, type Shard, cellsOnDisk, environmentShard, openDelivery, paddedZone, parseCell, parseShard,
  readTiles, tilesOf,
} from './ard/index.ts'; // prettier-ignore
import type { DatasetDiff, DatasetManifest } from './datasets/index.ts';
import type { ModelCard, ModelOptions } from './training/index.ts';
import {
  TREES, type PullReport, type SyncPlan, type SyncReport, type TreeReport, dataPath, durationText, planLines,
} from './infra/index.ts'; // prettier-ignore

const ownVersion = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

const program = new Command('imagesim')
  .description('Finds places that look alike in very-high-resolution satellite imagery.')
  .version(ownVersion)
  .configureOutput({
    outputError: (text, write) =>
      write(
        `${text
          .trim()
          .replace(/^error:/, 'imagesim:')
          .replace(/\s*\n\s*/g, ' ')} (imagesim --help lists the verbs)\n`,
      ),
  });

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
  .description('bring a delivery, chips, datasets or models from a bucket into the data folder, or back')
  .argument(
    '<from>',
    `a delivery, s3://bucket/ard/33 say; or one of ${TREES.join(', ')}, of a bucket or of the data folder`,
  )
  .argument('[to]', 's3:// prefix or folder, for what lies in the data folder; default: the data folder')
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
  .option('--concurrency <n>', 'files at once', between(1, 64), 8)
  .option('--endpoint <url>', 'S3 endpoint; default: $AWS_ENDPOINT_URL_S3, else AWS')
  .option('--region <name>', 'default: of environment or profile, else us-west-2')
  .option('--anonymous', 'without credentials, for open data')
  .action(async (from: string, to: string | undefined, { since, until, maxCloud, ...flags }: SyncFlags) => {
    const infra = await import('./infra/index.ts');
    const options = {
      ...flags,
      since,
      until,
      maxCloudPercent: maxCloud,
      again: flags.force,
      onPlan: planPrinter(flags.dryRun),
      ...steps(),
    };
    const tree = to !== undefined || infra.treeAddress(from) !== undefined;
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
    const { listData } = await import('./infra/index.ts');
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
    const { pullData } = await import('./infra/index.ts');
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
    const { verifyData } = await import('./infra/index.ts');
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
    const { manifestSchema } = await import('./infra/index.ts');
    print(JSON.stringify(manifestSchema(), undefined, 2));
  });

program
  .command('osm')
  .description('fetch every OpenStreetMap element of every cell of a zone')
  .requiredOption('--zone <n>', 'UTM zone', zoneNumber)
  .option('--endpoint <url>', 'Overpass endpoint; default: $IMAGESIM_OVERPASS, else the public one')
  .option('--source <file>', 'read a .osm.pbf, .osm or .osm.gz that covers the cells; no network')
  .option('--date <time>', 'the map as it stood then, 2023-05-17; of servers that keep history')
  .option('--since <time>', 'fetch again the cells whose map is of a time before this one, 2026-01-01')
  .option('--force', 'fetch again what is there')
  .action(async ({ zone, ...flags }: OsmFlags) => {
    const { fetchOsmByQuadkey, readOsmMeta } = await import('./osm/index.ts');
    const tags = await fetchOsmByQuadkey(zone, dataPath(), { ...flags, ...waitsAloud(steps()) });
    for (const cell of await cellsOnDisk(dataPath(), zone)) {
      const { covered = 1 } = await readOsmMeta(dataPath(), cell);
      if (covered < 1)
        console.error(`${cell.id} is not whole: an extract covered ${(100 * covered).toFixed(1)} % of it`);
    }
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
    'only the cells that fall to worker i of n, from 0; default: as the array job says',
    shardNamed,
  )
  .option('--force', 'read masks anew and cut again what is there')
  .action(async ({ ardDir = dataPath(), date, maxCloud, assumeReal, shard, ...options }: ChipFlags) => {
    const { chipTiles } = await import('./chips/index.ts');
    const report = await chipTiles({
      ...chipPlaces(options.zone),
      ...options,
      ...date,
      maxCloudPercent: maxCloud,
      noMask: assumeReal ? 'assume-real' : 'leave-out',
      shard: shard ?? environmentShard(),
      dataPath: ardDir,
      ...steps(),
    });
    printTable(report.tiles.map((tile) => ({ ...tile, filled: tile.filled.toFixed(3) })));
    report.leftOut.forEach((line) => console.error(`left out: ${line}`));
    report.failed.forEach((line) => console.error(`imagesim: ${line}`));
    if (report.failed.length > 0) process.exitCode = 1;
    const { chips, cut, bytes, filename } = report;
    if (options.dryRun) print(`${chips} chips, ${cut} to cut, ${megabytes(bytes)}; nothing is written`);
    else print(`${chips} chips, ${cut} cut now; index: ${filename}`);
  });

const dataset = program.command('dataset').description('make, list, compare, check and export versions of datasets');

dataset
  .command('create')
  .description('label the chips of a zone, split them by place, and write them as a version')
  .requiredOption('--zone <n>', 'UTM zone', zoneNumber)
  .requiredOption('--name <name>', 'of the dataset, as zone33-roofs')
  .option('--schema <file>', 'label schema; default: datasets/zone<n>.schema.json in the data folder')
  .option('--block-zoom <n>', 'blocks that stay together: 16 is 312 m, 15 twice that', between(12, 18), 15)
  .option('--buffer <n>', 'rings of chips left out between sides', between(0, 64), 1)
  .option('--seed <n>', 'another draw', between(-1e9, 1e9), 1)
  .option('--validation <share>', 'of places, 0 to 1', numberOf, 0.15)
  .option('--test <share>', 'of places, 0 to 1', numberOf, 0.25)
  .option('--chip-dir <folder>', 'where the chips lie; default: chips/<zone> in the data folder')
  .action(async ({ zone, name, schema, chipDir, ...split }: CreateFlags) => {
    const { createDataset } = await import('./datasets/index.ts');
    const onOrphans = (orphans: readonly { path: string }[]): void =>
      console.error(`left out: ${orphans.length} chips of tiles that are gone or unreadable, as ${orphans[0].path}; bring the tiles back and chip again, or delete the chips`); // prettier-ignore
    const { manifest, rows } = await createDataset(dataPath(), { zone, name, schema, chipDir, split, onOrphans, ...steps() }); // prettier-ignore
    const { version, parent, labels, counts } = manifest;
    const sides = Object.entries(counts).map(([side, count]) => `${count} ${side}`);
    print(
      `${name}@${version}: ${rows.length} chips, ${labels.length} labels; ${sides.join(', ')}; ${parent ? `from ${parent}` : 'the first'}`,
    );
  });

dataset
  .command('list')
  .description('list the versions of every dataset, or of one; * marks the newest')
  .argument('[name]', 'dataset')
  .option('--json', 'one JSON line a version')
  .action(async (name: string | undefined, { json }: { json?: boolean }) => {
    const { listDatasets } = await import('./datasets/index.ts');
    const versions = await listDatasets(dataPath(), name);
    const rows = versions.map(({ manifest, made, latest, ...version }) => ({
      name: version.name, version: `${version.version}${latest && !json ? ' *' : ''}`, zone: manifest?.zone,
      chips: manifest && Object.values(manifest.counts).reduce((sum, count) => sum + count), labels: manifest?.labels.length,
      parent: manifest?.parent, made: made.toISOString().slice(0, 16), ...(json ? { latest } : {}),
    })); // prettier-ignore
    if (json) rows.forEach((row) => print(JSON.stringify(row)));
    else if (rows.length > 0) printTable(rows);
    else print('no dataset: make one with imagesim dataset create, or notebook 05-datasets');
    versions.forEach(({ fault }) => fault && console.error(fault));
  });

dataset
  .command('show')
  .description('show what a version is made of, and how often each label is there')
  .argument('<dataset>', 'name or name@version, of which the first digits do')
  .option('--json', 'the manifest as it is')
  .action(async (text: string, { json }: { json?: boolean }) => {
    const { countLabels, parseDataset, readDataset } = await import('./datasets/index.ts');
    const { name, version } = parseDataset(text);
    const found = await readDataset(dataPath(), name, version);
    if (json) return print(JSON.stringify(found.manifest));
    printTable(manifestRows(found.manifest));
    printTable(found.manifest.licences);
    printTable(countLabels(found));
  });

dataset
  .command('diff')
  .description('tell what differs between two versions: chips, labels, sides, rules')
  .argument('<a>', 'name or name@version')
  .argument('[b]', 'the later one; default: the parent of the first is compared with it')
  .option('--json', 'all of it, every chip named, as JSON')
  .action(async (a: string, b: string | undefined, { json }: { json?: boolean }) => {
    const { diffDatasets, parseDataset, readDataset } = await import('./datasets/index.ts');
    const read = (text: string): ReturnType<typeof readDataset> => {
      const { name, version } = parseDataset(text);
      return readDataset(dataPath(), name, version);
    };
    const first = await read(a);
    const { name, version, parent } = first.manifest;
    if (b === undefined && parent === null) throw new Error(`${name}@${version} is the first: name another to compare it with`);
    const diff = b === undefined ? diffDatasets(await read(`${name}@${parent}`), first) : diffDatasets(first, await read(b));
    if (json) return print(JSON.stringify(diff));
    printTable(diffRows(diff));
  }); // prettier-ignore

dataset
  .command('verify')
  .description('compare a version with itself and with the chips; exits with 1 where they differ')
  .argument('<dataset>', 'name or name@version')
  .option('--quick', 'believe chips whose size and time of writing are as they were')
  .option('--chip-dir <folder>', 'where the chips lie; default: chips/<zone> in the data folder')
  .action(async (text: string, options: { quick?: boolean; chipDir?: string }) => {
    const { parseDataset, verifyDataset } = await import('./datasets/index.ts');
    const { name, version } = parseDataset(text);
    const verdict = await verifyDataset(dataPath(), name, version, { ...options, ...steps() });
    const { chips, faults, missing, changed } = verdict;
    print(`${name}@${verdict.version}: ${chips} chips, ${missing.length} missing, ${changed.length} changed`);
    const lines = [...faults, ...missing.map((chip) => `missing: ${chip}`), ...changed.map((chip) => `changed: ${chip}`)]; // prettier-ignore
    if (lines.length === 0) return;
    process.exitCode = 1;
    lines.slice(0, 20).forEach((line) => console.error(line));
    if (lines.length > 20) console.error(`and ${lines.length - 20} more`);
    if (missing.length + changed.length > 0)
      console.error('bring the chips back (imagesim sync, imagesim chip), or make a new version with imagesim dataset create'); // prettier-ignore
  });

dataset
  .command('export')
  .description('write a version as other programs read it, with its terms')
  .argument('<dataset>', 'name or name@version')
  .requiredOption('--to <folder>', 'a new or empty folder')
  .addOption(
    new Option('--format <format>', 'described for machines, chips by side, or arrays for NumPy')
      .choices(['croissant', 'folder', 'npz'])
      .makeOptionMandatory(),
  )
  .option('--size <pixels>', 'side of the images of npz', between(1, 256), 256)
  .option('--url <address>', 'where a croissant is to be published')
  .option('--chip-dir <folder>', 'where the chips lie; default: chips/<zone> in the data folder')
  .action(async (text: string, options: ExportFlags) => {
    const { exportDataset, parseDataset, readDataset } = await import('./datasets/index.ts');
    const { name, version } = parseDataset(text);
    const found = await readDataset(dataPath(), name, version);
    (await exportDataset(dataPath(), found, { ...options, ...steps() })).forEach(print);
  });

program
  .command('train')
  .description('train a model on a dataset version, score it on its test ground, and write it as a version')
  .option('--dataset <dataset>', 'name or name@version')
  .option('--options <file>', 'all of it from a JSON file, as a notebook writes it')
  .option('--name <name>', 'of the model; default: the dataset’s')
  .option('--size <pixels>', 'side of the images; default: the backbone’s, else 64', between(16, 256))
  .option('--epochs <n>', 'passes over the training chips', between(0, 100_000))
  .option('--batch <n>', 'chips a step', between(2, 65_536))
  .option('--rate <number>', 'largest step of Adam', numberOf)
  .option('--losses <names>', 'of entropy, contrastive, triplet, simclr, vicreg, each =weight, with commas between', lossesOf)
  .option('--backbone <file>', 'a pretrained network to stand on: an ONNX file or a tfjs layers model')
  .option('--pixels <scale>', 'what the backbone wants of pixels: imagenet, or scale,offset; default: -1 to 1')
  .option('--tune', 'train the backbone further; it must be a tfjs layers model')
  .option('--width <n>', 'length of an embedding', between(2, 4096))
  .option('--patience <n>', 'epochs without a better validation mAP after which it stops; 0: never', between(0, 100_000))
  .option('--seed <n>', 'another draw', between(-1e9, 1e9))
  .option('--members <n>', 'threads or GPUs at most', between(1, 1024))
  .option('--dollars-per-hour <price>', 'of this machine; default: $IMAGESIM_DOLLARS_PER_HOUR, else cost is not told', numberOf)
  .action(async ({ options: file, ...flags }: TrainFlags) => {
    const { pixelScale, progressFile, trainModel } = await import('./training/index.ts');
    const options =
      file === undefined ? modelOptions(flags, pixelScale) : (JSON.parse(readFileSync(file, 'utf8')) as ModelOptions);
    const { signal, onProgress } = steps();
    const run = process.env.IMAGESIM_JOB;
    const written = run ? progressFile(run) : undefined;
    const { card, folder } = await trainModel(dataPath(), {
      ...options,
      signal,
      onProgress: (progress) => (onProgress(progress), written?.(progress)),
      onLeft: (left) => left.forEach(({ label, reason }) => console.error(`left out: ${label}: ${reason}`)),
    });
    printTable(metricRows(card.metrics));
    print(folder);
  }); // prettier-ignore

program
  .command('doctor')
  .description('say what this machine has and lacks, and what to do about it; exits with 1 where the work cannot go on')
  .option('--json', 'one JSON line a finding')
  .action(async ({ json }: { json?: boolean }) => {
    const { doctor, findingLines, trainerOfKernel } = await import('./infra/index.ts');
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

const models = program.command('model').description('list and show versions of models');

models
  .command('list')
  .description('list the versions of every model, or of one; * marks the newest')
  .argument('[name]', 'model')
  .option('--json', 'one JSON line a version')
  .action(async (name: string | undefined, { json }: { json?: boolean }) => {
    const { listModels } = await import('./training/index.ts');
    const listed = await listModels(dataPath(), name);
    const rows = listed.map(({ card, latest, made, version, name: of }) => ({
      name: of, version: `${version}${latest && !json ? ' *' : ''}`, dataset: card?.datasetVersion, losses: Object.keys(card?.settings.losses ?? {}).join('+'),
      mAP: metricText(card?.metrics['mAP']), histogram: metricText(card?.metrics['histogramMAP']), made: made.toISOString().slice(0, 16), ...(json ? { latest } : {}),
    })); // prettier-ignore
    if (json) rows.forEach((row) => print(JSON.stringify(row)));
    else if (rows.length > 0) printTable(rows);
    else print('no model: make one with imagesim train, or notebook 06-training');
    listed.forEach(({ fault }) => fault && console.error(fault));
  });

models
  .command('show')
  .description('show what a model is made of, and how good it is')
  .argument('<model>', 'name or name@version, of which the first digits do')
  .option('--json', 'the card as it is')
  .action(async (text: string, { json }: { json?: boolean }) => {
    const { findModel, readCard } = await import('./training/index.ts');
    const card = await readCard(await findModel(dataPath(), text));
    if (json) return print(JSON.stringify(card));
    const { name, version, datasetVersion, architecture, parameters, backend, metrics, licences } = card;
    const facts = { model: `${name}@${version}`, dataset: datasetVersion, architecture, weights: parameters, 'trained on': backend };
    printTable(Object.entries(facts).map(([fact, value]) => ({ fact, value })));
    printTable(metricRows(metrics));
    printTable([...licences]);
  }); // prettier-ignore

program
  .command('encode')
  .description('write the embeddings of the chips of a zone by a model')
  .requiredOption('--model <model>', 'name, name@version of which the first digits do, or folder of a model')
  .requiredOption('--zone <n>', 'UTM zone', zoneNumber)
  .addOption(new Option('--from <what>', 'chips on disk, or tiles, uncut').choices(['chips', 'ard']).default('chips'))
  .addOption(new Option('--code <code>', 'how embeddings are kept').choices(['float32', 'int8', 'bit']).default('float32'))
  .option('--batch <n>', 'images at once', between(1, 4096), 32)
  .option('--shard <i/n>', 'only the cells that fall to worker i of n, from 0; default: as the array job says', shardNamed)
  .option('--force', 'encode again what is there')
  .action(async ({ batch: batchSize, shard = environmentShard(), ...options }: EncodeFlags) => {
    const { encodeChips } = await import('./training/index.ts');
    const report = await encodeChips(dataPath(), { ...options, batchSize, shard, ...steps() });
    const { model, runtime, why, cells, kept, chips, seconds, encoderSeconds, folder, leftOut, failed } = report;
    if (why !== undefined) console.error(`${why}; encoded with the training backend, ${runtime}`);
    leftOut.forEach((line) => console.error(`left out: ${line}`));
    failed.forEach((line) => console.error(`imagesim: ${line}`));
    if (failed.length > 0) process.exitCode = 1;
    const rate = chips > 0 ? ` at ${(chips / seconds).toFixed(0)} images/s (${runtime}, busy ${(100 * encoderSeconds / seconds).toFixed(0)} % of the time)` : '';
    print(`${model}: ${chips} chips encoded now${rate}; ${kept} of ${cells} cells were there; in ${folder}`);
  }); // prettier-ignore

/** Where index and chips of a zone go, wherever its tiles are read; without a zone, `--chip-dir` is to name it. */
function chipPlaces(zone: number | undefined): { filename: string; chipDir?: string } {
  const filename = join(dataPath(), 'nodata-index.json');
  return zone === undefined ? { filename } : { filename, chipDir: join(dataPath(), 'chips', paddedZone(zone)) };
}

interface CreateFlags {
  zone: number;
  name: string;
  schema?: string;
  chipDir?: string;
  blockZoom: number;
  buffer: number;
  seed: number;
  validation: number;
  test: number;
}

interface ExportFlags {
  to: string;
  format: 'croissant' | 'folder' | 'npz';
  size: number;
  url?: string;
  chipDir?: string;
}

function manifestRows({ osmDates, split, counts, ...facts }: DatasetManifest): object[] {
  const days = Object.values(osmDates).map((date) => date.slice(0, 10)).sort();
  const lines = {
    dataset: `${facts.name}@${facts.version}`, zone: facts.zone, parent: facts.parent ?? 'the first', 'written by': `imagesim ${facts.codeVersion}`,
    chips: Object.entries(counts).map(([side, count]) => `${count} ${side}`).join(', '),
    split: Object.entries(split).map(([option, value]) => `${option} ${value}`).join(', '),
    maps: `${days.length} cells, of ${days[0] ?? 'no day'} to ${days.at(-1) ?? 'no day'}`,
    'no-data index': facts.nodataIndex ?? 'none', rows: facts.rows, 'chips.parquet': facts.sha256,
  };
  return Object.entries(lines).map(([fact, value]) => ({ fact, value }));
} // prettier-ignore

/** What differs, a line each with how many chips. */
function diffRows({ added, removed, changed, splits, labels, schema, osmDates, facts }: DatasetDiff): object[] {
  const line = (what: string, chips: number, note = ''): object => ({ what, chips, note });
  return [
    line('added', added.length, added[0]),
    line('removed', removed.length, removed[0]),
    line('other bytes', changed.length, changed[0]),
    ...Object.entries(splits).map(([step, count]) => line(`side ${step}`, count)),
    ...Object.entries(labels).flatMap(([label, moves]) => Object.entries(moves).map(([step, count]) => line(`${label}: ${step}`, count))),
    ...Object.entries(schema).flatMap(([how, names]) => names.map((name) => ({ what: `rule ${how}`, chips: undefined, note: name }))),
    ...(osmDates.length > 0 ? [{ what: 'other map', chips: undefined, note: osmDates.join(' ') }] : []),
    ...(facts.length > 0 ? [{ what: 'other facts', chips: undefined, note: facts.join(' ') }] : []),
  ]; // prettier-ignore
}

type Metric = ModelCard['metrics'][string];

/** A figure, and where 95 of 100 draws of other places lie. */
function metricText(metric: Metric | undefined): string | undefined {
  if (typeof metric !== 'object') return Number.isInteger(metric) ? String(metric) : metric?.toFixed(3);
  const { value, low, high } = metric;
  return `${value.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}

function metricRows(metrics: ModelCard['metrics']): object[] {
  return Object.entries(metrics).map(([metric, value]) => ({ metric, value: metricText(value) }));
}

interface TrainFlags {
  options?: string;
  dataset?: string;
  name?: string;
  size?: number;
  epochs?: number;
  batch?: number;
  rate?: number;
  losses?: ModelOptions['losses'];
  backbone?: string;
  pixels?: string;
  tune?: boolean;
  width?: number;
  patience?: number;
  seed?: number;
  members?: number;
  dollarsPerHour?: number;
}

function modelOptions(
  { dataset: name, batch, rate, width, pixels, ...flags }: TrainFlags,
  pixelScale: (text: string) => ModelOptions['pixels'],
): ModelOptions {
  if (name === undefined) throw new Error('train requires --dataset, as imagesim dataset list names them');
  const { dollarsPerHour = process.env.IMAGESIM_DOLLARS_PER_HOUR } = flags;
  return {
    ...flags,
    dataset: name,
    batchSize: batch,
    learningRate: rate,
    embeddingWidth: width,
    pixels: pixels === undefined ? undefined : pixelScale(pixels),
    dollarsPerHour: dollarsPerHour === undefined ? undefined : Number(dollarsPerHour),
  };
}

/** Losses and their weights: `entropy=1,contrastive=0.3`; a name alone counts 1. */
function lossesOf(text: string): NonNullable<ModelOptions['losses']> {
  const pairs = listOf(text).map((word) => word.split('='));
  return Object.fromEntries(pairs.map(([name, weight = '1']) => [name, numberOf(weight)]));
}

interface OsmFlags {
  zone: number;
  endpoint?: string;
  source?: string;
  date?: string;
  since?: string;
  force?: boolean;
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

function numberOf(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

function boxOf(text: string): Bounds {
  const box = text.split(',').map(Number);
  if (box.length !== 4 || !box.every(Number.isFinite))
    throw new InvalidArgumentError('expected west,south,east,north in degrees.');
  return box as unknown as Bounds;
}

function listOf(text: string): string[] {
  return text.split(',').map((word) => word.trim()).filter(Boolean); // prettier-ignore
}

interface EncodeFlags {
  model: string;
  zone: number;
  from: 'chips' | 'ard';
  code: 'float32' | 'int8' | 'bit';
  batch: number;
  shard?: Shard;
  force?: boolean;
}

interface ChipFlags {
  filename?: string;
  chipDir?: string;
  ardDir?: string;
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

function shardNamed(text: string): Shard {
  try {
    return parseShard(text);
  } catch {
    throw new InvalidArgumentError('expected i/n with i from 0 to n - 1, as 0/4 … 3/4.');
  }
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

/** Where no terminal shows how far a step is, says at least why it waits and until when: once for each reason. */
function waitsAloud({ signal, onProgress }: ReturnType<typeof steps>): ReturnType<typeof steps> {
  let last: string | undefined;
  const aloud = (progress: Progress): void => {
    onProgress(progress);
    const reason = / waits until \S+: (.*)/s.exec(progress.note ?? '')?.[1];
    if (!process.stderr.isTTY && reason !== undefined && reason !== last) console.error(progress.note);
    last = reason;
  };
  return { signal, onProgress: aloud };
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
