import type { Readable } from 'node:stream';

/** One file of a {@link Source}. */
export interface SourceFile {
  /** Path inside the source, with `/`. */
  key: string;
  bytes: number;
  /** When it was written last. */
  modified: Date;
  /** Of a bucket's object, without quotation marks: the MD5 of its bytes, mostly ({@link Source.digest} tells). */
  etag?: string | undefined;
}

/** What lies at the top of a source. */
export interface SourceTop {
  /** Names of folders, without `/`. */
  folders: string[];
  files: SourceFile[];
}

/**
 * By what the bytes of a file can be checked, as its source states it: an MD5 in hexadecimal; the MD5 of the parts that
 * it was uploaded in; another checksum in base64; or its size alone.
 */
export type Digest =
  | { algorithm: 'md5'; value: string }
  | { algorithm: 'md5-parts'; value: string; partBytes: number }
  | { algorithm: 'sha256' | 'sha1' | 'crc32' | 'crc32c' | 'crc64nvme'; value: string }
  | { algorithm: 'size' };

/** Some bytes of a file, with what its source states of the whole. */
export interface FilePart {
  /** Fewer than were asked for where the file ends before. */
  bytes: Uint8Array;
  /** Bytes of the whole file. */
  size: number;
  /** Of a bucket's object, without quotation marks. */
  etag?: string | undefined;
}

/** Options of {@link Source.open}. */
export interface OpenOptions {
  /** First byte wanted. Default: 0 */
  from?: number;
  /** Fails where the object is another by now. Default: whatever is there. */
  etag?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A folder of files, on disk or in a bucket, that is only read. */
export interface Source {
  /** The address it was opened by, for messages. */
  address: string;
  /** Every file below a prefix, in order of key; on disk with links followed. */
  list(prefix?: string): Promise<SourceFile[]>;
  /** What lies at the top, no folder entered. */
  top(): Promise<SourceTop>;
  /** A small file, whole. */
  read(key: string): Promise<Uint8Array>;
  /** Some bytes of a file; fewer where it ends before. */
  readRange(key: string, offset: number, length: number): Promise<Uint8Array>;
  /** As {@link Source.readRange}, with the size and state of the whole; with `etag` fails where it is another by now. */
  readPart(key: string, offset: number, length: number, options?: { etag?: string | undefined }): Promise<FilePart>;
  /** The bytes of a file, from one on. */
  open(key: string, options?: OpenOptions): Promise<Readable>;
  /** What the source itself states of a file's bytes; a folder states the size alone. */
  digest(file: SourceFile): Promise<Digest>;
}

/** How to reach a bucket. */
export interface SourceOptions {
  /** S3 endpoint of one's own. Default: `$AWS_ENDPOINT_URL_S3`, else AWS. */
  endpoint?: string | undefined;
  /** Default: `$AWS_REGION`, `$AWS_DEFAULT_REGION` or the profile's, else us-west-2, where Maxar's open data lies. */
  region?: string | undefined;
  /** Unsigned requests, for open data. Default: `true` for the bucket `maxar-opendata`. */
  anonymous?: boolean | undefined;
}

/**
 * What a source answers in place of a file, as one line with address, finding and remedy.
 *
 * A class of its own, because who moves files tries again after what passes, and only then.
 */
export class SourceError extends Error {
  /** Whether the same request may well succeed later. */
  readonly transient: boolean;

  constructor(message: string, { transient, cause }: { transient: boolean; cause?: unknown }) {
    super(message, { cause });
    this.name = 'SourceError';
    this.transient = transient;
  }
}
