import { afterAll, beforeAll, expect, test } from "bun:test";
import { createDeviceRegistry, type DeviceRegistry } from "../../edge/store/device-directory.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import {
  certificateId,
  resolveCredentials,
  type CredentialsInput,
  type MqttLogin,
} from "../../shared/entities/device-credentials.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { credentialsSaved, saveDevice, writeCredentials } from "../../shared/store/device-store.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const certificate = (base64: string): string => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
const deps = { clock: systemClock, random: systemRandom };
const tenantId = createUuid(systemClock, systemRandom);
let postgres: TestPostgres;
let database: TestDatabase;
let registry: DeviceRegistry;
const ids = new Map<string, Uuid>();

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("edge");
  registry = createDeviceRegistry(database.db);
  const basic = (value: object): CredentialsInput => ({
    credentialsType: "MQTT_BASIC",
    credentialsValue: JSON.stringify(value),
  });
  await add("token", { credentialsType: "ACCESS_TOKEN", credentialsId: "tok" });
  await add("user", basic({ userName: "u1", password: "p1" }));
  await add("client", basic({ clientId: "c2" }));
  await add("both", basic({ clientId: "c3", userName: "u3", password: "p3" }));
  // The user name is also the token of another device.
  await add("pair", basic({ clientId: "c4", userName: "tok" }));
});
afterAll(() => postgres[Symbol.asyncDispose]());

async function add(name: string, credentials: CredentialsInput): Promise<void> {
  const input = { name };
  const { result } = await database.db.transaction((tx) => saveDevice(tx, deps, { tenantId, input, credentials }));
  ids.set(name, result.id);
}

/** The name of the device that gets in. */
async function enter(login: Partial<MqttLogin>): Promise<string | null> {
  return (await registry.findByMqttLogin({ clientId: null, userName: null, password: null, ...login }))?.name ?? null;
}

test("findByMqttLogin() takes an access token as user name, whatever password and client id", async () => {
  expect(await enter({ userName: "tok" })).toBe("token");
  expect(await enter({ userName: "tok", password: "x", clientId: "any" })).toBe("token");
  expect(await enter({ userName: "nobody" })).toBeNull();
});

test("findByMqttLogin() compares what is configured and looks at nothing else", async () => {
  expect(await enter({ userName: "u1", password: "p1", clientId: "any" })).toBe("user");
  expect(await enter({ userName: "u1", password: "wrong" })).toBeNull();
  expect(await enter({ userName: "u1" })).toBeNull();
  expect(await enter({ clientId: "c2" })).toBe("client");
  expect(await enter({ clientId: "c9" })).toBeNull();
  expect(await enter({ clientId: "c3", userName: "u3", password: "p3" })).toBe("both");
  expect(await enter({ clientId: "c3", userName: "u3", password: "p1" })).toBeNull();
  expect(await enter({ clientId: "other", userName: "u3", password: "p3" })).toBeNull();
});

test("findByMqttLogin() prefers client id and user name to the user name alone", async () => {
  expect(await enter({ clientId: "c4", userName: "tok" })).toBe("pair");
});

test("findByAccessToken() lets nobody in by other kinds of credentials", async () => {
  expect(await registry.findByAccessToken("tok")).toMatchObject({ name: "token" });
  expect(await registry.findByAccessToken("u1")).toBeNull();
});

test("findByCertificate() finds the device whose certificate it is, by no other kind", async () => {
  await add("certified", { credentialsType: "X509_CERTIFICATE", credentialsValue: certificate("QUJD\nREVG") });
  expect(await registry.findByCertificate(["QUJDREVG"])).toMatchObject({ name: "certified" });
  expect(await registry.findByCertificate(["QUJDREVH"])).toBeNull();
  expect(await registry.findByAccessToken(certificateId("QUJDREVG"))).toBeNull();
});

test("findByMqttLogin() follows a change of credentials", async () => {
  expect(await enter({ clientId: "c5", userName: "u5" })).toBeNull();
  const deviceId = ids.get("user");
  if (deviceId === undefined) throw new Error("Expected the device");
  const input: CredentialsInput = {
    credentialsType: "MQTT_BASIC",
    credentialsValue: JSON.stringify({ clientId: "c5", userName: "u5" }),
  };
  const { result } = await database.db.transaction((tx) => writeCredentials(tx, deps, { deviceId, input }));
  registry.publish([credentialsSaved(result)]);
  expect(await enter({ clientId: "c5", userName: "u5" })).toBe("user");
  expect(await enter({ userName: "u1", password: "p1" })).toBeNull();
});

test("resolveCredentials() gives a certificate one id, however its lines are broken", () => {
  const resolve = (credentialsValue: string) =>
    resolveCredentials({ credentialsType: "X509_CERTIFICATE", credentialsValue }).credentialsId;
  expect(resolve(certificate("QUJD\r\nREVG"))).toBe(resolve(certificate("QUJDREVG")));
  expect(resolve(certificate("QUJDREVG"))).toMatch(/^[0-9a-f]{64}$/);
});

for (const [credentialsType, credentialsValue, text] of [
  ["MQTT_BASIC", "{}", "Both mqtt client id and user name are empty!"],
  ["MQTT_BASIC", '{"clientId":"c","password":"p"}', "Password cannot be specified along with client id"],
  ["MQTT_BASIC", "secret", "Expected credentialsValue to be JSON text"],
  ["MQTT_BASIC", '{"userName":5}', "Expected clientId, userName and password to be texts"],
  ["X509_CERTIFICATE", "secret", "Expected credentialsValue to be one certificate"],
  ["ACCESS_TOKEN", null, "Device credentials id should be specified!"],
] as const) {
  test(`resolveCredentials() refuses ${credentialsType} with ${credentialsValue}`, () => {
    const refuse = (): unknown => resolveCredentials({ credentialsType, credentialsValue });
    expect(refuse).toThrow(text);
    expect(refuse).not.toThrow("secret");
  });
}
