import type { Encoder } from './encoder.ts';
import { openEncoder } from './encoder.ts';
import { readyBackend } from './backend.ts';
import type { ModelCard } from './card.ts';
import { encode } from './encode.ts';
import { loadModel, verifiedEncoder } from './model.ts';
import { RuntimeMissingError, type RuntimeOptions } from './onnx/session.ts';

/** What makes a model's embeddings on this machine. */
export interface ModelEncoder extends Pick<Encoder, 'inputSize' | 'width' | 'encode' | 'close'> {
  card: ModelCard;
  /** `onnxruntime`, or the training backend that stands in for it. */
  runtime: string;
  /** Why it is not onnxruntime. */
  why?: string | undefined;
}

/**
 * Opens the encoder of a model: `encoder.onnx` on onnxruntime, else, where that does not load, the network itself on the training backend.
 *
 * @param folder of the model
 * @throws {RuntimeMissingError} when nothing on this machine can run it
 * @throws {Error} naming the file that is missing, damaged or of another model
 */
export async function openModelEncoder(folder: string, options: RuntimeOptions = {}): Promise<ModelEncoder> {
  const { path, card } = await verifiedEncoder(folder);
  try {
    const encoder = await openEncoder(path, options);
    if (encoder.inputSize !== card.inputSize || encoder.width !== card.embeddingWidth) {
      await encoder.close();
      throw new Error(`${path} makes ${encoder.width} numbers of ${encoder.inputSize} px, card.json says ${card.embeddingWidth} of ${card.inputSize}: save the model again`); // prettier-ignore
    }
    return { ...encoder, card, runtime: 'onnxruntime' };
  } catch (error) {
    if (!(error instanceof RuntimeMissingError) || card.body.kind === 'frozen') throw error; // a frozen backbone runs on onnxruntime too
    return trainedEncoder(folder, error.message.replace(/; .*/s, ''));
  }
}

async function trainedEncoder(folder: string, why: string): Promise<ModelEncoder> {
  const { network, card } = await loadModel(folder);
  const { name } = await readyBackend();
  return {
    card,
    runtime: name,
    why,
    inputSize: network.inputSize,
    width: network.embeddingWidth,
    encode: (images, batch) => encode(network, images, batch),
    close: async () => network.dispose(),
  };
}
