import type { Page } from "../../shared/ui/kit/app.tsx";
import { text } from "../../shared/ui/text/en.ts";
import { DevicesPage } from "./pages/devices.tsx";
import { EventsPage } from "./pages/events.tsx";
import { StatusPage } from "./pages/status.tsx";

const access = ["TENANT_ADMIN", "CUSTOMER_USER"] as const;
const { nav } = text.site;

/** All pages of an edge. `/status` is the API's. */
export const PAGES: readonly Page[] = [
  { path: "/", access, nav: { label: nav.status, icon: "status" }, View: StatusPage },
  { path: "/events", access, nav: { label: nav.events, icon: "events" }, View: EventsPage },
  { path: "/devices", access: ["TENANT_ADMIN"], nav: { label: nav.devices, icon: "devices" }, View: DevicesPage },
];
