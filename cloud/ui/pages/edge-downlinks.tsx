import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { EdgeEvent } from "../../../shared/ui/api/cloud.gen.ts";
import { Ago, Button, Card, Choice, Dialog, Failure, State, type Tone } from "../../../shared/ui/kit/parts.tsx";
import { useRouter } from "../../../shared/ui/kit/router.tsx";
import { Table, useListState, type Column } from "../../../shared/ui/kit/table.tsx";
import { useAction } from "../../../shared/ui/kit/toasts.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";
import type { EdgeTabProps } from "./edge-tab.ts";

const TONES: Readonly<Record<EdgeEvent["state"], Tone>> = {
  queued: "idle",
  sent: "calm",
  applied: "good",
  failed: "bad",
  replayed: "warn",
  discarded: "warn",
};
const STATES = Object.keys(TONES) as EdgeEvent["state"][]; // the keys of that very object

export function EdgeDownlinks({ edge, nowMs }: EdgeTabProps): JSX.Element {
  const api = useApi();
  const act = useAction();
  const router = useRouter();
  const list = useListState("createdTime", "DESC");
  const state = STATES.find((known) => known === router.query["state"]);
  const [opened, setOpened] = useState<EdgeEvent | null>(null);
  const edgeId = edge.id.id;
  const t = text.downlinks;
  const events = useLive(
    JSON.stringify({ ...list, state, edgeId }),
    () => api.call("GET /api/edge/{edgeId}/events", { path: { edgeId }, query: { ...list, state } }),
    { everyMs: 1_500 },
  );
  const decide = async ({ seqId }: EdgeEvent, isReplay: boolean): Promise<void> => {
    const path = { edgeId, event: String(seqId) };
    const done = isReplay ? t.replayed : t.discarded;
    await act(
      () =>
        isReplay
          ? api.call("POST /api/edge/{edgeId}/events/{event}/replay", { path })
          : api.call("DELETE /api/edge/{edgeId}/events/{event}", { path }),
      done,
    );
    events.refresh();
  };
  const columns: readonly Column<EdgeEvent>[] = [
    { title: t.seq, isNumber: true, show: ({ seqId }) => seqId },
    { title: t.made, sort: "createdTime", show: ({ createdTime }) => <Ago ms={createdTime} nowMs={nowMs} /> },
    { title: t.what, show: ({ action }) => readable(action) },
    {
      title: t.entity,
      show: ({ type, entityId }) => (
        <>
          {readable(type)}
          <span class="sub mono">{entityId}</span>
        </>
      ),
    },
    {
      title: t.state,
      show: ({ reason, state: how }) => (
        <>
          <State tone={TONES[how]}>{t.states[how]}</State>
          {reason === null ? null : <span class="sub">{reason}</span>}
        </>
      ),
    },
    {
      title: t.body,
      show: (event) => (
        <span class="row">
          <Button isSlim onClick={() => setOpened(event)} label={t.showBody(event.seqId)}>
            {text.action.show}
          </Button>
          {event.state === "failed" ? (
            <>
              <Button isSlim onClick={() => void decide(event, true)}>
                {t.replay}
              </Button>
              <Button isSlim kind="danger" onClick={() => void decide(event, false)}>
                {t.discard}
              </Button>
            </>
          ) : null}
        </span>
      ),
    },
  ];
  return (
    <>
      <div class="row">
        <Choice
          label={t.filter}
          value={state ?? ""}
          options={[["", t.all], ...STATES.map((name) => [name, t.states[name]] as const)]}
          onChange={(value) => router.set({ state: value, page: undefined })}
        />
      </div>
      <Failure error={events.error} />
      <Card isFlush>
        <Table
          label={text.edge.tabs.downlinks}
          columns={columns}
          keyOf={({ seqId }) => String(seqId)}
          page={events.data}
          list={list}
          empty={<p>{t.none}</p>}
        />
      </Card>
      {opened === null ? null : (
        <Dialog title={t.bodyTitle(opened.seqId)} onClose={() => setOpened(null)}>
          {opened.body === null ? <p>{t.noBody}</p> : <pre tabIndex={0}>{JSON.stringify(opened.body, null, 2)}</pre>}
          <div class="row end">
            <Button onClick={() => setOpened(null)}>{text.action.close}</Button>
          </div>
        </Dialog>
      )}
    </>
  );
}

/** `ASSIGNED_TO_EDGE`: Assigned to edge */
function readable(name: string): string {
  const words = name.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
