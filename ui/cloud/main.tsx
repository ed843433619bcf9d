import { createClient } from "../api/client.ts";
import type { Operations } from "../api/cloud.gen.ts";
import { startApp } from "../kit/app.tsx";
import "../kit/style.css";
import { text } from "../text/en.ts";
import { ApiContext } from "./api.ts";
import { PAGES } from "./pages.ts";

startApp((session) => {
  const client = createClient<Operations>(session, text.error.unreachable);
  return {
    subtitle: text.cloud.subtitle,
    pages: PAGES,
    readUser: () => client.call("GET /api/auth/user"),
    wrap: (children) => <ApiContext.Provider value={client}>{children}</ApiContext.Provider>,
  };
});
