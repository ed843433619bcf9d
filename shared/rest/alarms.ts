import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import { alarmInfoSchema, alarmInfoToRest, alarmInput, alarmSchema, alarmToRest } from "../entities/alarm-form.ts";
import { pageSchema } from "../entities/fields.ts";
import { userInfoSchema, userInfoToRest } from "../entities/user.ts";
import {
  acknowledgeAlarm,
  assignAlarm,
  clearAlarm,
  deleteAlarm,
  saveAlarm,
  type AlarmKey,
} from "../store/alarm-edits.ts";
import { getAlarmInfo } from "../store/alarm-lists.ts";
import { listUsers } from "../store/user-admin-store.ts";
import { addAlarmCommentRoutes } from "./alarm-comments.ts";
import { addAlarmListRoutes, addAlarmSummaryRoutes } from "./alarm-lists.ts";
import { mapPage, pageQuery, toPageRequest } from "./pages.ts";
import type { Principal } from "./principal.ts";
import { readableRef, visibleTo, type ResourceDeps } from "./resource.ts";
import { TENANT_ROLES, type Call, type RouteTable } from "./route.ts";

const tag = "Alarms";

/** Alarms and their comments. Paths with a fixed part go before those that take anything there. */
export function addAlarmRoutes(routes: RouteTable, deps: ResourceDeps): void {
  addAlarmSummaryRoutes(routes, deps);
  addAssigneeRoute(routes, deps);
  addAlarmCommentRoutes(routes, deps);
  addSingleRoutes(routes, deps);
  addActionRoutes(routes, deps);
  addAlarmListRoutes(routes, deps);
}

/** Add it in front of `/api/users` with a parameter. */
function addAssigneeRoute(routes: RouteTable, { db }: ResourceDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/users/assign/{alarmId}",
      tag,
      summary:
        "Users that an alarm may be assigned to: administrators, and users of the customer that has its originator",
      access: TENANT_ROLES,
      query: pageQuery,
      answer: pageSchema(userInfoSchema),
    },
    async (call) => {
      const whose = visibleTo(call.principal);
      const { customerId } = await getAlarmInfo(db, { ...whose, alarmId: call.uuid("alarmId") });
      const filter = whose.customerId === undefined ? { ...whose, adminsAndUsersOf: customerId } : whose;
      return mapPage(await listUsers(db, filter, toPageRequest(call.query)), userInfoToRest);
    },
  );
}

/** Reading, raising and deleting an alarm. */
function addSingleRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const read = (principal: Principal, alarmId: Uuid) => getAlarmInfo(deps.db, { ...visibleTo(principal), alarmId });
  routes.add(
    {
      method: "get",
      path: "/api/alarm/info/{alarmId}",
      tag,
      summary: "An alarm with what lists show of it",
      access: TENANT_ROLES,
      answer: alarmInfoSchema,
    },
    async (call) => alarmInfoToRest(await read(call.principal, call.uuid("alarmId"))),
  );
  routes.add(
    {
      method: "get",
      path: "/api/alarm/{alarmId}",
      tag,
      summary: "An alarm",
      access: TENANT_ROLES,
      answer: alarmSchema,
    },
    async (call) => alarmToRest(await read(call.principal, call.uuid("alarmId"))),
  );
  routes.add(
    {
      method: "post",
      path: "/api/alarm",
      tag,
      summary: "Raise an alarm, or update the active one of this originator and type, or the one with this id",
      access: TENANT_ROLES,
      body: alarmInput,
      answer: alarmSchema,
    },
    async ({ principal, body }) => {
      const { tenantId, userId } = principal;
      if (body.id === undefined || body.id === null) await readableRef(deps.db, principal, body.originator);
      else await read(principal, body.id);
      const saved = await deps.unitOfWork.run((tx) => saveAlarm(tx, deps, { tenantId, actor: userId, input: body }));
      return alarmToRest(await read(principal, saved.id));
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/alarm/{alarmId}",
      tag,
      summary: "Delete an alarm with its comments",
      access: TENANT_ROLES,
      answer: z.boolean(),
    },
    async (call) => {
      const key = await keyOf(deps, call);
      await deps.unitOfWork.run((tx) => deleteAlarm(tx, deps, key));
      return true;
    },
  );
}

/** Acknowledging, clearing and assigning an alarm. */
function addActionRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { unitOfWork } = deps;
  const spec = { method: "post", tag, access: TENANT_ROLES, answer: alarmSchema } as const;
  const infoSpec = { ...spec, answer: alarmInfoSchema } as const;
  const info = (call: Call<unknown, unknown>, alarmId: Uuid) =>
    getAlarmInfo(deps.db, { ...visibleTo(call.principal), alarmId });
  routes.add({ ...infoSpec, path: "/api/alarm/{alarmId}/ack", summary: "Acknowledge an alarm" }, async (call) => {
    const key = await keyOf(deps, call);
    const { id } = await unitOfWork.run((tx) => acknowledgeAlarm(tx, deps, key));
    return alarmInfoToRest(await info(call, id));
  });
  routes.add({ ...infoSpec, path: "/api/alarm/{alarmId}/clear", summary: "Clear an alarm" }, async (call) => {
    const key = await keyOf(deps, call);
    const { id } = await unitOfWork.run((tx) => clearAlarm(tx, deps, key));
    return alarmInfoToRest(await info(call, id));
  });
  const assign = async (call: Call<unknown, unknown>, assigneeId: Uuid | null) => {
    const key = await keyOf(deps, call);
    const { id } = await unitOfWork.run((tx) => assignAlarm(tx, deps, { ...key, assigneeId }));
    return alarmToRest(await info(call, id));
  };
  routes.add(
    { ...spec, path: "/api/alarm/{alarmId}/assign/{assigneeId}", summary: "Assign an alarm to a user" },
    (call) => assign(call, call.uuid("assigneeId")),
  );
  routes.add(
    { ...spec, method: "delete", path: "/api/alarm/{alarmId}/assign", summary: "Assign an alarm to nobody" },
    (call) => assign(call, null),
  );
}

/** The alarm that a call is about. @throws AppError NOT_FOUND when the caller may not see it */
async function keyOf({ db }: Pick<ResourceDeps, "db">, call: Call<unknown, unknown>): Promise<AlarmKey> {
  const { tenantId, userId } = call.principal;
  const alarmId = call.uuid("alarmId");
  await getAlarmInfo(db, { ...visibleTo(call.principal), alarmId });
  return { alarmId, tenantId, actor: userId };
}
