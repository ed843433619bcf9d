import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { EdgeInfo } from "../../../shared/ui/api/cloud.gen.ts";
import { formatCount, formatDuration } from "../../../shared/ui/kit/format.ts";
import { Ago, Button, Card, Choice, Failure, PageHead, State } from "../../../shared/ui/kit/parts.tsx";
import { Link, useRouter } from "../../../shared/ui/kit/router.tsx";
import { SyncStateBadge } from "../../../shared/ui/kit/sync-state.tsx";
import { SearchField, Table, useListState, type Column } from "../../../shared/ui/kit/table.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";
import { AddEdge } from "./add-edge.tsx";

type Presence = EdgeInfo["status"]["state"];

const PRESENCES: readonly Presence[] = ["connected", "disconnected", "new"];

export function EdgesPage(): JSX.Element {
  const api = useApi();
  const router = useRouter();
  const list = useListState("name", "ASC");
  const presence = PRESENCES.find((known) => known === router.query["state"]);
  const [isAdding, setAdding] = useState(false);
  const edges = useLive(JSON.stringify({ ...list, presence }), async () => {
    const page = await api.call("GET /api/tenant/edgeInfos", { query: { ...list, presence } });
    return { ...page, readMs: Date.now() };
  });
  const t = text.edges;
  const isFiltered = list.textSearch !== "" || presence !== undefined;
  return (
    <>
      <PageHead title={t.title} about={t.about}>
        <Button kind="main" onClick={() => setAdding(true)}>
          {t.add}
        </Button>
      </PageHead>
      <div class="row">
        <SearchField label={t.search} />
        <Choice
          label={t.filter}
          value={presence ?? ""}
          options={[["", t.all], ...PRESENCES.map((name) => [name, text.presence[name]] as const)]}
          onChange={(state) => router.set({ state, page: undefined })}
        />
      </div>
      <Failure error={edges.error} />
      <Card isFlush>
        <Table
          label={t.title}
          columns={columns(edges.data?.readMs ?? 0)}
          keyOf={({ id }) => id.id}
          page={edges.data}
          list={list}
          empty={
            isFiltered ? (
              <p>{t.none}</p>
            ) : (
              <>
                <p>{t.noneYet}</p>
                <Button kind="main" onClick={() => setAdding(true)}>
                  {t.add}
                </Button>
              </>
            )
          }
        />
      </Card>
      {isAdding ? <AddEdge onClose={() => setAdding(false)} onAdded={edges.refresh} /> : null}
    </>
  );
}

function columns(nowMs: number): readonly Column<EdgeInfo>[] {
  const t = text.edges;
  return [
    {
      title: t.name,
      sort: "name",
      show: ({ id, name, label }) => (
        <>
          <Link to={`/edges/${id.id}`} class="cell-main">
            {name}
          </Link>
          {label === null || label === "" ? null : <span class="sub">{label}</span>}
        </>
      ),
    },
    { title: t.state, show: ({ status }) => <EdgeState status={status} /> },
    { title: t.version, show: ({ status }) => status.edgeVersion ?? text.format.none },
    { title: t.backlog, isNumber: true, show: ({ status }) => showBacklog(status) },
    { title: t.lag, isNumber: true, show: ({ status }) => showLag(status) },
    { title: t.lastSeen, show: ({ status }) => <Ago ms={status.lastSeenTime} nowMs={nowMs} /> },
    { title: t.skew, show: ({ status: { clockSkewMs } }) => showSkew(clockSkewMs) },
    { title: t.added, sort: "createdTime", show: ({ createdTime }) => <Ago ms={createdTime} nowMs={nowMs} /> },
  ];
}

/** The state of sync says more than the connection, where there is one. */
export function EdgeState({ status }: { readonly status: EdgeInfo["status"] }): JSX.Element {
  if (status.sync !== null) return <SyncStateBadge state={status.sync.state} />;
  return <State tone="idle">{text.presence[status.state]}</State>;
}

function showBacklog({ sync }: EdgeInfo["status"]): string {
  if (sync === null || sync.reportedTime === null) return text.format.none;
  return formatCount(sync.backlog.reduce((sum, { items }) => sum + items, 0));
}

function showLag({ sync }: EdgeInfo["status"]): string {
  return sync === null || sync.lagMs === null ? text.format.none : formatDuration(sync.lagMs);
}

/** Less is the way of the message, not the clock. */
const SKEW_SHOWN_MS = 100;

export function showSkew(skewMs: number | null): string {
  if (skewMs === null) return text.format.none;
  if (Math.abs(skewMs) < SKEW_SHOWN_MS) return text.edges.exact;
  const duration = formatDuration(skewMs);
  return skewMs < 0 ? text.edges.behind(duration) : text.edges.ahead(duration);
}
