import type { JSX } from "preact";
import type { AlarmInfo, EdgeFleet } from "../../../shared/ui/api/cloud.gen.ts";
import { formatBytes, formatCount, formatDuration, formatRate } from "../../../shared/ui/kit/format.ts";
import { Ago, Card, Failure, PageHead, State, Tile, type Tone } from "../../../shared/ui/kit/parts.tsx";
import { Link } from "../../../shared/ui/kit/router.tsx";
import { syncTone, SyncStateBadge } from "../../../shared/ui/kit/sync-state.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { useRate } from "../../../shared/ui/kit/use-rate.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";

const ALARMS_SHOWN = 8;

export function FleetPage(): JSX.Element {
  const api = useApi();
  const fleet = useLive("fleet", () => api.call("GET /api/edges/fleet"));
  const alarms = useLive("alarms", () =>
    api.call("GET /api/v2/alarms", {
      query: { pageSize: ALARMS_SHOWN, page: 0, sortProperty: "createdTime", sortOrder: "DESC" },
    }),
  );
  return (
    <>
      <PageHead title={text.fleet.title} about={text.fleet.about} />
      <Failure error={fleet.error ?? alarms.error} />
      {fleet.data === undefined ? null : <Counts fleet={fleet.data} />}
      <div class="columns">
        {fleet.data === undefined ? null : <Attention fleet={fleet.data} />}
        {alarms.data === undefined || fleet.data === undefined ? null : (
          <Alarms alarms={alarms.data.data} nowMs={fleet.data.time} />
        )}
      </div>
    </>
  );
}

function Counts({ fleet }: { readonly fleet: EdgeFleet }): JSX.Element {
  const t = text.fleet;
  const rate = useRate(fleet.backlogItems, fleet.time);
  const isEmpty = fleet.backlogItems === 0;
  return (
    <>
      <div class="tiles">
        <Tile
          label={<State tone="good">{t.connected}</State>}
          value={
            <>
              {formatCount(fleet.connected)} <small>{t.ofAll(formatCount(fleet.edges))}</small>
            </>
          }
          note={t.inSync(formatCount(fleet.states.find(({ state }) => state === "IN_SYNC")?.edges ?? 0))}
        />
        <Tile
          label={<State tone={fleet.outOfSync === 0 ? "idle" : "warn"}>{t.outOfSync}</State>}
          value={formatCount(fleet.outOfSync)}
          note={t.outOfSyncAbout}
        />
        <Tile
          label={<State tone={fleet.offline === 0 ? "idle" : "bad"}>{t.offline}</State>}
          value={formatCount(fleet.offline)}
          note={t.offlineAbout}
        />
        <Tile
          label={<State tone="idle">{t.waiting}</State>}
          value={formatCount(fleet.neverConnected)}
          note={t.waitingAbout}
        />
      </div>
      <div class="tiles">
        <Tile
          label={t.backlog}
          value={formatCount(fleet.backlogItems)}
          note={isEmpty ? t.backlogNone : t.backlogAbout(formatBytes(fleet.backlogBytes))}
        />
        <Tile label={t.drain} value={drainRate(rate.perSecond)} note={drainNote(rate, isEmpty)} />
        <Tile label={t.downlinks} value={formatCount(fleet.downlinksWaiting)} note={t.downlinksAbout} />
        <Tile label={t.parked} value={formatCount(fleet.parkedItems)} note={t.parkedAbout} />
      </div>
      {fleet.edges === 0 ? null : <Distribution fleet={fleet} />}
    </>
  );
}

function drainRate(perSecond: number | null): string {
  return perSecond === null || perSecond >= 0 ? text.format.none : formatRate(-perSecond);
}

function drainNote({ perSecond, toZeroMs }: ReturnType<typeof useRate>, isEmpty: boolean): string {
  if (isEmpty) return text.fleet.backlogNone;
  if (toZeroMs !== null) return text.fleet.drainAbout(formatDuration(toZeroMs));
  return (perSecond ?? 0) > 0 ? text.fleet.drainGrows : text.fleet.drainSteady;
}

const BAR_ORDER: readonly Tone[] = ["bad", "warn", "calm", "good", "idle"];

function Distribution({ fleet }: { readonly fleet: EdgeFleet }): JSX.Element {
  const parts = fleet.states.toSorted(
    (one, other) => BAR_ORDER.indexOf(syncTone(one.state)) - BAR_ORDER.indexOf(syncTone(other.state)),
  );
  return (
    <Card title={text.fleet.distribution}>
      <div class="bar" aria-hidden="true">
        {parts.map(({ state, edges }) => (
          <span key={state} class={syncTone(state)} style={{ flexGrow: edges }} />
        ))}
      </div>
      <ul class="row plain">
        {parts.map(({ state, edges }) => (
          <li key={state} class="row">
            <SyncStateBadge state={state} /> <strong class="num">{formatCount(edges)}</strong>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Attention({ fleet }: { readonly fleet: EdgeFleet }): JSX.Element {
  const t = text.fleet;
  if (fleet.attention.length === 0)
    return (
      <Card title={t.attention} isFlush>
        <p class="empty">{fleet.edges === 0 ? t.noEdges : t.allWell}</p>
      </Card>
    );
  return (
    <Card title={t.attention} isFlush>
      <table>
        <thead>
          <tr>
            <th scope="col">{t.edge}</th>
            <th scope="col">{t.state}</th>
            <th scope="col">{t.since}</th>
          </tr>
        </thead>
        <tbody>
          {fleet.attention.map(({ id, name, state, sinceTime }) => (
            <tr key={id.id}>
              <td>
                <Link to={`/edges/${id.id}`} class="cell-main">
                  {name}
                </Link>
              </td>
              <td>
                <SyncStateBadge state={state} />
              </td>
              <td>
                <Ago ms={sinceTime} nowMs={fleet.time} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

const SEVERITY_TONES: Readonly<Record<AlarmInfo["severity"], Tone>> = {
  CRITICAL: "bad",
  MAJOR: "bad",
  MINOR: "warn",
  WARNING: "warn",
  INDETERMINATE: "calm",
};

function Alarms({ alarms, nowMs }: { readonly alarms: readonly AlarmInfo[]; readonly nowMs: number }): JSX.Element {
  return (
    <Card title={text.alarms.title} isFlush>
      {alarms.length === 0 ? (
        <p class="empty">{text.alarms.none}</p>
      ) : (
        <ul class="list">
          {alarms.map((alarm) => (
            <li key={alarm.id.id}>
              <State tone={alarm.cleared ? "idle" : SEVERITY_TONES[alarm.severity]}>
                {text.severity[alarm.severity]}
              </State>
              <span class="grow">
                <strong>{alarm.type}</strong>
                <span class="soft small"> {alarm.originatorName}</span>
              </span>
              <span class="soft small">
                {text.alarmStatus[alarm.status]}, <Ago ms={alarm.startTs} nowMs={nowMs} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
