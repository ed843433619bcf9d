// What both ends allow each other on the gRPC stream.

/** One frame. */
export const FRAME_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Bytes that a peer may have on the way, per stream and per connection: HTTP/2's default of 64 KiB would cap a link of 600 ms at
 * 109 KB/s. What is really in flight is less, see shared/sync/pace.ts.
 */
export const HTTP2_WINDOW_BYTES = 16 * 1024 * 1024;
