/** A file that browsers load with the web pages. */
export interface PageFile {
  readonly type: string;
  /** Compressed by gzip, which browsers take over plain HTTP too. */
  readonly gzipped: Uint8Array<ArrayBuffer>;
}

/** By path: `/index.html`, and `/assets/…` with a hash of the content in each name. */
export interface PageFiles {
  read(path: string): Promise<PageFile | null>;
}
