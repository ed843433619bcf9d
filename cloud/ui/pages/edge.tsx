import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { PageParams } from "../../../shared/ui/kit/app.tsx";
import { Card, Facts, Failure, Notice, PageHead, Ago } from "../../../shared/ui/kit/parts.tsx";
import { Link, useRouter } from "../../../shared/ui/kit/router.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";
import { EdgeActions } from "./edge-actions.tsx";
import { EdgeDevices } from "./edge-devices.tsx";
import { EdgeDownlinks } from "./edge-downlinks.tsx";
import type { EdgeTabProps } from "./edge-tab.ts";
import { EdgeUplink } from "./edge-uplink.tsx";
import { EdgeState, showSkew } from "./edges.tsx";

/** A tab: a file of its own, and a line here. */
const TABS = [
  { name: "details", title: text.edge.tabs.details, View: EdgeDetails },
  { name: "downlinks", title: text.edge.tabs.downlinks, View: EdgeDownlinks },
  { name: "uplink", title: text.edge.tabs.uplink, View: EdgeUplink },
  { name: "devices", title: text.edge.tabs.devices, View: EdgeDevices },
] as const;

export function EdgePage({ params }: PageParams): JSX.Element {
  const api = useApi();
  const { query } = useRouter();
  const edgeId = params["edgeId"] ?? "";
  const [newSecret, setNewSecret] = useState<string | null>(null);
  const live = useLive(
    edgeId,
    async () => ({ edge: await api.call("GET /api/edge/info/{edgeId}", { path: { edgeId } }), nowMs: Date.now() }),
    { everyMs: 2_000 },
  );
  const tab = TABS.find(({ name }) => name === query["tab"]) ?? TABS[0];
  if (live.data === undefined) return <Failure error={live.error} />;
  const { edge, nowMs } = live.data;
  return (
    <>
      <PageHead
        title={edge.name}
        above={<Link to="/edges">{text.edges.title}</Link>}
        about={
          <span class="row">
            <EdgeState status={edge.status} />
            {edge.label ?? ""}
          </span>
        }
      >
        <EdgeActions edge={edge} onChange={live.refresh} onSecret={setNewSecret} />
      </PageHead>
      <Failure error={live.error} />
      {newSecret === null ? null : (
        <Notice tone="calm">
          <span>{text.edge.rotated}</span>
          <code>{newSecret}</code>
        </Notice>
      )}
      {edge.status.warning === "CLONED" ? <Notice tone="warn">{text.edge.cloned}</Notice> : null}
      <nav class="tabs" aria-label={edge.name}>
        {TABS.map(({ name, title }) => (
          <Link key={name} to={`/edges/${edgeId}?tab=${name}`} current={name === tab.name ? "page" : undefined}>
            {title}
          </Link>
        ))}
      </nav>
      <tab.View key={tab.name} edge={edge} nowMs={nowMs} />
    </>
  );
}

function EdgeDetails({ edge, nowMs }: EdgeTabProps): JSX.Element {
  const t = text.edge.facts;
  const { status } = edge;
  return (
    <div class="columns">
      <Card title={text.edge.now}>
        <Facts
          rows={[
            [t.state, <EdgeState key="state" status={status} />],
            [t.since, <Ago key="since" ms={status.sync?.sinceTime ?? null} nowMs={nowMs} />],
            [t.lastSeen, <Ago key="seen" ms={status.lastSeenTime} nowMs={nowMs} />],
            [t.version, status.edgeVersion ?? text.format.none],
            [t.skew, showSkew(status.clockSkewMs)],
            [t.notice, status.notice?.text ?? text.format.none],
          ]}
        />
        {(status.sync?.reasons ?? []).map(({ code, text: reason, detail }) => (
          <p key={code} class="small">
            <strong>{text.syncState[code]}.</strong> {reason} {detail === null ? "" : <code>{detail}</code>}
          </p>
        ))}
      </Card>
      <Card title={text.edge.record}>
        <Facts
          rows={[
            [t.type, edge.type],
            [t.label, edge.label ?? text.format.none],
            [t.customer, edge.customerTitle ?? text.format.none],
            [t.id, <code key="id">{edge.id.id}</code>],
            [t.key, <code key="key">{edge.routingKey}</code>],
            [t.created, <Ago key="created" ms={edge.createdTime} nowMs={nowMs} />],
          ]}
        />
      </Card>
    </div>
  );
}
