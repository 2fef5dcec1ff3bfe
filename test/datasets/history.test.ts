import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { type DatasetRow, countGaps, diffDatasets, findVersion, listDatasets, parseDataset, readDataset, rowPath, verifyDataset, writeDataset } from 'imagesim/datasets'; // prettier-ignore
import { emptyFolder } from '../delivery.ts';
import { facts, groundVersion, sealed, spoilManifest, writeChip } from './chips.ts';
import { datasetRows, schema } from './ground.ts';

const [house] = schema.labels.map(({ label }) => label);
const rows = datasetRows(40, 'history');
const nameOf = ({ id, catid, date }: DatasetRow): string => `${id}_${catid} of ${date}`;

describe('the history of a dataset', () => {
  it('names the newest as the parent, or whichever is asked for, and neither makes the id', async () => {
    const [one, other] = [await emptyFolder(), await emptyFolder()];
    const first = await writeDataset(one, facts, rows);
    const second = await writeDataset(one, facts, rows.slice(1));
    const third = await writeDataset(one, { ...facts, parent: first.manifest.version }, rows.slice(2));
    const alone = await writeDataset(other, { ...facts, name: 'another', parent: null }, rows.slice(2));
    assert.deepEqual([first, second, third, alone].map(({ manifest }) => manifest.parent), [null, first.manifest.version, first.manifest.version, null]); // prettier-ignore
    assert.equal(alone.manifest.version, third.manifest.version);
    assert.equal(third.manifest.codeVersion, (JSON.parse(await readFile(join(import.meta.dirname, '../../kernel-lib/package.json'), 'utf8')) as { version: string }).version); // prettier-ignore
  });

  it('has another id when one chip’s bytes, one map’s day or one gap is another', async () => {
    const there = await emptyFolder();
    const [first, ...rest] = rows;
    const ids = [
      await writeDataset(there, facts, rows),
      await writeDataset(there, facts, [{ ...first, sha256: 'f'.repeat(64) }, ...rest]),
      await writeDataset(there, facts, [{ ...first, gapDays: 1 }, ...rest]),
      await writeDataset(there, { ...facts, osmDates: { 'Z33-031133012203': '2024-01-01T00:00:00.000Z' } }, rows),
    ].map(({ manifest }) => manifest.version);
    assert.equal(new Set(ids).size, 4);
  });

  it('counts the days between pictures and map, the unknown apart', () => {
    const gaps = [12, 12, undefined, -3].map((gapDays, at) => ({ ...rows[at], date: at < 3 ? '2023-05-17' : '2022-01-01', gapDays })); // prettier-ignore
    assert.deepEqual(countGaps(gaps), [
      { date: '2022-01-01', gapDays: -3, chips: 1 },
      { date: '2023-05-17', gapDays: 12, chips: 2 },
      { date: '2023-05-17', gapDays: undefined, chips: 1 },
    ]);
  });

  it('never writes a version again, and makes it the newest when it is asked for again', async () => {
    const there = await emptyFolder();
    const first = await writeDataset(there, facts, rows);
    const path = join(first.folder, 'manifest.json');
    const before = await stat(path, { bigint: true });
    await writeDataset(there, facts, rows.slice(1));
    assert.deepEqual(await writeDataset(there, facts, rows.toReversed()), first);
    const after = await stat(path, { bigint: true });
    assert.deepEqual([after.ino, after.mtimeNs], [before.ino, before.mtimeNs]);
    assert.equal((await readDataset(there, 'hand')).manifest.version, first.manifest.version);
  });

  it('refuses to take a version for written whose table is damaged, and says what to do', async () => {
    const home = await emptyFolder();
    const { folder } = await writeDataset(home, facts, rows);
    await truncate(join(folder, 'chips.parquet'), 1000);
    await assert.rejects(
      writeDataset(home, facts, rows),
      /chips\.parquet is missing or not the file that was written: move .* away/,
    );
    await rm(folder, { recursive: true });
    assert.equal((await writeDataset(home, facts, rows)).rows.length, rows.length);
  });

  it('loses nothing when many write at once, the same and others, and leaves nothing half-written', async () => {
    const there = await emptyFolder();
    const many = [0, 1, 2, 0, 1, 2, 0, 1].map((from) => writeDataset(there, facts, rows.slice(from)));
    const versions = new Set((await Promise.all(many)).map(({ manifest }) => manifest.version));
    assert.equal(versions.size, 3);
    assert.deepEqual((await readdir(join(there, 'datasets/hand'))).sort(), [...versions, 'latest'].sort());
    const parents = (await listDatasets(there)).map(({ manifest }) => manifest!.parent);
    assert.equal(parents.filter((parent) => parent === null).length, 1);
    assert.ok(
      parents.every((parent) => parent === null || versions.has(parent)),
      'they took turns',
    );
    for (const version of versions) assert.equal((await readDataset(there, 'hand', version)).manifest.version, version);
  });

  it('loses nothing when programs write at once', async function () {
    this.timeout(60_000);
    const there = await emptyFolder();
    const script = `import { writeDataset } from 'imagesim/datasets'; const [folder, facts, rows, from] = JSON.parse(process.argv[1]); for (let k = 0; k < 6; k++) await writeDataset(folder, facts, rows.slice(from + k));`;
    const cwd = join(import.meta.dirname, '../..');
    const run = (from: number): Promise<unknown> => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, JSON.stringify([there, facts, rows, from])], { cwd }); // prettier-ignore
    await Promise.all([run(0), run(3)]);
    const listed = await listDatasets(there, 'hand');
    assert.deepEqual([listed.length, listed.filter(({ latest }) => latest).length], [9, 1]);
    assert.ok(listed.every(({ fault }) => fault === undefined));
  });

  it('refuses rows without a hash, and rows that are there twice', async () => {
    const there = await emptyFolder();
    const [first, second] = rows;
    await assert.rejects(writeDataset(there, facts, [first, { ...second, sha256: undefined }]), new RegExp(`RangeError: the chip ${nameOf(second)} has no SHA-256: hash the chips first`)); // prettier-ignore
    await assert.rejects(writeDataset(there, facts, [first, second, first]), new RegExp(`RangeError: the chip ${nameOf(first)} is there twice`)); // prettier-ignore
    assert.deepEqual(await readdir(there), []);
  });

  it('refuses a manifest of format 1 or 2, and never takes a damaged one for the newest', async () => {
    const there = await emptyFolder();
    const first = await writeDataset(there, facts, rows);
    const second = await writeDataset(there, facts, rows.slice(1));
    const remedy = 'move the folder away, and make the dataset again with imagesim dataset create';
    for (const [format, lack] of [[1, 'a chip'], [2, 'the manifest']] as const) {
      await spoilManifest(first.folder, (manifest) => ({ ...manifest, format }));
      const refused = new RegExp(`manifest\\.json is of format ${format}, which knows no hash of ${lack}: ${remedy}`);
      await assert.rejects(readDataset(there, 'hand', first.manifest.version), refused);
      await assert.rejects(writeDataset(there, facts, rows), refused);
    } // prettier-ignore
    assert.equal((await readDataset(there, 'hand')).manifest.version, second.manifest.version);
    const listed = await listDatasets(there, 'hand');
    assert.deepEqual(new Map(listed.map(({ version, fault }) => [version, fault !== undefined])), new Map([[first.manifest.version, true], [second.manifest.version, false]])); // prettier-ignore
  });
});

describe('the name of a version', () => {
  let there: string;
  before(async () => {
    there = await emptyFolder();
    await writeDataset(there, facts, rows);
  });

  it('is refused with a slash, as a folder above, or with nothing in it, before anything is written', async () => {
    const empty = await emptyFolder();
    for (const name of ['a/b', '..', '.hidden', '', 'a b', 'a\\b']) {
      await assert.rejects(writeDataset(empty, { ...facts, name }, rows), /RangeError: ".*" cannot be a dataset's name: take letters, digits/); // prettier-ignore
      await assert.rejects(readDataset(empty, name), /cannot be a dataset's name/);
    }
    assert.deepEqual(await readdir(empty), []);
  });

  it('may be the beginning of an id that no other has, and says which two it may be', async () => {
    const home = join(there, 'datasets/hand');
    const id = (await readdir(home)).find((entry) => entry !== 'latest')!;
    assert.equal(await findVersion(there, 'hand', id.slice(0, 3)), join(home, id));
    const twin = `${id.slice(0, 6)}${'0'.repeat(6)}`;
    await mkdir(join(home, twin));
    await assert.rejects(findVersion(there, 'hand', id.slice(0, 6)), new RegExp(`hand@${id.slice(0, 6)} may be (${id} or ${twin}|${twin} or ${id}): give more digits`)); // prettier-ignore
    await rm(join(home, twin), { recursive: true });
  });

  it('lists what there is where it is none', async () => {
    await assert.rejects(readDataset(there, 'hat'), /no dataset hat in .*, there is hand: run notebook 05-datasets/);
    await assert.rejects(readDataset(there, 'hand', 'zzz'), /no version zzz of hand: there is [0-9a-f]{12}/);
    await assert.rejects(readDataset(await emptyFolder(), 'hat'), /no dataset hat in .*, there is none/);
  });

  it('is parted from the version by an @', () => {
    assert.deepEqual(parseDataset('zone33@4f0c'), { name: 'zone33', version: '4f0c' });
    assert.deepEqual(parseDataset('zone33'), { name: 'zone33', version: undefined });
    assert.throws(() => parseDataset('zone/33@4f'), /"zone\/33" cannot be a dataset's name/);
  });
});

describe('diffDatasets', () => {
  it('tells chips added and removed, changed bytes, labels, sides and rules, each chip by name', async () => {
    const there = await emptyFolder();
    const [, b, c, d, ...rest] = rows;
    const before = await writeDataset(there, facts, rows.slice(0, -1));
    const side = d.split === 'test' ? 'train' : 'test';
    const value = c.labels[house] === 1 ? 0 : 1;
    const rules = { version: 1 as const, labels: schema.labels.map((rule, k) => (k === 1 ? { ...rule, atLeast: 30 } : rule)) }; // prettier-ignore
    const after = await writeDataset(there, { ...facts, schema: rules, osmDates: {} }, [
      { ...b, sha256: 'e'.repeat(64) },
      { ...c, labels: { ...c.labels, [house]: value } },
      { ...d, split: side },
      ...rest,
    ]);
    const words = new Map([[0, 'absent'], [1, 'present'], [null, 'unknown']]); // prettier-ignore
    assert.deepEqual(diffDatasets(before, after), {
      added: [nameOf(rows.at(-1)!)],
      removed: [nameOf(rows[0])],
      changed: [nameOf(b)],
      labels: { [house]: { [`${words.get(c.labels[house])} → ${words.get(value)}`]: 1 } },
      splits: { [`${d.split} → ${side}`]: 1 },
      schema: { added: [], removed: [], changed: [schema.labels[1].label] },
      osmDates: ['Z33-031133012203'],
      facts: [],
    });
    const back = diffDatasets(after, before);
    assert.deepEqual([back.added, back.removed], [[nameOf(rows[0])], [nameOf(rows.at(-1)!)]]);
    const same = diffDatasets(before, before);
    assert.deepEqual([same.added, same.removed, same.changed, same.labels, same.splits], [[], [], [], {}, {}]);
  });
});

describe('verifyDataset', () => {
  it('finds nothing in a version that is as it was, by hash and quickly', async () => {
    const { folder, dataset } = await groundVersion();
    const fine = { name: 'hand', version: dataset.manifest.version, chips: 24, faults: [], missing: [], changed: [] };
    assert.deepEqual(await verifyDataset(folder, 'hand'), fine);
    assert.deepEqual(await verifyDataset(folder, 'hand', undefined, { quick: true }), fine);
  });

  it('names chips that are missing and chips that are another file', async () => {
    const { folder, dataset } = await groundVersion();
    const [a, b] = dataset.rows;
    await rm(rowPath(folder, a));
    await writeChip(rowPath(folder, b), 255);
    for (const quick of [true, false]) {
      const { faults, missing, changed } = await verifyDataset(folder, 'hand', undefined, { quick });
      assert.deepEqual([faults, missing, changed], [[], [nameOf(a)], [nameOf(b)]]);
    }
  });

  it('finds by hash a chip whose size and time are as they were, which quickly it believes', async () => {
    const { folder, dataset } = await groundVersion();
    const path = rowPath(folder, dataset.rows[3]);
    const { atime, mtime } = await stat(path);
    const bytes = await readFile(path);
    bytes[bytes.length - 5] ^= 1;
    await writeFile(path, bytes);
    await utimes(path, atime, mtime);
    assert.deepEqual((await verifyDataset(folder, 'hand')).changed, [nameOf(dataset.rows[3])]);
  });

  it('finds a manifest in which any entry was changed, or one added, whatever the entry', async () => {
    const { folder, dataset } = await groundVersion(4);
    const path = join(dataset.folder, 'manifest.json');
    const written = await readFile(path, 'utf8');
    const manifest = JSON.parse(written) as Record<string, unknown>;
    const other: Record<string, unknown> = {
      name: 'hanf', version: '0'.repeat(12), zone: 34, labels: ['a'], schema: { version: 1, labels: [] }, split: {},
      counts: { train: 1, validation: 1, test: 1, buffer: 1 }, licences: [], osmDates: {}, nodataIndex: '0'.repeat(64),
      rows: '0'.repeat(64), sha256: '0'.repeat(64), codeVersion: '0.1.1', parent: '0'.repeat(12), checksum: '0'.repeat(64),
    }; // prettier-ignore
    assert.deepEqual(Object.keys({ format: 3, ...other }).sort(), Object.keys(manifest).sort());
    for (const [entry, value] of Object.entries({ ...other, more: 1 })) {
      await spoilManifest(dataset.folder, (was) => ({ ...was, [entry]: value }));
      const { faults } = await verifyDataset(folder, 'hand');
      assert.match(faults[0], /manifest\.json was changed after it was written \(its checksum is [0-9a-f]{64}, not [0-9a-f]{64}\): move the folder away, and make the dataset again/, entry); // prettier-ignore
      await writeFile(path, written);
    }
    assert.deepEqual((await verifyDataset(folder, 'hand')).faults, []);
  });

  it('finds a manifest that says something else than its rows, though its checksum is right', async () => {
    const changes: [string, (manifest: Record<string, unknown>) => object, RegExp][] = [
      ['licences', (manifest) => ({ ...manifest, licences: [] }), /manifest\.json does not agree with itself at version/],
      ['split', (manifest) => ({ ...manifest, split: {} }), /at version/],
      ['rows', (manifest) => ({ ...manifest, rows: '0'.repeat(64) }), /at rows/],
      ['counts', (manifest) => ({ ...manifest, counts: { train: 1, validation: 1, test: 1, buffer: 1 } }), /at counts/],
      ['zone', (manifest) => ({ ...manifest, zone: 'x' }), /manifest\.json is damaged at zone: /],
      ['sha256', (manifest) => ({ ...manifest, sha256: '0'.repeat(64) }), /chips\.parquet is not the file that was written/],
    ]; // prettier-ignore
    for (const [what, change, line] of changes) {
      const { folder, dataset } = await groundVersion(4);
      await spoilManifest(dataset.folder, (manifest) => sealed(change(manifest)));
      assert.match((await verifyDataset(folder, 'hand')).faults[0], line, what);
    }
  });
});

describe('chips.parquet, read by DuckDB', () => {
  it('has every row and column as it was written, what is unknown as null', async () => {
    const { dataset } = await groundVersion();
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const path = join(dataset.folder, 'chips.parquet');
    const found = (await connection.runAndReadAll(`select * from read_parquet('${path}') order by id, catid`)).getRowObjects(); // prettier-ignore
    const expected = dataset.rows.map(({ id, catid, date, split, weight, sha256, gapDays, gsd, labels }) => ({
      id, catid, date, split, weight, sha256, gap_days: gapDays, cloud_percent: null, off_nadir: null, gsd: gsd ?? null,
      ...Object.fromEntries(Object.entries(labels).map(([label, value]) => [`label:${label}`, value])),
    })); // prettier-ignore
    assert.deepEqual(found, expected);
    connection.closeSync();
  });
});
