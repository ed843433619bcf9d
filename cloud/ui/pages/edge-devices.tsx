import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { DeviceInfo } from "../../../shared/ui/api/cloud.gen.ts";
import { Button, Card, Dialog, Failure } from "../../../shared/ui/kit/parts.tsx";
import { SearchField, Table, useListState, type Column } from "../../../shared/ui/kit/table.tsx";
import { useAction } from "../../../shared/ui/kit/toasts.tsx";
import { useLive } from "../../../shared/ui/kit/use-live.ts";
import { text } from "../../../shared/ui/text/en.ts";
import { useApi } from "../api.ts";
import type { EdgeTabProps } from "./edge-tab.ts";

export function EdgeDevices({ edge }: EdgeTabProps): JSX.Element {
  const api = useApi();
  const act = useAction();
  const list = useListState("name", "ASC");
  const [isAssigning, setAssigning] = useState(false);
  const edgeId = edge.id.id;
  const t = text.assigned;
  const devices = useLive(JSON.stringify({ ...list, edgeId }), () =>
    api.call("GET /api/edge/{edgeId}/devices", { path: { edgeId }, query: list }),
  );
  const unassign = async ({ id, name }: DeviceInfo): Promise<void> => {
    const path = { edgeId, deviceId: id.id };
    await act(() => api.call("DELETE /api/edge/{edgeId}/device/{deviceId}", { path }), t.unassigned(name));
    devices.refresh();
  };
  const columns: readonly Column<DeviceInfo>[] = [
    { title: t.name, sort: "name", show: ({ name }) => <strong>{name}</strong> },
    { title: t.profile, show: ({ deviceProfileName }) => deviceProfileName },
    { title: t.label, show: ({ label }) => label ?? text.format.none },
    {
      title: t.action,
      isNumber: true,
      show: (device) => (
        <Button isSlim onClick={() => void unassign(device)} label={`${t.unassign} ${device.name}`}>
          {t.unassign}
        </Button>
      ),
    },
  ];
  return (
    <>
      <div class="row">
        <SearchField label={t.search} />
        <Button kind="main" onClick={() => setAssigning(true)}>
          {t.assign}
        </Button>
      </div>
      <Failure error={devices.error} />
      <Card isFlush>
        <Table
          label={text.edge.tabs.devices}
          columns={columns}
          keyOf={({ id }) => id.id}
          page={devices.data}
          list={list}
          empty={<p>{t.none}</p>}
        />
      </Card>
      {isAssigning ? (
        <AssignDevice edgeId={edgeId} onClose={() => setAssigning(false)} onAssigned={devices.refresh} />
      ) : null}
    </>
  );
}

interface AssignDeviceProps {
  readonly edgeId: string;
  readonly onClose: () => void;
  readonly onAssigned: () => void;
}

const FOUND_MAX = 10;

function AssignDevice({ edgeId, onClose, onAssigned }: AssignDeviceProps): JSX.Element {
  const api = useApi();
  const act = useAction();
  const [textSearch, setTextSearch] = useState("");
  const t = text.assigned;
  const query = { page: 0, pageSize: FOUND_MAX, sortProperty: "name", sortOrder: "ASC", textSearch };
  const found = useLive(textSearch, () => api.call("GET /api/tenant/deviceInfos", { query }), { everyMs: 0 });
  const assign = async ({ id, name }: DeviceInfo): Promise<void> => {
    const path = { edgeId, deviceId: id.id };
    await act(() => api.call("POST /api/edge/{edgeId}/device/{deviceId}", { path }), t.assigned(name));
    onAssigned();
  };
  return (
    <Dialog title={t.assignTitle} onClose={onClose}>
      <input
        class="input"
        type="search"
        placeholder={t.search}
        aria-label={t.search}
        value={textSearch}
        onInput={(event) => setTextSearch(event.currentTarget.value)}
      />
      <Failure error={found.error} />
      <ul class="list">
        {(found.data?.data ?? []).map((device) => (
          <li key={device.id.id}>
            <span class="grow">
              <strong>{device.name}</strong> <span class="soft small">{device.deviceProfileName}</span>
            </span>
            <Button isSlim onClick={() => void assign(device)} label={`${t.isAssigned} ${device.name}`}>
              {t.isAssigned}
            </Button>
          </li>
        ))}
      </ul>
      {found.data?.data.length === 0 ? <p class="soft">{t.noDevices}</p> : null}
      <div class="row end">
        <Button onClick={onClose}>{text.action.close}</Button>
      </div>
    </Dialog>
  );
}
