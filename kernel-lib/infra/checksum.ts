import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { crc32 } from 'node:zlib';
import type { Piscina } from 'piscina';
import type { Digest } from '../ard/index.ts';

/** Takes bytes as they come and tells at the end what they sum up to. */
export interface Summing {
  update(bytes: Uint8Array): void;
  /** In the form of the digest that it was made for; empty for the size alone. */
  finish(): Promise<string>;
}

/** Sums up bytes in the way that a digest states. */
export async function summing(digest: Digest): Promise<Summing> {
  switch (digest.algorithm) {
    case 'size':
      return { update: () => undefined, finish: async () => '' };
    case 'md5':
      return hashing('md5', 'hex');
    case 'md5-parts':
      return summingParts(digest.partBytes);
    case 'sha1':
    case 'sha256':
      return hashing(digest.algorithm, 'base64');
    case 'crc32':
      return summingCrc32();
    default:
      return summingCrc(digest.algorithm);
  }
}

/** What bytes sum up to, in the way that a digest states. */
export async function sumOfBytes(bytes: Uint8Array, digest: Digest): Promise<string> {
  const sum = await summing(digest);
  sum.update(bytes);
  return sum.finish();
}

/** From so many bytes on a file is summed up by a thread of its own: at half a gigabyte a second it would hold up all else. */
const LARGE = 4 * 2 ** 20;

let threads: Piscina | undefined;

/** What the bytes of a file sum up to, in the way that a digest states. */
export async function sumOf(path: string, digest: Digest): Promise<string> {
  if (digest.algorithm === 'size') return '';
  if ((await stat(path)).size < LARGE) return sumOfBytes(await readFile(path), digest);
  const { Piscina } = await import('piscina');
  threads ??= new Piscina({
    filename: new URL('./sum.js', import.meta.url).href,
    maxThreads: Math.min(4, availableParallelism()),
    idleTimeout: 2000,
    execArgv: [], // what the process itself was started with would be loaded in every thread
  });
  return threads.run({ path, digest }) as Promise<string>;
}

/** What the bytes have to sum up to. */
export function valueOf(digest: Digest): string {
  return digest.algorithm === 'size' ? '' : digest.value;
}

function hashing(algorithm: string, encoding: 'hex' | 'base64'): Summing {
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), finish: async () => hash.digest(encoding) };
}

/** The MD5 of the MD5s of parts, and their number, as S3 makes it of a multipart upload. */
function summingParts(partBytes: number): Summing {
  const parts: Buffer[] = [];
  let hash = createHash('md5');
  let room = partBytes;
  const next = (): void => {
    parts.push(hash.digest());
    hash = createHash('md5');
    room = partBytes;
  };
  return {
    update(bytes) {
      for (let at = 0; at < bytes.length;) {
        const piece = bytes.subarray(at, at + room);
        hash.update(piece);
        at += piece.length;
        room -= piece.length;
        if (room === 0) next();
      }
    },
    async finish() {
      if (room < partBytes) next();
      return `${createHash('md5').update(Buffer.concat(parts)).digest('hex')}-${parts.length}`;
    },
  };
}

function summingCrc32(): Summing {
  let sum = 0;
  return {
    update: (bytes) => void (sum = crc32(bytes, sum)),
    async finish() {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(sum);
      return bytes.toString('base64');
    },
  };
}

async function summingCrc(algorithm: 'crc32c' | 'crc64nvme'): Promise<Summing> {
  const { Crc32c, Crc64Nvme } = await import('@aws-sdk/checksums/crc');
  const sum = algorithm === 'crc32c' ? new Crc32c() : new Crc64Nvme();
  return {
    update: (bytes) => sum.update(bytes),
    finish: async () => Buffer.from(await sum.digest()).toString('base64'),
  };
}
