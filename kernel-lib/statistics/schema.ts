import { z } from 'zod';
import { readJson, writeWhole } from '../ard/index.ts';
import type { AtlasRow } from './atlas.ts';

/** When a chip has a label: when so much of its tag lies in it. */
export interface LabelRule {
  /** What the label is called; the tag itself unless several are put together. */
  label: string;
  /** Tags that give it, `key=value`; one is enough. */
  tags: string[];
  /** What is measured: share of the chip (0–1), metres inside, points inside, or points inside and within a buffer (`near` of `chipTags`). */
  measure: 'area' | 'length' | 'points' | 'near';
  /** From here on the chip has the label. Above 0 but below this it is unknown. */
  atLeast: number;
}

/** What is to be learnt: a readable file beside the datasets. */
export interface LabelSchema {
  version: 1;
  labels: LabelRule[];
}

/** What {@link proposeSchema} needs of an atlas's row. */
export type Measured = Pick<AtlasRow, 'tag' | 'hectares' | 'kilometres'>;

/** Thresholds of {@link proposeSchema}. */
export interface SchemaOptions {
  /** Share of the chip that an area must cover. Default 0.05. */
  area?: number;
  /** Metres of a line. Default 20. */
  length?: number;
  /** Points. Default 1. */
  points?: number;
}

/**
 * One label for each tag that was kept, measured as {@link measureOf} says: areas by share, lines by metres, points by number.
 *
 * @param atlas the rows to learn
 * @throws {RangeError} when there is none
 */
export function proposeSchema(
  atlas: readonly Measured[],
  { area = 0.05, length = 20, points = 1 }: SchemaOptions = {},
): LabelSchema {
  if (atlas.length === 0) throw new RangeError('proposeSchema requires at least one tag, got none: loosen the filters');
  const labels = atlas.map((row): LabelRule => {
    const measure = measureOf(row);
    return { label: row.tag, tags: [row.tag], measure, atLeast: { area, length, points }[measure] };
  });
  return { version: 1, labels };
}

/** What a tag is measured by: area where it has any, else length, else points. */
export function measureOf({ hectares, kilometres }: Omit<Measured, 'tag'>): 'area' | 'length' | 'points' {
  if (hectares > 0) return 'area';
  return kilometres > 0 ? 'length' : 'points';
}

const schema: z.ZodType<LabelSchema> = z.strictObject({
  version: z.literal(1),
  labels: z
    .array(
      z.strictObject({
        label: z.string().min(1),
        tags: z.array(z.string().regex(/^[^=]+=.+/)).min(1),
        measure: z.enum(['area', 'length', 'points', 'near']),
        atLeast: z.number().positive(),
      }),
    )
    .min(1)
    .refine((labels) => new Set(labels.map(({ label }) => label)).size === labels.length, 'a label is there twice'),
});

/** Writes a schema as readable JSON. */
export async function writeSchema(path: string, labels: LabelSchema): Promise<void> {
  await writeWhole(path, `${JSON.stringify(labels, null, 2)}\n`);
}

/** Reads a schema. @throws {Error} naming the file and the entry that is wrong */
export async function readSchema(path: string): Promise<LabelSchema> {
  const json = await readJson(path).catch((cause: unknown) => {
    const found = (cause as Error).message.replace(/: fetch it again$/, '');
    throw new Error(`${path} is no label schema: ${found}; run 04-statistics, which writes one`, { cause });
  });
  const { success, data, error } = schema.safeParse(json);
  if (success) return data;
  const issue = error.issues.find(({ code }) => code === 'unrecognized_keys') ?? error.issues[0]; // a key misspelt is lacking as well
  throw new Error(
    `${path} is no label schema at ${issue.path.join('.') || 'the top'}: ${issue.message}; mend it, or run 04-statistics again`,
  );
}
