import { createHash } from 'node:crypto';
import { openDelivery } from '../ard/index.ts';
import type { Catalogue } from './catalogue.ts';
import { type Mosaic, type MosaicOptions, openMosaic } from './mosaic.ts';

/** Options of {@link keepMosaic}. */
export interface KeepOptions extends MosaicOptions {
  /** Seconds after which the delivery is listed again, when something is asked for. Default: 60. */
  everySeconds?: number | undefined;
  /** Told why the delivery could not be read again; what was served before stays. Default: standard error. */
  onFault?: ((line: string) => void) | undefined;
}

/** A mosaic that follows its delivery. */
export interface KeptMosaic extends Mosaic {
  /** Lists the delivery now, and reads it again where a file came, went or changed. @returns whether one did */
  refresh(): Promise<boolean>;
}

/** A mosaic, how many use it, and whether another has taken its place: the last who leaves it closes it. */
interface InUse {
  mosaic: Mosaic;
  users: number;
  isOld: boolean;
}

/**
 * Opens a delivery for a map, as {@link openMosaic} does, and again when its files are other ones: new tiles appear without a restart.
 *
 * Looked is when something is asked for and the last look is old enough, in the background: who asks is answered by what is known.
 *
 * @throws {Error} as {@link openMosaic} does, the first time
 */
export async function keepMosaic(address: string, options: KeepOptions = {}): Promise<KeptMosaic> {
  const print = await printOf(address, options);
  return new Kept(address, options, print, await openMosaic(address, options));
}

/** What changes when a file of a delivery comes, goes or changes. */
async function printOf(address: string, options: MosaicOptions): Promise<string> {
  const { files } = await openDelivery(address, options);
  const hash = createHash('sha256');
  for (const { key, bytes, etag, modified } of files) hash.update(`${key} ${bytes} ${etag ?? modified.getTime()}\n`);
  return hash.digest('hex');
}

class Kept implements KeptMosaic {
  readonly #address: string;
  readonly #options: KeepOptions;
  #print: string;
  #now: InUse;
  #looked = Date.now();
  #looking: Promise<boolean> | undefined;
  #isClosed = false;

  constructor(address: string, options: KeepOptions, print: string, mosaic: Mosaic) {
    this.#address = address;
    this.#options = options;
    this.#print = print;
    this.#now = { mosaic, users: 0, isOld: false };
  }

  get catalogue(): Catalogue {
    this.#lookAround();
    return this.#now.mosaic.catalogue;
  }

  get address(): string {
    return this.#now.mosaic.address;
  }

  get attribution(): string {
    return this.#now.mosaic.attribution;
  }

  get overviews(): Mosaic['overviews'] {
    return this.#now.mosaic.overviews;
  }

  render: Mosaic['render'] = (...of) => this.#use((mosaic) => mosaic.render(...of));
  pixelsAt: Mosaic['pixelsAt'] = (...of) => this.#use((mosaic) => mosaic.pixelsAt(...of));
  readChip: Mosaic['readChip'] = (...of) => this.#use((mosaic) => mosaic.readChip(...of));
  makeOverviews: Mosaic['makeOverviews'] = (...of) => this.#use((mosaic) => mosaic.makeOverviews(...of));
  state: Mosaic['state'] = () => this.#now.mosaic.state();

  refresh(): Promise<boolean> {
    return (this.#looking ??= this.#read().finally(() => (this.#looking = undefined)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#looking?.catch(() => undefined); // whoever asked for it was told
    await this.#now.mosaic.close();
  }

  async #use<Result>(work: (mosaic: Mosaic) => Promise<Result>): Promise<Result> {
    const used = this.#now;
    used.users++;
    try {
      return await work(used.mosaic);
    } finally {
      used.users--;
      if (used.isOld && used.users === 0) await used.mosaic.close();
    }
  }

  #lookAround(): void {
    const { everySeconds = 60, onFault = (line) => console.error(line) } = this.#options;
    if (this.#looking || this.#isClosed || Date.now() - this.#looked < 1000 * everySeconds) return;
    this.refresh().catch((error: unknown) => onFault(`imagesim serve: ${(error as Error).message}; what was there before is served`)); // prettier-ignore
  }

  async #read(): Promise<boolean> {
    this.#looked = Date.now();
    const print = await printOf(this.#address, this.#options);
    if (print === this.#print) return false;
    const old = this.#now;
    this.#now = { mosaic: await openMosaic(this.#address, this.#options), users: 0, isOld: false };
    this.#print = print;
    old.isOld = true;
    if (old.users === 0) await old.mosaic.close();
    this.#now.mosaic.makeOverviews().catch(() => undefined); // told by `overviews`, and by every map tile that needs them
    return true;
  }
}
