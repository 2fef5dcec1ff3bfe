/** An ONNX graph under construction. */
import type { Int64, OnnxAttribute, OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from './file.ts';
import { dataTypes } from './file.ts';

/** Parameters of a node: an integer, integers, or a float where it is marked as one. */
export type Attributes = Record<string, number | readonly number[] | { float: number }>;

/** Nodes and weights so far. Names are made unique as they are asked for, so that the same steps give the same bytes. */
export interface Draft {
  nodes: OnnxNode[];
  initializers: OnnxTensor[];
  names: Set<string>;
}

/** @param names those that are taken */
export function newDraft(names: Iterable<string> = []): Draft {
  return { nodes: [], initializers: [], names: new Set(names) };
}

/** A name that is not yet taken, as near to `wanted` as can be; it is taken then. */
export function claim({ names }: Draft, wanted: string): string {
  let name = wanted;
  for (let i = 2; names.has(name); i++) name = `${wanted}_${i}`;
  names.add(name);
  return name;
}

/**
 * Adds a node.
 *
 * @param wanted what its output shall be called
 * @returns the output's name
 */
export function emit(
  draft: Draft,
  opType: string,
  input: string[],
  wanted: string,
  attributes: Attributes = {},
): string {
  const name = claim(draft, wanted);
  const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
  draft.nodes.push({ name, opType, input, output: [name], attribute });
  return name;
}

function attributeOf(name: string, value: Attributes[string]): OnnxAttribute {
  if (typeof value === 'number') return { name, type: 2, i: value };
  if ('float' in value) return { name, type: 1, f: value.float };
  return { name, type: 7, ints: [...value] as Int64[] };
}

/** Adds numbers that do not change: float32, or int64 for shapes and axes. @returns their name */
export function constant(
  draft: Draft,
  wanted: string,
  dims: readonly number[],
  values: Float32Array | BigInt64Array,
): string {
  const name = claim(draft, wanted);
  const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength); // little-endian, as every machine that runs Node
  const [dataType] = dataTypes[values instanceof Float32Array ? 'float32' : 'int64'];
  draft.initializers.push({ name, dims: [...dims], dataType, rawData });
  return name;
}

/** A single float. */
export function scalar(draft: Draft, wanted: string, value: number): string {
  return constant(draft, wanted, [], Float32Array.of(value));
}

/** A list of integers. */
export function integers(draft: Draft, wanted: string, values: readonly number[]): string {
  return constant(draft, wanted, [values.length], BigInt64Array.from(values, BigInt));
}

/** The declaration of an input or output. */
export function declare(name: string, type: 'float32' | 'uint8', shape: readonly (number | string)[]): OnnxValue {
  const dim = shape.map((length) => (typeof length === 'number' ? { dimValue: length } : { dimParam: length }));
  return { name, type: { tensorType: { elemType: dataTypes[type][0], shape: { dim } } } };
}

/** Scales rows `[n, width]` to unit length: x / √(Σx² + 1e-12). The same in every operator set from 13 on. */
export function emitUnitLength(draft: Draft, rows: string, wanted: string): string {
  const square = emit(draft, 'Mul', [rows, rows], `${wanted}/square`);
  const axis = integers(draft, `${wanted}/axis`, [-1]);
  const sum = emit(draft, 'ReduceSum', [square, axis], `${wanted}/sum`, { keepdims: 1 });
  const above = emit(draft, 'Add', [sum, scalar(draft, `${wanted}/epsilon`, 1e-12)], `${wanted}/above`);
  return emit(draft, 'Div', [rows, emit(draft, 'Sqrt', [above], `${wanted}/length`)], wanted);
}

/** A whole model of IR version 8. */
export function modelOf(
  draft: Draft,
  input: OnnxValue,
  output: OnnxValue,
  opsetImport: OnnxModel['opsetImport'] = [{ domain: '', version: 17 }],
): OnnxModel {
  const { nodes: node, initializers: initializer } = draft;
  const graph = { name: 'imagesim', node, initializer, input: [input], output: [output] };
  return { irVersion: 8, opsetImport, producerName: 'imagesim', graph };
}
