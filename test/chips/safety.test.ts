import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, link, mkdir, readFile, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cellOf, parseChip, readTiles } from 'imagesim/ard';
import { readChips, readNodataIndex } from 'imagesim/chips';
import seedrandom from 'seedrandom';
import sharp from 'sharp';
import { filesUnder } from '../bucket.ts';
import { emptyFolder, joplin, needsShared, sampleDelivery } from '../delivery.ts';
import { rasterioValid } from '../rasterio.ts';
import { type Real, type Run, runChip, smallDelivery, startChip, writeSmallTile } from './small.ts';

const proof = process.env.IMAGESIM_PROOF !== undefined;
const ard = new URL('../../kernel-lib/dist/ard/index.js', import.meta.url).href;
const CELLS = 6;
const CHIPS = 15 * CELLS;

/** Every file below a folder, temporary ones too, with its bytes. */
async function treeOf(folder: string): Promise<Map<string, Buffer>> {
  const files = await filesUnder(folder);
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(join(folder, file))] as const)));
}

/** When each file below a folder was last written. */
async function timesOf(folder: string): Promise<[file: string, ms: number][]> {
  const files = await filesUnder(folder);
  return Promise.all(files.map(async (file) => [file, (await stat(join(folder, file))).mtimeMs] as [string, number]));
}

/** Fails with names, not with the bytes of pictures. */
function assertSame(found: Map<string, Buffer>, expected: Map<string, Buffer>): void {
  assert.deepEqual([...found.keys()], [...expected.keys()]);
  for (const [file, bytes] of found) assert.ok(bytes.equals(expected.get(file)!), `${file} differs`);
}

const isPart = (file: string): boolean => basename(file).startsWith('.') && file.endsWith('.part');

/** What a run ended at any moment may leave: files as they are in the end, and temporary ones. */
function assertWhole(found: Map<string, Buffer>, expected: Map<string, Buffer>): void {
  for (const [file, bytes] of found)
    if (!isPart(file)) assert.ok(expected.get(file)?.equals(bytes), `${file} is not whole`);
}

/** Waits until a process writes its first file, or ends. */
async function untilFileMore(folder: string, child: ChildProcess): Promise<void> {
  const before = (await filesUnder(folder)).length;
  while (child.exitCode === null && (await filesUnder(folder)).length <= before) await pause(5);
}

/** Real east of a line that slants through the whole tile. */
const diagonal: Real = (column, row) => (x, y) => 2 * (column * 512 + x) > row * 512 + y + 3000;

const tilePath = (folder: string, quadkey: string, date: string): string =>
  join(folder, 'ard/33', quadkey, date, '1030010000000001-visual.tif');

const cutIn = ({ stdout }: Run): number => Number(/ (\d+) cut now/.exec(stdout)?.[1]);

/** One line on standard error, and exit code 1. */
function assertFails({ code, stderr }: Run, line: RegExp): void {
  assert.match(stderr, line);
  assert.match(stderr, /^imagesim: [^\n]+\n$/);
  assert.equal(code, 1);
}

describe('chips, safely', () => {
  let delivery: string;
  let tiles: string[];
  let expected: Map<string, Buffer>;
  let seconds: number;
  const args = (zone = 33, from = delivery): string[] => ['--ard-dir', join(from, 'ard'), '--zone', String(zone)];
  const succeed = async (data: string, more: string[] = []): Promise<Run> => {
    const run = await runChip(data, [...args(), ...more]);
    assert.deepEqual([run.code, run.stderr], [0, '']);
    return run;
  };
  before(async () => {
    delivery = await emptyFolder();
    tiles = await smallDelivery(delivery, 33, CELLS);
    const data = await emptyFolder();
    ({ seconds } = await succeed(data));
    expected = await treeOf(data);
  });
  /** A delivery of its own, of which a test may spoil a tile. */
  const ownDelivery = async (): Promise<{ from: string; tile: string }> => {
    const from = await emptyFolder();
    await cp(delivery, from, { recursive: true, preserveTimestamps: true });
    return { from, tile: tiles[3].replace(delivery, from) };
  };

  it('come out whole: every JPEG begins and ends as one and decodes', async () => {
    const jpegs = [...expected].filter(([file]) => file.endsWith('.jpg'));
    assert.equal(jpegs.length, CHIPS);
    for (const [, bytes] of jpegs) {
      assert.deepEqual([bytes.readUInt16BE(0), bytes.readUInt16BE(bytes.length - 2)], [0xffd8, 0xffd9]);
      assert.equal((await sharp(bytes, { failOn: 'warning' }).raw().toBuffer()).length, 256 ** 2 * 3);
    }
    assert.deepEqual([...expected.keys()].filter(isPart), []);
  });

  it('are not cut twice: a second run says so, opens no tile and writes nothing', async () => {
    const { from, tile } = await ownDelivery();
    const data = await emptyFolder();
    await runChip(data, args(33, from));
    const before = await timesOf(data);
    const { size, mtime } = await stat(tile);
    await writeFile(tile, Buffer.alloc(size)); // whoever opens it fails
    await utimes(tile, mtime, mtime);
    const { code, stdout, stderr } = await runChip(data, args(33, from));
    assert.match(stdout, new RegExp(`^${CHIPS} chips, 0 cut now; `, 'm'));
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(await timesOf(data), before);
    assertSame(await treeOf(data), expected);
  });

  const kills = proof ? 100 : 3;
  it(`are whole at each of ${kills} kills at random moments, and after the next run as if there had been none`, async () => {
    const random = seedrandom('kills');
    const [left, amid] = [new Set<string>(), new Set<number>()];
    let data = await emptyFolder();
    for (let kill = 1; kill <= kills; kill++) {
      const child = startChip(data, args());
      const ended = once(child, 'close');
      if (kill % 2 === 0) await untilFileMore(data, child);
      await pause((kill % 2 === 0 ? 0.3 : 1.1) * random() * seconds * 1000);
      child.kill('SIGKILL');
      await ended;
      const found = await treeOf(data);
      assertWhole(found, expected);
      const chips = [...found.keys()].filter((file) => file.endsWith('.jpg')).length;
      if (chips > 0 && !found.has('chips/33/index.parquet')) amid.add(kill);
      [...found.keys()].filter(isPart).forEach((file) => left.add(`${kill} ${file}`));
      if (random() < 0.5 && kill < kills) continue; // killed again before it is through
      const run = await succeed(data);
      assert.ok(run.seconds < 30, `${run.seconds} s`);
      assertSame(await treeOf(data), expected);
      data = await emptyFolder();
    }
    if (!proof) return;
    assert.ok(amid.size > kills / 4, `${amid.size} kills fell between the first chip and the last file`);
    console.log(`      ${amid.size} kills amid the work, ${left.size} temporary files left by them`);
  });

  describe('beside a lock', () => {
    it('do not wait for a process that was killed with it, and take away that and all else it left half-written', async () => {
      const data = await emptyFolder();
      await succeed(data);
      const folders = ['', 'nodata-index.parts', 'chips/33', dirname([...expected.keys()].find((file) => file.endsWith('.jpg'))!)]; // prettier-ignore
      const paths = ['nodata-index.json.lock', ...folders.map((folder) => join(folder, 'x'))].map((path) => join(data, path)); // prettier-ignore
      const code = `const { partName } = await import('${ard}'); console.log(${JSON.stringify(paths)}.map((path) => partName(path)).join('\\n'))`;
      const left = execFileSync(process.execPath, ['--input-type=module', '-e', code]).toString().trim().split('\n');
      for (const path of left) await writeFile(path, '');
      const run = await succeed(data);
      assert.ok(run.seconds < 30, `${run.seconds} s`);
      assertSame(await treeOf(data), expected);
    });

    it('wait for another machine’s process until it gives it back', async () => {
      const data = await emptyFolder();
      const claim = join(data, '.nodata-index.json.lock.deadbeef-1-a-0.part');
      await writeFile(claim, '');
      const child = startChip(data, [...args(), '--index-only']);
      const parts = join(data, 'nodata-index.parts');
      while (!existsSync(parts) || (await readdir(parts)).length < CELLS) await pause(20);
      await pause(500);
      assert.deepEqual([child.exitCode, existsSync(join(data, 'nodata-index.json'))], [null, false]);
      await rm(claim);
      await once(child, 'close');
      assert.equal(child.exitCode, 0);
      assert.ok((await readFile(join(data, 'nodata-index.json'))).equals(expected.get('nodata-index.json')!));
    });

    if (proof) {
      it('wait no longer than a minute for another machine’s process that gives no sign of life', async () => {
        const data = await emptyFolder();
        await writeFile(join(data, '.nodata-index.json.lock.deadbeef-1-a-0.part'), '');
        const run = await succeed(data);
        assert.ok(run.seconds > 60 && run.seconds < 90, `${run.seconds} s`);
        assertSame(await treeOf(data), expected);
      });
    }
  });

  describe('by several workers at once', () => {
    for (const count of proof ? [2, 4] : [3]) {
      it(`are those of one, byte for byte, when ${count} shards cut them, each chip once`, async () => {
        const data = await emptyFolder();
        const runs = await Promise.all(Array.from({ length: count }, (_, index) => succeed(data, ['--shard', `${index}/${count}`]))); // prettier-ignore
        assert.equal(runs.reduce((sum, run) => sum + cutIn(run), 0), CHIPS); // prettier-ignore
        assert.ok(runs.every((run) => cutIn(run) > 0));
        assertSame(await treeOf(data), expected);
      });
    }

    it('are merged by who ends last: not while another machine’s worker is at it, but when that has given no sign of life for a minute', async () => {
      const data = await emptyFolder();
      const sign = join(data, '.nodata-index.json.work.deadbeef-1-a-0.part');
      await writeFile(sign, '');
      const share = await succeed(data, ['--shard', '0/2', '--index-only']);
      assert.match(share.stdout, /; who ends last merges the index$/m);
      assert.equal(existsSync(join(data, 'nodata-index.json')), false);
      const minuteAgo = new Date(Date.now() - 61_000);
      await utimes(sign, minuteAgo, minuteAgo);
      await succeed(data, ['--shard', '1/2', '--index-only']);
      assert.ok((await readFile(join(data, 'nodata-index.json'))).equals(expected.get('nodata-index.json')!));
      assert.equal(existsSync(sign), false);
    });

    it('are those of one when each takes the whole zone', async () => {
      const data = await emptyFolder();
      await Promise.all([succeed(data), succeed(data)]);
      assertSame(await treeOf(data), expected);
    });

    it('lie in one index when each takes a zone of its own', async () => {
      const southern = await emptyFolder();
      await smallDelivery(southern, 34, 2);
      const [apart, together] = [await emptyFolder(), await emptyFolder()];
      for (const [zone, from] of [[33, delivery], [34, southern]] as const) await runChip(apart, args(zone, from)); // prettier-ignore
      await Promise.all([runChip(together, args(33)), runChip(together, args(34, southern))]);
      assertSame(await treeOf(together), await treeOf(apart));
      const { chips } = await readNodataIndex(join(together, 'nodata-index.json'));
      assert.equal(Object.keys(chips).length, CHIPS + 30);
    });
  });

  it('leave out a tile that is cut short, which is named, and take it in when it is mended', async () => {
    const { from, tile } = await ownDelivery();
    const whole = await readFile(tile);
    const { mtime } = await stat(tile);
    await truncate(tile, 300_000);
    const data = await emptyFolder();
    const run = await runChip(data, args(33, from));
    assertFails(run, new RegExp(`^imagesim: ${tile} is cut short: .*; fetch it again$`, 'm'));
    assert.equal(cutIn(run), CHIPS - 15);
    const { chips } = await readNodataIndex(join(data, 'nodata-index.json'));
    assert.equal(Object.keys(chips).length, CHIPS - 15);
    await writeFile(tile, whole);
    await utimes(tile, mtime, mtime);
    assert.equal(cutIn(await runChip(data, args(33, from))), 15);
    assertSame(await treeOf(data), expected);
  });

  it('leave an index of another version as it is, name it, and write nothing', async () => {
    const data = await emptyFolder();
    await writeFile(join(data, 'nodata-index.json'), '{"version":"0.1","chips":{}}');
    const before = await treeOf(data);
    assertFails(
      await runChip(data, args()),
      /nodata-index\.json is a no-data index of version "0\.1": expected "0\.2"/,
    );
    assertSame(await treeOf(data), before);
  });

  it('read a damaged record anew, and name one that is damaged and another worker’s', async () => {
    const data = await emptyFolder();
    await succeed(data);
    const [record, other] = (await readdir(join(data, 'nodata-index.parts'))).map((name) => join(data, 'nodata-index.parts', name)); // prettier-ignore
    const third = join(dirname(record), basename([...expected.keys()].findLast((file) => file.includes('.parts/'))!));
    await truncate(record, 100);
    await truncate(third, 0);
    await writeFile(other, await readFile(join(dirname(record), 'Z33-031133000002.json'))); // of another cell
    assert.equal(cutIn(await succeed(data)), 0);
    assertSame(await treeOf(data), expected);
    const foreign = join(dirname(record), 'Z34-031133000000.json');
    for (const text of ['{"cell":"Z34-031133000000"}', '{"cell":', await readFile(record, 'utf8')]) {
      await writeFile(foreign, text);
      assertFails(await runChip(data, args()), new RegExp(`^imagesim: ${foreign} .*delete it, and chip again$`, 'm'));
      await rm(foreign);
      assertSame(await treeOf(data), expected);
    }
  });

  it('are only told of by a dry run, and an index alone is an index alone', async () => {
    const data = await emptyFolder();
    const { stdout } = await succeed(data, ['--dry-run']);
    assert.match(stdout, new RegExp(`^${CHIPS} chips, ${CHIPS} to cut, \\d+\\.\\d MB; nothing is written$`, 'm'));
    assert.deepEqual(await readdir(data), []);
    await succeed(data, ['--index-only']);
    const index = new Map([...expected].filter(([file]) => !file.startsWith('chips/')));
    assertSame(await treeOf(data), index);
    await succeed(data);
    const chip = join(
      data,
      [...expected.keys()].find((file) => file.endsWith('.jpg'))!,
    );
    await rm(chip);
    const before = await timesOf(data);
    assert.match((await succeed(data, ['--dry-run'])).stdout, new RegExp(`^${CHIPS} chips, 1 to cut, `, 'm'));
    await succeed(data, ['--index-only']);
    assert.deepEqual(await timesOf(data), before);
  });

  describe('on a disk that takes no more', () => {
    let disk: string;
    const mount = (options: string): Buffer => execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk], { stdio: 'ignore' }); // prettier-ignore
    beforeEach(async function () {
      disk = await emptyFolder();
      try {
        mount('size=600k');
      } catch {
        console.log('      skipped: a small disk cannot be mounted by this user');
        this.skip();
      }
    });
    afterEach(() => void execFileSync('umount', [disk], { stdio: 'ignore' }));
    const places = (): string[] => ['--filename', join(disk, 'nodata-index.json'), '--chip-dir', join(disk, 'chips/33')]; // prettier-ignore

    it('end in one line when it is full, with whole files alone, and go on when there is room', async () => {
      const run = await runChip(disk, [...args(), ...places()]);
      assertFails(run, new RegExp(`^imagesim: cannot write ${disk}/chips/33/\\S+\\.jpg: the disk is full: `));
      const found = await treeOf(disk);
      assertWhole(found, expected);
      assert.deepEqual([...found.keys()].filter(isPart), []);
      mount('remount,size=20m');
      await succeed(disk, places());
      assertSame(await treeOf(disk), expected);
    });

    it('end in one line when the index finds no room, and write none', async () => {
      await writeFile(join(disk, 'other'), Buffer.alloc(590_000));
      const run = await runChip(disk, [...args(), '--index-only', ...places()]);
      assertFails(run, new RegExp(`^imagesim: cannot write ${disk}/nodata-index\\S+\\.json: the disk is full: `));
      await rm(join(disk, 'other'));
      assertWhole(await treeOf(disk), expected);
      assert.ok(![...(await treeOf(disk)).keys()].some(isPart));
    });

    it('end in one line where it is read-only, be it the chips’ or the index’s', async () => {
      await mkdir(join(disk, 'chips/33'), { recursive: true });
      mount('remount,ro');
      const data = await emptyFolder();
      const [index, chips] = [places().slice(0, 2), places().slice(2)];
      assertFails(await runChip(data, [...args(), ...chips]), new RegExp(`^imagesim: cannot write ${disk}/chips/33/\\S+: the disk is read-only: `)); // prettier-ignore
      assertFails(await runChip(data, [...args(), '--index-only', ...index]), new RegExp(`^imagesim: cannot write ${disk}/nodata-index\\S+: the disk is read-only: `)); // prettier-ignore
      assert.deepEqual(await filesUnder(data), []);
    });
  });

  const many = proof ? 50 : 10;
  it(`take hardly more memory for ${many} ${proof ? 'full' : 'small'} tiles than for two, and less than 500 MB`, async () => {
    const from = await emptyFolder();
    for (const quadkey of ['031133012202', '031133012203']) {
      const pathOf = (day: number): string => tilePath(from, quadkey, new Date(Date.UTC(2023, 0, day)).toISOString().slice(0, 10)); // prettier-ignore
      const first = await writeSmallTile(pathOf(1), cellOf(33, quadkey), proof ? diagonal : undefined);
      for (let day = 2; day <= many / 2; day++) {
        await mkdir(dirname(pathOf(day)), { recursive: true });
        await link(first, pathOf(day));
      }
    }
    const two = await runChip(await emptyFolder(), [...args(33, from), '--date', '2023-01-01']);
    const all = await runChip(await emptyFolder(), args(33, from));
    assert.equal(cutIn(all), (cutIn(two) * many) / 2);
    assert.ok(all.peakBytes < 500e6 && all.peakBytes < two.peakBytes + 150e6, `${all.peakBytes}, of two ${two.peakBytes}`); // prettier-ignore
    if (proof) console.log(`      ${(two.peakBytes / 1e6).toFixed(0)} MB for two, ${(all.peakBytes / 1e6).toFixed(0)} MB for ${many}`); // prettier-ignore
  });

  describe('are those that rasterio calls whole', () => {
    /** Chips of each acquisition over each cell, or of the first of them, in the index and on disk, against `dataset_mask`. */
    const assertAgrees = async (
      from: string,
      zone: number,
      most = Infinity,
    ): Promise<{ run: Run; counts: number[] }> => {
      const data = await emptyFolder();
      const run = await runChip(data, args(zone, from));
      assert.equal(run.code, 0);
      const { chips } = await readNodataIndex(join(data, 'nodata-index.json'));
      const files = await readChips(join(data, 'chips', String(zone)));
      const counts: number[] = [];
      for (const { cell, date, catid, files: { visual } } of await readTiles(from, { zone })) {
        const placeOf = (id: string): number => parseChip(id).row * 64 + parseChip(id).column;
        const inOrder = (ids: string[]): number[] => ids.map(placeOf).sort((a, b) => a - b);
        if (!proof && counts.length === most) break;
        const theirs = rasterioValid(visual);
        const cut = files.filter((chip) => chip.cell === cell.id && chip.date === date && chip.catid === catid);
        assert.deepEqual(inOrder(cut.map(({ id }) => id)), theirs);
        const indexed = Object.keys(chips).filter((id) => id.startsWith(cell.id) && chips[id].includes(catid));
        assert.deepEqual(inOrder(indexed), theirs);
        counts.push(theirs.length);
      } // prettier-ignore
      return { run, counts };
    };

    it('on the sample', async () => {
      const { counts } = await assertAgrees(await sampleDelivery(), 33, 1);
      assert.ok(counts.every((count) => count > 100));
    });

    it(`on ${proof ? 'a full tile' : 'a 24th of a tile'} with a diagonal edge, within 500 MB`, async () => {
      const from = await emptyFolder();
      const cell = cellOf(33, '031133012203');
      const real: Real = (column, row) => (proof || (column + row) % 24 === 0 ? diagonal(column, row) : undefined);
      await writeSmallTile(tilePath(from, cell.quadkey, '2023-05-17'), cell, real);
      const { run, counts } = await assertAgrees(from, 33);
      assert.ok(counts[0] > (proof ? 2000 : 70) && counts[0] < 4000, `${counts[0]} whole`);
      assert.ok(run.peakBytes < 500e6, `${run.peakBytes} bytes`);
      if (proof) console.log(`      ${counts[0]} chips, ${run.seconds.toFixed(1)} s, ${(run.peakBytes / 1e6).toFixed(0)} MB`); // prettier-ignore
    });

    describe('on real imagery', () => {
      before(needsShared);
      before(function () {
        if (!proof) this.skip(); // chip.test.ts compares the same tiles
      });
      it('in Joplin, 196 and 338 of 4,096', async () => {
        assert.deepEqual((await assertAgrees(joplin, 15)).counts, [196, 338]);
      });
    });
  });
});
