import type * as Tfjs from '@tensorflow/tfjs-core';
import { type Finding, type Probe, ok, warning } from './finding.ts';
import { packageFolder } from './jupyter.ts';
import { ownCheckout, readSpec } from './kernel.ts';
import { linesOf } from './machine.ts';

/** What trains, as `trainingBackend` of imagesim/training gives it. */
export interface Trainer {
  name: string;
  /** Why this one. */
  why: string;
  /** What would make it faster; empty where nothing would. */
  faster: string;
  /** The tfjs module that it computes with. Default: it has shown already that it computes. */
  tf?: object | undefined;
}

/** TensorFlow makes its code anew for a GPU that is younger: minutes, at the first use. */
const LIMIT_MS = 240_000;

/** Which training backend answers, and computes. */
export function trainerProbe(ask: () => Promise<Trainer>): Probe {
  return {
    what: 'training backend',
    remedy: 'run ./setup.sh trainer; every stage before 06-training goes on without it',
    timeoutMs: LIMIT_MS,
    look: async () => [trainerRow(await provenTrainer(ask))],
  };
}

function trainerRow({ name, why, faster }: Trainer): Finding {
  const found = `${name}: ${why}`;
  return faster === '' ? ok('training backend', found) : warning('training backend', found, `faster: ${faster}`);
}

/**
 * What trains, once it has computed a convolution and its gradient: what training needs, and what a GPU without cuDNN
 * does not do.
 *
 * @throws {Error} where it comes out wrong
 */
export async function provenTrainer(ask: () => Promise<Trainer>): Promise<Trainer> {
  const { tf, ...trainer } = await ask();
  if (tf === undefined) return trainer;
  const found = (await convolved(tf as typeof Tfjs)).join(' ');
  if (found === '36 4 4 4 4 4 4 4 4 4') return trainer;
  throw new Error(`${trainer.name} computes wrong: a convolution of ones and its gradient are ${found}`);
}

/** The sum of a 4 × 4 image of ones under a 3 × 3 filter of ones, 4 · 9, and its gradient by the filter, 4 each. */
async function convolved(tf: typeof Tfjs): Promise<number[]> {
  const image: Tfjs.Tensor4D = tf.ones([1, 4, 4, 1]);
  const filter: Tfjs.Tensor4D = tf.ones([3, 3, 1, 1]);
  const sum = (by: Tfjs.Tensor): Tfjs.Scalar => tf.sum(tf.conv2d(image, by as Tfjs.Tensor4D, 1, 'valid'));
  const { value, grad } = tf.valueAndGrad(sum)(filter);
  const numbers = [...(await value.data()), ...(await grad.data())];
  tf.dispose([image, filter, value, grad]);
  return numbers;
}

/**
 * What trains in the kernel: asked in a process of its own, with the kernel's Node and its environment, which on a
 * trainer says where CUDA lies.
 *
 * @param module that exports `trainingBackend`: `imagesim/training`
 * @throws {Error} with one line of what stood against it
 */
export async function trainerOfKernel(module: string, signal?: AbortSignal): Promise<Trainer> {
  const { argv, env } = await readSpec(ownCheckout()).catch(() => ({ argv: [process.execPath], env: {} }));
  const program = `
    import { provenTrainer } from 'imagesim/infra'
    import { trainingBackend } from ${JSON.stringify(module)}
    const trainer = await provenTrainer(trainingBackend)
    process.stdout.write(JSON.stringify(trainer), () => process.exit(0))`;
  const limit = AbortSignal.timeout(LIMIT_MS);
  const lines = await linesOf(argv[0], ['--input-type=module', '-e', program], {
    env: { ...process.env, ...env },
    cwd: packageFolder(),
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  });
  return JSON.parse(lines.at(-1) ?? '') as Trainer;
}
