import assert from 'node:assert/strict';
import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cellOf } from 'imagesim/ard';
import { type NodataIndex, chipTiles, readNodataIndex } from 'imagesim/chips';
import { emptyFolder } from '../delivery.ts';
import { writeSmallTile } from './small.ts';

describe('the no-data index', () => {
  const [CELL, OTHER] = ['031133000000', '031133000001'];
  const [A, B, C] = ['1030010000000001', '1030010000000002', '1030010000000003'];
  let data: string;
  let path: string;
  const index = async (): Promise<string> => {
    await chipTiles({ dataPath: data, zone: 33, indexOnly: true });
    return readFile(path, 'utf8');
  };
  /** As JSON.stringify writes it, keys and acquisitions in order. */
  const textOf = (chips: NodataIndex['chips']): string => {
    const sorted = Object.keys(chips).toSorted().map((id) => [id, chips[id].toSorted()]); // prettier-ignore
    return `${JSON.stringify({ version: '0.2', chips: Object.fromEntries(sorted) })}\n`;
  };

  before(async () => {
    data = await emptyFolder();
    path = join(data, 'nodata-index.json');
    for (const [quadkey, date, catid] of [
      [CELL, '2023-05-17', B],
      [CELL, '2023-06-17', A],
      [OTHER, '2023-05-17', C],
    ])
      // prettier-ignore
      await writeSmallTile(join(data, 'ard/33', quadkey, date, `${catid}-visual.tif`), cellOf(33, quadkey));
  });

  it('is in order of chips and acquisitions, as JSON.stringify writes it', async () => {
    const text = await index();
    const { chips } = await readNodataIndex(path);
    assert.equal(text, textOf(chips));
    assert.equal(Object.keys(chips).length, 30);
    assert.deepEqual(new Set(Object.values(chips).map(String)), new Set([`${A},${B}`, C]));
  });

  it('keeps what it says of cells that have no record here, whoever wrote it, and forgets the rest', async () => {
    const own = JSON.parse(await index()) as NodataIndex;
    const far = { 'Z34-031133000000000001': ['Y', 'X'], 'Z32-031133000000000002': ['Ü "quoted"],'], 'Z32-031133000000000001': ['W'] };
    const stale = { [`Z33-${CELL}333333`]: ['gone'] };
    await writeFile(path, JSON.stringify({ chips: { ...far, ...stale }, version: '0.2' }, null, 1));
    const expected = textOf({ ...own.chips, ...far });
    assert.equal(await index(), expected);
    await writeFile(path, textOf({ ...own.chips, ...far, ...stale }));
    assert.equal(await index(), expected);
  }); // prettier-ignore

  it('is not written again where it is the same', async () => {
    await rm(path, { force: true });
    await index();
    await utimes(path, 1, 1);
    await index();
    assert.equal((await stat(path)).mtimeMs, 1000);
  });

  it('is named where it is damaged, and stays as it is', async () => {
    const text = await index();
    const damages = { 'cut short': text.slice(0, -40), 'a bracket lost': text.replace('"],"', '","'), 'another id': text.replace('"Z33-', '"Z3-') }; // prettier-ignore
    for (const [what, damaged] of Object.entries(damages)) {
      await writeFile(path, damaged);
      await assert.rejects(index(), /nodata-index\.json is (no no-data index: |damaged at ).*; delete it and chip again$/, what); // prettier-ignore
      assert.equal(await readFile(path, 'utf8'), damaged, what);
    }
    await rm(path);
    assert.equal(await index(), text);
  });
});
