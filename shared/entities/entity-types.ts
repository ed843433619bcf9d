/**
 * Kinds of entities that have a name and a row in the table `entity`, in the order in which another side has to make them: what others
 * refer to goes first. A new kind is a line here, a file beside this one and a line in entity-kinds.ts, which the compiler asks for.
 */
export const KIND_TYPES = [
  "CUSTOMER",
  "TB_RESOURCE",
  "RULE_CHAIN",
  "DASHBOARD",
  "OTA_PACKAGE",
  "DEVICE_PROFILE",
  "ASSET_PROFILE",
  "DEVICE",
  "ASSET",
  "ENTITY_VIEW",
] as const;

export type KindType = (typeof KIND_TYPES)[number];

/** Entity types of the public REST convention that Skerry knows. */
export const ENTITY_TYPES = ["TENANT", "USER", "EDGE", ...KIND_TYPES] as const;

export type EntityType = (typeof ENTITY_TYPES)[number];

export function isEntityType(text: string): text is EntityType {
  return (ENTITY_TYPES as readonly string[]).includes(text);
}

export function isKindType(text: string): text is KindType {
  return (KIND_TYPES as readonly string[]).includes(text);
}
