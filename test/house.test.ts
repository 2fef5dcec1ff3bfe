import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

const library = fileURLToPath(new URL('../kernel-lib', import.meta.url));

/** Each room and the rooms that it may enter, from the ground up. */
const rooms: Record<string, string[]> = {
  ard: [],
  sample: ['ard'],
  infra: ['ard', 'sample'],
  osm: ['ard', 'infra'],
  chips: ['ard', 'infra', 'osm'],
  statistics: ['ard', 'infra', 'osm', 'chips'],
  datasets: ['ard', 'infra', 'osm', 'chips', 'statistics'],
  training: ['ard', 'infra', 'osm', 'chips', 'statistics', 'datasets'],
  similarity: ['ard', 'infra', 'osm', 'chips', 'statistics', 'datasets', 'training'],
  serve: ['ard', 'infra', 'osm', 'chips', 'statistics', 'datasets', 'training', 'similarity'],
  show: ['ard', 'similarity'],
  cli: ['ard', 'sample', 'infra', 'osm', 'chips', 'statistics', 'datasets', 'training', 'similarity', 'serve', 'show'],
};

/** Every import of another room, of files in folders of a room too: `target` the room, `path` from the library on. */
function importsOf(room: string): { file: string; target: string; path: string }[] {
  const files = readdirSync(join(library, room), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  return files.flatMap((name) => {
    const file = join(room, name);
    const text = readFileSync(join(library, file), 'utf8');
    const paths = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, path]) => join(dirname(file), path));
    return paths.map((path) => ({ file, target: path.split('/')[0], path })).filter(({ target }) => target !== room);
  });
}

describe('the house', () => {
  it('has no room that this plan does not know', () => {
    const folders = readdirSync(library, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const known = new Set([...Object.keys(rooms), 'bin', 'dist', 'node_modules']);
    assert.deepEqual(folders.map(({ name }) => name).filter((name) => !known.has(name)), []); // prettier-ignore
  });

  for (const [room, below] of Object.entries(rooms)) {
    it(`${room} enters only ${below.join(', ') || 'no other room'}, and by the door`, () => {
      const imports = importsOf(room);
      if (below.length > 0) assert.ok(imports.length > 0, 'the pattern finds imports');
      for (const { file, target, path } of imports) {
        assert.ok(below.includes(target), `${file} imports ${path}`);
        assert.equal(path, `${target}/index.ts`, `${file} imports ${path}`);
      }
    });
  }
});
