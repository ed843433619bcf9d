import { afterAll, beforeAll, expect, test } from "bun:test";
import type { CloudApi } from "../../cloud/api/cloud-api.ts";
import { openNotifyChannel } from "../../cloud/store/notify-channel.ts";
import { createLiveWords } from "../../cloud/sync/live-words.ts";
import type { Clock } from "../../shared/core/clock.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { silentLog as log } from "../../shared/observe/log.ts";
import { ALARMS } from "../../shared/rest/live/alarm-watch.ts";
import { serveHttp } from "../../shared/runtime/http-server.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { connectLive } from "../support/live-client.ts";
import { createRequest, startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { waitFor } from "../support/wait-for.ts";

// Two cloud processes over one database, in one. Their slow looks never come: what is told is told by words.

const clock: Clock = {
  nowMs: () => systemClock.nowMs(),
  monotonicMs: () => systemClock.monotonicMs(),
  yield: () => systemClock.yield(),
  sleep: (delayMs, signal) => systemClock.sleep(delayMs >= 500 ? 1e9 : delayMs, signal),
};

interface Replica extends AsyncDisposable {
  readonly api: CloudApi;
  readonly url: string;
  /** Entities that it was told are watched elsewhere, or changed there. */
  readonly heard: string[];
}

let cloud: TestCloud;
const opened = new AsyncDisposableStack();

beforeAll(async () => {
  cloud = opened.use(await startTestCloud());
});
afterAll(() => opened.disposeAsync());

async function startReplica(): Promise<Replica> {
  await using opening = new AsyncDisposableStack();
  const replicaId = createUuid(clock, random);
  const heard: string[] = [];
  const words = createLiveWords({
    replicaId,
    watched: () => api.live.watched(),
    hear: (ids) => api.live.hear(ids),
    notify: (payload) => channel.notify(payload),
    clock,
    log,
  });
  const api = cloud.createReplica({ clock, elsewhere: words });
  const channel = opening.use(
    await openNotifyChannel(
      { clock, log, random },
      {
        connection: cloud.database.connection,
        onPayload: (payload) => {
          heard.push(payload);
          words.receive(payload);
        },
        onBack: () => undefined,
      },
    ),
  );
  const server = serveHttp({
    host: "127.0.0.1",
    port: 0,
    fetch: (request) => api.fetch(request),
    openSocket: (request) => api.live.openSocket(request),
  });
  const stop = new AbortController();
  const running = Promise.all([api.live.run(stop.signal), words.run(stop.signal)]);
  opening.defer(async () => {
    stop.abort(new Error("The test ends"));
    await running;
    api.live.close();
    await server.close(0);
  });
  const closing = opening.move();
  return { api, heard, url: server.url, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

test("values and attributes written through one replica reach who watches at another, and nobody else is told of", async () => {
  const [here, there] = [opened.use(await startReplica()), opened.use(await startReplica())];
  const write = createRequest(there.api, () => cloud.first.token);
  const newDevice = async (name: string): Promise<Uuid> =>
    (await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name })).id.id;
  const [watched, unwatched] = [await newDevice("Watched"), await newDevice("Unwatched")];
  await using client = await connectLive(`${here.url}/api/ws`);
  const command = { cmdId: 7, type: "TIMESERIES", entityType: "DEVICE", entityId: watched };
  client.send({
    authCmd: { cmdId: 0, token: cloud.first.token },
    cmds: [command, { ...command, cmdId: 8, type: "ATTRIBUTES" }],
  });
  await client.next();
  await client.next();
  await waitFor("the other replica to know", () => there.heard.some((payload) => payload.includes(watched)));
  for (const id of [unwatched, watched]) {
    const path = `/api/plugins/telemetry/DEVICE/${id}`;
    await write("POST", `${path}/timeseries/ANY`, { body: { ts: 1_000, values: { a: 1 } } });
  }
  expect(await client.next()).toMatchObject({ subscriptionId: 7, data: { a: [[1_000, "1"]] } });
  await write("POST", `/api/plugins/telemetry/DEVICE/${watched}/SERVER_SCOPE`, { body: { b: true } });
  expect(await client.next()).toMatchObject({ subscriptionId: 8, data: { b: [[expect.any(Number), "true"]] } });
  expect(here.heard.filter((payload) => payload.includes(unwatched))).toEqual([]);
});

test("alarms raised through one replica, and values beside them, reach who looks at alarms at another without a look", async () => {
  const [here, there] = [opened.use(await startReplica()), opened.use(await startReplica())];
  const write = createRequest(there.api, () => cloud.first.token);
  const device = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name: "Alarmed" });
  await using client = await connectLive(`${here.url}/api/ws`);
  const entityFilter = { type: "singleEntity", singleEntity: device.id };
  const latestValues = [{ type: "TIME_SERIES", key: "a" }];
  const query = { entityFilter, pageLink: { pageSize: 10, page: 0 }, latestValues };
  client.send({
    authCmd: { cmdId: 0, token: cloud.first.token },
    cmds: [{ type: "ALARM_DATA", cmdId: 9, query }],
  });
  expect(await client.next()).toMatchObject({ cmdId: 9, data: { totalElements: 0 } });
  await waitFor("the other replica to know", () => there.heard.some((payload) => payload.includes(ALARMS)));
  const raised = await write("POST", "/api/alarm", { body: { originator: device.id, type: "T", severity: "MAJOR" } });
  expect(await client.next()).toMatchObject({ cmdId: 9, data: { totalElements: 1 } });
  await waitFor("the other replica to know of the device", () => there.heard.some((p) => p.includes(device.id.id)));
  await write("POST", `/api/plugins/telemetry/DEVICE/${device.id.id}/timeseries/ANY`, { body: { a: 1 } });
  expect(await client.next()).toMatchObject({ cmdId: 9, update: [{ latest: { TIME_SERIES: { a: { value: "1" } } } }] });
  // Nothing else is looked at now.
  const { id } = (raised.json as unknown as { id: { id: string } }).id;
  await write("POST", `/api/alarm/${id}/ack`);
  expect(await client.next()).toMatchObject({ cmdId: 9, update: [{ status: "ACTIVE_ACK" }] });
});
