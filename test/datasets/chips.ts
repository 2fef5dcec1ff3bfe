// A small dataset with its chips on disk, of which tests may spoil a part.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type DatasetFacts,
  type DatasetRow,
  type DatasetVersion,
  hashChips,
  rowPath,
  writeDataset,
} from 'imagesim/datasets';
import sharp from 'sharp';
import { emptyFolder } from '../delivery.ts';
import { datasetRows, schema } from './ground.ts';

export const facts: DatasetFacts = {
  name: 'hand',
  zone: 33,
  schema,
  split: { blockZoom: 15, seed: 1 },
  licences: [
    { source: 'imagery 10400100BC69F3F8', licence: 'CC BY-NC 4.0', attribution: 'Image © 2024 Maxar' },
    { source: 'labels', licence: 'ODbL 1.0', attribution: '© OpenStreetMap contributors' },
  ],
  osmDates: { 'Z33-031133012203': '2023-06-01T00:00:00.000Z' },
};

/** Rows with a chip each, in one even colour of its own, last written a minute ago; their hashes, and what is not known of some. */
export async function groundRows(folder: string, n: number): Promise<DatasetRow[]> {
  const bare = datasetRows(n, 'chips').map((row, k) => ({ ...row, gapDays: k % 2 === 0 ? 352 : 11, ...(k % 3 === 0 ? {} : { gsd: 0.46 }) })); // prettier-ignore
  for (const [k, row] of bare.entries()) await writeChip(rowPath(folder, row), 5 * k);
  const { sha256 } = await hashChips(join(folder, 'chips/33'), bare);
  return bare.map((row, k) => ({ ...row, sha256: sha256[k] }));
}

/** A chip of one grey. */
export async function writeChip(path: string, grey: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const create = { width: 16, height: 16, channels: 3 as const, background: { r: grey, g: grey, b: grey } };
  await writeFile(path, await sharp({ create }).jpeg({ quality: 100 }).toBuffer());
  const minuteAgo = Date.now() / 1000 - 60;
  await utimes(path, minuteAgo, minuteAgo);
}

/** A data folder with a version of `n` chips. */
export async function groundVersion(n = 24): Promise<{ folder: string; dataset: DatasetVersion }> {
  const folder = await emptyFolder();
  return { folder, dataset: await writeDataset(folder, facts, await groundRows(folder, n)) };
}

/** Changes a manifest on disk. */
export async function spoilManifest(folder: string, change: (manifest: Record<string, unknown>) => object): Promise<void> {
  const path = join(folder, 'manifest.json');
  await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>)));
} // prettier-ignore

/** A manifest with the checksum of what it says; the JSON is Python's, with its keys in order. */
export function sealed(manifest: object): object {
  const { checksum: _, ...rest } = manifest as { checksum?: string };
  const script = `import json, sys; sys.stdout.write(json.dumps(json.load(sys.stdin), sort_keys=True, ensure_ascii=False, separators=(',', ':')))`;
  const text = execFileSync('python3', ['-c', script], { input: JSON.stringify(rest), env: { ...process.env, PYTHONIOENCODING: 'utf-8' } }); // prettier-ignore
  return { ...rest, checksum: createHash('sha256').update(text).digest('hex') };
}
