import { join } from 'node:path';
import { z } from 'zod';
import { readJson } from '../ard/index.ts';
import { projectRoot } from './settings.ts';

/** What stands for a sha256 or a size that nobody states: the first download notes it in `data-record`. */
export const RECORDED = 'recorded at first download';

/** What is said of everything that comes from outside. */
interface Outside {
  /** Short, for the command line: `ard-33`. */
  name: string;
  /** What people call it. */
  title: string;
  /** SPDX identifier where there is one, else words. */
  licence: string;
  attribution?: string | undefined;
  /** The notebook that uses it. */
  stage: string;
  remark?: string | undefined;
}

/** A file, or all files below a prefix, with a place in the data folder. */
export interface OutsideFiles extends Outside {
  kind: 'file' | 'prefix';
  /** `s3://` or `https://`; a prefix is one of S3 and ends in `/`. */
  source: string;
  /** Region of the bucket. Default: that of the environment. */
  region?: string | undefined;
  /** Where it lies below the data folder. */
  path: string;
  /** Of a prefix: of its list of files, as `sha256sum` prints it in order of path. */
  sha256: string;
  bytes: number | typeof RECORDED;
}

/** What answers questions and is no file: it has neither place, sha256 nor size. */
export interface OutsideService extends Outside {
  kind: 'service';
  source: string;
  /** What asks it. */
  command: string;
}

export type OutsideAsset = OutsideFiles | OutsideService;

/** Everything that comes from outside: where it lies, what it may be used for, which stage uses it. */
export interface DataManifest {
  $schema?: './data-manifest.schema.json' | undefined;
  version: 1;
  files: OutsideAsset[];
}

/** A path below the data folder, never absolute, nor with `..`, and not among the records. */
const below: z.ZodString = z.string().regex(/^(?!data-record(\/|$))(?!.*(^|\/)\.{1,2}(\/|$))[^/\\]+(\/[^/\\]+)*$/);
export const sum: z.ZodString = z.string().regex(/^[0-9a-f]{64}$/);
export const words: z.ZodString = z.string().min(1);
const stages = ['01-infra', '02-osm', '03-chips', '04-statistics', '05-datasets', '06-training', '07-similarity'];

const about = {
  name: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/).describe('Short, for the command line: ard-33.'),
  title: words.describe('What people call it.'),
  licence: words.describe('SPDX identifier where there is one, else words.'),
  attribution: z.optional(words).describe('Whom to name wherever it is shown.'),
  stage: z.enum(stages).describe('The notebook that uses it.'),
  remark: z.optional(words),
}; // prettier-ignore

const stored = {
  ...about,
  region: z.optional(words).describe('Region of the bucket. Default: that of the environment.'),
  path: below.describe('Where it lies below the data folder; never outside of it.'),
  sha256: z
    .union([sum, z.literal(RECORDED)])
    .describe('Of a prefix: of its list of files, as sha256sum prints it in order of path.'),
  bytes: z.union([z.number().int().positive(), z.literal(RECORDED)]).describe('Of a prefix: of all its files.'),
};

const asset = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('file'),
    source: z.string().regex(/^(s3|https):\/\/[^\s/]+\/\S*[^\s/]$/).describe('s3://bucket/key or https://host/path.'),
    ...stored,
  }),
  z.strictObject({
    kind: z.literal('prefix'),
    source: z.string().regex(/^s3:\/\/[^\s/]+\/(\S+\/)?$/).describe('s3://bucket/prefix/'),
    ...stored,
  }),
  z
    .strictObject({
      kind: z.literal('service'),
      source: z.string().regex(/^https:\/\/\S+$/),
      ...about,
      command: words.describe('What asks it.'),
    })
    .describe('What answers questions and is no file: it has neither path, sha256 nor bytes.'),
]); // prettier-ignore

const schema: z.ZodType<DataManifest> = z
  .strictObject({
    $schema: z.optional(z.literal('./data-manifest.schema.json')),
    version: z.literal(1),
    files: z.array(asset.superRefine(keepsItsPlace)).superRefine(differ),
  })
  .meta({
    title: 'data-manifest.json',
    description:
      'Everything that imagesim takes from outside: source, sha256, bytes, licence, stage. Renew: imagesim data schema > data-manifest.schema.json',
  });

/** A prefix lies in the data folder under the names that it has in its bucket: that is how it is synced. */
function keepsItsPlace(entry: OutsideAsset, context: z.RefinementCtx): void {
  if (entry.kind === 'prefix' && !entry.source.endsWith(`/${entry.path}/`))
    context.addIssue({ code: 'custom', path: ['path'], message: `expected the end of ${entry.source}` });
}

/** Names are what the command line calls them by: no two alike. */
function differ(entries: OutsideAsset[], context: z.RefinementCtx): void {
  entries.forEach(({ name }, index) => {
    const first = entries.findIndex((entry) => entry.name === name);
    if (first < index)
      context.addIssue({ code: 'custom', path: [index, 'name'], message: `files.${first} has that name` });
  });
}

/**
 * Reads `data-manifest.json` at the top of the checkout.
 *
 * @throws {Error} naming the entry that is wrong
 */
export async function readManifest(path: string = join(projectRoot(), 'data-manifest.json')): Promise<DataManifest> {
  const { success, data, error } = schema.safeParse(await readJson(path));
  if (success) return data;
  const [issue] = error.issues;
  throw new Error(`${path} is wrong at ${issue.path.join('.')}: ${issue.message}; mend that entry`);
}

/** The manifest's JSON Schema, as `data-manifest.schema.json` publishes it. */
export function manifestSchema(): object {
  return z.toJSONSchema(schema, { target: 'draft-7' });
}
