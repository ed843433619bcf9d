import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { ALARM_SEVERITIES, type AlarmSeverity } from "../../../entities/alarm.ts";
import type { Json } from "../../../entities/entity-record.ts";
import { objectData, timeOf, type ChainMessage } from "../message.ts";
import { defineNode, tell, type NodeTools } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";
import type { AlarmFacts } from "../reads.ts";
import { chosenScript, compileScript, SCRIPT_LANGUAGES, type MessageScript } from "../scripts.ts";

const common = {
  alarmType: z.string().min(1).max(255),
  scriptLang: z.enum(SCRIPT_LANGUAGES).nullish(),
  alarmDetailsBuildJs: z.string().nullish(),
  alarmDetailsBuildTbel: z.string().nullish(),
  alarmDetailsBuildCel: z.string().nullish(),
};

const createConfig = z.object({
  ...common,
  alarmType: z.string().max(255).nullish(),
  severity: z.string().nullish(),
  dynamicSeverity: z.boolean().nullish(),
  propagate: z.boolean().nullish(),
  propagateToOwner: z.boolean().nullish(),
  propagateToTenant: z.boolean().nullish(),
  relationTypes: z.array(z.string()).nullish(),
  useMessageAlarmData: z.boolean().nullish(),
  overwriteAlarmDetails: z.boolean().nullish(),
});

type CreateConfig = z.output<typeof createConfig>;

/** Makes an alarm of the originator, or changes the active one of the type. */
export const createAlarm = defineNode({
  type: "action.TbCreateAlarmNode",
  config: createConfig,
  make: async (config, tools) => {
    const usesMessage = config.useMessageAlarmData ?? false;
    const details = usesMessage && !(config.overwriteAlarmDetails ?? false) ? null : await detailsScript(config, tools);
    return {
      handle: async (message, { reads, nowMs }) => {
        const content = usesMessage ? contentOfMessage(message) : contentOfConfig(message, config);
        const active = await reads.activeAlarm(message.originator, content.alarmType);
        const built = details === null ? content.details : await buildDetails(details, message, active);
        const startMs = active?.startMs ?? timeOf(message);
        const endMs = active === null ? startMs : nowMs;
        const outcome = tell(
          active === null ? "Created" : "Updated",
          alarmMessage(message, active === null ? "isNewAlarm" : "isExistingAlarm", {
            type: content.alarmType,
            severity: content.severity,
            details: built,
            startTs: startMs,
            endTs: endMs,
          }),
        );
        const alarm = { ...content, details: built, startMs, endMs };
        return { ...outcome, effects: [{ kind: "raise-alarm", originator: message.originator, ...alarm }] };
      },
    };
  },
});

export const clearAlarm = defineNode({
  type: "action.TbClearAlarmNode",
  config: z.object(common),
  make: async (config, tools) => {
    const details = await detailsScript(config, tools);
    return {
      handle: async (message, { reads, nowMs }) => {
        const { originator } = message;
        const alarmType = fillPattern(config.alarmType, message);
        const active = await reads.activeAlarm(originator, alarmType);
        if (active === null) return tell("False", message);
        const built = await buildDetails(details, message, active);
        const { severity, startMs } = active;
        const shown = { type: alarmType, severity, details: built, startTs: startMs, clearTs: nowMs };
        return {
          ...tell("Cleared", alarmMessage(message, "isClearedAlarm", shown)),
          effects: [{ kind: "clear-alarm", originator, alarmType, details: built, tsMs: nowMs }],
        };
      },
    };
  },
});

/** null: details stay as they are. */
function detailsScript(
  {
    scriptLang,
    alarmDetailsBuildJs: jsScript,
    alarmDetailsBuildTbel: tbelScript,
    alarmDetailsBuildCel: celScript,
  }: Pick<CreateConfig, "scriptLang" | "alarmDetailsBuildJs" | "alarmDetailsBuildTbel" | "alarmDetailsBuildCel">,
  tools: NodeTools,
): Promise<MessageScript | null> {
  const source = chosenScript({ scriptLang, jsScript, tbelScript, celScript });
  return source === null ? Promise.resolve(null) : compileScript(source, tools);
}

/** The script sees the details so far as `metadata.prevAlarmDetails`. */
async function buildDetails(
  script: MessageScript | null,
  message: ChainMessage,
  active: AlarmFacts | null,
): Promise<Json> {
  if (script === null) return active?.details ?? {};
  const before = active === null ? {} : { prevAlarmDetails: JSON.stringify(active.details) };
  return (await script.run({ ...message, metadata: { ...message.metadata, ...before } })) ?? {};
}

interface AlarmData {
  readonly alarmType: string;
  readonly severity: AlarmSeverity;
  readonly details: Json;
  readonly propagate: boolean;
  readonly propagateToOwner: boolean;
  readonly propagateToTenant: boolean;
  readonly propagateRelationTypes: readonly string[];
}

function contentOfConfig(message: ChainMessage, config: CreateConfig): AlarmData {
  const alarmType = fillPattern(config.alarmType ?? "", message);
  if (alarmType === "") throw new AppError("INVALID_ARGUMENT", "The type of the alarm is empty");
  return {
    alarmType,
    severity: severityOf(fillPattern(config.severity ?? "", message)),
    details: {},
    propagate: config.propagate ?? false,
    propagateToOwner: config.propagateToOwner ?? false,
    propagateToTenant: config.propagateToTenant ?? false,
    propagateRelationTypes: config.relationTypes ?? [],
  };
}

function contentOfMessage(message: ChainMessage): AlarmData {
  const alarm = objectData(message);
  const { type, severity, details, propagateRelationTypes } = alarm;
  if (typeof type !== "string" || type === "") {
    throw new AppError("INVALID_PAYLOAD", "The message is no alarm: it has no type");
  }
  const types = Array.isArray(propagateRelationTypes) ? (propagateRelationTypes as readonly Json[]) : [];
  return {
    alarmType: type,
    severity: severityOf(severity),
    details: details ?? {},
    propagate: alarm["propagate"] === true,
    propagateToOwner: alarm["propagateToOwner"] === true,
    propagateToTenant: alarm["propagateToTenant"] === true,
    propagateRelationTypes: types.filter((name) => typeof name === "string"),
  };
}

function severityOf(value: Json | undefined): AlarmSeverity {
  const severity = ALARM_SEVERITIES.find((known) => known === value);
  if (severity === undefined) {
    throw new AppError(
      "INVALID_ARGUMENT",
      `Expected a severity (${ALARM_SEVERITIES.join(", ")}), got ${JSON.stringify(value ?? null)}`,
    );
  }
  return severity;
}

/** What goes on from the node: the alarm instead of what raised it. */
function alarmMessage(message: ChainMessage, flag: string, alarm: Readonly<Record<string, Json>>): ChainMessage {
  const { type: entityType, id } = message.originator;
  return {
    ...message,
    type: "ALARM",
    data: JSON.stringify({ originator: { entityType, id }, ...alarm }),
    metadata: { ...message.metadata, [flag]: "true" },
  };
}
