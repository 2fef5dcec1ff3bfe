import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type Cell, CHIPS_PER_SIDE, cellOf, chipIds } from 'imagesim/ard';
import type { Chip, CellRecord, TileRecord } from 'imagesim/chips';
import { chipTable } from '../../kernel-lib/dist/chips/table.js';
import { emptyFolder } from '../delivery.ts';

const CATIDS = ['1030010000000001', '10400100BC69F3F8'];
const CELLS = ['031133000000', '031133000001'].map((quadkey) => cellOf(33, quadkey));

/** Of every second chip all pixels are real, of every third one a quarter. */
function recordOf(catid: string, metadata: TileRecord['metadata'] = null): TileRecord {
  const valid = Buffer.alloc(CHIPS_PER_SIDE ** 2 / 8, 0b10101010).toString('base64');
  const partial = Object.fromEntries(chipIds(CELLS[0]).flatMap((_, at) => (at % 3 === 0 && at % 2 === 1 ? [[at, 0.25]] : []))); // prettier-ignore
  return { catid, date: '2022-06-14', file: { name: '', bytes: 0, modified: '' }, from: '', valid, partial, metadata };
}

const realAt = (at: number): number => (at % 2 === 0 ? 1 : at % 3 === 0 ? 0.25 : 0); // oxlint-disable-line no-nested-ternary

describe('the table of a zone’s chips', () => {
  let chipDir: string;
  /** Two acquisitions of a day, 16,384 chips. */
  const chipsOf = (cell: Cell): Chip[] =>
    chipIds(cell).toSorted().flatMap((id) => CATIDS.map((catid) => ({ id, catid, cell: cell.id, date: '2022-06-14', path: join(chipDir, cell.quadkey, '2022-06-14', `${id}_${catid}.jpg`) }))); // prettier-ignore
  async function* listed(cells: readonly Cell[]): AsyncGenerator<Chip[]> {
    for (const cell of cells) yield chipsOf(cell);
  }
  /** What DuckDB finds in it. */
  const ask = async (table: Buffer, sql: string): Promise<object[]> => {
    const path = join(chipDir, 'index.parquet');
    await writeFile(path, table);
    const connection = await (await DuckDBInstance.create()).connect();
    return (await connection.runAndReadAll(sql.replaceAll('TABLE', `'${path}'`))).getRowObjectsJson();
  };
  beforeEach(async () => {
    chipDir = join(await emptyFolder(), 'chips/33');
    await mkdir(chipDir, { recursive: true });
  });

  it('says of each chip what DuckDB reads of it, over several groups of rows', async () => {
    const metadata = { offNadir: 12.5, gsd: 0.46, platform: 'WV02' };
    const records: CellRecord[] = CELLS.map(({ id }) => ({ cell: id, tiles: [recordOf(CATIDS[0], metadata), recordOf(CATIDS[1])] })); // prettier-ignore
    const table = await chipTable(chipDir, records, () => listed(CELLS));
    const rows = await ask(
      table,
      'select id, catid, date, cell, file, real, cloud_percent, off_nadir, platform from TABLE',
    );
    const places = new Map(CELLS.flatMap((cell) => chipIds(cell).map((id, at) => [id, at] as const)));
    const expected = CELLS.flatMap(chipsOf).map(({ id, catid, date, cell, path }) => ({
      id, catid, date, cell, file: path.slice(chipDir.length + 1), real: realAt(places.get(id)!), cloud_percent: null,
      off_nadir: catid === CATIDS[0] ? 12.5 : null, platform: catid === CATIDS[0] ? 'WV02' : null,
    })); // prettier-ignore
    assert.deepEqual(rows, expected);
    const [{ groups }] = (await ask(table, 'select count(distinct row_group_id)::int as groups from parquet_metadata(TABLE)')) as { groups: number }[]; // prettier-ignore
    assert.ok(groups > 1, `${groups} group`);
  });

  it('says of a group of rows between which values it lies, and how many it has not', async () => {
    const records: CellRecord[] = CELLS.map(({ id }) => ({ cell: id, tiles: [recordOf(CATIDS[0], { gsd: 0.46 }), recordOf(CATIDS[1], { gsd: 0.31 })] })); // prettier-ignore
    const table = await chipTable(chipDir, records, () => listed(CELLS));
    const said = await ask(table, "select distinct path_in_schema as name, stats_min_value as least, stats_max_value as most, stats_null_count::int as missing from parquet_metadata(TABLE) where row_group_id = 0 and path_in_schema in ('cell', 'gsd', 'id', 'platform', 'real') order by name"); // prettier-ignore
    assert.deepEqual(said, [
      { name: 'cell', least: CELLS[0].id, most: CELLS[0].id, missing: 0 },
      { name: 'gsd', least: '0.31', most: '0.46', missing: 0 },
      { name: 'id', least: CELLS[0].id, most: CELLS[1].id, missing: 0 }, // cut to 16 bytes, the upper one raised
      { name: 'platform', least: null, most: null, missing: 2 * CHIPS_PER_SIDE ** 2 },
      { name: 'real', least: '0.0', most: '1.0', missing: 0 },
    ]);
    assert.deepEqual(await ask(table, `select count(*)::int as chips from TABLE where cell = '${CELLS[1].id}' and gsd > 0.4`), [{ chips: CHIPS_PER_SIDE ** 2 }]); // prettier-ignore
  });

  it('takes what a record says to be null for unknown, and tells no bounds of texts that Parquet orders otherwise', async () => {
    const metadata = { gsd: null, platform: 'WV02\u{1f6f0}' } as unknown as TileRecord['metadata'];
    const records: CellRecord[] = CELLS.map(({ id }) => ({ cell: id, tiles: [recordOf(CATIDS[0], metadata), recordOf(CATIDS[1])] })); // prettier-ignore
    const table = await chipTable(chipDir, records, () => listed(CELLS));
    assert.deepEqual(await ask(table, 'select distinct gsd, platform from TABLE order by platform'), [{ gsd: null, platform: 'WV02\u{1f6f0}' }, { gsd: null, platform: null }]); // prettier-ignore
    const said = await ask(table, "select distinct stats_min_value as least, stats_null_count::int as missing from parquet_metadata(TABLE) where path_in_schema = 'platform'"); // prettier-ignore
    assert.deepEqual(said, [{ least: null, missing: 4096 }]);
  });

  it('keeps of acquisitions without a record what the table said, and asks it of none that has one', async () => {
    const both: CellRecord[] = CELLS.map(({ id }) => ({ cell: id, tiles: CATIDS.map((catid) => recordOf(catid, { gsd: 0.46 })) })); // prettier-ignore
    const before = await chipTable(chipDir, both, () => listed(CELLS));
    await writeFile(join(chipDir, 'index.parquet'), before);
    assert.deepEqual(await chipTable(chipDir, both.slice(0, 1), () => listed(CELLS)), before);
    await writeFile(join(chipDir, 'index.parquet'), 'damaged');
    assert.deepEqual(await chipTable(chipDir, both, () => listed(CELLS)), before);
    await assert.rejects(chipTable(chipDir, both.slice(0, 1), () => listed(CELLS)), /index\.parquet is damaged .*: delete it, and chip again/); // prettier-ignore
  });
});
