import type { CanonicalJson } from "../entities/telemetry.ts";
import { splitValues } from "../entities/values.ts";

/** jsonb as text (`value::text`) in canonical form: PostgreSQL keeps numbers as they are, but writes spaces into objects and arrays. */
export function fromJsonbText(text: string): CanonicalJson {
  const isNested = text.startsWith("{") || text.startsWith("[");
  if (!isNested) return text as CanonicalJson;
  return splitValues(`{"v":${text}}`).get("v") ?? (text as CanonicalJson);
}
