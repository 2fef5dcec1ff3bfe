/** Where images to be encoded come from: the chips of a zone, cell by cell. */

/** One chip, as rows of embeddings name it. */
export interface ChipName {
  id: string;
  catid: string;
  date: string;
}

/** A chip that could not be read, or, without an id, all chips of an acquisition. */
export interface ChipFault extends Omit<ChipName, 'id'> {
  id?: string | undefined;
  /** In one line, naming the file. */
  why: string;
}

/** The chips of a cell, to be read. */
export interface CellSource {
  quadkey: string;
  /** In order of date, acquisition and id. */
  chips: ChipName[];
  /** Where it is the same, so is what the chips show. */
  identity: string;
  /**
   * Pixels of some of the chips.
   *
   * @returns `[n, size, size, 3]` of those that can be read, in the order asked for, and why the others cannot
   */
  read(chips: readonly ChipName[], size: number, signal?: AbortSignal): Promise<ChipPixels>;
  close(): Promise<void>;
}

/** What {@link CellSource.read} found. */
export interface ChipPixels {
  chips: ChipName[];
  pixels: Uint8Array;
  faults: ChipFault[];
}

/** The chips of a zone, cell by cell. */
export interface ZoneSource {
  /** Quadkeys in order, and how much work each is. */
  cells: { quadkey: string; weight: number }[];
  open(quadkey: string): Promise<CellSource>;
  /** What was left out so far, and why. */
  leftOut: string[];
  /** What could not be used so far. */
  failed: string[];
}

/** Images of a batch are handed to the decoding threads all at once: these go on while a run of the encoder holds the event loop. */
export const ALL_AT_ONCE: number = Number.POSITIVE_INFINITY;

/** Order of rows: by date, acquisition and id. */
export function byName(a: ChipName, b: ChipName): number {
  return textOf(a) < textOf(b) ? -1 : 1;
}

function textOf({ date, catid, id }: ChipName): string {
  return `${date} ${catid} ${id}`;
}

/** Puts images one after another. */
export function joined(images: readonly Uint8Array[], each: number): Uint8Array {
  const pixels = new Uint8Array(images.length * each);
  for (const [index, image] of images.entries()) pixels.set(image, index * each);
  return pixels;
}
