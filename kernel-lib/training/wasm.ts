import { getKernel, type DataType, type NamedAttrMap, type TensorInfo } from '@tensorflow/tfjs-core';

/** What the gradient kernels need of the wasm backend: memory in its heap. */
export interface WasmBackend {
  /** A new tensor, its values not yet set. */
  makeOutput(shape: number[], dtype: DataType): TensorInfo;
  /** A view of a tensor's values; stale as soon as anything is allocated, for the heap may move when it grows. */
  typedArrayFromHeap(tensor: TensorInfo): Float32Array;
  disposeData(dataId: TensorInfo['dataId']): boolean;
}

/** Zero rows and columns added around an image: `[[top, bottom], [left, right]]`; a negative number crops. */
export type Margins = [rows: [number, number], cols: [number, number]];

/** Product of a shape's sizes: the number of values in the tensor. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1);
}

/** The same values under another shape. The two share their memory: free one of them. */
export function reshaped(tensor: TensorInfo, shape: number[]): TensorInfo {
  return { dataId: tensor.dataId, shape, dtype: tensor.dtype };
}

/**
 * Views of several tensors at once, all valid until the next allocation.
 *
 * Each tensor is touched before the first view is kept: one that still lies in another backend is moved here, which allocates.
 */
export function views(backend: WasmBackend, ...tensors: TensorInfo[]): Float32Array[] {
  for (const tensor of tensors) backend.typedArrayFromHeap(tensor);
  return tensors.map((tensor) => backend.typedArrayFromHeap(tensor));
}

/** Runs `work`, then frees every tensor that it handed to `own`, also when it throws. */
export function withScratch<Result>(
  backend: WasmBackend,
  work: (own: (tensor: TensorInfo) => TensorInfo) => Result,
): Result {
  const owned: TensorInfo[] = [];
  try {
    return work((tensor) => {
      owned.push(tensor);
      return tensor;
    });
  } finally {
    for (const { dataId } of owned) backend.disposeData(dataId);
  }
}

/**
 * Calls a kernel that the wasm backend has.
 *
 * @throws {Error} when this release of the backend lacks it
 */
export function runKernel(
  name: string,
  backend: WasmBackend,
  inputs: Record<string, TensorInfo> | TensorInfo[],
  attrs: Record<string, unknown> = {},
): TensorInfo {
  const kernel = getKernel(name, 'wasm');
  if (!kernel) throw new Error(`the wasm backend has no kernel ${name}: install @tensorflow/tfjs-backend-wasm 4.22.0`);
  return kernel.kernelFunc({
    inputs: inputs as Record<string, TensorInfo>,
    backend,
    attrs: attrs as NamedAttrMap,
  }) as TensorInfo;
}

/** Axes reordered: output axis `i` is input axis `perm[i]`. */
export function transpose(backend: WasmBackend, x: TensorInfo, perm: number[]): TensorInfo {
  return runKernel('Transpose', backend, { x }, { perm });
}

/** Tensors of equal shape `[rows, …]` laid side by side along the second axis. */
export function beside(backend: WasmBackend, tensors: readonly TensorInfo[], rows: number): TensorInfo {
  const flat = tensors.map((tensor) => reshaped(tensor, [rows, sizeOf(tensor.shape) / rows]));
  return runKernel('Concat', backend, flat, { axis: 1 });
}

/** `[1, rows, inner] × [1, inner, cols]`; XNNPACK is fast only where neither factor is transposed. */
export function matrixProduct(backend: WasmBackend, a: TensorInfo, b: TensorInfo): TensorInfo {
  return runKernel('BatchMatMul', backend, { a, b }, { transposeA: false, transposeB: false });
}

/** The first `rows × cols` pixels from `(top, left)` of `[image, row, col, band]`. */
export function cropped(
  backend: WasmBackend,
  x: TensorInfo,
  [top, left]: [number, number],
  [rows, cols]: [number, number],
): TensorInfo {
  return runKernel('Slice', backend, { x }, { begin: [0, top, left, 0], size: [x.shape[0], rows, cols, x.shape[3]] });
}

/**
 * Convolution of `[image, row, col, band]` by a step of one, with margins that may be negative.
 *
 * @param kernel `Conv2D` or `DepthwiseConv2dNative`
 * @param spread distance between neighbouring filter taps, `[rows, cols]`
 */
export function convolve(
  kernel: 'Conv2D' | 'DepthwiseConv2dNative',
  backend: WasmBackend,
  x: TensorInfo,
  filter: TensorInfo,
  margins: Margins,
  spread: [number, number] = [1, 1],
): TensorInfo {
  return withScratch(backend, (own) => {
    const [[top, bottom], [left, right]] = margins.map((ends) => ends.map((end) => Math.max(0, -end)));
    const isCropped = top + bottom + left + right > 0;
    const input = isCropped
      ? own(cropped(backend, x, [top, left], [x.shape[1] - top - bottom, x.shape[2] - left - right]))
      : x;
    const [rows, cols] = margins.map((ends) => ends.map((end) => Math.max(0, end)));
    const attrs = { strides: [1, 1], pad: [[0, 0], rows, cols, [0, 0]], dataFormat: 'NHWC', dilations: spread };
    return runKernel(kernel, backend, { x: input, filter }, attrs);
  });
}
