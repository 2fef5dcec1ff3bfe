import assert from 'node:assert/strict';
import {
  type DetectedChange, bestShifts, type DatedFeatures, calibrateChange, changeBaselines, changeFeatures, correlationsOf, fitCalibration,
  histogramDifference, matchedHistograms, pixelDifference, scoreChanges, twoPopulations,
} from 'imagesim/similarity'; // prettier-ignore
import { chipIds } from 'imagesim/ard';
import seedrandom from 'seedrandom';
import { cell } from './rows.ts';

const ids = chipIds(cell);
/** Standard normal numbers. */
const normalFrom = (seed: string): (() => number) => {
  const random = seedrandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
};

describe('the search for the shift', () => {
  const [size, margin] = [80, 8];
  const seed = seedrandom('ground');
  const ground = Uint8Array.from({ length: 120 * 120 }, () => Math.floor(256 * seed()));
  /** A window of the ground, its light changed. */
  const picture = (left: number, top: number, gain = 1): Uint8Array =>
    Uint8Array.from({ length: size * size * 3 }, (_, at) => {
      const [row, column] = [Math.floor(at / 3 / size), Math.floor(at / 3) % size];
      return 20 + gain * 0.8 * ground[(top + row) * 120 + left + column];
    });

  it('finds where the ground lies in the second picture, in other light', () => {
    for (const [x, y] of [
      [0, 0],
      [4, -2],
      [-8, 8],
      [6, 0],
    ]) {
      // prettier-ignore
      const [found] = bestShifts([correlationsOf(picture(20, 20), picture(20 - x, 20 - y, 0.6), size, margin)]);
      assert.deepEqual([found.x, found.y], [x, y]);
      assert.ok(found.correlation > 0.9, String(found.correlation));
    }
  });

  it('gives a chip that shows nothing the shift of the others, with a correlation of 0', () => {
    const shifted = correlationsOf(picture(20, 20), picture(16, 20), size, margin);
    const blank = correlationsOf(new Uint8Array(size * size * 3), picture(16, 20), size, margin);
    const [, , found] = bestShifts([shifted, shifted, blank]);
    assert.deepEqual(found, { x: 4, y: 0, correlation: 0 });
    assert.deepEqual(bestShifts([]), []);
  });
});

describe('twoPopulations', () => {
  it('tells two normal populations apart, of few and of many', () => {
    const normal = normalFrom('two');
    for (const [share, slack] of [
      [0.05, 0.02],
      [0.3, 0.03],
      [0.65, 0.03],
    ]) {
      // prettier-ignore
      const upper = Array.from({ length: 1000 }, (_, at) => at < 1000 * share);
      const found = twoPopulations([Float64Array.from(upper, (is) => (is ? 5 : 0) + normal())]);
      assert.ok(Math.abs(found.share - share) < slack, `${found.share} for ${share}`);
      const wrong = upper.filter((is, at) => found.probability[at] > 0.5 !== is).length;
      assert.ok(wrong < 20, `${wrong} of 1,000`);
    }
  });

  it('never counts what lies below the lower mean to the upper', () => {
    const normal = normalFrom('one');
    const values = Float64Array.from({ length: 500 }, normal);
    values[0] = -40;
    assert.ok(twoPopulations([values]).probability[0] < 1e-9);
  });
});

describe('calibrateChange', () => {
  const [parts, width] = [4, 24];
  /** Chips whose features a season mixes and moves; some of a quarter's are replaced by those of other ground. */
  const scene = (chips: number, share: number, seed: string): { features: DatedFeatures; unlike: number[][]; changed: boolean[] } => {
    const normal = normalFrom(seed);
    const season = Array.from({ length: width * width }, (_, at) => (at % (width + 1) === 0 ? 0.4 : 0) + 0.25 * normal());
    const before = Float32Array.from({ length: chips * parts * width }, normal);
    const changed = Array.from({ length: chips }, (_, at) => at % 20 < 20 * share);
    const after = new Float32Array(before.length);
    for (let row = 0; row < chips * parts; row++) {
      const isOther = changed[Math.floor(row / parts)] && row % parts === 2;
      const from = isOther ? Float32Array.from({ length: width }, normal) : before.subarray(row * width, (row + 1) * width);
      for (let k = 0; k < width; k++) {
        for (let l = 0; l < width; l++) after[row * width + k] += season[k * width + l] * from[l];
        after[row * width + k] += 1 + 0.1 * normal();
      }
    }
    const unlike = changed.map((is) => 0.5 + (is ? 0.15 : 0) + 0.1 * normal());
    return { features: { before, after, width, parts }, unlike: [unlike], changed };
  }; // prettier-ignore

  for (const [chips, share] of [[400, 0.05], [400, 0.3], [300, 0.6]]) // prettier-ignore
    it(`finds the ${100 * share} % of ${chips} chips of which a quarter changed, whatever the season does to all`, () => {
      const { features, unlike, changed } = scene(chips, share, 'scene');
      const { probability, distance, share: estimated } = calibrateChange(features, unlike);
      const wrong = changed.filter((is, at) => probability[at] > 0.5 !== is).length;
      assert.ok(wrong <= 0.03 * chips, `${wrong} wrong`);
      assert.ok(Math.abs(estimated - share) < 0.06, `${estimated}`);
      const order = [...distance.keys()].sort((a, b) => distance[a] - distance[b]);
      order.slice(1).forEach((chip, at) => assert.ok(probability[chip] >= probability[order[at]], 'never falls as the distance grows'));
    }); // prettier-ignore

  it('refuses dates of two models, and too little ground', () => {
    const { features, unlike } = scene(20, 0.3, 'few');
    assert.throws(() => calibrateChange({ ...features, after: features.after.subarray(width) }, unlike), /1920 numbers before and 1896 after for 20 chips of 4 × 24: encode both dates with the same model/); // prettier-ignore
    assert.throws(() => calibrateChange({ ...features, width: 32 }, unlike), /4 × 32: encode both dates/);
    const { features: small, unlike: its } = scene(15, 0.3, 'few');
    assert.throws(() => calibrateChange(small, its), /15 chips that were seen twice: it takes 16/);
  });
});

describe('scoreChanges', () => {
  const shares = new Map([[ids[0], 1], [ids[9], 0.5], [ids[200], 0.01], [ids[300], 0.02]]); // prettier-ignore
  const ranked = [0, 200, 1, 9, 300, 2].map((chip, at) => ({ id: ids[chip], probability: 0.95 - 0.15 * at }));

  it('counts by share of area, leaves out what is touched by less, and gives scikit-learn’s figures', () => {
    const report = scoreChanges(ranked, shares, { ks: [2, 4, 50], bins: 2 });
    const { chips, changed, undecided, prevalence } = report;
    assert.deepEqual(
      { chips, changed, undecided, prevalence },
      { chips: 5, changed: 3, undecided: 1, prevalence: 0.6 },
    );
    // average_precision_score([1,0,1,1,0], [.95,.65,.5,.35,.2]) = 0.8055555555555556; brier_score_loss of the same = 0.2275
    assert.ok(Math.abs(report.averagePrecision.value - 0.8055555555555556) < 1e-12);
    assert.ok(Math.abs(report.brier - (0.05 ** 2 + 0.65 ** 2 + 0.5 ** 2 + 0.65 ** 2 + 0.2 ** 2) / 5) < 1e-12);
    assert.deepEqual(report.precisionAt, [{ k: 2, precision: 0.5 }, { k: 4, precision: 0.75 }]); // prettier-ignore
    assert.deepEqual(report.reliability.map(({ chips: n, found }) => [n, found]), [[2, 0.5], [3, 2 / 3]]); // prettier-ignore
    assert.ok(Math.abs(report.calibrationError - (0.4 * Math.abs(0.275 - 0.5) + 0.6 * Math.abs(0.7 - 2 / 3))) < 1e-12);
    const { low, high, value } = report.averagePrecision;
    assert.ok(low <= value && value <= high && report.blocks === 3);
  });

  it('scores a list without probabilities by its order alone', () => {
    const { brier, reliability, averagePrecision } = scoreChanges(ranked.map(({ id }) => ({ id })), shares); // prettier-ignore
    assert.ok(Number.isNaN(brier) && reliability.length === 0 && averagePrecision.value > 0.8);
  });

  it('says so where nothing can be told apart', () => {
    assert.throws(() => scoreChanges(ranked, new Map()), /0 of the 6 chips .* check place and dates of the vectors/);
    assert.throws(() => scoreChanges(ranked.slice(0, 1), shares), /1 of the 1 chips/);
    assert.throws(() => scoreChanges(ranked, shares, { minShare: 0 }), /a minShare above 0 and up to 1, got 0/);
  });
});

describe('fitCalibration', () => {
  it('finds the curve that truth was drawn from, for use on other chips', () => {
    const random = seedrandom('logistic');
    const drawn = ids.map((id) => ({ id, change: 8 * random() - 2 }));
    const curve = (change: number): number => 1 / (1 + Math.exp(3 - 1.5 * change));
    const shares = new Map(drawn.filter(({ change }) => random() < curve(change)).map(({ id }) => [id, 1]));
    const found = fitCalibration(drawn, shares);
    for (const change of [-2, 0, 2, 4, 6]) assert.ok(Math.abs(found(change) - curve(change)) < 0.03, `${change}`);
  });

  it('stays finite where the two kinds do not overlap, and takes both kinds', () => {
    const apart = ids.slice(0, 40).map((id, at) => ({ id, change: at < 20 ? 5 : -5 }));
    const found = fitCalibration(apart, new Map(apart.slice(0, 20).map(({ id }) => [id, 1])));
    assert.ok(found(5) > 0.9 && found(-5) < 0.1 && Number.isFinite(found(1000)));
    assert.throws(() => fitCalibration(apart, new Map()), /0 changed and 40 unchanged chips: it takes both/);
  });
});

describe('plain differencing', () => {
  const size = 4;
  const flat = (...values: number[]): Uint8Array => Uint8Array.from(values.flatMap((value) => Array.from({ length: size * size * 3 }, () => value))); // prettier-ignore
  const pictures = { before: flat(10, 100, 200), after: flat(30, 130, 220), size };

  it('is the mean of absolute differences, and one minus the Bhattacharyya coefficient', () => {
    assert.deepEqual([...pixelDifference(pictures)].map((value) => Math.round(value * 1e6) / 1e6), [20, 30, 20]); // prettier-ignore
    assert.deepEqual([...histogramDifference(pictures)].map((value) => Math.round(value * 1e6) / 1e6), [0, 1, 0]); // prettier-ignore
  });

  it('sees nothing once histograms are matched where all has become lighter alike', () => {
    assert.deepEqual([...pixelDifference(matchedHistograms(pictures))], [0, 0, 0]);
    assert.throws(() => changeBaselines({ changes: [] }), /ask detectChange for keepsPictures/);
  });
});

describe('changeFeatures', () => {
  const change = (index: number, probability: number): DetectedChange => ({
    id: ids[index],
    before: { id: ids[index], catid: '10400100BC69F3F8', date: '2022-06-14' },
    after: { id: ids[index], catid: '103001007FBB177B', date: '2023-05-21' },
    change: 2,
    probability,
    shift: { x: 2, y: -4, correlation: 0.5 },
  });
  const licences = [{ source: 'imagery', licence: 'CC BY-NC 4.0', attribution: 'Maxar' }];

  it('is GeoJSON in lon/lat with both acquisitions, the probability and the terms of the imagery', () => {
    const { features, ...rest } = changeFeatures({ changes: [change(70, 0.91), change(5, 0.2)], licences });
    assert.deepEqual(rest, { type: 'FeatureCollection', licences });
    const [{ id, geometry, properties }] = features;
    assert.equal(id, ids[70]);
    assert.deepEqual(properties, {
      rank: 1, probability: 0.91, change: 2, before: '2022-06-14', beforeCatid: '10400100BC69F3F8', after: '2023-05-21', afterCatid: '103001007FBB177B', shiftEast: 2, shiftSouth: -4,
    }); // prettier-ignore
    const [ring] = geometry.coordinates;
    assert.deepEqual(ring[0], ring.at(-1));
    const area = ring.slice(1).reduce((sum, [x, y], at) => sum + ring[at][0] * y - x * ring[at][1], 0);
    assert.ok(area > 0, 'counter-clockwise, as RFC 7946 has outer rings');
    const { cellBounds, epsg } = cell;
    assert.ok(
      ring.every(([lon, lat]) => Math.abs(lon) <= 180 && Math.abs(lat) <= 90) && cellBounds[0] > 180 && epsg > 0,
    );
  });

  it('leaves out what is less probable than asked for', () => {
    const list = { changes: [change(70, 0.91), change(5, 0.2)], licences };
    assert.deepEqual(changeFeatures(list, { least: 0.5 }).features.map(({ id }) => id), [ids[70]]); // prettier-ignore
    assert.throws(() => changeFeatures(list, { least: 2 }), /a least probability of 0 to 1, got 2/);
  });
});
