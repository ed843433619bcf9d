import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Secret } from "../../shared/config/secret.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { alarmBody, type AlarmRecord } from "../../shared/entities/alarm.ts";
import {
  createNotificationJob,
  type NotificationJob,
  type NotificationJobStore,
} from "../../shared/notifications/job.ts";
import { createNotificationSender } from "../../shared/notifications/sender.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMailer } from "../../shared/runtime/notification-transports.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { postWebhook } from "../../shared/runtime/webhook.ts";
import { findAlarm } from "../../shared/store/alarm-store.ts";
import { applyAlarmChange } from "../../shared/store/apply-alarm.ts";
import { createNotificationJobStore } from "../../shared/store/notification-store.ts";
import { startSmtpServer, type SmtpServer } from "../support/smtp-server.ts";
import { createTestClock } from "../support/test-clock.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

const SECRET = "a secret of the receiver";
const HOUR_MS = 3_600_000;
const MAIL_PASSWORD = "mail-password-of-the-test";

interface Hook {
  readonly headers: Headers;
  readonly body: string;
}

let cloud: TestCloud;
let smtp: SmtpServer;
let receiver: Bun.Server<undefined>;
let hooks: Hook[] = [];
/** What the receiver answers next; 200 when there is nothing. */
let answers: number[] = [];
/** Of the job alone: tokens of the API live for some hours. */
const clock = createTestClock();
let devices = 0;

beforeAll(async () => {
  cloud = await startTestCloud();
  smtp = await startSmtpServer();
  receiver = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      hooks.push({ headers: request.headers, body: await request.text() });
      return new Response(`secret answer ${SECRET}`, {
        status: answers.shift() ?? 200,
        headers: { location: "/elsewhere" },
      });
    },
  });
});
afterAll(async () => {
  await receiver.stop(true);
  await smtp[Symbol.asyncDispose]();
  await cloud[Symbol.asyncDispose]();
});
beforeEach(() => {
  hooks = [];
  answers = [];
});
afterEach(async () => {
  const { data } = await cloud.call<{ readonly data: readonly Entity[] }>(
    "GET",
    "/api/notification/rules?pageSize=100&page=0",
  );
  for (const { id } of data) await cloud.call("DELETE", `/api/notification/rule/${id.id}`);
});

interface Entity {
  readonly id: { readonly id: Uuid };
}

interface Delivery {
  readonly id: string;
  readonly alarmId: string;
  readonly transition: string;
  readonly state: string;
  readonly attempts: number;
  readonly error: string | null;
}

function createJob(store: Partial<NotificationJobStore> = {}): NotificationJob {
  const url = new Secret(`smtp://mailer:${MAIL_PASSWORD}@127.0.0.1:${smtp.port}`);
  const mail = createMailer({ url, from: "alarms@example.com" });
  const send = createNotificationSender({ post: postWebhook, mail, mailDomain: "example.com" }, { clock });
  const stored = createNotificationJobStore(cloud.database.db);
  return createNotificationJob({
    store: { ...stored, ...store },
    send,
    clock,
    random: systemRandom,
    log: silentLog,
  });
}

const webhook = () => ({ type: "WEBHOOK", url: `http://127.0.0.1:${receiver.port}/hook`, secret: SECRET });
const rule = (more: object) =>
  cloud.call<Entity>("POST", "/api/notification/rule", {
    name: "All",
    transitions: ["CREATED"],
    target: webhook(),
    ...more,
  });
const deliveries = async (): Promise<readonly Delivery[]> =>
  (await cloud.call<{ readonly data: readonly Delivery[] }>("GET", "/api/notification/deliveries?pageSize=100&page=0"))
    .data;
const states = async () => (await deliveries()).map(({ state, transition }) => `${transition} ${state}`).toSorted();

async function createDevice(more: object = {}): Promise<Entity["id"]> {
  devices += 1;
  return (await cloud.call<Entity>("POST", "/api/device", { name: `Device ${devices}`, ...more })).id;
}

function raise(originator: Entity["id"], type = "Hot", severity = "MAJOR"): Promise<Entity> {
  return cloud.call("POST", "/api/alarm", { originator, type, severity, details: { t: 41.5 } });
}

describe("webhook", () => {
  test("is signed, tried again under one id until it is taken, and not sent once more", async () => {
    await rule({});
    const originator = await createDevice();
    const alarm = await raise(originator);
    answers = [500];
    const job = createJob();
    await job.sendDue();
    expect(await deliveries()).toMatchObject([{ state: "QUEUED", attempts: 1, error: "The receiver answered 500" }]);
    await job.sendDue();
    expect(hooks).toHaveLength(1);
    clock.advance(HOUR_MS);
    await job.sendDue();
    expect(await deliveries()).toMatchObject([{ state: "SENT", attempts: 2, error: null, alarmId: alarm.id.id }]);
    clock.advance(24 * HOUR_MS);
    await job.sendDue();
    expect(hooks).toHaveLength(2);
    const [first, second] = hooks;
    const id = first?.headers.get("webhook-id");
    expect(second?.headers.get("webhook-id")).toBe(id ?? "");
    expect((await deliveries())[0]?.id).toBe(id ?? "");
    const signed = `${id}.${second?.headers.get("webhook-timestamp")}.${second?.body}`;
    const signature = createHmac("sha256", SECRET).update(signed).digest("base64");
    expect(second?.headers.get("webhook-signature")).toBe(`v1,${signature}`);
    expect(JSON.parse(second?.body ?? "")).toMatchObject({
      type: "alarm.created",
      data: {
        rule: { name: "All" },
        alarm: { id: alarm.id.id, type: "Hot", severity: "MAJOR", status: "ACTIVE_UNACK", details: { t: 41.5 } },
        originator: { entityType: "DEVICE", id: originator.id, name: `Device ${devices}` },
      },
    });
  });

  test("is given up when the receiver refuses it, or never answers well", async () => {
    await rule({});
    await raise(await createDevice());
    answers = [410];
    const job = createJob();
    await job.sendDue();
    expect(await deliveries()).toMatchObject([{ state: "FAILED", attempts: 1, error: "The receiver answered 410" }]);
    await raise(await createDevice());
    answers = Array.from({ length: 100 }, () => 500);
    for (let round = 0; round < 30; round += 1) {
      await job.sendDue();
      clock.advance(HOUR_MS);
    }
    expect(await states()).toEqual(["CREATED FAILED", "CREATED FAILED"]);
    expect(hooks).toHaveLength(21);
  });

  test("does not follow where it is sent on to", async () => {
    await rule({});
    await raise(await createDevice());
    answers = [302];
    await createJob().sendDue();
    expect(hooks).toHaveLength(1);
    expect(await deliveries()).toMatchObject([{ state: "FAILED", error: "The receiver answered 302" }]);
  });

  test("is sent by one of several processes", async () => {
    await rule({});
    for (let count = 0; count < 30; count += 1) await raise(await createDevice());
    const { db } = cloud.database;
    const claim = { countMax: 100, nowMs: clock.nowMs() };
    const undone = db.transaction(async (tx) => {
      expect(await createNotificationJobStore(tx).claim(claim)).toHaveLength(30);
      expect(await createNotificationJobStore(db).claim(claim)).toEqual([]);
      throw new Error("undone");
    });
    expect(await undone.catch(String)).toContain("undone");
    await Promise.all([createJob().sendDue(), createJob().sendDue(), createJob().sendDue()]);
    expect(hooks).toHaveLength(30);
    expect(new Set(hooks.map(({ headers }) => headers.get("webhook-id"))).size).toBe(30);
  });

  test("is repeated under its id after a crash between sending and marking, and only once nobody holds it any more", async () => {
    await rule({});
    await raise(await createDevice());
    const crashing = createJob({ markSent: () => Promise.reject(new Error("killed")) });
    await crashing.sendDue().catch(() => undefined);
    await createJob().sendDue();
    expect(hooks).toHaveLength(1);
    clock.advance(HOUR_MS);
    await createJob().sendDue();
    expect(hooks.map(({ headers }) => headers.get("webhook-id"))).toEqual(
      Array.from({ length: 2 }, () => hooks[0]?.headers.get("webhook-id") ?? ""),
    );
    expect(await states()).toEqual(["CREATED SENT"]);
  });
});

describe("rules", () => {
  test("choose transitions, each told once", async () => {
    await rule({ transitions: ["CREATED", "SEVERITY_CHANGED", "ACKNOWLEDGED", "CLEARED"] });
    const originator = await createDevice();
    const alarm = await raise(originator);
    await raise(originator);
    await raise(originator, "Hot", "CRITICAL");
    await raise(originator, "Hot", "MINOR");
    await cloud.call("POST", `/api/alarm/${alarm.id.id}/ack`);
    await cloud.call("POST", `/api/alarm/${alarm.id.id}/clear`);
    expect(await states()).toEqual([
      "ACKNOWLEDGED QUEUED",
      "CLEARED QUEUED",
      "CREATED QUEUED",
      "SEVERITY_CHANGED QUEUED",
      "SEVERITY_CHANGED QUEUED",
    ]);
  });

  test("choose by severity, type, profile and entity, and keep to their tenant", async () => {
    const profile = await cloud.call<Entity>("POST", "/api/deviceProfile", { name: "ovens" });
    const oven = await createDevice({ deviceProfileId: profile.id });
    const other = await createDevice();
    await rule({ severities: ["CRITICAL"] });
    await rule({ alarmTypes: ["Cold"] });
    await rule({ deviceProfileIds: [profile.id.id] });
    await rule({ entityIds: [other.id] });
    await rule({ enabled: false });
    await rule({ transitions: ["CLEARED"] });
    const body = { name: "Theirs", transitions: ["CREATED"], target: webhook() };
    await cloud.request("POST", "/api/notification/rule", { body, token: cloud.second.token });
    await raise(oven, "Hot", "MINOR");
    expect(await deliveries()).toHaveLength(1);
    await raise(other, "Cold", "CRITICAL");
    expect(await deliveries()).toHaveLength(4);
    const theirs = await cloud.request("GET", "/api/notification/deliveries?pageSize=10&page=0", {
      token: cloud.second.token,
    });
    expect(theirs.json).toMatchObject({ totalElements: 0 });
  });

  test("tell once of two alarms that turn out to be one", async () => {
    await rule({ transitions: ["CREATED", "ACKNOWLEDGED"] });
    const originator = await createDevice();
    const { id } = (await raise(originator)).id;
    await cloud.call("POST", `/api/alarm/${id}/ack`);
    const here = await findAlarm(cloud.database.db, id);
    if (here === null) throw new Error("The alarm is gone");
    // The lower id stays.
    const sent: AlarmRecord = { ...here, id: `00000000${id.slice(8)}` as Uuid, ackMs: 0 };
    const entity = { type: "ALARM", id: sent.id };
    const change = {
      kind: "alarm-saved",
      entity,
      originator: sent.originator,
      action: "ADDED",
      body: alarmBody(sent),
    } as const;
    const context = { from: "edge", tenantId: cloud.first.tenantId } as never;
    await cloud.database.db.transaction((tx) => applyAlarmChange(tx, cloud, { change, context }));
    expect((await findAlarm(cloud.database.db, id))?.id).toBe(sent.id);
    expect(await states()).toEqual(["ACKNOWLEDGED QUEUED", "CREATED QUEUED"]);
  });

  test("hold at most so much back of a receiver that is away", async () => {
    const { id } = await rule({});
    const originator = await createDevice();
    await raise(originator);
    await cloud.database.sql`
      insert into notification (id, rule_id, tenant_id, alarm_id, transition, occasion, alarm, state, due_ms, created_ms)
      select gen_random_uuid(), rule_id, tenant_id, gen_random_uuid(), transition, 0, alarm, state, due_ms, created_ms
      from notification, generate_series(1, 999) where rule_id = ${id.id}`;
    await raise(originator, "Other");
    const failed = await cloud.call("GET", "/api/notification/deliveries?pageSize=10&page=0&state=FAILED");
    expect(failed).toMatchObject({ data: [{ alarmType: "Other", error: "Too many notifications of this rule wait" }] });
  });

  test("are refused with the field that is wrong", async () => {
    const refused = async (more: object): Promise<string> => {
      const body = { name: "Wrong", transitions: ["CREATED"], target: webhook(), ...more };
      const { json, status } = await cloud.request("POST", "/api/notification/rule", { body });
      return `${status} ${String(json?.["field"])}`;
    };
    expect(await refused({ transitions: [] })).toBe("400 transitions");
    expect(await refused({ severities: ["BAD"] })).toBe("400 severities.0");
    expect(await refused({ target: { ...webhook(), url: "file:///etc/passwd" } })).toBe("400 target.url");
    expect(await refused({ target: { ...webhook(), url: "http://user:pass@host/" } })).toBe("400 target.url");
    expect(await refused({ target: { ...webhook(), secret: "short" } })).toBe("400 target.secret");
    expect(await refused({ target: { ...webhook(), secret: null } })).toBe("400 target.secret");
    expect(await refused({ target: { type: "EMAIL", to: ["nobody"] } })).toBe("400 target.to.0");
  });

  test("keep their secret when they are saved without it, and show it nowhere", async () => {
    const saved = await rule({});
    await rule({ id: saved.id, name: "Again", target: { ...webhook(), secret: undefined } });
    await raise(await createDevice());
    answers = [500];
    await createJob().sendDue();
    clock.advance(HOUR_MS);
    await createJob().sendDue();
    const { headers, body } = hooks[1] ?? { headers: new Headers(), body: "" };
    const signed = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`;
    expect(headers.get("webhook-signature")).toBe(`v1,${createHmac("sha256", SECRET).update(signed).digest("base64")}`);
    for (const path of [
      "/api/notification/rules?pageSize=10&page=0",
      `/api/notification/rule/${saved.id.id}`,
      "/api/notification/deliveries?pageSize=10&page=0",
      "/api/audit/logs?pageSize=100&page=0",
    ]) {
      const { status, text } = await cloud.request("GET", path);
      expect(status).toBe(200);
      expect(text).not.toContain(SECRET);
    }
    expect((await cloud.request("GET", "/api/audit/logs?pageSize=100&page=0")).text).toContain("NOTIFICATION_RULE");
  });
});

describe("mail", () => {
  test("goes to all receivers under one Message-ID however often it is tried", async () => {
    await rule({ target: { type: "EMAIL", to: ["one@example.com", "two@example.com"] } });
    await raise(await createDevice(), "Too hot\r\nBcc: victim@example.com");
    smtp.refuseNext("451 Later");
    const job = createJob();
    await job.sendDue();
    const [queued] = await deliveries();
    expect(queued).toMatchObject({ state: "QUEUED", error: "The mail server did not take it: 451" });
    clock.advance(HOUR_MS);
    await job.sendDue();
    expect(await states()).toEqual(["CREATED SENT"]);
    const mail = smtp.mails.at(-1);
    expect(mail).toMatchObject({
      from: "alarms@example.com",
      to: ["one@example.com", "two@example.com"],
      auth: `mailer ${MAIL_PASSWORD}`,
    });
    const [headers = ""] = (mail?.content ?? "").split("\n\n");
    expect(headers).toContain(`Message-ID: <${queued?.id}@example.com>`);
    expect(headers).not.toMatch(/^Bcc:/m);
    expect(mail?.content).toContain("Severity:  MAJOR");
  });

  test("is given up when it is refused for good, and no answer of the server is shown", async () => {
    await rule({ target: { type: "EMAIL", to: ["one@example.com"] } });
    await raise(await createDevice());
    smtp.refuseNext(`554 Never, ${MAIL_PASSWORD}`);
    await createJob().sendDue();
    expect(await deliveries()).toMatchObject([{ state: "FAILED", error: "The mail server did not take it: 554" }]);
  });
});
