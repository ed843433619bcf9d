import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { EdgeStatus } from "../../../shared/ui/api/edge.gen.ts";
import { formatBytes, formatCount, formatDuration, formatRate } from "../../../shared/ui/kit/format.ts";
import { Ago, Card, Facts, Failure, PageHead, State, Tile, type Tone } from "../../../shared/ui/kit/parts.tsx";
import { Spark } from "../../../shared/ui/kit/spark.tsx";
import { SyncStateBadge } from "../../../shared/ui/kit/sync-state.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { useRate } from "../../../shared/ui/kit/use-rate.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";

const HEALTH: Readonly<Record<EdgeStatus["state"], Tone>> = { ok: "good", degraded: "warn", failing: "bad" };
const SAMPLES_MAX = 300;

export function StatusPage(): JSX.Element {
  const api = useApi();
  const live = useLive("status", () => api.call("GET /status"), { everyMs: 1_500 });
  const status = live.data;
  const t = text.site;
  return (
    <>
      <PageHead title={t.title} about={status === undefined ? undefined : t.about(status.version, status.runtime)}>
        {status === undefined ? null : <State tone={HEALTH[status.state]}>{t.health[status.state]}</State>}
      </PageHead>
      <Failure error={live.error} />
      {status === undefined ? null : (
        <>
          <Problems status={status} />
          <Backlog status={status} />
          <div class="columns">
            <LinkCard status={status} />
            <Machine status={status} />
          </div>
        </>
      )}
    </>
  );
}

interface StatusProps {
  readonly status: EdgeStatus;
}

function Problems({ status: { problems } }: StatusProps): JSX.Element | null {
  if (problems.length === 0) return null;
  return (
    <div class="notice warn" role="status">
      <strong>{text.site.problems}</strong>
      <ul class="plain">
        {problems.map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
    </div>
  );
}

function Backlog({ status }: StatusProps): JSX.Element {
  const t = text.site;
  const lanes = status.lanes === null ? [] : [status.lanes.config, status.lanes.telemetry];
  const sum = (read: (lane: (typeof lanes)[number]) => number): number =>
    lanes.reduce((total, lane) => total + read(lane), 0);
  const items = sum((lane) => lane.backlogItems);
  const times = lanes.flatMap(({ oldestUnsentTime }) => oldestUnsentTime ?? []);
  const oldestTime = times.length === 0 ? null : Math.min(...times);
  // What was made and is not in the backlog any more has been taken by the cloud.
  const taken = useRate(sum((lane) => lane.nextSeq) - items, status.time);
  const drain = useRate(items, status.time);
  const samples = useRef<number[]>([]);
  const lastMs = useRef(0);
  if (lastMs.current !== status.time) {
    lastMs.current = status.time;
    const before = samples.current.length === 0 ? [items] : samples.current.slice(1 - SAMPLES_MAX);
    samples.current = [...before, items];
  }
  const emptyNote = drain.toZeroMs === null ? t.emptyNote.stays : t.emptyNote.falls;
  return (
    <>
      <div class="tiles">
        <Tile
          label={t.backlog}
          value={formatCount(items)}
          note={items === 0 ? t.backlogNone : t.backlogNote(formatBytes(sum((lane) => lane.backlogBytes)))}
        />
        <Tile
          label={t.oldest}
          value={oldestTime === null ? text.format.none : formatDuration(status.time - oldestTime)}
          note={oldestTime === null ? t.backlogNone : <Ago ms={oldestTime} nowMs={status.time} />}
        />
        <Tile
          label={t.rate}
          value={taken.perSecond === null ? text.format.none : formatRate(Math.max(0, taken.perSecond))}
          note={t.rateAbout}
        />
        <Tile
          label={t.empty}
          value={drain.toZeroMs === null ? text.format.none : formatDuration(drain.toZeroMs)}
          note={items === 0 ? t.emptyNote.none : emptyNote}
        />
      </div>
      <Card title={t.history}>
        <Spark values={samples.current} label={`${t.history}: ${formatCount(items)}`} />
      </Card>
    </>
  );
}

function LinkCard({ status: { sync, link, time } }: StatusProps): JSX.Element {
  const t = text.site;
  if (sync === null || link === null) return <Card title={t.link}>{text.format.none}</Card>;
  return (
    <Card title={t.link} actions={<SyncStateBadge state={sync.state} />}>
      <Facts
        rows={[
          [t.since, <Ago key="since" ms={sync.sinceTime} nowMs={time} />],
          [t.lastInSync, <Ago key="in-sync" ms={sync.lastInSyncTime} nowMs={time} />],
          ...(sync.nextAttemptTime === null
            ? []
            : [[t.nextAttempt, text.format.in(formatDuration(Math.max(0, sync.nextAttemptTime - time)))] as const]),
          [t.cloud, link.cloudUrl ?? text.format.none],
          [t.session, link.session ?? text.format.none],
        ]}
      />
      {sync.reasons.map(({ code, detail, text: reason }) => (
        <p key={code} class="small">
          <strong>{text.syncState[code]}.</strong> {reason} {detail === null ? "" : <code>{detail}</code>}
        </p>
      ))}
    </Card>
  );
}

function Machine({ status }: StatusProps): JSX.Element {
  const t = text.site;
  const { disk, link, database, mqttConnections, parked, startedTime, time } = status;
  return (
    <Card title={t.machine}>
      {disk === null ? null : <Disk disk={disk} />}
      <Facts
        rows={[
          [t.clock, showClock(link?.clockSkewMs ?? null)],
          [t.database, database === null ? text.format.none : t.databaseStates[database.state]],
          [t.mqtt, mqttConnections === null ? text.format.none : formatCount(mqttConnections)],
          [t.parked, parked === null ? text.format.none : formatCount(parked)],
          [t.up, formatDuration(time - startedTime)],
        ]}
      />
    </Card>
  );
}

function Disk({ disk }: { readonly disk: NonNullable<EdgeStatus["disk"]> }): JSX.Element {
  const { freeBytes, quotaBytes, usedBytes } = disk;
  const t = text.site;
  const room = quotaBytes ?? usedBytes + freeBytes;
  const shown =
    quotaBytes === null
      ? t.diskUsed(formatBytes(usedBytes), formatBytes(freeBytes))
      : t.diskQuota(formatBytes(usedBytes), formatBytes(quotaBytes));
  return (
    <label class="field">
      <span class="row spread">
        <span>{t.disk}</span>
        <span class="soft small">{shown}</span>
      </span>
      <meter class="fill" min={0} max={room} high={room * 0.85} optimum={0} value={usedBytes} />
    </label>
  );
}

/** The cloud's clock minus ours, as the edge tells it. */
function showClock(skewMs: number | null): string {
  if (skewMs === null) return text.site.clockUnknown;
  if (Math.abs(skewMs) < 100) return text.edges.exact;
  const duration = formatDuration(skewMs);
  return skewMs > 0 ? text.edges.behind(duration) : text.edges.ahead(duration);
}
