import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createDeviceRpcs } from "../../edge/devices/device-rpcs.ts";
import type { RpcReceiver, RpcToDevice } from "../../edge/devices/rpc-ports.ts";
import { createDeviceRpcStore } from "../../edge/store/device-rpc-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { newRpc } from "../../shared/entities/rpc-form.ts";
import { withStep } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { startTestCloud, type Answer, type TestCloud } from "../support/test-cloud.ts";
import { openTestSite, type TestSite } from "../support/test-site.ts";
import { waitFor } from "../support/wait-for.ts";

// Requests to a device behind an edge, over both REST interfaces and the stores of both ends.

let cloud: TestCloud;
let site: TestSite;
let deviceId: Uuid;
let names = 0;

beforeAll(async () => {
  cloud = await startTestCloud();
  site = await openTestSite(cloud, "Pump 4");
});
afterAll(() => cloud[Symbol.asyncDispose]());
beforeEach(async () => {
  names += 1;
  const device = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name: `Device ${names}` });
  deviceId = device.id.id;
  await cloud.call("POST", `/api/edge/${site.edgeId}/device/${deviceId}`);
  await site.sync();
});

interface Rpc {
  readonly status: string;
  readonly response: unknown;
  readonly trail: readonly { readonly status: string; readonly attempt: number }[];
}

const REQUEST = { method: "setGpio", params: { pin: 7, level: 1.0 } };
const DAY_MS = 24 * 3_600_000;

async function queue(more: object = {}, way: "oneway" | "twoway" = "twoway"): Promise<Uuid> {
  const body = { ...REQUEST, persistent: true, expirationTime: Math.round(cloud.clock.nowMs()) + DAY_MS, ...more };
  return (await cloud.call<{ rpcId: Uuid }>("POST", `/api/rpc/${way}/${deviceId}`, body)).rpcId;
}

const inCloud = (id: Uuid): Promise<Rpc> => cloud.call<Rpc>("GET", `/api/rpc/persistent/${id}`);
const onEdge = (id: Uuid): Promise<Rpc> => site.call<Rpc>("GET", `/api/rpc/persistent/${id}`);
const trailOf = ({ trail }: Rpc): string => trail.map(({ status, attempt }) => `${status}${attempt || ""}`).join(" ");

/** Both sides say the same. @returns the trail */
async function sameTrail(id: Uuid): Promise<string> {
  await site.sync();
  const [there, here] = await Promise.all([inCloud(id), onEdge(id)]);
  expect(here).toEqual(there);
  return trailOf(there);
}

interface FakeDevice {
  readonly received: RpcToDevice[];
  readonly disconnect: () => void;
}

/** @param acknowledges what becomes of a request that is sent */
function connect(acknowledges: () => Promise<boolean> = () => Promise.resolve(true)): FakeDevice {
  const received: RpcToDevice[] = [];
  const receiver: RpcReceiver = {
    isOnce: false,
    deliver: (request) => {
      received.push(request);
      return acknowledges();
    },
  };
  return { received, disconnect: site.edge.rpcs.receive(deviceId, receiver) };
}

const answer = (number: number, text: string): Promise<void> => site.edge.rpcs.answer(deviceId, number, text);
const statusOnEdge = (id: Uuid, status: string): Promise<true> =>
  waitFor(`${status} on the edge`, async () => (await onEdge(id)).status === status && true);
const received = (device: FakeDevice, count: number): Promise<true> =>
  waitFor(`${count} requests`, () => device.received.length >= count && true);

describe("a persistent request", () => {
  test("waits for the edge and the device, and goes from QUEUED to SUCCESSFUL on both sides", async () => {
    const id = await queue();
    expect((await inCloud(id)).status).toBe("QUEUED");
    await site.sync();
    expect((await onEdge(id)).status).toBe("QUEUED");
    const device = connect();
    await received(device, 1);
    expect(device.received[0]).toMatchObject({ number: 0, method: "setGpio", params: '{"pin":7,"level":1}' });
    await statusOnEdge(id, "DELIVERED");
    expect(await sameTrail(id)).toBe("QUEUED SENT1 DELIVERED1");
    await answer(0, '{"ok": true, "big": 12345678901234567890}');
    expect(await sameTrail(id)).toBe("QUEUED SENT1 DELIVERED1 SUCCESSFUL");
    const text = (await cloud.request("GET", `/api/rpc/persistent/${id}`)).text;
    expect(text).toContain('"response":{"ok":true,"big":12345678901234567890}');
    device.disconnect();
  });

  test("without an answer is done when it is delivered", async () => {
    const id = await queue({}, "oneway");
    const device = connect();
    await site.sync();
    await statusOnEdge(id, "DELIVERED");
    expect(await sameTrail(id)).toBe("QUEUED SENT1 DELIVERED1");
    device.disconnect();
  });

  test("is tried again when nobody acknowledges it, until no attempt is left", async () => {
    const id = await queue({ retries: 2 });
    await site.sync();
    const device = connect(() => Promise.resolve(false));
    await statusOnEdge(id, "FAILED");
    expect(device.received.map(({ number }) => number)).toEqual([0, 0, 0]);
    expect(await sameTrail(id)).toBe("QUEUED SENT1 TIMEOUT1 SENT2 TIMEOUT2 SENT3 TIMEOUT3 FAILED");
    expect((await inCloud(id)).response).toEqual({ error: expect.stringContaining("acknowledged no attempt") });
    device.disconnect();
  });

  test("is not sent twice when the edge ends between the attempt and its acknowledgement", async () => {
    const id = await queue({ retries: 0 });
    await site.sync();
    const device = connect(() => new Promise(() => undefined));
    await received(device, 1);
    await statusOnEdge(id, "SENT");
    await site.restart();
    await site.edge.rpcs.run(AbortSignal.abort()).catch(() => undefined);
    const again = connect();
    site.edge.hear([]);
    const other = await queue();
    await site.sync();
    await received(again, 1);
    await statusOnEdge(other, "DELIVERED");
    expect(again.received).toHaveLength(1);
    expect(await sameTrail(id)).toBe("QUEUED SENT1 TIMEOUT1 FAILED");
    again.disconnect();
  });

  test("with an attempt left is sent once more after such an end, under its number", async () => {
    const id = await queue({ retries: 1 });
    await site.sync();
    const device = connect(() => new Promise(() => undefined));
    await received(device, 1);
    await site.restart();
    const running = new AbortController();
    const loop = site.edge.rpcs.run(running.signal);
    const again = connect();
    await statusOnEdge(id, "DELIVERED");
    expect(again.received).toEqual(device.received);
    expect(await sameTrail(id)).toBe("QUEUED SENT1 TIMEOUT1 SENT2 DELIVERED2");
    await answer(0, "21");
    expect((await onEdge(id)).response).toBe(21);
    again.disconnect();
    running.abort();
    await loop;
  });

  test("expires on both sides when the device never comes", async () => {
    const id = await queue({ expirationTime: 0, timeout: 5_000 });
    await site.sync();
    const running = new AbortController();
    const loop = site.edge.rpcs.run(running.signal);
    cloud.clock.advance(6_000);
    await statusOnEdge(id, "EXPIRED");
    expect(await sameTrail(id)).toBe("QUEUED EXPIRED");
    const device = connect();
    expect(device.received).toEqual([]);
    device.disconnect();
    running.abort();
    await loop;
  });

  test("that is deleted while the edge is away never reaches the device, nor does it come back", async () => {
    const id = await queue();
    await cloud.call("DELETE", `/api/rpc/persistent/${id}`);
    expect((await cloud.request("GET", `/api/rpc/persistent/${id}`)).status).toBe(404);
    expect((await cloud.request("DELETE", `/api/rpc/persistent/${id}`)).status).toBe(404);
    const device = connect();
    await site.sync();
    const next = await queue();
    await site.sync();
    await statusOnEdge(next, "DELIVERED");
    expect(device.received).toHaveLength(1);
    device.disconnect();
  });

  test("that is deleted in the cloud after the edge has sent it stays deleted", async () => {
    const id = await queue();
    await site.down();
    const device = connect();
    await statusOnEdge(id, "DELIVERED");
    await cloud.call("DELETE", `/api/rpc/persistent/${id}`);
    await site.sync();
    expect((await cloud.request("GET", `/api/rpc/persistent/${id}`)).status).toBe(404);
    await expect(onEdge(id)).rejects.toThrow("404");
    device.disconnect();
  });

  test("of the edge itself is known in the cloud, with all that happens to it", async () => {
    const body = { ...REQUEST, persistent: true, timeout: 60_000 };
    const { rpcId } = await site.call<{ rpcId: Uuid }>("POST", `/api/rpc/twoway/${deviceId}`, body);
    await site.sync();
    expect((await inCloud(rpcId)).status).toBe("QUEUED");
    const device = connect();
    await statusOnEdge(rpcId, "DELIVERED");
    await answer(0, '"done"');
    expect(await sameTrail(rpcId)).toBe("QUEUED SENT1 DELIVERED1 SUCCESSFUL");
    device.disconnect();
  });

  test("of the edge that is deleted there is deleted in the cloud", async () => {
    const id = await queue();
    await site.sync();
    await site.call("DELETE", `/api/rpc/persistent/${id}`);
    await site.sync();
    expect((await cloud.request("GET", `/api/rpc/persistent/${id}`)).status).toBe(404);
  });

  test("keeps the time that it has left when the clock of the edge jumps", async () => {
    let jumpMs = 0;
    const jumping = { ...cloud.clock, nowMs: () => cloud.clock.nowMs() + jumpMs };
    const id = await queue({ expirationTime: 0, timeout: 60_000 });
    await site.sync();
    const store = createDeviceRpcStore({
      db: site.edge.database.db,
      groupCommit: site.edge.unitOfWork,
      clock: jumping,
    });
    const rpcs = createDeviceRpcs({ store, clock: jumping, log: silentLog });
    jumpMs = 50 * 365 * DAY_MS;
    const running = new AbortController();
    const loop = rpcs.run(running.signal);
    const received: RpcToDevice[] = [];
    const deliver = (request: RpcToDevice): Promise<boolean> => Promise.resolve(received.push(request) > 0);
    const stop = rpcs.receive(deviceId, { isOnce: false, deliver });
    await waitFor("the request", () => received.length === 1 && true);
    await statusOnEdge(id, "DELIVERED");
    stop();
    running.abort();
    await loop;
  });

  test("goes with its device to another edge", async () => {
    const id = await queue();
    await site.sync();
    const other = await openTestSite(cloud, `Other ${names}`);
    await cloud.call("POST", `/api/edge/${other.edgeId}/device/${deviceId}`);
    await other.sync();
    expect(await other.call<Rpc>("GET", `/api/rpc/persistent/${id}`)).toMatchObject({ status: "QUEUED" });
  });

  test("to a device of two edges is sent by the one that it comes to, and the other hears of it", async () => {
    const other = await openTestSite(cloud, "Pump 6");
    await cloud.call("POST", `/api/edge/${other.edgeId}/device/${deviceId}`);
    const id = await queue();
    for (const one of [site, other]) await one.sync();
    const here = connect();
    await received(here, 1);
    await statusOnEdge(id, "DELIVERED");
    for (const one of [site, other]) await one.sync();
    here.disconnect();
    const there: RpcToDevice[] = [];
    const leave = other.edge.rpcs.receive(deviceId, {
      isOnce: false,
      deliver: (request) => {
        there.push(request);
        return Promise.resolve(true);
      },
    });
    await site.edge.rpcs.answer(deviceId, 0, "1");
    for (const one of [site, other]) await one.sync();
    expect(await sameTrail(id)).toBe("QUEUED SENT1 DELIVERED1 SUCCESSFUL");
    expect(await other.call<Rpc>("GET", `/api/rpc/persistent/${id}`)).toEqual(await inCloud(id));
    expect(there).toEqual([]);
    leave();
  });

  test("with an id that was used is the same one", async () => {
    const requestUUID = crypto.randomUUID();
    expect(await queue({ requestUUID })).toBe(requestUUID as Uuid);
    expect(await queue({ requestUUID })).toBe(requestUUID as Uuid);
    const page = await cloud.call<{ totalElements: number }>(
      "GET",
      `/api/rpc/persistent/device/${deviceId}?pageSize=10&page=0&rpcStatus=QUEUED`,
    );
    expect(page.totalElements).toBe(1);
  });
});

describe("a request that somebody waits for", () => {
  /** Carries everything between both sides until the answer is there. */
  async function call(path: string, body: object = REQUEST): Promise<Answer> {
    let answered: Answer | undefined;
    const asking = cloud.request("POST", `${path}/${deviceId}`, { body }).then((result) => (answered = result));
    await waitFor("the answer", async () => {
      if (answered === undefined) await site.sync();
      return answered !== undefined;
    });
    return asking;
  }

  test("is answered with the device's JSON as it is", async () => {
    const device = connect();
    const asking = call("/api/rpc/twoway");
    await received(device, 1);
    await answer(0, "[1.0,  1e3]");
    expect(await asking).toMatchObject({ status: 200, text: "[1.0,1e3]" });
    device.disconnect();
  });

  test("without an answer is answered when the device has it", async () => {
    const device = connect();
    expect(await call("/api/rpc/oneway")).toMatchObject({ status: 200, text: "" });
    expect(device.received).toHaveLength(1);
    device.disconnect();
  });

  test("reaches a device that comes while it waits", async () => {
    const asking = call("/api/plugins/rpc/twoway");
    await waitFor("the edge to have it", async () => {
      await site.sync();
      return true;
    });
    const device = connect();
    await received(device, 1);
    await answer(0, "{}");
    expect((await asking).status).toBe(200);
    device.disconnect();
  });

  test("gets 406 for an answer that is not JSON", async () => {
    const device = connect();
    const asking = call("/api/rpc/twoway");
    await received(device, 1);
    await answer(0, "ok!");
    expect((await asking).status).toBe(406);
    device.disconnect();
  });

  test("is carried out only while there is time left, and once", async () => {
    const device = connect();
    const nowMs = cloud.clock.nowMs();
    const input = { method: "m", params: "1" as CanonicalJson, isPersistent: false, retries: 0, additionalInfo: null };
    const asked = newRpc(
      { ...input, id: crypto.randomUUID() as Uuid, expirationMs: nowMs + 10_000 },
      { deviceId, isOneway: false, nowMs },
    );
    const { rpcs } = site.edge;
    rpcs.note(asked, 0);
    rpcs.note(withStep(asked, { status: "SENT", attempt: 1, atMs: nowMs }), 10_000);
    rpcs.note(asked, 10_000);
    await received(device, 1);
    await answer(0, "1");
    expect(device.received).toHaveLength(1);
    device.disconnect();
  });

  const late = async (path: string, until: () => Promise<unknown>): Promise<number> => {
    const asking = cloud.request("POST", `${path}/${deviceId}`, { body: { ...REQUEST, timeout: 5_000 } });
    await until();
    cloud.clock.advance(5_500);
    return (await asking).status;
  };
  const sent = async () => {
    const device = connect();
    await waitFor("the request", async () => {
      await site.sync();
      return device.received.length > 0;
    });
    await waitFor("the cloud to know that it was sent", async () => {
      await site.sync();
      const [row] = await cloud.database
        .sql`select status from rpc where device_id = ${deviceId} and status <> 'QUEUED'`;
      return row !== undefined;
    });
    device.disconnect();
  };
  const written = () =>
    waitFor("the downlink", async () => {
      const events = await cloud.call<{ data: { action: string }[] }>(
        "GET",
        `/api/edge/${site.edgeId}/events?pageSize=1&page=0&sortProperty=seqId&sortOrder=DESC`,
      );
      return events.data[0]?.action === "RPC_CALL";
    });

  test.each([
    ["/api/rpc/twoway", 504, 504],
    ["/api/plugins/rpc/twoway", 408, 409],
  ])(
    "over %s gets %p when no answer comes, %p when the device can't be reached",
    async (path, unanswered, unreached) => {
      expect(await late(path, sent)).toBe(unanswered);
      expect(await late(path, written)).toBe(unreached);
      // What nobody waits for any more is not sent.
      const device = connect();
      await site.sync();
      expect(device.received).toEqual([]);
      device.disconnect();
    },
  );
});
