import { and, eq, sql } from "drizzle-orm";
import { z } from "zod";
import type { Uuid } from "../../shared/core/ids.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeReport } from "../../shared/sync/edge-report.ts";
import { deletedEdge, edge, edgeReport } from "./schema.ts";

// What edges tell of themselves, and what became of their attempts to connect: for people, not for the protocol.

export interface SessionReport {
  readonly edgeId: Uuid;
  readonly session: number;
  readonly report: EdgeReport;
  /** When it arrived. */
  readonly nowMs: number;
}

export interface KeptReport extends EdgeReport {
  readonly session: number;
  readonly reportedMs: number;
}

/** Keeps the newest report of each edge, without effect for a session that is not the newest of its edge. */
export async function saveReports(db: Queryable, reports: readonly SessionReport[]): Promise<void> {
  const column = (type: "uuid" | "bigint" | "text", of: (report: SessionReport) => string | number) =>
    arrayParam(reports.map(of), type);
  await db.execute(sql`
    insert into edge_report as kept (edge_id, session, reported_ms, body)
    select n.edge_id, n.session, n.reported_ms, n.body::json
    from unnest(
      ${column("uuid", ({ edgeId }) => edgeId)}, ${column("bigint", ({ session }) => session)},
      ${column("bigint", ({ nowMs }) => Math.round(nowMs))}, ${column("text", ({ report }) => JSON.stringify(report))}
    ) as n (edge_id, session, reported_ms, body)
    join edge_sync s on s.edge_id = n.edge_id and s.session = n.session
    order by n.edge_id
    on conflict (edge_id) do update
      set session = excluded.session, reported_ms = excluded.reported_ms, body = excluded.body
      where kept.session <= excluded.session`);
}

/** As saveReports writes it; members that an older version did not have get what is harmless. */
const bodySchema = z.object({
  wallClockMs: z.number(),
  lanes: z.array(
    z.object({
      lane: z.enum(["config", "telemetry"]),
      items: z.number(),
      bytes: z.number().nullable(),
      oldestMs: z.number().nullable(),
    }),
  ),
  parkedItems: z.number().default(0),
  quota: z.enum(["ok", "thinning", "full"]).default("ok"),
  state: z.string(),
  stateForMs: z.number(),
  thinned: z
    .array(
      z.object({
        key: z.string(),
        came: z.number(),
        sent: z.number(),
        cameBytes: z.number(),
        sentBytes: z.number(),
      }),
    )
    .default([]),
});

export function parseReport(
  row: Pick<typeof edgeReport.$inferSelect, "session" | "reportedMs" | "body"> | null,
): KeptReport | null {
  if (row === null || row.reportedMs === null) return null;
  const body = bodySchema.safeParse(row.body);
  return body.success ? { ...body.data, session: row.session, reportedMs: row.reportedMs } : null;
}

/** Between two refusals of one edge that are written down: an edge that is refused comes again and again. */
const REFUSAL_INTERVAL_MS = 5_000;
const REFUSAL_TEXT_MAX = 500;

export interface Refusal {
  readonly code: string;
  readonly text: string;
  readonly nowMs: number;
}

/** Writes down that somebody who names this edge was not let in. */
export async function noteRefusal(
  db: Queryable,
  who: { readonly edgeId: Uuid } | { readonly routingKey: string },
  { code, text, nowMs }: Refusal,
): Promise<void> {
  const atMs = Math.round(nowMs);
  const refused = { refusedCode: code.slice(0, 64), refusedText: text.slice(0, REFUSAL_TEXT_MAX), refusedMs: atMs };
  const [found] = await db
    .select({ id: edge.id })
    .from(edge)
    .where("edgeId" in who ? eq(edge.id, who.edgeId) : eq(edge.routingKey, who.routingKey));
  if (found === undefined) return;
  const isDue = sql`coalesce(${edgeReport.refusedMs}, 0) <= ${atMs - REFUSAL_INTERVAL_MS}::bigint
    or ${edgeReport.refusedCode} is distinct from ${refused.refusedCode}`;
  await db
    .insert(edgeReport)
    .values({ edgeId: found.id, ...refused })
    .onConflictDoUpdate({ target: edgeReport.edgeId, set: refused, setWhere: isDue });
}

/** Whether these are the credentials of an edge that was deleted. */
export async function isDeletedEdge(db: Queryable, routingKey: string, secretHash: string): Promise<boolean> {
  const rows = await db
    .select({ deletedMs: deletedEdge.deletedMs })
    .from(deletedEdge)
    .where(and(eq(deletedEdge.routingKey, routingKey), eq(deletedEdge.secretHash, secretHash)));
  return rows.length > 0;
}
