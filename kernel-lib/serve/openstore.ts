import { join } from 'node:path';
import { dataRoot } from '../ard/index.ts';
import type { DatasetRow } from '../datasets/index.ts';
import type { Columns, ListedStore, Loaded, Store } from '../similarity/index.ts';

/** Which table of the similarity store is asked. */
export interface StoreChoice {
  /** Folder or `s3://` prefix above `embeddings`. Default: the data folder. */
  store?: string | undefined;
  /** Default: the table that was deployed last. */
  table?: string | undefined;
  /** As `imagesim similarity list` names it. Default: the one that is live, also when that becomes another. */
  version?: string | undefined;
}

/** A version of a table, and what is looked up in it. */
export interface OpenedStore {
  store: Store;
  /** Every row's number by the chip's id, all dates of one together. */
  rowsOf(): Promise<Map<string, number[]>>;
  loaded(): Promise<Loaded>;
  /** The rows as feedback wants them, which looks at their ids. */
  datasetRows(columns: Columns): readonly DatasetRow[];
}

/** The store that answers, or why none does. */
export interface KeptStore {
  /** Opens what is live now. @throws {Error} when a table is there and cannot be read */
  open(): Promise<OpenedStore | undefined>;
  /** One line: how to make a store. */
  remedy: string;
  close(): void;
}

/** A version that another has taken the place of is closed so much later: questions under way are done by then. */
const CLOSE_AFTER_MS = 60_000;

/**
 * The similarity store as it is live at any moment: one that is deployed later is found, and a new version taken, without a restart.
 *
 * @param everySeconds after which it is looked again. Default: 10
 */
export function keepStore(dataPath: string, choice: StoreChoice = {}, everySeconds = 10): KeptStore {
  let now: OpenedStore | undefined;
  let [looked, looking] = [-Infinity, undefined as Promise<void> | undefined];
  const look = async (): Promise<void> => {
    const found = await findStore(dataPath, choice, now?.store.name);
    looked = Date.now();
    if (found && found.name === now?.store.name && found.version === now.store.version) return found.close();
    const old = now?.store;
    now = found && openedStore(found);
    if (old) setTimeout(() => old.close(), CLOSE_AFTER_MS).unref();
  };
  return {
    remedy: `no table in ${choice.store ?? join(dataRoot(dataPath), 'embeddings')}: make one with imagesim similarity deploy --model <model>, or notebook 07-similarity`,
    open: async () => {
      if (Date.now() - looked > 1000 * everySeconds) await (looking ??= look().finally(() => (looking = undefined)));
      return now;
    },
    close: () => now?.store.close(),
  };
} // prettier-ignore

/** Opens the table that is asked for, else the one known, else that which was made last; nothing where there is none. */
async function findStore(dataPath: string, choice: StoreChoice, known: string | undefined): Promise<Store | undefined> {
  const { listStores, openStore } = await import('../similarity/index.ts');
  const { store, version } = choice;
  const table = choice.table ?? known ?? newest(await listStores(store ?? dataPath))?.table;
  return table === undefined ? undefined : openStore(dataPath, table, { store, version });
}

function newest(listed: readonly ListedStore[]): ListedStore | undefined {
  return listed.filter(({ live }) => live).sort((a, b) => (a.made < b.made ? 1 : -1))[0];
}

function openedStore(store: Store): OpenedStore {
  let rows: Promise<Map<string, number[]>> | undefined;
  const index = async (): Promise<Map<string, number[]>> => {
    const found = new Map<string, number[]>();
    for (const [row, id] of (await store.load()).columns.ids.entries()) {
      const same = found.get(id);
      if (same) same.push(row);
      else found.set(id, [row]);
    }
    return found;
  };
  let named: DatasetRow[] | undefined;
  return {
    store,
    loaded: () => store.load(),
    rowsOf: () => (rows ??= index()),
    datasetRows: ({ ids, catids, dates }) => (named ??= ids.map((id, row) => ({ id, catid: catids[row], date: dates[row], split: 'test', weight: 1, labels: {} }))),
  }; // prettier-ignore
}
