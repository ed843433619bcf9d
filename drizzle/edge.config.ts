import type { Config } from "drizzle-kit";

// drizzle-kit asks for a default export.
export default {
  dialect: "postgresql",
  schema: ["./shared/store/tables.ts", "./edge/store/schema.ts"],
  out: "./drizzle/edge",
} satisfies Config;
