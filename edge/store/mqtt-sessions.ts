import { and, asc, eq, inArray, or, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { KeptChanges, KeptSession, KeptSessionStore } from "../devices/mqtt-kept.ts";
import { mqttMessage, mqttSession } from "./schema.ts";

/** Rows of one statement. */
const ROWS_MAX = 500;

/** Sessions of MQTT in the edge's database. Every function throws AppError DATABASE_UNAVAILABLE while it is down. */
export function createMqttSessions(db: Queryable): KeptSessionStore {
  return {
    readAll: () =>
      orDatabaseError(
        (async () => {
          const rows = await db.select().from(mqttSession);
          const messages = await db
            .select({
              deviceId: mqttMessage.deviceId,
              seq: mqttMessage.seq,
              bytes: sql<number>`octet_length(${mqttMessage.payload})`,
            })
            .from(mqttMessage)
            .orderBy(asc(mqttMessage.deviceId), asc(mqttMessage.seq));
          return {
            sessions: rows.map(toSession),
            messages: messages.map((row) => ({ ...row, deviceId: row.deviceId as Uuid })), // the column holds uuids
          };
        })(),
      ),
    readMessages: async (deviceId) => {
      const reading = db
        .select()
        .from(mqttMessage)
        .where(eq(mqttMessage.deviceId, deviceId))
        .orderBy(asc(mqttMessage.seq))
        .execute();
      return (await orDatabaseError(reading)).map((row) => ({ ...row, deviceId }));
    },
    write: (changes) => orDatabaseError(db.transaction((tx) => write(tx, changes))),
  };
}

async function write(tx: Queryable, { removed, saved, delivered, added }: KeptChanges): Promise<void> {
  if (removed.length > 0) await tx.delete(mqttSession).where(inArray(mqttSession.deviceId, [...removed]));
  for (const part of inParts(saved)) await saveSessions(tx, part);
  for (const part of inParts(delivered)) {
    const rows = part.map(({ deviceId, seq }) => and(eq(mqttMessage.deviceId, deviceId), eq(mqttMessage.seq, seq)));
    await tx.delete(mqttMessage).where(or(...rows));
  }
  for (const part of inParts(added)) await tx.insert(mqttMessage).values(part).onConflictDoNothing();
}

async function saveSessions(tx: Queryable, sessions: readonly KeptSession[]): Promise<void> {
  const rows = sessions.map(({ will, filters, unreleased, ...session }) => ({
    ...session,
    filters: [...filters],
    unreleased: [...unreleased],
    willTopic: will?.topic ?? null,
    willPayload: will?.payload ?? null,
    willDelayS: will?.delayS ?? null,
  }));
  await tx
    .insert(mqttSession)
    .values(rows)
    .onConflictDoUpdate({
      target: mqttSession.deviceId,
      set: {
        deviceName: sql`excluded.device_name`,
        isGateway: sql`excluded.is_gateway`,
        clientId: sql`excluded.client_id`,
        expiryS: sql`excluded.expiry_s`,
        filters: sql`excluded.filters`,
        unreleased: sql`excluded.unreleased`,
        sentSeq: sql`excluded.sent_seq`,
        willTopic: sql`excluded.will_topic`,
        willPayload: sql`excluded.will_payload`,
        willDelayS: sql`excluded.will_delay_s`,
      },
    });
}

function toSession(row: typeof mqttSession.$inferSelect): KeptSession {
  const { willTopic, willPayload, willDelayS, ...session } = row;
  return {
    ...session,
    deviceId: row.deviceId as Uuid, // the column holds uuids
    filters: row.filters as KeptSession["filters"], // written from a KeptSession, as the next
    unreleased: row.unreleased as KeptSession["unreleased"],
    will:
      willTopic === null
        ? null
        : { topic: willTopic, payload: willPayload ?? new Uint8Array(), delayS: willDelayS ?? 0 },
  };
}

function* inParts<T>(rows: readonly T[]): Generator<T[]> {
  for (let at = 0; at < rows.length; at += ROWS_MAX) yield rows.slice(at, at + ROWS_MAX);
}
