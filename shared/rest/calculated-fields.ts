import { AppError } from "../core/errors.ts";
import { compileField } from "../rules/calculated-fields.ts";
import { profileFieldsSchema } from "../rules/calculated-form.ts";
import { loadCel } from "../rules/cel.ts";
import { validate } from "./route.ts";

/** The calculated fields of a device profile, as they are sent. @throws AppError INVALID_ARGUMENT that names the field */
export async function checkCalculatedFields(input: { readonly profileData?: unknown }): Promise<void> {
  const { profileData } = validate(profileFieldsSchema, input);
  const fields = profileData?.calculatedFields ?? [];
  if (fields.length === 0) return;
  const cel = await loadCel();
  for (const [index, field] of fields.entries()) {
    try {
      compileField(field, cel);
    } catch (thrown) {
      const path = `profileData.calculatedFields.${index}.expression`;
      throw new AppError("INVALID_ARGUMENT", AppError.from(thrown).message, { field: path });
    }
  }
}
