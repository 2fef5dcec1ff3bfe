/** ONNX files: read, changed and written without loss. Fields that this version does not know are kept as they are. */
import { readFile } from 'node:fs/promises';
import protobuf from 'protobufjs';
import { ModelProto } from './schema.ts';

/** A 64-bit integer: read as an object, and written from either. */
export type Int64 = number | { toNumber(): number };

/** Numbers with a shape. They lie in `rawData`, little-endian, or in the list of their type. */
export interface OnnxTensor {
  name?: string;
  dims?: Int64[];
  /** See {@link dataTypes}. */
  dataType?: number;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: Int64[];
  uint64Data?: Int64[];
  doubleData?: number[];
  stringData?: Uint8Array[];
  externalData?: { key?: string; value?: string }[];
  dataLocation?: number;
}

/** A parameter of a node; `type` says which field holds it. */
export interface OnnxAttribute {
  name?: string;
  type?: number;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: OnnxTensor;
  g?: OnnxGraph;
  floats?: number[];
  ints?: Int64[];
  strings?: Uint8Array[];
  tensors?: OnnxTensor[];
  graphs?: OnnxGraph[];
  refAttrName?: string;
}

/** One operation: values in, values out, each by its name. An empty name is an input left away. */
export interface OnnxNode {
  name?: string;
  opType?: string;
  domain?: string;
  input: string[];
  output: string[];
  attribute: OnnxAttribute[];
}

/** A length, or the name of one that varies. */
export interface OnnxDimension {
  dimValue?: Int64;
  dimParam?: string;
}

/** A named value and its type. */
export interface OnnxValue {
  name?: string;
  type?: { tensorType?: { elemType?: number; shape?: { dim?: OnnxDimension[] } } };
}

/** Nodes in an order in which each finds its inputs made. */
export interface OnnxGraph {
  name?: string;
  node: OnnxNode[];
  initializer: OnnxTensor[];
  sparseInitializer?: { values?: OnnxTensor }[];
  input: OnnxValue[];
  output: OnnxValue[];
  valueInfo?: OnnxValue[];
  quantizationAnnotation?: { tensorName?: string; quantParameterTensorNames?: { key?: string; value?: string }[] }[];
}

/** The whole of a file. */
export interface OnnxModel {
  irVersion?: Int64;
  opsetImport: { domain?: string; version?: Int64 }[];
  producerName?: string;
  metadataProps?: { key?: string; value?: string }[];
  functions?: { name?: string; domain?: string }[];
  graph?: OnnxGraph;
}

/** Types of elements: the number in the file, and bytes each; half a byte for two in one, 0 where the length varies. */
export const dataTypes: Record<string, readonly [code: number, bytes: number]> = {
  float32: [1, 4],
  uint8: [2, 1],
  int8: [3, 1],
  uint16: [4, 2],
  int16: [5, 2],
  int32: [6, 4],
  int64: [7, 8],
  string: [8, 0],
  bool: [9, 1],
  float16: [10, 2],
  float64: [11, 8],
  uint32: [12, 4],
  uint64: [13, 8],
  complex64: [14, 8],
  complex128: [15, 16],
  bfloat16: [16, 2],
  float8e4m3fn: [17, 1],
  float8e4m3fnuz: [18, 1],
  float8e5m2: [19, 1],
  float8e5m2fnuz: [20, 1],
  uint4: [21, 0.5],
  int4: [22, 0.5],
};

/** The name of a type of elements, or its number where it has none here. */
export function typeName(code = 0): string {
  return Object.keys(dataTypes).find((name) => dataTypes[name][0] === code) ?? `type ${code}`;
}

/** An integer of a file as a number. */
export function toNumber(value: Int64 = 0): number {
  return typeof value === 'number' ? value : value.toNumber();
}

/** Whether a field is there: one that is not reads as nothing, zero, or an empty list. */
export function isSet<Message extends object>(message: Message, field: keyof Message): boolean {
  return Object.hasOwn(message, field);
}

/** The lengths of a value, those that vary as their names, `?` for none; undefined where the file does not say. */
export function shapeOf({ type }: OnnxValue): (number | string)[] | undefined {
  const shape = type?.tensorType?.shape;
  return shape?.dim?.map((dim) => (isSet(dim, 'dimValue') ? toNumber(dim.dimValue) : dim.dimParam || '?'));
}

/** The version of ONNX's own operators that a model asks for; 0 where it asks for none. */
export function opsetOf({ opsetImport }: OnnxModel): number {
  return toNumber(opsetImport.find(({ domain = '' }) => domain === '' || domain === 'ai.onnx')?.version);
}

/**
 * Reads an ONNX file.
 *
 * @throws {Error} naming the file, when it cannot be read, is no ONNX file, is cut short, or keeps its weights in other files
 */
export async function readOnnx(path: string): Promise<OnnxModel> {
  const bytes = await readFile(path).catch((error: unknown) => {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    throw new Error(`cannot read ${path}: ${code}; give the path of an ONNX file`, { cause: error });
  });
  return parseOnnx(bytes, path);
}

/**
 * The model in the bytes of an ONNX file.
 *
 * @param path what errors call the file
 * @throws {Error} when the bytes are no ONNX file, or are cut short, or weights lie in other files
 */
export function parseOnnx(bytes: Uint8Array, path = 'the ONNX model'): OnnxModel {
  let model: OnnxModel;
  try {
    const reader = protobuf.Reader.create(bytes);
    reader.discardUnknown = false; // fields of a later version
    model = ModelProto.decode(reader) as unknown as OnnxModel;
  } catch (error) {
    throw new Error(
      `${path} is no whole ONNX file (${bytes.length} bytes, ${(error as Error).message}): fetch it again`,
      {
        cause: error,
      },
    );
  }
  if (!model.graph || toNumber(model.irVersion) < 1)
    throw new Error(`${path} is no ONNX file: found no ${model.graph ? 'version' : 'graph'} in ${bytes.length} bytes`);
  const outside = model.graph.initializer.find(({ dataLocation }) => dataLocation === 1);
  if (outside) throw new Error(`${path} keeps the weights ${outside.name} in another file: save the model as one file`);
  return model;
}

/** The bytes of a model: the same for the same model. */
export function onnxBytes(model: OnnxModel): Uint8Array {
  return ModelProto.encode(model).finish();
}
