/** What a version of a table says of itself: JSON in the metadata of its column `vector`, so that it is of one piece with the rows. */
import type { Table } from '@lancedb/lancedb';
import { z } from 'zod';
import { jsonOf } from '../../ard/index.ts';
import type { Licence } from '../../datasets/index.ts';

/** What LanceDB calls the index of the column `vector`. */
export const INDEX_NAME = 'vector_idx';

/** How the nearest rows of a big table are found, and how surely. */
export interface IndexFacts {
  /** LanceDB's kind of index. */
  kind: 'IVF_FLAT';
  /** Groups that the rows were put into, and how many of them a question looks into. */
  partitions: number;
  probes: number;
  /** Rows it was built of; later ones are searched beside it until they are many. */
  rows: number;
  buildSeconds: number;
  /** Share of the exact answers that were found, over `questions` rows of the table, each asked once, its own square left out; and the median time. */
  recall: { k: number; recall: number; milliseconds: number }[];
  questions: number;
}

/** What a version of a table says of itself. */
export interface StoreFacts {
  format: 1;
  /** `name@version` of the model of all its vectors. */
  model: string;
  /** SHA-256 of the model's `encoder.onnx`; not there where rows came from memory. */
  encoder?: string | undefined;
  /** Numbers of a vector. */
  width: number;
  rows: number;
  /** When it was made, ISO 8601. */
  made: string;
  /** What was done, in a few words. */
  change: string;
  /** By cell id, what its rows follow from: where it is the same, so are they. */
  cells: Record<string, string>;
  licences: readonly Licence[];
  /** None where all answers are exact. */
  index?: IndexFacts | undefined;
}

const count = z.number().int().min(0);
const schema: z.ZodType<StoreFacts> = z.object({
  format: z.literal(1),
  model: z.string(),
  encoder: z.string().optional(),
  width: count.min(1),
  rows: count,
  made: z.string(),
  change: z.string(),
  cells: z.record(z.string(), z.string()),
  licences: z.array(z.object({ source: z.string(), licence: z.string(), attribution: z.string() })),
  index: z
    .object({
      kind: z.literal('IVF_FLAT'),
      partitions: count,
      probes: count,
      rows: count,
      buildSeconds: z.number(),
      recall: z.array(z.object({ k: count, recall: z.number(), milliseconds: z.number() })),
      questions: count,
    })
    .optional(),
});

const KEY = 'imagesim';

/** The facts of the version that is checked out. @throws {Error} naming the table, when it has none or is of another version of imagesim */
export async function readFacts(table: Table): Promise<StoreFacts> {
  const field = (await table.schema()).fields.find(({ name }) => name === 'vector');
  const text = field?.metadata.get(KEY);
  const { success, data, error } = schema.safeParse(text && jsonOf(text));
  if (success) return data;
  const at = error.issues[0].path.join('.') || 'the top';
  throw new Error(`table ${table.name} does not say what it is of (at ${at}): deploy it again`);
}

/** Writes the facts as a version of their own, the last of a deploy. */
export async function writeFacts(table: Table, facts: StoreFacts): Promise<void> {
  await table.updateFieldMetadata([{ path: 'vector', metadata: { [KEY]: JSON.stringify(facts) } }]);
}
