import * as z from "zod";
import { scheduleSchema } from "../alarm-rule.ts";

// What of a device's telemetry goes to the cloud, as device profiles hold it (`profileData.uplink`). docs/thinning.md says what it means.

const KEYS_MAX = 500;
const DAY_MS = 86_400_000;
/** After it the newest value goes up in any case, where the policy names no other time. */
const MAX_INTERVAL_DEFAULT_MS = 3_600_000;

export const WINDOW_FUNCTIONS = ["avg", "min", "max", "sum", "count", "last"] as const;
export type WindowFunction = (typeof WINDOW_FUNCTIONS)[number];

const interval = z
  .int()
  .min(1)
  .max(31 * DAY_MS);

const windowSchema = z.object({
  /** Windows begin at its multiples since 1970 UTC. */
  ms: z.int().min(1_000).max(DAY_MS),
  /** The first is sent under the key itself, the others under `KEY_FUNCTION`. */
  functions: z
    .array(z.enum(WINDOW_FUNCTIONS))
    .min(1)
    .max(WINDOW_FUNCTIONS.length)
    .refine((functions) => new Set(functions).size === functions.length, {
      error: "Each function of a window should be named once!",
    }),
});

const keyRuleSchema = z
  .strictObject({
    exempt: z.boolean().nullish(),
    deadband: z.object({ type: z.enum(["ABSOLUTE", "PERCENT"]), value: z.number().min(0).max(1e300) }).nullish(),
    minIntervalMs: interval.nullish(),
    maxIntervalMs: interval.nullish(),
    window: windowSchema.nullish(),
  })
  .superRefine((rule, context) => {
    const refuse = (member: keyof typeof rule, message: string): void =>
      context.addIssue({ code: "custom", message, path: [member] });
    const { deadband = null, exempt = null, maxIntervalMs = null, minIntervalMs = null, window = null } = rule;
    const isByValue = deadband !== null || minIntervalMs !== null;
    if (exempt === true && (isByValue || maxIntervalMs !== null || window !== null))
      refuse("exempt", "An exempt key should have no other member!");
    if (window !== null && (isByValue || maxIntervalMs !== null))
      refuse("window", "A window should not be combined with deadband, minIntervalMs or maxIntervalMs!");
    if (maxIntervalMs !== null && !isByValue && window === null)
      refuse("maxIntervalMs", "maxIntervalMs should come with deadband or minIntervalMs: alone it thins nothing!");
    if (minIntervalMs !== null && maxIntervalMs !== null && minIntervalMs > maxIntervalMs)
      refuse("minIntervalMs", "minIntervalMs should not be longer than maxIntervalMs!");
  })
  .meta({ id: "UplinkKeyRule" });

const policySchema = z
  .strictObject({
    /** Of keys that `keys` does not name. */
    default: keyRuleSchema.nullish(),
    keys: z
      .record(z.string().min(1).max(255), keyRuleSchema)
      .refine((keys) => Object.keys(keys).length <= KEYS_MAX, { error: `At most ${KEYS_MAX} keys should be named!` })
      .nullish(),
    /** Telemetry goes up only in these hours, on the edge's clock. */
    schedule: scheduleSchema.nullish(),
    budget: z.strictObject({ bytesPerDay: z.int().min(1).max(1e12), per: z.enum(["DEVICE", "PROFILE"]) }).nullish(),
  })
  .meta({ id: "UplinkPolicy" });

export const profileUplinkSchema = z.object({ profileData: z.object({ uplink: policySchema.nullish() }).nullish() });

export type UplinkPolicyForm = z.output<typeof policySchema>;

/** How values of a key are thinned. */
export type KeyRule =
  /** Whatever the schedule and the budget say. */
  | { readonly type: "exempt" }
  /** Every value, as far as the schedule and the budget let it. */
  | { readonly type: "every" }
  | ChangeRule
  | WindowRule;

export interface ChangeRule {
  readonly type: "change";
  /** null: every value counts as a change. */
  readonly deadband: { readonly type: "ABSOLUTE" | "PERCENT"; readonly value: number } | null;
  readonly minIntervalMs: number;
  readonly maxIntervalMs: number;
}

export interface WindowRule {
  readonly type: "window";
  readonly ms: number;
  readonly functions: readonly WindowFunction[];
}

/** The policy in the body of a stored device profile; null: it has none, or one that can't be read, and all is sent. */
export function readUplinkPolicy(body: unknown): {
  readonly form: UplinkPolicyForm | null;
  readonly problem: string | null;
} {
  const read = z.object({ profileData: z.object({ uplink: z.unknown() }) }).safeParse(body);
  if (!read.success || (read.data.profileData.uplink ?? null) === null) return { form: null, problem: null };
  const policy = policySchema.safeParse(read.data.profileData.uplink);
  const issue = policy.error?.issues[0];
  if (policy.success) return { form: policy.data, problem: null };
  return { form: null, problem: `uplink.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}` };
}

export function keyRuleOf(form: z.output<typeof keyRuleSchema> | null | undefined): KeyRule {
  const { deadband = null, exempt = false, maxIntervalMs, minIntervalMs, window = null } = form ?? {};
  if (exempt === true) return { type: "exempt" };
  if (window !== null) return { type: "window", ...window };
  if (deadband === null && (minIntervalMs ?? null) === null) return { type: "every" };
  const min = minIntervalMs ?? 0;
  const max = maxIntervalMs ?? Math.max(MAX_INTERVAL_DEFAULT_MS, min);
  return { type: "change", deadband, minIntervalMs: min, maxIntervalMs: max };
}
