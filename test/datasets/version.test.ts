import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DatasetRow, type DatasetVersion, countLabels, readDataset, writeDataset } from 'imagesim/datasets';
import { emptyFolder } from '../delivery.ts';
import { datasetRows, schema } from './ground.ts';

const facts = {
  name: 'zone33',
  zone: 33,
  schema,
  split: { blockZoom: 15, buffer: 1, seed: 1 },
  licences: [{ source: 'labels', licence: 'ODbL 1.0', attribution: '© OpenStreetMap contributors' }],
};
const rows = datasetRows(300, 'version');

describe('dataset version', () => {
  let folder: string;
  let written: DatasetVersion;
  before(async () => {
    folder = await emptyFolder();
    written = await writeDataset(folder, facts, rows);
  });

  it('comes back as it was written: every row, every weight, labels that are not known', async () => {
    const read = await readDataset(folder, 'zone33');
    assert.deepEqual(read, written);
    const byKey = new Map(rows.map((row) => [`${row.id} ${row.catid}`, row]));
    assert.equal(read.rows.length, 300);
    for (const row of read.rows) assert.deepEqual(row, byKey.get(`${row.id} ${row.catid}`));
    assert.ok(read.rows.some(({ labels }) => Object.values(labels).includes(null)));
  });

  it('comes back by its number, and through the ard folder too', async () => {
    const { version } = written.manifest;
    assert.deepEqual(await readDataset(folder, 'zone33', version), written);
    assert.deepEqual(await readDataset(join(folder, 'ard'), 'zone33'), written);
  });

  it('keeps a label of which every value is unknown, and one of which none is', async () => {
    const [first, second] = schema.labels.map(({ label }) => label);
    const flat = rows.slice(0, 5).map((row) => ({ ...row, labels: { [first]: null, [second]: 0 as const } }));
    const there = await emptyFolder();
    await writeDataset(there, { ...facts, schema: { version: 1, labels: schema.labels.slice(0, 2) } }, flat);
    const read = await readDataset(there, 'zone33');
    for (const { labels } of read.rows) assert.deepEqual(labels, { [first]: null, [second]: 0 });
  });

  it('keeps a column of more values than 16 bits can tell apart', async () => {
    const many = Array.from({ length: (1 << 15) + 2 }, (_, k) => ({ ...rows[0], catid: `CATALOGUE${k}` }));
    const { manifest } = await writeDataset(folder, { ...facts, name: 'many' }, many);
    const found = await readDataset(folder, 'many', manifest.version);
    assert.deepEqual(new Set(found.rows.map(({ catid }) => catid)), new Set(many.map(({ catid }) => catid)));
  });

  it('has the same number and the same bytes for the same rows in another order, on another disk', async () => {
    const other = await writeDataset(await emptyFolder(), facts, rows.toReversed());
    assert.equal(other.manifest.version, written.manifest.version);
    for (const name of ['chips.parquet', 'manifest.json'])
      assert.deepEqual(await readFile(join(other.folder, name)), await readFile(join(written.folder, name)));
  });

  it('has another number when one label, one side, the schema, the split or a licence is another', async () => {
    const there = await emptyFolder();
    const [first, ...rest] = rows;
    const label = schema.labels[0].label;
    const relabelled: DatasetRow = {
      ...first,
      labels: { ...first.labels, [label]: first.labels[label] === 1 ? 0 : 1 },
    };
    const moved: DatasetRow = { ...first, split: first.split === 'test' ? 'train' : 'test' };
    const looser = {
      version: 1 as const,
      labels: schema.labels.map((rule) => ({ ...rule, atLeast: rule.atLeast / 2 })),
    };
    const versions = [
      written,
      await writeDataset(there, facts, [relabelled, ...rest]),
      await writeDataset(there, facts, [moved, ...rest]),
      await writeDataset(there, { ...facts, schema: looser }, rows),
      await writeDataset(there, { ...facts, split: { ...facts.split, seed: 2 } }, rows),
      await writeDataset(there, { ...facts, licences: [] }, rows),
    ].map(({ manifest }) => manifest.version);
    assert.equal(new Set(versions).size, 6);
    assert.equal((await readDataset(there, 'zone33')).manifest.version, versions[5], 'the newest is the last written');
    assert.equal((await readDataset(there, 'zone33', versions[1])).manifest.version, versions[1]);
  });

  it('counts its rows by side, and hashes its parquet as sha256sum does', async () => {
    const { counts, sha256 } = written.manifest;
    for (const side of ['train', 'validation', 'test', 'buffer'] as const)
      assert.equal(counts[side], rows.filter(({ split }) => split === side).length);
    const [sum] = execFileSync('sha256sum', [join(written.folder, 'chips.parquet')])
      .toString()
      .split(' ');
    assert.equal(sha256, sum);
  });

  it('leaves nothing half-written beside it', async () => {
    assert.deepEqual((await readdir(written.folder)).toSorted(), ['chips.parquet', 'manifest.json']);
    assert.deepEqual((await readdir(join(written.folder, '..'))).toSorted(), [written.manifest.version, 'latest'].toSorted()); // prettier-ignore
  });

  it('counts every label by side, as a loop does', () => {
    const expected = schema.labels.map(({ label }) => {
      const counts = { label, train: 0, validation: 0, test: 0, unknownInTrain: 0 };
      for (const { split, labels } of rows) {
        if (labels[label] === 1 && split !== 'buffer') counts[split]++;
        if (labels[label] === null && split === 'train') counts.unknownInTrain++;
      }
      return counts;
    });
    assert.deepEqual(countLabels(written), expected);
  });

  it('refuses no rows, and writes nothing', async () => {
    const there = await emptyFolder();
    await assert.rejects(
      writeDataset(there, facts, []),
      /RangeError: writeDataset requires at least one row for zone33/,
    );
    assert.ok(!existsSync(join(there, 'datasets')));
  });

  describe('on reading', () => {
    let there: string;
    let home: string;
    beforeEach(async () => {
      there = await emptyFolder();
      ({ folder: home } = await writeDataset(there, facts, rows.slice(0, 9)));
    });

    it('names a parquet of which one byte is changed', async () => {
      const path = join(home, 'chips.parquet');
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] ^= 1;
      await writeFile(path, bytes);
      const found = createHash('sha256').update(bytes).digest('hex');
      await assert.rejects(
        readDataset(there, 'zone33'),
        new RegExp(`chips\\.parquet is not the file that was written \\(SHA-256 ${found}\\)`),
      );
    });

    it('names a parquet that is missing', async () => {
      await rm(join(home, 'chips.parquet'));
      await assert.rejects(readDataset(there, 'zone33'), /ENOENT.*chips\.parquet/);
    });

    it('names a manifest that is damaged and the entry, or that is no JSON', async () => {
      const path = join(home, 'manifest.json');
      const manifest = JSON.parse(await readFile(path, 'utf8')) as object;
      await writeFile(path, JSON.stringify({ ...manifest, zone: 'thirty-three' }));
      await assert.rejects(
        readDataset(there, 'zone33'),
        /manifest\.json is damaged at zone: .*; move the folder away, and make the dataset again with imagesim dataset create/,
      );
      await writeFile(path, '{"format":1');
      await assert.rejects(readDataset(there, 'zone33'), /manifest\.json is not JSON/);
    });

    it('names a dataset and a version that are not there', async () => {
      await assert.rejects(readDataset(there, 'zone34'), /no dataset zone34 in .*\/datasets, there is zone33: run notebook 05-datasets/); // prettier-ignore
      const [id] = home.split('/').slice(-1);
      await assert.rejects(readDataset(there, 'zone33', 'abc'), new RegExp(`no version abc of zone33: there is ${id}`));
    });
  });
});
