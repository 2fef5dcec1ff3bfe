// The tile that chips and OSM are measured on: the first of the sample, made once and kept under the system's temporary folder.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Tile, readTiles } from 'imagesim/ard';
import { type SampleScale, makeSampleTile } from 'imagesim/sample';

/** A tile and the delivery that it lies in. */
export interface BenchTile {
  tile: Tile;
  /** The delivery's folder. */
  folder: string;
}

/** The tile of a scale; made at the first call (`full`: under a minute), with progress on stderr. */
export async function benchTile(scale: SampleScale): Promise<BenchTile> {
  const folder = join(tmpdir(), `imagesim-bench-${scale}-${await sampleVersion()}`);
  if (!existsSync(folder)) console.error(`bench: makes a tile of scale ${scale} in ${folder}, once`);
  const onProgress = ({ note }: { note?: string }): void => void (note && console.error(`bench: ${note}`));
  const made = existsSync(join(folder, 'overpass'));
  if (!made) await makeSampleTile(folder, { scale, onProgress });
  const [tile] = await readTiles(folder, { zone: 33 });
  return { tile, folder };
}

/** Eight digits that change with the code that makes a sample. */
async function sampleVersion(): Promise<string> {
  const folder = dirname(fileURLToPath(import.meta.resolve('imagesim/sample')));
  const files = (await readdir(folder)).filter((name) => name.endsWith('.js')).sort();
  const hash = createHash('sha256');
  for (const file of [...files, '../ard/cog.js', '../ard/ifd.js']) hash.update(await readFile(join(folder, file)));
  return hash.digest('hex').slice(0, 8);
}
