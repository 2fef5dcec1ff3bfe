import type { Command } from 'commander';
import { type Cell, type Progress, type Shard, environmentShard } from '../ard/index.ts';
import { dataPath } from '../infra/index.ts';
import type { OsmMeta } from '../osm/index.ts';
import { print, steps } from './output.ts';
import { TO, shardNamed, zoneNumber } from './values.ts';

/** Adds the verb that fetches OpenStreetMap. */
export function osmVerbs(program: Command): void {
  program
    .command('osm')
    .description('fetch every OpenStreetMap element of every cell of a zone')
    .requiredOption('--zone <n>', 'UTM zone', zoneNumber)
    .option('--endpoint <url>', 'Overpass endpoint; default: $IMAGESIM_OVERPASS, else the public one')
    .option('--source <file>', 'read a .osm.pbf, .osm or .osm.gz that covers the cells; no network')
    .option('--date <time>', 'the map as it stood then, 2023-05-17; of servers that keep history')
    .option('--since <time>', 'fetch again the cells whose map is of a time before this one, 2026-01-01')
    .option(
      '--shard <i/n>',
      'only the cells that fall to worker i of n, from 0; default: as the array job says',
      shardNamed,
    )
    .option('--to <address>', TO)
    .option('--force', 'fetch again what is there')
    .action(async ({ zone, shard = environmentShard(), ...flags }: OsmFlags) => {
      const { fetchOsmByQuadkey } = await import('../osm/index.ts');
      const partial: string[] = [];
      const onCell = ({ id }: Cell, { covered = 1 }: OsmMeta): void => {
        if (covered < 1) partial.push(`${id} is not whole: an extract covered ${(100 * covered).toFixed(1)} % of it`);
      };
      const tags = await fetchOsmByQuadkey(zone, dataPath(), { ...flags, shard, onCell, ...waitsAloud(steps()) });
      partial.sort().forEach((line) => console.error(line));
      const count = (rows: { count: number }[]): string => `${rows.length} tags`;
      print(`nodes: ${count(tags.nodeTags)}, ways: ${count(tags.wayTags)}, relations: ${count(tags.relationTags)}`);
    });
}

interface OsmFlags {
  zone: number;
  endpoint?: string;
  source?: string;
  date?: string;
  since?: string;
  shard?: Shard;
  to?: string;
  force?: boolean;
}

/** Where no terminal shows how far a step is, says at least why it waits and until when: once for each reason. */
function waitsAloud({ signal, onProgress }: ReturnType<typeof steps>): ReturnType<typeof steps> {
  let last: string | undefined;
  const aloud = (progress: Progress): void => {
    onProgress(progress);
    const reason = / waits until \S+: (.*)/s.exec(progress.note ?? '')?.[1];
    if (!process.stderr.isTTY && reason !== undefined && reason !== last) console.error(progress.note);
    last = reason;
  };
  return { signal, onProgress: aloud };
}
