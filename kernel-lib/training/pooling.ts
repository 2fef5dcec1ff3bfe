import { backend_util, type KernelFunc, type TensorInfo } from '@tensorflow/tfjs-core';
import { views, type WasmBackend } from './wasm.ts';

interface PoolAttributes {
  filterSize: [number, number] | number;
  strides: [number, number] | number;
  pad: 'same' | 'valid' | number | backend_util.ExplicitPadding;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/**
 * Kernel `MaxPoolGrad`: each window's gradient goes to its first largest input.
 *
 * The backend's own starts its search at the smallest positive number, so that windows whose maximum is zero or less get no gradient at all.
 */
export const maxPoolGradient: KernelFunc = ({ inputs, backend, attrs }) => {
  const { dy, input } = inputs as { dy: TensorInfo; input: TensorInfo };
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as PoolAttributes;
  const shape = input.shape as [number, number, number, number];
  const pool = backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode);
  const heap = backend as WasmBackend;
  const out = heap.makeOutput(shape, 'float32');
  const [xs, dys, result] = views(heap, input, dy, out);
  routeToLargest(pool, xs, dys, result.fill(0));
  return out;
};

function routeToLargest(
  pool: backend_util.Conv2DInfo,
  xs: Float32Array,
  dys: Float32Array,
  result: Float32Array,
): void {
  const { batchSize, inHeight, inWidth, outHeight, outWidth, inChannels: bands, padInfo } = pool;
  const largest = new Float32Array(bands);
  const place = new Int32Array(bands);
  let from = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let outRow = 0; outRow < outHeight; outRow++) {
      for (let outCol = 0; outCol < outWidth; outCol++, from += bands) {
        largest.fill(-Infinity);
        place.fill(-1);
        const [top, left] = [outRow * pool.strideHeight - padInfo.top, outCol * pool.strideWidth - padInfo.left];
        const [bottom, right] = [
          Math.min(inHeight, top + pool.filterHeight),
          Math.min(inWidth, left + pool.filterWidth),
        ];
        for (let row = Math.max(0, top); row < bottom; row++) {
          for (let col = Math.max(0, left); col < right; col++) {
            const pixel = ((image * inHeight + row) * inWidth + col) * bands;
            for (let band = 0; band < bands; band++) {
              if (xs[pixel + band] <= largest[band]) continue;
              largest[band] = xs[pixel + band];
              place[band] = pixel + band;
            }
          }
        }
        for (let band = 0; band < bands; band++) if (place[band] >= 0) result[place[band]] += dys[from + band];
      }
    }
  }
}
