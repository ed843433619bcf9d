/** A small client of both REST interfaces, for tests: only what they ask, answers typed by what they read. */
import { ADMIN_PASSWORD, CLOUD_USER, EDGE_USER, type CloudProcess, type EdgeProcess } from "./processes.ts";
import type { Reading } from "./readings.ts";

export class RestError extends Error {
  readonly status: number;
  readonly body: string;

  constructor(request: string, status: number, body: string) {
    super(`${request} answered ${status}: ${body.slice(0, 500)}`);
    this.name = "RestError";
    this.status = status;
    this.body = body;
  }
}

interface EntityId {
  readonly entityType: string;
  readonly id: string;
}

export interface Page<T> {
  readonly data: readonly T[];
  readonly totalPages: number;
  readonly totalElements: number;
  readonly hasNext: boolean;
}

export interface DeviceRecord {
  readonly id: EntityId;
  readonly name: string;
  readonly type: string;
  readonly version: number;
}

export interface EdgeRecord {
  readonly id: EntityId;
  readonly name: string;
  readonly routingKey: string;
  readonly secret: string;
}

/** A row of the cloud's downlinks or of the edge's uplinks. */
export interface EventRecord {
  readonly seqId: number;
  readonly type: string;
  readonly action: string;
  readonly entityId: string;
  readonly state: string;
  readonly reason?: string | null;
}

export interface AttributeRecord {
  readonly key: string;
  readonly value: unknown;
  readonly lastUpdateTs: number;
}

export interface TestDevice {
  readonly id: string;
  readonly name: string;
  readonly token: string;
}

export type Scope = "CLIENT_SCOPE" | "SHARED_SCOPE" | "SERVER_SCOPE";

export interface RestClient {
  readonly baseUrl: string;
  /** Signed in as the administrator; a form is sent as it is. An empty answer is undefined. @throws RestError when the status is not 2xx */
  request<T = void>(method: string, path: string, body?: unknown): Promise<T>;
  /** @returns the SHA-256 of what comes, which is not kept */
  download(path: string): Promise<string>;
  /** A new device with its access token. */
  createDevice(name: string): Promise<TestDevice>;
  /** A device of a new profile of transport type MQTT, both of the name. */
  createMqttDevice(name: string, transportConfiguration: object): Promise<TestDevice>;
  findDevice(name: string): Promise<TestDevice | undefined>;
  /** @returns undefined when there is none */
  getDevice(deviceId: string): Promise<DeviceRecord | undefined>;
  getToken(deviceId: string): Promise<string>;
  deleteDevice(deviceId: string): Promise<void>;
  createEdge(name: string): Promise<EdgeRecord>;
  deleteEdge(edgeId: string): Promise<void>;
  assignDevice(edgeId: string, deviceId: string): Promise<void>;
  unassignDevice(edgeId: string, deviceId: string): Promise<void>;
  assignedDevices(edgeId: string): Promise<readonly DeviceRecord[]>;
  tenantDevices(): Promise<readonly DeviceRecord[]>;
  saveAttributes(deviceId: string, scope: Scope, values: Readonly<Record<string, unknown>>): Promise<void>;
  readAttributes(deviceId: string, scope: Scope): Promise<Readonly<Record<string, unknown>>>;
  /** Every stored row of a device, page by page, with the types kept. */
  readHistory(deviceId: string): Promise<Reading[]>;
  /** The cloud's downlinks of an edge, newest page included; all of them. */
  edgeEvents(edgeId: string): Promise<readonly EventRecord[]>;
  /** The edge's own uplinks but telemetry. */
  cloudEvents(): Promise<readonly EventRecord[]>;
}

export function connectToCloud(cloud: CloudProcess): RestClient {
  return createRestClient(cloud.addresses.http, CLOUD_USER);
}

export function connectToEdge(edge: EdgeProcess): RestClient {
  return createRestClient(edge.addresses.http, EDGE_USER);
}

const PAGE_SIZE = 100;
const HISTORY_PAGE_ROWS = 10_000;
/** The year 10000. */
const END_OF_TIME_MS = 253_402_300_800_000;

function createRestClient(baseUrl: string, username: string): RestClient {
  const send = createSender(baseUrl, username);
  const request: Request = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
    await readAnswer<T>(`${method} ${path}`, await send(method, path, body));

  const readPages = async <T>(path: string): Promise<T[]> => {
    const rows: T[] = [];
    for (let page = 0; ; page += 1) {
      const answer = await request<Page<T>>("GET", `${path}?pageSize=${PAGE_SIZE}&page=${page}`);
      rows.push(...answer.data);
      if (!answer.hasNext) return rows;
    }
  };
  const getToken = async (deviceId: string): Promise<string> => {
    const credentials = await request<{ credentialsId: string }>("GET", `/api/device/${deviceId}/credentials`);
    return credentials.credentialsId;
  };
  const toTestDevice = async (device: DeviceRecord): Promise<TestDevice> => ({
    id: device.id.id,
    name: device.name,
    token: await getToken(device.id.id),
  });

  return {
    baseUrl,
    request,
    async download(path) {
      const response = await send("GET", path);
      if (!response.ok || response.body === null)
        throw new RestError(`GET ${path}`, response.status, await response.text());
      const hash = new Bun.CryptoHasher("sha256");
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) hash.update(chunk);
      return hash.digest("hex");
    },
    getToken,
    createDevice: async (name) => await toTestDevice(await request<DeviceRecord>("POST", "/api/device", { name })),
    async createMqttDevice(name, transportConfiguration) {
      const { id } = await request<{ readonly id: unknown }>("POST", "/api/deviceProfile", {
        name,
        type: "DEFAULT",
        transportType: "MQTT",
        profileData: {
          configuration: { type: "DEFAULT" },
          transportConfiguration: { type: "MQTT", ...transportConfiguration },
          provisionConfiguration: { type: "DISABLED" },
        },
      });
      return await toTestDevice(await request<DeviceRecord>("POST", "/api/device", { name, deviceProfileId: id }));
    },
    async findDevice(name) {
      const device = await unlessMissing(
        request<DeviceRecord>("GET", `/api/tenant/device?deviceName=${encodeURIComponent(name)}`),
      );
      return device === undefined ? undefined : await toTestDevice(device);
    },
    getDevice: (deviceId) => unlessMissing(request<DeviceRecord>("GET", `/api/device/${deviceId}`)),
    deleteDevice: (deviceId) => request("DELETE", `/api/device/${deviceId}`),
    createEdge: (name) => request<EdgeRecord>("POST", "/api/edge", { name, type: "default" }),
    deleteEdge: (edgeId) => request("DELETE", `/api/edge/${edgeId}`),
    assignDevice: (edgeId, deviceId) => request("POST", `/api/edge/${edgeId}/device/${deviceId}`),
    unassignDevice: (edgeId, deviceId) => request("DELETE", `/api/edge/${edgeId}/device/${deviceId}`),
    assignedDevices: (edgeId) => readPages<DeviceRecord>(`/api/edge/${edgeId}/devices`),
    tenantDevices: () => readPages<DeviceRecord>("/api/tenant/devices"),
    saveAttributes: (deviceId, scope, values) =>
      request("POST", `/api/plugins/telemetry/DEVICE/${deviceId}/attributes/${scope}`, values),
    async readAttributes(deviceId, scope) {
      const path = `/api/plugins/telemetry/DEVICE/${deviceId}/values/attributes/${scope}`;
      const rows = await request<AttributeRecord[]>("GET", path);
      return Object.fromEntries(rows.map(({ key, value }) => [key, value]));
    },
    readHistory: (deviceId) => readHistory(request, deviceId),
    edgeEvents: (edgeId) => readPages<EventRecord>(`/api/edge/${edgeId}/events`),
    cloudEvents: () => readPages<EventRecord>("/api/edge/events"),
  };
}

type Request = RestClient["request"];
type Send = (method: string, path: string, body?: unknown) => Promise<Response>;

/** Signs in at the first request, and again when the token is refused, as after a restart with another key. */
function createSender(baseUrl: string, username: string): Send {
  let token: string | undefined;
  const send = async (method: string, path: string, body: unknown): Promise<Response> =>
    await fetch(`${baseUrl}${path}`, {
      method,
      headers: {
        ...(body instanceof FormData ? {} : { "Content-Type": "application/json" }),
        ...(token === undefined ? {} : { "X-Authorization": `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
    });
  const signIn = async (): Promise<void> => {
    token = undefined;
    const answer = await readAnswer<{ token: string }>(
      "POST /api/auth/login",
      await send("POST", "/api/auth/login", { username, password: ADMIN_PASSWORD }),
    );
    ({ token } = answer);
  };
  return async (method, path, body) => {
    if (token === undefined) await signIn();
    let response = await send(method, path, body);
    if (response.status === 401) {
      await response.body?.cancel();
      await signIn();
      response = await send(method, path, body);
    }
    return response;
  };
}

async function readAnswer<T>(request: string, response: Response): Promise<T> {
  const text = await response.text();
  if (!response.ok) throw new RestError(request, response.status, text);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof RestError && error.status === 404) return undefined;
    throw error;
  }
}

/**
 * History comes as one array per key; rows are put together again by their time. A point that comes twice makes a second
 * row of the same time, which the reader of the rows can count.
 */
async function readHistory(request: Request, deviceId: string): Promise<Reading[]> {
  const path = `/api/plugins/telemetry/DEVICE/${deviceId}`;
  const rows = new Map<number, Record<string, number | string>[]>();
  for (const key of await request<string[]>("GET", `${path}/keys/timeseries`)) {
    for await (const { ts, value } of readPoints(request, path, key)) {
      const sameTime = rows.get(ts) ?? [];
      const row = sameTime.find((candidate) => !(key in candidate));
      if (row === undefined) rows.set(ts, [...sameTime, { [key]: value }]);
      else row[key] = value;
    }
  }
  return [...rows]
    .flatMap(([ts, sameTime]) => sameTime.map((values) => ({ ts, values })))
    .toSorted((one, other) => one.ts - other.ts);
}

interface Point {
  readonly ts: number;
  readonly value: number | string;
}

async function* readPoints(request: Request, path: string, key: string): AsyncGenerator<Point> {
  for (let startTs = 0; ;) {
    const range = `keys=${encodeURIComponent(key)}&startTs=${startTs}&endTs=${END_OF_TIME_MS}`;
    const options = `limit=${HISTORY_PAGE_ROWS}&orderBy=ASC&agg=NONE&useStrictDataTypes=true`;
    const answer = await request<Record<string, Point[]>>("GET", `${path}/values/timeseries?${range}&${options}`);
    const points = answer[key] ?? [];
    yield* points;
    const last = points.at(-1);
    if (last === undefined || points.length < HISTORY_PAGE_ROWS) return;
    startTs = last.ts + 1;
  }
}
