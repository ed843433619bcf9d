import { Buffer } from "node:buffer";
import { AppError } from "../../shared/core/errors.ts";
import type { Random } from "../../shared/core/random.ts";
import type { Log } from "../../shared/observe/log.ts";
import { bodyBytes, type CoapAnswer, emptyAnswer, failureAnswer, readBody, refusal } from "./coap-answers.ts";
import { Answers, Bodies } from "./coap-blocks.ts";
import { CODE } from "./coap-codes.ts";
import {
  type CoapPeer,
  type Exchange,
  Exchanges,
  peerKey,
  ReliableSender,
  type SendDatagram,
} from "./coap-exchanges.ts";
import {
  type Block,
  blockOption,
  type CoapMessage,
  type CoapOption,
  decodeMessage,
  EMPTY_CODE,
  emptyMessage,
  encodeMessage,
  METHOD,
  OPTION,
  readBlock,
  readUint,
  TYPE,
  uintOption,
} from "./coap-message.ts";
import { type Observer, Observers } from "./coap-observers.ts";
import { answerProvisioning, type CoapRoute, type CoapRouteDeps, createCoapRoutes } from "./coap-routes.ts";
import type { DeviceErrors } from "./device-errors.ts";
import { PAYLOAD_BYTES_MAX } from "./device-session.ts";
import type { AuthenticatedDevice, DeviceDirectory, DeviceProvisioning } from "./ports.ts";

export interface CoapServerDeps extends CoapRouteDeps {
  readonly random: Random;
  readonly log: Log;
  readonly directory: Pick<DeviceDirectory, "findByAccessToken">;
  readonly provisioning: DeviceProvisioning;
  readonly errors: DeviceErrors;
}

export interface CoapServerOptions {
  /** Requests that are served at once; further ones are answered 5.03. @default 1000 */
  readonly requestsMax?: number;
  /** Observations at once; further ones are answered once and not told of changes. @default 5000 */
  readonly observersMax?: number;
  /** A body above it is answered 4.13. @default 65_536 */
  readonly bodyBytesMax?: number;
}

/** What a message of a device wants, read. */
interface ReadRequest {
  readonly message: CoapMessage;
  readonly peer: CoapPeer;
  readonly path: readonly string[];
  readonly query: ReadonlyMap<string, string>;
  readonly uri: string;
}

interface Answered {
  readonly answer: CoapAnswer;
  /** Of an observation that begins. */
  readonly observation?: { readonly sequence: number; readonly open: () => void };
}

const BLOCK_BYTES = 1024;
/** How often what nobody asks for any more is forgotten. */
const SWEEP_MS = 10_000;
const MAX_AGE_S = 30;
const OBSERVE_REGISTER = 0;
const OBSERVE_CANCEL = 1;

const { uriPath, uriQuery, block1, block2 } = OPTION;
/** Options that have to be understood, beyond those that are: host, port, the format that is accepted. */
const KNOWN_CRITICAL: ReadonlySet<number> = new Set([3, 7, 17, uriPath, uriQuery, block1, block2]);
const PROXY_OPTIONS: ReadonlySet<number> = new Set([35, 39]);

/**
 * CoAP for devices (RFC 7252), with observations (RFC 7641) and bodies in blocks (RFC 7959).
 *
 * A datagram that is no message is dropped; a request is answered with its acknowledgement, or by itself when it was repeated before it
 * was served. POSTs that are repeated are answered again and not served again. News of observations are confirmable: a device that does not
 * acknowledge them is told no more.
 */
export class CoapServer {
  readonly #deps: CoapServerDeps;
  readonly #send: SendDatagram;
  readonly #routes: readonly CoapRoute[];
  readonly #requestsMax: number;
  readonly #exchanges: Exchanges;
  readonly #sender: ReliableSender;
  readonly #bodies: Bodies;
  readonly #answers: Answers;
  readonly #observers: Observers;
  readonly #closing = new AbortController();
  #requests = 0;

  constructor(deps: CoapServerDeps, send: SendDatagram, options: CoapServerOptions = {}) {
    const { requestsMax = 1000, observersMax = 5000, bodyBytesMax = PAYLOAD_BYTES_MAX } = options;
    const { clock } = deps;
    this.#deps = deps;
    this.#send = send;
    this.#routes = createCoapRoutes(deps);
    this.#requestsMax = requestsMax;
    this.#exchanges = new Exchanges(clock);
    this.#sender = new ReliableSender({ ...deps, send });
    this.#bodies = new Bodies(clock, bodyBytesMax);
    this.#answers = new Answers(clock);
    this.#observers = new Observers(
      { deliver: (observer, answer, sequence) => this.#deliver(observer, answer, sequence) },
      { observersMax, queueMax: 100 },
    );
  }

  get observers(): number {
    return this.#observers.count;
  }

  /** Takes a datagram; never throws. */
  receive(bytes: Uint8Array, peer: CoapPeer): void {
    const message = decodeMessage(bytes);
    if (message === null) return;
    const { code, messageId, type } = message;
    if (type === TYPE.acknowledgement || type === TYPE.reset) {
      this.#sender.settle(peer, messageId, type === TYPE.reset ? "reset" : "acknowledged");
    } else if (code === EMPTY_CODE || code >> 5 !== 0) {
      // A ping, or an answer to nothing that was asked.
      if (type === TYPE.confirmable) this.#send(emptyMessage(TYPE.reset, messageId), peer);
    } else {
      this.#takeRequest(message, peer);
    }
  }

  /** Forgets what nobody asks for any more until the signal; then ends all observations. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#deps.clock.sleep(SWEEP_MS, signal).catch(() => undefined);
      this.#exchanges.sweep();
      this.#bodies.sweep();
      this.#answers.sweep();
    }
    this.#closing.abort();
    this.#observers.close();
  }

  #takeRequest(message: CoapMessage, peer: CoapPeer): void {
    // To read something twice does no harm.
    if (message.code === METHOD.get) return this.#serve(message, peer, undefined);
    const { exchange, isRepeated } = this.#exchanges.open(peer, message.messageId);
    if (!isRepeated) return this.#serve(message, peer, exchange);
    if (exchange.answer !== undefined) return this.#send(exchange.answer, peer);
    if (message.type !== TYPE.confirmable) return;
    exchange.isAcknowledged = true;
    this.#send(emptyMessage(TYPE.acknowledgement, message.messageId), peer);
  }

  #serve(message: CoapMessage, peer: CoapPeer, exchange: Exchange | undefined): void {
    const request = readRequest(message, peer);
    const isBusy = this.#requests >= this.#requestsMax;
    this.#requests += 1;
    const served = isBusy ? Promise.resolve({ answer: emptyAnswer(CODE.unavailable) }) : this.#answer(request);
    served
      .then((answered) => this.#respond(request, exchange, answered))
      .catch((error: unknown) => this.#deps.log.error("An answer to a CoAP request was not sent", { error }))
      .finally(() => {
        this.#requests -= 1;
      });
  }

  async #respond(request: ReadRequest, exchange: Exchange | undefined, answered: Answered): Promise<void> {
    const { message, peer } = request;
    const { answer, observation } = answered;
    const observe = observation === undefined ? [] : [uintOption(OPTION.observe, observation.sequence)];
    const head = { token: message.token, code: answer.code };
    const body = await this.#cut(request.uri, peer, { answer, message });
    const response = { ...head, payload: body.payload, options: [...observe, ...body.options] };
    if (exchange?.isAcknowledged === true) {
      await this.#sender.deliver(peer, response, this.#closing.signal);
    } else {
      const isConfirmable = message.type === TYPE.confirmable;
      const bytes = encodeMessage({
        ...response,
        type: isConfirmable ? TYPE.acknowledgement : TYPE.nonConfirmable,
        messageId: isConfirmable ? message.messageId : this.#sender.nextMessageId(),
      });
      if (exchange !== undefined) exchange.answer = bytes;
      this.#send(bytes, peer);
    }
    observation?.open();
  }

  async #answer(request: ReadRequest): Promise<Answered> {
    const { message, path, peer, uri } = request;
    const [first, second, third] = path;
    try {
      const critical = message.options.find(({ number }) => number % 2 === 1 && !KNOWN_CRITICAL.has(number));
      if (critical !== undefined) {
        return { answer: emptyAnswer(PROXY_OPTIONS.has(critical.number) ? CODE.noProxy : CODE.badOption) };
      }
      if (message.code !== METHOD.get && message.code !== METHOD.post)
        return { answer: emptyAnswer(CODE.methodNotAllowed) };
      const wanted = readBlock(message, block2);
      if (wanted === null) return { answer: refusal(CODE.badRequest, "A block that can't be read") };
      if (wanted !== undefined && wanted.number > 0) {
        const kept = this.#answers.find(answerKey(peer, uri));
        if (kept !== undefined) return { answer: kept };
      }
      if (first === "api" && second === "v1" && third === "provision" && path.length === 3) {
        return { answer: await this.#provision(request) };
      }
      return await this.#answerDevice(request);
    } catch (thrown) {
      return { answer: failureAnswer(thrown) };
    }
  }

  async #provision(request: ReadRequest): Promise<CoapAnswer> {
    if (request.message.code !== METHOD.post) return emptyAnswer(CODE.badRequest);
    const body = this.#collect(request);
    return body instanceof Uint8Array ? answerProvisioning(this.#deps.provisioning, body) : body;
  }

  async #answerDevice(request: ReadRequest): Promise<Answered> {
    const { directory, errors } = this.#deps;
    const token = tokenIn(request.path);
    const device = token === "" ? null : await directory.findByAccessToken(token);
    if (device === null) return { answer: emptyAnswer(CODE.unauthorized) };
    try {
      return await this.#serveDevice(device, request);
    } catch (thrown) {
      errors.note(device.deviceId, `A CoAP request was refused: ${AppError.from(thrown).message}`);
      throw thrown;
    }
  }

  async #serveDevice(device: AuthenticatedDevice, request: ReadRequest): Promise<Answered> {
    const { message, path, query } = request;
    const found = findRoute(this.#routes, path);
    if (found === undefined) throw new AppError("INVALID_ARGUMENT", "There is no such resource");
    const { route, segments } = found;
    const handler = message.code === METHOD.get ? route.get : route.post;
    const body = this.#collect(request);
    if (!(body instanceof Uint8Array)) return { answer: body };
    this.#deps.activity.note(device);
    this.#deps.rates.check(device, "messages");
    const asked = { segments, query, body };
    const observe = message.code === METHOD.get ? readUint(message, OPTION.observe) : undefined;
    if (route.observe !== undefined && observe === OBSERVE_REGISTER) {
      return this.#observe(device, request, { ...route.observe, asked });
    }
    if (route.observe !== undefined && observe === OBSERVE_CANCEL) {
      this.#observers.cancel(route.observe.observable, observerOf(device, request));
      return { answer: await route.observe.first(device, asked) };
    }
    if (handler === undefined) throw new AppError("INVALID_ARGUMENT", "The resource does not take this method");
    return { answer: await handler(device, asked) };
  }

  /** Watches first and reads then, so that no change falls between the two. */
  async #observe(
    device: AuthenticatedDevice,
    request: ReadRequest,
    {
      observable,
      first,
      asked,
    }: NonNullable<CoapRoute["observe"]> & { readonly asked: Parameters<NonNullable<CoapRoute["get"]>>[1] },
  ): Promise<Answered> {
    const observation = this.#observers.add(observable, observerOf(device, request));
    try {
      const answer = await first(device, asked);
      return observation === null ? { answer } : { answer, observation };
    } catch (thrown) {
      this.#observers.cancel(observable, observerOf(device, request));
      throw thrown;
    }
  }

  /** The whole body, or what this part of it is answered. */
  #collect({ message, peer, uri }: ReadRequest): Uint8Array | CoapAnswer {
    const block = readBlock(message, block1);
    if (block === undefined) return Buffer.from(message.payload);
    if (block === null) return refusal(CODE.badRequest, "A block that can't be read");
    return this.#bodies.take(`${peerKey(peer)} ${uri}`, block, message.payload);
  }

  /** What of the answer goes into the message, and the options that say so. */
  async #cut(
    uri: string,
    peer: CoapPeer,
    { answer, message }: { readonly answer: CoapAnswer; readonly message: Pick<CoapMessage, "options"> | null },
  ): Promise<{ readonly payload: Uint8Array; readonly options: readonly CoapOption[] }> {
    const options: CoapOption[] = [];
    const received = message === null ? undefined : readBlock(message, block1);
    if (received !== undefined && received !== null) options.push(blockOption(block1, received));
    if (answer.code === CODE.tooManyRequests || answer.code === CODE.unavailable)
      options.push(uintOption(OPTION.maxAge, MAX_AGE_S));
    if (answer.contentFormat !== undefined) options.push(uintOption(OPTION.contentFormat, answer.contentFormat));
    const asked = message === null ? undefined : (readBlock(message, block2) ?? undefined);
    const { number, size }: Pick<Block, "number" | "size"> = asked ?? { number: 0, size: BLOCK_BYTES };
    const bytes = bodyBytes(answer.body);
    const offset = number * size;
    if (asked === undefined && bytes <= size) return { payload: await readBody(answer.body, 0, size), options };
    const hasMore = offset + size < bytes;
    const { etag } = hasMore ? this.#answers.keep(answerKey(peer, uri), answer) : answer;
    if (etag !== undefined) options.push(uintOption(OPTION.etag, etag));
    options.push(blockOption(block2, { number, hasMore, size }));
    if (number === 0) options.push(uintOption(OPTION.size2, bytes));
    const payload = offset < bytes ? await readBody(answer.body, offset, size) : new Uint8Array(0);
    return { payload, options };
  }

  async #deliver(observer: Observer, answer: CoapAnswer, sequence: number | undefined) {
    const { peer, token, uri } = observer;
    const { payload, options } = await this.#cut(uri, peer, { answer, message: null });
    const observe = sequence === undefined ? [] : [uintOption(OPTION.observe, sequence)];
    const message = { code: answer.code, token, payload, options: [...observe, ...options] };
    return this.#sender.deliver(peer, message, this.#closing.signal);
  }
}

const decoder = (value: Uint8Array): string =>
  Buffer.from(value.buffer, value.byteOffset, value.length).toString("utf8");

function readRequest(message: CoapMessage, peer: CoapPeer): ReadRequest {
  const path: string[] = [];
  const query = new Map<string, string>();
  for (const { number, value } of message.options) {
    if (number === uriPath) path.push(decoder(value));
    if (number !== uriQuery) continue;
    const text = decoder(value);
    const equals = text.indexOf("=");
    if (equals < 0) query.set(text, "");
    else query.set(text.slice(0, equals), text.slice(equals + 1));
  }
  const uri = `${message.code} ${JSON.stringify([path, [...query]])}`;
  return { message, peer, path, query, uri };
}

function answerKey(peer: CoapPeer, uri: string): string {
  return `${peerKey(peer)} ${uri}`;
}

function observerOf({ deviceId }: AuthenticatedDevice, { message, peer, uri }: ReadRequest): Observer {
  // The datagram is the socket's.
  return { deviceId, peer, token: Uint8Array.from(message.token), uri };
}

/** `/api/v1/TOKEN/…`, `/fw/TOKEN`, `/sw/TOKEN`; empty: none. */
function tokenIn([first, second, third]: readonly string[]): string {
  if (first === "fw" || first === "sw") return second ?? "";
  return first === "api" && second === "v1" ? (third ?? "") : "";
}

function findRoute(
  routes: readonly CoapRoute[],
  path: readonly string[],
): { readonly route: CoapRoute; readonly segments: readonly string[] } | undefined {
  for (const route of routes) {
    const pattern = route.path.split("/");
    if (pattern.length !== path.length) continue;
    if (!pattern.every((segment, at) => segment === ":token" || segment === "+" || segment === path[at])) continue;
    return { route, segments: path.filter((_, at) => pattern[at] === "+") };
  }
  return undefined;
}
