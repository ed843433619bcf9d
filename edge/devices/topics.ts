import type { PayloadFormat } from "./payload-form.ts";

// Topics of the public device API (v1, and the short forms v2), as text.

/** v1: `v1/devices/me/…`; v2: `v2/t`; v2-json: `v2/t/j`; v2-protobuf: `v2/t/p`. An answer takes the form of its request. */
export type TopicForm = "v1" | "v2" | "v2-json" | "v2-protobuf";

export interface FormTopics {
  readonly format: PayloadFormat;
  readonly telemetry: string;
  readonly attributes: string;
  /** Here and below a number follows. */
  readonly attributeRequest: string;
  readonly attributeResponse: string;
  readonly rpcRequest: string;
  readonly rpcResponse: string;
}

/** In the order in which a filter that is wider than one form is taken to mean them. */
export const FORMS: { readonly [form in TopicForm]: FormTopics } = {
  v1: {
    format: "profile",
    telemetry: "v1/devices/me/telemetry",
    attributes: "v1/devices/me/attributes",
    attributeRequest: "v1/devices/me/attributes/request/",
    attributeResponse: "v1/devices/me/attributes/response/",
    rpcRequest: "v1/devices/me/rpc/request/",
    rpcResponse: "v1/devices/me/rpc/response/",
  },
  v2: {
    format: "profile",
    telemetry: "v2/t",
    attributes: "v2/a",
    attributeRequest: "v2/a/req/",
    attributeResponse: "v2/a/res/",
    rpcRequest: "v2/r/req/",
    rpcResponse: "v2/r/res/",
  },
  "v2-json": {
    format: "json",
    telemetry: "v2/t/j",
    attributes: "v2/a/j",
    attributeRequest: "v2/a/req/j/",
    attributeResponse: "v2/a/res/j/",
    rpcRequest: "v2/r/req/j/",
    rpcResponse: "v2/r/res/j/",
  },
  "v2-protobuf": {
    format: "protobuf",
    telemetry: "v2/t/p",
    attributes: "v2/a/p",
    attributeRequest: "v2/a/req/p/",
    attributeResponse: "v2/a/res/p/",
    rpcRequest: "v2/r/req/p/",
    rpcResponse: "v2/r/res/p/",
  },
};

export const ALL_FORMS: readonly FormTopics[] = Object.values(FORMS);

/** Wildcards may only stand behind these: nobody is served topics of others. */
const PREFIXES = ["v1/devices/me/", "v1/gateway/", "v2/"];

/** Whether the topic belongs to the public device API, and not to a device profile alone. */
export function isPublicTopic(topic: string): boolean {
  return PREFIXES.some((prefix) => topic.startsWith(prefix));
}

/** Whether wildcards of a filter stand where they may. */
export function isProperFilter(filter: string): boolean {
  const levels = filter.split("/");
  const isRead = levels.every(
    (level, at) => !/[+#]/.test(level) || level === "+" || (level === "#" && at === levels.length - 1),
  );
  const wildcardAt = filter.search(/[+#]/);
  return isRead && (wildcardAt < 0 || isPublicTopic(filter));
}

/**
 * Whether the filter matches the topic by the rules of MQTT.
 *
 * @param topic may hold `+` for a level that is not known yet, which then matches anything
 */
export function matchesFilter(filter: string, topic: string): boolean {
  if (filter === topic) return true;
  const wanted = filter.split("/");
  const levels = topic.split("/");
  for (const [at, level] of wanted.entries()) {
    if (level === "#") return levels.length >= at;
    const found = levels[at];
    if (found === undefined || (level !== "+" && found !== "+" && level !== found)) return false;
  }
  return wanted.length === levels.length;
}

/** The filters that one connection holds, in the order in which they were subscribed. */
export class Subscriptions {
  readonly #qosByFilter = new Map<string, number>();
  readonly #filtersMax: number;

  constructor(filtersMax: number) {
    this.#filtersMax = filtersMax;
  }

  /** @returns false when there are too many */
  add(filter: string, qos: number): boolean {
    this.#qosByFilter.delete(filter);
    if (this.#qosByFilter.size >= this.#filtersMax) return false;
    this.#qosByFilter.set(filter, qos);
    return true;
  }

  /** @returns whether it was there */
  remove(filter: string): boolean {
    return this.#qosByFilter.delete(filter);
  }

  entries(): [filter: string, qos: number][] {
    return [...this.#qosByFilter];
  }

  /** Topics that only the profile of the device names. */
  ownTopics(): string[] {
    return [...this.#qosByFilter.keys()].filter((filter) => !isPublicTopic(filter));
  }

  /** With which QoS messages to this topic go out; undefined when the device did not ask for them. */
  qosOf(topic: string): number | undefined {
    let found: number | undefined;
    for (const [filter, qos] of this.#qosByFilter) {
      if (matchesFilter(filter, topic)) found = Math.max(found ?? 0, qos);
    }
    return found;
  }

  /** The topic among forms of one message that was asked for last; undefined when none was. */
  lastOf(topics: readonly string[]): { readonly topic: string; readonly qos: number } | undefined {
    let last: string | undefined;
    for (const filter of this.#qosByFilter.keys()) {
      last = topics.find((topic) => matchesFilter(filter, topic)) ?? last;
    }
    return last === undefined ? undefined : { topic: last, qos: this.qosOf(last) ?? 1 };
  }
}
