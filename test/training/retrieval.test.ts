import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buildNetwork, encode, train } from 'imagesim/training';
import sharp from 'sharp';
import { colourNearness, cosine, meanAveragePrecision } from './scenes.ts';

/** RSSCN7 (Zou et al. 2015), 7 classes × 100 scenes; kept outside the project, for its licence is for research alone. */
const root = join(import.meta.dirname, '../../../shared/data/scenes-rsscn7');
const size = 48;
const pixels = size * size;

interface Scenes {
  images: Uint8Array;
  labels: Float32Array;
  kinds: number[];
}

async function readScenes(paths: string[], kinds: number[], classes: number): Promise<Scenes> {
  const images = new Uint8Array(paths.length * pixels * 3);
  for (const [i, path] of paths.entries()) {
    images.set(await sharp(path).resize(size, size).removeAlpha().raw().toBuffer(), i * pixels * 3);
  }
  return {
    images,
    labels: Float32Array.from({ length: paths.length * classes }, (_, i) =>
      Number(kinds[Math.floor(i / classes)] === i % classes),
    ),
    kinds,
  };
}

/** Every other scene of each class, from the first or from the second on. */
async function halfOf(classes: string[], first: 0 | 1): Promise<Scenes> {
  const [paths, kinds]: [string[], number[]] = [[], []];
  for (const [kind, name] of classes.entries()) {
    const files = (await readdir(join(root, name))).sort().filter((_, i) => i % 2 === first);
    for (const file of files) {
      paths.push(join(root, name, file));
      kinds.push(kind);
    }
  }
  return readScenes(paths, kinds, classes.length);
}

describe('training: real scenes', () => {
  it('finds scenes of a kind better than colours do, among 350 that it never saw (RSSCN7)', async function () {
    if (!existsSync(root)) {
      console.log(`      RSSCN7 is not at ${root}: put its classes there, one folder each, to run this`);
      this.skip();
    }
    const classes = (await readdir(root, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name); // prettier-ignore
    const [seen, unseen] = await Promise.all([halfOf(classes.sort(), 0), halfOf(classes.sort(), 1)]);
    const network = await buildNetwork({ inputSize: size, classes, widths: [16, 32, 64, 128] });
    await train(network, seen, { epochs: 6 });
    const colour = meanAveragePrecision(unseen.kinds, colourNearness(unseen.images, pixels));
    const learnt = meanAveragePrecision(
      unseen.kinds,
      cosine(await encode(network, unseen.images), network.embeddingWidth),
    );
    assert.ok(learnt > colour + 0.15, `learnt ${learnt}, colour ${colour}`);
  });
});
