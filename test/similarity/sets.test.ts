import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chipBounds, toUtm } from 'imagesim/ard';
import type { DatasetRow, LabelValue } from 'imagesim/datasets';
import {
  type SaveSetOptions,
  type SavedSet,
  listSets,
  readSet,
  rowsOfSet,
  saveSet,
  setFeatures,
  startSearch,
  tagProposals,
} from 'imagesim/similarity';
import { emptyFolder } from '../delivery.ts';
import { near } from '../training/near.ts';
import { cell, randomVectors, rowAt } from './rows.ts';

const vectors = randomVectors(100, 8, 'sets');
const licences = [
  { source: 'imagery 1040010076B31B00', licence: 'CC BY-NC 4.0', attribution: 'Image © 2024 Maxar' },
  { source: 'labels', licence: 'ODbL 1.0', attribution: '© OpenStreetMap contributors' },
];

/** Of the first ten places nine have `pool`, of the other 90 twenty; three and 30 `road`; all `land`; of `none` nothing is known. */
const rows = Array.from({ length: 100 }, (_, k): DatasetRow => {
  const has = (some: boolean): LabelValue => (some ? 1 : 0);
  return rowAt(k, { labels: { pool: has(k < 9 || (k >= 10 && k < 30)), road: has(k < 3 || (k >= 10 && k < 40)), land: 1, none: null } }); // prettier-ignore
});
const labels = ['road', 'pool', 'land', 'none'];

/** A search in which so many answers were accepted, the others of the round rejected. */
function judgedSearch(accepted: number[] = [1, 3], query: number | Float32Array = 0): SaveSetOptions {
  const search = startSearch(vectors, rows, { query, k: 4 });
  search.accept(accepted);
  search.reject([2]);
  return { search, rows, model: 'roofs@0123456789ab', dataset: 'zone33@ba9876543210', licences, note: 'pools' };
}

describe('saved sets', () => {
  it('come back as they were saved, with model, dataset, query and licences', async () => {
    const folder = await emptyFolder();
    const { path, ...saved } = await saveSet(folder, 'blue pools', judgedSearch());
    assert.equal(path, join(folder, 'embeddings/sets/blue pools.json'));
    assert.deepEqual(await readSet(folder, 'blue pools'), saved);
    const { query, accepted, rejected, model, dataset, method, rounds, note } = saved;
    assert.deepEqual([query.length, accepted.length, rejected.length], [1, 2, 1]);
    assert.deepEqual([model, dataset, method, rounds, note, saved.licences], ['roofs@0123456789ab', 'zone33@ba9876543210', 'rocchio', 1, 'pools', licences]); // prettier-ignore
    assert.deepEqual(query[0], { id: rows[0].id, catid: rows[0].catid, date: rows[0].date });
    assert.deepEqual(
      await readdir(join(folder, 'embeddings/sets')),
      ['blue pools.json'],
      'nothing half-written, no lock',
    );
  });

  it('go on where they were left', async () => {
    const folder = await emptyFolder();
    const options = judgedSearch();
    const set = await saveSet(folder, 'pools', options);
    const { query, accepted, rejected } = rowsOfSet(await readSet(folder, 'pools'), rows);
    assert.deepEqual([query, accepted, rejected], [options.search.query, options.search.accepted, options.search.rejected]); // prettier-ignore
    const resumed = startSearch(vectors, rows, { query, accepted, rejected });
    assert.ok(resumed.answers.every(({ row }) => ![...set.accepted, ...set.rejected].some(({ id }) => id === row.id)));
    assert.throws(() => rowsOfSet(set, rows.slice(50, 60)), /^Error: set "pools" has the chip Z33-.*, which is not among these 10: read dataset zone33@ba9876543210$/); // prettier-ignore
  });

  it('are replaced by the same search taken further, and by no other unless told', async () => {
    const folder = await emptyFolder();
    await saveSet(folder, 'pools', judgedSearch([1]));
    assert.equal((await saveSet(folder, 'pools', judgedSearch([1, 3, 4]))).accepted.length, 3);
    await assert.rejects(saveSet(folder, 'pools', judgedSearch([1], 5)), /pools\.json holds another search \(3 places by roofs@0123456789ab, saved .*\): take another name, or say replace/); // prettier-ignore
    await assert.rejects(saveSet(folder, 'pools', { ...judgedSearch([1]), model: 'roofs@ffff' }), /holds another search/); // prettier-ignore
    assert.equal((await readSet(folder, 'pools')).accepted.length, 3);
    await saveSet(folder, 'pools', { ...judgedSearch([1], 5), replace: true });
    assert.equal((await readSet(folder, 'pools')).accepted.length, 1);
  });

  it('are written by two at once, each whole', async () => {
    const folder = await emptyFolder();
    await Promise.all([1, 2, 3, 4].map((count) => saveSet(folder, 'pools', judgedSearch([1, 3, 4].slice(0, Math.min(3, count)))))); // prettier-ignore
    assert.ok((await readSet(folder, 'pools')).accepted.length > 0);
    assert.deepEqual(await readdir(join(folder, 'embeddings/sets')), ['pools.json']);
  });

  it('are listed by name, a damaged one with its fault', async () => {
    const folder = await emptyFolder();
    assert.deepEqual(await listSets(folder), []);
    await saveSet(folder, 'b', judgedSearch());
    await saveSet(folder, 'a', judgedSearch([1], vectors.values.slice(0, 8)));
    await writeFile(join(folder, 'embeddings/sets/c.json'), '{"format": 1, "name": "c"}');
    const listed = await listSets(folder);
    assert.deepEqual(listed.map(({ name, accepted }) => [name, accepted]), [['a', 1], ['b', 2], ['c', 0]]); // prettier-ignore
    assert.deepEqual([listed[0].fault, listed[0].dataset], [undefined, 'zone33@ba9876543210']);
    assert.match(listed[2].fault!, /c\.json is damaged at model: .*; save the set again/);
    await assert.rejects(readSet(folder, 'd'), /^Error: no set "d" in .*embeddings\/sets: there is a, b, c$/);
  });

  it('need something accepted, and a name that a file can have', async () => {
    const folder = await emptyFolder();
    await assert.rejects(saveSet(folder, 'pools', judgedSearch([])), /RangeError: saveSet: nothing was accepted for "pools"/); // prettier-ignore
    for (const name of ['../pools', 'a/b', '', '.hidden'])
      await assert.rejects(saveSet(folder, name, judgedSearch()), /RangeError: ".*" cannot be a set's name/);
    await assert.rejects(readSet(folder, 'pools'), /there is none; save one with saveSet/);
  });
});

describe('tag proposals', () => {
  const accepted = rows.slice(0, 10).map(({ id }) => id);

  it('are labels that accepted places have clearly more often: by Fisher’s test, corrected, and intervals that lie apart', () => {
    const [proposal, ...more] = tagProposals(accepted, rows, labels);
    assert.deepEqual(more, []);
    assert.deepEqual([proposal.label, proposal.tags, proposal.accepted, proposal.acceptedKnown, proposal.rest, proposal.restKnown], ['pool', ['pool'], 9, 10, 20, 90]); // prettier-ignore
    // SciPy 1.10: p = [fisher_exact(t)[1] for t in ([[9,1],[20,70]], [[3,7],[30,60]], [[10,0],[90,0]])]; Benjamini and Hochberg's: p[0] × 3 / 1
    near([proposal.p, proposal.falseDiscovery], [4.223467909916588e-5, 1.2670403729749764e-4], 1e-6, 1e-9);
    near([proposal.lift!], [0.9 / (20 / 90)], 1e-9);
    // Wilson 1927, by hand in Python: 9 of 10, 20 of 90
    near([...proposal.acceptedInterval, ...proposal.restInterval], [0.5958499732047615, 0.9821237869049271, 0.14871335473639324, 0.31847310391045497], 1e-6); // prettier-ignore
    assert.deepEqual(proposal.candidates, [rows[9].id]);
  });

  it('count a square of ground once, at however many dates', () => {
    const twice = [...rows, ...rows.map((row) => ({ ...row, date: '2024-01-01', labels: { pool: null } }))];
    assert.deepEqual(tagProposals(accepted, twice, labels), tagProposals(accepted, rows, labels));
  });

  it('have no lift, in JSON as well, where none of the rest has the label', () => {
    const only = rows.map((row, at) => ({ ...row, labels: { pool: at < 9 ? (1 as const) : (0 as const) } }));
    const [proposal] = tagProposals(accepted, only, ['pool']);
    assert.deepEqual([proposal.rest, proposal.lift], [0, null]);
    assert.deepEqual(JSON.parse(JSON.stringify(proposal)), proposal);
  });

  it('are none where chance would do as well, or nothing is known', () => {
    const even = [0, 10, 11, 50, 51, 52, 53, 54, 55, 56].map((k) => rows[k].id);
    assert.deepEqual(tagProposals(even, rows, ['road', 'land', 'none']), []);
    assert.deepEqual(tagProposals([], rows, labels), []);
    assert.deepEqual(tagProposals(rows.map(({ id }) => id), rows, labels), []); // prettier-ignore
  });
});

describe('a set as GeoJSON', () => {
  const set: SavedSet = { format: 1, name: 'pools', model: 'm@1', dataset: 'd@1', saved: '2024-01-01T00:00:00.000Z', query: [], note: 'blue', method: 'probe', rounds: 2, accepted: rows.slice(0, 10).map(({ id, catid, date }) => ({ id, catid, date })), rejected: [], licences }; // prettier-ignore
  const schema = { version: 1 as const, labels: [{ label: 'pool', tags: ['leisure=swimming_pool'], measure: 'area' as const, atLeast: 0.01 }] }; // prettier-ignore

  it('has the ground of each place in degrees, its ring counter-clockwise and closed (RFC 7946)', () => {
    const { type, features } = setFeatures(set, rows, labels, schema);
    assert.deepEqual([type, features.length], ['FeatureCollection', 10]);
    for (const { geometry, properties } of features) {
      const [ring] = geometry.coordinates;
      assert.deepEqual(ring[0], ring.at(-1));
      assert.equal(ring.length, 5);
      const area = ring.slice(1).reduce((sum, [x, y], at) => sum + ring[at][0] * y - x * ring[at][1], 0);
      assert.ok(area > 0, 'counter-clockwise');
      const metres = ring.map(([lon, lat]) => toUtm(cell.epsg, [lon, lat]));
      const [west, south, east, north] = chipBounds(properties.id);
      near([Math.min(...metres.map(([x]) => x)), Math.max(...metres.map(([x]) => x))], [west, east], 1e-8);
      near([Math.min(...metres.map(([, y]) => y)), Math.max(...metres.map(([, y]) => y))], [south, north], 1e-8);
    }
  });

  it('proposes tags where the map lacks them, with their support, and says whose data these are', () => {
    const { features, proposals, attribution, about } = setFeatures(set, rows, labels, schema);
    assert.deepEqual(features.map(({ properties }) => properties.proposedTags.join()), [...Array<string>(9).fill(''), 'leisure=swimming_pool']); // prettier-ignore
    assert.deepEqual(features[9].properties.proposed, ['pool']);
    assert.deepEqual(features[1].properties.mapped, ['road', 'pool', 'land']);
    assert.deepEqual([proposals[0].accepted, proposals[0].acceptedKnown], [9, 10]);
    assert.equal(attribution, 'Image © 2024 Maxar; © OpenStreetMap contributors');
    assert.match(about, /look before you map/);
  });

  it('carries OpenStreetMap’s attribution even where a set forgot it', () => {
    const bare = setFeatures({ ...set, licences: [] }, rows, labels);
    assert.match(bare.attribution, /© OpenStreetMap contributors, ODbL 1\.0/);
    assert.deepEqual(bare.licences.map(({ licence }) => licence), ['ODbL 1.0']); // prettier-ignore
  });

  it('reads back from a file as it is', async () => {
    const path = join(await emptyFolder(), 'pools.geojson');
    const made = setFeatures(set, rows, labels, schema);
    await writeFile(path, JSON.stringify(made));
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), JSON.parse(JSON.stringify(made)));
    assert.ok(!JSON.stringify(made).includes('NaN'));
  });
});
