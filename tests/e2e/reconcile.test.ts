import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connectToDatabase } from "../support/database.ts";
import { isConnected, waitForDrain, waitForLink } from "../support/edge-status.ts";
import { readEdgeInfo, syncEdge } from "../support/edge-sync.ts";
import type { CloudProcess } from "../support/processes.ts";
import type { EventRecord, TestDevice } from "../support/rest-client.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed, withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

let shared: TestBed;
let cloud: CloudProcess;

beforeAll(async () => {
  shared = await createTestBed();
  cloud = await shared.startCloud();
});
afterAll(async () => await shared[Symbol.asyncDispose]());

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body, { shared }));
}

async function assignDevices({ cloudApi, edgeApi, edgeId }: Site, names: readonly string[]): Promise<TestDevice[]> {
  const devices: TestDevice[] = [];
  for (const name of names) {
    const device = await cloudApi.createDevice(`${name} of ${edgeId}`);
    await cloudApi.assignDevice(edgeId, device.id);
    devices.push(device);
  }
  for (const { id, name } of devices) {
    await waitFor(`${name} to be on the edge`, async () => (await edgeApi.getDevice(id)) !== undefined);
  }
  return devices;
}

const about = (events: readonly EventRecord[]) =>
  events.map(({ action, entityId, state }) => `${action} ${entityId} ${state}`).toSorted();

describe("Sync Edge", () => {
  scenario("repairs what was deleted, altered and added behind its back, and sends nothing else", async (bed) => {
    const site = await bed.startSite(cloud);
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const names = ["Deleted", "Altered", "Left", "Attribute", "Token", "Same 1", "Same 2"];
    const [deleted, altered, left, attribute, token, ...same] = await assignDevices(site, names);
    if (deleted === undefined || altered === undefined || left === undefined) throw new Error("Expected devices");
    if (attribute === undefined || token === undefined) throw new Error("Expected devices");
    await cloudApi.saveAttributes(attribute.id, "SHARED_SCOPE", { limit: 7, other: 8 });
    await waitFor(
      "the attributes",
      async () => (await edgeApi.readAttributes(attribute.id, "SHARED_SCOPE"))["other"] === 8,
    );
    const quiet = await syncEdge(cloudApi, edgeId);
    expect(quiet.result).toMatchObject({ complete: true, missing: 0, stale: 0, surplus: 0, unknown: 0, lasting: 0 });
    expect(quiet.events).toEqual([]);

    const added = crypto.randomUUID();
    await using edgeSql = connectToDatabase(edge.dataDir);
    await using cloudSql = connectToDatabase(cloud.dataDir);
    await edgeSql`delete from entity where id = ${deleted.id}`;
    await edgeSql`delete from device_credentials where device_id = ${deleted.id}`;
    await edgeSql`update entity set name = 'Altered by hand' where id = ${altered.id}`;
    await edgeSql`update attribute set value = '9'::jsonb where entity_id = ${attribute.id} and key = 'limit'`;
    await edgeSql`update device_credentials set credentials_id = 'by-hand' where device_id = ${token.id}`;
    await edgeSql`insert into entity (id, name, entity_type, tenant_id, subtype, profile_id, created_ms, body)
      select ${added}, 'Added', entity_type, tenant_id, subtype, profile_id, created_ms, body
      from entity where id = ${same[0]?.id ?? ""}`;
    await cloudSql`delete from edge_assignment where entity_id = ${left.id}`;

    const { result, events } = await syncEdge(cloudApi, edgeId);
    expect(result).toMatchObject({ complete: true, missing: 1, stale: 3, surplus: 1, unknown: 1, lasting: 0 });
    expect(about(events)).toEqual(
      [
        `ADDED ${deleted.id} applied`,
        `ADDED ${altered.id} applied`,
        `ADDED ${attribute.id} applied`,
        `ADDED ${token.id} applied`,
        `UPDATED ${added} applied`,
        `UNASSIGNED_FROM_EDGE ${left.id} applied`,
      ].toSorted(),
    );
    expect((await edgeApi.getDevice(deleted.id))?.name).toBe(deleted.name);
    expect(await edgeApi.getToken(deleted.id)).toBe(deleted.token);
    expect((await edgeApi.getDevice(altered.id))?.name).toBe(altered.name);
    expect((await edgeApi.readAttributes(attribute.id, "SHARED_SCOPE"))["limit"]).toBe(7);
    expect(await edgeApi.getToken(token.id)).toBe(token.token);
    expect(await edgeApi.getDevice(left.id)).toBeUndefined();
    await waitForDrain(edge);
    expect((await cloudApi.assignedDevices(edgeId)).map(({ id }) => id.id)).toContain(added);
    const after = await syncEdge(cloudApi, edgeId);
    expect([after.result.missing + after.result.stale + after.result.surplus, after.events.length]).toEqual([0, 0]);
  });

  scenario("takes the cloud's word for shared attributes and the edge's for those of devices", async (bed) => {
    const site = await bed.startSite(cloud);
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const [device] = await assignDevices(site, ["Attributes"]);
    if (device === undefined) throw new Error("Expected a device");
    await cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { gone: 1, stays: 2 });
    const body = JSON.stringify({ kept: true });
    const headers = { "Content-Type": "application/json" };
    await fetch(`${edge.addresses.http}/api/v1/${device.token}/attributes`, { method: "POST", headers, body });
    await waitForDrain(edge);
    await waitFor(
      "the shared attributes",
      async () => (await edgeApi.readAttributes(device.id, "SHARED_SCOPE"))["stays"] === 2,
    );
    // What is on its way is not compared: neither the attributes nor that the device was heard of may be.
    await waitFor(
      "the downlinks to be acknowledged",
      async () => (await readEdgeInfo(cloudApi, edgeId)).status.downlinksWaiting === 0,
    );
    await waitForDrain(edge);
    await using cloudSql = connectToDatabase(cloud.dataDir);
    await cloudSql`delete from attribute where entity_id = ${device.id} and key in ('gone', 'kept')`;
    await cloudSql`insert into attribute values (${device.id}, 'CLIENT_SCOPE', 'unknown', '1'::jsonb, 1)`;

    expect((await syncEdge(cloudApi, edgeId)).result).toMatchObject({ stale: 1 });
    await waitForDrain(edge);
    expect(await edgeApi.readAttributes(device.id, "SHARED_SCOPE")).toEqual({ stays: 2 });
    expect(await cloudApi.readAttributes(device.id, "CLIENT_SCOPE")).toEqual({ kept: true });
    expect((await syncEdge(cloudApi, edgeId)).result).toMatchObject({ stale: 0 });
  });

  scenario("with full=true sends everything that is assigned", async (bed) => {
    const site = await bed.startSite(cloud);
    const devices = await assignDevices(site, ["One", "Two", "Three"]);
    const { events } = await syncEdge(site.cloudApi, site.edgeId, { full: true });
    const ofDevices = events.filter(({ type }) => type === "DEVICE");
    expect(about(ofDevices)).toEqual(devices.map(({ id }) => `ADDED ${id} applied`).toSorted());
    // And the profile that they have, and the rule chain that every edge begins with.
    expect(events.map(({ type }) => type)).toEqual(["RULE_CHAIN", "DEVICE_PROFILE", "DEVICE", "DEVICE", "DEVICE"]);
  });

  scenario("answers that an edge without a session is not connected", async (bed) => {
    const { cloudApi } = await bed.startSite(cloud);
    const record = await cloudApi.createEdge(`Nobody ${crypto.randomUUID()}`);
    const failure = cloudApi.request("POST", `/api/edge/sync/${record.id.id}`).catch((error: unknown) => String(error));
    expect(await failure).toContain("Edge is not connected");
  });
});

describe("a reconnect", () => {
  scenario("removes a device whose unassignment was lost, and brings one whose assignment was", async (bed) => {
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const site = await bed.startSite(cloud, { cloudUrl: proxy.url });
    const { cloudApi, edge, edgeApi, edgeId } = site;
    const [leaving] = await assignDevices(site, ["Leaving", "Staying"]);
    if (leaving === undefined) throw new Error("Expected a device");
    proxy.setMode("refuse");
    proxy.cut();
    await waitFor("the edge to notice", async () => !(await isConnected(edge)));
    await cloudApi.unassignDevice(edgeId, leaving.id);
    const coming = await cloudApi.createDevice(`Coming to ${edgeId}`);
    await cloudApi.assignDevice(edgeId, coming.id);
    await using cloudSql = connectToDatabase(cloud.dataDir);
    await cloudSql`delete from edge_event where edge_id = ${edgeId} and entity_id in (${leaving.id}, ${coming.id})`;

    proxy.setMode("pass");
    await waitForLink(edge, { deadlineMs: 60_000 });
    await waitFor("the device to leave", async () => (await edgeApi.getDevice(leaving.id)) === undefined);
    await waitFor("the device to come", async () => (await edgeApi.getDevice(coming.id)) !== undefined);
    expect((await readEdgeInfo(cloudApi, edgeId)).status.notice?.text).toContain("no longer there");
  });
});
