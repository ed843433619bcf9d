import type { EntityRef } from "../entities/change.ts";
import type { Json } from "../entities/entity-record.ts";

// What rules are about: something that a device or a person said, with what is known of it.

export interface RuleMessage {
  /** By the names of the REST convention, e.g. POST_TELEMETRY_REQUEST, POST_ATTRIBUTES_REQUEST, ATTRIBUTES_UPDATED, ALARM; a rule may make others. */
  readonly type: string;
  readonly originator: EntityRef;
  /** Time of what it says, ms since 1970 UTC. */
  readonly tsMs: number;
  /** The payload, as a rule: key to value. */
  readonly data: Json;
  /** Texts beside the payload, e.g. deviceName, deviceType, ts. */
  readonly metadata: Readonly<Record<string, string>>;
}
