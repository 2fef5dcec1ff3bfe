import { createReadStream } from 'node:fs';
import { type Readable, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Bounds } from '../ard/index.ts';
import type { FileHeader, FileItem, Raw, RawRelation, RawWay } from './planet.ts';
import type { OsmMember, OsmTags } from './schema.ts';

const MARKUP =
  /<(?:!--[^]*?--|\?[^]*?\?|![^>]*|(?<close>\/?)(?<name>[A-Za-z_][\w.:-]*)(?<rest>(?:[^"'<>]|"[^"<]*"|'[^'<]*')*))>/y;
const ATTRIBUTE = /([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
const ENTITY = /&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi;
const NAMED = new Map([['amp', '&'], ['lt', '<'], ['gt', '>'], ['quot', '"'], ['apos', "'"]]); // prettier-ignore
const BLOCK = 4096;
const LONGEST = 1 << 20;

type Attributes = Record<string, string>;

/** The header of a .osm or .osm.gz, then its elements in blocks. */
export async function* xmlItems(path: string, onBytes: (bytes: number) => void): AsyncGenerator<FileItem> {
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  const plain: Readable = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file;
  const reader = new XmlReader();
  let told = false;
  for await (const text of plain.setEncoding('utf8') as AsyncIterable<string>) {
    onBytes(file.bytesRead);
    reader.push(text);
    if (!told && reader.elements.length > 0) {
      told = true;
      yield { header: reader.header };
    }
    while (reader.elements.length >= BLOCK) yield blockOf(reader.take(BLOCK)); // even blocks, however the file comes in
  }
  reader.end();
  if (!told) yield { header: reader.header };
  yield blockOf(reader.take(BLOCK));
}

function blockOf(elements: Raw[]): FileItem {
  return { read: () => elements };
}

/** Takes text piece by piece, and makes elements of it. */
class XmlReader {
  header: FileHeader = { bounds: [], timestamp: '', sequence: undefined, placesOnWays: false };
  elements: Raw[] = [];
  #text = '';
  #state: 'before' | 'inside' | 'after' = 'before';
  #open: Raw | undefined;
  #gone = false;

  push(text: string): void {
    this.#text += text;
    if (this.#state === 'before' && /^\s*[^<\s]/.test(this.#text)) throw new TypeError('it is no XML');
    let at = this.#text.indexOf('<');
    while (at >= 0) {
      MARKUP.lastIndex = at;
      const found = MARKUP.exec(this.#text);
      if (!found) break;
      if (found.groups?.['name'] !== undefined) this.#tag(found.groups);
      at = this.#text.indexOf('<', MARKUP.lastIndex);
    }
    this.#text = at < 0 ? '' : this.#text.slice(at);
    if (this.#text.length > LONGEST) throw new TypeError(`no XML: ${this.#text.slice(0, 40)}`);
  }

  take(count: number): Raw[] {
    return this.elements.splice(0, count);
  }

  end(): void {
    if (this.#state === 'before') throw new TypeError('it is no XML');
    if (this.#state !== 'after') throw new Error('it ends before </osm>');
  }

  #tag({ close, name, rest }: Attributes): void {
    if (this.#state === 'before' && name !== 'osm') throw new TypeError(`it holds <${name}>, not <osm>`);
    if (close) return this.#close(name);
    const attributes = attributesOf(rest);
    if (name === 'osm') [this.#state, this.header.timestamp] = ['inside', attributes['timestamp'] ?? ''];
    else if (name === 'meta') this.header.timestamp ||= attributes['osm_base'] ?? '';
    else if (name === 'bounds') this.header.bounds.push(boundsOf(attributes));
    else if (name === 'node' || name === 'way' || name === 'relation') this.#begin(name, attributes);
    else if (this.#open) {
      addTo(this.#open, name, attributes);
      if (name === 'nd' && attributes['lat'] !== undefined) this.header.placesOnWays = true;
    }
    if (rest.endsWith('/')) this.#close(name);
  }

  #begin(type: Raw['type'], attributes: Attributes): void {
    this.#open = elementOf(type, attributes);
    this.#gone = attributes['action'] === 'delete' || attributes['visible'] === 'false';
  }

  /** An element counts when it is whole: the text may break off within. */
  #close(name: string): void {
    if (name === 'osm') this.#state = 'after';
    if (name !== this.#open?.type) return;
    if (!this.#gone) this.elements.push(this.#open);
    this.#open = undefined;
  }
}

function attributesOf(text: string): Attributes {
  const attributes: Attributes = {};
  for (const [, name, double, single] of text.matchAll(ATTRIBUTE)) attributes[name] = unescape(double ?? single);
  return attributes;
}

function unescape(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(ENTITY, (whole: string, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return NAMED.get(name) ?? whole;
    return String.fromCodePoint(hex === undefined ? Number(decimal) : parseInt(hex, 16));
  });
}

function boundsOf({ minlon, minlat, maxlon, maxlat }: Attributes): Bounds {
  return [Number(minlon), Number(minlat), Number(maxlon), Number(maxlat)];
}

function elementOf(type: Raw['type'], { id, lat, lon }: Attributes): Raw {
  if (!Number.isSafeInteger(Number(id))) throw new TypeError(`it has a ${type} without an id`);
  if (type === 'node') return { type, id: Number(id), lat: Number(lat), lon: Number(lon) };
  return type === 'way' ? { type, id: Number(id), refs: [] } : { type, id: Number(id), members: [] };
}

function addTo(element: Raw, name: string, attributes: Attributes): void {
  if (name === 'tag') setTag((element.tags ??= {}), attributes['k'], attributes['v']);
  else if (name === 'nd') (element as RawWay).refs.push(Number(attributes['ref']));
  else if (name === 'member') (element as RawRelation).members.push(memberOf(attributes));
}

/** As an entry of its own, whatever the key is called: `__proto__` too. */
function setTag(tags: OsmTags, key: string, value: string): void {
  Object.defineProperty(tags, key, { value, enumerable: true, writable: true, configurable: true });
}

function memberOf({ type, ref, role = '' }: Attributes): OsmMember {
  return { type: type as OsmMember['type'], ref: Number(ref), role };
}
