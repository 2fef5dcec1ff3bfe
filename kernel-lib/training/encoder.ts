import { readFile } from 'node:fs/promises';
import { checkOnnx } from './onnx/check.ts';
import { parseOnnx } from './onnx/file.ts';
import { type BatchOptions, type RuntimeOptions, type Session, openSession, runBatches } from './onnx/session.ts';

/** An `encoder.onnx` that is ready: images to embeddings. */
export interface Encoder {
  readonly path: string;
  /** Rows and columns of its input, pixels. */
  readonly inputSize: number;
  /** Length of an embedding. */
  readonly width: number;
  /**
   * Embeddings of images; the same image gives the same row in any batch, to about 1e-6.
   *
   * @param images `[n, inputSize, inputSize, 3]`, RGB, 0–255
   * @returns `[n, width]`, each row of unit length
   * @throws {RangeError} when the bytes are no whole number of images
   */
  encode(images: Uint8Array, options?: BatchOptions): Promise<Float32Array>;
  /** Frees its memory; it cannot be used afterwards. */
  close(): Promise<void>;
}

/**
 * Opens an ONNX encoder on onnxruntime, as `exportEncoder` and `appendHead` make it: one input of images `[N, size, size, 3]`, bytes or floats 0–255, and
 * as its first output rows `[N, width]` of unit length.
 *
 * @throws {RuntimeMissingError} when onnxruntime-node does not load: encode with the training backend then
 * @throws {Error} naming the file, when it cannot be read, is damaged, or is no encoder
 */
export async function openEncoder(path: string, options: RuntimeOptions = {}): Promise<Encoder> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Error(
      `cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}; export the encoder again`,
      {
        cause: error,
      },
    );
  });
  const model = parseOnnx(bytes, path);
  const [fault] = checkOnnx(model);
  if (fault !== undefined) throw new Error(`${path} is damaged: ${fault}; export the encoder again`);
  const session = await openSession(model, path, options);
  try {
    return encoderOf(path, session);
  } catch (error) {
    await session.close();
    throw error;
  }
}

function encoderOf(path: string, session: Session): Encoder {
  const { inputSize, width } = sizesOf(path, session);
  let isOpen = true;
  return {
    path,
    inputSize,
    width,
    encode: async (images, options = {}) => {
      if (!isOpen) throw new Error(`the encoder ${path} is closed: open it again`);
      return runBatches(session, images, { size: inputSize, width }, options);
    },
    close: async () => {
      if (isOpen) await session.close();
      isOpen = false;
    },
  };
}

function sizesOf(path: string, { input, output }: Session): { inputSize: number; width: number } {
  const [, rows, cols, bands] = input.shape;
  const isImage = input.shape.length === 4 && typeof rows === 'number' && rows === cols && bands === 3;
  if (!isImage || (input.type !== 'uint8' && input.type !== 'float32'))
    throw new Error(`${path} takes ${input.type} [${input.shape.join(', ')}]: an encoder takes bytes or floats [N, size, size, 3]; export it with exportEncoder`); // prettier-ignore
  const [, width] = output.shape;
  if (output.shape.length !== 2 || typeof width !== 'number')
    throw new Error(
      `${path} gives [${output.shape.join(', ')}]: an encoder gives [N, width]; export it with exportEncoder`,
    );
  return { inputSize: rows, width };
}
