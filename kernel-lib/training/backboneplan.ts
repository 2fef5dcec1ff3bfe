/** How a network that others have trained is fed and read: what its file says of images and features. */
import { type OnnxModel, type OnnxValue, shapeOf, toNumber, typeName } from './onnx/file.ts';
import { type Draft, constant, declare, emit, newDraft } from './onnx/draft.ts';
import { prefixed } from './onnx/rename.ts';
import { type RuntimeOptions, openSession } from './onnx/session.ts';

/**
 * What a network wants of a pixel 0–255: `x · scale + offset`; or, as torchvision writes it, `(x / 255 − mean) / std` for each of red, green and blue.
 */
export type PixelScale =
  | { scale: number; offset: number }
  | { mean: readonly [number, number, number]; std: readonly [number, number, number] };

/** What most networks trained with torchvision want. */
const IMAGENET: PixelScale = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/**
 * A pixel scale in words: `imagenet`, the mean and deviation of torchvision; or `scale,offset`, as `0.0078125,-1`.
 *
 * @throws {RangeError} when it is neither
 */
export function pixelScale(text: string): PixelScale {
  if (text === 'imagenet') return IMAGENET;
  const [scale, offset, ...more] = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (more.length === 0 && [scale, offset].every(Number.isFinite)) return { scale, offset };
  throw new RangeError(`pixels are scaled by "imagenet" or by scale,offset as 0.0078125,-1; got ${text}`);
}

/** Options of {@link openBackbone}. */
export interface BackboneOptions extends RuntimeOptions {
  /** What it wants of pixels. Default: `(x − 127.5) / 127.5`, that is −1 to 1. */
  pixels?: PixelScale | undefined;
  /** Rows and columns, where the file leaves them open. Default: as the file says. */
  inputSize?: number | undefined;
  /** Which value is the features: an output, or any value inside an ONNX file. Default: the first output of two axes, else of four. */
  output?: string | undefined;
  /**
   * Whether features are also the means of what the network makes at each of its coarser and coarser stages, the early ones of which tell
   * colours and textures. Default: false, its own features alone.
   */
  stages?: boolean | undefined;
}

/** What a network makes at one size of its maps. */
interface Stage {
  name: string;
  bands: number;
}

/** How pixels go into a file's network and features come out. */
export interface Plan {
  input: OnnxValue;
  /** Images a run, where the file fixes them. */
  batch: number | undefined;
  isBandsFirst: boolean;
  inputSize: number;
  output: { name: string; rank: number };
  /** Values of four axes whose means come before the output, the finest first, and their bands. */
  stages: readonly Stage[];
  pixels: PixelScale;
}

/** Reads the plan off a file, and checks it against the options. */
export async function planOf(
  path: string,
  kind: 'onnx' | 'layers',
  model: OnnxModel,
  options: BackboneOptions,
): Promise<Plan> {
  const { pixels = { scale: 1 / 127.5, offset: -1 }, inputSize } = options;
  const numbers = 'scale' in pixels ? [pixels.scale, pixels.offset] : [...pixels.mean, ...pixels.std];
  if (!numbers.every(Number.isFinite) || ('std' in pixels && pixels.std.includes(0)))
    throw new RangeError(`openBackbone requires finite pixel scales and no std of zero, got ${numbers.join(', ')}`);
  const image = imageInput(path, model, inputSize);
  const output = await outputOf(path, model, kind === 'layers' ? undefined : options.output, options);
  const stages = options.stages ? await stagesOf(path, model, image.isBandsFirst, options) : [];
  return { ...image, output, stages, pixels };
}

/** What ends a stage: the last of these at each size of its maps. */
const STAGE_ENDS = new Set(['Relu', 'Clip', 'LeakyRelu', 'PRelu', 'Elu', 'HardSwish', 'Mul', 'Add', 'Concat']);

/** The last value of each size, from fine to coarse, as onnxruntime infers the sizes; those that it cannot tell are left out. */
async function stagesOf(
  path: string,
  model: OnnxModel,
  isBandsFirst: boolean,
  options: RuntimeOptions,
): Promise<Stage[]> {
  const { graph } = model;
  const ends = (graph?.node ?? []).filter(({ opType = '' }) => STAGE_ENDS.has(opType)).map(({ output: [name] }) => name); // prettier-ignore
  if (ends.length === 0) return [];
  const asked = ends.map((name): OnnxValue => ({ name, type: { tensorType: { elemType: 1 } } }));
  const session = await openSession({ ...model, graph: { ...graph!, output: asked } }, path, options);
  const { outputs } = session;
  await session.close();
  const lastOfSize = new Map<number, Stage>();
  for (const name of ends) {
    const { shape = [] } = outputs.find((value) => value.name === name) ?? {};
    const [side, bands] = isBandsFirst ? [shape[2], shape[1]] : [shape[1], shape[3]];
    if (shape.length === 4 && typeof side === 'number' && typeof bands === 'number' && side > 1)
      lastOfSize.set(side, { name, bands });
  }
  return [...lastOfSize].sort(([a], [b]) => b - a).map(([, stage]) => stage);
}

/** The input that takes images. Weights may be listed as inputs too: they are none. */
function imageInput(
  path: string,
  { graph }: OnnxModel,
  asked: number | undefined,
): Pick<Plan, 'input' | 'batch' | 'isBandsFirst' | 'inputSize'> {
  const weights = new Set(graph?.initializer.map(({ name }) => name));
  const inputs = (graph?.input ?? []).filter(({ name }) => !weights.has(name));
  const [input] = inputs;
  const shape = (input && shapeOf(input)) ?? [];
  const isBandsFirst = shape[1] === 3;
  const found = inputs.map(
    (value) => `${value.name} ${typeName(value.type?.tensorType?.elemType)} [${shapeOf(value)?.join(', ')}]`,
  );
  if (inputs.length !== 1 || shape.length !== 4 || (!isBandsFirst && shape[3] !== 3))
    throw new Error(
      `${path} takes ${found.join(' and ') || 'nothing'}: expected one input of images, [N, 3, size, size] or [N, size, size, 3]`,
    );
  if (input.type?.tensorType?.elemType !== 1)
    throw new Error(`${path} takes ${found.join()}: expected float32; export the network in single precision`);
  const [rows, cols] = isBandsFirst ? shape.slice(2) : shape.slice(1, 3);
  const batch = typeof shape[0] === 'number' ? shape[0] : undefined;
  return { input, batch, isBandsFirst, inputSize: sideOf(path, rows, cols, asked) };
}

function sideOf(path: string, rows: number | string, cols: number | string, asked: number | undefined): number {
  const side = [rows, cols].find((length) => typeof length === 'number') ?? asked;
  if (side === undefined)
    throw new Error(`${path} takes images of any size: say which by the option inputSize, such as 224`);
  if ([rows, cols].some((length) => typeof length === 'number' && length !== side))
    throw new Error(`${path} takes images of ${rows} × ${cols} pixels: expected as many rows as columns`);
  if (asked !== undefined && asked !== side)
    throw new RangeError(
      `${path} takes images of ${side} × ${side} pixels, and inputSize is ${asked}: leave the option away`,
    );
  if (!Number.isInteger(side) || side < 1)
    throw new RangeError(`inputSize of ${path} is ${side}: expected a positive whole number`);
  return side;
}

async function outputOf(
  path: string,
  model: OnnxModel,
  asked: string | undefined,
  options: RuntimeOptions,
): Promise<Plan['output']> {
  const outputs = model.graph?.output ?? [];
  if (asked !== undefined && !outputs.some(({ name }) => name === asked))
    return innerValue(path, model, asked, options);
  const named = outputs.filter(({ name }) => asked === undefined || name === asked);
  const ranks = named.map((value) => shapeOf(value)?.length);
  const place = ranks.includes(2) ? ranks.indexOf(2) : ranks.indexOf(4);
  const found = named.map((value) => `${value.name} [${shapeOf(value)?.join(', ')}]`).join(' and ');
  if (place < 0)
    throw new Error(
      `${path} gives ${found}: expected features of two axes or four; name another value by the option output`,
    );
  return { name: named[place].name ?? '', rank: ranks[place] ?? 0 };
}

/** A value inside the network. Its shape is asked of onnxruntime, for most files do not say. */
async function innerValue(
  path: string,
  model: OnnxModel,
  name: string,
  options: RuntimeOptions,
): Promise<Plan['output']> {
  const { graph } = model;
  if (!graph?.node.some(({ output }) => output.includes(name)))
    throw new Error(
      `${path} makes no value ${name}: its outputs are ${graph?.output.map((value) => value.name).join(', ')}`,
    );
  const asked: OnnxValue = { name, type: { tensorType: { elemType: 1 } } };
  const session = await openSession({ ...model, graph: { ...graph, output: [asked] } }, path, options);
  const { shape } = session.output;
  await session.close();
  if (shape.length !== 2 && shape.length !== 4)
    throw new Error(`${name} of ${path} is [${shape.join(', ')}]: expected features of two axes or four`);
  return { name, rank: shape.length };
}

/** The network between the pixels of its images and its features. Its own names get a prefix. */
export function fromPixels(model: OnnxModel, plan: Plan): OnnxModel {
  const { inputSize, output, isBandsFirst, batch, stages } = plan;
  const graph = prefixed(model, 'backbone/');
  const draft = newDraft(['image', 'features']);
  emitPixels(draft, plan, `backbone/${plan.input.name}`);
  draft.nodes.push(...graph.node);
  const made = `backbone/${output.name}`;
  const own = output.rank === 2 ? made : emitMean(draft, made, isBandsFirst);
  const means = stages.map(({ name }) => emitMean(draft, `backbone/${name}`, isBandsFirst));
  const pooled = means.length === 0 ? own : emit(draft, 'Concat', [...means, own], 'features/all', { axis: 1 });
  draft.nodes.push({ name: 'features', opType: 'Identity', input: [pooled], output: ['features'], attribute: [] });
  return {
    ...model,
    irVersion: Math.max(8, toNumber(model.irVersion)),
    graph: {
      ...graph,
      node: draft.nodes,
      initializer: [...graph.initializer, ...draft.initializers],
      input: [declare('image', 'uint8', [batch ?? 'N', inputSize, inputSize, 3])],
      output: [declare('features', 'float32', [batch ?? 'N', 'width'])],
    },
  };
}

/** Adds what turns bytes into the network's own input. */
function emitPixels(draft: Draft, { isBandsFirst, pixels }: Plan, input: string): void {
  const floats = emit(draft, 'Cast', ['image'], 'image/float', { to: 1 });
  const x = isBandsFirst ? emit(draft, 'Transpose', [floats], 'image/bands', { perm: [0, 3, 1, 2] }) : floats;
  const bands = [0, 1, 2];
  const factor = bands.map((band) => ('scale' in pixels ? pixels.scale : 1 / (255 * pixels.std[band])));
  const addend = bands.map((band) => ('scale' in pixels ? pixels.offset : -pixels.mean[band] / pixels.std[band]));
  const dims = isBandsFirst ? [3, 1, 1] : [3];
  const scaled = emit(
    draft,
    'Mul',
    [x, constant(draft, 'image/factor', dims, Float32Array.from(factor))],
    'image/scaled',
  );
  const addendName = constant(draft, 'image/addend', dims, Float32Array.from(addend));
  draft.nodes.push({
    name: 'image/normalised',
    opType: 'Add',
    input: [scaled, addendName],
    output: [input],
    attribute: [],
  });
}

function emitMean(draft: Draft, images: string, isBandsFirst: boolean): string {
  const x = isBandsFirst ? images : emit(draft, 'Transpose', [images], 'features/bands', { perm: [0, 3, 1, 2] });
  return emit(draft, 'Flatten', [emit(draft, 'GlobalAveragePool', [x], 'features/mean')], 'features/flat');
}
