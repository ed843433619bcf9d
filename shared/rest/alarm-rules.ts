import { AppError } from "../core/errors.ts";
import { expressionsOf, profileAlarmsSchema } from "../rules/alarm-rule.ts";
import { loadCel } from "../rules/cel.ts";
import { validate } from "./route.ts";

/** The alarm rules of a device profile, as they are sent. @throws AppError INVALID_ARGUMENT that names the field */
export async function checkAlarmRules(input: { readonly profileData?: unknown }): Promise<void> {
  const { profileData } = validate(profileAlarmsSchema, input);
  const expressions = (profileData?.alarms ?? []).flatMap((rule, index) =>
    expressionsOf(rule).map(([field, text]) => ({ field: `profileData.alarms.${index}.${field}`, text })),
  );
  if (expressions.length === 0) return;
  const cel = await loadCel();
  for (const { field, text } of expressions) {
    try {
      cel.compile(text);
    } catch (thrown) {
      throw new AppError("INVALID_ARGUMENT", AppError.from(thrown).message, { field });
    }
  }
}
