import type { ServerSocket, SocketHandler, SocketOffer } from "../../shared/core/server-socket.ts";
import type { ByteStream, ByteStreamHandler } from "./byte-stream.ts";

const MQTT_WEBSOCKET_PATH = "/mqtt";
/** Names that clients propose; of MQTT 3.1 the second one. */
const PROTOCOLS: readonly string[] = ["mqtt", "mqttv3.1"];

/** Bytes that may arrive while the connection is not read: a WebSocket can't be paused. More ends it. */
const WAITING_BYTES_MAX = 1_048_576;

const NORMAL = 1000;
const NOT_BINARY = 1003;

/** MQTT for browsers, in binary messages on the port of HTTP; null: the request is for something else. */
export function openMqttSocket(
  request: Request,
  accept: (stream: ByteStream) => ByteStreamHandler,
): SocketOffer | null {
  if (new URL(request.url).pathname !== MQTT_WEBSOCKET_PATH) return null;
  const proposed = (request.headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim());
  const protocol = proposed.find((name) => PROTOCOLS.includes(name));
  if (protocol === undefined) return null;
  return { protocol, open: (socket) => new SocketStream(socket, accept) };
}

/** A WebSocket as a stream of bytes; where its messages begin and end means nothing. */
class SocketStream implements ByteStream, SocketHandler {
  readonly source: string;
  readonly peerCertificates = [];
  readonly #socket: ServerSocket;
  readonly #handler: ByteStreamHandler;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #isPaused = false;
  #isClosed = false;

  constructor(socket: ServerSocket, accept: (stream: ByteStream) => ByteStreamHandler) {
    this.#socket = socket;
    this.source = socket.remoteAddress ?? "a WebSocket";
    this.#handler = accept(this);
  }

  get queuedBytes(): number {
    return this.#socket.bufferedBytes();
  }

  write(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#socket.sendBytes(bytes);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && !this.#isClosed) {
      const chunk = this.#waiting.shift();
      if (chunk === undefined) return;
      this.#waitingBytes -= chunk.length;
      this.#handler.onData(chunk);
    }
  }

  end(): void {
    this.#socket.close(NORMAL, "");
  }

  destroy(): void {
    this.#socket.terminate();
    this.onClose();
  }

  onBytes(bytes: Uint8Array): void {
    // The runtime may use the memory of the message again.
    const chunk = bytes.slice();
    if (this.#isClosed) return;
    if (!this.#isPaused && this.#waiting.length === 0) {
      this.#handler.onData(chunk);
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > WAITING_BYTES_MAX) this.destroy();
  }

  onMessage(): void {
    this.#socket.close(NOT_BINARY, "MQTT comes in binary messages");
  }

  onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#handler.onClose();
  }
}
