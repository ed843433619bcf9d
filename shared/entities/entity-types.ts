/** Entity types of the public REST convention that Skerry knows; a new type is a file beside this one and a line here. */
export const ENTITY_TYPES = [
  "TENANT",
  "CUSTOMER",
  "USER",
  "EDGE",
  "DEVICE",
  "ASSET",
  "DEVICE_PROFILE",
  "ASSET_PROFILE",
] as const;

export type EntityType = (typeof ENTITY_TYPES)[number];

/** Kinds that a person assigns to an edge one by one. */
export const ASSIGNABLE_TYPES = ["DEVICE", "ASSET"] as const;

export type AssignableType = (typeof ASSIGNABLE_TYPES)[number];

/** Kinds that go with what refers to them. */
export function isProfileType(text: string): text is "DEVICE_PROFILE" | "ASSET_PROFILE" {
  return text === "DEVICE_PROFILE" || text === "ASSET_PROFILE";
}

export function isEntityType(text: string): text is EntityType {
  return (ENTITY_TYPES as readonly string[]).includes(text);
}

export function isAssignableType(text: string): text is AssignableType {
  return (ASSIGNABLE_TYPES as readonly string[]).includes(text);
}
