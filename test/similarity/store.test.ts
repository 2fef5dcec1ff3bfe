import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chipBounds, toUtm } from 'imagesim/ard';
import {
  type Hit,
  type SearchOptions,
  deployStore,
  nearest,
  openStore,
  rowsOf,
  search,
  vectorAt,
} from 'imagesim/similarity';
import { emptyFolder } from '../delivery.ts';
import { cell, randomVectors, rowAt, vectorsOf } from './rows.ts';

const names = [
  'a%b',
  'a_b',
  'axb',
  'it’s',
  "it's",
  "' OR '1'='1",
  'back\\slash',
  'a\\_b',
  'building=house',
  'building=house2',
  'Straße',
];
const dates = ['2022-06-14', '2023-05-21', '2024-01-01'];
const rows = Array.from({ length: 400 }, (_, k) =>
  rowAt(k >> 1, {
    catid: `CAT${k % 2}`,
    date: dates[k % 3],
    labels: {
      [names[k % names.length]]: 1,
      [names[(k * 7 + 3) % names.length]]: k % 5 === 0 ? 0 : k % 5 === 1 ? null : 1,
    },
  }),
);
const vectors = randomVectors(rows.length, 32, 'store');

/** Answers of a table at every date of a square, its newest version opened for this alone. */
async function searchStore(
  dataPath: string,
  table: string,
  vector: Float32Array,
  { notAt, date, label, ...options }: SearchOptions & { notAt?: string; date?: string; label?: string } = {},
): Promise<Hit[]> {
  const store = await openStore(dataPath, table);
  try {
    const filter = {
      ...(date !== undefined && { since: date, until: date }),
      ...(label !== undefined && { tags: [label] }),
    };
    const { hits } = await search(store, { vector }, { allDates: true, ...filter, ...options });
    return hits.filter(({ id }) => id !== notAt);
  } finally {
    store.close();
  }
}

describe('similarity store', () => {
  let folder: string;
  const key = ({ id, catid }: { id: string; catid: string }): string => `${id} ${catid}`;
  const bruteForce = (query: number, admit: (index: number) => boolean, k: number): string[] =>
    nearest(vectors, vectorAt(vectors, query), { k, admit }).map(({ index }) => key(rows[index]));
  before(async () => {
    folder = await emptyFolder();
    const deployed = await deployStore(folder, 'zone33', rows, vectors, 'zone33/0123');
    assert.deepEqual(deployed, { path: join(folder, 'embeddings'), rows: rows.length });
  });

  it('answers in exactly the order of a full sort, with the cosine', async () => {
    for (const query of [0, 123, 399]) {
      const hits = await searchStore(folder, 'zone33', vectorAt(vectors, query), { k: rows.length });
      assert.deepEqual(
        hits.map(key),
        bruteForce(query, () => true, rows.length),
      );
      const all = nearest(vectors, vectorAt(vectors, query));
      hits.forEach(({ similarity }, rank) => assert.ok(Math.abs(similarity - all[rank].similarity) < 1e-5));
    }
  });

  it('gives twelve answers unless told otherwise, and all where there are fewer than asked for', async () => {
    assert.equal((await searchStore(folder, 'zone33', vectorAt(vectors, 0))).length, 12);
    assert.equal((await searchStore(folder, 'zone33', vectorAt(vectors, 0), { k: 1000 })).length, rows.length);
  });

  it('keeps what is known of a chip: its cell, its centre in degrees, its labels, its model', async () => {
    const [hit] = await searchStore(folder, 'zone33', vectorAt(vectors, 8), { k: 1 });
    const { id, catid, date } = rows[8];
    assert.deepEqual([hit.id, hit.catid, hit.date, hit.cell, hit.model], [id, catid, date, cell.id, 'zone33/0123']);
    assert.deepEqual(hit.tags, ['building=house', names[(8 * 7 + 3) % names.length]]);
    const [x, y] = toUtm(cell.epsg, [hit.lon, hit.lat]);
    const [west, south, east, north] = chipBounds(id);
    assert.ok(Math.abs(x - (west + east) / 2) < 1e-3 && Math.abs(y - (south + north) / 2) < 1e-3);
  });

  it('loses none of the k answers to a filter, whatever characters a label’s name has', async () => {
    for (const label of names) {
      const hits = await searchStore(folder, 'zone33', vectorAt(vectors, 5), { k: 20, label });
      const expected = bruteForce(5, (index) => rows[index].labels[label] === 1, 20);
      assert.ok(expected.length > 10, label);
      assert.deepEqual(hits.map(key), expected, label);
    }
    await assert.rejects(
      searchStore(folder, 'zone33', vectorAt(vectors, 5), { label: 'building' }),
      /the filter leaves none of the 400 rows of table zone33: loosen it \(tags building\)$/,
    );
  });

  it('answers from one date, and not from the chip’s own ground at any date', async () => {
    const hits = await searchStore(folder, 'zone33', vectorAt(vectors, 31), {
      k: 30,
      date: dates[1],
      notAt: rows[31].id,
      label: 'axb',
    });
    assert.deepEqual(
      hits.map(key),
      bruteForce(
        31,
        (index) => rows[index].date === dates[1] && rows[index].id !== rows[31].id && rows[index].labels['axb'] === 1,
        30,
      ),
    );
    assert.ok(hits.length > 5);
    const elsewhere = await searchStore(folder, 'zone33', vectorAt(vectors, 31), { k: 400, notAt: rows[31].id });
    assert.deepEqual(
      elsewhere.map(key),
      bruteForce(31, (index) => rows[index].id !== rows[31].id, 400),
    );
    assert.equal(elsewhere.length, 398);
    await assert.rejects(
      searchStore(folder, 'zone33', vectorAt(vectors, 0), { date: "2022' OR 'a'='a" }),
      /RangeError: since is 2022' OR 'a'='a: expected a day, as 2023-05-01$/,
    );
  });

  it('is replaced by a second deploy, and leaves other tables alone', async () => {
    const there = await emptyFolder();
    await deployStore(there, 'one', rows, vectors, 'm/1');
    await deployStore(there, 'two', rows.slice(0, 7), rowsOf(vectors, [0, 1, 2, 3, 4, 5, 6]), 'm/1');
    const narrow = vectorsOf([[1, 0], [0, 1], [1, 1]]); // prettier-ignore
    await deployStore(there, 'one', rows.slice(10, 13), narrow, 'm/2');
    const hits = await searchStore(there, 'one', Float32Array.of(1, 0));
    assert.deepEqual(hits.map(key), [rows[10], rows[12], rows[11]].map(key));
    assert.ok(hits.every(({ model }) => model === 'm/2'));
    assert.equal((await searchStore(there, 'two', vectorAt(vectors, 0))).length, 7);
  });

  it('finds its table among many', async () => {
    const there = await emptyFolder();
    for (let zone = 1; zone <= 12; zone++)
      await deployStore(there, `zone${zone}`, rows.slice(0, 1), rowsOf(vectors, [0]), 'm/1');
    for (const zone of [1, 9, 12])
      assert.equal((await searchStore(there, `zone${zone}`, vectorAt(vectors, 0))).length, 1);
  });

  it('names the table that is missing and those that are there, and makes no folder by looking', async () => {
    await assert.rejects(
      searchStore(folder, 'zone34', vectorAt(vectors, 0)),
      /no table zone34 in .*embeddings \(it holds zone33\): run imagesim similarity deploy, or notebook 07-similarity$/,
    );
    const bare = await emptyFolder();
    await assert.rejects(searchStore(bare, 'zone33', vectorAt(vectors, 0)), /\(it holds none\)/);
    assert.ok(!existsSync(join(bare, 'embeddings')));
  });

  it('refuses no chips, and vectors that are not one for each chip', async () => {
    const bare = await emptyFolder();
    await assert.rejects(
      deployStore(bare, 'zone33', [], vectors, 'm'),
      /RangeError: deployStore requires at least one chip for zone33/,
    );
    await assert.rejects(
      deployStore(bare, 'zone33', rows.slice(1), vectors, 'm'),
      /RangeError: deployStore got 399 rows and 400 vectors: one each/,
    );
    assert.ok(!existsSync(join(bare, 'embeddings')));
  });
});
