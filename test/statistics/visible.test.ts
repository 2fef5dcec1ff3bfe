import assert from 'node:assert/strict';
import { chipIdAt, parseCell } from 'imagesim/ard';
import { chipFeatures, chipTiles, readChips } from 'imagesim/chips';
import { areaUnderRoc, chipTags, completeness, fitProbe, visibility } from 'imagesim/statistics';
import seedrandom from 'seedrandom';
import { mappedSample } from '../delivery.ts';
import { python } from '../rasterio.ts';

const cells = ['Z33-031133012203', 'Z33-031133012212'].map(parseCell);
const near = (found: number, expected: number, by: number): void =>
  assert.ok(Math.abs(found - expected) <= by, `${found} is not ${expected}`);

describe('areaUnderRoc', () => {
  it('is what scikit-learn has, ties counted half', () => {
    // sklearn.metrics.roc_auc_score: its own example, and [1, 0, 1, 0, 0, 1] with [.5, .5, .7, .2, .5, .1]
    assert.equal(areaUnderRoc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).auc, 0.75);
    near(areaUnderRoc([0.5, 0.5, 0.7, 0.2, 0.5, 0.1], [1, 0, 1, 0, 0, 1]).auc, 5 / 9, 1e-12);
  });

  it('has the standard error of Hanley and McNeil', () => {
    // by hand: Q1 = A / (2 - A), Q2 = 2A² / (1 + A), sqrt((A(1 - A) + 49 (Q1 - A²) + 49 (Q2 - A²)) / 2500) for A = 0.9: 0.0321
    const scores = [...Array.from({ length: 50 }, (_, k) => k), ...Array.from({ length: 50 }, (_, k) => k + 27.639)];
    const { auc, error } = areaUnderRoc(scores, scores.map((_, k) => Number(k >= 50))); // prettier-ignore
    near(auc, 0.9, 0.003);
    near(error, 0.0321, 0.0005);
  });

  it('is undefined where there is one kind only', () => {
    assert.ok(Number.isNaN(areaUnderRoc([1, 2], [1, 1]).auc));
  });
});

describe('fitProbe', () => {
  it('finds the weights of ridge regression on standardised columns, as numpy solves it', () => {
    const random = seedrandom('ridge');
    const [n, d] = [60, 5];
    const features = Float32Array.from({ length: n * d }, () => random() * 4 - 1);
    const classes = Array.from({ length: n }, (_, row) => Number(features[row * d] + random() > 1.2));
    const code = `
x, y, lam = json.loads(sys.argv[1]); x = numpy.array(x).reshape(-1, 5); y = numpy.array(y, float)
z = (x - x.mean(0)) / x.std(0)
w = numpy.linalg.solve(z.T @ z + lam * len(y) * numpy.eye(5), z.T @ (y - y.mean()))
print(json.dumps((z @ w + y.mean()).tolist()))`;
    for (const lambda of [0.01, 1]) {
      const theirs = python(code, JSON.stringify([[...features], classes, lambda])) as number[];
      const ours = fitProbe(features, classes, { lambda }).score(features);
      theirs.forEach((value, row) => near(ours[row], value, 1e-5));
    }
  });

  it('refuses examples of one kind, and takes a column that never changes for nothing', () => {
    assert.throws(() => fitProbe(new Float32Array([1, 2]), [1, 1]), /requires examples of both kinds, got 2 of 2/);
    const [low, high] = fitProbe(new Float32Array([1, 7, 2, 7, 3, 7, 4, 7]), [0, 0, 1, 1]).score(new Float32Array([1, 7, 4, 9])); // prettier-ignore
    assert.ok(Number.isFinite(low) && high > low);
  });
});

describe('visibility', () => {
  const chips = cells.flatMap((cell) => Array.from({ length: 200 }, (_, k) => chipIdAt(cell, k >> 4, k & 15)));
  const random = seedrandom('seen');
  const seen = new Set(chips.filter(() => random() < 0.3));
  const unseen = new Set(chips.filter(() => random() < 0.3));
  const features = Float32Array.from(chips.flatMap((chip) => [Number(seen.has(chip)) + random(), random(), random()]));
  const tagged = new Map([['landuse=forest', seen], ['name=x', unseen], ['shop=rare', new Set([chips[0]])]]); // prettier-ignore

  it('keeps what features tell on cells that the probe has not seen, and drops what they do not', () => {
    const [forest, name, rare] = visibility(chips, features, tagged);
    assert.ok(forest.auc > 0.95 && forest.verdict === 'seen', JSON.stringify(forest));
    assert.ok(name.low < 0.5 && name.high > 0.5 && name.verdict === 'not seen', JSON.stringify(name));
    assert.deepEqual([rare.positives, rare.verdict], [1, 'not known']);
  });

  it('does not see what is told by the place alone', () => {
    const byCell = new Map([['here=yes', new Set(chips.slice(0, 200))]]);
    assert.ok(Number.isNaN(visibility(chips, features, byCell)[0].auc)); // each side has one kind only
    const noise = Float32Array.from(chips, (_, k) => (k % 200) / 200);
    const blocks = new Map([['odd=yes', new Set(chips.filter((_, k) => k % 200 < 100 === k < 200))]]);
    const [odd] = visibility(chips, noise, blocks);
    assert.ok(odd.auc < 0.1, 'what holds in one cell is the contrary in the other');
  });

  it('gives chance to features that say nothing, in however uneven patches a tag lies', () => {
    const constant = new Float32Array(chips.length * 3).fill(1);
    const [forest] = visibility(chips, constant, tagged);
    near(forest.auc, 0.5, 1e-9);
    const noise = Float32Array.from({ length: chips.length }, () => random());
    const patches = new Set(chips.filter((_, k) => random() < (k < 200 ? 0.8 : 0.1)));
    const [patchy] = visibility(chips, noise, new Map([['landuse=meadow', patches]]));
    assert.ok(Math.abs(patchy.auc - 0.5) < 0.12, JSON.stringify(patchy));
  });

  it('refuses features that do not match, and chips of one square', () => {
    assert.throws(() => visibility(chips, features.subarray(1), tagged), /requires features of 400 chips, got 1199 numbers/); // prettier-ignore
    assert.throws(() => visibility(chips.slice(0, 1), features.subarray(0, 3), tagged), /lie in one square of zoom 14/);
  });

  it('finds on the sample that woods and roofs can be seen, by colour and texture alone', async () => {
    const folder = await mappedSample();
    const there = await readChips((await chipTiles({ dataPath: folder, zone: 33 })).chipDir);
    const ids = there.map(({ id }) => id);
    const { rows } = await chipTags(folder, 33, { only: new Set(ids) });
    const having = (tag: RegExp, least: number): Set<string> => new Set(rows.filter((row) => tag.test(row.tag) && row.area >= least).map(({ chip }) => chip)); // prettier-ignore
    const found = visibility(ids, await chipFeatures(there.map(({ path }) => path)), new Map([
      ['building', having(/^building=/, 0.05)], ['farmland', having(/^landuse=farmland/, 0.3)],
    ]), { foldZoom: 14 }); // prettier-ignore
    for (const { auc, verdict } of found) assert.ok(auc > 0.8 && verdict === 'seen', JSON.stringify(found));
  });
});

describe('completeness', () => {
  const chips = cells.flatMap((cell) => Array.from({ length: 100 }, (_, k) => chipIdAt(cell, k >> 4, k & 15)));
  const row = (chip: string, tag: string, area = 0, length = 0): { chip: string; tag: string; area: number; length: number } => ({ chip, tag, area, length }); // prettier-ignore
  const mapped = (share: number, housed: number): ReturnType<typeof row>[] =>
    chips.slice(0, 100 * share).flatMap((chip, k) => [row(chip, 'landuse=residential', 0.9), ...(k < 100 * share * housed ? [row(chip, 'building=yes', 0.1)] : [])]); // prettier-ignore

  it('is high where all is mapped and houses stand where they must, low where nothing is, by the lower end of the interval', () => {
    const [full, empty] = completeness(chips, mapped(1, 1));
    assert.deepEqual([full.mapped, full.builtUp, full.housed, empty.mapped], [1, 100, 1, 0]);
    near(full.score, 0.9630065 ** 2, 1e-6); // R: prop.test(100, 100, correct = FALSE)$conf.int[1]
    assert.equal(empty.score, 0);
    assert.ok(Number.isNaN(empty.housed));
  });

  it('falls where land use says that houses must stand, and there are none', () => {
    const scores = [1, 0.5, 0.1].map((housed) => completeness(chips, mapped(1, housed))[0].score);
    assert.ok(scores[0] > scores[1] && scores[1] > scores[2] && scores[2] < 0.1, scores.join(' '));
  });

  it('takes streets for built up from 60 m on, and asks nothing of woods', () => {
    const streets = chips.slice(0, 100).map((chip, k) => row(chip, 'highway=residential', 0, k < 40 ? 80 : 30));
    assert.equal(completeness(chips, streets)[0].builtUp, 40);
    const [woods] = completeness(chips, chips.slice(0, 100).map((chip) => row(chip, 'natural=wood', 1))); // prettier-ignore
    assert.ok(woods.builtUp === 0 && woods.score > 0.95);
  });
});
