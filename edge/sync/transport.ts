import type { ClientHttp2Stream } from "node:http2";
import { createClient, ConnectError } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import { FrameQueue } from "../../shared/sync/frame-queue.ts";
import type { Frame } from "../../shared/sync/frames.ts";
import type { SessionTransport } from "../../shared/sync/session-driver.ts";
import { decodeResponse, encodeRequest } from "../../shared/wire/frames-codec.ts";
import { EdgeSyncService } from "../../shared/wire/gen/skerry/sync/v1/sync_pb.ts";
import { EDGE_KEY_HEADER, EDGE_SECRET_HEADER } from "../../shared/wire/rpc-errors.ts";
import { FRAME_BYTES_MAX, HTTP2_WINDOW_BYTES } from "../../shared/wire/rpc-limits.ts";
import type { EnrollCall, EnrolledAs } from "../enrollment.ts";
import { toRouteError } from "./route-errors.ts";

export interface CloudAddress {
  /** https://host:port, or http:// where that is allowed. */
  readonly url: string;
  readonly edgeKey: string;
  /** Behind a function, so that nothing that prints an address prints it. */
  readonly edgeSecret: () => string;
  /** Certificates to trust beside the system's, PEM. */
  readonly caPem: string | undefined;
}

const FAREWELL_MS = 250;

/** Dials out to the cloud; the call ends soon after `signal` aborts. The stream fails, not this call, when there is no route. */
export function dialCloud(
  address: CloudAddress,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): SessionTransport {
  const abort = new AbortController();
  const transport = createGrpcTransport({
    baseUrl: address.url,
    readMaxBytes: FRAME_BYTES_MAX,
    sessionManager: new WideSessionManager(
      address.url,
      {},
      {
        settings: { initialWindowSize: HTTP2_WINDOW_BYTES },
        ...(address.caPem === undefined ? {} : { ca: address.caPem }),
      },
    ),
  });
  const client = createClient(EdgeSyncService, transport);
  const outgoing = new FrameQueue();
  // The farewell gets a moment, also when the edge stops; a half-open link must not keep the stream.
  const leave = (): void =>
    void clock.sleep(FAREWELL_MS).then(() => abort.abort(new AppError("CANCELLED", "The session is over")));
  signal.addEventListener("abort", leave, { once: true });
  const responses = client.session(encodeAll(outgoing), {
    headers: { [EDGE_KEY_HEADER]: address.edgeKey, [EDGE_SECRET_HEADER]: address.edgeSecret() },
    signal: abort.signal,
  });
  return {
    incoming: decodeAll(responses),
    send: (frame) => outgoing.push(frame),
    close: () => {
      signal.removeEventListener("abort", leave);
      outgoing.close();
      leave();
    },
  };
}

const ENROLL_TIMEOUT_MS = 15_000;

/** Exchanges a claim code for the identity of an edge. @throws AppError CLAIM_REFUSED, or why the cloud was not reached */
export async function callEnroll({ cloudUrl, caPem, claimCode, secret }: EnrollCall): Promise<EnrolledAs> {
  const options = caPem === undefined ? {} : { ca: caPem };
  const sessionManager = new Http2SessionManager(cloudUrl, {}, options);
  const client = createClient(EdgeSyncService, createGrpcTransport({ baseUrl: cloudUrl, sessionManager }));
  try {
    const { edgeKey, edgeName } = await client.enroll({ claimCode, secret }, { timeoutMs: ENROLL_TIMEOUT_MS });
    return { edgeKey, edgeName };
  } catch (thrown) {
    throw toRouteError(ConnectError.from(thrown));
  } finally {
    sessionManager.abort();
  }
}

/** The window of the whole connection, which no setting of HTTP/2 names. */
class WideSessionManager extends Http2SessionManager {
  override async request(...call: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...call);
    stream.session?.setLocalWindowSize(HTTP2_WINDOW_BYTES);
    return stream;
  }
}

async function* encodeAll(frames: AsyncIterable<Frame>) {
  for await (const frame of frames) yield encodeRequest(frame);
}

async function* decodeAll(
  responses: ReturnType<ReturnType<typeof createClient<typeof EdgeSyncService>>["session"]>,
): AsyncIterable<Frame> {
  try {
    for await (const response of responses) {
      const frame = decodeResponse(response);
      if (frame !== null) yield frame;
    }
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    throw toRouteError(ConnectError.from(thrown));
  }
}
