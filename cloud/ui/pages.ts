import type { Page } from "../../shared/ui/kit/app.tsx";
import { text } from "../../shared/ui/text/en.ts";
import { EdgePage } from "./pages/edge.tsx";
import { EdgesPage } from "./pages/edges.tsx";
import { FleetPage } from "./pages/fleet.tsx";

const access = ["TENANT_ADMIN"] as const;

/** All pages of the cloud. */
export const PAGES: readonly Page[] = [
  { path: "/", access, nav: { label: text.fleet.nav, icon: "fleet" }, View: FleetPage },
  { path: "/edges", access, nav: { label: text.edges.nav, icon: "edges" }, View: EdgesPage },
  { path: "/edges/:edgeId", access, View: EdgePage },
];
