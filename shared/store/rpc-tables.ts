import { sql } from "drizzle-orm";
import { bigint, boolean, index, json, pgTable, text, uuid } from "drizzle-orm/pg-core";

const timeMs = (name: string) => bigint(name, { mode: "number" }).notNull();

/** Requests to devices, on both ends. Whose they are is said by the device's row in `entity`. */
export const rpc = pgTable(
  "rpc",
  {
    id: uuid("id").primaryKey(),
    deviceId: uuid("device_id").notNull(),
    isPersistent: boolean("is_persistent").notNull(),
    /** The newest of its steps. */
    status: text("status").notNull(),
    /** Something may happen to it yet. */
    isOpen: boolean("is_open").notNull(),
    createdMs: timeMs("created_ms"),
    expirationMs: timeMs("expiration_ms"),
    /** When it expires, on the clock of this side; null: the side that made it says so. */
    deadlineMs: bigint("deadline_ms", { mode: "number" }),
    /** Edge: under which number the device knows it; null: it was not sent yet. */
    requestNumber: bigint("request_number", { mode: "number" }),
    updatedMs: timeMs("updated_ms"),
    /** An RpcRecord (shared/entities/rpc.ts). */
    body: json("body").notNull(),
  },
  (table) => [
    index("rpc_by_device").on(table.deviceId, table.createdMs),
    index("rpc_by_deadline")
      .on(table.deadlineMs)
      .where(sql`${table.isOpen}`),
    index("rpc_by_age").on(table.updatedMs),
  ],
);
