import type { DeviceRecord, RestClient, Scope } from "../support/rest-client.ts";
import type { ManagedDevice } from "./changes.ts";
import type { Evidence } from "./checker.ts";
import { COUNTER, LIMIT, type LoadDevice } from "./load.ts";

const SCOPES: readonly Scope[] = ["CLIENT_SCOPE", "SHARED_SCOPE", "SERVER_SCOPE"];

/** A device as one end shows it. */
interface DeviceState {
  readonly name: string;
  readonly type: string;
  readonly token: string;
  readonly attributes: Readonly<Record<Scope, Readonly<Record<string, unknown>>>>;
}

export interface Ends {
  readonly cloudApi: RestClient;
  readonly edgeApi: RestClient;
  readonly edgeId: string;
}

/**
 * What is different between the devices that the cloud has assigned to the edge and those that the edge has: entities,
 * credentials, attributes; empty when both agree.
 */
export async function findDifferences({ cloudApi, edgeApi, edgeId }: Ends): Promise<string[]> {
  const [inCloud, onEdge] = await Promise.all([
    readStates(cloudApi, await cloudApi.assignedDevices(edgeId)),
    readStates(edgeApi, await edgeApi.tenantDevices()),
  ]);
  const ids = new Set([...inCloud.keys(), ...onEdge.keys()]);
  return [...ids].flatMap((id) => {
    const [cloud, edge] = [inCloud.get(id), onEdge.get(id)];
    if (Bun.deepEquals(cloud, edge)) return [];
    return [`${id}: cloud ${JSON.stringify(cloud) ?? "nothing"}, edge ${JSON.stringify(edge) ?? "nothing"}`];
  });
}

async function readStates(api: RestClient, devices: readonly DeviceRecord[]): Promise<Map<string, DeviceState>> {
  const states = new Map<string, DeviceState>();
  for (const { id, name, type } of devices) {
    const [token, client, shared, server] = await Promise.all([
      api.getToken(id.id),
      ...SCOPES.map((scope) => api.readAttributes(id.id, scope)),
    ]);
    const attributes = { CLIENT_SCOPE: client ?? {}, SHARED_SCOPE: shared ?? {}, SERVER_SCOPE: server ?? {} };
    states.set(id.id, { name, type, token, attributes });
  }
  return states;
}

/** Where the cloud holds neither what it acknowledged last nor something of unknown outcome. */
export async function findBrokenPromises(
  { cloudApi, edgeId }: Ends,
  devices: readonly ManagedDevice[],
): Promise<string[]> {
  const assigned = new Set((await cloudApi.assignedDevices(edgeId)).map(({ id }) => id.id));
  const broken: string[] = [];
  for (const { id, isAssigned, limit, name, token } of devices) {
    const [record, kept, shared] = await Promise.all([
      cloudApi.getDevice(id),
      cloudApi.getToken(id),
      cloudApi.readAttributes(id, "SHARED_SCOPE"),
    ]);
    const found = [
      ["name", name, record?.name ?? ""],
      ["token", token, kept],
      ["shared attribute", limit, Number(shared[LIMIT] ?? 0)],
      ["assigned", isAssigned, assigned.has(id)],
    ] as const;
    for (const [what, register, value] of found) {
      // Each register is beside a value of its own type.
      if (!(register as { allows(value: unknown): boolean }).allows(value))
        broken.push(`${id}: ${what} is ${value}, expected ${register.describe()}`);
    }
  }
  return broken;
}

/** Devices made on the edge: those acknowledged are in the cloud, and none that nobody asked for. */
export async function findMissingBirths(
  { cloudApi, edgeId }: Ends,
  births: { readonly names: ReadonlySet<string>; readonly ackedNames: ReadonlySet<string> },
  managed: readonly ManagedDevice[],
): Promise<string[]> {
  const known = new Set(managed.map(({ id }) => id));
  const born = (await cloudApi.assignedDevices(edgeId)).filter(({ id }) => !known.has(id.id)).map(({ name }) => name);
  const missing = [...births.ackedNames.difference(new Set(born))].map((name) => `${name} is not in the cloud`);
  return [...missing, ...born.filter((name) => !births.names.has(name)).map((name) => `${name} was made by nobody`)];
}

/** Client attributes count up: at the end the last one acknowledged, or a later one that was attempted. */
export async function findLostCounters({ cloudApi }: Ends, devices: readonly LoadDevice[]): Promise<string[]> {
  const lost: string[] = [];
  for (const { device, counterAcked, counterAttempted } of devices) {
    const value = Number((await cloudApi.readAttributes(device.id, "CLIENT_SCOPE"))[COUNTER] ?? 0);
    if (value < counterAcked || value > counterAttempted)
      lost.push(`${device.id}: client attribute is ${value}, expected ${counterAcked} to ${counterAttempted}`);
  }
  return lost;
}

/** The newest value that each end shows of a device is that of its newest row there. */
export async function findStaleValues({ cloudApi, edgeApi }: Ends, { cloud, edge }: Evidence): Promise<string[]> {
  const stale: string[] = [];
  for (const [end, api, rows] of [
    ["cloud", cloudApi, cloud],
    ["edge", edgeApi, edge],
  ] as const) {
    for (const [deviceId, readings] of rows) {
      const path = `/api/plugins/telemetry/DEVICE/${deviceId}/values/timeseries?keys=n&useStrictDataTypes=true`;
      const answer = await api.request<Record<string, readonly { readonly value: unknown }[]>>("GET", path);
      const [shown, newest] = [answer["n"]?.[0]?.value, readings.at(-1)?.values["n"]];
      if (shown !== newest) stale.push(`${end}: newest value of ${deviceId} is ${String(shown)}, expected ${newest}`);
    }
  }
  return stale;
}

/** A device never sees a shared attribute go back, except to a value whose outcome is unknown. */
export function findBackwardPushes(devices: readonly LoadDevice[], managed: readonly ManagedDevice[]): string[] {
  return devices.flatMap(({ device, limits }) => {
    const register = managed.find(({ id }) => id === device.id)?.limit;
    let newest = 0;
    return limits.flatMap((value) => {
      const isBack = value < newest && register?.isUnknown(value) !== true;
      newest = Math.max(newest, value);
      return isBack ? [`${device.id} was told ${value} after ${newest}`] : [];
    });
  });
}
