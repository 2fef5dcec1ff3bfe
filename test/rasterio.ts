// What rasterio finds: the tests' oracle. setup.sh test installs it for Debian's own Python.
import { execFileSync } from 'node:child_process';
import type { Polygon, MultiPolygon } from 'geojson';
import type { Cell } from 'imagesim/ard';

const PYTHON = '/usr/bin/python3';

/** Runs Python with rasterio, numpy and json at hand. @returns what it prints, as JSON says it */
export function python(code: string, ...words: string[]): unknown {
  const head = 'import sys, json, numpy, rasterio, rasterio.features\nfrom rasterio.windows import Window\n';
  const written = execFileSync(PYTHON, ['-W', 'ignore', '-c', head + code, ...words], { maxBuffer: 1 << 28 });
  return written.length > 0 ? JSON.parse(written.toString()) : undefined;
}

/** Sums a strip of 512 rows of a cell up to its 128 chips. */
const SUMS = 'sums = lambda m: m.reshape(2, 256, 64, 256).sum(axis=(1, 3)).ravel().tolist()\n';

/** Real pixels of each of a cell's 4,096 chips as `dataset_mask` has them, for each file. */
export function rasterioCounts(...paths: string[]): number[][] {
  const code = `${SUMS}
def counts(path):
    with rasterio.open(path) as f:
        strips = (f.dataset_mask(window=Window(512, row, 16384, 512)) > 0 for row in range(512, 16896, 512))
        return [count for strip in strips for count in sums(strip)]
print(json.dumps([counts(path) for path in sys.argv[1:]]))`;
  return python(code, ...paths) as number[][];
}

/** Chips whose every pixel `dataset_mask` calls real, as indices row by row. */
export function rasterioValid(path: string): number[] {
  const [counts] = rasterioCounts(path);
  return [...counts.keys()].filter((chip) => counts[chip] === 256 ** 2);
}

/** Pixels of each chip whose middle lies in a geometry, UTM metres, as `rasterize` has them. */
export function rasterizedCounts(geometry: Polygon | MultiPolygon, { cellBounds: [west, , , north] }: Cell): number[] {
  const code = `${SUMS}
geometry, west, north = json.loads(sys.argv[1])
p = 0.30517578125
strips = (rasterio.features.rasterize([geometry], (512, 16384), transform=rasterio.Affine(p, 0, west, 0, -p, north - row * p)) for row in range(0, 16384, 512))
print(json.dumps([count for strip in strips for count in sums(strip)]))`;
  return python(code, JSON.stringify([geometry, west, north])) as number[];
}
