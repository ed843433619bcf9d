import type { JSX } from "preact";
import type { CloudEvent } from "../../../shared/ui/api/edge.gen.ts";
import { formatCount } from "../../../shared/ui/kit/format.ts";
import { Ago, Card, Failure, PageHead, Segments, State, type Tone } from "../../../shared/ui/kit/parts.tsx";
import { useRouter } from "../../../shared/ui/kit/router.tsx";
import { Table, useListState, type Column } from "../../../shared/ui/kit/table.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";

const TONES: Readonly<Record<CloudEvent["state"], Tone>> = {
  queued: "idle",
  sent: "calm",
  transferred: "good",
  failed: "bad",
};

export function EventsPage(): JSX.Element {
  const api = useApi();
  const router = useRouter();
  const list = useListState("createdTime", "DESC");
  const isTelemetry = router.query["lane"] === "telemetry";
  const t = text.events;
  const events = useLive(
    JSON.stringify({ ...list, isTelemetry }),
    async () => {
      const page = isTelemetry
        ? await api.call("GET /api/edge/events/timeseries", { query: list })
        : await api.call("GET /api/edge/events", { query: list });
      return { ...page, readMs: Date.now() };
    },
    { everyMs: 1_500 },
  );
  const nowMs = events.data?.readMs ?? 0;
  const columns: readonly Column<CloudEvent>[] = [
    { title: t.seq, isNumber: true, show: ({ seqId }) => seqId },
    { title: t.made, sort: "createdTime", show: ({ createdTime }) => <Ago ms={createdTime} nowMs={nowMs} /> },
    {
      title: t.what,
      show: ({ action, entityBody, entityId, type }) => (
        <>
          {entityBody === null ? `${words(type)}: ${words(action)}` : t.batch(formatCount(entityBody.count))}
          {entityId === null ? null : <span class="sub mono">{entityId}</span>}
        </>
      ),
    },
    {
      title: t.state,
      show: ({ state, reason }) => (
        <>
          <State tone={TONES[state]}>{t.states[state]}</State>
          {reason === null ? null : <span class="sub">{reason}</span>}
        </>
      ),
    },
  ];
  return (
    <>
      <PageHead title={t.title} about={t.about} />
      <Segments
        label={t.lane}
        value={isTelemetry ? "telemetry" : "config"}
        options={Object.entries(t.lanes)}
        onChange={(lane) => router.set({ lane: lane === "telemetry" ? lane : undefined, page: undefined })}
      />
      <Failure error={events.error} />
      <Card isFlush>
        <Table
          label={t.title}
          columns={columns}
          keyOf={({ id }) => id.id}
          page={events.data}
          list={list}
          empty={<p>{t.none}</p>}
        />
      </Card>
    </>
  );
}

function words(name: string): string {
  return name.replaceAll("_", " ").toLowerCase();
}
