import { z } from 'zod';
import type { Licence } from '../datasets/index.ts';
import type { Network } from './network.ts';

/** What a network does not know of itself. */
export interface ModelFacts {
  name: string;
  version: string;
  /** The dataset version that it was trained on. */
  datasetVersion: string;
  /** The backend that it was trained on. */
  backend: string;
  /** Figures by their name: `validation mAP`. One that is NaN, undefined on so little ground, is left out of the card. */
  metrics: Record<string, number>;
  /** Of the data that it was trained on, and with it of the model. */
  licences: readonly Licence[];
}

/** What `card.json` says of a model. */
export interface ModelCard extends ModelFacts {
  /** In words, from the image to the embedding and the heads. */
  architecture: string;
  /** Rows and columns of its input, pixels. */
  inputSize: number;
  /** In the order of the probabilities. */
  classes: readonly string[];
  embeddingWidth: number;
  /** Filters of each convolution. */
  widths: readonly number[];
  /** What its first weights were drawn from. */
  seed: number | string;
  /** Number of trained weights. */
  parameters: number;
  /** Size and digest of `model.json` and `weights.bin`. */
  files: Record<string, { bytes: number; sha256: string }>;
}

const count = z.number().int().positive();
const file = z.object({ bytes: count, sha256: z.string().length(64) });
const schema = z.object({
  name: z.string(),
  version: z.string(),
  datasetVersion: z.string(),
  backend: z.string(),
  metrics: z.record(z.string(), z.number()),
  licences: z.array(z.object({ source: z.string(), licence: z.string(), attribution: z.string() })),
  architecture: z.string(),
  inputSize: count,
  classes: z.array(z.string()).min(1),
  embeddingWidth: count,
  widths: z.array(count).min(1),
  seed: z.union([z.number(), z.string()]),
  parameters: count,
  files: z.object({ 'model.json': file, 'weights.bin': file }),
});

/** @throws {Error} naming the file and the first field that is missing or wrong */
export function parseCard(path: string, json: unknown): ModelCard {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [{ path: field, message }] = result.error.issues;
  throw new Error(`${path}: ${field.join('.') || 'the file'}: ${message}; save the model again, or correct the card`);
}

/** A network in words. */
export function describeArchitecture({ inputSize, widths, embeddingWidth, classes }: Network): string {
  const body = `${widths.length} strided 3 × 3 convolutions (${widths.join(', ')}), each with batch normalisation and ReLU`;
  return `${inputSize} × ${inputSize} RGB; ${body}; mean over the image; dense ${embeddingWidth}, unit length; ${classes.length} sigmoid heads`;
}
