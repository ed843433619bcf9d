import type { Config } from "drizzle-kit";

// drizzle-kit asks for a default export.
export default {
  dialect: "postgresql",
  schema: [
    "./shared/store/tables.ts",
    "./shared/store/alarm-tables.ts",
    "./shared/store/notification-tables.ts",
    "./shared/store/relation-tables.ts",
    "./shared/store/rpc-tables.ts",
    "./shared/store/backfill-tables.ts",
    "./shared/store/audit-tables.ts",
    "./edge/store/schema.ts",
  ],
  // The check for drift lets drizzle-kit write into a copy of the history.
  out: process.env["SKERRY_DRIZZLE_OUT"] ?? "./drizzle/edge",
} satisfies Config;
