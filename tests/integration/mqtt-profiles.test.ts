import { afterAll, beforeAll, expect, test } from "bun:test";
import { createDeviceRegistry } from "../../edge/store/device-directory.ts";
import { openMqttProfiles } from "../../edge/store/mqtt-profiles.ts";
import { openSite } from "../../edge/store/site-store.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { getEntity, replaceEntity } from "../../shared/store/entity-store.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

let postgres: TestPostgres;
beforeAll(async () => void (postgres = await startTestPostgres()));
afterAll(() => postgres[Symbol.asyncDispose]());

test("openMqttProfiles() reads what profiles say of MQTT, and again when one changes", async () => {
  const { db } = await postgres.createDatabase("edge");
  const { tenantId } = await openSite(db);
  await db.transaction((tx) =>
    saveDevice(
      tx,
      { clock: systemClock, random: systemRandom },
      { tenantId, input: { name: "A" }, credentials: { credentialsType: "ACCESS_TOKEN", credentialsId: "token" } },
    ),
  );
  const registry = createDeviceRegistry(db);
  const profiles = await openMqttProfiles({ db, log: silentLog });
  registry.watchChanges((changes) => {
    for (const change of changes) profiles.note(change);
  });
  const device = await registry.findByAccessToken("token");
  if (device?.profileId === undefined) throw new Error("Expected the device with its profile");
  const profile = await getEntity(db, { type: "DEVICE_PROFILE", id: device.profileId });
  const save = async (transportConfiguration: object): Promise<void> => {
    const body = { ...profile.body, transportType: "MQTT", profileData: { transportConfiguration } };
    await replaceEntity(db, { ...profile, body } as typeof profile);
    registry.publish([{ kind: "entity-removed", entity: { type: "DEVICE_PROFILE", id: profile.id } } as never]);
  };
  expect(profiles.of(device)).toBeUndefined();

  await save({ type: "MQTT", deviceTelemetryTopic: "v1/devices/me/telemetry", deviceAttributesTopic: "a/+" });
  await waitFor("the profile", () => profiles.of(device) !== undefined);
  expect(profiles.of(device)).toEqual({
    telemetryFilter: null,
    attributesFilter: "a/+",
    pushTopic: null,
    isInvalidAcknowledged: false,
    codec: null,
    isJsonTaken: false,
    isJsonSent: false,
  });

  const payloads = {
    transportPayloadType: "PROTOBUF",
    deviceTelemetryProtoSchema: 'syntax = "proto3"; message A { optional int32 t = 1; }',
    enableCompatibilityWithJsonPayloadFormat: true,
    useJsonPayloadFormatForDefaultDownlinkTopics: true,
  };
  await save({
    deviceAttributesSubscribeTopic: "changes",
    sendAckOnValidationException: true,
    transportPayloadTypeConfiguration: payloads,
  });
  await waitFor("the payloads", () => profiles.of(device)?.codec !== null);
  const read = profiles.of(device);
  expect(read).toMatchObject({
    pushTopic: "changes",
    isInvalidAcknowledged: true,
    isJsonTaken: true,
    isJsonSent: true,
  });
  expect(read?.codec?.decode("telemetry", new Uint8Array([8, 5]))).toBe('{"t":5}');

  await save({ transportPayloadTypeConfiguration: { ...payloads, deviceTelemetryProtoSchema: "mess age" } });
  await waitFor("the schema that can't be read", () => profiles.of(device)?.pushTopic === null);
  expect(() => profiles.of(device)?.codec?.decode("telemetry", new Uint8Array([8, 5]))).toThrow(
    'The profile of the device is not in order: Expected a schema of protobuf in "deviceTelemetryProtoSchema"',
  );
});
