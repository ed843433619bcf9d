/** Content under the name of what it is: whoever has the name can tell whether bytes are it. */
export interface BlobRef {
  /** 64 lower-case hex digits. */
  readonly sha256: string;
  readonly bytes: number;
}

/** A hash of bytes that come one after another. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Lower-case hex digits; nothing comes after it. */
  digest(): string;
}
