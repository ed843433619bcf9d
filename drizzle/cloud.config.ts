import type { Config } from "drizzle-kit";

// drizzle-kit asks for a default export.
export default {
  dialect: "postgresql",
  schema: ["./shared/store/tables.ts", "./cloud/store/schema.ts"],
  out: "./drizzle/cloud",
} satisfies Config;
