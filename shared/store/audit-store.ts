import { and, eq, gte, ilike, inArray, lte, sql, type SQL } from "drizzle-orm";
import type { Clock } from "../core/clock.ts";
import { NULL_UUID, type Uuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import type { Json } from "../entities/entity-record.ts";
import { auditLog } from "./audit-tables.ts";
import { containsPattern, type Page, type PageRequest } from "./entity-store.ts";
import { readTablePage } from "./table-page.ts";
import { appUser } from "./tables.ts";
import type { Queryable, UnitOfWork } from "./unit-of-work.ts";

// Who changed what. A transaction that works for a caller says so to the database (`withCaller`); triggers on the tables write what was
// before and after beside the change. What a table has that nobody may read is left out there (audit_shown in the migration).

export interface AuditCaller {
  readonly userId: Uuid;
  readonly tenantId: Uuid;
}

/** The same database, whose transactions are of the caller of the moment. Statements outside of a transaction are nobody's. */
export function withCaller(
  db: Queryable,
  { clock, current }: { readonly clock: Clock; readonly current: () => AuditCaller | null },
): Queryable {
  const begin: Queryable["transaction"] = (work, config) => {
    const caller = current();
    if (caller === null || config?.accessMode === "read only") return db.transaction(work, config);
    const setting = settingOf(caller, clock);
    return db.transaction(async (tx) => {
      await tx.execute(sql`select set_config('skerry.caller', ${setting}, true)`);
      return work(tx);
    }, config);
  };
  // Everything else is the database's own.
  return Object.create(db, { transaction: { value: begin } }) as Queryable;
}

/** The same for works that share transactions with those of others. */
export function withCallerWork(
  unitOfWork: UnitOfWork,
  { clock, current }: { readonly clock: Clock; readonly current: () => AuditCaller | null },
): UnitOfWork {
  return {
    run: (work) => {
      const caller = current();
      if (caller === null) return unitOfWork.run(work);
      const setting = settingOf(caller, clock);
      return unitOfWork.run(async (tx) => {
        await tx.execute(sql`select set_config('skerry.caller', ${setting}, true)`);
        const outcome = await work(tx);
        await endAudit(tx);
        return outcome;
      });
    },
  };
}

function settingOf({ userId, tenantId }: AuditCaller, clock: Clock): string {
  return JSON.stringify({ userId, tenantId, nowMs: Math.round(clock.nowMs()) });
}

/** From here to its end the transaction is nobody's: for what would be a row for each of a thousand rows. */
export async function endAudit(tx: Queryable): Promise<void> {
  await tx.execute(sql`select set_config('skerry.caller', '', true)`);
}

export interface AuditEntry {
  readonly id: Uuid;
  readonly createdMs: number;
  readonly tenantId: Uuid;
  readonly customerId: Uuid | null;
  readonly entityType: string;
  readonly entityId: Uuid;
  readonly entityName: string | null;
  readonly userId: Uuid;
  readonly userName: string;
  readonly actionType: string;
  readonly actionData: { readonly [key: string]: Json };
  /** What the caller was told of a failure; empty: it succeeded. */
  readonly failure: string;
}

/** For what no row of a table tells. */
export async function writeAudit(db: Queryable, entry: Omit<AuditEntry, "id">): Promise<void> {
  const { createdMs, failure, ...fields } = entry;
  const actionStatus = failure === "" ? "SUCCESS" : "FAILURE";
  await db
    .insert(auditLog)
    .values({ ...fields, createdMs: Math.round(createdMs), actionStatus, actionFailure: failure });
}

/** Longer data is told by its size. */
const DATA_LENGTH_MAX = 65_536;

export interface AuditedData {
  readonly actionType: string;
  /** A JSON object. */
  readonly data: string;
  /** Whose tenant, customer and name the entry has. */
  readonly entityId: Uuid;
  /** What it is about. @default that entity itself */
  readonly of?: EntityRef | undefined;
}

/** Notes for the transaction's caller, if it has one, what happened to the telemetry of an entity, or what was asked of it. */
export async function auditTelemetry(tx: Queryable, { actionType, data, entityId, of }: AuditedData): Promise<void> {
  const shown = data.length <= DATA_LENGTH_MAX ? data : JSON.stringify({ bytes: data.length });
  await tx.execute(sql`
    insert into audit_log
      (created_ms, tenant_id, customer_id, entity_type, entity_id, entity_name, user_id, user_name, action_type, action_data)
    select (c.caller ->> 'nowMs')::bigint, e.tenant_id, e.customer_id,
      coalesce(${of?.type ?? null}::text, e.type), coalesce(${of?.id ?? null}::uuid, e.id), e.name, (c.caller ->> 'userId')::uuid,
      coalesce((select email from app_user u where u.id = (c.caller ->> 'userId')::uuid), ''), ${actionType}, ${shown}::json
    from (select nullif(current_setting('skerry.caller', true), '')::jsonb as caller) c join alarm_originator e on e.id = ${entityId}::uuid
    where c.caller is not null`);
}

export interface FailedAttempt {
  readonly createdMs: number;
  readonly userId: Uuid;
  readonly tenantId: Uuid;
  readonly entityType: string;
  /** null: nothing that was there. */
  readonly entityId: Uuid | null;
  /** As the caller named it; null: as it is called. */
  readonly entityName: string | null;
  readonly actionType: string;
  readonly failure: string;
  readonly actionData: AuditEntry["actionData"];
}

/** The name and the customer are looked up in the caller's tenant only: what is another's shows as its id. */
export async function writeFailure(db: Queryable, attempt: FailedAttempt): Promise<void> {
  const { entityId, entityName, tenantId, userId, ...fields } = attempt;
  const [found] = await db.execute<{ name: string; customer_id: Uuid | null }>(sql`
    select name, customer_id from alarm_originator
    where id = ${entityId}::uuid and tenant_id = ${tenantId}::uuid and type <> 'TENANT'`);
  const [user] = await db.select({ email: appUser.email }).from(appUser).where(eq(appUser.id, userId));
  await writeAudit(db, {
    ...fields,
    tenantId,
    userId,
    userName: user?.email ?? "",
    customerId: found?.customer_id ?? null,
    entityId: entityId ?? NULL_UUID,
    entityName: found?.name ?? entityName,
  });
}

export interface AuditFilter {
  readonly tenantId: Uuid;
  readonly customerId?: Uuid;
  readonly userId?: Uuid;
  readonly entityType?: string;
  readonly entityId?: Uuid;
  readonly actionTypes?: readonly string[] | undefined;
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listAudit(db: Queryable, filter: AuditFilter, page: PageRequest): Promise<Page<AuditEntry>> {
  const where = conditionOf(filter, page);
  const sortable = {
    "": auditLog.createdMs,
    createdTime: auditLog.createdMs,
    id: auditLog.id,
    entityType: auditLog.entityType,
    entityName: auditLog.entityName,
    userName: auditLog.userName,
    actionType: auditLog.actionType,
    actionStatus: auditLog.actionStatus,
    actionFailureDetails: auditLog.actionFailure,
  };
  return await readTablePage(db, { table: auditLog, where, key: auditLog.seq, sortable, toItem: toEntry }, page);
}

function conditionOf(filter: AuditFilter, page: PageRequest): SQL | undefined {
  const { tenantId, customerId, userId, entityType, entityId, actionTypes } = filter;
  const { startTime, endTime, textSearch } = page;
  return and(
    eq(auditLog.tenantId, tenantId),
    customerId === undefined ? undefined : eq(auditLog.customerId, customerId),
    userId === undefined ? undefined : eq(auditLog.userId, userId),
    entityType === undefined ? undefined : eq(auditLog.entityType, entityType),
    entityId === undefined ? undefined : eq(auditLog.entityId, entityId),
    actionTypes === undefined ? undefined : inArray(auditLog.actionType, [...actionTypes]),
    startTime === undefined ? undefined : gte(auditLog.createdMs, startTime),
    endTime === undefined ? undefined : lte(auditLog.createdMs, endTime),
    textSearch === undefined || textSearch === "" ? undefined : ilike(auditLog.entityName, containsPattern(textSearch)),
  );
}

/** Removed in one statement, which holds no locks for long. */
const REMOVED_AT_ONCE = 10_000;

/** @returns how many entries of before `beforeMs` were removed */
export async function removeOldAudit(db: Queryable, beforeMs: number): Promise<number> {
  for (let removed = 0; ;) {
    const rows = await db.execute(sql`
      delete from audit_log where id in (
        select id from audit_log where created_ms < ${Math.round(beforeMs)}::bigint limit ${REMOVED_AT_ONCE}) returning 1`);
    removed += rows.length;
    if (rows.length < REMOVED_AT_ONCE) return removed;
  }
}

/** @returns how many entries were removed, so that the newest `kept` stay */
export async function keepNewestAudit(db: Queryable, kept: number): Promise<number> {
  const rows = await db.execute(sql`
    delete from audit_log where seq <= (select max(seq) from audit_log) - ${kept}::bigint returning 1`);
  return rows.length;
}

function toEntry(row: typeof auditLog.$inferSelect): AuditEntry {
  return {
    ...row,
    id: row.id as Uuid, // columns written from Uuids, and an AuditEntry
    tenantId: row.tenantId as Uuid,
    customerId: (row.customerId ?? NULL_UUID) as Uuid,
    entityId: row.entityId as Uuid,
    userId: row.userId as Uuid,
    actionData: row.actionData as AuditEntry["actionData"],
    failure: row.actionFailure,
  };
}
