import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DatasetVersion, exportDataset, hashChips, readDataset, rowPath } from 'imagesim/datasets';
import sharp from 'sharp';
import { z } from 'zod';
import { emptyFolder } from '../delivery.ts';
import { groundVersion, writeChip } from './chips.ts';

/** Runs a line of Python under Debian's own, whose numpy rasterio brings. @returns what it prints as JSON */
function python(lines: string, ...args: string[]): unknown {
  return JSON.parse(execFileSync('/usr/bin/python3', ['-c', lines, ...args]).toString());
}

const url = z.string().regex(/^(https?:\/\/|urn:)\S+$/);
const reference = z.strictObject({ '@id': z.string() });
const dataType = z.enum(['sc:Text', 'sc:Float', 'sc:Integer', 'sc:Date', 'sc:URL', 'cr:Label', 'cr:Split']);

/** Croissant 1.0 as published, http://mlcommons.org/croissant/1.0, for what is used of it. */
const croissant = z.object({
  // “schema.org/Dataset, Required”: each must be specified for every Croissant dataset
  '@context': z.looseObject({ '@vocab': z.literal('https://schema.org/'), sc: z.literal('https://schema.org/'), cr: z.literal('http://mlcommons.org/croissant/'), dct: z.literal('http://purl.org/dc/terms/'), conformsTo: z.literal('dct:conformsTo') }),
  '@type': z.literal('sc:Dataset'),
  conformsTo: z.literal('http://mlcommons.org/croissant/1.0'), // “Namespaces”
  name: z.string().min(1),
  description: z.string().min(1),
  license: z.array(z.union([url, z.looseObject({ '@type': z.literal('sc:CreativeWork'), name: z.string() })])).min(1),
  url,
  creator: z.array(z.looseObject({ '@type': z.enum(['sc:Organization', 'sc:Person']), name: z.string().min(1) })).min(1),
  datePublished: z.iso.date(),
  version: z.string(), // “Recommended”
  citeAs: z.string().regex(/^@misc\{.*\}$/), // “Modified and Added Properties”: bibtex
  isLiveDataset: z.literal(false), // “Live Datasets”
  // “Resources”, “FileObject”: only FileObject and FileSet; “Checksums”: sha256 of each
  distribution: z.array(z.object({ '@type': z.literal('cr:FileObject'), '@id': z.string(), name: z.string(), contentUrl: z.string(), contentSize: z.string().regex(/^\d+ B$/), encodingFormat: z.string().regex(/^\w+\/[\w.-]+$/), sha256: z.string().regex(/^[0-9a-f]{64}$/) })).min(1),
  // “RecordSet”, “Field”, “DataSource”, “Extract”
  recordSet: z.array(z.object({
    '@type': z.literal('cr:RecordSet'), '@id': z.string(), key: z.union([reference, z.array(reference).min(1)]),
    field: z.array(z.object({
      '@type': z.literal('cr:Field'), '@id': z.string(), name: z.string(), dataType: z.union([dataType, z.array(dataType)]),
      source: z.object({ fileObject: reference, extract: z.strictObject({ column: z.string() }) }).optional(),
      references: reference.optional(),
    })).min(1),
    data: z.array(z.record(z.string(), z.unknown())).optional(),
  })).min(1),
}); // prettier-ignore

describe('exportDataset', () => {
  let folder: string;
  let dataset: DatasetVersion;
  let to: string;
  before(async () => ({ folder, dataset } = await groundVersion()));
  beforeEach(async () => (to = join(await emptyFolder(), 'export')));

  describe('as croissant', () => {
    const read = async (): Promise<z.infer<typeof croissant>> => {
      await exportDataset(folder, dataset, { to, format: 'croissant' });
      return croissant.parse(JSON.parse(await readFile(join(to, 'croissant.json'), 'utf8')));
    };

    it('keeps the published rules: what is required, types, references that lead somewhere, ids that are there once', async () => {
      const { recordSet, distribution } = await read();
      const ids = [...distribution, ...recordSet, ...recordSet.flatMap(({ field }) => field)].map(
        (node) => node['@id'],
      );
      assert.equal(new Set(ids).size, ids.length); // “ID and Reference Mechanism”
      const references = recordSet.flatMap(({ key, field }) => [...[key].flat(), ...field.flatMap(({ source, references: to_ }) => [source?.fileObject, to_])]); // prettier-ignore
      for (const found of references) assert.ok(!found || ids.includes(found['@id']), found?.['@id']);
      for (const { '@id': id, field } of recordSet) assert.ok(field.every((one) => one['@id'] === `${id}/${one.name}`));
      const splits = recordSet.find((set) => set['@id'] === 'splits')!; // “Splits”
      assert.deepEqual(splits.data?.map((row) => row['splits/url']), ['cr:TrainingSplit', 'cr:ValidationSplit', 'cr:TestSplit', null]); // prettier-ignore
    });

    it('has a field for every column of the table, in order, and the table’s hash', async () => {
      const { recordSet, distribution } = await read();
      const columns = recordSet
        .find((set) => set['@id'] === 'chips')!
        .field.map(({ source }) => source!.extract.column);
      assert.deepEqual(columns, ['id', 'catid', 'date', 'split', 'weight', 'sha256', 'gap_days', 'cloud_percent', 'off_nadir', 'gsd', ...dataset.manifest.labels.map((label) => `label:${label}`)]); // prettier-ignore
      const [table] = distribution;
      const bytes = await readFile(join(to, table.contentUrl));
      assert.deepEqual([table.sha256, table.contentSize], [createHash('sha256').update(bytes).digest('hex'), `${bytes.length} B`]); // prettier-ignore
    });

    it('names terms by their address where it is known, and who is to be named', async () => {
      const { license, creator, citeAs } = await read();
      assert.deepEqual(license, ['https://creativecommons.org/licenses/by-nc/4.0/', 'https://opendatacommons.org/licenses/odbl/1-0/']); // prettier-ignore
      assert.deepEqual(creator.map(({ name }) => name), ['Image © 2024 Maxar', '© OpenStreetMap contributors']); // prettier-ignore
      assert.ok(citeAs.includes(`version = {${dataset.manifest.version}}`));
    });
  });

  it('as a folder holds each chip under its side, a file of its own, and a table that Python reads', async () => {
    await exportDataset(folder, dataset, { to, format: 'folder' });
    // python3 csv.DictReader: the standard library's reader
    const rows = python('import csv, json, sys; print(json.dumps(list(csv.DictReader(open(sys.argv[1], newline="")))))', join(to, 'labels.csv')) as Record<string, string>[]; // prettier-ignore
    assert.equal(rows.length, 24);
    for (const [index, row] of rows.entries()) {
      const { id, split, labels } = dataset.rows[index];
      const path = join(to, row.file);
      assert.deepEqual([row.id, row.file.split('/')[0]], [id, split]);
      const chip = rowPath(folder, dataset.rows[index]);
      assert.deepEqual(await readFile(path), await readFile(chip));
      assert.notEqual(
        (await stat(path)).ino,
        (await stat(chip)).ino,
        'no link: who changes the export changes no version',
      );
      for (const [label, value] of Object.entries(labels)) assert.equal(row[`label:${label}`], value === null ? '' : String(value)); // prettier-ignore
    }
    assert.deepEqual(await readFile(join(to, 'manifest.json')), await readFile(join(dataset.folder, 'manifest.json')));
  });

  it('as npz ends in one error, and leaves nothing, when a chip cannot be read', async () => {
    const path = rowPath(folder, dataset.rows[3]);
    const bytes = await readFile(path);
    await writeFile(path, '');
    const { sha256 } = (await hashChips(join(folder, 'chips/33'), dataset.rows, { again: true })); // prettier-ignore
    const rows = dataset.rows.map((row, index) => ({ ...row, sha256: sha256[index] })); // as if it had been so when it was versioned
    await assert.rejects(exportDataset(folder, { ...dataset, rows }, { to, format: 'npz' }), /cannot read the image/);
    assert.equal(existsSync(to), false);
    await writeFile(path, bytes);
  });

  it('as npz holds arrays that NumPy reads: images, labels with NaN, weights, ids, sides', async () => {
    await exportDataset(folder, dataset, { to, format: 'npz', size: 8 });
    const path = join(to, `hand-${dataset.manifest.version}.npz`);
    // python3-numpy of Debian
    const read = python(`
import json, sys, numpy
z = numpy.load(sys.argv[1])
print(json.dumps({name: [str(z[name].dtype), z[name].shape, numpy.where(z[name] != z[name], None, z[name]).tolist() if z[name].dtype.kind == 'f' else z[name].tolist()] for name in z.files}))`, path) as Record<string, [string, number[], unknown[]]>; // prettier-ignore
    const { rows, manifest } = dataset;
    const { images, ...others } = read;
    assert.deepEqual(others, {
      labels: ['float32', [24, 3], rows.map((row) => manifest.labels.map((label) => row.labels[label]))],
      weights: ['float32', [24], rows.map(({ weight }) => Math.fround(weight))],
      ids: ['<U22', [24], rows.map(({ id }) => id)],
      catids: ['<U16', [24], rows.map(({ catid }) => catid)],
      dates: ['<U10', [24], rows.map(({ date }) => date)],
      splits: [`<U${Math.max(...rows.map(({ split }) => split.length))}`, [24], rows.map(({ split }) => split)],
      label_names: ['<U14', [3], manifest.labels],
    });
    assert.deepEqual(images.slice(0, 2), ['uint8', [24, 8, 8, 3]]);
    const pixels = images[2].flat(3) as number[];
    for (const [index, row] of rows.entries()) {
      const expected = await sharp(rowPath(folder, row)).resize(8, 8, { fit: 'fill', kernel: 'linear' }).raw().toBuffer(); // prettier-ignore
      assert.deepEqual(pixels.slice(index * 192, index * 192 + 192), [...expected]);
    }
  });

  it('as npz is the same bytes when it is made again', async () => {
    const bytes: Buffer[] = [];
    for (const name of ['one', 'two']) {
      const [, path] = await exportDataset(folder, dataset, { to: join(to, name), format: 'npz', size: 4 });
      bytes.push(await readFile(path.endsWith('.npz') ? path : join(to, name, `hand-${dataset.manifest.version}.npz`)));
    }
    assert.deepEqual(bytes[0], bytes[1]);
  });

  it('writes nothing over, and nothing of chips that are missing or changed since', async () => {
    await mkdir(to);
    await writeFile(join(to, 'mine.txt'), '');
    for (const format of ['croissant', 'folder', 'npz'] as const)
      await assert.rejects(exportDataset(folder, dataset, { to, format }), /export is there and not empty: give a new folder, nothing is written over/); // prettier-ignore
    assert.deepEqual(await readdir(to), ['mine.txt']);
    const spoilt = await groundVersion(6);
    const [a, b] = spoilt.dataset.rows;
    await writeChip(rowPath(spoilt.folder, b), 255);
    for (const format of ['folder', 'npz'] as const)
      await assert.rejects(exportDataset(spoilt.folder, spoilt.dataset, { to: join(to, 'x'), format }), new RegExp(`the chip ${b.id}_${b.catid} of ${b.date} of hand@[0-9a-f]{12} is another file now in .*: imagesim dataset verify lists them`)); // prettier-ignore
    await rm(rowPath(spoilt.folder, a));
    await assert.rejects(exportDataset(spoilt.folder, spoilt.dataset, { to: join(to, 'x'), format: 'npz' }), new RegExp(`the chip ${a.id}_.* is missing in `)); // prettier-ignore
    assert.deepEqual(await readdir(to), ['mine.txt']);
    assert.ok((await readDataset(folder, 'hand')).rows.length > 0);
  });

  it('refuses a size that is none', async () => {
    for (const size of [0, 257, 1.5]) await assert.rejects(exportDataset(folder, dataset, { to, format: 'npz', size }), new RegExp(`RangeError: exportDataset requires a size of 1 to 256 pixels, got ${size}`)); // prettier-ignore
  });
});
