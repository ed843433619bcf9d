import type { Uuid } from "../core/ids.ts";

/**
 * JSON text in Skerry's canonical form: no insignificant whitespace, no raw line feed, each value of the kind that it has
 * for devices: a number without point is a long (64 bits), one with a point a double (`21.0` stays `21.0`), true and false,
 * text, or nested JSON. Produced only by shared/entities/values.ts; numbers never pass through a JavaScript number unchecked.
 */
export type CanonicalJson = string & { readonly __brand: "CanonicalJson" };

/** One point in time of one entity, with all the keys that were measured together. */
export interface TelemetryRecord {
  readonly entityId: Uuid;
  /** Time of measurement in ms since 1970 UTC. */
  readonly tsMs: number;
  /** A JSON object, key to value. */
  readonly values: CanonicalJson;
  /** The sorted keys of `values`, joined by line feeds: records of one shape share it, which makes finding latest values cheap. */
  readonly keySet: string;
}

export interface TelemetryPoint {
  readonly tsMs: number;
  readonly value: CanonicalJson;
}
