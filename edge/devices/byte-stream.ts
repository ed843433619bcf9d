/** One connection as bytes, whatever carries it: TCP, TLS, later WebSocket. */
export interface ByteStream {
  /** Address of the peer, for logs. */
  readonly source: string;
  /** That the peer has shown, DER as base64: first the one whose key it has proven to hold, then those behind it; none without TLS. */
  readonly peerCertificates: readonly string[];
  /** Bytes written that the operating system has not taken yet. */
  readonly queuedBytes: number;
  write(bytes: Uint8Array): void;
  /** Stops reading; a chunk that is under way may still arrive. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes the sending direction. */
  end(): void;
  destroy(): void;
}

/** What a protocol does with a stream. Neither function may throw. */
export interface ByteStreamHandler {
  onData(chunk: Uint8Array): void;
  /** Once, when the stream is gone for whatever reason. */
  onClose(): void;
}
