import { type Command, Option } from 'commander';
import type { DatasetDiff, DatasetManifest } from '../datasets/index.ts';
import { dataPath } from '../infra/index.ts';
import { print, printTable, steps } from './output.ts';
import { between, numberOf, zoneNumber } from './values.ts';

/** Adds the verbs of dataset versions. */
export function datasetVerbs(program: Command): void {
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
      const { createDataset } = await import('../datasets/index.ts');
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
      const { listDatasets } = await import('../datasets/index.ts');
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
      const { countLabels, parseDataset, readDataset } = await import('../datasets/index.ts');
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
      const { diffDatasets, parseDataset, readDataset } = await import('../datasets/index.ts');
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
      const { parseDataset, verifyDataset } = await import('../datasets/index.ts');
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
      const { exportDataset, parseDataset, readDataset } = await import('../datasets/index.ts');
      const { name, version } = parseDataset(text);
      const found = await readDataset(dataPath(), name, version);
      (await exportDataset(dataPath(), found, { ...options, ...steps() })).forEach(print);
    });
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
