/** The gradient kernels that @tensorflow/tfjs-backend-wasm 4.22.0 lacks, has wrong, or has slow. */
import {
  getGradient,
  getKernel,
  registerGradient,
  registerKernel,
  unregisterGradient,
  unregisterKernel,
  type KernelFunc,
} from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-layers'; // registers tfjs-core's gradients: ours must come after
import {
  convolutionFilterGradient,
  convolutionInputGradient,
  depthwiseFilterGradient,
  depthwiseInputGradient,
} from './convolution.ts';
import { maxPoolGradient } from './pooling.ts';
import { batchNormGradient, leadingAxesReduction, segmentSum, transposedProduct } from './reduction.ts';

const mark: unique symbol = Symbol.for('imagesim.gradient');

/** Each kernel by its name, made from the one that stood there before. */
const kernels: Record<string, (original: KernelFunc) => KernelFunc> = {
  Conv2DBackpropFilter: () => convolutionFilterGradient,
  Conv2DBackpropInput: () => convolutionInputGradient,
  DepthwiseConv2dNativeBackpropFilter: () => depthwiseFilterGradient,
  DepthwiseConv2dNativeBackpropInput: () => depthwiseInputGradient,
  MaxPoolGrad: () => maxPoolGradient,
  UnsortedSegmentSum: () => segmentSum,
  BatchMatMul: transposedProduct,
  Sum: (original) => leadingAxesReduction(original, false),
  Mean: (original) => leadingAxesReduction(original, true),
};

/**
 * Registers the gradient kernels with tfjs, for its wasm backend. To be called once that backend's package is loaded; a second call changes nothing,
 * except that it puts back what a package loaded since has overwritten (`@tensorflow/tfjs`, which danfojs-node loads, registers all gradients anew).
 *
 * Convolutions: NHWC, dilation 1; depthwise with one filter a band. The gradient of batch normalisation is replaced for every backend, by the same formulas.
 */
export function registerGradientKernels(): void {
  for (const [kernelName, make] of Object.entries(kernels)) replaceKernel(kernelName, make);
  if (getGradient(batchNormGradient.kernelName) === batchNormGradient) return;
  if (getGradient(batchNormGradient.kernelName)) unregisterGradient(batchNormGradient.kernelName);
  registerGradient(batchNormGradient);
}

function replaceKernel(kernelName: string, make: (original: KernelFunc) => KernelFunc): void {
  const backendName = 'wasm';
  const before = getKernel(kernelName, backendName);
  if (before && mark in before) return;
  if (before) unregisterKernel(kernelName, backendName);
  const config = { ...before, kernelName, backendName, kernelFunc: make(before?.kernelFunc), [mark]: true };
  registerKernel(config); // with the old kernel's setup, which binds it to its wasm function: some of ours still call it
}
