import type { EntityRecord } from "./entity-record.ts";

/** Customers are stored as entities; their REST routes are not there yet, only what other entities show of them. */
export interface CustomerSummary {
  readonly title: string;
  readonly isPublic: boolean;
}

export function customerSummary(record: EntityRecord): CustomerSummary {
  const info = record.body["additionalInfo"];
  const isPublic = typeof info === "object" && info !== null && "isPublic" in info && info["isPublic"] === true;
  return { title: record.name, isPublic };
}
