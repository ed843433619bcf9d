import type { Clock } from "../../shared/core/clock.ts";
import type { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeScope } from "../../shared/entities/attributes.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { readAttributeRows, saveAttributes } from "../../shared/store/attribute-store.ts";
import { openClaim } from "../../shared/store/device-claim-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { AttributeAnswer, DeviceData } from "../devices/ports.ts";
import type { GroupCommit } from "./group-commit.ts";

export interface DeviceDataDeps {
  readonly clock: Clock;
  readonly db: Queryable;
  readonly groupCommit: GroupCommit;
  /** Why nothing is taken from devices now; null: it is. */
  readonly refusal: () => AppError | null;
}

/** What devices write and read, over the stores. */
export function createDeviceData({ clock, db, groupCommit, refusal }: DeviceDataDeps): DeviceData {
  return {
    saveTelemetry: (records) => groupCommit.saveTelemetry(records),
    saveClientAttributes: (deviceId, attributes) => {
      const [first] = attributes;
      if (first === undefined) return Promise.resolve();
      const refused = refusal();
      if (refused !== null) return Promise.reject(refused);
      const entity = { type: "DEVICE", id: deviceId };
      return groupCommit.run((tx) =>
        saveAttributes(tx, { entity, scope: "CLIENT_SCOPE", readings: attributes, nowMs: first.updatedMs }),
      );
    },
    readAttributes: async (deviceId, { clientKeys, sharedKeys }) => {
      const answer: { -readonly [Key in keyof AttributeAnswer]: AttributeAnswer[Key] } = {};
      if (clientKeys !== undefined)
        answer.client = await readScope(db, { deviceId, scope: "CLIENT_SCOPE", keys: clientKeys });
      if (sharedKeys !== undefined)
        answer.shared = await readScope(db, { deviceId, scope: "SHARED_SCOPE", keys: sharedKeys });
      return answer;
    },
    openClaim: (deviceId, { durationMs, secretKey }) => {
      const nowMs = clock.nowMs();
      return groupCommit.run((tx) => openClaim(tx, { deviceId, secretKey, expiresMs: nowMs + durationMs, nowMs }));
    },
  };
}

interface ScopeQuery {
  readonly deviceId: Uuid;
  readonly scope: AttributeScope;
  /** Empty: all. */
  readonly keys: readonly string[];
}

async function readScope(
  db: Queryable,
  { deviceId, scope, keys }: ScopeQuery,
): Promise<ReadonlyMap<string, CanonicalJson>> {
  const query = { entityId: deviceId, scopes: [scope], ...(keys.length === 0 ? {} : { keys }) };
  const rows = await readAttributeRows(db, query);
  return new Map(rows.map((row) => [row.key, row.value]));
}
