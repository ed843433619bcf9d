import { eq } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change, RpcSaved } from "../../shared/entities/change.ts";
import type { MqttLogin } from "../../shared/entities/device-credentials.ts";
import { certificateId, mqttLoginId, parseMqttLogin } from "../../shared/entities/device-credentials.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import { deviceCredentials, entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { AuthenticatedDevice, DeviceDirectory, DeviceEvent, DeviceEvents } from "../devices/ports.ts";

/** Credentials kept in memory; the least recently added leave first. */
const CACHED_MAX = 10_000;

/** Finds devices by their credentials, and tells the protocols what happened to devices. */
export interface DeviceRegistry extends Omit<DeviceDirectory, "openBehind">, DeviceEvents {
  /** What is heard of requests to devices, after the commit. */
  subscribeRpcs(listener: (rpc: RpcSaved) => void): void;
  /** Changes were committed, by whomever. */
  publish(changes: readonly Change[]): void;
  /** `listener` sees all that is published. @returns the function that ends it */
  watchChanges(listener: (changes: readonly Change[]) => void): () => void;
}

/** Credentials as the database has them. */
interface Known {
  readonly device: AuthenticatedDevice;
  readonly type: string;
  /** Of MQTT_BASIC. */
  readonly login: MqttLogin | null;
}

export function createDeviceRegistry(db: Queryable): DeviceRegistry {
  const known = new KnownCredentials(db);
  const listeners = new Set<(event: DeviceEvent) => void>();
  const watchers = new Set<(changes: readonly Change[]) => void>();
  const rpcListeners: ((rpc: RpcSaved) => void)[] = [];
  return {
    findByAccessToken: async (token) => asToken(await known.find(token)),
    findByCertificate: async ([certificate = ""]) => {
      const found = await known.find(certificateId(certificate));
      return found?.type === "X509_CERTIFICATE" ? found.device : null;
    },
    findByMqttLogin: async (login) => {
      const { userName } = login;
      if (userName === null) return asLogin(await known.findSeldom(mqttLoginId(login)), login);
      const isByBoth = login.clientId !== null && (await known.hasLogins());
      const byBoth = isByBoth ? await known.findSeldom(mqttLoginId(login)) : null;
      if (byBoth !== null) return asLogin(byBoth, login);
      const byName = await known.find(userName);
      return asToken(byName) ?? asLogin(byName, login);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    subscribeRpcs: (listener) => void rpcListeners.push(listener),
    watchChanges: (listener) => {
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
    publish: (changes) => {
      for (const watcher of watchers) watcher(changes);
      for (const change of changes) {
        if (change.kind === "rpc-saved") for (const listener of rpcListeners) listener(change);
        if (change.entity.type !== "DEVICE") continue;
        if (change.kind === "entity-saved" || change.kind === "entity-removed" || change.kind === "credentials-saved")
          known.forget(change.entity.id);
        const event = toEvent(change);
        if (event !== null) for (const listener of listeners) listener(event);
      }
    },
  };
}

function asToken(found: Known | null): AuthenticatedDevice | null {
  return found?.type === "ACCESS_TOKEN" ? found.device : null;
}

function asLogin(found: Known | null, shown: MqttLogin): AuthenticatedDevice | null {
  const login = found?.login ?? null;
  if (found === null || login === null) return null;
  const isRight =
    (login.clientId === null || login.clientId === shown.clientId) &&
    (login.userName === null || login.userName === shown.userName) &&
    (login.password === null || login.password === shown.password);
  return isRight ? found.device : null;
}

class KnownCredentials {
  readonly #db: Queryable;
  /** Null: there are none with this id; whoever tries tokens must not keep the database busy. */
  readonly #byId = new Map<string, Known | null>();
  #hasLogins: boolean | null = null;
  /** Counts what was forgotten, so that a look-up that overlapped it is not kept. */
  #generation = 0;

  constructor(db: Queryable) {
    this.#db = db;
  }

  async find(id: string): Promise<Known | null> {
    const cached = this.#byId.get(id);
    if (cached !== undefined) return cached;
    const begun = this.#generation;
    const found = await readById(this.#db, id);
    if (this.#generation === begun) this.#keep(id, found);
    return found;
  }

  /** For ids that are made of client ids: many clients take a new one each time, which is not worth keeping. */
  async findSeldom(id: string): Promise<Known | null> {
    const cached = this.#byId.get(id);
    if (cached !== undefined) return cached;
    const begun = this.#generation;
    const found = await readById(this.#db, id);
    if (found !== null && this.#generation === begun) this.#keep(id, found);
    return found;
  }

  /** Whether any device signs in by MQTT_BASIC: most sites have none. */
  async hasLogins(): Promise<boolean> {
    if (this.#hasLogins !== null) return this.#hasLogins;
    const begun = this.#generation;
    const hasLogins = await hasMqttLogins(this.#db);
    if (this.#generation === begun) this.#hasLogins = hasLogins;
    return hasLogins;
  }

  /** What is known of this device, and what is known of nobody: an id may have become its own. */
  forget(deviceId: Uuid): void {
    this.#generation += 1;
    this.#hasLogins = null;
    for (const [id, known] of this.#byId) {
      if (known === null || known.device.deviceId === deviceId) this.#byId.delete(id);
    }
  }

  #keep(id: string, known: Known | null): void {
    if (this.#byId.size >= CACHED_MAX) this.#byId.delete(this.#byId.keys().next().value ?? "");
    this.#byId.set(id, known);
  }
}

/** @throws AppError DATABASE_UNAVAILABLE, without the id in its text, which may be a token */
async function readById(db: Queryable, id: string): Promise<Known | null> {
  const [row] = await orDatabaseError(
    db
      .select({
        deviceId: entity.id,
        name: entity.name,
        profileId: entity.profileId,
        body: entity.body,
        type: deviceCredentials.credentialsType,
        value: deviceCredentials.credentialsValue,
      })
      .from(deviceCredentials)
      .innerJoin(entity, eq(entity.id, deviceCredentials.deviceId))
      .where(eq(deviceCredentials.credentialsId, id))
      .execute(),
  );
  if (row === undefined) return null;
  const { deviceId, name, profileId, body, type, value } = row;
  const profile = profileId === null ? {} : { profileId: profileId as Uuid }; // the columns hold uuids
  const device = { deviceId: deviceId as Uuid, name, isGateway: isGateway(body), ...profile };
  return { device, type, login: type === "MQTT_BASIC" ? readLogin(value ?? "") : null };
}

/** Null: nobody signs in by what this version can't read. */
function readLogin(value: string): MqttLogin | null {
  try {
    return parseMqttLogin(value);
  } catch {
    return null;
  }
}

async function hasMqttLogins(db: Queryable): Promise<boolean> {
  const rows = await orDatabaseError(
    db
      .select({ id: deviceCredentials.id })
      .from(deviceCredentials)
      .where(eq(deviceCredentials.credentialsType, "MQTT_BASIC"))
      .limit(1)
      .execute(),
  );
  return rows.length > 0;
}

function isGateway(body: unknown): boolean {
  const info = typeof body === "object" && body !== null && "additionalInfo" in body ? body.additionalInfo : null;
  return typeof info === "object" && info !== null && "gateway" in info && info.gateway === true;
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
      return { kind: "access-ended", deviceId, isRemoved: change.kind === "entity-removed" };
    case "entity-saved":
    case "user-saved":
    case "telemetry-gap":
    case "entity-wanted":
    case "alarm-saved":
    case "alarm-removed":
    case "alarm-comment-saved":
    case "relation-saved":
    case "rpc-saved":
    case "backfill-saved":
      return null;
  }
}
