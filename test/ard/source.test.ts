import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSource } from 'imagesim/ard';
import { emptyFolder } from '../delivery.ts';

// What a bucket answers is tested in test/infra/sync.test.ts, beside a server.
describe('openSource of a folder', () => {
  let folder: string;
  before(async () => {
    folder = await emptyFolder();
    await mkdir(join(folder, 'b/c'), { recursive: true });
    for (const key of ['b/c/2.txt', 'a.txt', 'b/1.txt']) await writeFile(join(folder, key), `this is ${key}`);
    await symlink(join(folder, 'a.txt'), join(folder, 'b/link.txt'));
    await symlink('/no/such/file', join(folder, 'b/dangling.txt'));
  });

  it('lists files below a prefix in order of key, links followed and those to nothing left out', async () => {
    const source = openSource(folder);
    assert.equal(source.address, folder);
    assert.deepEqual(await source.list(), [
      { key: 'a.txt', bytes: 13 },
      { key: 'b/1.txt', bytes: 15 },
      { key: 'b/c/2.txt', bytes: 17 },
      { key: 'b/link.txt', bytes: 13 },
    ]);
    assert.deepEqual(await source.list('b/c'), [{ key: 'b/c/2.txt', bytes: 17 }]);
    assert.deepEqual(await source.list('z'), []);
  });

  it('follows links to folders, and ends where they go in a circle', async () => {
    const place = await emptyFolder();
    await symlink(join(folder, 'b'), join(place, 'ard'));
    await mkdir(join(place, 'z'));
    for (const name of ['up', 'again']) await symlink(place, join(place, 'z', name));
    await symlink('self', join(place, 'self'));
    const keys = (await openSource(place).list()).map(({ key }) => key);
    assert.deepEqual(keys, ['ard/1.txt', 'ard/c/2.txt', 'ard/link.txt']);
    assert.deepEqual((await openSource(place).list('ard/c')).map(({ key }) => key), ['ard/c/2.txt']); // prettier-ignore
  });

  it('reads and copies a file', async () => {
    const source = openSource(folder);
    assert.equal(Buffer.from(await source.read('b/1.txt')).toString(), 'this is b/1.txt');
    const copy = join(await emptyFolder(), 'copy');
    await source.copy('b/1.txt', copy);
    assert.equal(await readFile(copy, 'utf8'), 'this is b/1.txt');
  });

  it('stops a copy with the reason that was given', async () => {
    const stop = new AbortController();
    const reason = new Error('interrupted: run the same command again');
    const copy = openSource(folder).copy('a.txt', join(await emptyFolder(), 'copy'), stop.signal);
    stop.abort(reason);
    await assert.rejects(copy, reason);
  });

  it('refuses a folder that is not there, and a file, and says what to give', () => {
    assert.throws(() => openSource('/no/such'), new Error('no folder /no/such: give a folder or s3://bucket/prefix'));
    const file = join(folder, 'a.txt');
    assert.throws(() => openSource(file), new Error(`${file} is a file: give the folder that holds ard/`));
    assert.throws(() => openSource(`${file}/b`), new Error(`no folder ${file}/b: give a folder or s3://bucket/prefix`));
  });
});
