import type { Hono } from "hono";
import type { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Metrics } from "../../shared/observe/metrics.ts";
import { addAlarmRoutes } from "../../shared/rest/alarms.ts";
import { addApiKeyRoutes } from "../../shared/rest/api-keys.ts";
import type { RestApp, RestAppDeps } from "../../shared/rest/app.ts";
import { createRestApp } from "../../shared/rest/app.ts";
import { addAssetRoutes } from "../../shared/rest/assets.ts";
import { addAttributeRoutes } from "../../shared/rest/attributes.ts";
import { createFailureAudit } from "../../shared/rest/audit-failures.ts";
import { addAuditRoutes } from "../../shared/rest/audit.ts";
import { addAuthRoutes, createApiKeyAuthenticator, createBearerAuthenticator } from "../../shared/rest/auth.ts";
import { addCustomerReadRoutes } from "../../shared/rest/customers.ts";
import { addDashboardRoutes } from "../../shared/rest/dashboards.ts";
import { addDeviceClaimRoutes } from "../../shared/rest/device-claims.ts";
import { addDeviceConnectivityRoute, type DeviceAccess } from "../../shared/rest/device-connectivity.ts";
import { addDeviceRoutes } from "../../shared/rest/devices.ts";
import { addEntityEventRoutes } from "../../shared/rest/entity-events.ts";
import { addEntityImportRoutes } from "../../shared/rest/entity-import.ts";
import { addEntityQueryRoutes } from "../../shared/rest/entity-queries.ts";
import { addEntitySearchRoutes } from "../../shared/rest/entity-searches.ts";
import { addEntityViewRoutes } from "../../shared/rest/entity-views.ts";
import { addHealthRoutes } from "../../shared/rest/health.ts";
import { addHomeDashboardRoutes } from "../../shared/rest/home-dashboard.ts";
import { createLiveApi, wakingSave, type LiveApi } from "../../shared/rest/live/live-api.ts";
import { addMetricsRoute } from "../../shared/rest/metrics.ts";
import { addMobileSessionRoutes } from "../../shared/rest/mobile-sessions.ts";
import { addOpenApiRoutes } from "../../shared/rest/openapi.ts";
import { addOtaReadRoutes } from "../../shared/rest/ota-packages.ts";
import type { Authenticator } from "../../shared/rest/principal.ts";
import { addProfileRoutes } from "../../shared/rest/profiles.ts";
import { addRelationRoutes } from "../../shared/rest/relations.ts";
import { addResourceReadRoutes } from "../../shared/rest/resources.ts";
import { addRpcRoutes, type RpcDeps } from "../../shared/rest/rpc.ts";
import { addRuleTestRoutes, type RuleTestDeps } from "../../shared/rest/rule-chain-tests.ts";
import { addRuleChainRoutes } from "../../shared/rest/rule-chains.ts";
import { addRuleDebugRoute, type RuleDebugSource } from "../../shared/rest/rule-debug.ts";
import { createSignInAudit } from "../../shared/rest/sign-in-audit.ts";
import { addSystemInfoRoute } from "../../shared/rest/system-info.ts";
import { addTelemetryRoutes } from "../../shared/rest/telemetry.ts";
import { createTokens } from "../../shared/rest/tokens.ts";
import { addUserReadRoutes, addUserSettingsRoutes } from "../../shared/rest/users.ts";
import { addWebPages, type WebPagesDeps } from "../../shared/rest/web-pages.ts";
import type { Contents } from "../../shared/store/blob-upload.ts";
import type { PasswordHasher } from "../../shared/store/user-store.ts";
import { createLocalUserWork } from "../store/local-users.ts";
import type { ParkedItems } from "../store/parked-items.ts";
import { createDataSubjects } from "./data-subjects.ts";
import type { CloudEvents } from "./events.ts";
import { addCloudEventRoutes } from "./events.ts";
import { addGapRoutes } from "./gaps.ts";
import { addParkedRoutes } from "./parked.ts";
import type { SiteIdentity } from "./settings.ts";
import { addEdgeSettingsRoutes } from "./settings.ts";
import type { StatusOptions, StatusSources } from "./status.ts";
import { addStatusRoutes } from "./status.ts";

export interface EdgeApiDeps extends RpcDeps {
  readonly contents: Pick<Contents, "read">;
  readonly openScriptSandbox: RuleTestDeps["openScriptSandbox"];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly passwords: PasswordHasher;
  readonly jwtSecret: () => Uint8Array;
  /** Lets the commands of this machine in. */
  readonly localAuthenticator: Authenticator;
  /** For whom a handler works, so that what it changes is in the audit log. */
  readonly asCaller: NonNullable<RestAppDeps["asCaller"]>;
  readonly saveTelemetry: (records: readonly TelemetryRecord[]) => Promise<void>;
  readonly settleLatest: () => Promise<void>;
  readonly events: CloudEvents;
  readonly parked: ParkedItems;
  readonly sources: StatusSources;
  readonly ruleDebug: RuleDebugSource;
  readonly readSite: () => Promise<SiteIdentity>;
  readonly readRootChainId: () => Promise<Uuid | null>;
  readonly routingKey: string | null;
  readonly notReady: () => Promise<string | null>;
  readonly toAppError: (thrown: unknown) => AppError;
  /** @param asked the address of a request */
  readonly deviceAccess: (asked: URL) => DeviceAccess;
  /** Mounted under /api/v1. */
  readonly deviceApi: Hono;
  /** @default the API alone */
  readonly pages?: WebPagesDeps;
}

export interface EdgeApi extends RestApp {
  /** The WebSocket side. */
  readonly live: LiveApi;
}

/** Tenants, edges, and changes of users, customers, packages and resources are the cloud's alone. */
const NO_ROUTE = "No such route on an edge: what it does not hold is asked for in the cloud";

/** The whole HTTP side of the edge: the device API, the REST of the convention for what the edge holds, and its own resources. */
export function createEdgeApi(deps: EdgeApiDeps, status: StatusOptions): EdgeApi {
  const tokens = createTokens({ clock: deps.clock, random: deps.random, secret: deps.jwtSecret });
  const bearer = createBearerAuthenticator({ db: deps.db, tokens });
  const authenticators = [bearer, createApiKeyAuthenticator(deps), deps.localAuthenticator];
  const app = createRestApp({ ...deps, authenticators, noRoute: NO_ROUTE, onFailure: createFailureAudit(deps) });
  const readTenantId = async (): Promise<Uuid> => (await deps.readSite()).tenantId;
  app.hono.route("/api/v1", deps.deviceApi);
  addAuthRoutes(app, { ...deps, tokens, users: createLocalUserWork(deps.unitOfWork), note: createSignInAudit(deps) });
  addApiKeyRoutes(app, deps);
  addUserSettingsRoutes(app, deps);
  addMobileSessionRoutes(app, deps);
  addUserReadRoutes(app, deps);
  addEntityImportRoutes(app, deps);
  addDeviceRoutes(app, deps);
  addDeviceConnectivityRoute(app, deps);
  addDeviceClaimRoutes(app, deps, { isReported: true });
  addAssetRoutes(app, deps);
  addCustomerReadRoutes(app, deps);
  addEntityViewRoutes(app, deps);
  addHomeDashboardRoutes(app, { db: deps.db });
  addDashboardRoutes(app, deps);
  addRuleTestRoutes(app, deps);
  addRuleChainRoutes(app, deps);
  addRuleDebugRoute(app, deps.ruleDebug);
  addProfileRoutes(app, deps);
  addEntityQueryRoutes(app, deps);
  addAlarmRoutes(app, deps);
  addRpcRoutes(app, deps);
  addResourceReadRoutes(app, deps);
  addOtaReadRoutes(app, deps);
  addRelationRoutes(app, deps);
  addEntitySearchRoutes(app, deps);
  const data = { ...deps, others: createDataSubjects(deps) };
  const live = createLiveApi({ ...data, authenticators });
  addAttributeRoutes(app, data);
  addTelemetryRoutes(app, { ...data, saveTelemetry: wakingSave(deps.saveTelemetry, live) });
  addEdgeSettingsRoutes(app, deps);
  addCloudEventRoutes(app, { ...deps, inFlight: (lane) => deps.sources.link()?.inFlight[lane] ?? [], readTenantId });
  addEntityEventRoutes(app, deps);
  addGapRoutes(app, deps);
  addParkedRoutes(app, deps);
  addAuditRoutes(app, deps);
  addStatusRoutes(app, { ...deps, authenticators }, status);
  addSystemInfoRoute(app, { version: status.version, artifact: "skerry-edge" });
  addOpenApiRoutes(app, { title: "Skerry edge", version: status.version });
  addHealthRoutes(app, deps);
  addMetricsRoute(app, deps.metrics);
  if (deps.pages !== undefined) addWebPages(app, deps.pages);
  return Object.assign(app, { live });
}
