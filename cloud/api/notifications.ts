import * as z from "zod";
import { isUuid, type Uuid } from "../../shared/core/ids.ts";
import { ALARM_SEVERITIES } from "../../shared/entities/alarm.ts";
import { idInput, nameInput, pageSchema } from "../../shared/entities/fields.ts";
import { ALARM_TRANSITIONS, NOTIFICATION_STATES } from "../../shared/entities/notification.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { listNotifications } from "../../shared/store/notification-store.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { noteSettingsChange } from "../store/edge-settings.ts";
import {
  deleteNotificationRule,
  getNotificationRule,
  listNotificationRules,
  saveNotificationRule,
  type NotificationRule,
} from "../store/notification-rule-store.ts";

const tag = "Notifications";
const LIST_MAX = 100;
const SECRET_LENGTH = { min: 16, max: 255 };

const uuidText = z
  .string()
  .refine(isUuid, { error: "Invalid UUID string" })
  .transform((id) => id.toLowerCase() as Uuid);

function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(item).min(1).max(LIST_MAX).nullish();
}

const webUrl = z
  .string()
  .max(2_000)
  .refine((text) => isWebUrl(text), { error: "Webhook url should be an http or https address without credentials!" });

const targetInput = z.discriminatedUnion("type", [
  z.object({ type: z.literal("EMAIL"), to: z.array(z.email()).min(1).max(LIST_MAX) }),
  z.object({
    type: z.literal("WEBHOOK"),
    url: webUrl,
    secret: z
      .string()
      .min(SECRET_LENGTH.min)
      .max(SECRET_LENGTH.max)
      .nullish()
      .meta({ description: "Signs the body; never shown. Absent: as it is" }),
  }),
]);

const ruleInput = z
  .object({
    id: idInput.nullish(),
    name: nameInput("Notification rule"),
    enabled: z.boolean().default(true),
    transitions: z.array(z.enum(ALARM_TRANSITIONS)).min(1).max(ALARM_TRANSITIONS.length),
    severities: listOf(z.enum(ALARM_SEVERITIES)),
    alarmTypes: listOf(z.string().min(1).max(255)),
    deviceProfileIds: listOf(uuidText),
    entityIds: listOf(uuidText),
    target: targetInput,
    fromEdges: z
      .boolean()
      .default(false)
      .meta({ description: "Edges without a link tell by it themselves; they get its target, secret included" }),
  })
  .meta({ id: "NotificationRuleInput" });

const ruleIdSchema = z.object({ entityType: z.literal("NOTIFICATION_RULE"), id: z.uuid() });

const ruleSchema = z
  .object({
    id: ruleIdSchema,
    createdTime: z.int(),
    name: z.string(),
    enabled: z.boolean(),
    transitions: z.array(z.string()),
    severities: z.array(z.string()).nullable().meta({ description: "null, here and below: any" }),
    alarmTypes: z.array(z.string()).nullable(),
    deviceProfileIds: z.array(z.string()).nullable(),
    entityIds: z.array(z.string()).nullable(),
    target: z.looseObject({ type: z.string() }),
    fromEdges: z.boolean(),
  })
  .meta({ id: "NotificationRule" });

const deliverySchema = z
  .object({
    id: z.uuid().meta({ description: "webhook-id, and in the Message-ID of a mail" }),
    ruleId: z.uuid(),
    alarmId: z.uuid(),
    alarmType: z.string(),
    severity: z.string(),
    transition: z.string(),
    state: z.enum(NOTIFICATION_STATES),
    attempts: z.int(),
    createdTime: z.int(),
    nextAttemptTs: z.int().nullable(),
    sentTs: z.int().nullable(),
    error: z.string().nullable().meta({ description: "Why the last attempt failed" }),
  })
  .meta({ id: "NotificationDelivery" });

export interface NotificationRoutesDeps extends ResourceDeps {
  readonly unitOfWork: CloudUnitOfWork;
}

/** Who is told of which alarms, and what became of it. */
export function addNotificationRoutes(routes: RouteTable, deps: NotificationRoutesDeps): void {
  addRuleReadRoutes(routes, deps);
  addRuleWriteRoutes(routes, deps);
  addDeliveryRoute(routes, deps);
}

function addRuleReadRoutes(routes: RouteTable, { db }: ResourceDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/notification/rules",
      tag,
      summary: "Rules by which people and programs are told of alarms",
      access: TENANT_ADMIN,
      query: pageQuery,
      answer: pageSchema(ruleSchema),
    },
    async ({ principal: { tenantId }, query }) =>
      mapPage(await listNotificationRules(db, tenantId, toPageRequest(query)), ruleToRest),
  );
  routes.add(
    {
      method: "get",
      path: "/api/notification/rule/{notificationRuleId}",
      tag,
      summary: "A rule",
      access: TENANT_ADMIN,
      answer: ruleSchema,
    },
    async (call) =>
      ruleToRest(
        await getNotificationRule(db, { id: call.uuid("notificationRuleId"), tenantId: call.principal.tenantId }),
      ),
  );
}

function addRuleWriteRoutes(routes: RouteTable, deps: NotificationRoutesDeps): void {
  const { unitOfWork } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/notification/rule",
      tag,
      summary: "Create or update a rule; lists that are absent stand for any",
      access: TENANT_ADMIN,
      body: ruleInput,
      answer: ruleSchema,
    },
    async ({ body, principal: { tenantId } }) => {
      const { target, ...rule } = body;
      const secret = target.type === "WEBHOOK" ? (target.secret ?? null) : null;
      const save = {
        tenantId,
        id: rule.id ?? null,
        name: rule.name,
        enabled: rule.enabled,
        transitions: rule.transitions,
        severities: rule.severities ?? null,
        alarmTypes: rule.alarmTypes ?? null,
        deviceProfileIds: rule.deviceProfileIds ?? null,
        entityIds: rule.entityIds ?? null,
        target: target.type === "WEBHOOK" ? ({ type: "WEBHOOK", url: target.url } as const) : target,
        webhookSecret: secret,
        fromEdges: rule.fromEdges,
      };
      return unitOfWork.runSettings(async (tx) => ({
        result: ruleToRest(await saveNotificationRule(tx, deps, save)),
        edgeIds: await noteSettingsChange(tx, { tenantId }),
      }));
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/notification/rule/{notificationRuleId}",
      tag,
      summary: "Delete a rule with what was to be told, or was told, by it",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const key = { id: call.uuid("notificationRuleId"), tenantId: call.principal.tenantId };
      await unitOfWork.runSettings(async (tx) => ({
        result: await deleteNotificationRule(tx, key),
        edgeIds: await noteSettingsChange(tx, key),
      }));
    },
  );
}

function addDeliveryRoute(routes: RouteTable, { db }: ResourceDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/notification/deliveries",
      tag,
      summary: "What was told, is to be told, and could not be told",
      access: TENANT_ADMIN,
      query: pageQuery.extend({ state: z.enum(NOTIFICATION_STATES).optional() }),
      answer: pageSchema(deliverySchema),
    },
    async ({ principal: { tenantId }, query }) => {
      const filter = { tenantId, state: query.state ?? null };
      const page = await listNotifications(db, filter, toPageRequest(query));
      return mapPage(page, ({ createdMs, dueMs, sentMs, ...delivery }): z.input<typeof deliverySchema> => ({
        ...delivery,
        createdTime: createdMs,
        nextAttemptTs: dueMs,
        sentTs: sentMs,
      }));
    },
  );
}

function ruleToRest(rule: NotificationRule): z.input<typeof ruleSchema> {
  const { id, name, enabled, transitions, severities, alarmTypes, deviceProfileIds, entityIds, target } = rule;
  return {
    id: { entityType: "NOTIFICATION_RULE", id },
    createdTime: rule.createdMs,
    name,
    enabled,
    transitions: [...transitions],
    severities: copy(severities),
    alarmTypes: copy(alarmTypes),
    deviceProfileIds: copy(deviceProfileIds),
    entityIds: copy(entityIds),
    fromEdges: rule.fromEdges,
    target: target.type === "WEBHOOK" ? { ...target, hasSecret: rule.hasSecret } : target,
  };
}

function copy(list: readonly string[] | null): string[] | null {
  return list === null ? null : [...list];
}

function isWebUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { hostname, password, protocol, username } = new URL(text);
  return /^https?:$/.test(protocol) && hostname !== "" && username === "" && password === "";
}
