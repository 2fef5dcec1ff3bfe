import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Bounds, type Shard, environmentShard, isShare } from '../ard/index.ts';
import { dataPath } from '../infra/index.ts';
import type { Answers, AnswersFormat, ListedStore, Query, SearchFilter, Store } from '../similarity/index.ts';
import { print, printTable, steps } from './output.ts';
import { TO, between, boxOf, listOf, numberOf, shardNamed, zoneNumber } from './values.ts';

/** Adds the verbs that deploy the similarity store, show it and ask it. */
export function similarityVerbs(program: Command): void {
  const similarity = program.command('similarity').description('deploy the similarity store, list and change its versions');
  similarity
    .command('deploy')
    .description('put the chips of a delivery into the store, by a model’s embeddings; only what is new or has changed')
    .requiredOption('--model <model>', 'name, name@version of which the first digits do, or folder of a model')
    .option('--ard <delivery>', 'folder or s3:// prefix, brought first; default: the tiles of the data folder')
    .option('--zone <n>', 'UTM zone; default: all', zoneNumber)
    .option('--bbox <box>', 'only cells that touch west,south,east,north, degrees', boxOf)
    .option('--table <name>', 'default: the model’s name')
    .option('--to <address>', TO)
    .option('--store <place>', 'folder or s3:// prefix above embeddings/; default: as --to says, else the data folder')
    .option('--keep <n>', 'versions kept; older ones are pruned', between(1, 10_000), 10)
    .option('--shard <i/n>', 'only encode the cells that fall to worker i of n, from 0; the same without it then writes the store. Default: as the array job says', shardNamed)
    .action(deployed);
  similarity
    .command('list')
    .description('list the versions of every table, or of one; * marks the one that answers')
    .argument('[table]', 'name of a table')
    .option('--store <place>', 'folder or s3:// prefix above embeddings/; default: the data folder')
    .option('--json', 'one JSON line a version')
    .action(listed);
  similarity
    .command('back')
    .description('let another version of a table answer')
    .argument('<table>', 'name of a table')
    .argument('<version>', 'as imagesim similarity list names it')
    .option('--store <place>', 'folder or s3:// prefix above embeddings/; default: the data folder')
    .action(async (table: string, version: string, { store = dataPath() }: { store?: string }) => {
      const { goBack } = await import('../similarity/index.ts');
      await goBack(store, table, version);
      print(`${table} answers by ${version}`);
    });
  similarity
    .command('prune')
    .description('forget all but the newest versions of a table')
    .argument('<table>', 'name of a table')
    .requiredOption('--keep <n>', 'versions that stay', between(1, 10_000))
    .option('--store <place>', 'folder or s3:// prefix above embeddings/; default: the data folder')
    .action(async (table: string, { keep, store = dataPath() }: { keep: number; store?: string }) => {
      const { pruneStore } = await import('../similarity/index.ts');
      print(`gone: ${(await pruneStore(store, table, keep)).join(', ') || 'none'}`);
    });
  searchVerb(program);
} // prettier-ignore

function searchVerb(program: Command): void {
  program
    .command('search')
    .description('find the chips of the store that look most alike')
    .option('--table <name>', 'default: the only one there is')
    .option('--store <place>', 'folder or s3:// prefix above embeddings/; default: the data folder')
    .option('--version-of-table <version>', 'as imagesim similarity list names it; default: the one that answers')
    .option('--chip <id>', 'like this chip')
    .option('--at <lon,lat>', 'like the chip at this place, degrees', placeOf)
    .option('--acquisition <catid>', 'of this acquisition; default: the newest')
    .option('--image <file>', 'like this image')
    .option('--metres-per-pixel <metres>', 'of the image; its middle 78 m are taken. Default: its whole middle square', numberOf)
    .option('--tag <tag>', 'like chips with this tag on average')
    .option('--like <ids>', 'like these chips, with commas between', listOf)
    .option('--unlike <ids>', 'and not like these', listOf)
    .option('--k <n>', 'answers wanted', between(1, 100_000), 12)
    .option('--bbox <box>', 'within west,south,east,north, degrees', boxOf)
    .option('--within <file>', 'within the polygons of a GeoJSON file')
    .option('--cells <ids>', 'in these cells, or cells that begin so: Z33-0311', listOf)
    .option('--since <day>', 'of this day or later, 2023-05-01')
    .option('--until <day>', 'of this day or before')
    .option('--tags <tags>', 'that have all these tags', listOf)
    .option('--max-cloud <percent>', 'under no more cloud', numberOf)
    .option('--max-off-nadir <degrees>', 'from no further aside', numberOf)
    .option('--away <metres>', 'not within so many metres of the chips or the place asked with', numberOf)
    .option('--apart <metres>', 'answers at least so far apart', numberOf)
    .option('--all-dates', 'each date of a square is an answer of its own')
    .option('--exact', 'without the index')
    .option('--verify', 'measure the recall of this very question')
    .addOption(new Option('--format <format>').choices(['table', 'geojson', 'geoparquet', 'csv']).default(undefined, 'as the ending of --to says, else a table'))
    .option('--to <file>', 'write the answers there; geoparquet needs it')
    .action(searched);
} // prettier-ignore

interface DeployFlags {
  model: string;
  ard?: string;
  zone?: number;
  bbox?: Bounds;
  table?: string;
  to?: string;
  store?: string;
  keep: number;
  shard?: Shard;
}

/** So long a worker waits for another one that writes the table. */
const MERGE_WAIT_MS = 3_600_000;

async function deployed({ shard = environmentShard(), ...flags }: DeployFlags): Promise<void> {
  const { deploy } = await import('../similarity/index.ts');
  const waitMs = shard ? MERGE_WAIT_MS : undefined; // two arrays at once merge one after the other
  const report = await deploy(dataPath(), {
    ...flags,
    shard,
    waitMs,
    ...steps(),
    onNote: (note) => console.error(note),
  });
  const { model, table, place, version, rows, written, changed, withdrawn, cells, replaced, index, seconds, leftOut, failed } = report; // prettier-ignore
  leftOut.forEach((line) => console.error(`left out: ${line}`));
  failed.forEach((line) => console.error(`imagesim: ${line}`));
  if (failed.length > 0) process.exitCode = 1;
  if (isShare(shard)) return print(`shard ${shard.index}/${shard.count}: ${report.encoded} chips of ${cells} cells encoded by ${model}; ${seconds.toFixed(1)} s; the same without --shard writes the store`); // prettier-ignore
  if (replaced) console.error(`table ${table} was of another model: its rows are replaced`);
  const what =
    version === undefined
      ? 'nothing has changed'
      : `${version}, ${written} rows of ${changed} cells written${withdrawn > 0 ? `, ${withdrawn} cells withdrawn` : ''}`;
  print(`${table}: ${what}; ${rows} rows of ${model}, ${cells} cells asked for, ${indexText(index)}; ${seconds.toFixed(1)} s; in ${place}`); // prettier-ignore
}

function indexText(index: ListedStore['index']): string {
  if (!index) return 'searched exactly';
  const { recall, milliseconds } = index.recall.find(({ k }) => k === 10) ?? index.recall[0];
  return `recall@10 ${recall.toFixed(3)} in ${milliseconds.toFixed(1)} ms by ${index.probes} of ${index.partitions} groups, built in ${index.buildSeconds.toFixed(0)} s`; // prettier-ignore
}

async function listed(
  table: string | undefined,
  { store = dataPath(), json }: { store?: string; json?: boolean },
): Promise<void> {
  const { listStores } = await import('../similarity/index.ts');
  const versions = await listStores(store, table);
  if (json) return versions.forEach((version) => print(JSON.stringify(version)));
  if (versions.length === 0) return print('no table: make one with imagesim similarity deploy, or notebook 07-similarity');
  printTable(versions.map(({ table: name, version, live, rows, model, width, made, change, index }) => ({
    table: name, version: `${version}${live ? ' *' : ''}`, rows, model, width, made: made.slice(0, 16), change, search: indexText(index),
  })));
} // prettier-ignore

interface SearchFlags extends Omit<SearchFilter, 'within' | 'awayMetres'> {
  table?: string;
  store?: string;
  versionOfTable?: string;
  chip?: string;
  at?: [number, number];
  acquisition?: string;
  image?: string;
  metresPerPixel?: number;
  tag?: string;
  like?: string[];
  unlike?: string[];
  k: number;
  within?: string;
  away?: number;
  apart?: number;
  allDates?: boolean;
  exact?: boolean;
  verify?: boolean;
  format?: 'table' | AnswersFormat;
  to?: string;
}

async function searched(flags: SearchFlags): Promise<void> {
  const { to, within, away: awayMetres, apart: apartMetres, ...options } = flags;
  const format = flags.format ?? (to === undefined ? 'table' : formatOf(to));
  if (format === 'geoparquet' && to === undefined) throw new Error('geoparquet is no text: name a file with --to');
  const query = queryOf(flags);
  const area = within === undefined ? undefined : areaIn(within);
  const { search, answersBytes, writeAnswers } = await import('../similarity/index.ts');
  const store = await storeNamed(flags);
  try {
    const answers = await search(store, query, { ...options, within: area, awayMetres, apartMetres });
    const written = format === 'table' ? 'csv' : format;
    if (to !== undefined) await writeAnswers(to, answers, written);
    else if (format === 'table') printTable(answers.hits.map(hitRow));
    else process.stdout.write(answersBytes(answers, format));
    console.error(answerLine(answers));
    const owners = [...new Set(answers.licences.map(({ licence, attribution }) => `${attribution} (${licence})`))];
    if (owners.length > 0) console.error(`goes with them: ${owners.join('; ')}`);
  } finally {
    store.close();
  }
}

/** What a file is by its ending; CSV where that says nothing. */
function formatOf(path: string): AnswersFormat {
  if (/\.(geo)?json$/i.test(path)) return 'geojson';
  return /\.(geo)?parquet$/i.test(path) ? 'geoparquet' : 'csv';
}

function hitRow({ id, catid, date, similarity, lon, lat, tags }: Answers['hits'][number]): object {
  return { similarity: similarity.toFixed(4), id, catid, date, lon: lon.toFixed(5), lat: lat.toFixed(5), tags: tags.join(' ') }; // prettier-ignore
}

function answerLine({ hits, recall, milliseconds, left, rows, table, version, model }: Answers): string {
  const how = recall.from === 'exact' ? 'exact' : `recall@${recall.k} ${recall.value.toFixed(3)} on ${recall.questions} ${recall.questions === 1 ? 'question, this one' : 'questions'}`; // prettier-ignore
  return `${hits.length} of ${left ?? rows} rows in ${milliseconds.toFixed(1)} ms, ${how}; table ${table} ${version} of ${model}`; // prettier-ignore
}

/** What is asked with: one of the ways, and no two. */
function queryOf({ chip, at, acquisition: catid, image, metresPerPixel, tag, like, unlike }: SearchFlags): Query {
  const ways: Query[] = [
    ...(chip === undefined ? [] : [{ chip, catid }]),
    ...(at === undefined ? [] : [{ at, catid }]),
    ...(image === undefined ? [] : [{ image, metresPerPixel }]),
    ...(tag === undefined ? [] : [{ tag }]),
    ...(like === undefined ? [] : [{ like, unlike }]),
  ];
  const idle = [
    ['--unlike', unlike, '--like', like],
    ['--metres-per-pixel', metresPerPixel, '--image', image],
    ['--acquisition', catid, '--chip or --at', chip ?? at],
  ].find(([, given, , needed]) => given !== undefined && needed === undefined);
  if (idle) throw new Error(`search takes ${String(idle[0])} with ${String(idle[2])}: without, it means nothing`);
  if (ways.length === 1) return ways[0];
  throw new Error(`search requires one of --chip, --at, --image, --tag and --like, got ${ways.length === 0 ? 'none' : ways.length}`); // prettier-ignore
}

function areaIn(path: string): NonNullable<SearchFilter['within']> {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as NonNullable<SearchFilter['within']>;
  } catch (error) {
    throw new Error(`${path} is no GeoJSON (${(error as Error).message.split('\n')[0]}): name a file of polygons in degrees`, { cause: error }); // prettier-ignore
  }
}

async function storeNamed({ table, store, versionOfTable: version }: SearchFlags): Promise<Store> {
  const { listTables, openStore } = await import('../similarity/index.ts');
  const names = table === undefined ? await listTables(store ?? dataPath()) : [table];
  if (names.length > 1) throw new Error(`there are several tables, ${names.join(', ')}: name one with --table`);
  if (names.length === 0) throw new Error(`no table in ${store ?? dataPath()}/embeddings: run imagesim similarity deploy, or notebook 07-similarity`); // prettier-ignore
  return openStore(dataPath(), names[0], { store, version });
}

/** `lon,lat`, degrees. */
function placeOf(text: string): [number, number] {
  const place = text.split(',').map(Number);
  if (place.length !== 2 || !place.every(Number.isFinite))
    throw new InvalidArgumentError('expected lon,lat in degrees.');
  return place as [number, number];
}
