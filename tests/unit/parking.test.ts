import { describe, expect, test } from "bun:test";
import postgres from "postgres";
import { addParkedRoutes } from "../../edge/api/parked.ts";
import type { ParkedFilter, ParkedItem, ReplayResult } from "../../edge/store/parked-items.ts";
import { AppError } from "../../shared/core/errors.ts";
import { NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { Authority } from "../../shared/entities/user.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/metrics.ts";
import { createRestApp } from "../../shared/rest/app.ts";
import { refusalOf } from "../../shared/store/apply-items.ts";
import { inOrderFrom } from "../../shared/sync/course.ts";
import type { Rejection } from "../../shared/sync/frames.ts";
import {
  createAcks,
  createMissedAcks,
  createRejection,
  REJECTION_TEXT_MAX,
  REJECTIONS_PER_ACK_MAX,
} from "../../shared/sync/rejections.ts";
import { HELD_ACKS_MAX } from "../../shared/sync/session-state.ts";
import { advanceSession, startEdgeSession } from "../../shared/sync/session.ts";
import { CLOUD_OPENING, EDGE_OPENING, HELLO, WELCOME } from "./sync-values.ts";

const rejection = (seq: number): Rejection => ({ seq, code: "NOT_FOUND", text: "Why", version: "1.0.0" });
const rejections = (count: number): Rejection[] => Array.from({ length: count }, (_, index) => rejection(index + 1));

describe("createAcks()", () => {
  test.each([
    [0, [[9_000, 0]]],
    [1, [[9_000, 1]]],
    [REJECTIONS_PER_ACK_MAX, [[9_000, 500]]],
    [
      REJECTIONS_PER_ACK_MAX + 1,
      [
        [500, 500],
        [9_000, 1],
      ],
    ],
  ])("names, with %d rejections, no sequence before its rejections", (count, expected) => {
    const acks = createAcks({ lane: "config", upTo: 9_000, rejections: rejections(count) });
    expect(acks.map((ack) => [ack.seq, ack.rejections.length])).toEqual(expected);
    expect(acks.flatMap((ack) => ack.rejections)).toEqual(rejections(count));
  });

  test("createMissedAcks() gives none to who knows all", () => {
    const range = { lane: "config", upTo: 5, rejections: [] } as const;
    expect(createMissedAcks({ ...range, ackedSeq: 5 })).toEqual([]);
    expect(createMissedAcks({ ...range, ackedSeq: 4 })).toHaveLength(1);
  });

  test("createRejection() makes texts that every database and wire takes", () => {
    const { text } = createRejection(1, { code: "X", text: `\0\ud800${"x".repeat(1_000)}` }, "1.0.0");
    expect(text).toHaveLength(REJECTION_TEXT_MAX);
    expect(text).toStartWith(" \ufffdx");
  });
});

describe("a session", () => {
  const opening = advanceSession(startEdgeSession(HELLO, 0).state, { type: "frame", frame: WELCOME }, 0).state;
  const missed = createAcks({ lane: "downlink", upTo: 3, rejections: [rejection(2)] });

  test("of an edge tells what the cloud has missed first of all", () => {
    const opened = { type: "opened", opening: { ...EDGE_OPENING, missedAcks: missed } } as const;
    expect(advanceSession(opening, opened, 0).effects[0]).toEqual({ type: "send", frame: missed[0] as never });
  });

  test("settles what the edge has missed once it is open, even when it came before", () => {
    const ack = { type: "ack", lane: "config", seq: 4, rejections: [rejection(4)] } as const;
    const held = advanceSession(opening, { type: "frame", frame: ack }, 0);
    expect(held.effects).toEqual([]);
    const missed = [{ first: 2, last: 4 }];
    const sending = [{ lane: "config", course: inOrderFrom(5), missed }] as const;
    const step = advanceSession(held.state, { type: "opened", opening: { ...EDGE_OPENING, sending } }, 0);
    expect(step.effects).toContainEqual({ ...ack, type: "settle", committed: missed });
    expect(step.state.phase).toBe("live");
  });

  test("ends when more is to be held than a limit", () => {
    let state = opening;
    const ack = { type: "ack", lane: "config", seq: 0, rejections: [] } as const;
    for (let count = 0; count < HELD_ACKS_MAX; count += 1)
      ({ state } = advanceSession(state, { type: "frame", frame: ack }, 0));
    expect(state.phase).toBe("opening");
    expect(advanceSession(state, { type: "frame", frame: ack }, 0).state.phase).toBe("closed");
  });

  test("of a cloud sends the missed acks behind its Welcome", () => {
    const up = createAcks({ lane: "config", upTo: 3, rejections: [] });
    const first = { ...opening, role: "cloud" } as const;
    const { effects } = advanceSession(first, { type: "opened", opening: { ...CLOUD_OPENING, missedAcks: up } }, 0);
    expect(effects.flatMap((effect) => (effect.type === "send" ? [effect.frame.type] : []))).toEqual([
      "welcome",
      "ack",
    ]);
  });
});

describe("refusalOf()", () => {
  const database = (code: string): Error =>
    Object.assign(new Error("wrapped"), { cause: Object.assign(new postgres.PostgresError("x"), { code }) });

  test.each(["22003", "22P02", "23505", "23514", "54000", "21000"])("blames the item for SQLSTATE %s", (code) => {
    expect(refusalOf(database(code))).toMatchObject({ code: "INVALID_ARGUMENT", text: expect.stringContaining(code) });
  });

  test.each(["08006", "25P03", "40001", "40P01", "42P01", "53100", "53300", "57014", "57P01", "58030", "XX000"])(
    "does not blame the item for SQLSTATE %s",
    (code) => {
      expect(refusalOf(database(code))).toBeNull();
    },
  );

  test("blames the item for a fault of the program, but not for a lost connection, a fence or a retryable failure", () => {
    expect(refusalOf(new TypeError("undefined is not a function"))).toMatchObject({ code: "INTERNAL" });
    expect(refusalOf(Object.assign(new Error("closed"), { code: "CONNECTION_CLOSED" }))).toBeNull();
    expect(refusalOf(new AppError("SESSION_FENCED", "x"))).toBeNull();
    expect(refusalOf(new AppError("ALREADY_EXISTS", "x", { retryable: true }))).toBeNull();
    expect(refusalOf(new AppError("ALREADY_EXISTS", "x"))).toEqual({ code: "ALREADY_EXISTS", text: "x" });
  });
});

describe("/api/edge/parked", () => {
  const DEVICE = "00000000-0000-4000-8000-000000000002" as Uuid;
  const common = { code: "NOT_FOUND", reason: "Why", refusedBy: "1.0.0", parkedMs: 5 };
  const items: readonly ParkedItem[] = [
    {
      ...common,
      lane: "config",
      seq: 7,
      content: {
        kind: "change",
        change: {
          kind: "credentials-saved",
          entity: { type: "DEVICE", id: DEVICE },
          credentialsType: "ACCESS_TOKEN",
          credentialsId: "a secret",
          credentialsValue: null,
        },
      },
    },
    {
      ...common,
      lane: "telemetry",
      seq: 9,
      content: { kind: "record", entityId: DEVICE, tsMs: 3, values: '{"n":1}' },
    },
  ];

  function createApp(result: Partial<ReplayResult> = {}, discarded = 1) {
    const calls: unknown[] = [];
    const clock = {
      nowMs: () => 0,
      monotonicMs: () => 0,
      yield: () => Promise.resolve(),
      sleep: () => Promise.resolve(),
    };
    const authenticate = (role: string) =>
      Promise.resolve({
        userId: NULL_UUID,
        tenantId: NULL_UUID,
        customerId: null,
        authority: role as Authority,
        sessionId: null,
      });
    const app = createRestApp({
      clock,
      log: silentLog,
      metrics: createMetrics(),
      authenticators: [{ scheme: "bearer", authenticate }],
    });
    const note = (name: string, filter: ParkedFilter) => void calls.push([name, filter]);
    addParkedRoutes(app, {
      log: silentLog,
      parked: {
        list: (filter) => {
          note("list", filter);
          return Promise.resolve({ data: items, totalPages: 1, totalElements: 2, hasNext: false });
        },
        replay: (filter) => {
          note("replay", filter);
          return Promise.resolve({ replayed: 1, kept: 0, ...result });
        },
        discard: (filter) => {
          note("discard", filter);
          return Promise.resolve(discarded);
        },
      },
    });
    return { app, calls };
  }

  async function call({ app }: ReturnType<typeof createApp>, request: string, role = "TENANT_ADMIN") {
    const [method = "", path = ""] = request.split(" ");
    const headers = { "X-Authorization": `Bearer ${role}` };
    const response = await app.fetch(new Request(`http://edge${path}`, { method, headers }));
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  test("lists what was refused in a readable form, without secrets", async () => {
    const site = createApp();
    const { body } = await call(site, "GET /api/edge/parked?pageSize=10&page=0&lane=config&code=NOT_FOUND");
    expect(site.calls).toEqual([["list", { lane: "config", code: "NOT_FOUND" }]]);
    expect(body["data"]).toMatchObject([
      { seq: 7, parkedTime: 5, entity: { id: DEVICE }, body: { kind: "credentials-saved" } },
      { seq: 9, entity: { id: DEVICE }, body: { ts: 3, values: { n: 1 } } },
    ]);
    expect(JSON.stringify(body)).not.toContain("a secret");
  });

  test.each([
    ["POST /api/edge/parked/config/7/replay", ["replay", { lane: "config", seq: 7 }]],
    ["POST /api/edge/parked/replay?lane=telemetry", ["replay", { lane: "telemetry" }]],
    ["DELETE /api/edge/parked/telemetry/9", ["discard", { lane: "telemetry", seq: 9 }]],
    ["DELETE /api/edge/parked?code=NOT_FOUND", ["discard", { code: "NOT_FOUND" }]],
  ])("%s", async (request, expected) => {
    const site = createApp();
    expect((await call(site, request)).status).toBe(200);
    expect(site.calls).toEqual([expected]);
    expect((await call(site, request, "CUSTOMER_USER")).status).toBe(403);
  });

  test.each([
    ["POST /api/edge/parked/config/7/replay", { replayed: 0, kept: 1 }, 400],
    ["POST /api/edge/parked/config/7/replay", { replayed: 0, kept: 0 }, 404],
    ["DELETE /api/edge/parked/config/7", {}, 404],
    ["DELETE /api/edge/parked/other/7", {}, 400],
    ["DELETE /api/edge/parked/config/x", {}, 400],
    ["GET /api/edge/parked?pageSize=1&page=0&lane=other", {}, 400],
    ["GET /api/edge/parked?pageSize=1&page=0&sortProperty=x", {}, 400],
  ])("%s with %j answers %d", async (request, result, status) => {
    expect((await call(createApp(result, 0), request)).status).toBe(status);
  });
});
