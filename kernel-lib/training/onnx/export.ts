import type * as tfl from '@tensorflow/tfjs-layers';
import type { OnnxModel, OnnxValue } from './file.ts';
import { type Draft, claim, declare, emit, emitUnitLength, modelOf, newDraft } from './draft.ts';
import { type Use, type Value, foldable, normalisationOf, reordered, translate } from './layers.ts';

/** Options of {@link exportEncoder}. */
export interface ExportOptions {
  /** The output that is the embedding: the name of its layer. Default: `embedding`, or the only one. */
  output?: string | undefined;
  /** What the input holds: the same numbers, 0–255, as bytes or as floats. Default: `uint8`. */
  input?: 'uint8' | 'float32' | undefined;
}

/** Weights of a whole model, by their number in tfjs. */
type WeightValues = ReadonlyMap<number, Float32Array>;

/** The walk through one model: its draft, and what is made so far. */
interface Walk {
  draft: Draft;
  weights: WeightValues;
  made: Map<number, Value>;
  /** How many layers take each tensor. */
  uses: ReadonlyMap<number, number>;
}

/**
 * A tfjs network as an ONNX encoder: input `image` `[N, size, size, 3]`, RGB, 0–255; output `embedding` `[N, width]`, each row of unit length.
 *
 * Operator set 17, IR version 8; the same network gives the same bytes. Batch normalisation is folded into the convolution or dense layer before it.
 * Rows are brought to unit length where the network does not do so itself. Only what the embedding depends on is exported.
 *
 * @throws {TypeError} naming the layer, where one cannot be exported, and what to do
 */
export async function exportEncoder(
  model: tfl.LayersModel,
  { output, input = 'uint8' }: ExportOptions = {},
): Promise<OnnxModel> {
  const [rows, cols, bands] = imageShape(model);
  const draft = newDraft(['image', 'embedding']);
  const floats = input === 'uint8' ? emit(draft, 'Cast', ['image'], 'image/float', { to: 1 }) : 'image';
  const image = { name: reordered(draft, floats, 'image/bands', 'bands first'), shape: [rows, cols, bands] };
  const embedding = await translateModel(draft, model, [image], output ?? 'embedding');
  if (embedding.shape.length !== 1)
    throw new TypeError(
      `exportEncoder requires an embedding of two axes, got ${embedding.shape.join(' × ')} an image: pool it`,
    );
  const isUnit = outputOf(model, output ?? 'embedding').sourceLayer.getClassName() === 'UnitNormalization';
  const unit = isUnit ? embedding.name : emitUnitLength(draft, embedding.name, 'unit');
  renameOutput(draft, unit, 'embedding');
  return modelOf(
    draft,
    declare('image', input, ['N', rows, cols, bands]),
    declare('embedding', 'float32', ['N', embedding.shape[0]]),
  );
}

/** Gives the value that a draft ends with its public name. */
export function renameOutput({ nodes }: Draft, from: string, to: string): void {
  for (const node of nodes) {
    node.input = node.input.map((name) => (name === from ? to : name));
    node.output = node.output.map((name) => (name === from ? to : name));
  }
}

function imageShape({ inputs, name }: tfl.LayersModel): number[] {
  const shape = inputs[0].shape.slice(1) as number[];
  if (inputs.length === 1 && shape.length === 3 && shape.every((length) => length > 0) && shape[2] === 3) return shape;
  const found = inputs.map((input) => `[${input.shape.map((length) => length ?? 'n').join(', ')}]`).join(' and ');
  throw new TypeError(
    `the network ${name} takes ${found}: expected one input of images [n, size, size, 3] of a fixed size`,
  );
}

function outputOf({ outputs, name }: tfl.LayersModel, wanted: string): tfl.SymbolicTensor {
  const found = outputs.find(({ sourceLayer }) => sourceLayer.name === wanted);
  if (found ?? outputs.length === 1) return found ?? outputs[0];
  const names = outputs.map(({ sourceLayer }) => sourceLayer.name).join(', ');
  throw new TypeError(`the network ${name} has no output ${wanted}, only ${names}: name one of them`);
}

/**
 * Adds a network to a draft.
 *
 * @param inputs in the order of the network's
 * @param output the name of the layer that is asked for
 */
export async function translateModel(
  draft: Draft,
  model: tfl.LayersModel,
  inputs: Value[],
  output: string,
): Promise<Value> {
  const read = model.weights.map(async (weight): Promise<[number, Float32Array]> => [
    weight.id,
    Float32Array.from(await weight.read().data()),
  ]);
  return walkModel(draft, new Map(await Promise.all(read)), model, inputs, outputOf(model, output));
}

function walkModel(
  draft: Draft,
  weights: WeightValues,
  model: tfl.LayersModel,
  inputs: Value[],
  output: tfl.SymbolicTensor,
): Value {
  const made = new Map(model.inputs.map((input, i) => [input.id, inputs[i]]));
  return valueOf({ draft, weights, made, uses: countUses(output) }, output);
}

function countUses(output: tfl.SymbolicTensor): Map<number, number> {
  const uses = new Map<number, number>();
  const visit = ({ id, inputs }: tfl.SymbolicTensor): void => {
    uses.set(id, (uses.get(id) ?? 0) + 1);
    if (uses.get(id) === 1) inputs.forEach(visit);
  };
  visit(output);
  return uses;
}

/** Adds what a tensor depends on, and then itself. */
function valueOf(walk: Walk, tensor: tfl.SymbolicTensor): Value {
  const known = walk.made.get(tensor.id);
  if (known) return known;
  const shape = tensor.shape.slice(1) as number[];
  const value = { name: nameOf(walk, tensor, shape), shape };
  walk.made.set(tensor.id, value);
  return value;
}

function nameOf(walk: Walk, tensor: tfl.SymbolicTensor, shape: number[]): string {
  const { sourceLayer: layer, inputs } = tensor;
  const [before] = inputs;
  if ('layers' in layer) return nestedModel(walk, tensor, layer as unknown as tfl.LayersModel);
  if (shape.some((length) => length === null))
    throw new TypeError(
      `cannot export layer ${layer.name}: its shape is left open; build the network for a fixed size, and reshape without −1`,
    );
  if (layer.getClassName() === 'BatchNormalization' && canFold(walk, before)) {
    const folded = normalisationOf(useOf(walk, tensor, [], shape));
    return translate({ ...useOf(walk, before, before.inputs.map((input) => valueOf(walk, input)), shape), folded }); // prettier-ignore
  }
  return translate(useOf(walk, tensor, inputs.map((input) => valueOf(walk, input)), shape)); // prettier-ignore
}

/** Whether what follows a layer can be folded into it: it adds no activation of its own, and nothing else takes its output. */
function canFold({ uses, made }: Walk, { id, sourceLayer }: tfl.SymbolicTensor): boolean {
  const { activation = 'linear' } = sourceLayer.getConfig() as { activation?: string };
  return foldable.has(sourceLayer.getClassName()) && activation === 'linear' && uses.get(id) === 1 && !made.has(id);
}

function useOf({ draft, weights }: Walk, tensor: tfl.SymbolicTensor, inputs: Value[], shape: number[]): Use {
  const { sourceLayer: layer } = tensor;
  const own = layer.weights.map((weight): [string, { shape: number[]; values: Float32Array }] => [
    weight.originalName.split('/').at(-1) as string,
    { shape: weight.shape as number[], values: weights.get(weight.id) as Float32Array },
  ]);
  return { draft, layer, inputs, shape, weights: new Map(own) };
}

/** A network that is a layer of another: its own layers, between the outer ones. */
function nestedModel(walk: Walk, tensor: tfl.SymbolicTensor, model: tfl.LayersModel): string {
  const inputs = tensor.inputs.map((input) => valueOf(walk, input));
  return walkModel(walk.draft, walk.weights, model, inputs, model.outputs[tensor.tensorIndex]).name;
}

/** A whole network as it is, its inputs and one output in tfjs's order of axes: for networks that are no encoder. */
export async function exportLayers(model: tfl.LayersModel, output: string): Promise<OnnxModel> {
  const draft = newDraft(['output']);
  const declared: OnnxValue[] = [];
  const values = model.inputs.map(({ name, shape: [, ...shape] }) => {
    const input = claim(draft, name);
    declared.push(declare(input, 'float32', ['N', ...(shape as number[])]));
    const inner = shape.length === 3 ? reordered(draft, input, `${input}/bands`, 'bands first') : input;
    return { name: inner, shape: shape as number[] };
  });
  const { name, shape } = await translateModel(draft, model, values, output);
  const last =
    shape.length === 3 ? reordered(draft, name, 'last', 'bands last') : emit(draft, 'Identity', [name], 'last');
  renameOutput(draft, last, 'output');
  const made = modelOf(draft, declared[0], declare('output', 'float32', ['N', ...shape]));
  if (made.graph) made.graph.input = declared;
  return made;
}
