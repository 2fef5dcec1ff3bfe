/** What Adam remembers of earlier gradients. */
export interface AdamState {
  /** Steps done. */
  steps: number;
  /** Running mean of the gradients, one value a weight. */
  first: Float32Array;
  /** Running mean of their squares. */
  second: Float32Array;
}

/** Settings of a step of Adam; the rest is as published. */
export interface AdamOptions {
  learningRate: number;
  /** Share of each weight that a step of rate 1 takes away (decoupled weight decay). */
  decay: number;
}

const [MEMORY, SQUARE_MEMORY, EPSILON] = [0.9, 0.999, 1e-8];

/** Adam before its first step. */
export function freshAdam(weights: number): AdamState {
  return { steps: 0, first: new Float32Array(weights), second: new Float32Array(weights) };
}

/**
 * One step of Adam with decoupled weight decay, in place, in double precision: the same on every backend.
 *
 * @param weights changed in place
 * @param gradients as long as `weights`
 * @param decays 1 where decay applies (filters and matrices), 0 where not (biases, scales), one value a weight
 * @returns whether all weights are numbers still
 * @see Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101
 */
export function adamStep(
  weights: Float32Array,
  gradients: Float32Array,
  decays: Uint8Array,
  state: AdamState,
  { learningRate, decay }: AdamOptions,
): boolean {
  state.steps++;
  const { first, second, steps } = state;
  const rate = learningRate / (1 - MEMORY ** steps);
  const scale = 1 / (1 - SQUARE_MEMORY ** steps);
  let zero = 0; // as long as no weight is infinite or no number
  for (let i = 0; i < weights.length; i++) {
    const gradient = gradients[i];
    const mean = MEMORY * first[i] + (1 - MEMORY) * gradient;
    const square = SQUARE_MEMORY * second[i] + (1 - SQUARE_MEMORY) * gradient * gradient;
    first[i] = mean;
    second[i] = square;
    const kept = weights[i] * (1 - learningRate * decay * decays[i]);
    weights[i] = kept - (rate * mean) / (Math.sqrt(square * scale) + EPSILON);
    zero += weights[i] - weights[i];
  }
  return zero === 0;
}
