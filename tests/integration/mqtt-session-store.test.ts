import { afterAll, beforeAll, expect, test } from "bun:test";
import type { KeptSession, KeptSessionStore } from "../../edge/devices/mqtt-kept.ts";
import { createMqttSessions } from "../../edge/store/mqtt-sessions.ts";
import { DEVICE_A, DEVICE_B } from "../support/fake-edge.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";

const SESSION: KeptSession = {
  deviceId: DEVICE_A,
  deviceName: "A",
  isGateway: true,
  clientId: "a",
  expiryS: 604_800,
  filters: [
    ["v2/a/j", 0],
    ["v1/devices/me/attributes", 1],
  ],
  unreleased: [7, 65_535],
  sentSeq: 3,
  will: { topic: "v2/t", payload: Buffer.from([0, 255]), delayS: 4_294_967_295 },
};
const NONE = { removed: [], saved: [], delivered: [], added: [] };

let postgres: TestPostgres;
let store: KeptSessionStore;

beforeAll(async () => {
  postgres = await startTestPostgres();
  store = createMqttSessions((await postgres.createDatabase("edge")).db);
});
afterAll(() => postgres[Symbol.asyncDispose]());

test("createMqttSessions() reads what was written last, messages in their order", async () => {
  const other = { ...SESSION, deviceId: DEVICE_B, will: null };
  const messages = [1, 2, 3].map((seq) => ({ deviceId: DEVICE_A, seq, topic: "v2/a", payload: `{"ä":${seq}}` }));
  await store.write({ ...NONE, saved: [SESSION, other], added: messages });
  await store.write({
    ...NONE,
    saved: [{ ...SESSION, clientId: "b" }],
    delivered: [{ deviceId: DEVICE_A, seq: 2 }],
  });
  const { sessions, messages: known } = await store.readAll();
  expect(sessions.toSorted((one, two) => (one.deviceId < two.deviceId ? -1 : 1))).toEqual([
    { ...SESSION, clientId: "b" },
    other,
  ]);
  expect(known).toEqual([1, 3].map((seq) => ({ deviceId: DEVICE_A, seq, bytes: 8 })));
  const waiting = await store.readMessages(DEVICE_A);
  expect(waiting).toEqual(messages.filter(({ seq }) => seq !== 2));
});

test("createMqttSessions() removes a session with its messages, and one that follows begins empty", async () => {
  await store.write({ ...NONE, removed: [DEVICE_A], saved: [SESSION] });
  expect(await store.readMessages(DEVICE_A)).toEqual([]);
  await store.write({ ...NONE, removed: [DEVICE_A, DEVICE_B] });
  expect((await store.readAll()).sessions).toEqual([]);
});
