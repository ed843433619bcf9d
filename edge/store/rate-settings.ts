import { eq } from "drizzle-orm";
import * as z from "zod";
import type { Change } from "../../shared/entities/change.ts";
import { readRateLimits } from "../../shared/entities/rate-limit-names.ts";
import type { Log } from "../../shared/observe/log.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeSettings } from "../../shared/sync/edge-settings.ts";
import {
  RATE_SCOPES,
  type RateScope,
  type RateSettings,
  type RateRulesSource,
  type RateTexts,
} from "../devices/rate-limits.ts";
import { readSettings } from "./site-store.ts";

/** How the REST convention calls them, between `transport` and `MsgRateLimit` and the other two endings. */
const SCOPE_NAMES: Readonly<Record<RateScope, string>> = {
  device: "Device",
  gateway: "GatewayDevice",
  gatewayDevices: "Gateway",
  tenant: "Tenant",
};

const configurationSchema = z.object({ profileData: z.object({ configuration: z.record(z.string(), z.unknown()) }) });

/** Rate limits as the cloud sets them for the tenant and the device profiles on this edge for theirs, kept in memory. All of them hold. */
export interface RateSettingsStore {
  readonly of: RateRulesSource;
  /** Something was committed. */
  note(change: Change): void;
  /** What the cloud sets was committed. */
  noteSettings(settings: EdgeSettings): void;
}

export async function openRateSettings({
  db,
  log,
}: {
  readonly db: Queryable;
  readonly log: Log;
}): Promise<RateSettingsStore> {
  let byProfile = await readAll(db);
  let ofTenant = toRateSettings((await orDatabaseError(readSettings(db)))?.rateLimits ?? {});
  let reading: Promise<void> = Promise.resolve();

  async function read(): Promise<void> {
    try {
      byProfile = await readAll(db);
    } catch (thrown) {
      log.warn("Rate limits of device profiles could not be read again", { error: thrown });
    }
  }

  return {
    of: ({ profileId }) => ({
      tenant: ofTenant,
      profile: profileId === undefined ? undefined : byProfile.get(profileId),
    }),
    note: ({ entity: { type } }) => {
      if (type === "DEVICE_PROFILE") reading = reading.then(read);
    },
    noteSettings: ({ rateLimits }) => void (ofTenant = toRateSettings(rateLimits)),
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
      const read = configurationSchema.safeParse(body);
      const settings = read.success ? toRateSettings(readRateLimits(read.data.profileData.configuration)) : undefined;
      return settings === undefined ? [] : [[id, settings] as const];
    }),
  );
}

/** Undefined: nothing is limited. */
function toRateSettings(limits: Readonly<Record<string, string>>): RateSettings | undefined {
  const textsOf = (scope: RateScope): RateTexts => {
    const textOf = (kind: string): string => limits[`transport${SCOPE_NAMES[scope]}${kind}RateLimit`] ?? "";
    return {
      messages: textOf("Msg"),
      telemetryMessages: textOf("TelemetryMsg"),
      telemetryDataPoints: textOf("TelemetryDataPoints"),
    };
  };
  const entries = RATE_SCOPES.map((scope): [RateScope, RateTexts] => [scope, textsOf(scope)]);
  const isLimited = entries.some(([, texts]) => Object.values(texts).some((text) => text !== ""));
  return isLimited ? (Object.fromEntries(entries) as Record<RateScope, RateTexts>) : undefined; // one for each scope
}
