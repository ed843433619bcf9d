import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { subjectOf } from "../../shared/rest/audit-failures.ts";
import { changesSomething } from "../../shared/rest/route.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { removeOldAudit } from "../../shared/store/audit-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { addCustomerUser, PASSWORD, signIn, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customerId: Uuid;
let customerToken: string;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
  ({ customerId, token: customerToken } = await addCustomerUser(cloud));
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly entityType: string; readonly id: Uuid };
  readonly name: string;
  readonly version: number;
  readonly [key: string]: unknown;
}
interface Entry {
  readonly actionType: string;
  readonly actionData: {
    readonly before?: Record<string, unknown>;
    readonly after?: Record<string, unknown>;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

const nextName = (): string => `Thing ${(names += 1)}`;
const create = (kind: string, input: object = {}): Promise<Entity> =>
  cloud.call<Entity>("POST", `/api/${kind}`, { name: nextName(), ...input });
const entries = async (path: string, token = cloud.first.token): Promise<readonly Entry[]> => {
  const answer = await cloud.request("GET", `/api/audit/logs${path}?pageSize=100&page=0`, { token });
  expect(answer.status).toBe(200);
  return (answer.json?.["data"] ?? []) as readonly Entry[];
};
const about = ({ id }: Entity) => entries(`/entity/${id.entityType}/${id.id}`);
const actions = async (entity: Entity) => (await about(entity)).map(({ actionType }) => actionType);

describe("the audit log", () => {
  test("says who changed what, with what was before and after, for every change of an entity", async () => {
    const device = await create("device", { label: "old" });
    const { id } = device.id;
    await cloud.call("POST", "/api/device", { ...device, label: "new" });
    await cloud.call("POST", `/api/customer/${customerId}/device/${id}`);
    await cloud.call("DELETE", `/api/customer/device/${id}`);
    await cloud.call("POST", "/api/device/credentials", {
      deviceId: device.id,
      credentialsType: "ACCESS_TOKEN",
      credentialsId: "a-secret-token",
    });
    await cloud.call("POST", `/api/plugins/telemetry/DEVICE/${id}/SERVER_SCOPE`, { site: 4 });
    await cloud.call("DELETE", `/api/plugins/telemetry/DEVICE/${id}/SERVER_SCOPE?keys=site`);
    const edge = await create("edge");
    await cloud.call("POST", `/api/edge/${edge.id.id}/device/${id}`);
    await cloud.call("DELETE", `/api/edge/${edge.id.id}/device/${id}`);
    await cloud.call("DELETE", `/api/device/${id}`);
    const log = await about(device);
    expect(log.map(({ actionType }) => actionType)).toEqual([
      "ADDED",
      "CREDENTIALS_UPDATED",
      "UPDATED",
      "ASSIGNED_TO_CUSTOMER",
      "UNASSIGNED_FROM_CUSTOMER",
      "CREDENTIALS_UPDATED",
      "ATTRIBUTES_UPDATED",
      "ATTRIBUTES_DELETED",
      "ASSIGNED_TO_EDGE",
      "UNASSIGNED_FROM_EDGE",
      "DELETED",
    ]);
    expect(log[2]).toMatchObject({
      entityName: device.name,
      entityId: { entityType: "DEVICE", id },
      tenantId: { id: cloud.first.tenantId },
      userName: cloud.first.email,
      actionStatus: "SUCCESS",
      actionData: { before: { label: "old", version: 1 }, after: { label: "new", version: 2 } },
    });
    expect(log[3]).toMatchObject({ customerId: { id: customerId } });
    expect(log[8]?.actionData).toEqual({ edgeId: edge.id.id, edgeName: edge.name });
    expect(log[0]?.actionData.before).toBeUndefined();
    expect(log.at(-1)?.actionData.after).toBeUndefined();
  });

  test("holds no secret", async () => {
    const edge = await create("edge", { secret: "edge-secret-of-mine" });
    const { secret } = await cloud.call<{ secret: string }>("POST", `/api/edge/${edge.id.id}/secret`);
    const { claimCode } = await cloud.call<{ claimCode: string }>("POST", `/api/edge/${edge.id.id}/claimCode`);
    const { value } = await cloud.call<{ value: string }>("POST", "/api/apiKey", { description: "key" });
    await cloud.call("POST", "/api/device?accessToken=token-of-a-device", { name: nextName() });
    const provision = { type: "ALLOW_CREATE_NEW_DEVICES", provisionDeviceSecret: "provision-secret" };
    await create("deviceProfile", {
      type: "DEFAULT",
      provisionDeviceKey: "provision-key",
      profileData: { provisionConfiguration: provision },
    });
    expect(await actions(edge)).toEqual(["ADDED", "CREDENTIALS_UPDATED", "CREDENTIALS_UPDATED"]);
    const rows = await cloud.database.sql<{ row: string }[]>`select a::text as row from audit_log a`;
    const text = rows.map(({ row }) => row).join("\n");
    const hashes = await cloud.database.sql<{ hash: string }[]>`
      select secret_hash as hash from edge union select value_hash from api_key union select password_hash from app_user`;
    for (const hidden of [
      "edge-secret-of-mine",
      secret,
      claimCode,
      value,
      "token-of-a-device",
      "provision-secret",
      "a-secret-token",
      ...hashes.map(({ hash }) => hash),
    ]) {
      expect([hidden, text.includes(hidden)]).toEqual([hidden, false]);
    }
  });

  test("tells of what was refused, with the reason, and of no change then", async () => {
    const before = (await entries("")).length;
    const device = await create("device");
    expect((await cloud.request("POST", "/api/device", { body: { ...device, version: 9 } })).status).toBe(409);
    expect((await cloud.request("POST", "/api/device", { body: { name: device.name } })).status).toBe(400);
    expect((await cloud.request("POST", "/api/device", { body: { label: "no name" } })).status).toBe(400);
    const { id } = device.id;
    expect((await cloud.request("POST", `/api/edge/${id}/device/${id}`)).status).toBe(400);
    expect((await cloud.request("DELETE", `/api/device/${id}`, { token: customerToken })).status).toBe(403);
    const data = `/api/plugins/telemetry/DEVICE/${id}`;
    expect((await cloud.request("POST", `${data}/timeseries/ANY`, { body: "[1" })).status).toBe(400);
    expect((await cloud.request("GET", `${data}/values/timeseries?startTs=x`)).status).toBe(400);
    const shown = (await entries(""))
      .slice(before)
      .map(({ actionType, actionStatus, actionFailureDetails, userName }) => ({
        actionType,
        actionStatus,
        actionFailureDetails,
        userName,
      }));
    const failed = { actionStatus: "FAILURE", userName: cloud.first.email };
    expect(shown).toEqual([
      { actionType: "ADDED", actionStatus: "SUCCESS", actionFailureDetails: "", userName: cloud.first.email },
      {
        actionType: "CREDENTIALS_UPDATED",
        actionStatus: "SUCCESS",
        actionFailureDetails: "",
        userName: cloud.first.email,
      },
      { ...failed, actionType: "UPDATED", actionFailureDetails: "Device was already changed by someone else" },
      { ...failed, actionType: "ADDED", actionFailureDetails: "Device with such name already exists!" },
      { ...failed, actionType: "ADDED", actionFailureDetails: "Device name should be specified!" },
      { ...failed, actionType: "ASSIGNED_TO_EDGE", actionFailureDetails: "Can't assign device to non-existent edge!" },
      {
        ...failed,
        actionType: "DELETED",
        userName: "customer@example.com",
        actionFailureDetails: expect.stringContaining("permission"),
      },
      {
        ...failed,
        actionType: "TIMESERIES_UPDATED",
        actionFailureDetails: expect.stringContaining("Invalid JSON body"),
      },
    ]);
    const log = await about(device);
    expect(log.filter(({ actionStatus }) => actionStatus === "FAILURE")).toMatchObject(
      ["UPDATED", "ASSIGNED_TO_EDGE", "DELETED", "TIMESERIES_UPDATED"].map((actionType) => ({
        actionType,
        entityName: device.name,
      })),
    );
  });

  test("names nothing of other tenants, whose ids were tried", async () => {
    const device = await create("device");
    const before = (await entries("")).length;
    const { token } = cloud.second;
    expect((await cloud.request("DELETE", `/api/device/${device.id.id}`, { token })).status).toBe(404);
    expect((await entries("")).length).toBe(before);
    const [failure] = (await entries("", token)).slice(-1);
    expect(failure).toMatchObject({
      actionType: "DELETED",
      actionStatus: "FAILURE",
      entityId: device.id,
      entityName: null,
    });
  });

  test("tells of telemetry that is written and deleted over REST, and of comments on alarms", async () => {
    const device = await create("device");
    const data = `/api/plugins/telemetry/DEVICE/${device.id.id}/timeseries`;
    await cloud.call("POST", `${data}/ANY`, '{"ts":1700000000000,"values":{"level":1.0}}');
    await cloud.call("DELETE", `${data}/delete?keys=level&deleteAllDataForKeys=true`);
    const [, , written, deleted] = await about(device);
    expect(written).toMatchObject({
      actionType: "TIMESERIES_UPDATED",
      actionData: { timeseries: [{ ts: 1_700_000_000_000, values: { level: 1 } }] },
    });
    expect(deleted).toMatchObject({ actionType: "TIMESERIES_DELETED", actionData: { timeseries: ["level"] } });
    const input = { originator: device.id, type: "Leak", severity: "CRITICAL" };
    const alarm = await cloud.call<Entity>("POST", "/api/alarm", input);
    const path = `/api/alarm/${alarm.id.id}/comment`;
    const comment = await cloud.call<Entity>("POST", path, { comment: { text: "one" } });
    await cloud.call("POST", path, { id: comment.id, comment: { text: "two" } });
    await cloud.call("DELETE", `${path}/${comment.id.id}`);
    const log = await about(alarm);
    expect(log.map(({ actionType }) => actionType)).toEqual([
      "ADDED",
      "ADDED_COMMENT",
      "UPDATED_COMMENT",
      "DELETED_COMMENT",
    ]);
    expect(log[2]?.actionData).toMatchObject({
      before: { comment: { text: "one" } },
      after: { comment: { text: "two" } },
    });
  });

  test("tells of requests to devices that are sent and deleted", async () => {
    const device = await create("device");
    const request = { method: "open", params: {}, persistent: true, expirationTime: 9_999_999_999_999 };
    const { rpcId } = await cloud.call<{ rpcId: Uuid }>("POST", `/api/rpc/oneway/${device.id.id}`, request);
    await cloud.call("DELETE", `/api/rpc/persistent/${rpcId}`);
    expect((await about(device)).at(-1)).toMatchObject({ actionType: "RPC_CALL", actionData: { rpcId } });
    const [deleted] = await entries(`/entity/RPC/${rpcId}`);
    expect(deleted).toMatchObject({
      actionType: "DELETED",
      entityName: device.name,
      userName: cloud.first.email,
      actionData: { rpcId, method: "open" },
    });
  });

  test("tells of sign-ins that failed, and when an account is locked", async () => {
    const email = "locked@example.com";
    const user = await cloud.call<Entity>("POST", "/api/user", { email, authority: "TENANT_ADMIN" });
    const body = { username: email, password: "wrong" };
    for (let n = 0; n < 10; n += 1)
      expect((await cloud.request("POST", "/api/auth/login", { body, token: null })).status).toBe(401);
    const locked = await cloud.request("POST", "/api/auth/login", { body, token: null });
    expect(locked.json?.["message"]).toBe("User account is locked due to security policy");
    const log = await about(user);
    expect(log.map(({ actionType }) => actionType)).toEqual([
      "ADDED",
      ...Array.from({ length: 10 }, () => "LOGIN"),
      "LOCKOUT",
    ]);
    expect(log[1]).toMatchObject({ actionStatus: "FAILURE", actionFailureDetails: "Invalid username or password" });
  });

  test("knows what each call that changes something was about", async () => {
    for (const spec of cloud.api.routes.filter((route) => route.access !== "anyone" && changesSomething(route))) {
      const { entityType, actionType } = subjectOf({ spec, body: undefined, param: () => "DEVICE" });
      expect([spec.method, spec.path, entityType, actionType]).not.toContain("");
    }
    const about = (method: "post" | "delete", path: `/${string}`) =>
      subjectOf({ spec: { method, path, tag: "", summary: "", access: [] }, body: undefined, param: (name) => name });
    expect(about("post", "/api/alarm/{alarmId}/assign/{assigneeId}")).toMatchObject({
      entityType: "ALARM",
      actionType: "ALARM_ASSIGNED",
    });
    expect(about("delete", "/api/customer/device/{deviceId}")).toMatchObject({
      entityType: "DEVICE",
      actionType: "UNASSIGNED_FROM_CUSTOMER",
    });
    expect(about("post", "/api/edge/{edgeId}/{ruleChainId}/root")).toMatchObject({ entityType: "EDGE" });
    expect(about("delete", "/api/user/{userId}")).toMatchObject({ entityType: "USER", actionType: "DELETED" });
  });

  test("tells of users: made, activated, signed in, suspended, deleted", async () => {
    const email = "audited@example.com";
    const user = await cloud.call<Entity>("POST", "/api/user", { email, authority: "TENANT_ADMIN" });
    const link = await cloud.request("GET", `/api/user/${user.id.id}/activationLink`);
    const activateToken = new URL(link.text).searchParams.get("activateToken");
    await cloud.request("POST", "/api/noauth/activate", { body: { activateToken, password: PASSWORD }, token: null });
    const token = await signIn(cloud.api, email);
    await cloud.request("POST", "/api/auth/logout", { token });
    await cloud.call("POST", `/api/user/${user.id.id}/userCredentialsEnabled?userCredentialsEnabled=false`);
    await cloud.call("DELETE", `/api/user/${user.id.id}`);
    expect(await actions(user)).toEqual(["ADDED", "ACTIVATED", "LOGIN", "LOGOUT", "SUSPENDED", "DELETED"]);
    expect((await entries(`/user/${user.id.id}`)).map(({ actionType }) => actionType)).toEqual([
      "ACTIVATED",
      "LOGIN",
      "LOGOUT",
    ]);
  });

  test("tells of alarms and relations", async () => {
    const [device, asset] = [await create("device"), await create("asset")];
    const alarm = await cloud.call<Entity>("POST", "/api/alarm", {
      type: "Hot",
      originator: device.id,
      severity: "MAJOR",
    });
    await cloud.call("POST", `/api/alarm/${alarm.id.id}/ack`);
    await cloud.call("POST", `/api/alarm/${alarm.id.id}/clear`);
    expect(await actions(alarm)).toEqual(["ADDED", "ALARM_ACK", "ALARM_CLEAR"]);
    const relation = { from: asset.id, to: device.id, type: "Contains" };
    await cloud.call("POST", "/api/relation", relation);
    const query = `fromId=${asset.id.id}&fromType=ASSET&relationType=Contains&toId=${device.id.id}&toType=DEVICE`;
    await cloud.call("DELETE", `/api/relation?${query}`);
    expect(await actions(asset)).toEqual(["ADDED", "RELATION_ADD_OR_UPDATE", "RELATION_DELETED"]);
  });

  test("is each tenant's own, and the system administrator's what concerns none", async () => {
    const device = await create("device");
    expect(await entries(`/entity/DEVICE/${device.id.id}`, cloud.second.token)).toEqual([]);
    expect((await entries("", cloud.second.token)).map(({ actionType }) => actionType)).toEqual(["LOGIN", "DELETED"]);
    const made = await cloud.request("POST", "/api/tenant", { body: { title: "New" }, token: cloud.system });
    const tenantId = (made.json as unknown as Entity).id.id;
    await cloud.request("DELETE", `/api/tenant/${tenantId}`, { token: cloud.system });
    const log = await entries(`/entity/TENANT/${tenantId}`, cloud.system);
    expect(log).toMatchObject([{ actionType: "DELETED", entityName: "New", userName: "system@example.com" }]);
  });

  test("holds JSON that the database can't read, and large bodies by their size", async () => {
    const odd = await create("device", {
      additionalInfo: { nul: "a\0b", half: "\ud83d", whole: "\u{1f600}", slash: "\\u0000" },
    });
    await cloud.call("POST", "/api/device", { ...odd, additionalInfo: { note: "x".repeat(100_000) } });
    const [, , update] = await about(odd);
    expect(update?.actionData.before).toMatchObject({ name: odd.name });
    expect(update?.actionData.after?.["bytes"]).toBeGreaterThan(100_000);
  });

  test("knows nothing of what nobody did, and forgets what is old enough", async () => {
    const { tenantId } = cloud.first;
    const made = await cloud.unitOfWork.run((tx) =>
      saveDevice(tx, { clock: cloud.clock, random }, { tenantId, input: { name: nextName() } }),
    );
    expect(await entries(`/entity/DEVICE/${made.id}`)).toEqual([]);
    const device = await create("device");
    expect(await removeOldAudit(cloud.database.db, cloud.clock.nowMs() - 3_600_000)).toBe(0);
    expect(await removeOldAudit(cloud.database.db, cloud.clock.nowMs() + 1)).toBeGreaterThan(20);
    expect(await about(device)).toEqual([]);
  });

  test("finds by action, time and name", async () => {
    const device = await create("device", { label: "x" });
    await cloud.call("POST", "/api/device", { ...device, label: "y" });
    const find = async (query: string) =>
      (await cloud.call<{ totalElements: number }>("GET", `/api/audit/logs?pageSize=10&page=0&${query}`)).totalElements;
    const name = encodeURIComponent(device.name);
    expect(await find(`textSearch=${name}`)).toBe(3);
    expect(await find(`textSearch=${name}&actionTypes=ADDED,UPDATED`)).toBe(2);
    expect(await find(`textSearch=${name}&endTime=1`)).toBe(0);
  });
});
