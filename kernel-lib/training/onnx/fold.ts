import { type OnnxModel, type OnnxNode, type OnnxTensor, dataTypes, toNumber, typeName } from './file.ts';

/**
 * A model whose weights are floats where they were kept in bytes: each DequantizeLinear of weights becomes the weights that it gives.
 *
 * onnxruntime computes them again at each run: without, MobileNet with weights in bytes takes 1.5 times as long. The result is the same to the bit.
 * Those in blocks, or that are no whole tensors of bytes, stay as they are.
 */
export function withFloatWeights(model: OnnxModel): OnnxModel {
  const { graph } = model;
  if (!graph) return model;
  const weights = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const made: OnnxTensor[] = [];
  const node = graph.node.filter((candidate) => {
    const tensor = candidate.opType === 'DequantizeLinear' ? dequantized(candidate, weights) : undefined;
    if (tensor) made.push(tensor);
    return !tensor;
  });
  return made.length === 0
    ? model
    : { ...model, graph: { ...graph, node, initializer: [...graph.initializer, ...made] } };
}

/** (x − zero) · scale, each scalar or along one axis; undefined where a node is of another kind. */
function dequantized(
  { input, output, attribute }: OnnxNode,
  weights: Map<string | undefined, OnnxTensor>,
): OnnxTensor | undefined {
  const [x, scale, zero] = input.map((name) => weights.get(name));
  const others = attribute.some(({ name }) => name !== 'axis');
  const codes = x && integersOf(x);
  const scales = scale && floatsOf(scale);
  const zeros = zero ? integersOf(zero) : [0];
  if (!x || !codes || !scales || !zeros || others || (input[2] && !zero)) return undefined;
  const dims = (x.dims ?? []).map((length) => toNumber(length));
  const asked = attribute.length > 0 ? toNumber(attribute[0].i) : 1;
  const axis = asked < 0 ? asked + dims.length : asked;
  const each = dims.slice(axis + 1).reduce((product, length) => product * length, 1);
  if (scales.length !== 1 && scales.length !== dims[axis]) return undefined;
  const place = (i: number, length: number): number => (length === 1 ? 0 : Math.floor(i / each) % length);
  const values = Float32Array.from(codes, (code, i) => (code - zeros[place(i, zeros.length)]) * scales[place(i, scales.length)]); // prettier-ignore
  return { name: output[0], dims, dataType: dataTypes['float32'][0], rawData: new Uint8Array(values.buffer) };
}

function integersOf({ dataType, rawData }: OnnxTensor): Uint8Array | Int8Array | undefined {
  const type = typeName(dataType);
  if (!rawData || rawData.length === 0) return undefined;
  if (type === 'uint8') return rawData;
  return type === 'int8' ? new Int8Array(rawData.buffer, rawData.byteOffset, rawData.length) : undefined;
}

function floatsOf({ dataType, rawData, floatData = [] }: OnnxTensor): Float32Array | undefined {
  if (typeName(dataType) !== 'float32') return undefined;
  if (floatData.length > 0) return Float32Array.from(floatData);
  return rawData && rawData.length > 0 ? new Float32Array(Uint8Array.from(rawData).buffer) : undefined;
}
