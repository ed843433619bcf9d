import type { Uuid } from "../core/ids.ts";
import type { KindType } from "./entity-types.ts";

/** JSON as parsed; for parts of an entity that Skerry keeps without looking into them. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/**
 * A named entity of any kind, as stores keep it and the sync protocol carries it (JSON of this very shape).
 * The REST form of each kind is made from it in shared/rest.
 */
export interface EntityRecord {
  readonly entityType: KindType;
  readonly id: Uuid;
  readonly tenantId: Uuid;
  readonly customerId: Uuid | null;
  readonly name: string;
  /** The "type" of the REST convention; for devices and assets the name of the profile. */
  readonly subtype: string | null;
  readonly label: string | null;
  readonly profileId: Uuid | null;
  /** 1 after the first save, one more with each. */
  readonly version: number;
  readonly createdMs: number;
  /** What only this kind knows, e.g. additionalInfo, deviceData, firmwareId. */
  readonly body: { readonly [key: string]: Json };
  /** A text of the kind that may be large and is kept as it is, e.g. the configuration of a dashboard; lists leave it out. */
  readonly content?: string;
}
