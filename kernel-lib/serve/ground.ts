import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { type Bounds, type StepOptions, dataRoot } from '../ard/index.ts';
import type { Window } from './canvas.ts';
import type { Catalogue } from './catalogue.ts';
import {
  OVERVIEW_METRES, OverviewFile, type OverviewRecord, makeRecord, overviewFor, overviewWindow, writeOverviews,
} from './overviews.ts'; // prettier-ignore
import type { Rasters } from './rasters.ts';

/** Overviews that a map tile needs are still being made. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
}

/** Records that are made for one map tile while the file of overviews is not there: more would take over a second. */
const MOST_AT_ONCE = 16;
/** Records that are kept in memory while the file is not there, 350 KB each. */
const MOST_RECORDS = 128;

/** Pixels of tiles at any scale: from their rasters, and where those have no levels so coarse, from overviews of our own. */
export class Ground {
  readonly overviews: { total: number; ready: number; making: boolean; fault: string | undefined };
  readonly #catalogue: Catalogue;
  readonly #rasters: Rasters;
  readonly #path: string | undefined;
  readonly #records = new LRUCache<number, Promise<OverviewRecord>>({ max: MOST_RECORDS });
  #file: OverviewFile | undefined;
  #making: Promise<number> | undefined;
  readonly #stop = new AbortController();

  private constructor(
    catalogue: Catalogue,
    rasters: Rasters,
    path: string | undefined,
    file: OverviewFile | undefined,
  ) {
    this.#catalogue = catalogue;
    this.#rasters = rasters;
    this.#path = path;
    this.#file = file;
    const ready = catalogue.identities.filter((identity) => file?.has(identity)).length;
    this.overviews = { total: catalogue.tiles.length, ready, making: false, fault: undefined };
  }

  /** @param address of the delivery: its overviews have a file of their own below the data folder */
  static async open(
    catalogue: Catalogue,
    rasters: Rasters,
    address: string,
    dataPath: string | undefined,
  ): Promise<Ground> {
    const name = createHash('sha256').update(address).digest('hex').slice(0, 16);
    const path = dataPath === undefined ? undefined : join(dataRoot(dataPath), 'serve', `${name}.overviews`);
    return new Ground(catalogue, rasters, path, path === undefined ? undefined : await OverviewFile.open(path));
  }

  /** Throws where so many tiles have no overview yet that making them now would take too long. */
  check(indices: readonly number[], metres: number): void {
    if (metres < OVERVIEW_METRES) return;
    const { identities } = this.#catalogue;
    const missing = indices.filter((at) => !this.#file?.has(identities[at]) && !this.#records.has(at)).length;
    if (missing <= MOST_AT_ONCE) return;
    const { ready, total, fault } = this.overviews;
    throw new NotReadyError(fault ?? `the overviews that this zoom needs are being made: ${ready} of ${total} tiles`);
  }

  /**
   * What a tile shows within some bounds of its cell, from the level that is just finer than wanted.
   *
   * @param metres of a pixel that would do
   * @returns undefined where nothing is real; at once where it is in memory
   */
  read(index: number, bounds: Bounds, metres: number): Window | undefined | Promise<Window | undefined> {
    const tile = this.#catalogue.tiles[index];
    if (metres < OVERVIEW_METRES) return this.#rasters.readWindow(tile, bounds, metres);
    const overview = overviewFor(metres);
    const identity = this.#catalogue.identities[index];
    if (!this.#file?.has(identity)) return this.#readMade(index, overview);
    const pixels = this.#file.read(identity, overview);
    return pixels instanceof Promise
      ? pixels.then((read) => overviewWindow(read, overview.size, tile))
      : overviewWindow(pixels, overview.size, tile);
  }

  async #readMade(index: number, { size, at }: { size: number; at: number }): Promise<Window | undefined> {
    const tile = this.#catalogue.tiles[index];
    const making = this.#records.get(index) ?? makeRecord(this.#rasters, tile);
    this.#records.set(index, making);
    const record = await making.catch((error: unknown) => {
      this.#records.delete(index);
      throw error;
    });
    return overviewWindow(record.subarray(at, at + size * size * 4), size, tile);
  }

  /** Makes the overviews that are missing, once. @returns how many */
  makeOverviews(options: StepOptions = {}): Promise<number> {
    return (this.#making ??= this.#makeAll(options).catch((error: unknown) => {
      this.#making = undefined; // who asks again has it tried again
      throw error;
    }));
  }

  async #makeAll({ signal, onProgress, ...options }: StepOptions): Promise<number> {
    const { overviews } = this;
    if (overviews.ready === overviews.total || this.#path === undefined) return 0;
    Object.assign(overviews, { making: true, fault: undefined });
    const before = overviews.ready;
    try {
      const made = await writeOverviews(this.#path, this.#catalogue, this.#rasters, this.#file, {
        ...options,
        signal: signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal,
        onProgress: (progress) => {
          overviews.ready = Math.max(overviews.ready, progress.done);
          onProgress?.(progress);
        },
      });
      const old = this.#file;
      this.#file = await OverviewFile.open(this.#path);
      await old?.close();
      overviews.ready = overviews.total;
      return made;
    } catch (error) {
      overviews.ready = before;
      if (!this.#stop.signal.aborted) overviews.fault = (error as Error).message;
      throw error;
    } finally {
      overviews.making = false;
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'));
    await this.#making?.catch(() => undefined); // whoever asked for it was told
    await this.#file?.close();
  }
}
