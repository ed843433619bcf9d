import type { RestApp } from "./app.ts";

export interface HealthDeps {
  /** Why the program can't do its job now; null: it can. */
  readonly notReady: () => Promise<string | null>;
}

/**
 * /healthz: the process answers (a supervisor restarts it when it does not). /readyz: it can do its job (a balancer sends requests).
 * Neither needs a token.
 */
export function addHealthRoutes({ hono }: Pick<RestApp, "hono">, { notReady }: HealthDeps): void {
  hono.get("/healthz", (c) => c.json({ status: "ok" }));
  hono.get("/readyz", async (c) => {
    const reason = await notReady();
    return reason === null ? c.json({ status: "ready" }) : c.json({ status: "not ready", reason }, 503);
  });
}
