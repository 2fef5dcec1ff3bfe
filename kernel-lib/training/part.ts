/** Embeddings on disk: a Parquet file a cell, with what made them. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FileMetaData,
  asyncBufferFromFile,
  parquetMetadata,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { z } from 'zod';
import { type SourceFile, SourceError, dataRoot, jsonOf, paddedZone, writeWhole } from '../ard/index.ts';
import type { Licence } from '../datasets/index.ts';
import type { Outbox } from '../infra/index.ts';
import { type CodeKind, type Codes, codeBytes, codesFrom, packCodes, unpackCodes } from './codes.ts';
import type { ChipFault, ChipName } from './zonesource.ts'; // prettier-ignore

/** What a part says of itself, as JSON under the key `imagesim` of its metadata. */
export interface PartFacts {
  format: 1;
  /** Name and version of the model. */
  model: string;
  version: string;
  /** SHA-256 of its `encoder.onnx`. */
  encoder: string;
  /** What ran it: `onnxruntime`, or a training backend. */
  runtime: string;
  code: CodeKind;
  /** Numbers of an embedding. */
  width: number;
  /** What bits were centred by; zeros where it is not there. */
  mean?: number[] | undefined;
  /** Of the chips: where it is the same, so are they. */
  chips: string;
  /** SHA-256 of the rows' names and their vectors. */
  sha256: string;
  /** Chips that are not among the rows, because they could not be read. */
  faults: ChipFault[];
  /** Of the model, and with it of what it makes. */
  licences: readonly Licence[];
}

/** The embeddings of a part. */
export interface Embeddings extends PartFacts {
  path: string;
  /** Chips, in the order of the vectors. */
  rows: ChipName[];
  /** `[n, width]`, each of unit length; of `int8` and `bit` what the code has kept. */
  values: Float32Array;
  /** As they lie in the file. */
  codes: Codes;
}

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const schema: z.ZodType<PartFacts> = z.object({
  format: z.literal(1),
  model: z.string(),
  version: z.string(),
  encoder: digest,
  runtime: z.string(),
  code: z.enum(['float32', 'int8', 'bit']),
  width: z.number().int().positive(),
  mean: z.array(z.number()).optional(),
  chips: z.string(),
  sha256: digest,
  faults: z.array(z.object({ id: z.string().optional(), catid: z.string(), date: z.string(), why: z.string() })),
  licences: z.array(z.object({ source: z.string(), licence: z.string(), attribution: z.string() })),
});

const KEY = 'imagesim';
/** Of a part's end: what it says of itself lies there, before the last eight bytes. */
const END_BYTES = 1 << 15;
const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' } as const;
const columns = { id: text, catid: text, date: text };
/** Of float32 a list of numbers; of codes the bytes of `codeBytes`. */
const vectorSchema = {
  numbers: [
    { name: 'vector', converted_type: 'LIST', repetition_type: 'REQUIRED', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
  ],
  bytes: [{ name: 'vector', type: 'BYTE_ARRAY', repetition_type: 'REQUIRED' }],
} as const;

/** Folder of a zone's parts: `embeddings/parts/<model>-<version>/<zone>`. */
export function partFolder(dataPath: string, { model, version }: Pick<PartFacts, 'model' | 'version'>, zone: number): string {
  return join(dataRoot(dataPath), 'embeddings', 'parts', `${model}-${version}`, paddedZone(zone));
} // prettier-ignore

/** Quadkeys of the parts in a folder, in order. */
export async function partsIn(folder: string): Promise<string[]> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  return names.filter((name) => /^[0-3]{12}\.parquet$/.test(name)).map((name) => name.slice(0, 12)).sort(); // prettier-ignore
}

/**
 * Writes a part whole or not at all.
 *
 * @param values `[n, width]`, each of unit length, in the order of `rows`
 */
export async function writePart(
  path: string,
  rows: readonly ChipName[],
  values: Float32Array,
  { code, width, mean, ...facts }: Omit<PartFacts, 'format' | 'sha256'>,
): Promise<void> {
  const codes = packCodes({ values, width }, code, { mean: mean && Float32Array.from(mean) });
  const bytes = codeBytes(codes);
  const said: PartFacts = { format: 1, ...facts, code, width, ...(mean && { mean }), sha256: hashOf(rows, bytes) };
  const each = bytes.length / Math.max(1, rows.length);
  const vectorOf = (row: number): number[] | Uint8Array =>
    code === 'float32' ? [...values.subarray(row * width, (row + 1) * width)] : bytes.subarray(row * each, (row + 1) * each); // prettier-ignore
  const content = parquetWriteBuffer({
    schema: [
      { name: 'root', num_children: 4 },
      ...Object.entries(columns).map(([name, type]) => ({ name, ...type })),
      ...(code === 'float32' ? vectorSchema.numbers : vectorSchema.bytes),
    ],
    columnData: [
      ...(['id', 'catid', 'date'] as const).map((name) => ({ name, data: rows.map((row) => row[name]) })),
      { name: 'vector', data: rows.map((_, row) => vectorOf(row)), encoding: 'PLAIN', statistics: false, codec: 'UNCOMPRESSED' },
    ],
    rowGroupSize: 122_880, // as DuckDB's own
    kvMetadata: [{ key: KEY, value: JSON.stringify(said) }],
  }); // prettier-ignore
  await writeWhole(path, new Uint8Array(content));
}

/**
 * What a part says of itself, without its vectors.
 *
 * @throws {Error} naming the file, when it is missing, damaged, or holds no embeddings
 */
export async function readPartFacts(path: string): Promise<PartFacts> {
  const metadata = await asyncBufferFromFile(path).then(parquetMetadataAsync).catch(damaged(path));
  return factsOf(metadata, path);
}

/** {@link readPartFacts} of a part that a bucket holds, of which no more is read than its end. @throws {SourceError} when it cannot be read */
export async function heldPartFacts(outbox: Outbox, file: SourceFile): Promise<PartFacts> {
  const address = `${outbox.address}/${file.key}`;
  const metadata = await parquetMetadataAsync(outbox.buffer(file), { initialFetchSize: END_BYTES }).catch((error: unknown) => {
    if (error instanceof SourceError) throw error;
    return damaged(address)(error);
  });
  return factsOf(metadata, address);
} // prettier-ignore

/**
 * Reads the embeddings of a cell.
 *
 * @param path as `embeddingParts` gives it
 * @param model name@version that they are to be of. Default: any
 * @throws {Error} naming the file, when it is missing, damaged, or of another model
 */
export async function readEmbeddings(path: string, { model }: { model?: string | undefined } = {}): Promise<Embeddings> {
  const file = await readFile(path).then((bytes) => Uint8Array.from(bytes).buffer).catch(damaged(path));
  const metadata = await attempt(() => parquetMetadata(file)).catch(damaged(path));
  const facts = factsOf(metadata, path);
  const own = `${facts.model}@${facts.version}`;
  if (model !== undefined && model !== own) throw new Error(`${path} is of the model ${own}, not of ${model}: encode its cell with that one`);
  const records = await parquetReadObjects({ file, metadata, utf8: false }).catch(damaged(path));
  const bytes = await attempt(() => bytesOf(records.map(({ vector }) => vector as number[] | Uint8Array), facts)).catch(damaged(path));
  const rows: ChipName[] = records.map(({ id, catid, date }) => ({ id, catid, date }));
  if (hashOf(rows, bytes) !== facts.sha256) throw new Error(`${path} is damaged (its rows are not those that were written): encode its cell again`);
  const codes = codesFrom(bytes, facts.code, facts.width, { mean: facts.mean && Float32Array.from(facts.mean) });
  return { ...facts, path, rows, values: unpackCodes(codes).values, codes };
} // prettier-ignore

/** The parts of a model's embeddings of a zone, in order of cell. @throws {Error} when there are none */
export async function embeddingParts(dataPath: string, model: Pick<PartFacts, 'model' | 'version'>, zone: number): Promise<string[]> {
  const folder = partFolder(dataPath, model, zone);
  const parts = (await partsIn(folder)).map((quadkey) => join(folder, `${quadkey}.parquet`));
  if (parts.length > 0) return parts;
  throw new Error(`no embeddings in ${folder}: run imagesim encode --model ${model.model}@${model.version} --zone ${zone}`);
} // prettier-ignore

async function attempt<Result>(work: () => Result): Promise<Result> {
  return work();
}

function damaged(path: string): (error: unknown) => never {
  return (error) => {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== undefined) throw new Error(`cannot read ${path}: ${code}; encode its cell again`, { cause: error });
    throw new Error(`${path} is damaged (${message.split('\n')[0]}): encode its cell again`, { cause: error });
  };
}

function factsOf({ key_value_metadata: pairs = [] }: FileMetaData, path: string): PartFacts {
  const value = pairs.find(({ key }) => key === KEY)?.value;
  if (value === undefined) throw new Error(`${path} holds no embeddings: nothing in it says of which model; name another file`); // prettier-ignore
  const { success, data, error } = schema.safeParse(jsonOf(value));
  if (success) return data;
  const [issue] = error.issues;
  throw new Error(`${path} is damaged (${issue.path.join('.') || KEY}: ${issue.message}): encode its cell again`);
}

/** The vectors of all rows, one after another. @throws {RangeError} naming the row that has not the width */
function bytesOf(vectors: readonly (number[] | Uint8Array)[], { code, width }: PartFacts): Uint8Array {
  const each = { float32: 4 * width, int8: width, bit: Math.ceil(width / 8) }[code];
  const bytes = new Uint8Array(vectors.length * each);
  for (const [row, vector] of vectors.entries()) {
    const own = vector instanceof Uint8Array ? vector : new Uint8Array(Float32Array.from(vector).buffer);
    if (own.length !== each) throw new RangeError(`row ${row} has ${own.length} bytes, ${code} of ${width} takes ${each}`);
    bytes.set(own, row * each);
  }
  return bytes;
} // prettier-ignore

function hashOf(rows: readonly ChipName[], vectors: Uint8Array): string {
  const names = rows.map(({ id, catid, date }) => `${date} ${catid} ${id}\n`).join('');
  return createHash('sha256').update(names).update(vectors).digest('hex');
}
