import { createClient } from "../../shared/ui/api/client.ts";
import type { Operations } from "../../shared/ui/api/edge.gen.ts";
import { startApp } from "../../shared/ui/kit/app.tsx";
import "../../shared/ui/kit/style.css";
import { text } from "../../shared/ui/text/en.ts";
import { ApiContext } from "./api.ts";
import { PAGES } from "./pages.ts";

startApp((session) => {
  const client = createClient<Operations>(session, text.error.unreachable);
  return {
    subtitle: text.site.subtitle,
    pages: PAGES,
    readUser: () => client.call("GET /api/auth/user"),
    wrap: (children) => <ApiContext.Provider value={client}>{children}</ApiContext.Provider>,
  };
});
