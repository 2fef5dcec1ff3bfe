import * as tf from '@tensorflow/tfjs-core';
import type { GradConfig, KernelFunc, TensorInfo } from '@tensorflow/tfjs-core';
import { matrixProduct, sizeOf, transpose, views, withScratch, type WasmBackend } from './wasm.ts';

/** Sums over the first `count` axes into `[…inner]`, times `factor`; null where `axis` names others, which the backend's own kernel does. */
function overLeadingAxes(
  heap: WasmBackend,
  x: TensorInfo,
  attrs: { axis: number | number[]; keepDims: boolean },
  mean: boolean,
): TensorInfo | null {
  const axes = tf.util.parseAxisParam(attrs.axis, x.shape).sort((a, b) => a - b);
  const leading = axes.length > 0 && axes.length < x.shape.length && axes.every((axis, i) => axis === i);
  if (!leading || x.dtype !== 'float32') return null;
  const inner = x.shape.slice(axes.length);
  const out = heap.makeOutput(attrs.keepDims ? [...axes.map(() => 1), ...inner] : inner, 'float32');
  const [from, to] = views(heap, x, out);
  const [rows, width] = [sizeOf(x.shape.slice(0, axes.length)), sizeOf(inner)];
  const sums = new Float64Array(width);
  for (let row = 0, at = 0; row < rows; row++) for (let col = 0; col < width; col++) sums[col] += from[at++];
  if (mean) for (let col = 0; col < width; col++) sums[col] /= rows;
  to.set(sums);
  return out;
}

/** Kernels `Sum` and `Mean`, quick over leading axes (biases, batch statistics): the backend's own transposes first. */
export function leadingAxesReduction(original: KernelFunc, mean: boolean): KernelFunc {
  return (call) => {
    const { x } = call.inputs as { x: TensorInfo };
    const attrs = call.attrs as unknown as { axis: number | number[]; keepDims: boolean };
    return overLeadingAxes(call.backend as WasmBackend, x, attrs, mean) ?? original(call);
  };
}

/** Kernel `UnsortedSegmentSum`, which the backend lacks: the gradient of gathering rows. Rows of a negative segment are left out, as TensorFlow does. */
export const segmentSum: KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const { numSegments } = attrs as { numSegments: number };
  const heap = backend as WasmBackend;
  const inner = x.shape.slice(segmentIds.shape.length);
  const width = sizeOf(inner);
  const out = heap.makeOutput([numSegments, ...inner], x.dtype);
  const [from, segments, to] = views(heap, x, segmentIds, out);
  to.fill(0);
  for (const [row, segment] of segments.entries()) {
    if (segment < 0) continue;
    for (let col = 0; col < width; col++) to[segment * width + col] += from[row * width + col];
  }
  return out;
};

/** Kernel `BatchMatMul`, transposing one matrix first where asked: the backend's own is slow at products of transposed ones. */
export function transposedProduct(original: KernelFunc): KernelFunc {
  return (call) => {
    const { a, b } = call.inputs as { a: TensorInfo; b: TensorInfo };
    const { transposeA, transposeB } = call.attrs as { transposeA: boolean; transposeB: boolean };
    const single = a.shape.length === 3 && a.shape[0] === 1 && b.shape[0] === 1 && a.dtype === 'float32';
    if (!single || (!transposeA && !transposeB)) return original(call);
    const heap = call.backend as WasmBackend;
    return withScratch(heap, (own) => {
      const left = transposeA ? own(transpose(heap, a, [0, 2, 1])) : a;
      const right = transposeB ? own(transpose(heap, b, [0, 2, 1])) : b;
      return matrixProduct(heap, left, right);
    });
  };
}

/** Gradient of `FusedBatchNorm` by broadcasting; tfjs-core's own copies with `tile`, which is very slow on wasm. The formulas are the same. */
export const batchNormGradient: GradConfig = {
  kernelName: 'FusedBatchNorm',
  inputsToSave: ['x', 'mean', 'variance', 'scale'],
  gradFunc: (dy, saved, attrs) => {
    const [x, mean, variance, scale = tf.scalar(1)] = saved.map((tensor) => tensor ?? undefined);
    const axes = Array.from({ length: x.rank - mean.rank }, (_, axis) => axis);
    const reduced = (tensor: tf.Tensor): tf.Tensor => (axes.length > 0 ? tf.sum(tensor, axes) : tensor);
    const inverse = tf.rsqrt(tf.add(variance, attrs['varianceEpsilon'] as number));
    const factor = tf.mul(inverse, scale);
    const sum = reduced(dy as tf.Tensor);
    const product = reduced(tf.mul(dy as tf.Tensor, tf.sub(x, mean)));
    return {
      x: () => tf.mul(dy as tf.Tensor, factor),
      mean: () => tf.mul(tf.neg(factor), sum),
      variance: () => tf.mul(tf.mul(tf.mul(tf.square(inverse), factor), -0.5), product),
      scale: () => tf.mul(inverse, product),
      offset: () => tf.clone(sum),
    };
  },
};
