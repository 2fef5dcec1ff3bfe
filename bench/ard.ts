// The grid beside the same arithmetic in Python over PROJ.
import { cellAt, parseCell } from 'imagesim/ard';
import seedrandom from 'seedrandom';
import { type Bench, type Contest, openPeer, rateOf } from './measure.ts';

const COUNT = 20_000;

/** Ids of cells all over the world, 80° south to 80° north. */
function randomIds(): string[] {
  const random = seedrandom.alea('bench');
  return Array.from({ length: COUNT }, () => cellAt([360 * random() - 180, 160 * random() - 80]).id);
}

async function open(): Promise<Contest> {
  const ids = randomIds();
  const ours = async (): Promise<{ rate: number; found: string }> => {
    let lats = 0;
    const rate = await rateOf(COUNT, () => {
      for (const id of ids) lats += parseCell(id).geometry.coordinates[0][0][1];
    });
    return { rate, found: `north-west corners at ${(lats / COUNT).toFixed(6)}° in the mean` };
  };
  return { ours, peer: await openPeer('grid.py', { ids }, 'apt-get install python3-gdal') };
}

export const ard: Bench[] = [{ name: 'ard grid: ids → cells', unit: 'cells/s', open }];
