import assert from 'node:assert/strict';
import type { DatasetRow } from 'imagesim/datasets';
import {
  type Example,
  type Search,
  ROCCHIO,
  fitLogistic,
  gainLines,
  nearest,
  rowsOf,
  simulateFeedback,
  startSearch,
  vectorAt,
} from 'imagesim/similarity';
import seedrandom from 'seedrandom';
import { near } from '../training/near.ts';
import { randomVectors, rowAt, vectorsOf } from './rows.ts';

/** Rows of one kind or another about centres of their own; every fifth has the label, in two groups far apart. */
function groups(
  n: number,
  spread: number,
  seed: string,
): { vectors: ReturnType<typeof vectorsOf>; rows: DatasetRow[] } {
  const random = seedrandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const centres = Array.from({ length: 8 }, () => Array.from({ length: 24 }, () => spread * normal()));
  const kinds = Array.from({ length: n }, (_, k) => (k % 5 === 0 ? Math.floor(2 * random()) : 2 + Math.floor(6 * random()))); // prettier-ignore
  const vectors = vectorsOf(kinds.map((kind) => centres[kind].map((value) => value + normal())));
  return { vectors, rows: kinds.map((kind, k) => rowAt(k, { labels: { a: kind < 2 ? 1 : 0 } })) };
}

const indices = ({ answers }: Search): number[] => answers.map(({ index }) => index);

describe('fitLogistic', () => {
  /** X = sin(1.7 arange(60)).reshape(12, 5), each row over its length; y = cos(1.1 arange(12)) > .1; weights 1 + arange(12) % 3. */
  const rows = vectorsOf(Array.from({ length: 12 }, (_, row) => Array.from({ length: 5 }, (__, k) => Math.sin(1.7 * (5 * row + k))))); // prettier-ignore
  const examples = Array.from({ length: 12 }, (_, row): Example => ({ vector: vectorAt(rows, row), wanted: Math.cos(1.1 * row) > 0.1, weight: 1 + (row % 3) })); // prettier-ignore

  it('is scikit-learn’s, with sample weights, for strong and weak penalties', () => {
    // scikit-learn 1.2.1: m = LogisticRegression(C=C, tol=1e-14, max_iter=100000).fit(X, y, sample_weight=s); m.coef_, m.intercept_, m.predict_proba(X)[:3, 1]
    const strong = fitLogistic(examples, 1);
    near(strong.weights, [0.12642759565340225, 0.2756753589967726, -0.1974660583641884, -0.22479058010869205, 0.25539212993580584], 1e-6); // prettier-ignore
    near([strong.bias], [0.08091470534095509], 1e-5);
    near(strong.probabilities(rows).subarray(0, 3), [0.6294290137002113, 0.5102755402995145, 0.4349260669846792], 1e-6);
    const weak = fitLogistic(examples, 10);
    near(weak.weights, [0.18680420051132993, 0.3912966666418951, -0.2876369611450019, -0.3171759458, 0.3693697228], 1e-5); // prettier-ignore
    near([weak.bias], [0.12010634448250905], 1e-5);
  });

  it('is at the least of what it minimises: no small step in any direction leads down', () => {
    const cost = 100;
    const { weights, bias } = fitLogistic(examples, cost);
    const loss = (w: readonly number[], b: number): number =>
      examples.reduce((sum, { vector, wanted, weight = 1 }) => {
        const margin = (wanted ? 1 : -1) * (b + w.reduce((dot, value, k) => dot + value * vector[k], 0));
        return sum + cost * weight * Math.log1p(Math.exp(-margin));
      }, w.reduce((sum, value) => sum + value ** 2 / 2, 0)); // prettier-ignore
    const least = loss([...weights], bias);
    for (let k = 0; k <= 5; k++)
      for (const step of [-1e-3, 1e-3]) {
        const moved = [...weights].map((value, at) => value + (at === k ? step : 0));
        assert.ok(loss(moved, bias + (k === 5 ? step : 0)) > least, `direction ${k}`);
      }
  });

  it('stays finite where a line parts the two kinds wholly, and few examples span little of a wide space', () => {
    const wide = randomVectors(6, 512, 'wide');
    const parted = Array.from({ length: 6 }, (_, row) => ({ vector: vectorAt(wide, row), wanted: row < 3 }));
    const sure = fitLogistic(parted, 1e6).probabilities(wide);
    sure.forEach((p, row) => assert.ok(row < 3 ? p > 0.99 : p < 0.01, `${p}`));
  });

  it('requires examples of both kinds', () => {
    assert.throws(() => fitLogistic(examples.filter(({ wanted }) => wanted)), /RangeError: fitLogistic requires examples of both kinds, got (\d+) of \1 that are wanted/); // prettier-ignore
  });
});

describe('startSearch', () => {
  const { vectors, rows } = groups(300, 0.5, 'search');

  it('begins with the plain search: the nearest of other ground, numbered from 1', () => {
    for (const method of ['rocchio', 'probe', 'uncertain'] as const) {
      const search = startSearch(vectors, rows, { query: 7, method, k: 9 });
      assert.deepEqual(indices(search), nearest(vectors, vectorAt(vectors, 7), { k: 9, admit: (at) => at !== 7 }).map(({ index }) => index)); // prettier-ignore
      assert.deepEqual(search.answers.map(({ number }) => number), [1, 2, 3, 4, 5, 6, 7, 8, 9]); // prettier-ignore
      assert.deepEqual([search.round, search.accepted, search.rejected, search.query], [1, [], [], [7]]);
    }
  });

  it('goes on with the next page where nothing is judged, and ends empty where all was shown', () => {
    const search = startSearch(vectors, rows, { query: 7, k: 200 });
    search.next();
    assert.deepEqual([...search.shown].map(({ index }) => index), nearest(vectors, vectorAt(vectors, 7), { admit: (at) => at !== 7 }).map(({ index }) => index)); // prettier-ignore
    assert.deepEqual([search.answers.length, search.answers[0].number], [99, 201]);
    assert.deepEqual(search.next(), []);
  });

  it('moves the query by Rocchio’s formula', () => {
    const plane = vectorsOf([[1, 0, 0], [0.8, 0.6, 0], [0.8, 0, 0.6], [0.6, 0.8, 0], [0.6, 0, 0.8], [-1, 0, 0]]); // prettier-ignore
    const search = startSearch(plane, [0, 1, 2, 3, 4, 5].map((k) => rowAt(k)), { query: 0, k: 2 }); // prettier-ignore
    assert.deepEqual(indices(search), [1, 2]);
    search.accept([1]);
    search.reject([2]);
    assert.deepEqual([search.accepted, search.rejected], [[1], [2]]);
    assert.deepEqual(ROCCHIO, { query: 1, accepted: 0.75, rejected: 0.15 });
    // by hand: (1, 0, 0) + .75 (.8, .6, 0) − .15 (.8, 0, .6) = (1.48, .45, −.09), over its length 1.549516…
    const moved = [1.48, 0.45, -0.09].map((value) => value / Math.hypot(1.48, 0.45, -0.09));
    near(search.scores().slice(3, 5), [0.6 * moved[0] + 0.8 * moved[1], 0.6 * moved[0] + 0.8 * moved[2]], 1e-6);
    assert.deepEqual([...search.next()].map(({ index, number }) => [index, number]), [[3, 3], [4, 4]]); // prettier-ignore
  });

  it('ranks by the probe’s probability, or by how near that is to a half', () => {
    const judge = (method: 'probe' | 'uncertain'): Search => {
      const search = startSearch(vectors, rows, { query: 0, method, k: 20 });
      search.accept(search.answers.filter(({ row }) => row.labels['a'] === 1).map(({ number }) => number));
      search.reject(search.answers.filter(({ row }) => row.labels['a'] === 0).map(({ number }) => number));
      return search;
    };
    const [probe, uncertain] = [judge('probe'), judge('uncertain')];
    assert.deepEqual(probe.scores(), uncertain.scores());
    const scores = probe.scores();
    const open = [...rows.keys()].filter((at) => at !== 0 && !probe.shown.some(({ index }) => index === at));
    const first = (merit: (at: number) => number): number[] => open.toSorted((a, b) => merit(b) - merit(a)).slice(0, 20); // prettier-ignore
    assert.deepEqual([...probe.next()].map(({ index }) => index), first((at) => scores[at])); // prettier-ignore
    assert.deepEqual([...uncertain.next()].map(({ index }) => index), first((at) => -Math.abs(scores[at] - 0.5))); // prettier-ignore
    assert.ok(scores.every((score) => score > 0 && score < 1));
  });

  it('changes its method from a round on', () => {
    const search = startSearch(vectors, rows, { query: 0 });
    search.accept([1]);
    search.next('probe');
    assert.equal(search.method, 'probe');
    assert.throws(() => search.next('guess' as 'probe'), /RangeError: unknown method "guess": take rocchio, probe, uncertain/); // prettier-ignore
  });

  it('shows each square of ground once, at the date that fits best, and not that which was asked with', () => {
    const dated = vectorsOf([[1, 0], [1, 0.01], [1, 0.3], [1, 0.2], [1, 0.5], [1, 0.6]]); // prettier-ignore
    const places = [0, 0, 1, 1, 2, 2].map((place, k) => rowAt(place, { date: `2022-01-0${1 + (k % 2)}`, labels: {} }));
    const search = startSearch(dated, places, { query: 0, k: 1 });
    assert.deepEqual(indices(search), [3]); // place 1 on its second day; place 0 is the query's
    search.accept([1]);
    search.next();
    assert.deepEqual(indices(search), [4]);
    assert.deepEqual(search.next(), []);
    const resumed = startSearch(dated, places, { query: 0, k: 5, accepted: [2] });
    assert.deepEqual(indices(resumed), [4]); // of the accepted place no other date is shown
    assert.deepEqual(resumed.accepted, [2]);
  });

  it('takes verdicts again without harm, but none that contradicts: nothing is judged then', () => {
    const search = startSearch(vectors, rows, { query: 7 });
    search.accept([2, 4]);
    search.accept([2, 4]);
    assert.equal(search.accepted.length, 2);
    assert.throws(() => search.reject([1, 4]), /^RangeError: reject: answer 4 was accepted before: take that back first, with reopen\(\[4\]\)$/); // prettier-ignore
    assert.deepEqual(search.rejected, []);
    search.reopen([4]);
    search.reject([4]);
    assert.deepEqual([search.accepted, search.rejected], [[search.shown[1].index], [search.shown[3].index]]);
    assert.throws(() => search.accept([4]), /^RangeError: accept: answer 4 was rejected before/);
  });

  it('names a number that was not shown', () => {
    const search = startSearch(vectors, rows, { query: 7 });
    for (const number of [0, 13, -1, 1.5])
      assert.throws(() => search.accept([1, number]), new RegExp(`^RangeError: accept: no answer ${number}, 1 to 12 were shown$`)); // prettier-ignore
    assert.deepEqual(search.accepted, []);
    const none = startSearch(vectors, rows, { query: 7, admit: () => false });
    assert.throws(() => none.reject([1]), /reject: no answer 1, none was shown/);
  });

  it('asks with several rows, and with a vector of one’s own', () => {
    const [two, own] = [startSearch(vectors, rows, { query: [3, 4] }), startSearch(vectors, rows, { query: vectorAt(vectors, 3) })]; // prettier-ignore
    assert.ok(![3, 4].some((index) => indices(two).includes(index)));
    assert.deepEqual([own.answers[0].index, own.query], [3, []]);
  });

  it('refuses what it cannot search with', () => {
    const start = (options: Partial<Parameters<typeof startSearch>[2]>): (() => Search) => () => startSearch(vectors, rows, { query: 0, ...options }); // prettier-ignore
    assert.throws(start({ query: 300 }), /RangeError: startSearch: no row 300, there are 300/);
    assert.throws(start({ query: [] }), /RangeError: startSearch requires a query, got no row/);
    assert.throws(start({ query: new Float32Array(3) }), /a query of 3 numbers, the vectors have 24: encode it with the same model/); // prettier-ignore
    assert.throws(start({ k: 0 }), /RangeError: startSearch requires a positive whole k, got 0/);
    assert.throws(start({ method: 'best' as 'probe' }), /unknown method "best"/);
    assert.throws(start({ accepted: [900] }), /no row 900/);
    assert.throws(start({ accepted: [5], rejected: [5] }), /row 5 is rejected and wanted as well/);
    assert.throws(() => startSearch(vectors, rows.slice(1), { query: 0 }), /startSearch got 299 rows and 300 vectors: one each/); // prettier-ignore
  });
});

describe('simulateFeedback', () => {
  const { vectors, rows } = groups(600, 0.55, 'gain');

  it('gains by each method over plain pages, on ground of which nothing was shown', () => {
    const gain = simulateFeedback(vectors, rows, 'a', { rounds: 3, questions: 4 });
    const last = (method: string): number => gain.rows.find((row) => row.method === method && row.round === 3)!.averagePrecision; // prettier-ignore
    const first = gain.rows.filter(({ round }) => round === 0).map(({ averagePrecision }) => averagePrecision);
    assert.ok(
      first.every((value) => value === first[0]),
      'all begin alike',
    );
    assert.equal(last('none'), first[0]);
    for (const method of ['rocchio', 'probe', 'uncertain']) assert.ok(last(method) > first[0] + 0.05, `${method} ${last(method)}, before ${first[0]}`); // prettier-ignore
    assert.ok(
      gain.rows.every(({ low, high, averagePrecision }) => low <= averagePrecision && averagePrecision <= high),
    );
    assert.ok(first[0] > gain.chance);
    assert.deepEqual([gain.questions, gain.rows.length], [4, 4 * 4]);
    assert.deepEqual(gain, simulateFeedback(vectors, rows, 'a', { rounds: 3, questions: 4 }), 'the same again');
  });

  it('counts what a user sees: precision of a page, and what was found of all', () => {
    const gain = simulateFeedback(vectors, rows, 'a', { methods: ['none'], rounds: 2, k: 10, questions: 5 });
    const pool = [...rows.keys()].filter((index) => [...rows].map(({ id }) => id).sort().indexOf(rows[index].id) % 2 === 0); // prettier-ignore
    const having = pool.map((index) => index).sort((a, b) => a - b).filter((index) => rows[index].labels['a'] === 1); // prettier-ignore
    const asked = Array.from({ length: 5 }, (_, at) => having[Math.floor((at * having.length) / 5)]);
    const own = rowsOf(vectors, pool);
    const pages = asked.map((query) => nearest(own, vectorAt(vectors, query), { k: 21 }).map(({ index }) => pool[index]).filter((index) => index !== query).slice(0, 20)); // prettier-ignore
    const share = (some: number[]): number =>
      some.filter((index) => rows[index].labels['a'] === 1).length / some.length;
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    near([gain.rows[1].precision, gain.rows[2].precision], [mean(pages.map((page) => share(page.slice(0, 10)))), mean(pages.map((page) => share(page.slice(10))))], 1e-9); // prettier-ignore
    near([gain.rows[2].recall], [mean(pages.map((page) => (20 * share(page)) / (having.length - 1)))], 1e-9);
    assert.deepEqual(gain.rows.map(({ judged }) => judged), [0, 10, 20]); // prettier-ignore
  });

  it('leaves open what is not known, and says why a label cannot be played', () => {
    const some = rows.map((row, k) => ({ ...row, labels: { ...row.labels, all: 1 as const, none: 0 as const, one: k === 3 ? (1 as const) : (0 as const), half: k % 3 === 0 ? row.labels['a'] : null } })); // prettier-ignore
    const reason = (label: string, split: 'test' | 'train' = 'test'): string | undefined => simulateFeedback(vectors, some, label, { split }).reason; // prettier-ignore
    assert.match(reason('none')!, /^0 places of the test ground have none/);
    assert.match(reason('one')!, /^1 places of the test ground have one/);
    assert.match(reason('a', 'train')!, /^0 places of the train ground have a/);
    assert.match(reason('all')!, /^every chip of the test ground that is scored has all: nothing can be told apart/);
    const { rows: played } = simulateFeedback(vectors, some, 'half', { methods: ['rocchio'], rounds: 1, questions: 4 });
    assert.ok(played[1].judged < 12, `${played[1].judged} of 12 are known`);
  });

  it('is drawn as lines, one a method', () => {
    const gain = simulateFeedback(vectors, rows, 'a', { methods: ['none', 'rocchio'], rounds: 1, questions: 3 });
    const [none, rocchio] = gainLines(gain);
    assert.deepEqual([none.name, rocchio.name, none.x, none.low!.length], ['none', 'rocchio', [0, 1], 2]);
    assert.deepEqual(gainLines(gain, 'precision').map(({ x }) => x), [[1], [1]]); // prettier-ignore
  });

  it('refuses no rounds, and vectors that are not one for each row', () => {
    assert.throws(() => simulateFeedback(vectors, rows, 'a', { rounds: 0 }), /positive whole rounds, got 0/);
    assert.throws(() => simulateFeedback(vectors, rows.slice(1), 'a'), /599 rows and 600 vectors/);
  });
});
