import { eq } from "drizzle-orm";
import * as z from "zod";
import type { Change } from "../../shared/entities/change.ts";
import type { Log } from "../../shared/observe/log.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import {
  NO_RATE_TEXTS,
  RATE_SCOPES,
  type RateScope,
  type RateSettings,
  type RateSettingsSource,
  type RateTexts,
} from "../devices/rate-limits.ts";

/** How the REST convention calls them, between `transport` and `MsgRateLimit` and the other two endings. */
const SCOPE_NAMES: Readonly<Record<RateScope, string>> = {
  device: "Device",
  gateway: "GatewayDevice",
  gatewayDevices: "Gateway",
  tenant: "Tenant",
};

const configurationSchema = z.object({ profileData: z.object({ configuration: z.record(z.string(), z.unknown()) }) });

/** Rate limits as the device profiles on this edge set them (`profileData.configuration`), kept in memory. */
export interface RateSettingsStore {
  readonly of: RateSettingsSource;
  /** Something was committed. */
  note(change: Change): void;
}

export async function openRateSettings({
  db,
  log,
}: {
  readonly db: Queryable;
  readonly log: Log;
}): Promise<RateSettingsStore> {
  let byProfile = await readAll(db);
  let reading: Promise<void> = Promise.resolve();

  async function read(): Promise<void> {
    try {
      byProfile = await readAll(db);
    } catch (thrown) {
      log.warn("Rate limits of device profiles could not be read again", { error: thrown });
    }
  }

  return {
    of: ({ profileId }) => (profileId === undefined ? undefined : byProfile.get(profileId)),
    note: ({ entity: { type } }) => {
      if (type === "DEVICE_PROFILE") reading = reading.then(read);
    },
  };
}

/** By the id of their profile. */
async function readAll(db: Queryable): Promise<ReadonlyMap<string, RateSettings>> {
  const query = db
    .select({ id: entity.id, body: entity.body })
    .from(entity)
    .where(eq(entity.entityType, "DEVICE_PROFILE"));
  const rows = await orDatabaseError(query.execute());
  return new Map(
    rows.flatMap(({ id, body }) => {
      const settings = readSettings(body);
      return settings === undefined ? [] : [[id, settings] as const];
    }),
  );
}

/** Undefined: the profile limits nothing. */
function readSettings(body: unknown): RateSettings | undefined {
  const read = configurationSchema.safeParse(body);
  if (!read.success) return undefined;
  const { configuration } = read.data.profileData;
  const entries = RATE_SCOPES.map((scope): [RateScope, RateTexts] => [scope, readTexts(configuration, scope)]);
  const isLimited = entries.some(([, texts]) => Object.values(texts).some((text) => text !== ""));
  return isLimited ? (Object.fromEntries(entries) as Record<RateScope, RateTexts>) : undefined; // one for each scope
}

function readTexts(configuration: Readonly<Record<string, unknown>>, scope: RateScope): RateTexts {
  const textOf = (ending: string): string => {
    const value = configuration[`transport${SCOPE_NAMES[scope]}${ending}RateLimit`];
    return typeof value === "string" ? value : "";
  };
  return {
    ...NO_RATE_TEXTS,
    messages: textOf("Msg"),
    telemetryMessages: textOf("TelemetryMsg"),
    telemetryDataPoints: textOf("TelemetryDataPoints"),
  };
}
