import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, rename, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type DatasetRow, hashChips, rowPath } from 'imagesim/datasets';
import { emptyFolder } from '../delivery.ts';
import { groundRows, writeChip } from './chips.ts';

const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Twelve chips of two days, and one of each of two others. */
async function severalDays(folder: string): Promise<DatasetRow[]> {
  const rows = await groundRows(folder, 12);
  const others = ['2024-02-01', '2024-03-01'].map((date) => ({ ...rows[0], date }));
  for (const row of others) await writeChip(rowPath(folder, row), 7);
  const { sha256 } = await hashChips(join(folder, 'chips/33'), others);
  return [...rows, ...others.map((row, at) => ({ ...row, sha256: sha256[at] }))];
}

describe('hashChips', () => {
  it('hashes as sha256sum does, and reads a chip again only when it was written again', async () => {
    const folder = await emptyFolder();
    const made = await groundRows(folder, 12);
    const chipDir = join(folder, 'chips/33');
    for (const row of made) assert.equal(row.sha256, execFileSync('sha256sum', [rowPath(folder, row)]).toString().split(' ')[0]); // prettier-ignore
    assert.equal((await hashChips(chipDir, made)).read, 0);
    await writeChip(rowPath(folder, made[5]), 255);
    const again = await hashChips(chipDir, made.toReversed());
    assert.equal(again.read, 1);
    const changed = again.sha256.toReversed().flatMap((sha256, k) => (sha256 === made[k].sha256 ? [] : [k]));
    assert.deepEqual(changed, [5]);
    assert.equal((await hashChips(chipDir, made, { again: true })).read, 12);
  });

  it('says which chips are not there, and does without a cache that is damaged', async () => {
    const folder = await emptyFolder();
    const made = await groundRows(folder, 6);
    await rm(rowPath(folder, made[2]));
    const cache = join(dirname(dirname(rowPath(folder, made[0]))), 'hashes.bin');
    for (const bytes of [500, 39, 0]) {
      await truncate(cache, Math.min(bytes, (await stat(cache)).size - 1)).catch(() => writeFile(cache, ''));
      const { sha256, read } = await hashChips(join(folder, 'chips/33'), made);
      assert.deepEqual(sha256, made.map((row, k) => (k === 2 ? undefined : row.sha256))); // prettier-ignore
      assert.equal(read, 5);
    }
  });

  it('says of a cell without a folder that none of its chips is there', async () => {
    const folder = await emptyFolder();
    const rows = await groundRows(folder, 3);
    await rm(join(folder, 'chips'), { recursive: true });
    assert.deepEqual(await hashChips(join(folder, 'chips/33'), rows), { sha256: [undefined, undefined, undefined], read: 0 }); // prettier-ignore
  });

  it('reads again what was written just now, however often: the disk’s clock may not tell', async () => {
    const folder = await emptyFolder();
    const [row] = await groundRows(folder, 1);
    await writeFile(rowPath(folder, row), 'one');
    assert.equal((await hashChips(join(folder, 'chips/33'), [row])).read, 1);
    await writeFile(rowPath(folder, row), 'two');
    const { sha256 } = await hashChips(join(folder, 'chips/33'), [row]);
    assert.equal(sha256[0], createHash('sha256').update('two').digest('hex'));
  });

  describe('where all was known a while ago', () => {
    let folder: string;
    let made: DatasetRow[];
    const grounds: { folder: string; made: DatasetRow[] }[] = [];
    const hashed = async (): Promise<(string | undefined)[]> =>
      (await hashChips(join(folder, 'chips/33'), made)).sha256;
    /** Whether the files were asked after one by one: then the cache is written anew, with the time when all was known. */
    const isAsked = async (): Promise<boolean> => {
      const cache = join(dirname(dirname(rowPath(folder, made[0]))), 'hashes.bin');
      const { ino } = await stat(cache);
      await hashed();
      return (await stat(cache)).ino !== ino;
    };

    before(async () => {
      for (let k = 0; k < 8; k++) {
        const there = await emptyFolder();
        grounds.push({ folder: there, made: await severalDays(there) });
      }
      await setTimeout(2200); // what was written within two seconds may be written again
    });
    beforeEach(async () => {
      ({ folder, made } = grounds.pop()!);
      assert.deepEqual([await isAsked(), await isAsked()], [true, false]);
    });

    it('has the hash of each, and asks after none', async () => {
      assert.deepEqual(await hashed(), made.map(({ sha256 }) => sha256)); // prettier-ignore
      assert.equal(await isAsked(), false);
    });

    it('finds what was written, removed, renamed or moved away, whatever time the files are said to be of', async () => {
      const [path, other] = [rowPath(folder, made[3]), rowPath(folder, made[4])];
      const before = made.map(({ sha256 }) => sha256);
      const { atime, mtime } = await stat(path);
      await writeFile(path, 'one');
      await utimes(path, atime, mtime);
      assert.deepEqual(await hashed(), before.with(3, sha256Of('one')));
      await rm(path);
      assert.deepEqual(await hashed(), before.with(3, undefined));
      await rename(other, path);
      assert.deepEqual(await hashed(), before.with(3, before[4]).with(4, undefined));
      await rm(dirname(path), { recursive: true });
      assert.deepEqual((await hashed())[3], undefined);
    });

    it('finds what was written on several days', async () => {
      const places = [0, 1, 12, 13];
      for (const place of places) await writeFile(rowPath(folder, made[place]), 'one');
      const expected = made.map(({ sha256 }, place) => (places.includes(place) ? sha256Of('one') : sha256));
      assert.equal(new Set(places.map((place) => made[place].date)).size, 4);
      assert.deepEqual(await hashed(), expected);
    });

    it('asks again after files of which only some were asked after since others were written', async () => {
      await writeFile(rowPath(folder, made[1]), 'one');
      await setTimeout(2200);
      await hashChips(join(folder, 'chips/33'), [...made.slice(4), ...made.slice(4)]);
      assert.equal((await hashed())[1], sha256Of('one'));
    });

    it('finds a day that is a link, and leads elsewhere now', async () => {
      const day = dirname(rowPath(folder, made[0]));
      const [here, there] = [join(folder, 'here'), join(folder, 'there')];
      await rename(day, here);
      await cp(here, there, { recursive: true });
      await writeFile(join(there, basename(rowPath(folder, made[0]))), 'one');
      await symlink(here, day);
      await setTimeout(2200);
      await hashed();
      await rm(day);
      await symlink(there, day);
      assert.equal((await hashed())[0], sha256Of('one'));
    });

    it('finds a chip that is a link, to what was written since', async () => {
      const [chip, there] = [rowPath(folder, made[0]), join(folder, 'there')];
      await rename(chip, there);
      await symlink(there, chip);
      await setTimeout(2200);
      await hashed();
      await writeFile(there, 'one');
      assert.equal((await hashed())[0], sha256Of('one'));
    });

    it('has the hashes of chips in another order, and of some of them', async () => {
      const { sha256 } = await hashChips(join(folder, 'chips/33'), made.toReversed().slice(2));
      assert.deepEqual(sha256, made.map((row) => row.sha256).toReversed().slice(2)); // prettier-ignore
      assert.equal(await isAsked(), false);
    });

    it('does without the system’s find', async () => {
      const { PATH } = process.env;
      process.env['PATH'] = folder;
      try {
        assert.equal(await isAsked(), true);
        assert.deepEqual(await hashed(), made.map(({ sha256 }) => sha256)); // prettier-ignore
      } finally {
        process.env['PATH'] = PATH;
      }
    });
  });
});
