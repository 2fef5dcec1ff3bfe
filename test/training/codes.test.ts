import assert from 'node:assert/strict';
import {
  codeBytes,
  codeLoss,
  codeSimilarity,
  codesFrom,
  hamming,
  meanOf,
  packCodes,
  unpackCodes,
} from 'imagesim/training';
import type { Vectors } from 'imagesim/similarity';
import seedrandom from 'seedrandom';
import { pythonOnnx } from './networks.ts';

/** Rows of unit length about `kinds` centres; all lean to one side, as rectified features do. */
function clustered(n: number, width: number, kinds: number, seed = 'rows'): Vectors {
  const random = seedrandom.alea(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const centres = Array.from({ length: kinds }, () => Array.from({ length: width }, () => normal()));
  const values = new Float32Array(n * width);
  for (let row = 0; row < n; row++) {
    const numbers = centres[row % kinds].map((centre) => 0.7 + 0.5 * centre + normal());
    const length = Math.hypot(...numbers);
    values.set(numbers.map((value) => value / length), row * width); // prettier-ignore
  }
  return { values, width };
}

const rows = clustered(60, 45, 6);
const mean = meanOf(rows);

describe('training: codes of embeddings', () => {
  it('are numpy’s: rows scaled to ±127 and rounded, bits packed from the lowest', () => {
    const code = `
x = numpy.array(json.loads(sys.argv[1]), dtype=numpy.float32).reshape(60, 45)
ints = numpy.floor(127 * x.astype(float) / numpy.abs(x).max(axis=1, keepdims=True) + 0.5).astype(int)
bits = numpy.packbits(x > x.astype(float).mean(axis=0).astype(numpy.float32), axis=1, bitorder='little')
print(json.dumps([ints.ravel().tolist(), bits.ravel().tolist()]))`;
    const [ints, bits] = pythonOnnx(code, JSON.stringify([...rows.values])) as number[][];
    assert.deepEqual([...packCodes(rows, 'int8').values], ints);
    assert.deepEqual([...codeBytes(packCodes(rows, 'bit', { mean }))], bits);
  });

  it('come back from their bytes as they were', () => {
    for (const kind of ['float32', 'int8', 'bit'] as const) {
      const codes = packCodes(rows, kind, { mean });
      const bytes = codeBytes(codes);
      assert.equal(bytes.length, 60 * { float32: 180, int8: 45, bit: 6 }[kind]);
      assert.deepEqual(codesFrom(bytes, kind, 45, kind === 'bit' ? { mean } : {}), codes);
    }
  });

  it('unpack to rows of unit length, near those packed', () => {
    assert.deepEqual(unpackCodes(packCodes(rows, 'float32')).values, rows.values);
    for (const [kind, most] of [
      ['int8', 0.004],
      ['bit', 0.5],
    ] as const) {
      // prettier-ignore
      const { values } = unpackCodes(packCodes(rows, kind));
      for (let row = 0; row < 60; row++) {
        const [found, given] = [values, rows.values].map((all) => all.subarray(row * 45, (row + 1) * 45));
        assert.ok(Math.abs(Math.hypot(...found) - 1) < 1e-6);
        assert.ok(found.every((value, i) => Math.abs(value - given[i]) < most));
      }
    }
  });

  it('compare as the rows that they unpack to do', () => {
    for (const kind of ['float32', 'int8', 'bit'] as const) {
      const codes = packCodes(rows, kind, { mean });
      const { values } = unpackCodes(codes);
      for (const [i, j] of [
        [0, 1],
        [0, 6],
        [17, 42],
        [5, 5],
      ]) {
        // prettier-ignore
        const cosine = Array.from({ length: 45 }, (_, k) => values[i * 45 + k] * values[j * 45 + k]).reduce((a, b) => a + b); // prettier-ignore
        assert.ok(Math.abs(codeSimilarity(codes, i, codes, j) - cosine) < 1e-5, `${kind} ${i} ${j}`);
      }
    }
  });

  it('count differing bits as counting each does, for widths that fill no word', () => {
    for (const width of [1, 31, 32, 33, 128]) {
      const codes = packCodes(clustered(8, width, 2, `bits ${width}`), 'bit');
      const text = (row: number): string[] => {
        const each = Math.ceil(width / 8);
        return [...codeBytes(codes).subarray(row * each, (row + 1) * each)].flatMap((byte) => byte.toString(2).padStart(8, '0').split('')); // prettier-ignore
      };
      for (let j = 0; j < 8; j++) {
        const [a, b] = [text(0), text(j)];
        assert.equal(hamming(codes, 0, codes, j), a.filter((bit, i) => bit !== b[i]).length);
      }
    }
  });

  it('lose nothing of float32, next to nothing of int8, and more of bits; less of bits when they are centred', () => {
    const vectors = clustered(300, 64, 10);
    const isAlike = (i: number, j: number): boolean => i % 10 === j % 10;
    const [exact, int8, bit] = codeLoss(vectors, { isAlike });
    const [, , uncentred] = codeLoss(vectors, { isAlike, mean: new Float32Array(64) });
    assert.deepEqual([exact, int8, bit].map(({ kind, bytes }) => [kind, bytes]), [['float32', 256], ['int8', 64], ['bit', 8]]); // prettier-ignore
    assert.deepEqual([exact.overlap, exact.loss], [1, 0]);
    assert.ok(int8.overlap > 0.95 && Math.abs(int8.loss) < 0.003, JSON.stringify(int8));
    assert.ok(bit.overlap < int8.overlap && bit.loss > int8.loss && bit.loss < exact.meanAveragePrecision / 2);
    assert.ok(uncentred.loss > bit.loss + 0.02, `${uncentred.loss} without, ${bit.loss} with the mean`);
  });

  it('have the mean average precision that brute force gives', () => {
    const isAlike = (i: number, j: number): boolean => i % 6 === j % 6;
    const dots = (i: number, j: number): number =>
      Array.from({ length: 45 }, (_, k) => rows.values[i * 45 + k] * rows.values[j * 45 + k]).reduce((a, b) => a + b);
    const precisions = Array.from({ length: 60 }, (_, i) => {
      const others = Array.from({ length: 60 }, (__, j) => j).filter((j) => j !== i).sort((a, b) => dots(i, b) - dots(i, a)); // prettier-ignore
      const places = others.flatMap((j, rank) => (isAlike(i, j) ? [rank + 1] : []));
      return places.reduce((sum, place, found) => sum + (found + 1) / place, 0) / places.length;
    });
    const expected = precisions.reduce((a, b) => a + b) / 60;
    assert.ok(Math.abs(codeLoss(rows, { isAlike })[0].meanAveragePrecision - expected) < 1e-9);
    assert.ok(Number.isNaN(codeLoss(rows)[0].meanAveragePrecision));
  });

  it('refuse what are no rows, numbers that are none, and a mean of another width', () => {
    const packed = (values: number[], width: number): unknown => packCodes({ values: Float32Array.from(values), width }, 'bit', { mean: Float32Array.of(0, 0) }); // prettier-ignore
    assert.throws(() => packed([1, 2, 3], 2), /3 numbers are no whole rows of 2/);
    assert.throws(() => packed([1, 0, 0, NaN], 2), /NaN in row 1: encode that image again/);
    assert.throws(() => packed([1, 0, 0], 3), /a mean of 2 numbers, for rows of 3/);
    assert.throws(() => codesFrom(new Uint8Array(7), 'bit', 45), /7 bytes are no whole rows of 6 \(bit, 45 numbers\)/);
    assert.throws(() => codeLoss({ values: new Float32Array(3), width: 3 }), /at least two rows, got 1/);
  });
});
