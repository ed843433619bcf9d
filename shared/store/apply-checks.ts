import { NULL_UUID, type Uuid } from "../core/ids.ts";
import { CREDENTIALS_TYPES, type CredentialsType } from "../entities/device-credentials.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { KEY_LENGTH_MAX, splitValues } from "../entities/values.ts";
import type { ApplyContext } from "./apply-result.ts";

// What of the other side's changes has to be looked at before it is written.

/** Whose an entity is once it is stored: files of the system stay so, and are for all tenants. */
export function ownerOf(sent: EntityRecord, { from, tenantId }: ApplyContext): Uuid {
  const isOfSystem = from === "cloud" && sent.entityType === "TB_RESOURCE" && sent.tenantId === NULL_UUID;
  return isOfSystem ? NULL_UUID : tenantId;
}

export function isValidAttribute(key: string, value: string): boolean {
  if (key === "" || key.length > KEY_LENGTH_MAX || key.includes("\0")) return false;
  try {
    return splitValues(`{"v":${value}}`).size === 1;
  } catch {
    return false;
  }
}

export function isCredentialsType(text: string): text is CredentialsType {
  return (CREDENTIALS_TYPES as readonly string[]).includes(text);
}
