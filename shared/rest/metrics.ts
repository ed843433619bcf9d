import type { Metrics } from "../observe/metrics.ts";
import type { RestApp } from "./app.ts";

/** /metrics in the text format of Prometheus. Needs no token: it holds counts only, and who must not see them must not reach the port. */
export function addMetricsRoute({ hono }: Pick<RestApp, "hono">, metrics: Metrics): void {
  hono.get("/metrics", async (c) => c.body(await metrics.render(), 200, { "content-type": metrics.contentType }));
}
