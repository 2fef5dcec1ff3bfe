import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot, readManifest } from 'imagesim/infra';
import { emptyFolder } from '../delivery.ts';

describe('data-manifest.json', () => {
  it('of this project is valid, with a licence and a notebook that is there for every file', async () => {
    const { files } = await readManifest();
    for (const { name, source, licence, stage } of files) {
      assert.ok(licence.length > 0, name);
      assert.ok(existsSync(join(projectRoot(), 'notebooks', `${stage}.ipynb`)), `${name}: ${stage}`);
      assert.ok(!/\*| /.test(source), source);
    }
    assert.equal(new Set(files.map(({ source }) => source)).size, files.length);
  });

  it('has an entry for every stage that reads from outside', async () => {
    const stages = new Set((await readManifest()).files.map(({ stage }) => stage));
    assert.deepEqual([...stages].sort(), ['01-infra', '02-osm', '03-chips', '05-datasets', '07-similarity']);
  });

  it('names the entry and the field that is wrong', async () => {
    const { files } = await readManifest();
    const path = join(await emptyFolder(), 'manifest.json');
    for (const [change, at] of [
      [{ source: 'ftp://somewhere/x' }, 'files.1.source'],
      [{ sha256: 'abc' }, 'files.1.sha256'],
      [{ bytes: 0 }, 'files.1.bytes'],
      [{ stage: '08-more' }, 'files.1.stage'],
      [{ licence: undefined }, 'files.1.licence'],
      [{ licens: 'CC0' }, 'files.1'],
    ] as const) {
      await writeFile(path, JSON.stringify({ version: 1, files: [files[0], { ...files[1], ...change }] }));
      await assert.rejects(readManifest(path), (error: Error) => {
        assert.ok(error.message.startsWith(`${path} is wrong at ${at}: `), error.message);
        assert.match(error.message, /; mend that entry$/);
        return true;
      });
    }
    await writeFile(path, JSON.stringify({ version: 2, files: [] }));
    await assert.rejects(readManifest(path), /is wrong at version: /);
    await writeFile(path, 'version: 1');
    await assert.rejects(readManifest(path), /manifest\.json is not JSON \(it begins with "version: 1"\)/);
    await assert.rejects(readManifest(`${path}.gone`), /cannot read .*manifest\.json\.gone: ENOENT/);
  });
});

describe('package.json', () => {
  interface Package {
    dependencies?: Record<string, string>;
    optionalDependencies?: Record<string, string>;
    devDependencies?: Record<string, string>;
  }
  const read = async (path: string): Promise<Package> =>
    JSON.parse(await readFile(join(projectRoot(), path), 'utf8')) as Package;
  const all = ({ dependencies, optionalDependencies, devDependencies }: Package): Record<string, string> => ({
    ...dependencies, ...optionalDependencies, ...devDependencies,
  }); // prettier-ignore

  it('of root and library pin the same versions of what both list', async () => {
    const [root, library] = [all(await read('package.json')), all(await read('kernel-lib/package.json'))];
    const both = Object.keys(library).filter((name) => name in root);
    assert.ok(both.length >= 7, String(both));
    for (const name of both) assert.equal(library[name], root[name], name);
  });

  it('pins exact versions throughout', async () => {
    for (const path of ['package.json', 'kernel-lib/package.json', 'environment/package.json']) {
      for (const [name, version] of Object.entries(all(await read(path)))) {
        assert.match(version, /^(npm:@?[\w./-]+@)?\d+\.\d+\.\d+$|^file:/, `${path}: ${name}`);
      }
    }
  });

  it('of the root lists the packages that the project is built on, and the kernel’s its own', async () => {
    const { dependencies = {}, optionalDependencies = {}, devDependencies = {} } = await read('package.json');
    for (const name of [
      '@aws-sdk/client-s3',
      'geotiff',
      'sharp',
      'danfojs-node',
      'plotly.js-dist',
      'simple-statistics',
    ]) {
      // prettier-ignore
      assert.ok(name in dependencies, name);
    }
    assert.ok('mocha' in devDependencies);
    assert.ok('@tensorflow/tfjs-node-gpu' in optionalDependencies);
    assert.ok('tslab' in (await read('environment/package.json')).dependencies!);
  });
});
