/**
 * Gradients of convolutions and depthwise convolutions for the wasm backend, from the convolutions that it has.
 *
 * Input: an input pixel's gradient gathers, from a filter flipped in both axes, those taps that met it. Under stride s they are every s-th tap, and which
 * ones depends on the pixel's position modulo s. So there are s × s small convolutions by a step of one, one for each phase, interleaved at the end.
 *
 * Filter: swap images and bands, and the gradient is itself a convolution, of the input by the output's gradient, whose taps are s apart.
 *
 * @see Dumoulin & Visin 2016, A guide to convolution arithmetic, arXiv:1603.07285
 */
import { backend_util, type KernelFunc, type TensorInfo } from '@tensorflow/tfjs-core';
import {
  beside,
  convolve,
  cropped,
  matrixProduct,
  reshaped,
  transpose,
  views,
  withScratch,
  type Margins,
  type WasmBackend,
} from './wasm.ts';

type Geometry = backend_util.Conv2DInfo;
type Quad = [number, number, number, number];

interface ConvolutionAttributes {
  strides: [number, number] | number;
  pad: 'same' | 'valid' | number | backend_util.ExplicitPadding;
  dataFormat?: string;
  dilations?: [number, number] | number;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  inputShape?: Quad;
  filterShape?: Quad;
}

/** One axis of one phase: the filter taps that meet it, and the margins of the output's gradient. */
interface Phase {
  firstTap: number;
  taps: number;
  margins: [number, number];
}

function geometryOf(input: number[], filter: number[], attrs: ConvolutionAttributes, depthwise: boolean): Geometry {
  const { strides, pad, dimRoundingMode, dilations = 1, dataFormat = 'NHWC' } = attrs;
  const geometry = backend_util.computeConv2DInfo(
    input as Quad,
    filter as Quad,
    strides,
    dilations,
    pad,
    dimRoundingMode,
    depthwise,
  );
  const { dilationHeight, dilationWidth } = geometry;
  if (dataFormat !== 'NHWC')
    throw new RangeError(`convolution gradients on wasm take NHWC, got ${dataFormat}: move the bands last`);
  if (dilationHeight !== 1 || dilationWidth !== 1) {
    throw new RangeError(
      `convolution gradients on wasm take dilation 1, got ${dilationHeight} × ${dilationWidth}: use a larger filter or a pooling layer`,
    );
  }
  if (depthwise && filter[3] !== 1) {
    throw new RangeError(
      `depthwise gradients on wasm take one filter a band, got ${filter[3]}: follow with a 1 × 1 convolution instead`,
    );
  }
  return geometry;
}

/** Which taps meet the inputs `phase, phase + stride, …` (`count` of them), and where the first of them begins in the output. */
function phaseOf(
  phase: number,
  stride: number,
  pad: number,
  filterLength: number,
  count: number,
  outLength: number,
): Phase {
  const firstTap = (phase + pad) % stride;
  const shift = Math.floor((phase + pad) / stride);
  const taps = firstTap < filterLength ? Math.floor((filterLength - 1 - firstTap) / stride) + 1 : 0;
  return { firstTap, taps, margins: [taps - 1 - shift, count + shift - outLength] };
}

/** The filter's taps of one phase, flipped in both axes; `swap` also exchanges input and output bands. */
function phaseFilter(
  backend: WasmBackend,
  filter: TensorInfo,
  strides: [number, number],
  phases: [Phase, Phase],
  swap: boolean,
): TensorInfo {
  const [, cols, bands, outBands] = filter.shape;
  const [rowPhase, colPhase] = phases;
  const shape = [rowPhase.taps, colPhase.taps, ...(swap ? [outBands, bands] : [bands, outBands])];
  const out = backend.makeOutput(shape, 'float32');
  const [from, to] = views(backend, filter, out);
  let at = 0;
  for (let row = rowPhase.taps - 1; row >= 0; row--) {
    for (let col = colPhase.taps - 1; col >= 0; col--, at += bands * outBands) {
      const tap = (rowPhase.firstTap + strides[0] * row) * cols + colPhase.firstTap + strides[1] * col;
      const values = from.subarray(tap * bands * outBands, (tap + 1) * bands * outBands);
      if (!swap) to.set(values, at);
      else
        for (let i = 0; i < bands; i++)
          for (let o = 0; o < outBands; o++) to[at + o * bands + i] = values[i * outBands + o];
    }
  }
  return out;
}

function zeros(backend: WasmBackend, shape: number[]): TensorInfo {
  const out = backend.makeOutput(shape, 'float32');
  backend.typedArrayFromHeap(out).fill(0);
  return out;
}

/** Gradient of the inputs of one phase, `[image, rows, cols, band]`. */
function phaseGradient(
  backend: WasmBackend,
  dy: TensorInfo,
  filter: TensorInfo,
  geometry: Geometry,
  phases: [Phase, Phase],
  size: [number, number],
): TensorInfo {
  if (phases[0].taps === 0 || phases[1].taps === 0) return zeros(backend, [dy.shape[0], ...size, geometry.inChannels]);
  const depthwise = filter.shape[3] !== geometry.outChannels; // with one band both are the same sum
  const strides: [number, number] = [geometry.strideHeight, geometry.strideWidth];
  return withScratch(backend, (own) => {
    const part = own(phaseFilter(backend, filter, strides, phases, !depthwise));
    const margins: Margins = [phases[0].margins, phases[1].margins];
    return convolve(depthwise ? 'DepthwiseConv2dNative' : 'Conv2D', backend, dy, part, margins);
  });
}

/** Every phase's gradient, in the order of its row and then its column. */
function phaseGradients(
  backend: WasmBackend,
  dy: TensorInfo,
  filter: TensorInfo,
  geometry: Geometry,
  size: [number, number],
): TensorInfo[] {
  const { strideHeight, strideWidth, padInfo, filterHeight, filterWidth, outHeight, outWidth } = geometry;
  const parts: TensorInfo[] = [];
  for (let row = 0; row < strideHeight; row++) {
    for (let col = 0; col < strideWidth; col++) {
      const rows = phaseOf(row, strideHeight, padInfo.top, filterHeight, size[0], outHeight);
      const cols = phaseOf(col, strideWidth, padInfo.left, filterWidth, size[1], outWidth);
      parts.push(phaseGradient(backend, dy, filter, geometry, [rows, cols], size));
    }
  }
  return parts;
}

/** Phases interleaved by two concatenations: the same as DepthToSpace, which is ten times slower on wasm. */
function interleaved(
  backend: WasmBackend,
  parts: TensorInfo[],
  strides: [number, number],
  [rows, cols]: [number, number],
): TensorInfo {
  const [images, , , bands] = parts[0].shape;
  const whole = withScratch(backend, (own) => {
    const lines = Array.from({ length: strides[0] }, (_, row) => {
      const line = parts.slice(row * strides[1], (row + 1) * strides[1]).map(own);
      return own(beside(backend, line, images * rows * cols));
    });
    return beside(backend, lines, images * rows);
  });
  return reshaped(whole, [images, rows * strides[0], cols * strides[1], bands]);
}

function inputGradient(backend: WasmBackend, dy: TensorInfo, filter: TensorInfo, geometry: Geometry): TensorInfo {
  const { strideHeight, strideWidth, inHeight, inWidth } = geometry;
  const size: [number, number] = [Math.ceil(inHeight / strideHeight), Math.ceil(inWidth / strideWidth)];
  const parts = phaseGradients(backend, dy, filter, geometry, size);
  if (parts.length === 1) return parts[0];
  const whole = interleaved(backend, parts, [strideHeight, strideWidth], size);
  if (whole.shape[1] === inHeight && whole.shape[2] === inWidth) return whole;
  return withScratch(backend, (own) => cropped(backend, own(whole), [0, 0], [inHeight, inWidth]));
}

/** Gradient of a 1 × 1 filter: inputᵀ `[band, pixel]` × output gradient `[pixel, out]`. */
function pointFilterGradient(backend: WasmBackend, x: TensorInfo, dy: TensorInfo): TensorInfo {
  const [bands, outBands] = [x.shape[3], dy.shape[3]];
  const pixels = x.shape[0] * x.shape[1] * x.shape[2];
  return withScratch(backend, (own) => {
    const xt = own(transpose(backend, reshaped(x, [pixels, bands]), [1, 0]));
    return matrixProduct(backend, reshaped(xt, [1, bands, pixels]), reshaped(dy, [1, pixels, outBands]));
  });
}

/** Gradient of a filter: input `[band, row, col, image]`, convolved by the output's gradient `[row, col, image, out]`, its taps a stride apart. */
function spatialFilterGradient(backend: WasmBackend, x: TensorInfo, dy: TensorInfo, geometry: Geometry): TensorInfo {
  const { filterHeight, filterWidth, strideHeight, strideWidth, outHeight, outWidth, padInfo } = geometry;
  const [images, rows, cols, bands] = x.shape;
  const after = (filter: number, out: number, stride: number, length: number, before: number): number =>
    filter + (out - 1) * stride - length - before;
  const margins: Margins = [
    [padInfo.top, after(filterHeight, outHeight, strideHeight, rows, padInfo.top)],
    [padInfo.left, after(filterWidth, outWidth, strideWidth, cols, padInfo.left)],
  ];
  return withScratch(backend, (own) => {
    const xt = own(transpose(backend, reshaped(x, [images, rows * cols, bands]), [2, 1, 0]));
    const dyt = own(transpose(backend, reshaped(dy, [images, outHeight * outWidth, dy.shape[3]]), [1, 0, 2]));
    const taps = reshaped(dyt, [outHeight, outWidth, images, dy.shape[3]]);
    const out = own(
      convolve('Conv2D', backend, reshaped(xt, [bands, rows, cols, images]), taps, margins, [
        strideHeight,
        strideWidth,
      ]),
    );
    return transpose(backend, reshaped(out, [bands, filterHeight * filterWidth, dy.shape[3]]), [1, 0, 2]);
  });
}

/** Kernel `Conv2DBackpropInput`; the backend's own is a naive loop. */
export const convolutionInputGradient: KernelFunc = ({ inputs, backend, attrs }) => {
  const { dy, filter } = inputs as { dy: TensorInfo; filter: TensorInfo };
  const options = attrs as unknown as ConvolutionAttributes;
  return inputGradient(
    backend as WasmBackend,
    dy,
    filter,
    geometryOf(options.inputShape as Quad, filter.shape, options, false),
  );
};

/** Kernel `Conv2DBackpropFilter`, which the backend lacks. */
export const convolutionFilterGradient: KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, dy } = inputs as { x: TensorInfo; dy: TensorInfo };
  const options = attrs as unknown as ConvolutionAttributes;
  const shape = options.filterShape as Quad;
  const geometry = geometryOf(x.shape, shape, options, false);
  const isPoint = [...shape.slice(0, 2), geometry.strideHeight, geometry.strideWidth].every((length) => length === 1);
  const unpadded = geometry.outHeight === x.shape[1] && geometry.outWidth === x.shape[2];
  const heap = backend as WasmBackend;
  return reshaped(
    isPoint && unpadded ? pointFilterGradient(heap, x, dy) : spatialFilterGradient(heap, x, dy, geometry),
    shape,
  );
};

/** Kernel `DepthwiseConv2dNativeBackpropInput`, which the backend lacks. */
export const depthwiseInputGradient: KernelFunc = ({ inputs, backend, attrs }) => {
  const { dy, filter } = inputs as { dy: TensorInfo; filter: TensorInfo };
  const options = attrs as unknown as ConvolutionAttributes;
  return inputGradient(
    backend as WasmBackend,
    dy,
    filter,
    geometryOf(options.inputShape as Quad, filter.shape, options, true),
  );
};

/**
 * Kernel `DepthwiseConv2dNativeBackpropFilter`, which the backend lacks.
 *
 * Direct loops: the work is bound by memory, and this is twenty times faster than StridedSlice, Multiply and Sum.
 */
export const depthwiseFilterGradient: KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, dy } = inputs as { x: TensorInfo; dy: TensorInfo };
  const options = attrs as unknown as ConvolutionAttributes;
  const shape = options.filterShape as Quad;
  const { outHeight, outWidth, strideHeight, strideWidth, padInfo } = geometryOf(x.shape, shape, options, true);
  const heap = backend as WasmBackend;
  const out = heap.makeOutput(shape, 'float32');
  const [xs, dys, result] = views(heap, x, dy, out);
  const [images, rows, cols, bands] = x.shape;
  const sums = new Float64Array(result.length);
  let from = 0;
  for (let image = 0; image < images; image++) {
    for (let outRow = 0; outRow < outHeight; outRow++) {
      for (let outCol = 0; outCol < outWidth; outCol++, from += bands) {
        for (let tapRow = 0; tapRow < shape[0]; tapRow++) {
          const row = outRow * strideHeight - padInfo.top + tapRow;
          if (row < 0 || row >= rows) continue;
          for (let tapCol = 0; tapCol < shape[1]; tapCol++) {
            const col = outCol * strideWidth - padInfo.left + tapCol;
            if (col < 0 || col >= cols) continue;
            const pixel = ((image * rows + row) * cols + col) * bands;
            const tap = (tapRow * shape[1] + tapCol) * bands;
            for (let band = 0; band < bands; band++) sums[tap + band] += xs[pixel + band] * dys[from + band];
          }
        }
      }
    }
  }
  result.set(sums);
  return out;
};
