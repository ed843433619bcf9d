import * as z from "zod";
import { ATTRIBUTE_SCOPES } from "../entities/attributes.ts";
import { CEL_LENGTH_MAX } from "./cel.ts";

// Calculated fields as device profiles hold them (`profileData.calculatedFields`): arguments, output and their names are those of the
// public REST convention, the expression is CEL.

/** Of one profile. */
const FIELDS_MAX = 50;
const ARGUMENTS_MAX = 10;
/** Of one window. */
export const WINDOW_POINTS_MAX = 1_000;
const WINDOW_MS_MIN = 1_000;
const WINDOW_MS_MAX = 7 * 86_400_000;
const DECIMALS_MAX = 15;

const name = z.string().max(255);
const key = name.refine((text) => text.trim() !== "" && !/[\0\n]/.test(text), { error: "Key should be specified!" });

/** Words that CEL keeps for itself. */
const RESERVED: ReadonlySet<string> = new Set(
  "as break const continue else false for function if import in let loop namespace null package return true var void while".split(
    " ",
  ),
);

const argumentName = z.string().refine((text) => /^[A-Za-z_]\w{0,63}$/.test(text) && !RESERVED.has(text), {
  error: "Argument names should be names!",
});

const argumentSchema = z
  .object({
    refEntityKey: z.object({
      key,
      type: z.enum(["TS_LATEST", "TS_ROLLING", "ATTRIBUTE"]),
      /** Of an ATTRIBUTE; absent: of several scopes the newest. */
      scope: z.enum(ATTRIBUTE_SCOPES).nullish(),
    }),
    /** Where there is no value. */
    defaultValue: z.union([z.string().max(1_000), z.number(), z.boolean()]).nullish(),
    /** Of a TS_ROLLING: the newest points. */
    limit: z.int().min(1).max(WINDOW_POINTS_MAX).nullish(),
    /** Of a TS_ROLLING: ms up to the newest point. */
    timeWindow: z.int().min(WINDOW_MS_MIN).max(WINDOW_MS_MAX).nullish(),
  })
  .refine(
    ({ limit, refEntityKey, timeWindow }) =>
      refEntityKey.type !== "TS_ROLLING" || (limit ?? null) !== null || (timeWindow ?? null) !== null,
    { error: "A rolling argument needs timeWindow or limit!", path: ["timeWindow"] },
  );

export type CalculatedArgument = z.output<typeof argumentSchema>;

const fieldSchema = z.object({
  name: name.min(1),
  arguments: z
    .record(argumentName, argumentSchema)
    .refine((all) => Object.keys(all).length <= ARGUMENTS_MAX, { error: `At most ${ARGUMENTS_MAX} arguments!` })
    .refine((all) => Object.values(all).some(isTelemetry), { error: "At least one argument should be telemetry!" }),
  /** CEL. */
  expression: z.string().trim().min(1).max(CEL_LENGTH_MAX),
  output: z.object({
    type: z.literal("TIME_SERIES", { error: "Output type should be TIME_SERIES!" }),
    name: key,
    decimalsByDefault: z.int().min(0).max(DECIMALS_MAX).nullish(),
  }),
});

export type CalculatedField = z.output<typeof fieldSchema>;

/** All fields of a profile. */
const fieldsSchema = z
  .array(fieldSchema)
  .max(FIELDS_MAX)
  .superRefine((fields, context) => {
    const seen = new Set<string>();
    for (const [index, { output }] of fields.entries()) {
      const path = [index, "output", "name"];
      if (seen.has(output.name))
        context.addIssue({ code: "custom", message: "Can't create two calculated fields with the same output!", path });
      seen.add(output.name);
    }
    const { inCycle } = orderFields(fields);
    const [index] = inCycle;
    if (index !== undefined)
      context.addIssue({
        code: "custom",
        message: "The field depends on its own output!",
        path: [index, "arguments"],
      });
  });

export const profileFieldsSchema = z.object({
  profileData: z.object({ calculatedFields: fieldsSchema.nullish() }).nullish(),
});

export function isTelemetry({ refEntityKey }: CalculatedArgument): boolean {
  return refEntityKey.type !== "ATTRIBUTE";
}

export interface FieldOrder {
  /** Fields after those whose output they use. */
  readonly ordered: readonly CalculatedField[];
  /** Places of fields that depend on themselves, and of those that depend on these. */
  readonly inCycle: readonly number[];
}

export function orderFields(fields: readonly CalculatedField[]): FieldOrder {
  const ordered: CalculatedField[] = [];
  let left = [...fields.entries()];
  for (;;) {
    const waited = new Set(left.map(([, { output }]) => output.name));
    const ready = left.filter(([, field]) => !usesAny(field, waited));
    if (ready.length === 0) return { ordered, inCycle: left.map(([index]) => index) };
    for (const [, field] of ready) ordered.push(field);
    left = left.filter((one) => !ready.includes(one));
  }
}

function usesAny({ arguments: all }: CalculatedField, outputs: ReadonlySet<string>): boolean {
  return Object.values(all).some((argument) => isTelemetry(argument) && outputs.has(argument.refEntityKey.key));
}

export interface ReadFields {
  /** In an order in which they can be worked out. */
  readonly fields: readonly CalculatedField[];
  /** Of fields that can't be read: an older or newer program let them pass. They are left out. */
  readonly problems: readonly string[];
}

/** The calculated fields in the body of a stored device profile. */
export function readCalculatedFields(body: unknown): ReadFields {
  const read = z.object({ profileData: z.object({ calculatedFields: z.array(z.unknown()) }) }).safeParse(body);
  if (!read.success) return { fields: [], problems: [] };
  const fields: CalculatedField[] = [];
  const problems: string[] = [];
  for (const [index, form] of read.data.profileData.calculatedFields.slice(0, FIELDS_MAX).entries()) {
    const field = fieldSchema.safeParse(form);
    const issue = field.error?.issues[0];
    if (field.success) fields.push(field.data);
    else problems.push(`calculatedFields.${index}.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
  }
  const { inCycle, ordered } = orderFields(fields);
  for (const index of inCycle) problems.push(`${fields[index]?.name ?? ""}: depends on its own output`);
  return { fields: ordered, problems };
}
