import assert from 'node:assert/strict';
import { chipIdAt, parseCell, parseChip } from 'imagesim/ard';
import { type ChipLabels, type Split, type SplitOptions, splitByPlace } from 'imagesim/datasets';
import { cell, labelledGround } from './ground.ts';

const ground = labelledGround(48, 'ground');
const places = new Map([...ground.keys()].map((chip) => [chip, parseChip(chip)]));
const SIDES = ['train', 'validation', 'test'] as const;
const blockOf = (chip: string, zoom: number): string => chip.slice(0, 4 + zoom);
const shareOf = (split: Map<string, Split>, side: Split): number =>
  [...split.values()].filter((other) => other === side).length / split.size;

describe('splitByPlace', () => {
  const cases: SplitOptions[] = [
    {},
    { seed: 2 },
    { seed: 'a word', blockZoom: 14 },
    { blockZoom: 16, buffer: 2 },
    { buffer: 0, validation: 0.3, test: 0.3 },
  ];
  for (const options of cases) {
    describe(`with ${JSON.stringify(options)}`, () => {
      const { blockZoom = 15, buffer = 1, validation = 0.15, test = 0.25 } = options;
      const split = splitByPlace(ground, options);

      it('gives every chip its side, and no other chip one', () => {
        assert.deepEqual([...split.keys()].toSorted(), [...ground.keys()].toSorted());
        for (const side of SIDES) assert.ok(shareOf(split, side) > 0, side);
      });

      it('keeps each block whole, apart from what it gives to the buffer', () => {
        const sides = new Map<string, Set<Split>>();
        for (const [chip, side] of split) {
          const block = blockOf(chip, blockZoom);
          if (side !== 'buffer') sides.set(block, (sides.get(block) ?? new Set()).add(side));
        }
        assert.ok([...sides.values()].every(({ size }) => size === 1));
      });

      it('has no chip of one side within the buffer of another side’s, and takes that from train before validation before test', () => {
        const within = (a: string, b: string): boolean => {
          const [one, other] = [places.get(a)!, places.get(b)!];
          return Math.max(Math.abs(one.row - other.row), Math.abs(one.column - other.column)) <= buffer;
        };
        const chips = [...split.keys()];
        const testBlocks = new Set(
          chips.filter((chip) => split.get(chip) === 'test').map((chip) => blockOf(chip, blockZoom)),
        );
        for (const chip of chips) {
          const side = split.get(chip)!;
          const near = chips.filter((other) => within(chip, other));
          if (side !== 'buffer')
            assert.ok(
              near.every((other) => [side, 'buffer'].includes(split.get(other)!)),
              chip,
            );
          else
            assert.ok(
              near.some((other) => blockOf(other, blockZoom) !== blockOf(chip, blockZoom)),
              chip,
            );
          if (testBlocks.has(blockOf(chip, blockZoom))) assert.equal(side, 'test');
        }
        if (buffer === 0) assert.equal(shareOf(split, 'buffer'), 0);
      });

      it('comes near the shares asked for, the buffer counted with its block', () => {
        const blocks = new Map<string, Split>();
        for (const [chip, side] of split) if (side !== 'buffer') blocks.set(blockOf(chip, blockZoom), side);
        const share = (side: Split): number => [...blocks.values()].filter((other) => other === side).length / blocks.size; // prettier-ignore
        assert.ok(Math.abs(share('validation') - validation) < 0.1, `${share('validation')}`);
        assert.ok(Math.abs(share('test') - test) < 0.1, `${share('test')}`);
      });
    });
  }

  it('gives the same again for the same seed, in whatever order the chips come', () => {
    const first = splitByPlace(ground, { seed: 7 });
    const reversed = new Map([...ground].toReversed());
    assert.deepEqual(new Map(splitByPlace(reversed, { seed: 7 })), first);
  });

  it('gives other sides for another seed', () => {
    assert.notDeepEqual(splitByPlace(ground, { seed: 1 }), splitByPlace(ground, { seed: 2 }));
  });

  it('spreads a rare label that lies in few blocks over all three sides', () => {
    const rare = new Map<string, ChipLabels>(
      [...ground].map(([chip]) => {
        const { row, column } = parseChip(chip);
        const corner = row % 16 === 4 && column === row; // the middle of three blocks on the diagonal
        return [chip, { labels: { rare: corner ? 1 : 0 }, weight: 1 }];
      }),
    );
    for (const seed of [1, 2, 3]) {
      const split = splitByPlace(rare, { seed });
      const sides = new Set([...split].filter(([chip]) => rare.get(chip)!.labels['rare'] === 1).map(([, side]) => side)); // prettier-ignore
      assert.deepEqual([...sides].toSorted(), ['test', 'train', 'validation']);
    }
  });

  it('leaves at least one block to each side, however the shares are chosen', () => {
    const three = new Map([...ground].filter(([chip]) => parseChip(chip).row < 8 && parseChip(chip).column < 24));
    for (const [validation, test] of [
      [0.01, 0.98],
      [0.98, 0.01],
      [0.01, 0.01],
      [0.49, 0.5],
    ])
      // prettier-ignore
      assert.deepEqual(
        new Set(splitByPlace(three, { validation, test, buffer: 0 }).values()),
        new Set(['train', 'validation', 'test']),
      );
  });

  it('keeps the ring across the edge between two cells too', () => {
    const east = parseCell('Z33-031133012212'); // shares its western edge with the cell's eastern one
    assert.equal(east.cellBounds[0], cell.cellBounds[2]);
    const strip = new Map(
      [56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71].flatMap((column) =>
        Array.from({ length: 24 }, (_, row): [string, ChipLabels] => [
          column < 64 ? chipIdAt(cell, row, column) : chipIdAt(east, row, column - 64),
          { labels: { any: 1 }, weight: 1 },
        ]),
      ),
    );
    for (const seed of [1, 2, 3, 4]) {
      const split = splitByPlace(strip, { seed });
      for (let row = 0; row < 24; row++) {
        const sides = [split.get(chipIdAt(cell, row, 63))!, split.get(chipIdAt(east, row, 0))!];
        assert.ok(sides[0] === sides[1] || sides.includes('buffer'), `row ${row}: ${sides.join()}`);
      }
    }
  });

  it('refuses ground of fewer than three blocks', () => {
    const two = new Map([...ground].filter(([chip]) => parseChip(chip).row < 8 && parseChip(chip).column < 16));
    assert.throws(
      () => splitByPlace(two),
      /RangeError: splitByPlace found 2 blocks of zoom 15 among 128 chips: three are needed; take a higher blockZoom/,
    );
    assert.throws(() => splitByPlace(new Map()), /found 0 blocks/);
  });

  it('refuses blocks larger than a cell or smaller than a chip', () => {
    for (const blockZoom of [11, 19, 14.5])
      assert.throws(() => splitByPlace(ground, { blockZoom }), new RegExp(`RangeError: .*12 to 18, got ${blockZoom}`));
  });

  it('refuses shares that leave nothing to one side', () => {
    for (const [validation, test] of [
      [0, 0.2],
      [0.2, 0],
      [0.5, 0.5],
      [Number.NaN, 0.2],
    ])
      // prettier-ignore
      assert.throws(
        () => splitByPlace(ground, { validation, test }),
        new RegExp(`RangeError: .*got validation ${validation}, test ${test}`),
      );
  });

  it('refuses a buffer that leaves nothing to learn from', () => {
    assert.throws(() => splitByPlace(labelledGround(24, 'buffer'), { buffer: 24 }), /^RangeError: splitByPlace leaves no chip to train with a buffer of 24/); // prettier-ignore
  });

  it('refuses a buffer that is no number of rings', () => {
    for (const buffer of [-1, 0.5]) assert.throws(() => splitByPlace(ground, { buffer }), /RangeError: .*whole rings/);
  });
});
