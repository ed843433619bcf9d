import type { CanonicalJson } from "./telemetry.ts";

export const ATTRIBUTE_SCOPES = ["CLIENT_SCOPE", "SHARED_SCOPE", "SERVER_SCOPE"] as const;

/** client: written by the device; shared: written by people, pushed to the device; server: never seen by the device. */
export type AttributeScope = (typeof ATTRIBUTE_SCOPES)[number];

export function isAttributeScope(text: string): text is AttributeScope {
  return (ATTRIBUTE_SCOPES as readonly string[]).includes(text);
}

/** A value with the time it was set; of two values of a key the later one wins, on both sides. */
export interface AttributeEntry {
  readonly key: string;
  readonly value: CanonicalJson;
  readonly updatedMs: number;
}
