import type { Uuid } from "../../shared/core/ids.ts";
import { alarmToRest } from "../../shared/entities/alarm-form.ts";
import type { AlarmRecord } from "../../shared/entities/alarm.ts";
import type { AttributeEntry } from "../../shared/entities/attributes.ts";
import type { AlarmSaved, AttributesSaved, Change, EntityRef, EntitySaved } from "../../shared/entities/change.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { ACTIVITY_KEYS } from "../devices/activity.ts";

// What happened on an edge, as messages for chains, in the types of the REST convention.

export interface Occurrence {
  readonly type: string;
  readonly originator: EntityRef;
  /** JSON text. */
  readonly data: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export function telemetryOccurrence({ tsMs, values }: TelemetryRecord, originator: EntityRef): Occurrence {
  return { type: "POST_TELEMETRY_REQUEST", originator, data: values, metadata: { ts: String(tsMs) } };
}

export interface OccurrenceContext {
  readonly tenantId: Uuid;
  /** Alarm rules did it, and no person. */
  readonly isByRules: boolean;
  /** All that happened together. */
  readonly changes: readonly Change[];
}

/** Nothing for what no chain hears of. */
export function occurrencesOf(change: Change, context: OccurrenceContext): readonly Occurrence[] {
  switch (change.kind) {
    case "attributes-saved":
      return change.entity.type === "DEVICE" && change.scope === "SERVER_SCOPE"
        ? serverAttributes(change)
        : [attributesOccurrence(change, change.attributes)];
    case "attributes-deleted":
      return [
        {
          type: "ATTRIBUTES_DELETED",
          originator: change.entity,
          data: JSON.stringify({ attributes: change.keys }),
          metadata: { scope: change.scope },
        },
      ];
    case "alarm-saved":
      return alarmOccurrences(change, context);
    case "entity-saved":
      return [entitySaved(change)];
    case "entity-removed": {
      const { id, type } = change.entity;
      const data = JSON.stringify({ id: { entityType: type, id } });
      const removed = change.deleted ? "ENTITY_DELETED" : "ENTITY_UNASSIGNED";
      return [{ type: removed, originator: change.entity, data, metadata: {} }];
    }
    case "user-saved":
    case "credentials-saved":
    case "telemetry-gap":
    case "entity-wanted":
    case "alarm-removed":
    case "alarm-comment-saved":
    case "relation-saved":
    case "rpc-saved":
    case "backfill-saved":
      return [];
    default:
      return change satisfies never;
  }
}

const EVENTS: readonly (readonly [key: string, value: string | null, type: string])[] = [
  [ACTIVITY_KEYS.connected, null, "CONNECT_EVENT"],
  [ACTIVITY_KEYS.active, "true", "ACTIVITY_EVENT"],
  [ACTIVITY_KEYS.active, "false", "INACTIVITY_EVENT"],
  [ACTIVITY_KEYS.disconnected, null, "DISCONNECT_EVENT"],
];
const WATCHED: ReadonlySet<string> = new Set(Object.values(ACTIVITY_KEYS));

/** What the watch of devices writes is no attribute to chains, but an event. */
function serverAttributes(change: AttributesSaved): readonly Occurrence[] {
  const { attributes, entity: originator } = change;
  const watched = attributes.filter(({ key }) => WATCHED.has(key));
  if (watched.length === 0) return [attributesOccurrence(change, attributes)];
  const data = textOf(watched);
  const metadata = { scope: change.scope };
  const events = EVENTS.filter(([key, value]) =>
    watched.some((entry) => entry.key === key && (value === null || entry.value === value)),
  ).map(([, , type]) => ({ type, originator, data, metadata }));
  const others = attributes.filter(({ key }) => !WATCHED.has(key));
  return others.length === 0 ? events : [...events, attributesOccurrence(change, others)];
}

/** Client attributes are what a device says. */
function attributesOccurrence(
  { entity: originator, scope }: AttributesSaved,
  attributes: readonly AttributeEntry[],
): Occurrence {
  const isSaid = scope === "CLIENT_SCOPE" && originator.type === "DEVICE";
  const [first] = attributes;
  return {
    type: isSaid ? "POST_ATTRIBUTES_REQUEST" : "ATTRIBUTES_UPDATED",
    originator,
    data: textOf(attributes),
    metadata: { ...(isSaid ? {} : { scope }), ...(first === undefined ? {} : { ts: String(first.updatedMs) }) },
  };
}

function textOf(attributes: readonly AttributeEntry[]): string {
  return `{${attributes.map(({ key, value }) => `${JSON.stringify(key)}:${value}`).join(",")}}`;
}

function alarmOccurrences(
  { action, body, entity, originator }: AlarmSaved,
  { changes, isByRules, tenantId }: OccurrenceContext,
): readonly Occurrence[] {
  const alarm = JSON.parse(body) as AlarmRecord; // written by alarmSaved, or checked when it came
  const data = JSON.stringify(alarmToRest({ alarm, tenantId, customerId: null }));
  switch (action) {
    case "ADDED":
      return [{ type: "ALARM", originator, data, metadata: { isNewAlarm: "true" } }];
    case "UPDATED": {
      const isSeverity = changes.some(
        (change) =>
          change.kind === "alarm-comment-saved" &&
          change.originator.id === entity.id &&
          change.body.includes("SEVERITY_CHANGED"),
      );
      const severity = isSeverity ? { isSeverityUpdated: "true" } : {};
      return [{ type: "ALARM", originator, data, metadata: { isExistingAlarm: "true", ...severity } }];
    }
    case "ALARM_CLEAR":
      return [{ type: isByRules ? "ALARM" : action, originator, data, metadata: { isClearedAlarm: "true" } }];
    case "ALARM_ACK":
    case "ALARM_ASSIGNED":
    case "ALARM_UNASSIGNED":
      return [{ type: action, originator, data, metadata: {} }];
    default:
      return action satisfies never;
  }
}

function entitySaved({ body, entity: originator }: EntitySaved): Occurrence {
  const { name, subtype, version, body: members } = JSON.parse(body) as EntityRecord; // written from one, or checked when it came
  const { label, additionalInfo } = members;
  const id = { entityType: originator.type, id: originator.id };
  return {
    type: version === 1 ? "ENTITY_CREATED" : "ENTITY_UPDATED",
    originator,
    data: JSON.stringify({ id, name, type: subtype, label: label ?? null, additionalInfo: additionalInfo ?? null }),
    metadata: {},
  };
}
