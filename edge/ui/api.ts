import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Client } from "../../shared/ui/api/client.ts";
import type { Operations } from "../../shared/ui/api/edge.gen.ts";

export const ApiContext = createContext<Client<Operations> | null>(null);

export function useApi(): Client<Operations> {
  const client = useContext(ApiContext);
  if (client === null) throw new Error("There is no client above this component");
  return client;
}
