import { z } from 'zod';
import type { Licence } from '../datasets/index.ts';
import type { Body } from './layers.ts';
import type { LossName } from './losses.ts';
import type { Network } from './network.ts';
import type { Scored } from './retrieval.ts';
import type { EpochLog } from './settings.ts';

/** What a network does not know of itself. */
export interface ModelFacts {
  name: string;
  version: string;
  /** The dataset version that it was trained on, `name@id`. */
  datasetVersion: string;
  /** The backend that it was trained on. */
  backend: string;
  /** How it was trained: the losses and how much each counts, epochs, batch, rate. */
  settings: { losses: Partial<Record<LossName, number>>; [name: string]: unknown };
  /** Figures by their name, `mAP` say; with the interval of 95 of 100 draws of other places where there is one. One that is NaN is left out. */
  metrics: Record<string, number | Scored>;
  /** The training curve. */
  curve: readonly EpochLog[];
  /** Of the data that it was trained on, and with it of the model. */
  licences: readonly Licence[];
}

/** What `card.json` says of a model. */
export interface ModelCard extends ModelFacts {
  format: 2;
  /** In words, from the image to the embedding and the heads. */
  architecture: string;
  /** Rows and columns of its input, pixels. */
  inputSize: number;
  /** In the order of the probabilities. */
  classes: readonly string[];
  embeddingWidth: number;
  /** What it is made of. */
  body: Body;
  /** What its first weights were drawn from. */
  seed: number | string;
  /** Number of trained weights. */
  parameters: number;
  /** Size and digest of `model.json`, `weights.bin` and `encoder.onnx`. */
  files: Record<string, { bytes: number; sha256: string }>;
}

const count = z.number().int().positive();
const file = z.object({ bytes: count, sha256: z.string().length(64) });
const scored = z.object({ value: z.number(), low: z.number(), high: z.number() });
const pretrained = { backbone: z.string(), sha256: z.string().length(64) };
const body = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('convolutions'), widths: z.array(count).min(1) }),
  z.object({
    kind: z.literal('frozen'),
    ...pretrained,
    stages: z.boolean(),
    width: count,
    hidden: z.number().int().min(0),
  }),
  z.object({ kind: z.literal('tuned'), ...pretrained, scale: z.number(), offset: z.number() }),
]);
const schema = z.object({
  format: z.literal(2, 'it is of another version of imagesim'),
  name: z.string(),
  version: z.string(),
  datasetVersion: z.string(),
  backend: z.string(),
  settings: z.looseObject({ losses: z.record(z.string(), z.number()) }),
  metrics: z.record(z.string(), z.union([z.number(), scored])),
  curve: z.array(z.looseObject({ epoch: count, loss: z.number(), seconds: z.number(), imagesPerSecond: z.number() })),
  licences: z.array(z.object({ source: z.string(), licence: z.string(), attribution: z.string() })),
  architecture: z.string(),
  inputSize: count,
  classes: z.array(z.string()).min(1),
  embeddingWidth: count,
  body,
  seed: z.union([z.number(), z.string()]),
  parameters: count,
  files: z.object({ 'model.json': file, 'weights.bin': file, 'encoder.onnx': file }),
});

/** @throws {Error} naming the file and the first field that is missing or wrong */
export function parseCard(path: string, json: unknown): ModelCard {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [{ path: field, message }] = result.error.issues;
  throw new Error(`${path}: ${field.join('.') || 'the file'}: ${message}; save the model again, or correct the card`);
}

/** A network in words. */
export function describeArchitecture({ inputSize, body: made, embeddingWidth, classes }: Network): string {
  const ends = `dense ${embeddingWidth}, unit length; ${classes.length} sigmoid heads`;
  return `${inputSize} × ${inputSize} RGB; ${describeBody(made)}; ${ends}`;
}

function describeBody(made: Body): string {
  if (made.kind === 'frozen') {
    const hidden = made.hidden === 0 ? '' : `; dense ${made.hidden} and ReLU`;
    return `${made.backbone.split('/').at(-1)!}, frozen, ${made.width} features${made.stages ? ' of all its stages' : ''}${hidden}`;
  }
  if (made.kind === 'tuned') return `${made.backbone.split('/').at(-1)!}, trained further`;
  const filters = `${made.widths.length} strided 3 × 3 convolutions (${made.widths.join(', ')})`;
  return `${filters}, each with batch normalisation and ReLU; the means of all over the image`;
}
