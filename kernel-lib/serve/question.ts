import { z } from 'zod';
import type { Bounds } from '../ard/index.ts';
import type { FeedbackMethod } from '../similarity/index.ts';

/** A chip in one acquisition, or in whichever. */
export interface RowName {
  chip: string;
  date?: string | undefined;
  catid?: string | undefined;
}

/** What is asked over HTTP. */
export interface Question {
  /** One of these, or `like` alone. */
  chip?: RowName | undefined;
  at?: [lon: number, lat: number] | undefined;
  tag?: string | undefined;
  /** Chips that answers are to be like, and such that they are not to be like: of an answer accepted and rejected. */
  like: RowName[];
  unlike: RowName[];
  /** How answers follow from `like` and `unlike`. Default: rocchio. */
  method?: FeedbackMethod | undefined;
  /** Of a chip or place without a date: its newest acquisition on this day or before, where it has one. */
  asOf?: string | undefined;
  /** Answers, up to {@link MOST_ANSWERS}. Default: 12. */
  k: number;
  bbox?: Bounds | undefined;
  since?: string | undefined;
  until?: string | undefined;
  tags?: string[] | undefined;
  maxCloud?: number | undefined;
  maxOffNadir?: number | undefined;
  awayMetres?: number | undefined;
  apartMetres?: number | undefined;
  /** Measures the recall of this very question. */
  verify: boolean;
}

export const MOST_ANSWERS = 200;
const MOST_EXAMPLES = 200;

const ROW = /^(Z\d{2}-[0-3]{18})(?:@(\d{4}-\d\d-\d\d)(?:@([\w-]{1,40}))?)?$/;
const row = z
  .string()
  .regex(ROW, 'expected a chip, as Z33-031133012203000000, @ and a day, @ and an acquisition where one is meant')
  .transform((text): RowName => {
    const [, chip, date, catid] = ROW.exec(text)!;
    return { chip, date, catid };
  });

/** Both what a body has and what a query has: lists with commas between, numbers as text. */
const listed = <Each extends z.ZodType>(each: Each, most: number): z.ZodType<z.output<Each>[]> =>
  z.preprocess((value) => (typeof value === 'string' ? value.split(',').filter(Boolean) : value), z.array(each).max(most)); // prettier-ignore
const number = (least: number, most: number): z.ZodType<number> =>
  z.preprocess((value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value), z.number().min(least).max(most)); // prettier-ignore
const day = z.iso.date('expected a day, as 2023-05-17');

/** `west,south,east,north`, degrees. */
export const boxSchema: z.ZodType<Bounds> = z
  .preprocess((value) => (typeof value === 'string' ? value.split(',').map(Number) : value), z.tuple([number(-180, 180), number(-90, 90), number(-180, 180), number(-90, 90)]))
  .refine(([west, south, east, north]) => west < east && south < north, 'expected west,south,east,north in degrees, west < east, south < north'); // prettier-ignore

const schema = z
  .strictObject({
    chip: row.optional(),
    at: z.preprocess((value) => (typeof value === 'string' ? value.split(',').map(Number) : value), z.tuple([number(-180, 180), number(-90, 90)])).optional(),
    tag: z.string().min(1).max(200).optional(),
    like: listed(row, MOST_EXAMPLES).default([]),
    unlike: listed(row, MOST_EXAMPLES).default([]),
    method: z.enum(['rocchio', 'probe', 'uncertain']).optional(),
    asOf: day.optional(),
    k: number(1, MOST_ANSWERS).refine(Number.isInteger, 'expected a whole number').default(12),
    bbox: boxSchema.optional(),
    since: day.optional(),
    until: day.optional(),
    tags: listed(z.string().min(1).max(200), 20).optional(),
    maxCloud: number(0, 100).optional(),
    maxOffNadir: number(0, 90).optional(),
    awayMetres: number(0, 2e7).optional(),
    apartMetres: number(0, 2e7).optional(),
    verify: z.preprocess((value) => (value === 'true' || value === '' ? true : value === 'false' ? false : value), z.boolean()).default(false),
  })
  .refine(({ chip, at, tag }) => [chip, at, tag].filter((way) => way !== undefined).length <= 1, 'ask with one of chip, at and tag')
  .refine(({ chip, at, tag, like }) => [chip, at, tag].some((way) => way !== undefined) || like.length > 0, 'ask with chip, at, tag or like')
  .refine(({ since = '', until = '9999' }) => since <= until, 'since is later than until'); // prettier-ignore

/** Reads a question, of a body or a query. @throws {z.ZodError} saying what of it means nothing */
export function questionOf(value: unknown): Question {
  return schema.parse(value);
}
