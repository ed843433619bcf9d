import { eq } from "drizzle-orm";
import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { Log } from "../../shared/observe/log.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { MqttProfile, MqttProfiles, PayloadCodec } from "../devices/payloads.ts";
import { FORMS, isPublicTopic } from "../devices/topics.ts";

/** What device profiles of transport type MQTT say of it, kept in memory. */
export interface MqttProfileStore extends MqttProfiles {
  /** Something was committed. */
  note(change: Change): void;
}

const text = z.string().nullish();
const flag = z.boolean().nullish();
const bodySchema = z.object({
  transportType: z.literal("MQTT"),
  profileData: z.object({
    transportConfiguration: z.object({
      deviceTelemetryTopic: text,
      deviceAttributesTopic: text,
      deviceAttributesSubscribeTopic: text,
      sendAckOnValidationException: flag,
      transportPayloadTypeConfiguration: z
        .object({
          transportPayloadType: text,
          deviceTelemetryProtoSchema: text,
          deviceAttributesProtoSchema: text,
          deviceRpcRequestProtoSchema: text,
          deviceRpcResponseProtoSchema: text,
          enableCompatibilityWithJsonPayloadFormat: flag,
          useJsonPayloadFormatForDefaultDownlinkTopics: flag,
        })
        .nullish(),
    }),
  }),
});
type TransportConfiguration = z.output<typeof bodySchema>["profileData"]["transportConfiguration"];
type Payloads = NonNullable<TransportConfiguration["transportPayloadTypeConfiguration"]>;

export async function openMqttProfiles({
  db,
  log,
}: {
  readonly db: Queryable;
  readonly log: Log;
}): Promise<MqttProfileStore> {
  let byId = await readAll(db, log);
  let reading: Promise<void> = Promise.resolve();

  async function read(): Promise<void> {
    try {
      byId = await readAll(db, log);
    } catch (thrown) {
      log.warn("What device profiles say of MQTT could not be read again", { error: thrown });
    }
  }

  return {
    of: ({ profileId }) => (profileId === undefined ? undefined : byId.get(profileId)),
    note: ({ entity: { type } }) => {
      if (type === "DEVICE_PROFILE") reading = reading.then(read);
    },
  };
}

/** Profiles that say anything but the public API, by id. */
async function readAll(db: Queryable, log: Log): Promise<ReadonlyMap<string, MqttProfile>> {
  const query = db
    .select({ id: entity.id, body: entity.body })
    .from(entity)
    .where(eq(entity.entityType, "DEVICE_PROFILE"));
  const profiles = new Map<string, MqttProfile>();
  for (const { id, body } of await orDatabaseError(query.execute())) {
    const read = bodySchema.safeParse(body);
    if (read.success) profiles.set(id, await toMqttProfile(id, read.data.profileData.transportConfiguration, log));
  }
  return profiles;
}

async function toMqttProfile(profileId: string, configuration: TransportConfiguration, log: Log): Promise<MqttProfile> {
  const payloads = configuration.transportPayloadTypeConfiguration ?? {};
  const pushTopic = configuration.deviceAttributesSubscribeTopic ?? "";
  return {
    telemetryFilter: ownFilter(configuration.deviceTelemetryTopic, FORMS.v1.telemetry),
    attributesFilter: ownFilter(configuration.deviceAttributesTopic, FORMS.v1.attributes),
    pushTopic: pushTopic === "" || /[+#]/.test(pushTopic) || isPublicTopic(pushTopic) ? null : pushTopic,
    isInvalidAcknowledged: configuration.sendAckOnValidationException === true,
    codec: payloads.transportPayloadType === "PROTOBUF" ? await createCodec(profileId, payloads, log) : null,
    isJsonTaken: payloads.enableCompatibilityWithJsonPayloadFormat === true,
    isJsonSent: payloads.useJsonPayloadFormatForDefaultDownlinkTopics === true,
  };
}

function ownFilter(filter: string | null | undefined, standard: string): string | null {
  return filter === null || filter === undefined || filter === "" || filter === standard ? null : filter;
}

/** The program of protobuf is loaded with the first profile that asks for it. */
async function createCodec(profileId: string, payloads: Payloads, log: Log): Promise<PayloadCodec> {
  const { createProtobufCodec } = await import("../devices/protobuf/protobuf-codec.ts");
  try {
    return createProtobufCodec({
      deviceTelemetryProtoSchema: payloads.deviceTelemetryProtoSchema ?? undefined,
      deviceAttributesProtoSchema: payloads.deviceAttributesProtoSchema ?? undefined,
      deviceRpcRequestProtoSchema: payloads.deviceRpcRequestProtoSchema ?? undefined,
      deviceRpcResponseProtoSchema: payloads.deviceRpcResponseProtoSchema ?? undefined,
    });
  } catch (thrown) {
    log.warn("A device profile has a schema that can't be read", { profileId, error: thrown });
    const reason = AppError.from(thrown).message;
    const refuse = (): never => {
      throw new AppError("INVALID_PAYLOAD", `The profile of the device is not in order: ${reason}`);
    };
    return { decode: refuse, encode: refuse };
  }
}
