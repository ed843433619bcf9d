import * as z from "zod";
import { NULL_UUID } from "../../shared/core/ids.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import {
  entityIdSchema,
  idInput,
  jsonObjectInput,
  nameInput,
  restCustomerId,
  restId,
  textInput,
  versionInput,
} from "../../shared/entities/fields.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { AttributeRow } from "../../shared/store/attribute-store.ts";
import { CONFLICT_SHOWN_MS } from "../store/edge-identity.ts";
import type { Edge, EdgeSave, EdgeStatus } from "../store/edge-store.ts";
import { currentSkewMs, edgeSyncSchema, edgeSyncToRest } from "./edge-sync-status.ts";

// The REST form of an edge.

/** Shown in place of a secret; clients want a text, and a save that carries it keeps the secret. */
export const EDGE_SECRET_MASK = "********";

export const edgeInput = z
  .object({
    id: idInput.nullish(),
    name: nameInput("Edge"),
    type: textInput("type").nullish(),
    label: textInput("label").nullish(),
    routingKey: textInput("routingKey").nullish(),
    secret: textInput("secret").nullish(),
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "EdgeInput", description: "Without routingKey and secret they are made, and shown in the answer" });

export type EdgeInput = z.output<typeof edgeInput>;

export const edgeSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    customerId: entityIdSchema,
    rootRuleChainId: entityIdSchema,
    name: z.string(),
    type: z.string(),
    label: z.string().nullable(),
    routingKey: z.string(),
    secret: z.string().meta({ description: `The secret in the answer that sets it, later ${EDGE_SECRET_MASK}` }),
    version: z.int(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: "Edge" });

const statusSchema = z
  .object({
    state: z.enum(["new", "connected", "disconnected"]),
    reason: z.string().nullable().meta({ description: "Why the last session ended; a code" }),
    edgeVersion: z.string().nullable(),
    lastConnectTime: z.int().nullable(),
    lastDisconnectTime: z.int().nullable(),
    lastSeenTime: z.int().nullable(),
    clockSkewMs: z.int().nullable(),
    sync: edgeSyncSchema.nullable(),
    syncInProgress: z.boolean(),
    warning: z
      .enum(["CLONED"])
      .nullable()
      .meta({ description: "CLONED: another machine with the identity of this edge was refused a short while ago" }),
    notice: z
      .object({ time: z.int(), text: z.string() })
      .nullable()
      .meta({ description: "What did not continue where it ended when a session began, last time" }),
    downlinksWaiting: z.int().meta({ description: "Downlinks that the edge has not acknowledged" }),
  })
  .meta({ id: "EdgeStatus" });

/** An edge as it is read: with how it is. */
export const readEdgeSchema = edgeSchema.extend({ status: statusSchema }).meta({ id: "EdgeWithStatus" });

export const edgeInfoSchema = readEdgeSchema
  .extend({ customerTitle: z.string().nullable(), customerIsPublic: z.boolean() })
  .meta({ id: "EdgeInfo" });

const DEFAULT_EDGE_TYPE = "default";

export function toEdgeSave(input: EdgeInput, tenantId: Uuid): EdgeSave {
  return {
    id: input.id ?? null,
    tenantId,
    name: input.name,
    type: blankToNull(input.type) ?? DEFAULT_EDGE_TYPE,
    label: input.label ?? null,
    routingKey: blankToNull(input.routingKey),
    secret: input.secret === EDGE_SECRET_MASK ? null : blankToNull(input.secret),
    expectedVersion: input.version ?? null,
    additionalInfo: input.additionalInfo ?? null,
  };
}

function blankToNull(text: string | null | undefined): string | null {
  return text === null || text === undefined || text.trim() === "" ? null : text;
}

/** @param secret given only in the answer to the save that set it */
export function edgeToRest(edge: Edge, secret: string | null = null): z.input<typeof edgeSchema> {
  return {
    id: restId("EDGE", edge.id),
    createdTime: edge.createdMs,
    tenantId: restId("TENANT", edge.tenantId),
    customerId: restCustomerId(edge.customerId),
    // Of an edge without one: none, in the form that clients take.
    rootRuleChainId: restId("RULE_CHAIN", edge.rootRuleChainId ?? NULL_UUID),
    name: edge.name,
    type: edge.type,
    label: edge.label,
    routingKey: edge.routingKey,
    secret: secret ?? EDGE_SECRET_MASK,
    version: edge.version,
    additionalInfo: edge.additionalInfo,
  };
}

export interface Presence {
  readonly status: EdgeStatus | undefined;
  readonly nowMs: number;
}

export function presenceToRest({ status, nowMs }: Presence): z.input<typeof statusSchema> {
  const isConnected = status?.isConnected ?? false;
  const connectedMs = status?.connectedMs ?? null;
  const disconnectedMs = status?.disconnectedMs ?? null;
  return {
    state: isConnected ? "connected" : connectedMs === null ? "new" : "disconnected",
    reason: isConnected ? null : (status?.reason ?? null),
    edgeVersion: status?.edgeVersion ?? null,
    lastConnectTime: connectedMs,
    lastDisconnectTime: disconnectedMs,
    lastSeenTime: isConnected ? nowMs : (disconnectedMs ?? connectedMs),
    clockSkewMs: status === undefined ? null : currentSkewMs(status),
    sync: edgeSyncToRest(status, nowMs),
    syncInProgress: status?.isSyncInProgress ?? false,
    warning: status !== undefined && isCloned(status, nowMs) ? "CLONED" : null,
    notice: status?.notice ?? null,
    downlinksWaiting: status === undefined ? 0 : status.downlinkLast - status.downlinkAcked,
  };
}

function isCloned({ conflictMs }: EdgeStatus, nowMs: number): boolean {
  return conflictMs !== null && nowMs - conflictMs < CONFLICT_SHOWN_MS;
}

/** Server attributes that dashboards read of an edge; made from its presence, so that they can't contradict it. */
export function presenceAttributes(edgeId: Uuid, presence: Presence): AttributeRow[] {
  const { state, lastConnectTime, lastDisconnectTime, edgeVersion, syncInProgress } = presenceToRest(presence);
  const updatedMs = Math.max(lastConnectTime ?? 0, lastDisconnectTime ?? 0, presence.status?.downlinkAckedMs ?? 0);
  const values: Readonly<Record<string, boolean | number | string | null>> = {
    active: state === "connected",
    edgeVersion,
    lastConnectTime,
    lastDisconnectTime,
    syncInProgress,
    // What was made up to there is with the edge; user interfaces tell by it which downlinks still wait.
    queueStartTs: presence.status?.downlinkAckedMs ?? null,
    queueStartSeqId: presence.status?.downlinkAcked ?? null,
  };
  return Object.entries(values).flatMap(([key, value]) =>
    value === null
      ? []
      : // Booleans, whole numbers and text: JSON of these is canonical.
        [
          {
            entityId: edgeId,
            scope: "SERVER_SCOPE" as const,
            key,
            value: JSON.stringify(value) as CanonicalJson,
            updatedMs,
          },
        ],
  );
}
