import { and, asc, eq } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { AlarmSeverity } from "../../shared/entities/alarm.ts";
import type { AlarmTransition, StoredTarget } from "../../shared/entities/notification.ts";
import type { Page, PageRequest } from "../../shared/store/entity-store.ts";
import { notification, notificationRule } from "../../shared/store/notification-tables.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { readTablePage } from "../../shared/store/table-page.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeNotificationRule } from "../../shared/sync/edge-settings.ts";

/** Of one tenant: each change of an alarm looks at all of them. */
const RULES_MAX = 100;

export interface NotificationRule {
  readonly id: Uuid;
  readonly tenantId: Uuid;
  readonly name: string;
  readonly enabled: boolean;
  readonly transitions: readonly AlarmTransition[];
  /** null, here and below: any. */
  readonly severities: readonly AlarmSeverity[] | null;
  readonly alarmTypes: readonly string[] | null;
  readonly deviceProfileIds: readonly Uuid[] | null;
  /** Originators of alarms. */
  readonly entityIds: readonly Uuid[] | null;
  readonly target: StoredTarget;
  readonly hasSecret: boolean;
  /** Edges without a link tell by it themselves. */
  readonly fromEdges: boolean;
  readonly createdMs: number;
}

export interface RuleSave extends Omit<NotificationRule, "id" | "hasSecret" | "createdMs"> {
  /** null: a new one. */
  readonly id: Uuid | null;
  /** null: as it is. */
  readonly webhookSecret: string | null;
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT for a webhook without a secret, ENTITY_LIMIT */
export async function saveNotificationRule(
  tx: Queryable,
  { clock, random }: StoreDeps,
  { id, webhookSecret, ...save }: RuleSave,
): Promise<NotificationRule> {
  const stored = id === null ? null : await findRow(tx, { id, tenantId: save.tenantId });
  if (id !== null && stored === null) throw ruleNotFound(id);
  if (stored === null) await checkNumber(tx, save.tenantId);
  const isWebhook = save.target.type === "WEBHOOK";
  const secret = isWebhook ? (webhookSecret ?? stored?.webhookSecret ?? null) : null;
  if (isWebhook && secret === null) {
    throw new AppError("INVALID_ARGUMENT", "Webhook secret should be specified!", { field: "target.secret" });
  }
  const row = {
    ...save,
    id: stored?.id ?? createUuid(clock, random),
    createdMs: stored?.createdMs ?? Math.round(clock.nowMs()),
    webhookSecret: secret,
  };
  await tx.insert(notificationRule).values(row).onConflictDoUpdate({ target: notificationRule.id, set: row });
  return toRule(row);
}

async function checkNumber(tx: Queryable, tenantId: Uuid): Promise<void> {
  if ((await tx.$count(notificationRule, eq(notificationRule.tenantId, tenantId))) < RULES_MAX) return;
  throw new AppError("ENTITY_LIMIT", `At most ${RULES_MAX} notification rules are allowed`);
}

export interface RuleKey {
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

/** @throws AppError NOT_FOUND */
export async function getNotificationRule(db: Queryable, key: RuleKey): Promise<NotificationRule> {
  const row = await findRow(db, key);
  if (row === null) throw ruleNotFound(key.id);
  return toRule(row);
}

export function listNotificationRules(
  db: Queryable,
  tenantId: Uuid,
  page: PageRequest,
): Promise<Page<NotificationRule>> {
  const { createdMs, id, name } = notificationRule;
  const sortable = { "": createdMs, createdTime: createdMs, name };
  const where = eq(notificationRule.tenantId, tenantId);
  return readTablePage(db, { table: notificationRule, where, key: id, sortable, toItem: toRule }, page);
}

/** With what was to be told by it. @throws AppError NOT_FOUND */
export async function deleteNotificationRule(tx: Queryable, { id, tenantId }: RuleKey): Promise<void> {
  const gone = await tx
    .delete(notificationRule)
    .where(and(eq(notificationRule.id, id), eq(notificationRule.tenantId, tenantId)))
    .returning({ id: notificationRule.id });
  if (gone.length === 0) throw ruleNotFound(id);
  await tx.delete(notification).where(eq(notification.ruleId, id));
}

/** By which edges tell themselves, with their secrets. */
export async function readEdgeRules(db: Queryable, tenantId: Uuid): Promise<readonly EdgeNotificationRule[]> {
  const { createdMs, enabled, fromEdges, id } = notificationRule;
  const rows = await db
    .select()
    .from(notificationRule)
    .where(and(eq(notificationRule.tenantId, tenantId), eq(enabled, true), eq(fromEdges, true)))
    .orderBy(asc(createdMs), asc(id));
  return rows.map(({ createdMs: _created, enabled: _enabled, fromEdges: _from, tenantId: _tenant, ...rule }) => {
    return rule as EdgeNotificationRule; // written from a RuleSave only
  });
}

async function findRow(db: Queryable, { id, tenantId }: RuleKey) {
  const [row] = await db
    .select()
    .from(notificationRule)
    .where(and(eq(notificationRule.id, id), eq(notificationRule.tenantId, tenantId)))
    .orderBy(asc(notificationRule.id));
  return row ?? null;
}

function ruleNotFound(id: Uuid): AppError {
  return new AppError("NOT_FOUND", `Notification rule with id [${id}] is not found`);
}

/** Rows are written from a RuleSave only. */
function toRule(row: typeof notificationRule.$inferSelect): NotificationRule {
  const { webhookSecret, ...rule } = row;
  return { ...rule, hasSecret: webhookSecret !== null } as NotificationRule;
}
