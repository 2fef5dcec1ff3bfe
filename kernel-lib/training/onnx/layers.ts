/** What each kind of layer becomes in ONNX. Values of four axes go through the graph as `[image, band, row, col]`, as ONNX's operators want them. */
import type * as tfl from '@tensorflow/tfjs-layers';
import { type Attributes, type Draft, constant, emit, emitUnitLength, integers, scalar } from './draft.ts';

/** A value in the graph under construction. */
export interface Value {
  name: string;
  /** As tfjs counts it, without the images: `[row, col, band]`, or `[band]`. */
  shape: number[];
}

/** One use of a layer. */
export interface Use {
  draft: Draft;
  layer: tfl.layers.Layer;
  inputs: Value[];
  /** What comes out, as {@link Value.shape}. */
  shape: number[];
  /** Numbers of each of the layer's weights, by its last name: `kernel`, `bias`, `gamma`. */
  weights: ReadonlyMap<string, { shape: number[]; values: Float32Array }>;
  /** A factor and an addend for each band of a convolution's or dense layer's output, of the normalisation that follows it. */
  folded?: { factor: Float64Array; addend: Float64Array } | undefined;
}

type Config = Record<string, unknown>;
type Translate = (use: Use, config: Config) => string;
type Pair = [number, number];

const toBandsFirst = [0, 3, 1, 2];
const toBandsLast = [0, 2, 3, 1];

const bandsOf = ({ shape }: Value): number => shape[shape.length - 1];

function pairOf(value: unknown): Pair {
  return Array.isArray(value) ? (value as Pair) : [value as number, value as number];
}

/** Puts images `[n, row, col, band]` in the order of the graph, or back. */
export function reordered(draft: Draft, name: string, wanted: string, order: 'bands first' | 'bands last'): string {
  return emit(draft, 'Transpose', [name], wanted, { perm: order === 'bands first' ? toBandsFirst : toBandsLast });
}

// --- activations

/** Those that are one operator. */
const operators: Record<string, string> = {
  relu: 'Relu',
  sigmoid: 'Sigmoid',
  tanh: 'Tanh',
  elu: 'Elu',
  selu: 'Selu',
  softplus: 'Softplus',
  softsign: 'Softsign',
};

/** Applies an activation, by its name in Keras. */
function activate({ draft, layer, shape }: Use, activation: string, x: string, wanted: string): string {
  if (activation === 'linear') return x;
  if (activation in operators) return emit(draft, operators[activation], [x], wanted);
  if (activation === 'relu6') return clip(draft, x, wanted, 6);
  if (activation === 'softmax') return emit(draft, 'Softmax', [x], wanted, { axis: shape.length === 3 ? 1 : -1 });
  if (activation === 'swish' || activation === 'silu')
    return emit(draft, 'Mul', [x, emit(draft, 'Sigmoid', [x], `${wanted}/gate`)], wanted);
  throw new TypeError(
    `cannot export layer ${layer.name}: no ONNX form of the activation ${activation} is known here; use one of linear, relu6, softmax, swish, ${Object.keys(operators).join(', ')}`,
  );
}

function clip(draft: Draft, x: string, wanted: string, most: number): string {
  return emit(draft, 'Clip', [x, scalar(draft, `${wanted}/least`, 0), scalar(draft, `${wanted}/most`, most)], wanted);
}

/** The activation of a layer that has one of its own. */
function withActivation(use: Use, { activation }: Config, x: string): string {
  return activate(use, (activation as string | undefined) ?? 'linear', x, `${use.layer.name}/activated`);
}

// --- convolutions, pooling, dense layers

/**
 * Rows and columns to add around an image, as TensorFlow's `same` does: the odd one goes to the bottom and right.
 *
 * @returns `[top, left, bottom, right]`, the order of ONNX
 */
function margins(use: Use, { padding }: Config, kernel: Pair, strides: Pair, spread: Pair = [1, 1]): number[] {
  if (padding === 'valid') return [0, 0, 0, 0];
  if (padding !== 'same') throw unfit(use, `padding ${String(padding)}`, 'use same or valid');
  const [rows, cols] = [0, 1].map((axis) => {
    const length = use.inputs[0].shape[axis];
    const reach = (kernel[axis] - 1) * spread[axis] + 1;
    return Math.max(0, (Math.ceil(length / strides[axis]) - 1) * strides[axis] + reach - length);
  });
  return [rows >> 1, cols >> 1, rows - (rows >> 1), cols - (cols >> 1)];
}

function unfit({ layer }: Use, found: string, remedy: string): TypeError {
  return new TypeError(`cannot export layer ${layer.name} (${layer.getClassName()}) with ${found}: ${remedy}`);
}

function weightOf({ layer, weights }: Use, name: string): { shape: number[]; values: Float32Array } {
  const weight = weights.get(name);
  if (!weight)
    throw new TypeError(`cannot export layer ${layer.name}: it has no weights ${name}; load the model again`);
  return weight;
}

/** Scales a filter's output bands, which are its first axis, and writes it and its addend down. @returns their names */
function filterInputs(use: Use, dims: number[], values: Float32Array, { bias, folded } = biasAndFold(use)): string[] {
  const { draft, layer } = use;
  const each = values.length / dims[0];
  const scaled = folded ? values.map((value, i) => value * folded.factor[Math.floor(i / each)]) : values;
  const filter = constant(draft, `${layer.name}/filter`, dims, scaled);
  if (!bias && !folded) return [filter];
  const addend = Float32Array.from({ length: dims[0] }, (_, band) => {
    const own = bias?.[band] ?? 0;
    return folded ? own * folded.factor[band] + folded.addend[band] : own;
  });
  return [filter, constant(draft, `${layer.name}/addend`, [dims[0]], addend)];
}

function biasAndFold({ weights, folded }: Use): { bias?: Float32Array | undefined; folded?: Use['folded'] } {
  return { bias: weights.get('bias')?.values, folded };
}

/** A filter `[row, col, in, out]` as `[out, in, row, col]`; the last two axes of a depthwise one count as in × multiplier, all of them outputs. */
function filterOf(
  shape: number[],
  values: Float32Array,
  isDepthwise: boolean,
): { dims: number[]; values: Float32Array } {
  const [rows, cols, bands, last] = shape;
  const [inner, outer] = isDepthwise ? [1, bands * last] : [bands, last];
  const place = rows * cols;
  const turned = new Float32Array(values.length);
  for (let i = 0; i < place; i++) {
    for (let a = 0; a < inner; a++) {
      for (let b = 0; b < outer; b++) turned[(b * inner + a) * place + i] = values[(i * inner + a) * outer + b];
    }
  }
  return { dims: [outer, inner, rows, cols], values: turned };
}

function convolutionAttributes(use: Use, config: Config, kernel: Pair, group: number): Attributes {
  const [strides, dilations] = [pairOf(config['strides']), pairOf(config['dilationRate'] ?? 1)];
  return {
    kernel_shape: kernel,
    strides,
    dilations,
    pads: margins(use, config, kernel, strides, dilations),
    group,
  };
}

function requireBandsLast(use: Use, { dataFormat }: Config): void {
  if (dataFormat === 'channelsFirst') throw unfit(use, 'bands first', 'build it with bands last (channelsLast)');
}

const conv2d = (use: Use, config: Config): string => convolution(use, config, 'kernel');
const depthwise = (use: Use, config: Config): string => convolution(use, config, 'depthwise_kernel');

/** One convolution: over all bands together, or each band by itself, in which case there are as many groups as bands. */
function convolution(use: Use, config: Config, weight: 'kernel' | 'depthwise_kernel'): string {
  requireBandsLast(use, config);
  const isDepthwise = weight === 'depthwise_kernel';
  const { shape, values } = weightOf(use, weight);
  const filter = filterOf(shape, values, isDepthwise);
  const attributes = convolutionAttributes(use, config, [shape[0], shape[1]], isDepthwise ? shape[2] : 1);
  const { draft, layer, inputs } = use;
  const taken = [inputs[0].name, ...filterInputs(use, filter.dims, filter.values)];
  return withActivation(use, config, emit(draft, 'Conv', taken, layer.name, attributes));
}

function separable(use: Use, config: Config): string {
  requireBandsLast(use, config);
  const { draft, layer, inputs } = use;
  const [deep, point] = [weightOf(use, 'depthwise_kernel'), weightOf(use, 'pointwise_kernel')];
  const [first, second] = [filterOf(deep.shape, deep.values, true), filterOf(point.shape, point.values, false)];
  const attributes = convolutionAttributes(use, config, [deep.shape[0], deep.shape[1]], deep.shape[2]);
  const one = [inputs[0].name, ...filterInputs(use, first.dims, first.values, {})];
  const between = emit(draft, 'Conv', one, `${layer.name}/depthwise`, attributes);
  const two = [between, ...filterInputs(use, second.dims, second.values)];
  return withActivation(use, config, emit(draft, 'Conv', two, layer.name, { kernel_shape: [1, 1] }));
}

function dense(use: Use, config: Config): string {
  const { draft, layer, inputs } = use;
  if (inputs[0].shape.length !== 1)
    throw unfit(use, `an input of ${inputs[0].shape.length + 1} axes`, 'put a Flatten or a global pooling before it');
  const { shape, values } = weightOf(use, 'kernel');
  const filter = filterOf([1, 1, ...shape], values, false);
  const weights = filterInputs(use, filter.dims.slice(0, 2), filter.values);
  return withActivation(use, config, emit(draft, 'Gemm', [inputs[0].name, ...weights], layer.name, { transB: 1 }));
}

function pooling(operator: 'MaxPool' | 'AveragePool'): Translate {
  return (use, config) => {
    requireBandsLast(use, config);
    const [kernel, strides] = [pairOf(config['poolSize']), pairOf(config['strides'])];
    const attributes = { kernel_shape: kernel, strides, pads: margins(use, config, kernel, strides) };
    return emit(use.draft, operator, [use.inputs[0].name], use.layer.name, attributes);
  };
}

function globalPooling(operator: 'GlobalMaxPool' | 'GlobalAveragePool'): Translate {
  return (use, config) => {
    requireBandsLast(use, config);
    const { draft, layer, inputs } = use;
    return emit(draft, 'Flatten', [emit(draft, operator, [inputs[0].name], `${layer.name}/pooled`)], layer.name);
  };
}

// --- normalisations

/** The factor and addend of a batch normalisation, for each band. */
export function normalisationOf(use: Use): { factor: Float64Array; addend: Float64Array } {
  const { axis, epsilon } = use.layer.getConfig() as { axis: number; epsilon: number };
  requireLastAxis(use, axis);
  const [mean, variance] = [weightOf(use, 'moving_mean').values, weightOf(use, 'moving_variance').values];
  const [gamma, beta] = [use.weights.get('gamma')?.values, use.weights.get('beta')?.values];
  const factor = Float64Array.from(variance, (value, band) => (gamma?.[band] ?? 1) / Math.sqrt(value + epsilon));
  return { factor, addend: factor.map((value, band) => (beta?.[band] ?? 0) - mean[band] * value) };
}

/** Whether a layer normalises along bands: the only way that is exported. */
function requireLastAxis(use: Use, axes: unknown): void {
  const rank = use.shape.length + 1;
  const [axis, ...more] = [axes].flat() as number[];
  if (more.length > 0 || (axis + rank) % rank !== rank - 1)
    throw unfit(use, `axis ${[axes].flat().join(', ')}`, 'normalise along the last axis');
}

/** Numbers of each band, in a shape that fits the input's. */
function perBand({ draft, layer, inputs }: Use, name: string, values: Iterable<number>): string {
  const numbers = Float32Array.from(values);
  return constant(
    draft,
    `${layer.name}/${name}`,
    [numbers.length, ...(inputs[0].shape.length === 3 ? [1, 1] : [])],
    numbers,
  );
}

function batchNormalization(use: Use): string {
  const { draft, layer, inputs } = use;
  const { factor, addend } = normalisationOf(use);
  const scaled = emit(draft, 'Mul', [inputs[0].name, perBand(use, 'factor', factor)], `${layer.name}/scaled`);
  return emit(draft, 'Add', [scaled, perBand(use, 'addend', addend)], layer.name);
}

/** (x − mean) / √(variance + ε) along the bands, in operators that are the same in every set from 13 on. */
function layerNormalization(use: Use, { axis, epsilon }: Config): string {
  requireLastAxis(use, axis);
  const { draft, layer, inputs, weights } = use;
  const wanted = (part: string): string => `${layer.name}/${part}`;
  const axes = integers(draft, wanted('axis'), [inputs[0].shape.length === 3 ? 1 : -1]);
  const share = scalar(draft, wanted('share'), 1 / bandsOf(inputs[0]));
  const mean = (x: string, part: string): string =>
    emit(
      draft,
      'Mul',
      [emit(draft, 'ReduceSum', [x, axes], wanted(`${part}/sum`), { keepdims: 1 }), share],
      wanted(part),
    );
  const centred = emit(draft, 'Sub', [inputs[0].name, mean(inputs[0].name, 'mean')], wanted('centred'));
  const variance = mean(emit(draft, 'Mul', [centred, centred], wanted('square')), 'variance');
  const above = emit(draft, 'Add', [variance, scalar(draft, wanted('epsilon'), epsilon as number)], wanted('above'));
  let x = emit(draft, 'Div', [centred, emit(draft, 'Sqrt', [above], wanted('deviation'))], wanted('normalised'));
  const [gamma, beta] = [weights.get('gamma'), weights.get('beta')];
  if (gamma) x = emit(draft, 'Mul', [x, perBand(use, 'gamma', gamma.values)], wanted('scaled'));
  return beta ? emit(draft, 'Add', [x, perBand(use, 'beta', beta.values)], layer.name) : x;
}

function unitNormalization(use: Use): string {
  const { draft, layer, inputs } = use;
  if (inputs[0].shape.length !== 1) throw unfit(use, 'images as its input', 'put a global pooling before it');
  return emitUnitLength(draft, inputs[0].name, layer.name);
}

function rescaling({ draft, layer, inputs }: Use, { scale, offset }: Config): string {
  const scaled = emit(
    draft,
    'Mul',
    [inputs[0].name, scalar(draft, `${layer.name}/scale`, scale as number)],
    `${layer.name}/scaled`,
  );
  return offset
    ? emit(draft, 'Add', [scaled, scalar(draft, `${layer.name}/offset`, offset as number)], layer.name)
    : scaled;
}

// --- branches and shapes

function merge(operator: 'Add' | 'Mul' | 'Max' | 'Min'): Translate {
  return (use) => {
    const { draft, layer, inputs } = use;
    if (inputs.some(({ shape }) => shape.length !== inputs[0].shape.length))
      throw unfit(use, 'inputs of unlike axes', 'give them the same number of axes by a Reshape');
    const [first, ...others] = inputs.map(({ name }) => name);
    return others.reduce((sum, other) => emit(draft, operator, [sum, other], layer.name), first);
  };
}

function concatenate(use: Use, { axis }: Config): string {
  const { draft, layer, inputs } = use;
  const rank = inputs[0].shape.length + 1;
  const last = ((axis as number) + rank) % rank;
  const placed = rank === 4 ? toBandsFirst.indexOf(last) : last; // where that axis lies in the graph
  if (last === 0) throw unfit(use, 'the axis of the images', 'join along another axis');
  return emit(draft, 'Concat', inputs.map(({ name }) => name), layer.name, { axis: placed }); // prettier-ignore
}

function zeroPadding(use: Use, config: Config): string {
  requireBandsLast(use, config);
  const [[top, bottom], [left, right]] = config['padding'] as [Pair, Pair];
  const pads = integers(use.draft, `${use.layer.name}/margins`, [0, 0, top, left, 0, 0, bottom, right]);
  return emit(use.draft, 'Pad', [use.inputs[0].name, pads], use.layer.name);
}

/** Flatten and Reshape: as tfjs counts axes, then in the graph's order again. */
function reshape({ draft, layer, inputs, shape }: Use): string {
  const [{ name, shape: from }] = inputs;
  const x = from.length === 3 ? reordered(draft, name, `${layer.name}/last`, 'bands last') : name;
  const reshaped = emit(draft, 'Reshape', [x, integers(draft, `${layer.name}/shape`, [0, ...shape])], layer.name);
  return shape.length === 3 ? reordered(draft, reshaped, `${layer.name}/first`, 'bands first') : reshaped;
}

const asItIs: Translate = ({ inputs }) => inputs[0].name;

/** What can be exported, by the name of the layer's class. */
const translations: Record<string, Translate> = {
  Rescaling: rescaling,
  Conv2D: conv2d,
  DepthwiseConv2D: depthwise,
  SeparableConv2D: separable,
  Dense: dense,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  UnitNormalization: unitNormalization,
  Activation: (use, { activation }) => activate(use, activation as string, use.inputs[0].name, use.layer.name),
  ReLU: ({ draft, layer, inputs }, { maxValue }) =>
    maxValue === undefined || maxValue === null
      ? emit(draft, 'Relu', [inputs[0].name], layer.name)
      : clip(draft, inputs[0].name, layer.name, maxValue as number),
  LeakyReLU: ({ draft, layer, inputs }, { alpha }) =>
    emit(draft, 'LeakyRelu', [inputs[0].name], layer.name, { alpha: { float: alpha as number } }),
  Softmax: (use, { axis }) => {
    requireLastAxis(use, axis);
    return activate(use, 'softmax', use.inputs[0].name, use.layer.name);
  },
  MaxPooling2D: pooling('MaxPool'),
  AveragePooling2D: pooling('AveragePool'),
  GlobalMaxPooling2D: globalPooling('GlobalMaxPool'),
  GlobalAveragePooling2D: globalPooling('GlobalAveragePool'),
  Add: merge('Add'),
  Multiply: merge('Mul'),
  Maximum: merge('Max'),
  Minimum: merge('Min'),
  Concatenate: concatenate,
  ZeroPadding2D: zeroPadding,
  Flatten: reshape,
  Reshape: reshape,
  Dropout: asItIs,
  SpatialDropout1D: asItIs,
  GaussianNoise: asItIs,
  GaussianDropout: asItIs,
  AlphaDropout: asItIs,
};

/** Layers whose output a batch normalisation can be folded into. */
export const foldable: ReadonlySet<string> = new Set(['Conv2D', 'DepthwiseConv2D', 'SeparableConv2D', 'Dense']);

/**
 * Adds the nodes of a layer.
 *
 * @returns the name of what comes out
 * @throws {TypeError} naming the layer, where ONNX has no form of it here
 */
export function translate(use: Use): string {
  const { layer } = use;
  const translation = translations[layer.getClassName()];
  if (!translation)
    throw new TypeError(
      `cannot export layer ${layer.name} of the class ${layer.getClassName()}: replace it by layers that can be (${Object.keys(translations).join(', ')}), or encode with the training backend`,
    );
  return translation(use, layer.getConfig());
}
