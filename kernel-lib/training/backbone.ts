/** A network that others have trained, up to its features. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type * as tfl from '@tensorflow/tfjs-layers';
import sharp from 'sharp';
import { readLayers } from './layersfile.ts';
import { type BackboneOptions, type PixelScale, type Plan, fromPixels, planOf } from './backboneplan.ts';
import { type OnnxModel, opsetOf, parseOnnx, shapeOf } from './onnx/file.ts';
import { checkOnnx } from './onnx/check.ts';
import { declare, emitUnitLength, newDraft } from './onnx/draft.ts';
import { exportLayers, renameOutput, translateModel } from './onnx/export.ts';
import { type BatchOptions, type Session, openSession, runBatches } from './onnx/session.ts';

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
  /** What it wants of pixels. */
  readonly pixels: PixelScale;
  /** Whether features are of all its stages. */
  readonly stages: boolean;
  /** How many of the features, the last ones, are its own output. */
  readonly own: number;
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
      pixels: plan.pixels,
      stages: plan.stages.length > 0,
      own: width - plan.stages.reduce((sum, { bands }) => sum + bands, 0),
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
