import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import { compileReadFields } from "../../shared/rules/calculated-fields.ts";
import { readCalculatedFields } from "../../shared/rules/calculated-form.ts";
import { loadCel } from "../../shared/rules/cel.ts";
import { DerivedValues } from "./derived-values.ts";

/** The calculated fields of those profiles that have some, loaded when the first does. */
export async function compileFieldsOf(
  bodies: ReadonlyMap<Uuid, unknown>,
  log: Log,
): Promise<ReadonlyMap<Uuid, DerivedValues>> {
  const cel = await loadCel();
  const compiled = new Map<Uuid, DerivedValues>();
  for (const [profileId, body] of bodies) {
    const { problems: failures, ...fields } = compileReadFields(readCalculatedFields(body), cel);
    if (failures.length > 0)
      log.warn("Calculated fields of a device profile can't be read, and are left out", { profileId, failures });
    if (fields.fields.length > 0) compiled.set(profileId, new DerivedValues(fields, { profileId, log }));
  }
  return compiled;
}
