import type { AppError } from "../../shared/core/errors.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Metrics } from "../../shared/observe/metrics.ts";
import { createRestApp, type RestApp } from "../../shared/rest/app.ts";
import { addAssetRoutes } from "../../shared/rest/assets.ts";
import { addAttributeRoutes } from "../../shared/rest/attributes.ts";
import { addAuthRoutes, createBearerAuthenticator } from "../../shared/rest/auth.ts";
import { addCustomerReadRoutes, addCustomerWriteRoutes } from "../../shared/rest/customers.ts";
import { addDeviceRoutes } from "../../shared/rest/devices.ts";
import { addHealthRoutes } from "../../shared/rest/health.ts";
import type { LoginLimits } from "../../shared/rest/login-limiter.ts";
import { addMetricsRoute } from "../../shared/rest/metrics.ts";
import { addOpenApiRoutes } from "../../shared/rest/openapi.ts";
import { addProfileRoutes } from "../../shared/rest/profiles.ts";
import type { ResourceDeps } from "../../shared/rest/resource.ts";
import { addTelemetryRoutes } from "../../shared/rest/telemetry.ts";
import { createTokens } from "../../shared/rest/tokens.ts";
import type { PasswordHasher } from "../../shared/store/user-store.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { releaseEdges } from "../store/edge-store.ts";
import { addAssignmentRoutes } from "./assignments.ts";
import { addDownlinkRoutes } from "./downlinks.ts";
import type { EdgeSessions } from "./edge-sessions.ts";
import { addEdgeListRoutes, addEdgeReadRoutes, addEdgeWriteRoutes, createEdgeAttributes } from "./edges.ts";
import { addGapRoutes } from "./gaps.ts";
import { addLifecycleEventRoutes } from "./lifecycle-events.ts";
import { addParkedRoutes } from "./parked.ts";
import { addSyncRoutes } from "./sync.ts";

export interface CloudApiDeps extends ResourceDeps {
  readonly unitOfWork: CloudUnitOfWork;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly passwords: PasswordHasher;
  readonly jwtSecret: () => Uint8Array;
  readonly saveTelemetry: (records: readonly TelemetryRecord[]) => Promise<void>;
  readonly sessions: EdgeSessions;
  readonly notReady: () => Promise<string | null>;
  readonly toAppError: (thrown: unknown) => AppError;
  readonly version: string;
  readonly loginLimits?: LoginLimits;
}

/** The whole HTTP side of the cloud, over its stores and sessions. */
export function createCloudApi(deps: CloudApiDeps): RestApp {
  const tokens = createTokens({ clock: deps.clock, random: deps.random, secret: deps.jwtSecret });
  const app = createRestApp({ ...deps, authenticators: [createBearerAuthenticator({ db: deps.db, tokens })] });
  addAuthRoutes(app, { ...deps, tokens });
  addEdgeReadRoutes(app, deps);
  addEdgeListRoutes(app, deps);
  addEdgeWriteRoutes(app, deps);
  addDownlinkRoutes(app, deps);
  addGapRoutes(app, deps);
  addParkedRoutes(app, deps);
  addLifecycleEventRoutes(app, deps);
  addSyncRoutes(app, deps);
  addAssignmentRoutes(app, deps);
  addDeviceRoutes(app, deps);
  addAssetRoutes(app, deps);
  addCustomerReadRoutes(app, deps);
  addCustomerWriteRoutes(app, deps, releaseEdges);
  addProfileRoutes(app, deps);
  const telemetry = { ...deps, others: { EDGE: createEdgeAttributes(deps) } };
  addAttributeRoutes(app, telemetry);
  addTelemetryRoutes(app, telemetry);
  addOpenApiRoutes(app, { title: "Skerry cloud", version: deps.version });
  addHealthRoutes(app, deps);
  addMetricsRoute(app, deps.metrics);
  return app;
}
