/** The PostgreSQL inside a compiled edge. */
export interface EmbeddedArchive {
  /** Names the content, see DistributionSource. */
  readonly version: string;
  /** Its size: it is the end of the program's file. */
  readonly bytes: number;
}

/** None when the edge runs from source; edge/build.ts puts a module with the archive in the place of this one. */
export const EMBEDDED_ARCHIVE: EmbeddedArchive | undefined = undefined;

/** Size of the web pages, which lie before the archive. */
export const EMBEDDED_PAGES_BYTES: number | undefined = undefined;
