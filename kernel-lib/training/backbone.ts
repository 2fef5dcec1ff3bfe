/** A network that others have trained, up to its features. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type * as tfl from '@tensorflow/tfjs-layers';
import sharp from 'sharp';
import { readLayers } from './layersfile.ts';
import { type OnnxModel, type OnnxValue, opsetOf, parseOnnx, shapeOf, toNumber, typeName } from './onnx.ts';
import { checkOnnx } from './onnxcheck.ts';
import { type Draft, constant, declare, emit, emitUnitLength, newDraft } from './onnxdraft.ts';
import { exportLayers, renameOutput, translateModel } from './onnxexport.ts';
import { prefixed } from './onnxrename.ts';
import { type BatchOptions, type RuntimeOptions, type Session, openSession, runBatches } from './onnxsession.ts';

/**
 * What a network wants of a pixel 0–255: `x · scale + offset`; or, as torchvision writes it, `(x / 255 − mean) / std` for each of red, green and blue.
 */
export type PixelScale =
  | { scale: number; offset: number }
  | { mean: readonly [number, number, number]; std: readonly [number, number, number] };

/** Options of {@link openBackbone}. */
export interface BackboneOptions extends RuntimeOptions {
  /** What it wants of pixels. Default: `(x − 127.5) / 127.5`, that is −1 to 1. */
  pixels?: PixelScale | undefined;
  /** Rows and columns, where the file leaves them open. Default: as the file says. */
  inputSize?: number | undefined;
  /** Which value is the features: an output, or any value inside an ONNX file. Default: the first output of two axes, else of four. */
  output?: string | undefined;
}

/** A pretrained network that is ready: images to features. */
export interface Backbone {
  /** What the file is. */
  readonly kind: 'onnx' | 'layers';
  readonly path: string;
  /** Of the file; of a layers model, of `model.json` and its weights one after another. */
  readonly sha256: string;
  /** Rows and columns of its input, pixels. */
  readonly inputSize: number;
  /** Number of features. */
  readonly width: number;
  /** The same in ONNX, from `image` `[N, inputSize, inputSize, 3]`, bytes, to `features` `[N, width]`. */
  readonly model: OnnxModel;
  /**
   * Features of images, as the network gives them: neither centred nor of unit length.
   *
   * @param images `[n, size, size, 3]`, RGB, 0–255
   * @returns `[n, width]`
   */
  features(images: Uint8Array, options?: FeatureOptions): Promise<Float32Array>;
  /** Frees its memory; features cannot be asked for afterwards. */
  close(): Promise<void>;
}

/** Options of {@link Backbone.features}. */
export interface FeatureOptions extends BatchOptions {
  /** Rows and columns of the images given; others than the network's are resized (Lanczos). Default: `inputSize`. */
  size?: number | undefined;
}

/** A file as it was read. */
interface Opened {
  kind: Backbone['kind'];
  sha256: string;
  model: OnnxModel;
}

/** How pixels go into a file's network and features come out. */
interface Plan {
  input: OnnxValue;
  /** Images a run, where the file fixes them. */
  batch: number | undefined;
  isBandsFirst: boolean;
  inputSize: number;
  output: { name: string; rank: number };
  pixels: PixelScale;
}

/**
 * Opens a pretrained image network: an ONNX file, or a tfjs layers model (its folder, or its `model.json`).
 *
 * The order of axes is read from the shape of its input, `[N, 3, size, size]` or `[N, size, size, 3]`. Features are its first output of two axes; one of
 * four axes, in the input's order, is averaged over rows and columns.
 *
 * @throws {Error} naming the file, what was found and the remedy: no such file, no ONNX file, cut short, weights missing, no image input, no features
 * @throws {RuntimeMissingError} when onnxruntime-node does not load
 */
export async function openBackbone(path: string, options: BackboneOptions = {}): Promise<Backbone> {
  const { kind, sha256, model } = await openFile(path, options.output);
  const plan = await planOf(path, kind, model, options);
  const whole = fromPixels(model, plan);
  const session = await openSession(whole, path, options);
  try {
    const width = await widthOf(path, session, plan);
    if (whole.graph) whole.graph.output = [declare('features', 'float32', ['N', width])];
    return {
      kind,
      path,
      sha256,
      inputSize: plan.inputSize,
      width,
      model: whole,
      ...running(path, session, plan, width),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function openFile(path: string, output: string | undefined): Promise<Opened> {
  const layers = await readLayers(path);
  if (layers) {
    const { model, bytes } = layers;
    const names = model.outputs.map(({ sourceLayer }) => sourceLayer.name);
    const wanted = output ?? names.find((_, i) => model.outputs[i].shape.length === 2) ?? names[0];
    try {
      return { kind: 'layers', sha256: hashOf(bytes), model: await exportLayers(model, wanted) };
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    } finally {
      model.dispose();
    }
  }
  const bytes = await readFile(path);
  return { kind: 'onnx', sha256: hashOf([bytes]), model: soundModel(bytes, path) };
}

function soundModel(bytes: Uint8Array, path: string): OnnxModel {
  const model = parseOnnx(bytes, path);
  const [fault] = checkOnnx(model);
  if (fault !== undefined) throw new Error(`${path} is damaged: ${fault}; fetch it again`);
  return model;
}

function hashOf(blocks: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const block of blocks) hash.update(block);
  return hash.digest('hex');
}

async function planOf(path: string, kind: Backbone['kind'], model: OnnxModel, options: BackboneOptions): Promise<Plan> {
  const { pixels = { scale: 1 / 127.5, offset: -1 }, inputSize } = options;
  const numbers = 'scale' in pixels ? [pixels.scale, pixels.offset] : [...pixels.mean, ...pixels.std];
  if (!numbers.every(Number.isFinite) || ('std' in pixels && pixels.std.includes(0)))
    throw new RangeError(`openBackbone requires finite pixel scales and no std of zero, got ${numbers.join(', ')}`);
  const image = imageInput(path, model, inputSize);
  const output = await outputOf(path, model, kind === 'layers' ? undefined : options.output, options);
  return { ...image, output, pixels };
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
function fromPixels(model: OnnxModel, plan: Plan): OnnxModel {
  const { inputSize, output, isBandsFirst, batch } = plan;
  const graph = prefixed(model, 'backbone/');
  const draft = newDraft(['image', 'features']);
  emitPixels(draft, plan, `backbone/${plan.input.name}`);
  draft.nodes.push(...graph.node);
  const made = `backbone/${output.name}`;
  const pooled = output.rank === 2 ? made : emitMean(draft, made, isBandsFirst);
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

/** The number of features: as onnxruntime infers it, else of a black image. */
async function widthOf(path: string, { output, run }: Session, { batch = 1, inputSize }: Plan): Promise<number> {
  const [, width] = output.shape;
  if (typeof width === 'number') return width;
  const rows = await run(new Uint8Array(batch * inputSize * inputSize * 3)).catch((error: unknown) => {
    throw new Error(
      `${path} does not run on images of ${inputSize} × ${inputSize} pixels: ${(error as Error).message.split('\n')[0]}; try another inputSize`,
      {
        cause: error,
      },
    );
  });
  return rows.length / batch;
}

function running(
  path: string,
  session: Session,
  { inputSize, batch }: Plan,
  width: number,
): Pick<Backbone, 'features' | 'close'> {
  let isOpen = true;
  return {
    features: async (images, { size = inputSize, ...options } = {}) => {
      if (!isOpen) throw new Error(`the backbone ${path} is closed: open it again`);
      const prepare = size === inputSize ? undefined : (some: Uint8Array) => resized(some, size, inputSize);
      const run = batch === undefined ? session.run : filledUp(session, batch, inputSize ** 2 * 3, width);
      return runBatches(
        { run },
        images,
        { size, width },
        { ...options, ...(batch !== undefined && { batchSize: batch }) },
        prepare,
      );
    },
    close: async () => {
      if (isOpen) await session.close();
      isOpen = false;
    },
  };
}

/** For a network of a fixed number of images: black ones fill the last batch up. */
function filledUp({ run }: Session, batch: number, bytes: number, width: number): Session['run'] {
  return async (images) => {
    const full = new Uint8Array(batch * bytes);
    full.set(images);
    return (await run(full)).subarray(0, (images.length / bytes) * width);
  };
}

async function resized(images: Uint8Array, from: number, to: number): Promise<Uint8Array> {
  const [before, after] = [from * from * 3, to * to * 3];
  const made = new Uint8Array((images.length / before) * after);
  const raw = { width: from, height: from, channels: 3 } as const;
  const work = Array.from({ length: images.length / before }, async (_, i) => {
    const image = images.subarray(i * before, (i + 1) * before);
    made.set(await sharp(image, { raw }).resize(to, to, { fit: 'fill' }).raw().toBuffer(), i * after);
  });
  await Promise.all(work);
  return made;
}

/**
 * A backbone and a head that was trained on its features, as one encoder from `image` `[N, size, size, 3]`, bytes, to `embedding` `[N, width]` of unit length.
 *
 * @param head a tfjs network from features `[n, backbone.width]` to an embedding
 * @param output the head's output: the name of its layer. Default: `embedding`, or the only one
 * @throws {Error} when the backbone's operators are too old (before set 13), or it takes a fixed number of images
 * @throws {TypeError} when the head does not fit, or has a layer that cannot be exported
 */
export async function appendHead(backbone: Backbone, head: tfl.LayersModel, output = 'embedding'): Promise<OnnxModel> {
  const { path, model, width } = backbone;
  const { graph } = model;
  if (opsetOf(model) < 13)
    throw new Error(
      `${path} is of operator set ${opsetOf(model)}: a head needs 13 or later; convert it with onnx.version_converter`,
    );
  if (!graph || typeof shapeOf(graph.input[0])?.[0] === 'number')
    throw new Error(`${path} takes a fixed number of images: export it anew with a first axis that varies`);
  const [, wanted] = head.inputs[0].shape;
  if (head.inputs.length !== 1 || head.inputs[0].shape.length !== 2 || wanted !== width)
    throw new TypeError(
      `the head ${head.name} takes [${head.inputs[0].shape.map((length) => length ?? 'n').join(', ')}], and ${path} gives [n, ${width}]: build it for ${width} features`,
    );
  const draft = newDraft([...namesOf(model), 'embedding']);
  const { name, shape } = await translateModel(draft, head, [{ name: 'features', shape: [width] }], output);
  const unit = emitUnitLength(draft, name, 'unit'); // once more does no harm
  renameOutput(draft, unit, 'embedding');
  return {
    ...model,
    producerName: 'imagesim',
    graph: {
      ...graph,
      node: [...graph.node, ...draft.nodes],
      initializer: [...graph.initializer, ...draft.initializers],
      output: [declare('embedding', 'float32', ['N', shape[0]])],
    },
  };
}

function namesOf({ graph }: OnnxModel): string[] {
  return [
    ...(graph?.node ?? []).flatMap((node) => [...node.output, node.name ?? '']),
    ...(graph?.initializer ?? []).map(({ name = '' }) => name),
    'image',
  ];
}
