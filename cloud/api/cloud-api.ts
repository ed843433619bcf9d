import type { AttemptLimits } from "../../shared/core/attempt-limiter.ts";
import { AppError } from "../../shared/core/errors.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { TokenBuckets, type BucketLimits } from "../../shared/core/token-buckets.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Metrics } from "../../shared/observe/metrics.ts";
import { addActivationRoutes } from "../../shared/rest/activation.ts";
import { addAlarmRuleTestRoute } from "../../shared/rest/alarm-rule-tests.ts";
import { addAlarmRoutes } from "../../shared/rest/alarms.ts";
import { addApiKeyRoutes } from "../../shared/rest/api-keys.ts";
import { createRestApp, type RestApp, type RestAppDeps } from "../../shared/rest/app.ts";
import { addAssetRoutes } from "../../shared/rest/assets.ts";
import { addAttributeRoutes } from "../../shared/rest/attributes.ts";
import { createFailureAudit } from "../../shared/rest/audit-failures.ts";
import { addAuditRoutes } from "../../shared/rest/audit.ts";
import { addAuthRoutes, createApiKeyAuthenticator, createBearerAuthenticator } from "../../shared/rest/auth.ts";
import { addCustomerReadRoutes, addCustomerWriteRoutes } from "../../shared/rest/customers.ts";
import { addDashboardRoutes, addTenantDashboardsRoute } from "../../shared/rest/dashboards.ts";
import { addDeviceClaimRoutes } from "../../shared/rest/device-claims.ts";
import { addDeviceConnectivityRoute, type DeviceAccess } from "../../shared/rest/device-connectivity.ts";
import { addDeviceRoutes } from "../../shared/rest/devices.ts";
import { addEntityEventRoutes } from "../../shared/rest/entity-events.ts";
import { addEntityImportRoutes } from "../../shared/rest/entity-import.ts";
import { addEntityQueryRoutes } from "../../shared/rest/entity-queries.ts";
import { addEntitySearchRoutes } from "../../shared/rest/entity-searches.ts";
import { addEntityViewRoutes } from "../../shared/rest/entity-views.ts";
import { addHealthRoutes } from "../../shared/rest/health.ts";
import type { Elsewhere } from "../../shared/rest/live/command-context.ts";
import { createLiveApi, wakingSave, wakingWork, type LiveApi } from "../../shared/rest/live/live-api.ts";
import { addMetricsRoute } from "../../shared/rest/metrics.ts";
import { addMobileSessionRoutes } from "../../shared/rest/mobile-sessions.ts";
import { addOpenApiRoutes } from "../../shared/rest/openapi.ts";
import { addOtaReadRoutes, addOtaWriteRoutes, type OtaDeps } from "../../shared/rest/ota-packages.ts";
import { addProfileRoutes } from "../../shared/rest/profiles.ts";
import type { RelationDeps } from "../../shared/rest/relation-access.ts";
import { addRelationRoutes } from "../../shared/rest/relations.ts";
import { addResourceReadRoutes, addResourceWriteRoutes } from "../../shared/rest/resources.ts";
import { addRpcRoutes, type RpcDeps } from "../../shared/rest/rpc.ts";
import { addChainTestRoute, addRuleTestRoutes, type RuleTestDeps } from "../../shared/rest/rule-chain-tests.ts";
import { addRuleChainRoutes } from "../../shared/rest/rule-chains.ts";
import { addRuleDebugRoute, type RuleDebugSource } from "../../shared/rest/rule-debug.ts";
import { createSignInAudit } from "../../shared/rest/sign-in-audit.ts";
import { addSystemInfoRoute } from "../../shared/rest/system-info.ts";
import { addTelemetryRoutes, type DeletedSeries } from "../../shared/rest/telemetry.ts";
import { createTokens } from "../../shared/rest/tokens.ts";
import { addUserReadRoutes, addUserSettingsRoutes } from "../../shared/rest/users.ts";
import { addWebPages, type WebPagesDeps } from "../../shared/rest/web-pages.ts";
import { auditTelemetry } from "../../shared/store/audit-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { PasswordHasher } from "../../shared/store/user-store.ts";
import { findAssignmentRelations, readCloudNames } from "../store/cloud-refs.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { checkRootOfNone } from "../store/edge-chains.ts";
import { EDGE_ENTITIES, releaseEdges } from "../store/edge-store.ts";
import { auditRpc } from "../store/rpc-call-store.ts";
import { createUserWork, deleteCustomerUsers } from "../store/user-downlinks.ts";
import { addAssignmentRoutes } from "./assignments.ts";
import { addBackfillRoutes } from "./backfill.ts";
import { addClaimCodeRoutes } from "./claim-codes.ts";
import { createDataSubjects } from "./data-subjects.ts";
import { addDeviceMoveRoute } from "./device-moves.ts";
import { addDownlinkRoutes } from "./downlinks.ts";
import { addEdgeChainRoutes } from "./edge-chains.ts";
import { addEdgeCustomerRoutes } from "./edge-customers.ts";
import { addEdgeEditRoutes } from "./edge-edits.ts";
import { addEdgeFleetRoute } from "./edge-fleet.ts";
import { addEdgeImportRoute } from "./edge-import.ts";
import { addEdgeInstructionRoutes, type EdgeInstructionDeps } from "./edge-instructions.ts";
import { addEdgeSearchRoute } from "./edge-searches.ts";
import type { EdgeSessions } from "./edge-sessions.ts";
import { addEdgeListRoutes, addEdgeReadRoutes, addEdgeWriteRoutes } from "./edges.ts";
import { addGapRoutes } from "./gaps.ts";
import { addCloudHomeDashboardRoutes } from "./home-dashboard.ts";
import { importFiles } from "./imported-files.ts";
import { createLifecycleSource } from "./lifecycle-source.ts";
import { addNotificationRoutes } from "./notifications.ts";
import { addParkedRoutes } from "./parked.ts";
import { addSyncRoutes } from "./sync.ts";
import { addTenantProfileRoutes } from "./tenant-profiles.ts";
import { addTenantRoutes, addUsageRoute } from "./tenants.ts";
import { addUserLinkRoutes, addUserWriteRoutes } from "./users.ts";

export interface CloudApiDeps extends OtaDeps, Pick<RpcDeps, "callDevice"> {
  readonly unitOfWork: CloudUnitOfWork;
  readonly openScriptSandbox: RuleTestDeps["openScriptSandbox"];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly passwords: PasswordHasher;
  readonly jwtSecret: () => Uint8Array;
  readonly saveTelemetry: (records: readonly TelemetryRecord[]) => Promise<void>;
  readonly sessions: EdgeSessions;
  readonly secretGraceMs: number;
  readonly claimCodeLifeMs: number;
  readonly rpcAddress: EdgeInstructionDeps["rpcAddress"];
  readonly notReady: () => Promise<string | null>;
  readonly toAppError: (thrown: unknown) => AppError;
  readonly version: string;
  readonly loginLimits?: AttemptLimits;
  /** REST calls of one tenant; null: any number. @default null */
  readonly tenantLimits?: BucketLimits | null;
  readonly asCaller: NonNullable<RestAppDeps["asCaller"]>;
  /** How other replicas hear of what is watched and written here. */
  readonly elsewhere: Elsewhere;
  /** @default the API alone */
  readonly pages?: WebPagesDeps;
}

export interface CloudApi extends RestApp {
  /** The WebSocket side. */
  readonly live: LiveApi;
}

/** Devices come in at edges, whose addresses on their sites the cloud does not know. */
const ANY_EDGE: DeviceAccess = {
  host: "EDGE_HOST",
  httpOrigin: "http://EDGE_HOST:8080",
  mqttPort: 1883,
  mqttsPort: 8883,
  coapPort: 5683,
};

/** The whole HTTP side of the cloud, over its stores and sessions. */
export function createCloudApi(given: CloudApiDeps): CloudApi {
  const deps = { ...given, unitOfWork: wakingWork(given.unitOfWork, (changes) => live.note(changes)) };
  const tokens = createTokens({ clock: deps.clock, random: deps.random, secret: deps.jwtSecret });
  const authenticators = [createBearerAuthenticator({ db: deps.db, tokens }), createApiKeyAuthenticator(deps)];
  const app = createRestApp({
    ...deps,
    authenticators,
    ...createTenantLimit(deps),
    onFailure: createFailureAudit(deps),
  });
  const users = createUserWork(deps.unitOfWork);
  const note = createSignInAudit(deps);
  addAuthRoutes(app, { ...deps, tokens, users, note });
  addActivationRoutes(app, { ...deps, tokens, users, note });
  addApiKeyRoutes(app, deps);
  addUserSettingsRoutes(app, deps);
  addMobileSessionRoutes(app, deps);
  addUserLinkRoutes(app, { ...deps, tokens, users });
  addUserReadRoutes(app, deps);
  addUserWriteRoutes(app, { ...deps, tokens, users });
  addEdgeFleetRoute(app, deps);
  addEdgeReadRoutes(app, deps);
  addEdgeListRoutes(app, deps);
  addEdgeWriteRoutes(app, deps);
  addEdgeChainRoutes(app, deps);
  addEdgeEditRoutes(app, deps);
  addClaimCodeRoutes(app, deps);
  addEdgeCustomerRoutes(app, deps);
  addEdgeInstructionRoutes(app, deps);
  addDownlinkRoutes(app, deps);
  addGapRoutes(app, deps);
  addBackfillRoutes(app, deps);
  addParkedRoutes(app, deps);
  addEntityEventRoutes(app, { ...deps, ruleDebug: NO_NODES, lifecycle: createLifecycleSource(deps) });
  addRuleDebugRoute(app, NO_NODES);
  addSyncRoutes(app, deps);
  addAssignmentRoutes(app, deps);
  addEdgeImportRoute(app, deps);
  addEntityImportRoutes(app, deps);
  addDeviceRoutes(app, deps);
  addDeviceConnectivityRoute(app, { db: deps.db, deviceAccess: () => ANY_EDGE });
  addDeviceMoveRoute(app, deps);
  addDeviceClaimRoutes(app, deps, { isReported: false });
  addAssetRoutes(app, deps);
  addCustomerReadRoutes(app, deps);
  addCustomerWriteRoutes(app, deps, async (tx, customerId) => {
    await deleteCustomerUsers(tx, customerId, deps.clock.nowMs());
    await releaseEdges(tx, customerId);
  });
  addEntityViewRoutes(app, deps);
  addCloudHomeDashboardRoutes(app, deps);
  addDashboardRoutes(app, { ...deps, importFiles: (tenantId, given) => importFiles(deps, tenantId, given) });
  addTenantDashboardsRoute(app, deps);
  addRuleTestRoutes(app, deps);
  addChainTestRoute(app, deps);
  addAlarmRuleTestRoute(app, deps);
  addRuleChainRoutes(app, deps, checkRootOfNone);
  addProfileRoutes(app, deps);
  const entitySources = { EDGE: EDGE_ENTITIES };
  addEntityQueryRoutes(app, { ...deps, entitySources });
  addAlarmRoutes(app, deps);
  addNotificationRoutes(app, deps);
  addRpcRoutes(app, { ...deps, auditRpc });
  addResourceWriteRoutes(app, deps);
  addResourceReadRoutes(app, deps);
  addOtaReadRoutes(app, deps);
  addOtaWriteRoutes(app, deps);
  const relations: RelationDeps = {
    ...deps,
    otherRefs: { readNames: (refs, tenantId) => readCloudNames(deps.db, refs, tenantId) },
    assignments: (tenantId, filter) => findAssignmentRelations(deps.db, tenantId, filter),
  };
  addRelationRoutes(app, relations);
  addEntitySearchRoutes(app, relations);
  addEdgeSearchRoute(app, { ...relations, ...deps });
  const telemetry = { ...deps, others: createDataSubjects(deps) };
  const live = createLiveApi({ ...telemetry, entitySources, authenticators });
  addAttributeRoutes(app, telemetry);
  const saveTelemetry = wakingSave(deps.saveTelemetry, live);
  addTelemetryRoutes(app, { ...telemetry, saveTelemetry, noteDeleted: noteDeletedSeries });
  addAuditRoutes(app, deps);
  addSystemInfoRoute(app, { version: deps.version, artifact: "skerry-cloud" });
  addUsageRoute(app, deps);
  addTenantProfileRoutes(app, deps);
  addTenantRoutes(app, deps);
  addOpenApiRoutes(app, { title: "Skerry cloud", version: deps.version });
  addHealthRoutes(app, deps);
  addMetricsRoute(app, deps.metrics);
  if (deps.pages !== undefined) addWebPages(app, deps.pages);
  return Object.assign(app, { live });
}

/** A tenant that calls too often is slowed down for itself alone; who is of no tenant has no limit. */
function createTenantLimit({ clock, tenantLimits = null }: CloudApiDeps): Pick<RestAppDeps, "limit"> {
  if (tenantLimits === null) return {};
  const calls = new TokenBuckets(clock, tenantLimits);
  return {
    limit: ({ tenantId }) => {
      if (tenantId === NULL_UUID) return;
      const retryAfterMs = calls.take(tenantId, 1);
      if (retryAfterMs === 0) return;
      throw new AppError("TOO_MANY_REQUESTS", "Too many requests for current tenant!", { retryAfterMs });
    },
  };
}

/** Nodes of rule chains run on edges. */
const NO_NODES: RuleDebugSource = { list: () => [], forget: () => undefined };

function noteDeletedSeries(tx: Queryable, { entityId, keys, range }: DeletedSeries): Promise<void> {
  const times = range === undefined ? {} : { startTs: range.startMs, endTs: range.endMs };
  const data = JSON.stringify({ timeseries: keys, ...times });
  return auditTelemetry(tx, { entityId, actionType: "TIMESERIES_DELETED", data });
}
