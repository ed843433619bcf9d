import { AsyncLocalStorage } from "node:async_hooks";
import type { Principal } from "../rest/principal.ts";

/** For whom the program works at the moment; followed through everything that is awaited. */
export interface CallerScope {
  run<T>(caller: Principal, work: () => Promise<T>): Promise<T>;
  /** null: for nobody, but by itself or for an edge. */
  current(): Principal | null;
}

export function createCallerScope(): CallerScope {
  const storage = new AsyncLocalStorage<Principal>();
  return { run: (caller, work) => storage.run(caller, work), current: () => storage.getStore() ?? null };
}
