import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Cell, lonLatBounds, parseCell, readTiles } from 'imagesim/ard';
import { readChips, readNodataIndex } from 'imagesim/chips';
import { readDataset } from 'imagesim/datasets';
import { readOsm, serveOverpass } from 'imagesim/osm';
import { dataFolder, emptyFolder, joplin, mappedSample, needsShared, sampleDelivery, shared } from './delivery.ts';

const program = join(import.meta.dirname, '../kernel-lib/dist/cli.js');

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Options of {@link imagesim}: the data folder, further environment, standard input, working folder. */
interface Setting {
  data?: string;
  env?: Record<string, string>;
  input?: string;
  cwd?: string;
}

function start(args: string[], { data = '/no/data', env = {}, cwd }: Setting = {}): ChildProcess {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('IMAGESIM_')); // none of the tester's
  return spawn(process.execPath, [program, ...args], {
    env: { ...Object.fromEntries(own), IMAGESIM_DATA: data, ...env },
    ...(cwd ? { cwd } : {}),
  });
}

async function imagesim(args: string[], setting: Setting = {}): Promise<Run> {
  const child = start(args, setting);
  child.stdin!.on('error', () => undefined).end(setting.input ?? ''); // a program that reads nothing closes it
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
}

/** Runs what must succeed in silence on standard error. @returns its lines */
async function linesOf(args: string[], setting: Setting = {}): Promise<string[]> {
  const { code, stdout, stderr } = await imagesim(args, setting);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  return stdout.trimEnd().split('\n');
}

/** Runs what must fail: one line on standard error, none on standard output, exit code 1. */
async function fails(args: string[], line: RegExp, setting: Setting = {}): Promise<void> {
  const { code, stdout, stderr } = await imagesim(args, setting);
  assert.match(stderr, line);
  assert.match(stderr, /^imagesim: [^\n]+\n$/);
  assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
}

const proof = process.env.IMAGESIM_PROOF !== undefined;

/** The first of many like cases, each of which is a process; all of them in `npm run proof`. */
const some = <Case>(cases: readonly Case[], count: number): readonly Case[] =>
  cases.slice(0, proof ? undefined : count);

describe('imagesim', () => {
  describe('cell', () => {
    const id = 'Z33-031133012203';

    it('prints one JSON line a cell, of eight keys, for every spelling of an id', async () => {
      const lines = await linesOf(['cell', id, 'z33-031133012203', 'MXRA-Z33-031133012203', '33/031133012203', 'Z4-300000000000']); // prettier-ignore
      const cells = lines.map((line) => JSON.parse(line) as Cell);
      for (const cell of cells) {
        assert.deepEqual(Object.keys(cell), ['id', 'zone', 'hemisphere', 'quadkey', 'epsg', 'cellBounds', 'tileBounds', 'geometry']); // prettier-ignore
        assert.deepEqual(cell, parseCell(cell.id));
      }
      assert.equal(new Set(lines.slice(0, 4)).size, 1);
      assert.deepEqual(cells[0].cellBounds, [265000, 4090000, 270000, 4095000]); // ../shared/facts/ard.md
      assert.deepEqual([cells[4].id, cells[4].hemisphere, cells[4].epsg], ['Z04-300000000000', 'S', 32704]);
    });

    it('reads ids from standard input where a - stands, blank lines and Windows’ line ends apart', async () => {
      const input = `\n 33/031133012200 \r\nZ33-031133012201\n\n`;
      const lines = await linesOf(['cell', id, '-', 'Z33-031133012202', '-'], { input });
      const ids = lines.map((line) => (JSON.parse(line) as Cell).id);
      assert.deepEqual(ids, [id, 'Z33-031133012200', 'Z33-031133012201', 'Z33-031133012202']);
    });

    it('names every bad id, prints the others, and exits with 1', async () => {
      const { code, stdout, stderr } = await imagesim(['cell', 'nonsense', id, 'Z61-031133012203', '-'], { input: `${id}4\n${id}` }); // prettier-ignore
      assert.equal(code, 1);
      assert.deepEqual(stdout.trimEnd().split('\n').map((line) => (JSON.parse(line) as Cell).id), [id, id]); // prettier-ignore
      const expected = 'expected a zone of 1 to 60 and 12 digits of 0 to 3, as in Z33-031133012203';
      const bad = ['nonsense', 'Z61-031133012203', `${id}4`];
      assert.equal(stderr, bad.map((word) => `imagesim: unknown cell id "${word}": ${expected}\n`).join(''));
    });

    it('ends without a word when nobody reads on', async () => {
      const child = start(['cell', '-']);
      child.stdin!.on('error', () => undefined);
      const more = setInterval(() => child.stdin!.write(`${id}\n`.repeat(1000)), 5); // never ends of itself
      child.stdout!.once('data', () => child.stdout!.destroy());
      const [stderr] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
      clearInterval(more);
      assert.deepEqual([child.exitCode, stderr], [0, '']);
    });

    describe('on published ids', () => {
      before(needsShared);
      it('agrees with every tile of the grid’s vectors, and refuses every invalid id', async () => {
        const grid = JSON.parse(await readFile(join(shared, 'vectors/ard-grid.json'), 'utf8')) as Vectors;
        const tiles = [...grid.full_tiles, ...grid.partial_tiles];
        const lines = await linesOf(['cell', '-'], { input: tiles.map(idOf).join('\n') });
        assert.equal(lines.length, 151);
        for (const [index, line] of lines.entries()) {
          const cell = JSON.parse(line) as Cell;
          const { cell_id, zone, quadkey, hemisphere, observed } = tiles[index];
          assert.deepEqual([cell.id, cell.zone, cell.quadkey, cell.hemisphere, cell.epsg], [cell_id, zone, quadkey, hemisphere, observed.epsg]); // prettier-ignore
          if (index < grid.full_tiles.length) assert.deepEqual(cell.tileBounds, observed.proj_bbox);
        }
        assert.equal(new Set(await linesOf(['cell', ...grid.valid_id_spellings_of_one_cell])).size, 1);
        const { code, stdout, stderr } = await imagesim(['cell', ...grid.invalid_cell_ids]);
        assert.deepEqual([code, stdout], [1, '']);
        assert.equal(stderr.trimEnd().split('\n').length, grid.invalid_cell_ids.length);
      });
    });
  });

  describe('tiles', () => {
    it('lists the sample as a table, or as JSON lines', async () => {
      const sample = await sampleDelivery();
      const table = await linesOf(['tiles', sample]);
      assert.match(table[0], /^cell +date +acquisition +files +filled +cloudPercent +offNadir +gsd$/);
      assert.equal(table.length, 5);
      const rows = (await linesOf(['tiles', sample, '--json'])).map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
      assert.deepEqual(rows.map(({ cell, date }) => `${String(cell)} ${String(date)}`), table.slice(1).map((line) => line.split(/ +/).slice(0, 2).join(' '))); // prettier-ignore
      for (const row of rows) assert.deepEqual([row.files, typeof row.filled], ['item visual', 'number']);
    });

    it('lists the data folder where no delivery is named, by zone where one is', async () => {
      const data = await dataFolder(await sampleDelivery());
      assert.equal((await linesOf(['tiles', '--json'], { data })).length, 4);
      assert.equal((await linesOf(['tiles', '--json', '--zone', '33'], { data: join(data, 'ard') })).length, 4);
      await fails(['tiles', '--zone', '5'], new RegExp(`no tile of zone 5 in ${data}`), { data });
    });

    describe('on real items', () => {
      before(needsShared);
      it('lists Joplin’s two acquisitions', async () => {
        const rows = (await linesOf(['tiles', joplin, '--json'])).map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
        assert.deepEqual(rows.map(({ cell, date, acquisition, offNadir }) => [cell, date, acquisition, offNadir]), [
          ['Z15-031133102123', '2011-03-05', '1010010000A10F00', 12],
          ['Z15-031133102123', '2011-05-24', '1010010000B24A00', 21.5],
        ]); // prettier-ignore
      });
    });
  });

  describe('from a delivery to chips', () => {
    let data: string;
    before(async () => {
      data = await dataFolder(await sampleDelivery());
    });

    it('sync: says what it would move, moves it, and moves nothing again', async () => {
      const args = ['sync', await sampleDelivery(), '--zone', '33'];
      const setting = { data: await emptyFolder() };
      const [there, move, disk, time, cost, dry] = await linesOf([...args, '--dry-run'], setting);
      assert.match(there, /^to be there {2}13 files, \d+\.\d MB$/);
      assert.match(move, /^to move now {2}13 files, \d+\.\d MB$/);
      assert.match(disk, /^free disk {4}\d+\.\d+ [GT]B$/);
      assert.deepEqual([time, cost], ['time         about 1 s at 100 MB/s', 'cost         nothing']);
      assert.match(dry, /^4 tiles: 13 of 13 files would be moved, \d+\.\d MB; the others are there$/);
      assert.deepEqual(await readdir(setting.data), []);
      const [moved] = await linesOf(args, setting);
      assert.equal(moved.replace(/moved in \d+ s \(1 s estimated\)/, 'would be moved'), dry);
      assert.deepEqual(await linesOf(args, setting), ['4 tiles: 0 of 13 files to move, 0.0 MB; the others are there']);
    });

    it('sync: takes a zone of an address, and filters, and says what it leaves out', async () => {
      const sample = await sampleDelivery();
      const setting = { data: await emptyFolder() };
      const dry = async (...args: string[]): Promise<string> => (await linesOf(['sync', ...args, '--dry-run'], setting)).at(-1)!; // prettier-ignore
      const [west, south, east, north] = lonLatBounds(parseCell('Z33-031111212031'));
      const middle = [0.4 * east + 0.6 * west, south, 0.6 * east + 0.4 * west, north].join(',');
      const chosen: [args: string[], tiles: number][] = [
        [[join(sample, 'ard/33/031111212031'), '--until', '2022-12-31', '--products', 'visual'], 1],
        [[sample, '--bbox', middle], 2],
        [[join(sample, 'ard/33')], 4],
        [[sample, '--quadkey', '031111212030', '--since', '2023-01-01'], 1],
      ];
      for (const [args, tiles] of some(chosen, 2)) assert.match(await dry(...args), new RegExp(`^${tiles} tiles: `));
      const { stderr, stdout } = await imagesim(['sync', sample, '--min-filled', '1', '--dry-run'], setting);
      assert.match(stderr + stdout, /left out: Z33-\d+ \d{4}-\d\d-\d\d \w+: \d+ % filled|no tile in/);
      const wrong: [args: string[], line: RegExp][] = [
        [[sample, '--quadkey', '9'], /quadkey is 9: expected 1 to 12 digits of 0 to 3/],
        [[sample, '--products', 'visual,ms'], /no tile has a product ms: there are visual/],
        [['chips'], /chips of the data folder goes where\? Give s3:\/\/bucket or a folder after it/],
        [['s3://b/chips', '--zone', '33'], /filters choose tiles of a delivery: of chips, datasets and models name a folder/],
        [[sample, '--max-cloud', '101'], /max cloud is 101: expected a percentage of 0 to 100/],
        [[sample, '--since', '2023-13-01'], /since is 2023-13-01: expected a day, as 2023-05-01/],
        [[sample, '--bbox', '1,2,3'], /expected west,south,east,north in degrees/],
        [[sample, '--zone', '5'], /no tile of zone 5 in /],
        [[''], /no delivery is named: give a folder or s3:/],
        [['s3://b/ard', '--endpoint', 'foo'], /the S3 endpoint is foo: expected an address/],
      ]; // prettier-ignore
      for (const [args, line] of some(wrong, 4)) await fails(['sync', ...args], line, setting);
    });

    it('osm: fetches each cell of the zone from the endpoint that is given, and counts tags', async () => {
      const overpass = await serveOverpass(join(await sampleDelivery(), 'overpass'));
      const [line] = await linesOf(['osm', '--zone', '33', '--endpoint', overpass.endpoint], { data });
      await overpass.close();
      const [nodes, ways, relations] = /^nodes: (\d+) tags, ways: (\d+) tags, relations: (\d+) tags$/.exec(line)!.slice(1).map(Number); // prettier-ignore
      const cells = [...new Map((await readTiles(data)).map(({ cell }) => [cell.id, cell])).values()];
      const all = await Promise.all(cells.map((cell) => readOsm(data, cell)));
      assert.equal(all.length, 2);
      const tagsOf = (elements: { tags?: Record<string, string> | undefined }[]): number =>
        new Set(elements.flatMap(({ tags = {} }) => Object.entries(tags).map((tag) => tag.join('=')))).size;
      assert.equal(nodes, tagsOf(all.flatMap((data33) => data33.nodes)));
      assert.equal(ways, tagsOf(all.flatMap((data33) => data33.ways)));
      assert.equal(relations, tagsOf(all.flatMap((data33) => data33.relations)));
      assert.ok(ways > 10);
      assert.deepEqual(await linesOf(['osm', '--zone', '33'], { data, env: { IMAGESIM_OVERPASS: overpass.endpoint } }), [line]); // prettier-ignore
    });

    it('chip: writes the index and the chips where it is told to', async () => {
      const args = ['chip', '--filename', `${data}/nodata-index.json`, '--chip-dir', `${data}/chips/33`];
      const lines = await linesOf(args, { data });
      const [, count] = /^(\d+) chips, \1 cut now; index: .*nodata-index\.json$/.exec(lines.at(-1)!)!;
      assert.equal((await readChips(join(data, 'chips/33'))).length, Number(count));
      const { chips } = await readNodataIndex(join(data, 'nodata-index.json'));
      assert.equal(Object.values(chips).flat().length, Number(count));
      assert.equal(lines.length, 6); // head, four tiles, sum
      assert.match((await linesOf(args, { data })).at(-1)!, new RegExp(`^${count} chips, 0 cut now; `));
    });

    it('chip: reads tiles where it is told to, and writes into the data folder all the same', async () => {
      const own = await emptyFolder();
      const lines = await linesOf(['chip', '--zone', '33', '--ard-dir', join(data, 'ard'), '--index-only'], { data: own }); // prettier-ignore
      assert.match(lines.at(-1)!, new RegExp(`index: ${own}/nodata-index\\.json$`));
      assert.deepEqual((await readdir(own)).sort(), ['nodata-index.json', 'nodata-index.parts']);
    });
  });

  describe('dataset', () => {
    let data: string;
    const run = (...args: string[]): Promise<string[]> => linesOf(['dataset', ...args], { data });
    before(async () => {
      data = await mappedSample();
      await linesOf(['chip', '--zone', '33', '--filename', `${data}/nodata-index.json`, '--chip-dir', `${data}/chips/33`], { data }); // prettier-ignore
      const labels = [{ label: 'roof', tags: ['building=house'], measure: 'area', atLeast: 0.05 }];
      await mkdir(join(data, 'datasets'));
      await writeFile(join(data, 'datasets/zone33.schema.json'), JSON.stringify({ version: 1, labels }));
    });

    it('create makes a version of the chips on disk, once; then one from it', async () => {
      const create = ['create', '--zone', '33', '--name', 'roofs', '--block-zoom', '16'];
      const [line] = await run(...create);
      const [, version] = /^roofs@([0-9a-f]{12}): 538 chips, 1 labels; \d+ train, .*; the first$/.exec(line)!;
      assert.deepEqual(await run(...create), [line]);
      const [second] = await run(...create, '--seed', '2');
      assert.match(second, new RegExp(`; from ${version}$`));
      const rows = (await run('list', '--json')).map((row) => JSON.parse(row) as { version: string; latest: boolean; parent: string | null }); // prettier-ignore
      assert.deepEqual(rows.map(({ latest, parent }) => [latest, parent]), [[false, null], [true, version]]); // prettier-ignore
      assert.match((await run('list', 'roofs'))[2], /^roofs +[0-9a-f]{12} \* +33 +538 +1 /);
    });

    it('show, diff, verify and export tell of it and write it out', async () => {
      const shown = (await run('show', 'roofs')).join('\n');
      assert.match(shown, /^maps +2 cells, of 2023-06-01 to 2023-06-01$/m);
      assert.match(shown, /^roof +\d+ +\d+ +\d+ +\d+$/m);
      const diff = JSON.parse((await run('diff', 'roofs', '--json')).join('')) as { added: string[]; splits: object; facts: string[] }; // prettier-ignore
      assert.deepEqual([diff.added, diff.facts, Object.keys(diff.splits).length > 0], [[], ['split'], true]);
      const [, added] = await run('diff', 'roofs', 'roofs');
      assert.equal(added, 'added        0');
      for (const quick of [[], ['--quick']])
        assert.match((await run('verify', 'roofs', ...quick)).join(), /^roofs@[0-9a-f]{12}: 538 chips, 0 missing, 0 changed$/); // prettier-ignore
      const to = join(data, 'out');
      assert.deepEqual(await run('export', 'roofs', '--to', to, '--format', 'croissant'), ['chips.parquet', 'croissant.json', 'manifest.json'].map((name) => join(to, name))); // prettier-ignore
    });

    it('knows the day between picture and map, and what the chips’ table says of the picture', async () => {
      const { rows } = await readDataset(data, 'roofs');
      assert.deepEqual([...new Set(rows.map(({ date, gapDays }) => `${date} ${gapDays}`))].sort(), [
        '2022-06-14 352',
        '2023-05-21 11',
      ]); // python3: date(2023, 6, 1) - date(2022, 6, 14)
      assert.ok(rows.every(({ cloudPercent, offNadir, gsd }) => [cloudPercent, offNadir, gsd].every(Number.isFinite)));
    });

    it('verify names a chip that is missing, one that is changed and a manifest that is damaged, and exits with 1', async () => {
      const [a, b] = (await readChips(join(data, 'chips/33'))).map(({ path }) => path);
      await rm(a);
      await truncate(b, 100);
      const { code, stdout, stderr } = await imagesim(['dataset', 'verify', 'roofs', '--quick'], { data });
      assert.match(stdout, /: 538 chips, 1 missing, 1 changed\n$/);
      assert.match(stderr, /^missing: Z33-\d{18}_\w+ of [\d-]+\nchanged: Z33-.*\nbring the chips back .*\n$/);
      const { folder } = await readDataset(data, 'roofs');
      await writeFile(join(folder, 'manifest.json'), '{');
      const damaged = await imagesim(['dataset', 'verify', 'roofs'], { data });
      assert.match(damaged.stderr, /manifest\.json is not JSON .*: move the folder away, and make the dataset again/);
      assert.deepEqual([code, damaged.code], [1, 1]);
    });

    it('says what is wrong in one line: an unknown key with the nearest, a dataset or version that is not there, a name', async () => {
      const path = join(data, 'typo.json');
      const label = { label: 'roof', tags: ['building=house'], measure: 'area', mesure: 'area', atLeast: 0.05 };
      await writeFile(path, JSON.stringify({ version: 1, labels: [label] }));
      await fails(['dataset', 'create', '--zone', '33', '--name', 'x', '--schema', path], /typo\.json is no label schema at labels\.0: unknown key "mesure", did you mean "measure"\?; mend it/, { data }); // prettier-ignore
      await fails(
        ['dataset', 'create', '--zone', '33', '--name', 'a/b'],
        /"a\/b" cannot be a dataset's name: take letters, digits/,
        { data },
      );
      await fails(['dataset', 'create', '--zone', '34', '--name', 'x', '--schema', join(data, 'datasets/zone33.schema.json')], /no chip of zone 34 in .*: cut some with imagesim chip --zone 34/, { data }); // prettier-ignore
      await fails(['dataset', 'show', 'hat'], /no dataset hat in .*, there is roofs: /, { data });
      await fails(['dataset', 'show', 'roofs@zz'], /no version zz of roofs: there are [0-9a-f]{12}, [0-9a-f]{12}/, {
        data,
      });
      await fails(['dataset', 'export', 'roofs', '--to', 'x'], /required option '--format <format>' not specified/, {
        data,
      });
    });
  });

  it('sample: makes a delivery, and makes it again from what is there', async () => {
    const cwd = await emptyFolder();
    await cp(await sampleDelivery(), join(cwd, 's'), { recursive: true });
    assert.deepEqual(await linesOf(['sample', 's'], { cwd }), [
      `16 files in ${cwd}/s: Z33-031111212030, Z33-031111212031 at 2022-06-14, 2023-05-21`,
    ]);
  });

  it('says its version and what it can do', async () => {
    const { version } = JSON.parse(await readFile(join(import.meta.dirname, '../kernel-lib/package.json'), 'utf8')) as { version: string }; // prettier-ignore
    assert.deepEqual(await linesOf(['--version']), [version]);
    const help = (await linesOf(['--help'])).join('\n');
    for (const verb of [
      'cell',
      'tiles',
      'sample',
      'sync',
      'data',
      'osm',
      'chip',
      'dataset',
      'doctor',
      'notebooks',
      'lab',
    ]) {
      assert.match(help, new RegExp(`^ {2}${verb} `, 'm'));
    }
  });

  describe('given what it cannot use, says so in one line and exits with 1:', () => {
    const help = /\(imagesim --help lists the verbs\)/;

    it('an unknown verb, option or choice; an argument that is missing', async () => {
      const wrong: [args: string[], found: RegExp][] = [
        [['tile', 'x'], /unknown command 'tile' \(Did you mean tiles\?\)/],
        [['sync', 'x', '--what'], /unknown option '--what'/],
        [['osm'], /required option '--zone <n>' not specified/],
        [['sample', 'x', '--scale', 'huge'], /argument 'huge' is invalid\. Allowed choices are tiny, city, full\./],
        [['fetch'], /unknown command 'fetch'/],
        [['sync'], /missing required argument 'from'/],
        [['cell'], /missing required argument 'ids'/],
      ];
      for (const [args, found] of some(wrong, 4)) await fails(args, new RegExp(`${found.source} ?.*${help.source}`));
    });

    it('a number that is none, or out of range', async () => {
      const wrong: [args: string[], range: string][] = [
        [['osm', '--zone', '61'], '1 to 60'],
        [['chip', '--zone', '33', '--quality', 'best'], '1 to 100'],
        [['sample', 'x', '--seed', 'oats'], '-1000000000 to 1000000000'],
        [['tiles', '--zone', 'thirty'], '1 to 60'],
        [['chip', '--zone', '3.3'], '1 to 60'],
        [['lab', '--port', '0'], '1 to 65535'],
      ];
      for (const [args, range] of some(wrong, 3)) {
        const line = new RegExp(`option '${args.at(-2)} <n>' argument '${args.at(-1)}' is invalid. expected a whole number, ${range}\\.`); // prettier-ignore
        await fails(args, line);
      }
      const data = await dataFolder(await sampleDelivery());
      await fails(['chip', '--zone', '33', '--min-valid', 'all'], /requires minValid above 0 and at most 1, got NaN/, { data }); // prettier-ignore
      assert.deepEqual(await readdir(data), ['ard']);
    });

    it('a delivery that is not there, empty, or none', async () => {
      const [data, empty, other] = [await emptyFolder(), await emptyFolder(), await emptyFolder()];
      await writeFile(join(other, 'holiday.jpg'), '');
      await mkdir(join(other, 'sub/ard/33/031133012203/2023-01-02'), { recursive: true });
      await writeFile(join(other, 'sub/ard/33/031133012203/2023-01-02/1040010000000001-visual.tif'), '');
      const expected = 'expected ard\\/<zone>\\/<quadkey>\\/<date>\\/<catalogue id>-visual\\.tif';
      for (const verb of some(['sync', 'tiles'], 1)) {
        await fails([verb, '/no/such'], /no folder \/no\/such: give a folder or s3:\/\/bucket\/prefix/, { data });
        await fails([verb, empty], new RegExp(`no ARD tile in ${empty}: ${empty} is empty; ${expected}`), { data });
        await fails([verb, other], new RegExp(`no ARD tile in ${other}: ${other} holds sub/, holiday.jpg; ${expected}`), { data }); // prettier-ignore
        await fails([verb, join(other, 'holiday.jpg')], /holiday\.jpg is a file: give the folder that holds ard\//, { data }); // prettier-ignore
        await fails([verb, 's3://b/p'], /cannot read s3:\/\/b\/p: nobody answers: check the network, and AWS_ENDPOINT_URL_S3/, {
          data, env: { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
        }); // prettier-ignore
      }
      assert.deepEqual(await readdir(data), []);
    });

    it('a data folder without tiles', async () => {
      const data = await emptyFolder();
      await fails(['tiles'], new RegExp(`no ARD tile under ${data}/ard: sync a delivery first`), { data });
      await fails(['chip', '--zone', '33'], new RegExp(`no ARD tile under ${data}/ard/33: sync a delivery first`), { data }); // prettier-ignore
      await fails(['osm', '--zone', '33'], new RegExp(`no cell under ${data}/ard/33: sync a delivery first`), { data });
      assert.deepEqual(await readdir(data), []);
    });

    it('a truncated TIFF, which chip names, leaving it out of the index, and goes on', async () => {
      const data = await dataFolder(await sampleDelivery());
      const [tile] = await readTiles(data);
      const { visual } = tile.files;
      for (const bytes of proof ? [2_000_000, 5000, 2000, 300, 100, 8, 0] : [2_000_000, 2000]) {
        await truncate(visual, bytes);
        const { code, stdout, stderr } = await imagesim(['chip', '--chip-dir', join(data, 'chips/33')], { data });
        assert.match(stderr, new RegExp(`^imagesim: ${visual} [^\n]*fetch it again\n$`));
        assert.match(stdout, bytes === 2_000_000 ? /^410 chips, 410 cut now/m : /^410 chips, 0 cut now/m);
        assert.equal(code, 1);
        const { chips } = await readNodataIndex(join(data, 'nodata-index.json'));
        const ofTile = Object.entries(chips).filter(([id, catids]) => id.startsWith(tile.cell.id) && catids.includes(tile.catid)); // prettier-ignore
        assert.deepEqual([ofTile.length, Object.values(chips).flat().length], [0, 410]);
      }
    });

    it('a STAC item that is not JSON', async () => {
      const [data, delivery] = [await emptyFolder(), await dataFolder(await sampleDelivery())];
      const { item } = (await readTiles(delivery))[0].files;
      await writeFile(item, '<?xml version="1.0"?><Error/>');
      await fails(['sync', delivery], new RegExp(`${item} is no STAC item: not JSON, it begins with .*; fetch it again`), { data }); // prettier-ignore
      assert.deepEqual(await readdir(data), []);
    });

    it('a data folder that cannot be written, in any step that writes', async function () {
      this.timeout(30_000);
      const file = join(await emptyFolder(), 'file');
      await writeFile(file, '');
      const sample = await sampleDelivery();
      for (const data of some([file, '/proc/imagesim', join(file, 'data')], 2)) {
        const remedy =
          /: (a file stands where a folder is needed|no folder can be made there): .*set IMAGESIM_DATA to /;
        await fails(['sync', sample], new RegExp(`cannot write ${data}/(ard|licences)/.*${remedy.source}`), { data });
        await fails(['sample', join(data, 's')], new RegExp(`cannot write ${data}/s/.*${remedy.source}`));
        if (data === file) {
          continue;
        }
        await fails(['notebooks', '01'], new RegExp(`cannot make the data folder ${data}: set IMAGESIM_DATA to one that can be written`), { data }); // prettier-ignore
      }
      const data = await dataFolder(sample);
      await fails(['chip', '--zone', '33', '--index-only', '--filename', join(file, 'i.json')], new RegExp(`cannot write ${file}/i.parts/Z33-\\d+.json: a file stands`), { data }); // prettier-ignore
    });

    it('a notebook that is not there, before a sample is made', async () => {
      const data = await emptyFolder();
      await fails(['notebooks', '08-more'], /no notebook 08-more in .*notebooks: there are 01-infra, 02-osm, 03-chips, /, { data }); // prettier-ignore
      assert.deepEqual(await readdir(data), []);
    });

    it('a setting that is no number, or a scale that is none', async () => {
      const data = await emptyFolder();
      await fails(['notebooks'], /IMAGESIM_SCALE is "huge": expected tiny, city or full/, { data, env: { IMAGESIM_SCALE: 'huge' } }); // prettier-ignore
      assert.deepEqual(await readdir(data), []);
    });
  });
});

/** What ../shared/vectors/ard-grid.json holds of a tile. */
interface Vectors {
  full_tiles: VectorTile[];
  partial_tiles: VectorTile[];
  invalid_cell_ids: string[];
  valid_id_spellings_of_one_cell: string[];
}
interface VectorTile {
  cell_id: string;
  zone: number;
  quadkey: string;
  hemisphere: 'N' | 'S';
  /** As published. */
  observed: { epsg: number; proj_bbox: number[] };
}
const idOf = ({ zone, quadkey }: VectorTile): string => `MXRA-Z${zone}-${quadkey}`;
