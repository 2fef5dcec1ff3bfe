/** A question that is an image. */
import { join } from 'node:path';
import sharp from 'sharp';
import { CHIP_PIXELS, METRES_PER_PIXEL } from '../ard/index.ts';
import { decodeImage } from '../chips/index.ts';
import { RuntimeMissingError, encode, findModel, loadModel, openEncoder, readCard } from '../training/index.ts';
import type { Store } from './store/open.ts';

/** Side of a chip on the ground, metres. */
const CHIP_METRES: number = CHIP_PIXELS * METRES_PER_PIXEL;

/**
 * The embedding of an image by the store's model.
 *
 * A model knows ground of 78 m at 0.3 m a pixel. Of an image whose pixels are known to be so many metres wide, the middle 78 m are cut out, or the middle
 * square where it shows less; of another the whole middle square is taken for 78 m. Then it is brought to the model's input size, as chips are.
 *
 * @throws {Error} when the file is no image, or the model of the store is not there or another by now
 */
export async function encodeImage(
  store: Pick<Store, 'dataPath' | 'model' | 'encoder' | 'name'>,
  { image, metresPerPixel }: { image: string | Uint8Array; metresPerPixel?: number | undefined },
): Promise<Float32Array> {
  const square = await middleSquare(image, metresPerPixel);
  const folder = await findModel(store.dataPath, store.model);
  const { inputSize, files } = await readCard(folder);
  if (store.encoder !== undefined && files['encoder.onnx'].sha256 !== store.encoder)
    throw new Error(`${folder} is another ${store.model} than table ${store.name} was made by: deploy it again`);
  return encodeOne(folder, await decodeImage(square, inputSize));
}

async function encodeOne(folder: string, pixels: Uint8Array): Promise<Float32Array> {
  try {
    const encoder = await openEncoder(join(folder, 'encoder.onnx'));
    try {
      return await encoder.encode(pixels);
    } finally {
      await encoder.close();
    }
  } catch (error) {
    if (!(error instanceof RuntimeMissingError)) throw error;
    const { network } = await loadModel(folder); // the training backend stands in, as in `encodeChips`
    return encode(network, pixels).finally(() => network.dispose());
  }
}

/** The middle of an image as a file in memory, upright. */
async function middleSquare(image: string | Uint8Array, metresPerPixel: number | undefined): Promise<Buffer> {
  if (metresPerPixel !== undefined && !(metresPerPixel > 0))
    throw new RangeError(`metresPerPixel is ${metresPerPixel}: expected metres, above 0`);
  const name = typeof image === 'string' ? image : `the image of ${image.length} bytes`;
  try {
    const upright = await sharp(image).autoOrient().toColourspace('srgb').removeAlpha().png({ compressionLevel: 0 }).toBuffer({ resolveWithObject: true }); // prettier-ignore
    const { width, height } = upright.info;
    const most = metresPerPixel === undefined ? Infinity : Math.max(1, Math.round(CHIP_METRES / metresPerPixel));
    const side = Math.min(width, height, most);
    const [left, top] = [(width - side) >> 1, (height - side) >> 1];
    return await sharp(upright.data).extract({ left, top, width: side, height: side }).png({ compressionLevel: 0 }).toBuffer(); // prettier-ignore
  } catch (error) {
    const found = (error as Error).message.split('\n')[0];
    throw new Error(`${name} is no image that can be read (${found}): give a JPEG, PNG, WebP or TIFF`, { cause: error }); // prettier-ignore
  }
}
