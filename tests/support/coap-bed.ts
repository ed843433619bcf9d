import {
  type CoapMessage,
  type CoapOption,
  decodeMessage,
  encodeMessage,
  METHOD,
  OPTION,
  TYPE,
  uintOption,
} from "../../edge/devices/coap-message.ts";
import { CoapServer, type CoapServerOptions } from "../../edge/devices/coap-server.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { readValue } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createFakeEdge, type FakeEdge } from "./fake-edge.ts";
import { waitFor } from "./wait-for.ts";

/** A CoAP server over a fake edge, without a socket: datagrams are handed over and collected. */
export interface CoapBed {
  readonly edge: FakeEdge;
  readonly server: CoapServer;
  /** What was sent and not taken, in order. */
  readonly sent: { readonly message: CoapMessage; readonly port: number }[];
  receive(message: Partial<CoapMessage>, port?: number): void;
  /** Sends a request and takes the next answer. */
  ask(request: CoapAsk): Promise<CoapMessage>;
  /** The next message that was sent. */
  take(): Promise<CoapMessage>;
  /** Acknowledges a message of the server. */
  acknowledge(message: CoapMessage, port?: number): void;
  emitShared(deviceId: Uuid, key: string, value: string): void;
}

export interface CoapAsk {
  readonly method?: number;
  readonly path: string;
  readonly body?: string | Uint8Array;
  readonly token?: number;
  readonly type?: CoapMessage["type"];
  readonly options?: readonly CoapOption[];
  readonly port?: number;
  readonly messageId?: number;
}

const ADDRESS = "192.0.2.1";
const PORT = 40_000;

export function openCoapBed(options: CoapServerOptions = {}): CoapBed {
  const edge = createFakeEdge();
  const sent: CoapBed["sent"] = [];
  const send = (bytes: Uint8Array, { port }: { readonly port: number }): void => {
    const message = decodeMessage(bytes);
    if (message === null) throw new Error("The server sent what is no message");
    sent.push({ message, port });
  };
  const server = new CoapServer({ ...edge, random: createSeededRandom(1), log: silentLog }, send, options);
  let messageId = 0;

  const receive: CoapBed["receive"] = (message, port = PORT) => {
    const whole = { type: TYPE.confirmable, code: 0, messageId: 0, token: new Uint8Array(0), options: [], ...message };
    server.receive(encodeMessage({ payload: new Uint8Array(0), ...whole }), { address: ADDRESS, port });
  };
  const take: CoapBed["take"] = async () => {
    await waitFor("an answer", () => sent.length > 0, { deadlineMs: 5000, intervalMs: 1 });
    const first = sent.shift();
    if (first === undefined) throw new Error("Nothing was sent");
    return first.message;
  };
  return {
    edge,
    server,
    sent,
    receive,
    take,
    ask: (request) => {
      messageId += 1;
      receive(requestOf(request, messageId), request.port);
      return take();
    },
    acknowledge: ({ messageId: acknowledged }, port) =>
      receive({ type: TYPE.acknowledgement, messageId: acknowledged }, port),
    emitShared: (deviceId, key, value) =>
      edge.emit({ kind: "shared-saved", deviceId, attributes: [{ key, value: readValue(value), updatedMs: 1 }] }),
  };
}

export function requestOf(
  { body = "", method = METHOD.get, options = [], path, token = 7, type = TYPE.confirmable, messageId }: CoapAsk,
  nextId: number,
): Partial<CoapMessage> {
  const [route = "", query] = path.split("?");
  const text = (number: number, value: string): CoapOption => ({ number, value: new TextEncoder().encode(value) });
  return {
    type,
    code: method,
    messageId: messageId ?? nextId,
    token: Uint8Array.of(token),
    options: [
      ...route.split("/").map((segment) => text(OPTION.uriPath, segment)),
      ...(query === undefined ? [] : query.split("&").map((part) => text(OPTION.uriQuery, part))),
      ...options,
    ],
    payload: typeof body === "string" ? new TextEncoder().encode(body) : body,
  };
}

export const OBSERVE = uintOption(OPTION.observe, 0);
export const OBSERVE_NO_MORE = uintOption(OPTION.observe, 1);
