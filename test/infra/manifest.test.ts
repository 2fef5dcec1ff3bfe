import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { readJson } from 'imagesim/ard';
import { type DataManifest, RECORDED, TREES, manifestSchema, projectRoot, readManifest } from 'imagesim/infra';
import { emptyFolder } from '../delivery.ts';

/** Addresses that the library names and never asks, each with the file that does. */
const named = [
  ['https://creativecommons.org/publicdomain/zero/1.0/', 'sample/sample.ts'], // the sample's licence
  ['https://stac-extensions.github.io/view/v1.0.0/schema.json', 'sample/delivery.ts'], // what a STAC item says it follows
  ['https://stac-extensions.github.io/projection/v1.0.0/schema.json', 'sample/delivery.ts'],
  ['https://www.openstreetmap.org/copyright', 'osm/read.ts'], // attribution
  ['http://www.w3.org/2000/svg', 'show/map.ts'], // the name of SVG itself
  ['https://creativecommons.org/publicdomain/zero/1.0/', 'datasets/croissant.ts'], // licences, by their addresses
  ['https://creativecommons.org/licenses/by/4.0/', 'datasets/croissant.ts'],
  ['https://creativecommons.org/licenses/by-nc/4.0/', 'datasets/croissant.ts'],
  ['https://opendatacommons.org/licenses/odbl/1-0/', 'datasets/croissant.ts'],
  ['https://schema.org/', 'datasets/croissant.ts'], // vocabularies of Croissant
  ['http://mlcommons.org/croissant/', 'datasets/croissant.ts'],
  ['http://mlcommons.org/croissant/1.0', 'datasets/croissant.ts'],
  ['http://purl.org/dc/terms/', 'datasets/croissant.ts'],
  ['http://www.w3.org/2000/svg', 'serve/livemap.ts'],
  ['http://www.w3.org/2000/svg', 'serve/page/element.ts'],
  ['https://maplibre.org/', 'serve/page/notice.ts'], // a link, for who wants to know who draws the map
  ['http://www.opengis.net/wmts/1.0', 'serve/documents.ts'], // names of WMTS and of what it is written in
  ['http://www.opengis.net/ows/1.1', 'serve/documents.ts'],
  ['http://www.w3.org/1999/xlink', 'serve/documents.ts'],
] as const;

/** Every address in the library's code, comments left out: `[address, file]`. */
async function addressesInCode(): Promise<[address: string, file: string][]> {
  const library = join(projectRoot(), 'kernel-lib');
  const files = (await readdir(library, { recursive: true })).filter((file) => /^(?!dist|node_modules).*\.(ts|js|py)$/.test(file)); // prettier-ignore
  const found = files.map(async (file): Promise<[string, string][]> => {
    const code = (await readFile(join(library, file), 'utf8'))
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/(?<!\S)(\/\/|#).*$/gm, '');
    return [...code.matchAll(/\b(?:https?|s3):\/\/[\w.:/-]*[\w/]/g)].map(([address]) => [address, file]);
  });
  return (await Promise.all(found)).flat();
}

describe('data-manifest.json', () => {
  it('of this project is valid, with a licence and a notebook that is there for every entry', async () => {
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
    assert.deepEqual([...stages].sort(), ['01-infra', '02-osm', '03-chips', '05-datasets', '06-training', '07-similarity']); // prettier-ignore
  });

  it('has an entry for every part of a bucket that is synced', async () => {
    const paths = (await readManifest()).files.flatMap((entry) => (entry.kind === 'service' ? [] : entry.path));
    for (const tree of ['ard', ...TREES])
      assert.ok(
        paths.some((path) => path.split('/')[0] === tree),
        tree,
      );
  });

  it('has an entry for every address in the library’s code, but for what is only named', async () => {
    const sources = (await readManifest()).files.map(({ source }) => source);
    const found = await addressesInCode();
    const own = /^(https?:\/\/(127\.0\.0\.1|localhost|host)\b|s3:\/\/bucket\b)/; // loopback; examples in help and errors
    const others = found.filter(
      ([address, file]) =>
        !own.test(address) &&
        !named.some(([known, where]) => address === known && file === where) &&
        !sources.some((source) => source.startsWith(address) || address.startsWith(source)),
    );
    assert.deepEqual(others, [], 'add an entry to data-manifest.json, or say in this test why it is only named');
    for (const [known, where] of named) assert.ok(found.some(([address, file]) => address === known && file === where), known); // prettier-ignore
    assert.ok(
      found.some(([address]) => sources.includes(address)),
      'the pattern finds the address of Overpass',
    );
  });

  it('has its JSON Schema beside it, as the library has it', async () => {
    const published = await readJson(join(projectRoot(), 'data-manifest.schema.json'));
    const remedy = 'node kernel-lib/dist/cli.js data schema > data-manifest.schema.json && npx oxfmt data-manifest.schema.json'; // prettier-ignore
    assert.deepEqual(published, manifestSchema(), `out of date: ${remedy}`);
  });

  it('is valid by that schema, as another validator reads it, which refuses what the library refuses', async function () {
    const Ajv = ajv() ?? this.skip(); // it comes with danfojs-node, and may go with it
    const isValid = new Ajv().compile(manifestSchema());
    const manifest = (await readJson(join(projectRoot(), 'data-manifest.json'))) as DataManifest;
    assert.ok(isValid(manifest), JSON.stringify(isValid.errors));
    for (const [entry] of wrongEntries) {
      const files = [manifest.files[0], { ...manifest.files[1], ...entry }];
      assert.ok(!isValid({ ...manifest, files }), JSON.stringify(entry));
    }
    assert.ok(!isValid({ ...manifest, version: 2 }));
  });

  it('names the entry and the field that is wrong', async () => {
    const { files } = await readManifest();
    const path = join(await emptyFolder(), 'manifest.json');
    const refused = async (entries: object[], at: string): Promise<void> => {
      await writeFile(path, JSON.stringify({ version: 1, files: entries }));
      await assert.rejects(readManifest(path), (error: Error) => {
        assert.ok(error.message.startsWith(`${path} is wrong at ${at}: `), error.message);
        assert.match(error.message, /; mend that entry$/);
        return true;
      });
    };
    for (const [change, at] of wrongEntries) await refused([files[0], { ...files[1], ...change }], at);
    await refused([files[0], { ...files[1], path: 'ard/32' }], 'files.1.path'); // not the end of its source
    await refused([files[0], { ...files[1], name: files[0].name }], 'files.1.name');
    const service = files.find(({ kind }) => kind === 'service')!;
    await refused([{ ...service, sha256: RECORDED }], 'files.0');
    await writeFile(path, JSON.stringify({ version: 2, files: [] }));
    await assert.rejects(readManifest(path), /is wrong at version: /);
    await writeFile(path, 'version: 1');
    await assert.rejects(readManifest(path), /manifest\.json is not JSON \(it begins with "version: 1"\)/);
    await assert.rejects(readManifest(`${path}.gone`), /cannot read .*manifest\.json\.gone: ENOENT/);
  });
});

/** Changes that make an entry wrong, and where. */
const wrongEntries = [
  [{ source: 'ftp://somewhere/x' }, 'files.1.source'],
  [{ source: 'http://somewhere/x/', kind: 'file' }, 'files.1.source'],
  [{ sha256: 'abc' }, 'files.1.sha256'],
  [{ sha256: 'recorded' }, 'files.1.sha256'],
  [{ sha256: undefined }, 'files.1.sha256'],
  [{ bytes: 0 }, 'files.1.bytes'],
  [{ bytes: undefined }, 'files.1.bytes'],
  [{ stage: '08-more' }, 'files.1.stage'],
  [{ licence: undefined }, 'files.1.licence'],
  [{ licens: 'CC0' }, 'files.1'],
  [{ kind: 'folder' }, 'files.1.kind'],
  [{ name: 'Zone 33' }, 'files.1.name'],
  [{ path: '../ard/33' }, 'files.1.path'],
  [{ path: '/ard/33' }, 'files.1.path'],
  [{ path: 'ard/./33' }, 'files.1.path'],
  [{ path: 'data-record' }, 'files.1.path'],
] as const;

type Validator = { (value: unknown): boolean; errors?: unknown };

/** A validator of JSON Schema, where the checkout has one. */
function ajv(): (new () => { compile(schema: object): Validator }) | undefined {
  try {
    return createRequire(import.meta.url)('ajv') as new () => { compile(schema: object): Validator };
  } catch {
    return undefined;
  }
}

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
        assert.match(version, /^(npm:@?[\w./-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$|^file:/, `${path}: ${name}`);
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
