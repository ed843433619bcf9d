// Topics of the public device API (v1, and the short forms v2), as text and as what they mean.

/** v1: `v1/devices/me/…`; v2: `v2/t`; v2-json: `v2/t/j`. An answer takes the form of its request. */
export type TopicForm = "v1" | "v2" | "v2-json";

/** What a device publishes to. */
export type UplinkTopic =
  | { readonly kind: "telemetry" }
  | { readonly kind: "attributes" }
  | { readonly kind: "attribute-request"; readonly form: TopicForm; readonly requestId: string }
  | { readonly kind: "gateway"; readonly message: GatewayTopic }
  | { readonly kind: "unknown" };

/** What a gateway says about devices behind it. */
export type GatewayTopic = "connect" | "disconnect" | "telemetry" | "attributes" | "attribute-request";

interface FormTopics {
  readonly telemetry: string;
  readonly attributes: string;
  readonly attributeRequest: string;
  readonly attributeResponse: string;
  readonly rpcRequest: string;
  readonly rpcResponse: string;
}

const FORMS: { readonly [form in TopicForm]: FormTopics } = {
  v1: {
    telemetry: "v1/devices/me/telemetry",
    attributes: "v1/devices/me/attributes",
    attributeRequest: "v1/devices/me/attributes/request/",
    attributeResponse: "v1/devices/me/attributes/response/",
    rpcRequest: "v1/devices/me/rpc/request/",
    rpcResponse: "v1/devices/me/rpc/response/",
  },
  v2: {
    telemetry: "v2/t",
    attributes: "v2/a",
    attributeRequest: "v2/a/req/",
    attributeResponse: "v2/a/res/",
    rpcRequest: "v2/r/req/",
    rpcResponse: "v2/r/res/",
  },
  "v2-json": {
    telemetry: "v2/t/j",
    attributes: "v2/a/j",
    attributeRequest: "v2/a/req/j/",
    attributeResponse: "v2/a/res/j/",
    rpcRequest: "v2/r/req/j/",
    rpcResponse: "v2/r/res/j/",
  },
};

const FORM_NAMES = Object.keys(FORMS) as TopicForm[];
const ALL_OF_V1 = "v1/devices/me/#";

const TELEMETRY: UplinkTopic = { kind: "telemetry" };
const ATTRIBUTES: UplinkTopic = { kind: "attributes" };
const UNKNOWN: UplinkTopic = { kind: "unknown" };

/** Changes of devices behind a gateway, and its answers. */
export const GATEWAY_ATTRIBUTES = "v1/gateway/attributes";
export const GATEWAY_ATTRIBUTES_RESPONSE = "v1/gateway/attributes/response";

const EXACT: ReadonlyMap<string, UplinkTopic> = new Map([
  ...FORM_NAMES.flatMap((form): [string, UplinkTopic][] => [
    [FORMS[form].telemetry, TELEMETRY],
    [FORMS[form].attributes, ATTRIBUTES],
  ]),
  ["v1/gateway/connect", { kind: "gateway", message: "connect" }],
  ["v1/gateway/disconnect", { kind: "gateway", message: "disconnect" }],
  ["v1/gateway/telemetry", { kind: "gateway", message: "telemetry" }],
  [GATEWAY_ATTRIBUTES, { kind: "gateway", message: "attributes" }],
  ["v1/gateway/attributes/request", { kind: "gateway", message: "attribute-request" }],
]);

const REQUEST_ID = /^(?:0|-?[1-9][0-9]{0,9})$/;

/** What a publish to `topic` means. */
export function parseUplinkTopic(topic: string): UplinkTopic {
  const exact = EXACT.get(topic);
  if (exact !== undefined) return exact;
  for (const form of FORM_NAMES) {
    const prefix = FORMS[form].attributeRequest;
    if (!topic.startsWith(prefix)) continue;
    const requestId = topic.slice(prefix.length);
    if (REQUEST_ID.test(requestId)) return { kind: "attribute-request", form, requestId };
  }
  return UNKNOWN;
}

/** Filters that are granted, compared as text, with the form of attribute pushes that they ask for, if they do. */
const FILTERS: ReadonlyMap<string, TopicForm | null> = new Map<string, TopicForm | null>([
  ...FORM_NAMES.flatMap((form): [string, TopicForm | null][] => [
    [FORMS[form].attributes, form],
    [`${FORMS[form].attributeResponse}+`, null],
    [`${FORMS[form].rpcRequest}+`, null],
    [`${FORMS[form].rpcResponse}+`, null],
  ]),
  [ALL_OF_V1, "v1"],
  [GATEWAY_ATTRIBUTES, null],
  [GATEWAY_ATTRIBUTES_RESPONSE, null],
  ["v1/gateway/rpc", null],
  ["v2/fw/response/+", null],
  ["v2/fw/response/+/chunk/+", null],
  ["v2/fw/error", null],
  ["v2/sw/response/+", null],
  ["v2/sw/response/+/chunk/+", null],
  ["v2/sw/error", null],
]);

export function isGrantedFilter(filter: string): boolean {
  return FILTERS.has(filter);
}

/** The filters that one device holds, in the order in which they were subscribed. */
export class Subscriptions {
  /** At most the filters of FILTERS, so it needs no limit of its own. */
  readonly #qosByFilter = new Map<string, number>();

  add(filter: string, qos: number): void {
    this.#qosByFilter.delete(filter);
    this.#qosByFilter.set(filter, qos);
  }

  /** @returns whether it was there */
  remove(filter: string): boolean {
    return this.#qosByFilter.delete(filter);
  }

  /** Where attribute pushes go: the form that was subscribed last; undefined when the device asked for none. */
  attributePush(): { topic: string; qos: number } | undefined {
    let push: { topic: string; qos: number } | undefined;
    for (const [filter, qos] of this.#qosByFilter) {
      const form = FILTERS.get(filter);
      if (form !== null && form !== undefined) push = { topic: FORMS[form].attributes, qos };
    }
    return push;
  }

  /** With which QoS messages to exactly this topic go out; undefined when the device did not ask for them. */
  qosOf(topic: string): number | undefined {
    return this.#qosByFilter.get(topic);
  }

  /** Where the answer to a request goes; needs no subscription. */
  attributeResponse(form: TopicForm, requestId: string): { topic: string; qos: number } {
    const prefix = FORMS[form].attributeResponse;
    const qos = this.#qosByFilter.get(`${prefix}+`) ?? (form === "v1" ? this.#qosByFilter.get(ALL_OF_V1) : undefined);
    return { topic: prefix + requestId, qos: qos ?? 1 };
  }
}
