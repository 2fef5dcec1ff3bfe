/** One product in onnxruntime: a matrix of vectors times one of them, on all cores, where JavaScript takes one number at a time. */
import { availableParallelism } from 'node:os';
import { type OnnxDimension, type OnnxModel, type OnnxValue, dataTypes, onnxBytes } from './file.ts';
import { type RuntimeOptions, RuntimeMissingError, loadRuntime, openWith } from './session.ts';

/** The dot products of a vector with the rows of a matrix. @param values `[n, width]`, not in shared memory @returns `[n]` */
export type Products = (values: Float32Array, query: Float32Array) => Promise<Float32Array>;

/**
 * Opens the product of a matrix and a vector of any size.
 *
 * @returns `undefined` where onnxruntime-node does not load on this machine
 */
export async function openProducts({ threads = availableParallelism(), load = () => import('onnxruntime-node') }: RuntimeOptions = {}): Promise<Products | undefined> {
  const runtime = await loadRuntime(load).catch((error: unknown) => {
    if (error instanceof RuntimeMissingError) return undefined;
    throw error;
  });
  if (!runtime) return undefined;
  const session = await openWith(runtime, onnxBytes(product()), 'the product of a matrix and a vector', threads);
  return async (values, query) => {
    const width = query.length;
    const matrix = new runtime.Tensor('float32', values, [values.length / width, width]);
    const vector = new runtime.Tensor('float32', query, [width, 1]);
    const { scores } = await session.run({ matrix, vector });
    return scores.data as Float32Array;
  };
} // prettier-ignore

function product(): OnnxModel {
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'products',
      node: [{ name: 'product', opType: 'MatMul', input: ['matrix', 'vector'], output: ['scores'], attribute: [] }],
      initializer: [],
      input: [value('matrix', { dimParam: 'n' }, { dimParam: 'width' }), value('vector', { dimParam: 'width' }, { dimValue: 1 })],
      output: [value('scores', { dimParam: 'n' }, { dimValue: 1 })],
    },
  }; // prettier-ignore
}

function value(name: string, ...dim: OnnxDimension[]): OnnxValue {
  return { name, type: { tensorType: { elemType: dataTypes.float32[0], shape: { dim } } } };
}
