/** Load over HTTP: raw keep-alive sockets that post messages encoded beforehand, one at a time each, and look only at the status line. */
import { connect, type Socket } from "bun";
import type { LoadResult } from "./load-result.ts";
import { defaultPayload } from "./mqtt-load.ts";

export interface HttpLoadOptions {
  readonly host?: string;
  readonly port: number;
  /** One client each. */
  readonly tokens: readonly string[];
  readonly messagesPerClient: number;
  /** Time of the first message; each further one of a client is a ms later. */
  readonly firstTsMs: number;
  /** Payload of a message. @default about 100 bytes with five values */
  readonly payload?: (client: number, tsMs: number) => string;
}

/** Posts all messages; resolves when each was answered with 200, rejects at another answer or when a connection ends early. */
export async function runHttpLoad(options: HttpLoadOptions): Promise<LoadResult> {
  const requests = options.tokens.map((token, client) => encodeRequests(options, token, client));
  const startedMs = performance.now();
  await Promise.all(requests.map((bytes) => runClient(options, bytes)));
  const elapsedMs = performance.now() - startedMs;
  const messages = options.tokens.length * options.messagesPerClient;
  return { messages, elapsedMs, perSecond: (messages * 1000) / elapsedMs };
}

function encodeRequests(options: HttpLoadOptions, token: string, client: number): Buffer[] {
  const { messagesPerClient, firstTsMs, payload = defaultPayload } = options;
  return Array.from({ length: messagesPerClient }, (_, index) => {
    const body = payload(client, firstTsMs + index);
    const head = `POST /api/v1/${token}/telemetry HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    return Buffer.from(head + body);
  });
}

async function runClient(options: HttpLoadOptions, requests: readonly Buffer[]): Promise<void> {
  const { host = "127.0.0.1", port } = options;
  const done = Promise.withResolvers<void>();
  let sent = 0;
  let received = "";
  const send = (socket: Socket): void => {
    const request = requests[sent];
    if (request === undefined) {
      done.resolve();
      socket.end();
      return;
    }
    sent += 1;
    if (socket.write(request) < request.length) done.reject(new Error(`Request ${sent} did not fit the socket`));
  };
  // The runtime's own sockets: the streams of node:net cost as much as what is measured.
  await connect({
    hostname: host,
    port,
    socket: {
      open: send,
      data: (socket, chunk) => {
        received += chunk.toString("latin1");
        // An empty answer ends with its head.
        if (!received.endsWith("\r\n\r\n")) return;
        if (received.startsWith("HTTP/1.1 200 ")) {
          received = "";
          send(socket);
        } else {
          done.reject(new Error(`Message ${sent} was answered with ${received.slice(0, 200)}`));
          socket.end();
        }
      },
      error: (_, error) => done.reject(error),
      close: () => done.reject(new Error(`Connection ended after ${sent} of ${requests.length} requests`)),
    },
  });
  await done.promise;
}
