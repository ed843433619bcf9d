import type { JSX } from "preact";
import type { DeviceInfo } from "../../../shared/ui/api/edge.gen.ts";
import { Ago, Card, Failure, PageHead, State } from "../../../shared/ui/kit/parts.tsx";
import { SearchField, Table, useListState, type Column } from "../../../shared/ui/kit/table.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";

export function DevicesPage(): JSX.Element {
  const api = useApi();
  const list = useListState("name", "ASC");
  const t = text.devices;
  const devices = useLive(JSON.stringify(list), async () => {
    const page = await api.call("GET /api/tenant/deviceInfos", { query: list });
    return { ...page, readMs: Date.now() };
  });
  const nowMs = devices.data?.readMs ?? 0;
  const columns: readonly Column<DeviceInfo>[] = [
    { title: t.name, sort: "name", show: ({ name }) => <strong>{name}</strong> },
    {
      title: t.active,
      show: ({ active }) => <State tone={active ? "good" : "idle"}>{active ? t.isActive : t.isInactive}</State>,
    },
    { title: t.profile, show: ({ deviceProfileName }) => deviceProfileName },
    { title: t.label, sort: "label", show: ({ label }) => label ?? text.format.none },
    { title: t.created, sort: "createdTime", show: ({ createdTime }) => <Ago ms={createdTime} nowMs={nowMs} /> },
  ];
  return (
    <>
      <PageHead title={t.title} about={t.about} />
      <div class="row">
        <SearchField label={t.search} />
      </div>
      <Failure error={devices.error} />
      <Card isFlush>
        <Table
          label={t.title}
          columns={columns}
          keyOf={({ id }) => id.id}
          page={devices.data}
          list={list}
          empty={<p>{t.none}</p>}
        />
      </Card>
    </>
  );
}
