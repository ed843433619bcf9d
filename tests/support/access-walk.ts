import type { Uuid } from "../../shared/core/ids.ts";
import type { RestApp } from "../../shared/rest/app.ts";
import { isUuidParameter, pathParameters, type RouteSpec } from "../../shared/rest/route.ts";

/** Ids of somebody else, by the name of the entity type. */
export type ForeignIds = Readonly<Record<string, Uuid>>;

export interface WalkedCall {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

/** What a path parameter is an id of; others are tried with every id. */
const KIND_OF_PARAMETER: Readonly<Record<string, string>> = {
  deviceId: "DEVICE",
  assetId: "ASSET",
  edgeId: "EDGE",
  customerId: "CUSTOMER",
  userId: "USER",
  assigneeId: "USER",
  tenantId: "TENANT",
  dashboardId: "DASHBOARD",
  ruleChainId: "RULE_CHAIN",
  entityViewId: "ENTITY_VIEW",
  deviceProfileId: "DEVICE_PROFILE",
  assetProfileId: "ASSET_PROFILE",
  alarmId: "ALARM",
  commentId: "ALARM_COMMENT",
  apiKeyId: "API_KEY",
  rpcId: "RPC",
};

/** Values of parameters that are no ids. */
const TEXTS: Readonly<Record<string, string>> = {
  scope: "SERVER_SCOPE",
  eventType: "LC_EVENT",
  enabled: "false",
  event: "1",
  relationType: "Contains",
  ttl: "1000",
  paths: "a.b",
};

const PAGE = "pageSize=100&page=0";

/** Calls of a route that name what is somebody else's, in every place where an id may stand: path, query, body. */
export function foreignCalls({ path, method }: RouteSpec, ids: ForeignIds): readonly WalkedCall[] {
  const verb = method.toUpperCase();
  return paths(path, ids).flatMap((concrete): readonly WalkedCall[] => {
    const asked = queries(ids).map((query) => ({ method: verb, path: `${concrete}?${query}` }));
    if (method === "get") return asked;
    const bodies = [{}, Object.values(ids), ...Object.entries(ids).map(([type, id]) => everyField(type, id, ids))];
    // A path that names something needs no other body to do harm, mostly.
    const sent = concrete === path ? bodies : bodies.slice(0, 3);
    return [
      ...asked.slice(0, method === "delete" ? undefined : 1),
      ...sent.map((body) => ({ method: verb, path: `${concrete}?${PAGE}`, body })),
    ];
  });
}

function paths(path: string, ids: ForeignIds): readonly string[] {
  const open = pathParameters(path).filter((name) => isUuidParameter(name) && KIND_OF_PARAMETER[name] === undefined);
  const types = open.length === 0 && !path.includes("{entityType}") ? ["DEVICE"] : Object.keys(ids);
  return types.map((type) =>
    path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      if (name === "entityType") return type;
      const kind = KIND_OF_PARAMETER[name] ?? type;
      return isUuidParameter(name) ? (ids[kind] ?? "") : (TEXTS[name] ?? "1");
    }),
  );
}

/** Of lists, of relations, of parameters that select. */
function queries(ids: ForeignIds): readonly string[] {
  const lists = Object.entries(KIND_OF_PARAMETER).map(([name, type]) => `${name}s=${ids[type]}`);
  const single = Object.entries(KIND_OF_PARAMETER).map(([name, type]) => `${name}=${ids[type]}`);
  const ends = `fromId=${ids["DEVICE"]}&fromType=DEVICE&toId=${ids["ASSET"]}&toType=ASSET&relationType=Contains`;
  const entity = `entityId=${ids["DEVICE"]}&entityType=DEVICE`;
  const history = "keys=secretKey&startTs=0&endTs=9999999999999&deleteAllDataForKeys=true";
  return [
    PAGE,
    [PAGE, ...single, history, ends, entity].join("&"),
    lists.join("&"),
    `fromId=${ids["DEVICE"]}&fromType=DEVICE`,
  ];
}

/** A body with everything that any route looks for. */
function everyField(type: string, id: Uuid, ids: ForeignIds): Record<string, unknown> {
  const ref = (kind: string) => ({ entityType: kind, id: ids[kind] });
  const entity = { entityType: type, id };
  return {
    id: entity,
    name: "Overwritten",
    title: "Overwritten",
    type: "Contains",
    label: "Overwritten",
    description: "Overwritten",
    email: "overwritten@example.com",
    authority: "CUSTOMER_USER",
    severity: "CRITICAL",
    routingKey: "overwritten",
    secret: "overwritten-by-somebody",
    credentialsType: "ACCESS_TOKEN",
    credentialsId: "overwritten",
    tenantId: ref("TENANT"),
    customerId: ref("CUSTOMER"),
    userId: ref("USER"),
    deviceId: ref("DEVICE"),
    alarmId: ref("ALARM"),
    deviceProfileId: ref("DEVICE_PROFILE"),
    assetProfileId: ref("ASSET_PROFILE"),
    defaultDashboardId: ref("DASHBOARD"),
    defaultRuleChainId: ref("RULE_CHAIN"),
    ruleChainId: ref("RULE_CHAIN"),
    rootRuleChainId: ref("RULE_CHAIN"),
    entityId: entity,
    originator: entity,
    from: entity,
    to: ref("ASSET"),
    keys: { timeseries: ["secretKey"], attributes: { cs: [], ss: [], sh: [] } },
    comment: { text: "Overwritten" },
    assignedCustomers: [{ customerId: ref("CUSTOMER"), title: "x", public: false }],
    parameters: { rootId: id, rootType: type, direction: "FROM", relationTypeGroup: "COMMON", maxLevel: 2 },
    relationType: "Contains",
    method: "Overwritten",
    params: {},
    persistent: true,
    device: { id: ref("DEVICE"), name: "Overwritten", deviceProfileId: ref("DEVICE_PROFILE") },
    credentials: { credentialsType: "ACCESS_TOKEN", credentialsId: "overwritten" },
    firstNodeIndex: null,
    nodes: [],
    connections: [],
    ruleChainConnections: [],
    ruleChains: [],
    metadata: [],
    file: "NAME,TYPE\nOverwritten,default",
    mapping: { columns: [{ type: "NAME" }, { type: "TYPE" }], delimiter: ",", update: true, header: true },
    secretKey: "Overwritten",
  };
}

export interface Caller {
  readonly name: string;
  /** Value of X-Authorization; null: none. */
  readonly authorization: string | null;
}

export interface WalkOptions {
  readonly ids: ForeignIds;
  /** Routes that this caller may use on what is not its own. @default none */
  readonly mayReach?: (route: RouteSpec) => boolean;
}

/** Makes every call that `foreignCalls` gives for every route. @returns the answers, with what was asked */
export async function walk(
  { routes, fetch }: Pick<RestApp, "routes" | "fetch">,
  { authorization }: Caller,
  { ids, mayReach = () => false }: WalkOptions,
): Promise<readonly (WalkedCall & { readonly status: number; readonly text: string })[]> {
  const answers: (WalkedCall & { status: number; text: string })[] = [];
  for (const route of routes) {
    if (mayReach(route)) continue;
    for (const call of foreignCalls(route, ids)) {
      const request = new Request(`http://walk.test${call.path}`, {
        method: call.method,
        headers: {
          ...(authorization === null ? {} : { "x-authorization": authorization }),
          ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      });
      const response = await fetch(request);
      answers.push({ ...call, status: response.status, text: await response.text() });
    }
  }
  return answers;
}
