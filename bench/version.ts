// node --import tsx version.ts <data folder> first|again <labels>: makes a version of the chips of zone 33 there, and says how fast.
//
// Rows are made while the chips are hashed, as `makeDataset` makes them. Chips and labels are there before the clock starts.
import { join } from 'node:path';
import { type Chip, readChips } from 'imagesim/chips';
import { type ChipLabels, type DatasetRow, hashChips, writeDataset } from 'imagesim/datasets';
import { rateOf } from './measure.ts';

const [folder, turn, labelCount] = process.argv.slice(2);
const LABELS = Array.from({ length: Number(labelCount) }, (_, k) => `label ${k}`);
const chipDir = join(folder, 'chips/33');
const chips = await readChips(chipDir);
const labelled = labelsOf([...new Set(chips.map(({ id }) => id))]);
const rules = LABELS.map((label) => ({ label, tags: [`tag=${label}`], measure: 'area' as const, atLeast: 0.05 }));
const facts = { name: 'bench', zone: 33, schema: { version: 1 as const, labels: rules }, split: { seed: 1 }, licences: [] }; // prettier-ignore
let read = 0;
const rate = await rateOf(chips.length, async () => {
  const hashing = hashChips(chipDir, chips, { again: turn === 'first' });
  const rows = chips.map((chip, k) => rowOf(chip, labelled.get(chip.id)!, k));
  await writeDataset(folder, facts, rows, hashing);
  ({ read } = await hashing);
});
process.stdout.write(JSON.stringify({ rate, read, count: chips.length }));

/** By square: both its dates have the same. */
function labelsOf(ids: readonly string[]): Map<string, ChipLabels> {
  const values = [0, 1, null] as const;
  return new Map(ids.map((id, k) => [id, { weight: k % 3 === 0 ? 0.5 : 1, labels: Object.fromEntries(LABELS.map((label, at) => [label, values[(k * 7 + at * 3 + (k >> 4)) % 3]])) }])); // prettier-ignore
}

function rowOf({ id, catid, date }: Chip, { labels, weight }: ChipLabels, k: number): DatasetRow {
  const split = (['train', 'validation', 'test', 'buffer'] as const)[(k >> 8) % 4];
  return {
    offNadir: 12.3,
    gsd: 0.46,
    gapDays: date < '2023' ? 352 : 11,
    id,
    catid,
    date,
    split,
    weight,
    labels,
    sha256: undefined,
  };
}
