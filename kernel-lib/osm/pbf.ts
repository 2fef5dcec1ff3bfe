import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type TransformCallback, pipeline } from 'node:stream';
import { inflateSync } from 'node:zlib';
import { OSMTransform, parse } from 'osm-pbf-parser-node';
import type { FileBlock, FileHeader, FileItem, Raw } from './planet.ts';

/** The first fields of the header as the package gives them. */
interface PbfHeader {
  bbox?: { left: number; right: number; top: number; bottom: number } | null;
  required_features?: string[];
  optional_features?: string[];
  osmosis_replication_timestamp?: number;
  osmosis_replication_sequence_number?: number;
}

const UNDERSTOOD = new Set(['OsmSchema-V0.6', 'DenseNodes']);
const NANO = 1e-9;

/** The package throws where a stream is to hand on. */
class Blobs extends OSMTransform {
  override _transform(chunk: Buffer, encoding: BufferEncoding, next: TransformCallback): void {
    try {
      // oxlint-disable-next-line no-underscore-dangle -- Node's name
      super._transform(chunk, encoding, next);
    } catch (error) {
      next(error as Error);
    }
  }

  override _flush(next: TransformCallback): void {
    try {
      // oxlint-disable-next-line no-underscore-dangle -- Node's name
      super._flush(next);
    } catch {
      next(new Error('it ends in the middle of a block'));
    }
  }
}

/** The header of a .osm.pbf, then its blocks, each read only when it is asked for its elements. */
export async function* pbfItems(path: string, onBytes: (bytes: number) => void): AsyncGenerator<FileItem> {
  await checkStart(path);
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  const blobs = new Blobs({ writeRaw: true });
  pipeline(file, blobs, () => undefined); // an error ends the loop below
  for await (const blob of blobs as AsyncIterable<Buffer | PbfHeader[]>) {
    onBytes(file.bytesRead);
    yield Array.isArray(blob) ? { header: headerOf(blob[0]) } : blockOf(blob);
  }
}

function blockOf(blob: Buffer): FileBlock {
  // the package takes here, other than its types say, the choice of tags itself
  return { read: (nodeTags) => parse(inflateSync(blob), { node: nodeTags } as object) as Raw[] };
}

/** A pbf begins with the length of a block named OSMHeader. */
async function checkStart(path: string): Promise<void> {
  const file = await open(path);
  try {
    const start = Buffer.alloc(32);
    await file.read(start, 0, 32, 0);
    if (start.readUInt32BE(0) > 65_536 || !start.includes('OSMHeader'))
      throw new TypeError('it does not begin as a .osm.pbf does');
  } finally {
    await file.close();
  }
}

function headerOf(header: PbfHeader): FileHeader {
  const strange = (header.required_features ?? []).filter((feature) => !UNDERSTOOD.has(feature));
  if (strange.length > 0) throw new TypeError(`it needs ${strange.join(', ')}, which is not understood`);
  const { bbox, osmosis_replication_timestamp: seconds, osmosis_replication_sequence_number: sequence } = header;
  return {
    bounds: bbox ? [[bbox.left * NANO, bbox.bottom * NANO, bbox.right * NANO, bbox.top * NANO]] : [],
    timestamp: seconds ? new Date(seconds * 1000).toISOString().replace('.000Z', 'Z') : '',
    sequence: sequence || undefined,
    placesOnWays: header.optional_features?.includes('LocationsOnWays') ?? false,
  };
}
