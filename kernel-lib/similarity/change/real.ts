/** Which chips of a bucket's tiles are real, kept beside the parts: masks are read once, and by one worker. */
import { join } from 'node:path';
import { z } from 'zod';
import { type Tile, CHIPS_PER_SIDE, jsonOf, paddedZone, writeWhole } from '../../ard/index.ts';
import type { Outbox } from '../../infra/index.ts';

const CHIPS = CHIPS_PER_SIDE ** 2;
const schema = z.object({ format: z.literal(1), real: z.base64().length(Math.ceil(CHIPS / 8 / 3) * 4) });

/** The file of a tile below the folder of a bucket's keys. @param mark as `tileMark` has it */
function realPath(outbox: Outbox, { cell }: Tile, mark: string): string {
  return join(outbox.root, 'embeddings/change', paddedZone(cell.zone), cell.quadkey, `real-${mark}.json`);
}

/** Of each chip of a tile 1 where it is real, as it was kept; nothing where it was not, or is damaged. */
export async function keptReal(outbox: Outbox, tile: Tile, mark: string): Promise<Uint8Array | undefined> {
  const bytes = await outbox.read(outbox.keyOf(realPath(outbox, tile, mark)));
  if (!bytes) return undefined;
  const { data } = schema.safeParse(jsonOf(bytes)); // else it is read from the mask again
  const bits = data && Buffer.from(data.real, 'base64');
  return bits && Uint8Array.from({ length: CHIPS }, (_, chip) => (bits[chip >> 3] >> (chip & 7)) & 1);
}

/** Keeps it. @throws {Error} naming the object that could not be put */
export async function keepReal(outbox: Outbox, tile: Tile, mark: string, real: Uint8Array): Promise<void> {
  const bits = Buffer.alloc(CHIPS / 8);
  real.forEach((is, chip) => (bits[chip >> 3] |= is << (chip & 7)));
  const path = realPath(outbox, tile, mark);
  await writeWhole(path, Buffer.from(JSON.stringify({ format: 1, real: bits.toString('base64') })));
  await outbox.put({ files: [path] });
}
