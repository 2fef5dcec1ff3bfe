import assert from 'node:assert/strict';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
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
    const list = async (prefix?: string): Promise<object[]> =>
      (await source.list(prefix)).map(({ key, bytes }) => ({ key, bytes }));
    assert.deepEqual(await list(), [
      { key: 'a.txt', bytes: 13 },
      { key: 'b/1.txt', bytes: 15 },
      { key: 'b/c/2.txt', bytes: 17 },
      { key: 'b/link.txt', bytes: 13 },
    ]);
    assert.deepEqual(await list('b/c'), [{ key: 'b/c/2.txt', bytes: 17 }]);
    assert.deepEqual(await list('z'), []);
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

  it('tells the time of each file, and what lies at the top', async () => {
    const source = openSource(folder);
    const time = new Date('2023-05-21T10:20:30Z');
    await utimes(join(folder, 'b/1.txt'), time, time);
    assert.deepEqual((await source.list('b'))[0], { key: 'b/1.txt', bytes: 15, modified: time }); // prettier-ignore
    const { folders, files } = await source.top();
    assert.deepEqual([folders, files.map(({ key }) => key)], [['b'], ['a.txt']]);
  });

  it('reads a file whole, some bytes of it, and from a byte on', async () => {
    const source = openSource(folder);
    assert.equal(Buffer.from(await source.read('b/1.txt')).toString(), 'this is b/1.txt');
    assert.equal(Buffer.from(await source.readRange('b/1.txt', 5, 2)).toString(), 'is');
    assert.equal(Buffer.from(await source.readRange('b/1.txt', 10, 99)).toString(), '1.txt');
    assert.equal((await (await source.open('b/1.txt', { from: 8 })).toArray()).join(''), 'b/1.txt');
  });

  it('refuses a folder that is not there, and a file, and says what to give', () => {
    assert.throws(() => openSource('/no/such'), new Error('no folder /no/such: give a folder or s3://bucket/prefix'));
    const file = join(folder, 'a.txt');
    assert.throws(() => openSource(file), new Error(`${file} is a file: give the folder that holds ard/`));
    assert.throws(() => openSource(`${file}/b`), new Error(`no folder ${file}/b: give a folder or s3://bucket/prefix`));
  });
});
