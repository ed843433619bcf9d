import type { Clock } from "../core/clock.ts";
import type { ErrorCode } from "../core/errors.ts";
import { isUuid, type Uuid } from "../core/ids.ts";
import { TokenBuckets } from "../core/token-buckets.ts";
import { ENTITY_KINDS } from "../entities/entity-kinds.ts";
import { KIND_TYPES } from "../entities/entity-types.ts";
import type { Log } from "../observe/log.ts";
import { writeFailure } from "../store/audit-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import type { FailedCall } from "./app.ts";
import { changesSomething, pathParameters } from "./route.ts";

// Calls that would have changed something and failed. What they were about is read off the route, so that a new one is audited by itself;
// what was sent is not kept: it may hold secrets.

/** The first that fits says what was tried; else it is ADDED, UPDATED or DELETED. */
const ACTIONS: readonly (readonly [method: string, path: RegExp, action: string])[] = [
  ["post", /^\/api\/customer\/(\{customerId\}|public)\//, "ASSIGNED_TO_CUSTOMER"],
  ["delete", /^\/api\/customer\/(public\/)?\w+\/\{/, "UNASSIGNED_FROM_CUSTOMER"],
  ["post", /^\/api\/edge\/\{edgeId\}\/\w+\/\{\w+\}$/, "ASSIGNED_TO_EDGE"],
  ["delete", /^\/api\/edge\/\{edgeId\}\/\w+\/\{\w+\}$/, "UNASSIGNED_FROM_EDGE"],
  ["post", /credentials$|\/secret$|\/claimCode$|changePassword/, "CREDENTIALS_UPDATED"],
  ["post", /\/relation$/, "RELATION_ADD_OR_UPDATE"],
  ["delete", /\/relations?$/, "RELATION_DELETED"],
  ["post", /^\/api\/alarm\/\{\w+\}\/ack$/, "ALARM_ACK"],
  ["post", /^\/api\/alarm\/\{\w+\}\/clear$/, "ALARM_CLEAR"],
  ["post", /^\/api\/alarm\/\{\w+\}\/assign/, "ALARM_ASSIGNED"],
  ["delete", /^\/api\/alarm\/\{\w+\}\/assign/, "ALARM_UNASSIGNED"],
  ["post", /^\/api\/alarm\/\{\w+\}\/comment$/, "ADDED_COMMENT"],
  ["delete", /^\/api\/alarm\/\{\w+\}\/comment\//, "DELETED_COMMENT"],
  ["delete", /\/timeseries\/delete$/, "TIMESERIES_DELETED"],
  ["post", /\/timeseries\//, "TIMESERIES_UPDATED"],
  ["delete", /^\/api\/plugins\/telemetry\//, "ATTRIBUTES_DELETED"],
  ["post", /^\/api\/plugins\/telemetry\//, "ATTRIBUTES_UPDATED"],
  ["post", /\/rpc\//, "RPC_CALL"],
];

/** Words of paths and parameters for entities that are in no table of kinds. */
const OTHER_WORDS = { edge: "EDGE", user: "USER", tenant: "TENANT", alarm: "ALARM", tenantProfile: "TENANT_PROFILE" };
const TYPE_OF_WORD: Readonly<Record<string, string | undefined>> = {
  ...Object.fromEntries(KIND_TYPES.map((type) => [ENTITY_KINDS[type].word, type])),
  ...OTHER_WORDS,
  apiKey: "API_KEY",
};

/** Not the caller's doing, or too many to write down. */
const NOT_NOTED: ReadonlySet<ErrorCode> = new Set([
  "TOO_MANY_REQUESTS",
  "CANCELLED",
  "DATABASE_UNAVAILABLE",
  "DISK_FULL",
]);
/** Of one user; what is beyond it is in the metrics only. */
const FAILURES = { perS: 1, burst: 100 } as const;

export interface FailureAuditDeps {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly log: Log;
}

/** Writes calls that failed into the audit log. */
export function createFailureAudit({ clock, db, log }: FailureAuditDeps): (failed: FailedCall) => Promise<void> {
  const failures = new TokenBuckets(clock, FAILURES);
  return async (failed) => {
    const { error, message, principal, spec } = failed;
    const { userId, tenantId } = principal;
    if (!changesSomething(spec) || NOT_NOTED.has(error.code) || failures.take(userId, 1) > 0) return;
    const what = subjectOf(failed);
    try {
      const request = `${spec.method.toUpperCase()} ${spec.path}`;
      const attempt = { ...what, userId, tenantId, failure: message, actionData: { request } };
      await writeFailure(db, { ...attempt, createdMs: clock.nowMs() });
    } catch (cause) {
      log.warn("A failed call is not in the audit log", { userId, error: cause });
    }
  };
}

export interface Attempted {
  readonly actionType: string;
  readonly entityType: string;
  readonly entityId: Uuid | null;
  readonly entityName: string | null;
}

/** What a call was about, as far as it says so. */
export function subjectOf({ body, param, spec }: Pick<FailedCall, "body" | "param" | "spec">): Attempted {
  const { method, path } = spec;
  const sent = readBody(body);
  const names = pathParameters(path).filter((name) => TYPE_OF_WORD[wordOf(name)] !== undefined);
  // What is given to a customer or an edge is named last, and what is done to an entity behind it.
  const isGiving = /^\/api\/(customer|edge)\/.*\{\w+\}$/.test(path) && !path.endsWith("/root");
  const name = isGiving ? names.at(-1) : names[0];
  const idText = path.includes("{entityId}") ? param("entityId") : name === undefined ? sent.id : param(name);
  const word = /^\/api\/(?:v2\/)?(\w+)/.exec(path)?.[1] ?? "";
  const entityType = path.includes("{entityType}")
    ? param("entityType").slice(0, 64)
    : (TYPE_OF_WORD[name === undefined ? word : wordOf(name)] ?? "TENANT");
  return {
    entityType,
    entityId: isUuid(idText) ? (idText.toLowerCase() as Uuid) : null,
    entityName: sent.name,
    actionType:
      ACTIONS.find(([of, pattern]) => of === method && pattern.test(path))?.[2] ?? plainAction(method, idText),
  };
}

function plainAction(method: string, idText: string): string {
  return method === "delete" ? "DELETED" : idText === "" ? "ADDED" : "UPDATED";
}

function wordOf(parameter: string): string {
  return parameter.replace(/Id$/, "");
}

interface SentEntity {
  readonly id: string;
  readonly name: string | null;
}

/** Bodies differ; what most of them have are an id and a name. */
function readBody(body: unknown): SentEntity {
  if (typeof body !== "object" || body === null) return { id: "", name: null };
  const { email, id, name, title } = body as Readonly<Record<string, unknown>>;
  const text = [name, title, email].find((value) => typeof value === "string") ?? null;
  return { id: typeof id === "string" ? id : "", name: text };
}
