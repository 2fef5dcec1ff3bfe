import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

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
  show: ['ard'],
  cli: ['ard', 'sample', 'infra', 'osm', 'chips', 'statistics', 'datasets', 'training', 'similarity', 'serve'],
};

/** `file → specifier` of every import of another room. */
function importsOf(room: string): { file: string; target: string; path: string }[] {
  return readdirSync(join(library, room))
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const text = readFileSync(join(library, room, file), 'utf8');
      const paths = [...text.matchAll(/(?:from|import\()\s*'\.\.\/([^']+)'/g)].map(([, path]) => path);
      return paths.map((path) => ({ file: `${room}/${file}`, target: path.split('/')[0], path }));
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
