import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { createUuid } from "../core/ids.ts";
import { pageSchema } from "../entities/fields.ts";
import { newRpc, readRpcInput, rpcSchema, rpcToRestText } from "../entities/rpc-form.ts";
import { RPC_STATUSES, rpcStatus, type CallOutcome, type RpcRecord } from "../entities/rpc.ts";
import { createRpc, deleteRpc, findRpc, listRpcs, rpcNotFound } from "../store/rpc-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { rawJson } from "./data-target.ts";
import { pageQuery, toPageRequest } from "./pages.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, TENANT_ADMIN, TENANT_ROLES, type Call, type RouteTable } from "./route.ts";

export interface RpcDeps extends ResourceDeps {
  /** Has the device do it while the caller waits. @throws AppError TOO_MANY_REQUESTS */
  readonly callDevice: (record: RpcRecord) => Promise<CallOutcome>;
  /** Writes down who asks a device for what, or deletes such a request, in the same transaction. @default nobody does */
  readonly auditRpc?: (tx: Queryable, record: RpcRecord, action: "RPC_CALL" | "DELETED") => Promise<void>;
}

const tag = "Requests to devices";
/** A request that waits longer would meet the idle time-out of the server. */
const WAIT_MAX_MS = 100_000;

const rpcStatusQuery = pageQuery.extend({
  rpcStatus: z
    .enum(RPC_STATUSES, { error: `Unknown rpcStatus: expected one of ${RPC_STATUSES.join(", ")}` })
    .refine((status) => status !== "DELETED", { error: "RpcStatus: DELETED is not listed" })
    .optional(),
});

export function addRpcRoutes(routes: RouteTable, deps: RpcDeps): void {
  for (const api of ["current", "legacy"] as const) {
    addSendRoute(routes, deps, { api, isOneway: true });
    addSendRoute(routes, deps, { api, isOneway: false });
  }
  addPersistentRoutes(routes, deps);
}

interface SendRoute {
  readonly api: "current" | "legacy";
  readonly isOneway: boolean;
}

function addSendRoute(routes: RouteTable, deps: RpcDeps, { api, isOneway }: SendRoute): void {
  const way = isOneway ? "oneway" : "twoway";
  routes.add(
    {
      method: "post",
      path: `${api === "current" ? "/api/rpc" : "/api/plugins/rpc"}/${way}/{deviceId}`,
      tag,
      summary: isOneway ? "Send a request to a device" : "Send a request to a device and wait for its answer",
      access: EVERY_ROLE,
      textBody: '{"method":"setGpio","params":{"pin":7},"timeout":10000}',
      answer: z.unknown(),
    },
    async (call) => {
      const { clock, db, random, unitOfWork } = deps;
      const deviceId = call.uuid("deviceId");
      await readableEntity(db, call.principal, { type: "DEVICE", id: deviceId });
      const nowMs = clock.nowMs();
      const input = readRpcInput(await call.text(), nowMs);
      const id = input.id ?? createUuid(clock, random);
      const record = newRpc({ ...input, id }, { deviceId, isOneway, nowMs });
      if (record.isPersistent) {
        await unitOfWork.run(async (tx) => {
          const outcome = await createRpc(tx, record, nowMs);
          if (outcome.changes.length > 0) await deps.auditRpc?.(tx, record, "RPC_CALL");
          return outcome;
        });
        return { rpcId: id };
      }
      const expirationMs = Math.min(record.expirationMs, record.createdMs + WAIT_MAX_MS);
      return toAnswer(await deps.callDevice({ ...record, expirationMs }), api);
    },
  );
}

/** Errors are plain text here, in the convention too. */
function toAnswer(outcome: CallOutcome, api: SendRoute["api"]): Response | undefined {
  const isLegacy = api === "legacy";
  switch (outcome.kind) {
    case "delivered":
      return undefined;
    case "answered":
      return rawJson(outcome.response);
    case "unreadable":
      return refusal(406, "The answer of the device is not JSON");
    case "no-answer":
      return refusal(isLegacy ? 408 : 504, "The device did not answer in time");
    case "no-connection":
      return refusal(isLegacy ? 409 : 504, "The device was not connected in time");
  }
}

function refusal(status: number, text: string): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

function addPersistentRoutes(routes: RouteTable, deps: RpcDeps): void {
  const { clock, db, unitOfWork } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/rpc/persistent/device/{deviceId}",
      tag,
      summary: "Persistent requests to a device",
      access: TENANT_ROLES,
      query: rpcStatusQuery,
      answer: pageSchema(rpcSchema),
    },
    async (call) => {
      const { principal, query } = call;
      const deviceId = call.uuid("deviceId");
      await readableEntity(db, principal, { type: "DEVICE", id: deviceId });
      const { data, ...page } = await listRpcs(db, { deviceId, status: query.rpcStatus }, toPageRequest(query));
      const items = data.map((record) => rpcToRestText(record, principal.tenantId)).join(",");
      return rawJson(`{"data":[${items}],${JSON.stringify(page).slice(1)}`);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/rpc/persistent/{rpcId}",
      tag,
      summary: "A persistent request to a device",
      access: TENANT_ROLES,
      answer: rpcSchema,
    },
    async (call) => rawJson(rpcToRestText(await readRpc(deps, call), call.principal.tenantId)),
  );
  routes.add(
    {
      method: "delete",
      path: "/api/rpc/persistent/{rpcId}",
      tag,
      summary: "Delete a persistent request; it is not sent any more",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const record = await readRpc(deps, call);
      await unitOfWork.run(async (tx) => {
        const outcome = await deleteRpc(tx, record.id, clock.nowMs());
        await deps.auditRpc?.(tx, record, "DELETED");
        return outcome;
      });
    },
  );
}

/** @throws AppError NOT_FOUND for one of a device that the caller may not see, too */
async function readRpc({ db }: RpcDeps, call: Call<unknown, unknown>): Promise<RpcRecord> {
  const id = call.uuid("rpcId");
  const stored = await findRpc(db, id);
  if (stored === null || !stored.record.isPersistent || rpcStatus(stored.record) === "DELETED") throw rpcNotFound(id);
  try {
    await readableEntity(db, call.principal, { type: "DEVICE", id: stored.record.deviceId });
  } catch (error) {
    if (error instanceof AppError && error.code === "NOT_FOUND") throw rpcNotFound(id);
    throw error;
  }
  return stored.record;
}
