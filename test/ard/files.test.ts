import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WriteError, jsonOf, makeFolder, partName, readJson, replaceWhole, staleParts, writeWhole } from 'imagesim/ard';
import { emptyFolder } from '../delivery.ts';

describe('files', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await emptyFolder();
  });

  it('writes text and bytes, in folders that it makes, over what was there', async () => {
    const path = join(folder, 'a/b/c.bin');
    await writeWhole(path, 'first, and longer');
    await writeWhole(path, Uint8Array.of(1, 2, 3));
    assert.deepEqual([...(await readFile(path))], [1, 2, 3]);
    assert.deepEqual(await readdir(dirname(path)), ['c.bin']);
  });

  it('takes a temporary name beside the file that is hidden and never the same twice', () => {
    const path = join(folder, 'tile.tif');
    const [a, b] = [partName(path), partName(path)];
    assert.notEqual(a, b);
    for (const part of [a, b]) {
      assert.equal(dirname(part), folder);
      assert.match(basename(part), /^\.tile\.tif\..*\.part$/);
    }
  });

  it('shows the file under its name only when it is whole', async () => {
    const path = join(folder, 'model.json');
    await writeWhole(path, 'old');
    await replaceWhole(path, async (part) => {
      await writeFile(part, 'ne');
      assert.equal(await readFile(path, 'utf8'), 'old');
      await writeFile(part, 'new');
    });
    assert.equal(await readFile(path, 'utf8'), 'new');
  });

  it('leaves what was there, and nothing else, when the writing fails', async () => {
    const path = join(folder, 'model.json');
    await writeWhole(path, 'old');
    const failure = new Error('half-way');
    const work = replaceWhole(path, async (part) => {
      await writeFile(part, 'half');
      throw failure;
    });
    await assert.rejects(work, failure);
    assert.deepEqual(await readdir(folder), ['model.json']);
    assert.equal(await readFile(path, 'utf8'), 'old');
  });

  it('removes what a process that died left half-written, and nothing of one that lives', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']); // over by now
    const own = basename(partName('c.tif')); // of this process
    const [, here] = /\.([0-9a-f]{8})-\d+-\w+-\d+\.part$/.exec(own)!;
    const before = own.replace(/-(\d+)-\w+-/, '-$1-k3x-'); // of one of the same number before it, as in a container
    const dead = [
      `.a.tif.${here}-${pid}-k3x-0.part`,
      `.b.tif.0a1b2c3d.${here}-${pid}-k3x-12.part`,
      before,
      '.d.tif.00000000-0-0-0.part',
    ];
    const elsewhere = `.a.tif.0123abcd-${pid}-k3x-0.part`; // of another machine on the same disk
    const kept = [`.a.tif.${here}-${process.ppid}-k3x-0.part`, own, elsewhere, `a.${here}-${pid}-k3x-0.part`];
    for (const name of [...dead, ...kept]) await writeFile(join(folder, name), 'half');
    await writeWhole(join(folder, 'a.tif'), 'whole');
    assert.deepEqual((await readdir(folder)).sort(), [...kept, 'a.tif'].sort());
    const longAgo = new Date(Date.now() - 25 * 3_600_000);
    await utimes(join(folder, elsewhere), longAgo, longAgo);
    assert.deepEqual(
      (await staleParts(folder)).map(({ of }) => of),
      ['a.tif'],
    );
  });

  it('has many write the same new folders at once', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `${index}.txt`);
    await Promise.all(names.map((name) => writeWhole(join(folder, 'x/y/z', name), name)));
    assert.equal((await readdir(join(folder, 'x/y/z'))).length, 20);
  });

  it('says in one line that a file stands where a folder is needed', async () => {
    await writeFile(join(folder, 'file'), 'keep me');
    for (const path of [join(folder, 'file/a.txt'), join(folder, 'file/deep/er/a.txt')]) {
      await assert.rejects(
        writeWhole(path, ''),
        new RegExp(`^WriteError: cannot write ${path}: a file stands where a folder is needed: move it away, or set IMAGESIM_DATA`), // prettier-ignore
      );
    }
    assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'keep me');
  });

  it('says in one line that a folder stands where the file is to go', async () => {
    await mkdir(join(folder, 'a.txt'));
    await assert.rejects(
      writeWhole(join(folder, 'a.txt'), ''),
      new WriteError(`cannot write ${folder}/a.txt: a folder stands where the file is to go: move it away`),
    );
    assert.deepEqual(await readdir(folder), ['a.txt']);
  });

  // Node 20's own mkdir(…, { recursive: true }) never returns here.
  it('says in one line that no folder can be made, below /proc', async function () {
    this.timeout(5000);
    for (const path of ['/proc/imagesim/a.txt', '/proc/imagesim/b/c/a.txt']) {
      await assert.rejects(
        writeWhole(path, ''),
        new WriteError(`cannot write ${path}: no folder can be made there: set IMAGESIM_DATA to one on a disk`),
      );
    }
    await assert.rejects(makeFolder('/proc/imagesim'), { code: 'ENOENT' });
  });

  it('says in one line that the folder may not be written', async function () {
    if (process.getuid?.() === 0) this.skip(); // root may write anywhere; skip throws
    chmodSync(folder, 0o555);
    await assert.rejects(writeWhole(join(folder, 'a.txt'), ''), /^WriteError: cannot write .*a\.txt: no permission: give the folder to this user/); // prettier-ignore
  });

  it('does not blame the target for a source that cannot be read', async () => {
    const work = replaceWhole(join(folder, 'a.txt'), (part) => readFile('/no/such/file').then((bytes) => writeFile(part, bytes))); // prettier-ignore
    await assert.rejects(work, { code: 'ENOENT', path: '/no/such/file' });
    assert.deepEqual(await readdir(folder), []);
  });

  it('reads JSON, and names a file that is missing, a folder, or something else', async () => {
    const path = join(folder, 'a.json');
    await assert.rejects(readJson(path), new Error(`cannot read ${path}: ENOENT`));
    await assert.rejects(readJson(folder), new Error(`cannot read ${folder}: EISDIR`));
    await writeFile(path, '<!DOCTYPE html>\n<html>\n  <head><title>Not found</title>');
    await assert.rejects(
      readJson(path),
      new Error(`${path} is not JSON (it begins with "<!DOCTYPE html>\\n<html>\\n  <head><title>No"): fetch it again`),
    );
    await writeFile(path, ' {"a": [1, null]}\n');
    assert.deepEqual(await readJson(path), { a: [1, null] });
  });

  it('takes what is said of JSON text or bytes, and nothing of what is no JSON: a schema tells of it', () => {
    assert.deepEqual(jsonOf('{"a": "é"}'), { a: 'é' });
    assert.deepEqual(jsonOf(Buffer.from('{"a": "é"}')), { a: 'é' });
    assert.deepEqual(['', '{"a": ', '<html>'].map(jsonOf), [undefined, undefined, undefined]);
  });
});
