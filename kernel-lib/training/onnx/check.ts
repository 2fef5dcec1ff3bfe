import {
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
  dataTypes,
  isSet,
  opsetOf,
  parseOnnx,
  toNumber,
  typeName,
} from './file.ts';

/** Versions of the format, and of ONNX's own operators, that are published today. */
const newest = { irVersion: 13, opset: 26 };

/** Which field holds an attribute's value, by the number of its type. */
const attributeFields: Record<number, keyof OnnxAttribute> = {
  1: 'f',
  2: 'i',
  3: 's',
  4: 't',
  5: 'g',
  6: 'floats',
  7: 'ints',
  8: 'strings',
  9: 'tensors',
  10: 'graphs',
};

/** Which list may hold numbers of a type, where `rawData` does not. */
const listsOf: Record<string, keyof OnnxTensor> = {
  float32: 'floatData',
  complex64: 'floatData',
  float64: 'doubleData',
  complex128: 'doubleData',
  int64: 'int64Data',
  uint32: 'uint64Data',
  uint64: 'uint64Data',
  string: 'stringData',
};

const allLists = ['rawData', 'floatData', 'int32Data', 'int64Data', 'uint64Data', 'doubleData', 'stringData'] as const;

/**
 * Whether a model is sound in its structure: versions, names made once and before they are used, weights as long as their shapes say, inputs and outputs
 * declared and made.
 *
 * Operators themselves, and the shapes between them, are judged by the runtime that opens the model.
 *
 * @param model a model, or the bytes of its file
 * @returns one line a fault, each with what is wrong and where; empty for a sound model
 * @throws {Error} when the bytes are no ONNX file
 */
export function checkOnnx(model: OnnxModel | Uint8Array): string[] {
  const read = model instanceof Uint8Array ? parseOnnx(model) : model;
  const faults = versionFaults(read);
  if (!read.graph) return [...faults, 'the model has no graph'];
  return [...faults, ...graphFaults(read.graph, 'the graph', undefined, domainsOf(read))];
}

function domainsOf({ opsetImport }: OnnxModel): Set<string> {
  return new Set(opsetImport.map(({ domain = '' }) => (domain === 'ai.onnx' ? '' : domain)));
}

function versionFaults(model: OnnxModel): string[] {
  const faults: string[] = [];
  const [irVersion, opset] = [toNumber(model.irVersion), opsetOf(model)];
  if (irVersion < 3 || irVersion > newest.irVersion)
    faults.push(`the model has IR version ${irVersion}: expected 3 to ${newest.irVersion}`);
  if (model.opsetImport.length === 0) faults.push('the model imports no operator set');
  else if (domainsOf(model).has('') && (opset < 1 || opset > newest.opset))
    faults.push(`the model imports operator set ${opset}: expected 1 to ${newest.opset}`);
  const keys = (model.metadataProps ?? []).map(({ key = '' }) => key);
  return [...faults, ...twice(keys).map((key) => `the model has the metadata ${key} twice`)];
}

function twice(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, i) => names.indexOf(name) < i))];
}

/** @param outer names that a graph around this one makes; none around the main one, which alone must declare types and shapes */
function graphFaults(
  graph: OnnxGraph,
  where: string,
  outer: ReadonlySet<string> | undefined,
  domains: Set<string>,
): string[] {
  const faults = graph.name ? [] : [`${where} has no name`];
  const initializers = graph.initializer.map(({ name = '' }) => name);
  const sparse = (graph.sparseInitializer ?? []).map(({ values }) => values?.name ?? '');
  const inputs = graph.input.map(({ name = '' }) => name);
  for (const name of twice(inputs)) faults.push(`${where} has the input ${name} twice`);
  for (const name of twice([...initializers, ...sparse])) faults.push(`${where} has the weights ${name} twice`);
  for (const tensor of graph.initializer)
    faults.push(...tensorFaults(tensor, `weights ${tensor.name || 'without a name'}`, true));
  for (const value of graph.input) faults.push(...valueFaults(value, 'input', !outer));
  const made = new Set([...(outer ?? []), ...inputs, ...initializers, ...sparse]);
  for (const [i, node] of graph.node.entries()) faults.push(...nodeFaults(node, i, made, domains));
  if (graph.output.length === 0) faults.push(`${where} has no output`);
  for (const value of graph.output) {
    faults.push(...valueFaults(value, 'output', !outer));
    if (value.name && !made.has(value.name)) faults.push(`output ${value.name} is made by no node`);
  }
  for (const name of twice(graph.output.map((value) => value.name ?? '')))
    faults.push(`${where} has the output ${name} twice`);
  return faults;
}

/** Checks a node, and adds what it makes to `made`. */
function nodeFaults(node: OnnxNode, index: number, made: Set<string>, domains: Set<string>): string[] {
  const where = `node ${index} (${[node.opType, node.name].filter(Boolean).join(' ') || 'without an operator'})`;
  const faults = node.opType ? [] : [`${where} names no operator`];
  const domain = node.domain === 'ai.onnx' ? '' : (node.domain ?? '');
  if (!domains.has(domain))
    faults.push(`${where} is of the domain ${domain || 'ai.onnx'}, which the model does not import`);
  if (node.input.length + node.output.length === 0) faults.push(`${where} has neither input nor output`);
  for (const name of node.input) {
    if (name && !made.has(name)) faults.push(`${where} takes ${name}, which nothing before it makes`);
  }
  for (const name of node.output) {
    if (name && made.has(name)) faults.push(`${where} makes ${name} once more`);
  }
  for (const name of twice(node.attribute.map((attribute) => attribute.name ?? '')))
    faults.push(`${where} has the attribute ${name} twice`);
  for (const attribute of node.attribute) faults.push(...attributeFaults(attribute, where, made, domains));
  for (const name of node.output) if (name) made.add(name);
  return faults;
}

function attributeFaults(attribute: OnnxAttribute, where: string, made: Set<string>, domains: Set<string>): string[] {
  const { name, type = 0, refAttrName, t, g, graphs = [] } = attribute;
  if (!name) return [`${where} has an attribute without a name`];
  const faults: string[] = [];
  const held = Object.values(attributeFields).filter((field) => isFilled(attribute, field));
  const expected = attributeFields[type];
  if (type === 0) faults.push(`${where}: attribute ${name} has no type`);
  if (!refAttrName && expected && held.some((field) => field !== expected))
    faults.push(`${where}: attribute ${name} says that it is in ${expected}, and is in ${held.join(', ')}`);
  if (!refAttrName && expected && held.length === 0 && !expected.endsWith('s'))
    faults.push(`${where}: attribute ${name} has no value`);
  if (t && isSet(attribute, 't')) faults.push(...tensorFaults(t, `${where}: attribute ${name}`, false));
  for (const inner of [...(g ? [g] : []), ...graphs])
    faults.push(...graphFaults(inner, `the graph ${name} of ${where}`, made, domains));
  return faults;
}

function isFilled(message: OnnxAttribute | OnnxTensor, field: string): boolean {
  const value = (message as Record<string, unknown>)[field] as { length?: number } | null | undefined;
  if (Array.isArray(value)) return value.length > 0;
  return Object.hasOwn(message, field) && value !== undefined && value !== null;
}

function tensorFaults(tensor: OnnxTensor, where: string, needsName: boolean): string[] {
  if (needsName && !tensor.name) return [`${where}: every tensor of weights needs one`];
  const type = typeName(tensor.dataType);
  if (!(type in dataTypes)) return [`${where}: no type of elements is numbered ${tensor.dataType ?? 0}`];
  const dims = (tensor.dims ?? []).map((length) => toNumber(length)); // a copy of a scalar's tensor has none
  if (dims.some((length) => length < 0)) return [`${where}: a shape of ${dims.join(' × ')}`];
  const held = allLists.filter((list) => isFilled(tensor, list) && (tensor[list] as { length: number }).length > 0);
  const count = dims.reduce((product, length) => product * length, 1);
  if (held.length !== Number(count > 0))
    return [
      `${where}: ${count} elements, found ${held.length === 0 ? 'no values' : `values in ${held.join(' and ')}`}`,
    ];
  return count === 0 ? [] : lengthFaults(tensor, where, type, count, held[0]);
}

function lengthFaults(
  tensor: OnnxTensor,
  where: string,
  type: string,
  count: number,
  held: (typeof allLists)[number],
): string[] {
  const found = (tensor[held] as { length: number }).length;
  if (held === 'rawData') {
    if (type === 'string') return [`${where}: strings cannot lie in rawData`];
    const bytes = Math.ceil(count * dataTypes[type][1]);
    return found === bytes ? [] : [`${where}: ${found} bytes, where ${count} elements of ${type} take ${bytes}`];
  }
  const list = listsOf[type] ?? 'int32Data';
  if (held !== list) return [`${where}: elements of ${type} lie in ${held}, expected ${list}`];
  const values = type.startsWith('complex') ? 2 * count : Math.ceil(count * (type.endsWith('int4') ? 0.5 : 1));
  return found === values ? [] : [`${where}: ${found} values, where its shape asks for ${values}`];
}

function valueFaults(value: OnnxValue, what: 'input' | 'output', isMain: boolean): string[] {
  const { name, type } = value;
  if (!name) return [`an ${what} has no name`];
  if (!isMain) return [];
  if (!type || !isSet(value, 'type')) return [`${what} ${name} has no type`];
  const { tensorType } = type;
  if (!tensorType || !isSet(type, 'tensorType')) return []; // a sequence or a map
  const element = typeName(tensorType.elemType);
  if (!(element in dataTypes)) return [`${what} ${name}: no type of elements is numbered ${tensorType.elemType ?? 0}`];
  if (!isSet(tensorType, 'shape')) return [`${what} ${name} declares no shape`];
  const negative = (tensorType.shape?.dim ?? []).find((dim) => isSet(dim, 'dimValue') && toNumber(dim.dimValue) < 0);
  return negative ? [`${what} ${name} declares a length of ${toNumber(negative.dimValue)}`] : [];
}
