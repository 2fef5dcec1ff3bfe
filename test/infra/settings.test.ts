import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { byScale, dataPath, HOME_ZONE, projectRoot, scale, setting, zoneOnDisk } from 'imagesim/infra';
import { emptyFolder } from '../delivery.ts';

describe('settings', () => {
  const names = ['IMAGESIM_DATA', 'IMAGESIM_SCALE', 'IMAGESIM_ZONE', 'IMAGESIM_THING'];
  const before = names.map((name) => [name, process.env[name]] as const);
  beforeEach(() => names.forEach((name) => delete process.env[name]));
  after(() => before.forEach(([name, value]) => value !== undefined && (process.env[name] = value)));
  const thing = <Kind>(text: string, read: () => Kind): Kind => {
    process.env.IMAGESIM_THING = text;
    return read();
  };

  it('takes the default where the variable is not set, or empty', () => {
    assert.equal(setting('IMAGESIM_THING', 3), 3);
    assert.equal(setting('IMAGESIM_THING', 'word'), 'word');
    assert.equal(setting('IMAGESIM_THING', true), true);
    assert.equal(thing('', () => setting('IMAGESIM_THING', 3)), 3); // prettier-ignore
  });

  it('takes the variable in the kind of its default', () => {
    assert.equal(thing('1e-3', () => setting('IMAGESIM_THING', 3)), 0.001); // prettier-ignore
    assert.equal(thing('-2', () => setting('IMAGESIM_THING', 3)), -2); // prettier-ignore
    assert.equal(thing('7', () => setting('IMAGESIM_THING', 'word')), '7'); // prettier-ignore
    for (const [text, value] of [
      ['1', true],
      ['true', true],
      ['0', false],
      ['false', false],
    ] as const) {
      // prettier-ignore
      assert.equal(thing(text, () => setting('IMAGESIM_THING', !value)), value); // prettier-ignore
    }
  });

  it('refuses a value of another kind, naming the variable, what it holds and what is expected', () => {
    for (const text of ['many', '3 cells', ' ', 'Infinity']) {
      assert.throws(
        () => thing(text, () => setting('IMAGESIM_THING', 3)),
        new RangeError(`IMAGESIM_THING is "${text}": expected a number`),
      );
    }
    for (const text of ['yes', 'TRUE', '2']) {
      assert.throws(
        () => thing(text, () => setting('IMAGESIM_THING', false)),
        new RangeError(`IMAGESIM_THING is "${text}": expected true or false`),
      );
    }
  });

  it('is tiny unless another scale is asked for, and knows three', () => {
    assert.equal(scale(), 'tiny');
    for (const word of ['tiny', 'city', 'full'] as const) {
      process.env.IMAGESIM_SCALE = word;
      assert.equal(scale(), word);
      assert.equal(byScale({ tiny: 'tiny', city: 'city', full: 'full' }), word);
    }
    process.env.IMAGESIM_SCALE = 'huge';
    assert.throws(scale, new RangeError('IMAGESIM_SCALE is "huge": expected tiny, city or full'));
  });

  it('finds the data where the environment says, else in the user’s own folder', () => {
    assert.equal(dataPath(), '/home/ubuntu/data');
    process.env.IMAGESIM_DATA = '/d';
    assert.equal(dataPath(), '/d');
    process.env.IMAGESIM_DATA = '/d/ard/';
    assert.equal(dataPath(), '/d');
  });

  it('refuses a bucket as data folder, in one line', () => {
    process.env.IMAGESIM_DATA = 's3://b/p';
    const message = 'IMAGESIM_DATA is s3://b/p: expected a folder on a disk; a bucket goes into IMAGESIM_DELIVERY';
    assert.throws(dataPath, new RangeError(message));
  });

  it('works on the project’s own zone where it is there, else the first, unless one is asked for', async () => {
    const folder = await emptyFolder();
    await assert.rejects(zoneOnDisk(folder), new Error(`no zone under ${folder}/ard: run notebook 01-infra, or imagesim sync, first`)); // prettier-ignore
    for (const name of ['ard/17', 'ard/04', 'ard/acquisition_collections', 'ard/61', 'ard/5']) await mkdir(join(folder, name), { recursive: true }); // prettier-ignore
    assert.equal(await zoneOnDisk(folder), 4);
    assert.equal(await zoneOnDisk(join(folder, 'ard')), 4);
    await mkdir(join(folder, 'ard/33'));
    assert.equal(await zoneOnDisk(folder), HOME_ZONE);
    process.env.IMAGESIM_ZONE = '17';
    assert.equal(await zoneOnDisk(folder), 17);
    process.env.IMAGESIM_ZONE = '61';
    await assert.rejects(zoneOnDisk(folder), new RangeError('IMAGESIM_ZONE is "61": expected a zone of 1 to 60'));
  });

  it('finds the checkout', () => {
    for (const name of ['notebooks', 'setup.sh', 'data-manifest.json']) {
      assert.ok(existsSync(join(projectRoot(), name)), name);
    }
  });
});
