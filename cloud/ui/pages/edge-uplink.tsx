import type { JSX } from "preact";
import { formatBytes, formatCount, formatDuration, formatRate } from "../../../shared/ui/kit/format.ts";
import { Ago, Card, Facts, Notice, Tile } from "../../../shared/ui/kit/parts.tsx";
import { useRate } from "../../../shared/ui/kit/use-rate.ts";
import { text } from "../../../shared/ui/text/en.ts";
import type { EdgeTabProps } from "./edge-tab.ts";

export function EdgeUplink({ edge, nowMs }: EdgeTabProps): JSX.Element {
  const { clockSkewMs, sync } = edge.status;
  const t = text.uplink;
  const total = sync === null ? null : sync.backlog.reduce((sum, { items }) => sum + items, 0);
  const rate = useRate(total, sync?.reportedTime ?? 0);
  if (sync === null || total === null || sync.reportedTime === null)
    return <Notice tone="calm">{t.notReported}</Notice>;
  return (
    <>
      <div class="tiles">
        <Tile
          label={t.backlog}
          value={formatCount(total)}
          note={sync.lagMs === null ? "" : formatDuration(sync.lagMs)}
        />
        <Tile label={t.rate} value={rate.perSecond === null ? text.format.none : formatRate(rate.perSecond)} />
        <Tile label={t.empty} value={rate.toZeroMs === null ? text.format.none : formatDuration(rate.toZeroMs)} />
        <Tile label={t.parked} value={formatCount(sync.parkedItems)} />
      </div>
      <Card isFlush>
        <table>
          <thead>
            <tr>
              <th scope="col">{t.lane}</th>
              <th scope="col" class="right">
                {t.backlog}
              </th>
              <th scope="col" class="right">
                {t.bytes}
              </th>
              <th scope="col">{t.oldest}</th>
            </tr>
          </thead>
          <tbody>
            {sync.backlog.map(({ lane, items, bytes, oldestTime }) => (
              <tr key={lane}>
                <td>{lane === "config" || lane === "telemetry" ? t.lanes[lane] : lane}</td>
                <td class="right">{formatCount(items)}</td>
                <td class="right">{bytes === null ? text.format.none : formatBytes(bytes)}</td>
                <td>
                  {oldestTime === null ? text.format.none : <Ago ms={oldestTime - (clockSkewMs ?? 0)} nowMs={nowMs} />}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Card>
      <Card>
        <Facts
          rows={[
            [t.reported, <Ago key="reported" ms={sync.reportedTime} nowMs={nowMs} />],
            [t.quota, t.quotas[sync.quota]],
          ]}
        />
      </Card>
    </>
  );
}
