import type { TrainingSet } from 'imagesim/training';
import seedrandom from 'seedrandom';

/** Each texture: light or dark at a place, pixels, and a number of the scene's own in 0–1. */
const textures: ((x: number, y: number, noise: number) => boolean)[] = [
  (x) => Math.sin((2 * Math.PI * x) / 5) > 0, // furrows
  (x) => Math.sin((2 * Math.PI * x) / 14) > 0, // terraces
  (x, y) => Math.sin((2 * Math.PI * x) / 8) * Math.sin((2 * Math.PI * y) / 8) > 0, // blocks
  (_x, _y, noise) => noise > 0.5, // scrub
];

/** Number of textures in {@link texturedScenes}. */
export const textureCount: number = textures.length;

/**
 * Scenes of four textures in two random colours, turned at random, half of each light and half dark: colours tell nothing of the texture.
 *
 * @returns images `[n, size, size, 3]`, labels `[n, 4]`, the textures in turn
 */
export function texturedScenes(
  n: number,
  size: number,
  seed: string,
): TrainingSet & { images: Uint8Array; textures: number[] } {
  const random = seedrandom.alea(seed);
  const images = new Uint8Array(n * size * size * 3);
  const labels = new Float32Array(n * textureCount);
  const kinds = Array.from({ length: n }, (_, i) => i % textureCount);
  for (const [i, kind] of kinds.entries()) {
    labels[i * textureCount + kind] = 1;
    paint(images.subarray(i * size * size * 3, (i + 1) * size * size * 3), size, textures[kind], random);
  }
  return { images, labels, textures: kinds };
}

function paint(image: Uint8Array, size: number, isLight: (typeof textures)[number], random: () => number): void {
  const angle = 2 * Math.PI * random();
  const [cos, sin, dx, dy] = [Math.cos(angle), Math.sin(angle), 20 * random(), 20 * random()];
  const dark = [0, 1, 2].map(() => 40 + 80 * random());
  const step = 40 + 40 * random();
  for (let row = 0, at = 0; row < size; row++) {
    for (let col = 0; col < size; col++) {
      const light = isLight(cos * col + sin * row + dx, cos * row - sin * col + dy, random());
      for (let band = 0; band < 3; band++) image[at++] = dark[band] + (light ? step : 0) + 20 * random();
    }
  }
}

/**
 * Leave-one-out mean average precision: each row asks for the others, nearest first; those of its own kind are right.
 *
 * @param nearness of rows `i` and `j`: larger is nearer
 */
export function meanAveragePrecision(kinds: number[], nearness: (i: number, j: number) => number): number {
  const precisions = kinds.map((kind, i) => {
    const others = kinds.map((_, j) => j).filter((j) => j !== i).sort((a, b) => nearness(i, b) - nearness(i, a)); // prettier-ignore
    let [found, sum] = [0, 0];
    for (const [rank, j] of others.entries()) if (kinds[j] === kind) sum += ++found / (rank + 1);
    return sum / found;
  });
  return precisions.reduce((sum, precision) => sum + precision, 0) / precisions.length;
}

/** Cosine of two rows of unit length. */
export function cosine(rows: Float32Array, width: number): (i: number, j: number) => number {
  return (i, j) => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += rows[i * width + k] * rows[j * width + k];
    return sum;
  };
}
