import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import { entityIdSchema, restId } from "../entities/fields.ts";
import { TENANT_ADMIN, type RouteTable } from "./route.ts";

/** A message at a node of a rule chain that is debugged. */
export interface RuleDebugEvent {
  readonly id: Uuid;
  readonly createdMs: number;
  readonly nodeId: Uuid;
  readonly direction: "IN" | "OUT";
  /** null: the node worked by itself. */
  readonly message: {
    readonly id: Uuid;
    readonly type: string;
    readonly originator: EntityRef;
    readonly data: string;
    readonly metadata: Readonly<Record<string, string>>;
  } | null;
  /** Of what went out. */
  readonly relation: string | null;
  readonly error: string | null;
}

/** Messages at nodes, on the side that runs them. */
export interface RuleDebugSource {
  /** Of a node, or of all nodes of a chain, the newest first. */
  list(id: Uuid): readonly RuleDebugEvent[];
  forget(id: Uuid): void;
}

const bodySchema = z.object({
  server: z.string(),
  type: z.enum(["IN", "OUT"]),
  entityId: z.string().nullable(),
  entityType: z.string().nullable(),
  msgId: z.string().nullable(),
  msgType: z.string().nullable(),
  dataType: z.literal("JSON"),
  relationType: z.string().nullable(),
  data: z.string().nullable(),
  metadata: z.string().nullable().meta({ description: "JSON" }),
  error: z.string().nullable(),
});

export const ruleDebugEventSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    tenantId: entityIdSchema,
    entityId: entityIdSchema,
    type: z.literal("DEBUG_RULE_NODE"),
    uid: z.string(),
    body: bodySchema,
  })
  .meta({ id: "RuleDebugEvent" });

export function ruleDebugEventToRest(event: RuleDebugEvent, tenantId: Uuid): z.input<typeof ruleDebugEventSchema> {
  return {
    id: { id: event.id },
    createdTime: Math.round(event.createdMs),
    tenantId: restId("TENANT", tenantId),
    entityId: { entityType: "RULE_NODE", id: event.nodeId },
    type: "DEBUG_RULE_NODE",
    uid: event.id,
    body: bodyOf(event),
  };
}

function bodyOf({ direction, error, message, relation }: RuleDebugEvent): z.input<typeof bodySchema> {
  return {
    server: "",
    type: direction,
    entityId: message?.originator.id ?? null,
    entityType: message?.originator.type ?? null,
    msgId: message?.id ?? null,
    msgType: message?.type ?? null,
    dataType: "JSON",
    relationType: relation,
    data: message?.data ?? null,
    metadata: message === null ? null : JSON.stringify(message.metadata),
    error,
  };
}

/** What came last to a node that is debugged: what its script is tried with. */
export function addRuleDebugRoute(routes: RouteTable, debug: RuleDebugSource): void {
  routes.add(
    {
      method: "get",
      path: "/api/ruleNode/{ruleNodeId}/debugIn",
      tag: "Rule chains",
      summary: "The newest message that came to a node in debug mode; an empty object when there is none",
      access: TENANT_ADMIN,
      answer: bodySchema.partial().meta({ id: "RuleNodeDebugInput" }),
    },
    (call) => {
      const newest = debug.list(call.uuid("ruleNodeId")).find(({ direction }) => direction === "IN");
      return Promise.resolve(newest === undefined ? {} : bodyOf(newest));
    },
  );
}
