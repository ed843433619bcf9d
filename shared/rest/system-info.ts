import * as z from "zod";
import { EVERY_ROLE, type RouteTable } from "./route.ts";

export function addSystemInfoRoute(
  routes: RouteTable,
  { artifact, version }: { readonly artifact: "skerry-cloud" | "skerry-edge"; readonly version: string },
): void {
  routes.add(
    {
      method: "get",
      path: "/api/system/info",
      tag: "System",
      summary: "What this program is",
      access: EVERY_ROLE,
      answer: z.object({ version: z.string(), artifact: z.string(), name: z.string(), type: z.string() }),
    },
    () => Promise.resolve({ version, artifact, name: "Skerry", type: "CE" }),
  );
}
