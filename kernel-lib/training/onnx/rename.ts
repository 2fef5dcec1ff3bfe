import type { OnnxGraph, OnnxModel, OnnxNode } from './file.ts';

/** A copy of a model's graph in which every name begins with `prefix`, those in the bodies of its loops and branches too; weights are shared. */
export function prefixed({ graph }: OnnxModel, prefix: string): OnnxGraph {
  if (!graph) throw new TypeError('the model has no graph');
  return renamed(graph, (name) => (name ? prefix + name : ''));
}

function renamed(graph: OnnxGraph, rename: (name?: string) => string): OnnxGraph {
  const withName = <Named extends { name?: string }>(item: Named): Named => ({ ...item, name: rename(item.name) });
  return {
    ...graph,
    node: graph.node.map((node) => renamedNode(node, rename)),
    initializer: graph.initializer.map(withName),
    sparseInitializer: (graph.sparseInitializer ?? []).map(({ values, ...indices }) => ({
      ...indices,
      ...(values && { values: withName(values) }),
    })),
    input: graph.input.map(withName),
    output: graph.output.map(withName),
    valueInfo: (graph.valueInfo ?? []).map(withName),
    quantizationAnnotation: [], // it names values for tools that quantise, and changes no result
  };
}

function renamedNode(node: OnnxNode, rename: (name?: string) => string): OnnxNode {
  return {
    ...node,
    name: rename(node.name),
    input: node.input.map(rename),
    output: node.output.map(rename),
    attribute: node.attribute.map(({ g, graphs, ...rest }) => ({
      ...rest,
      ...(g && { g: renamed(g, rename) }),
      ...(graphs && graphs.length > 0 && { graphs: graphs.map((inner) => renamed(inner, rename)) }),
    })),
  };
}
