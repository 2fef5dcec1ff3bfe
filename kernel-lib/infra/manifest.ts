import { join } from 'node:path';
import { z } from 'zod';
import { readJson } from '../ard/index.ts';
import { projectRoot } from './settings.ts';

/** A file, or a prefix of files, that comes from outside. */
export interface OutsideFile {
  /** What people call it. */
  name: string;
  /** `s3://` or `https://`; a prefix ends in `/`. */
  source: string;
  /** Of one file; absent for a prefix, or where the publisher renews the file. */
  sha256?: string | undefined;
  bytes?: number | undefined;
  licence: string;
  attribution?: string | undefined;
  /** The notebook that uses it. */
  stage: string;
  remark?: string | undefined;
}

/** Every file that comes from outside: where it lies, what it may be used for, which stage uses it. */
export interface DataManifest {
  version: 1;
  files: OutsideFile[];
}

const schema: z.ZodType<DataManifest> = z.object({
  version: z.literal(1),
  files: z.array(
    z.strictObject({
      name: z.string().min(1),
      source: z.string().regex(/^(s3|https):\/\/\S+$/),
      sha256: z.optional(z.string().regex(/^[0-9a-f]{64}$/)),
      bytes: z.optional(z.number().int().positive()),
      licence: z.string().min(1),
      attribution: z.optional(z.string()),
      stage: z.enum(['01-infra', '02-osm', '03-chips', '04-statistics', '05-datasets', '06-training', '07-similarity']),
      remark: z.optional(z.string()),
    }),
  ),
});

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
