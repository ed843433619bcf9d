import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AppError } from "../core/errors.ts";
import { uuidToBytes } from "../core/ids.ts";
import { isAttributeScope } from "../entities/attributes.ts";
import type { Change, SentChange, SentItem } from "../entities/change.ts";
import { GAP_REASONS } from "../entities/change.ts";
import type { CanonicalJson } from "../entities/telemetry.ts";
import { alarmChangeFrom, alarmKind } from "./alarm-changes-codec.ts";
import { blobFromWire, numberFromWire, refFrom, refToWire, uuidFromWire } from "./checked.ts";
import { type Change as ChangeMessage, ChangeSchema, ItemsSchema } from "./gen/skerry/sync/v1/sync_pb.ts";

export type EncodableItem = Omit<SentItem, "unknown">;

/** Encoded items can be joined end to end. */
export function encodeItems(items: readonly EncodableItem[]): Uint8Array {
  const message = create(ItemsSchema, {
    items: items.map(({ changedMs, changes, isRepair = false, toldByRules = [] }) => ({
      changedMs: BigInt(changedMs),
      changes: changes.map(changeMessage),
      repair: isRepair,
      toldByRules: toldByRules.map(uuidToBytes),
    })),
  });
  return toBinary(ItemsSchema, message);
}

/** @throws AppError PROTOCOL_ERROR when the bytes are not `count` items or an item is malformed */
export function decodeItems(bytes: Uint8Array, count: number): readonly SentItem[] {
  let message;
  try {
    message = fromBinary(ItemsSchema, bytes);
  } catch (error) {
    throw new AppError("PROTOCOL_ERROR", "Batch is not an Items message", { cause: error });
  }
  if (message.items.length !== count) {
    throw new AppError("PROTOCOL_ERROR", `Batch has ${message.items.length} items, expected ${count}`);
  }
  return message.items.map((item) => {
    const changes = item.changes.map(changeFromMessage);
    const known = changes.filter((change) => change !== null);
    return {
      changedMs: numberFromWire(item.changedMs),
      changes: known,
      unknown: changes.length - known.length,
      ...(item.repair ? { isRepair: true } : {}),
      ...(item.toldByRules.length > 0 ? { toldByRules: item.toldByRules.map(uuidFromWire) } : {}),
    };
  });
}

export function encodeChange(change: Change): Uint8Array {
  return toBinary(ChangeSchema, create(ChangeSchema, changeMessage(change)));
}

/** Null for a kind that this version does not know. @throws AppError PROTOCOL_ERROR when it is malformed */
export function decodeChange(bytes: Uint8Array): Change | null {
  let message;
  try {
    message = fromBinary(ChangeSchema, bytes);
  } catch (error) {
    throw new AppError("PROTOCOL_ERROR", "Content is not a Change message", { cause: error });
  }
  const change = changeFromMessage(message);
  return change?.kind === "large-change" ? null : change;
}

function changeMessage(change: SentChange): MessageInitShape<typeof ChangeSchema> {
  const entity = refToWire(change.entity);
  switch (change.kind) {
    case "large-change": {
      const { sha256, bytes } = change.content;
      const content = { sha256: Uint8Array.fromHex(sha256), bytes: BigInt(bytes) };
      return { kind: { case: "largeChange", value: { entity, content } } };
    }
    case "entity-saved":
      return { kind: { case: "entitySaved", value: { entity, body: change.body, base: change.base ?? {} } } };
    case "user-saved":
      return { kind: { case: "userSaved", value: { entity, body: change.body } } };
    case "entity-removed":
      return { kind: { case: "entityRemoved", value: { entity, deleted: change.deleted } } };
    case "attributes-saved": {
      const attributes = change.attributes.map(({ key, value, updatedMs }) => ({
        key,
        value,
        updatedMs: BigInt(updatedMs),
      }));
      return { kind: { case: "attributesSaved", value: { entity, scope: change.scope, attributes } } };
    }
    case "attributes-deleted":
      return { kind: { case: "attributesDeleted", value: { entity, scope: change.scope, keys: [...change.keys] } } };
    case "credentials-saved": {
      const { credentialsType: type, credentialsId, credentialsValue } = change;
      return {
        kind: {
          case: "credentialsSaved",
          value: { entity, type, credentialsId, credentialsValue: credentialsValue ?? "" },
        },
      };
    }
    case "telemetry-gap": {
      const { fromMs, toMs, records, reason } = change;
      const value = { entity, fromMs: BigInt(fromMs), toMs: BigInt(toMs), records: BigInt(records), reason };
      return { kind: { case: "telemetryGap", value } };
    }
    case "entity-wanted":
      return { kind: { case: "entityWanted", value: { entity } } };
    case "alarm-saved":
    case "alarm-removed":
    case "alarm-comment-saved":
      return { kind: alarmKind(change) };
    case "relation-saved": {
      const { body } = change;
      const ends = { from: refToWire(change.from), to: refToWire(change.to) };
      return { kind: { case: "relationSaved", value: { entity, ...ends, body } } };
    }
    case "rpc-saved":
      return { kind: { case: "rpcSaved", value: { entity, body: change.body, leftMs: BigInt(change.leftMs) } } };
    case "backfill-saved":
      return { kind: { case: "backfillSaved", value: { entity, body: change.body } } };
  }
}

/** Null for a kind that this version does not know. */
function changeFromMessage({ kind }: ChangeMessage): SentChange | null {
  switch (kind.case) {
    case "entitySaved":
      return {
        kind: "entity-saved",
        entity: refFrom(kind.value.entity),
        body: kind.value.body,
        ...(Object.keys(kind.value.base).length === 0 ? {} : { base: { ...kind.value.base } }),
      };
    case "userSaved":
      return { kind: "user-saved", entity: refFrom(kind.value.entity), body: kind.value.body };
    case "entityRemoved":
      return { kind: "entity-removed", entity: refFrom(kind.value.entity), deleted: kind.value.deleted };
    case "attributesSaved": {
      const { scope } = kind.value;
      if (!isAttributeScope(scope)) return null;
      const attributes = kind.value.attributes.map(({ key, value, updatedMs }) => ({
        key,
        value: value as CanonicalJson, // canonical by contract; the database refuses what is not JSON
        updatedMs: numberFromWire(updatedMs),
      }));
      return { kind: "attributes-saved", entity: refFrom(kind.value.entity), scope, attributes };
    }
    case "attributesDeleted": {
      const { scope } = kind.value;
      if (!isAttributeScope(scope)) return null;
      return { kind: "attributes-deleted", entity: refFrom(kind.value.entity), scope, keys: kind.value.keys };
    }
    case "credentialsSaved": {
      const { type: credentialsType, credentialsId, credentialsValue } = kind.value;
      const entity = refFrom(kind.value.entity);
      return {
        kind: "credentials-saved",
        entity,
        credentialsType,
        credentialsId,
        credentialsValue: credentialsValue || null,
      };
    }
    case "telemetryGap": {
      const { entity, fromMs, toMs, records } = kind.value;
      const reason = GAP_REASONS.find((known) => known === kind.value.reason);
      if (reason === undefined) return null;
      return {
        kind: "telemetry-gap",
        entity: refFrom(entity),
        fromMs: numberFromWire(fromMs),
        toMs: numberFromWire(toMs),
        records: numberFromWire(records),
        reason,
      };
    }
    case "largeChange":
      return { kind: "large-change", entity: refFrom(kind.value.entity), content: blobFromWire(kind.value.content) };
    case "entityWanted":
      return { kind: "entity-wanted", entity: refFrom(kind.value.entity) };
    case "alarmSaved":
    case "alarmRemoved":
    case "alarmCommentSaved":
      return alarmChangeFrom(kind);
    case "relationSaved": {
      const { body } = kind.value;
      const ends = { from: refFrom(kind.value.from), to: refFrom(kind.value.to) };
      return { kind: "relation-saved", entity: refFrom(kind.value.entity), ...ends, body };
    }
    case "rpcSaved": {
      const { body, entity, leftMs } = kind.value;
      return { kind: "rpc-saved", entity: refFrom(entity), body, leftMs: numberFromWire(leftMs) };
    }
    case "backfillSaved":
      return { kind: "backfill-saved", entity: refFrom(kind.value.entity), body: kind.value.body };
    case undefined:
      return null;
  }
}
