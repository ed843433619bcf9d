import { and, eq } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import { deviceCredentials, entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { AuthenticatedDevice, DeviceDirectory, DeviceEvent, DeviceEvents } from "../devices/ports.ts";

/** Devices kept in memory by their token; the least recently added leave first. */
const CACHED_DEVICES_MAX = 10_000;

/** Finds devices by their credentials, and tells the protocols what happened to devices. */
export interface DeviceRegistry extends DeviceDirectory, DeviceEvents {
  /** Changes were committed, by whomever. */
  publish(changes: readonly Change[]): void;
}

export function createDeviceRegistry(db: Queryable): DeviceRegistry {
  // Null: no device has this token; whoever tries tokens must not keep the database busy.
  const byToken = new Map<string, AuthenticatedDevice | null>();
  const listeners = new Set<(event: DeviceEvent) => void>();
  // Counts publications, so that a look-up that overlapped one is not kept.
  let generation = 0;

  return {
    findByAccessToken: async (token) => {
      const known = byToken.get(token);
      if (known !== undefined) return known;
      const begun = generation;
      const device = await readByToken(db, token);
      if (generation === begun) {
        if (byToken.size >= CACHED_DEVICES_MAX) byToken.delete(byToken.keys().next().value ?? "");
        byToken.set(token, device);
      }
      return device;
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    publish: (changes) => {
      for (const change of changes) {
        if (change.entity.type !== "DEVICE") continue;
        if (change.kind === "entity-saved" || change.kind === "entity-removed" || change.kind === "credentials-saved") {
          generation += 1;
          forget(byToken, change.entity.id);
        }
        const event = toEvent(change);
        if (event !== null) for (const listener of listeners) listener(event);
      }
    },
  };
}

/** @throws AppError DATABASE_UNAVAILABLE, without the token in its text */
async function readByToken(db: Queryable, token: string): Promise<AuthenticatedDevice | null> {
  const [row] = await orDatabaseError(
    db
      .select({ deviceId: entity.id, name: entity.name, body: entity.body })
      .from(deviceCredentials)
      .innerJoin(entity, eq(entity.id, deviceCredentials.deviceId))
      .where(and(eq(deviceCredentials.credentialsId, token), eq(deviceCredentials.credentialsType, "ACCESS_TOKEN")))
      .execute(),
  );
  if (row === undefined) return null;
  return { deviceId: row.deviceId as Uuid, name: row.name, isGateway: isGateway(row.body) }; // the column holds uuids
}

function isGateway(body: unknown): boolean {
  const info = typeof body === "object" && body !== null && "additionalInfo" in body ? body.additionalInfo : null;
  return typeof info === "object" && info !== null && "gateway" in info && info.gateway === true;
}

/** Of this device, and of nobody: the token may have become its own. */
function forget(byToken: Map<string, AuthenticatedDevice | null>, deviceId: Uuid): void {
  for (const [token, device] of byToken) {
    if (device === null || device.deviceId === deviceId) byToken.delete(token);
  }
}

function toEvent(change: Change): DeviceEvent | null {
  const deviceId = change.entity.id;
  switch (change.kind) {
    case "attributes-saved":
      return change.scope === "SHARED_SCOPE" ? { kind: "shared-saved", deviceId, attributes: change.attributes } : null;
    case "attributes-deleted":
      return change.scope === "SHARED_SCOPE" ? { kind: "shared-deleted", deviceId, keys: change.keys } : null;
    case "credentials-saved":
    case "entity-removed":
      return { kind: "access-ended", deviceId };
    case "entity-saved":
    case "user-saved":
    case "telemetry-gap":
    case "entity-wanted":
    case "alarm-saved":
    case "alarm-removed":
    case "alarm-comment-saved":
    case "relation-saved":
      return null;
  }
}
