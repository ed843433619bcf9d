import * as z from "zod";
import type { Clock } from "../../shared/core/clock.ts";
import type { ErrorCode } from "../../shared/core/errors.ts";
import { AppError, ERROR_CODES } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import type { SyncState, SyncVerdict } from "../../shared/core/sync-states.ts";
import { SYNC_STATE_NAMES, SYNC_STATES } from "../../shared/core/sync-states.ts";
import type { Authenticator } from "../../shared/rest/principal.ts";
import type { RouteTable } from "../../shared/rest/route.ts";
import { thinnedKeySchema } from "../../shared/rest/thinned-keys.ts";
import type { ThinnedKey } from "../../shared/sync/edge-report.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";

// GET /status: how the edge is, from every component that has something to tell. Open to everybody who reaches the port, therefore
// without names, addresses and secrets; administrators get the address of the cloud and the exact reasons as well.

/** Why something is as it is; `code` is one of shared/core/errors.ts, or one of a newer peer. */
export interface Reason {
  readonly code: string;
  readonly text: string;
}

/** Of the link to the cloud; what edge/sync/link.ts tells. */
export interface LinkState {
  readonly state: "connecting" | "live" | "waiting" | "refused";
  /** Why the last session ended. */
  readonly reason: Reason | null;
  /** Wall time of the last change of state. */
  readonly sinceMs: number;
  readonly session: number | null;
  /** Wall clock of the cloud minus that of this edge. */
  readonly clockSkewMs: number | null;
  /** Newest sequence that was sent. */
  readonly sentSeq: Readonly<Record<UplinkLane, number>>;
  /** On its way to the cloud. */
  readonly inFlight: Readonly<Record<UplinkLane, readonly SeqRange[]>>;
  /** Wall time of the last acknowledgement of the cloud since the start. */
  readonly lastAckMs?: number | null;
}

export interface LaneState {
  /** The sequence that the next item will get. */
  readonly nextSeq: number;
  /** Everything up to it is committed by the cloud. */
  readonly ackedSeq: number;
  /** Items that the cloud has not committed. */
  readonly backlogItems: number;
  /** What they take in the outbox, most of it compressed. */
  readonly backlogBytes: number;
  /** When the oldest item that the cloud has not committed was made; null when there is none. */
  readonly oldestUnsentMs: number | null;
}

export interface OutboxState {
  readonly lanes: Readonly<Record<UplinkLane, LaneState>>;
  /** Items that the cloud refused for good and nobody has decided about. */
  readonly parked: Readonly<Record<UplinkLane, number>>;
}

export interface DatabaseState {
  readonly kind: "embedded" | "external";
  readonly state: "starting" | "ready" | "down";
  readonly reason: Reason | null;
  /** Of the server, e.g. `18.4`. */
  readonly version: string | null;
}

export interface DiskUse {
  /** By the data directory. */
  readonly usedBytes: number;
  readonly freeBytes: number;
}

/** DiskUse with what is done about it. */
export interface DiskState extends DiskUse {
  /** What the data directory may take; null: no quota. */
  readonly quotaBytes: number | null;
  /** Held back for a full disk; 0 while it is given up. */
  readonly reserveBytes: number;
  /** Devices are refused until there is room. */
  readonly isFull: boolean;
  /** Records that were removed before they were sent. */
  readonly removed: { readonly thinned: number; readonly dropped: number };
}

/** How the edge stands with the cloud; what edge/sync/sync-monitor.ts tells. */
export interface SyncSummary extends SyncVerdict {
  readonly sinceMs: number;
  readonly lastInSyncMs: number | null;
  readonly nextAttemptMs: number | null;
}

export interface RuleNodeState {
  readonly chainId: Uuid;
  readonly nodeId: Uuid;
  readonly name: string;
  readonly messages: number;
  readonly failures: number;
  /** Why a message failed last; null: none did. */
  readonly lastFailure: string | null;
  /** Why it does not run for now; null: it runs. */
  readonly paused: string | null;
}

/** Nodes that are shown, those that fail first. */
const RULE_NODES_MAX = 50;

/** Each function may fail by itself; the others are shown all the same. */
export interface StatusSources {
  /** Null: this edge works without a cloud. */
  readonly link: () => LinkState | null;
  readonly sync: () => Promise<SyncSummary>;
  readonly outbox: () => Promise<OutboxState>;
  readonly database: () => DatabaseState;
  readonly disk: () => Promise<DiskState>;
  readonly mqttConnections: () => number;
  /** Nodes of the rule chains that run; none where no chain does more than store and send. */
  readonly ruleNodes: () => readonly RuleNodeState[];
  /** Keys of which less goes up than is stored. */
  readonly thinned: () => readonly ThinnedKey[];
}

export interface StatusDeps {
  readonly sources: StatusSources;
  readonly clock: Pick<Clock, "nowMs">;
  /** How the rest of the API knows its callers. */
  readonly authenticators: readonly Authenticator[];
}

export interface StatusOptions {
  readonly version: string;
  /** E.g. `bun 1.4.5`. */
  readonly runtime: string;
  readonly startedMs: number;
  readonly cloudUrl: string | null;
}

const reasonSchema = z.object({ code: z.string(), text: z.string() });

const laneStatusSchema = z.object({
  nextSeq: z.int(),
  sentSeq: z.int(),
  ackedSeq: z.int().meta({ description: "Everything up to it is in the cloud" }),
  backlogItems: z.int().meta({ description: "Items that the cloud has not committed yet" }),
  backlogBytes: z.int().meta({ description: "What they take in the outbox, most of it compressed" }),
  oldestUnsentTime: z.int().nullable(),
  parkedItems: z.int().meta({ description: "Items that the cloud refused for good and nobody has decided about" }),
});

const ruleNodeSchema = z.object({
  ruleChainId: z.uuid(),
  ruleNodeId: z.uuid(),
  name: z.string(),
  messages: z.int(),
  failures: z.int(),
  lastFailure: z.string().nullable(),
  paused: z.string().nullable().meta({ description: "Why it does not run for now" }),
});

/** The answer of GET /status; times in ms since 1970. */
export const edgeStatusSchema = z
  .object({
    state: z.enum(["ok", "degraded", "failing"]).meta({
      description: "degraded: everything is stored, something needs a look; failing: nothing can be stored",
    }),
    problems: z.array(z.string()).meta({ description: "What is not as it should be, for people" }),
    time: z.int(),
    startedTime: z.int(),
    version: z.string(),
    runtime: z.string(),
    sync: z
      .object({
        state: z.enum(SYNC_STATE_NAMES).meta({ description: "The gravest reason, or IN_SYNC; see docs/states.md" }),
        reasons: z.array(z.object({ code: z.enum(SYNC_STATE_NAMES), text: z.string(), detail: z.string().nullable() })),
        sinceTime: z.int(),
        lastInSyncTime: z.int().nullable(),
        nextAttemptTime: z.int().nullable(),
      })
      .nullable(),
    link: z
      .object({
        state: z.enum(["disabled", "connecting", "live", "waiting", "refused"]),
        reason: reasonSchema.nullable(),
        sinceTime: z.int().nullable(),
        session: z.int().nullable(),
        clockSkewMs: z.number().nullable(),
        lastAckTime: z.int().nullable(),
        cloudUrl: z.string().nullable(),
      })
      .nullable(),
    lanes: z.object({ config: laneStatusSchema, telemetry: laneStatusSchema }).nullable(),
    parked: z.int().nullable(),
    database: z
      .object({
        kind: z.enum(["embedded", "external"]),
        state: z.enum(["starting", "ready", "down"]),
        reason: reasonSchema.nullable(),
        version: z.string().nullable(),
      })
      .nullable(),
    disk: z
      .object({
        usedBytes: z.int(),
        freeBytes: z.int(),
        quotaBytes: z.int().nullable(),
        reserveBytes: z.int().meta({ description: "Held back for a full disk; 0 while it is given up" }),
        isFull: z.boolean().meta({ description: "Devices are refused until there is room" }),
        removed: z
          .object({ thinned: z.int(), dropped: z.int() })
          .meta({ description: "Records that were removed before they were sent" }),
      })
      .nullable(),
    mqttConnections: z.int().nullable(),
    thinned: z
      .array(thinnedKeySchema)
      .meta({ description: "Keys of which less goes up than is stored, since the start; for administrators" }),
    rules: z
      .object({
        messages: z
          .int()
          .meta({ description: "Messages that nodes of rule chains worked on since the chains changed" }),
        failures: z.int(),
        pausedNodes: z.int(),
        nodes: z.array(ruleNodeSchema).meta({ description: "At most 50, those that fail first; for administrators" }),
      })
      .nullable(),
  })
  .meta({ id: "EdgeStatus" });

export type EdgeStatus = z.output<typeof edgeStatusSchema>;

/** Below this the database may soon find no room. */
const FREE_BYTES_MIN = 256 * 1024 * 1024;

/** GET /status; 200 whatever the state is: /readyz is for load balancers. */
export function addStatusRoutes(routes: RouteTable, deps: StatusDeps, options: StatusOptions): void {
  routes.add(
    {
      method: "get",
      path: "/status",
      tag: "Edge",
      summary: "How the edge is: link, backlog, database, disk; administrators see addresses and exact reasons too",
      access: "anyone",
      answer: edgeStatusSchema,
    },
    async ({ request }) => {
      const status = await readStatus(deps, options);
      return (await isAdministrator(request, deps.authenticators)) ? status : withoutNames(status);
    },
  );
}

/** False for wrong credentials too: what is public stays so, and a database that is down must not hide the status. */
async function isAdministrator(request: Request, authenticators: readonly Authenticator[]): Promise<boolean> {
  const header = request.headers.get("x-authorization") ?? request.headers.get("authorization") ?? "";
  const [scheme = "", credentials = ""] = header.split(" ");
  const authenticator = authenticators.find((candidate) => candidate.scheme === scheme.toLowerCase());
  try {
    const principal = await authenticator?.authenticate(credentials);
    return principal !== undefined && principal.authority !== "CUSTOMER_USER";
  } catch {
    return false;
  }
}

async function readStatus({ sources, clock }: StatusDeps, options: StatusOptions): Promise<EdgeStatus> {
  const problems: string[] = [];
  const [link, sync, outbox, database, disk, mqttConnections, ruleNodes, thinned] = await Promise.all([
    ask("link", sources.link, problems),
    ask("sync", sources.sync, problems),
    ask("outbox", sources.outbox, problems),
    ask("database", sources.database, problems),
    ask("disk", sources.disk, problems),
    ask("MQTT", sources.mqttConnections, problems),
    ask("rule chains", sources.ruleNodes, problems),
    ask("thinning", sources.thinned, problems),
  ]);
  const lanes = outbox === undefined ? null : laneStatuses(outbox, link?.sentSeq);
  const status: EdgeStatus = {
    state: "ok",
    problems,
    time: clock.nowMs(),
    startedTime: options.startedMs,
    version: options.version,
    runtime: options.runtime,
    sync: sync === undefined ? null : syncStatus(sync),
    link: link === undefined ? null : linkStatus(link, options.cloudUrl),
    lanes,
    parked: outbox === undefined ? null : outbox.parked.config + outbox.parked.telemetry,
    database: database ?? null,
    disk: disk ?? null,
    mqttConnections: mqttConnections ?? null,
    thinned: [...(thinned ?? [])],
    rules: ruleNodes === undefined ? null : ruleStatus(ruleNodes),
  };
  problems.push(...findProblems(status));
  const isFailing = database?.state === "down" || database?.state === "starting" || disk?.isFull === true;
  return { ...status, state: isFailing ? "failing" : problems.length > 0 ? "degraded" : "ok" };
}

/** Undefined when the component can't tell, which is a problem by itself. */
async function ask<T>(name: string, source: () => T | Promise<T>, problems: string[]): Promise<T | undefined> {
  try {
    return await source();
  } catch (error) {
    problems.push(`State of ${name} is not known (${AppError.from(error).code})`);
    return undefined;
  }
}

function linkStatus(link: LinkState | null, cloudUrl: string | null): EdgeStatus["link"] {
  if (link === null) {
    const nothing = { reason: null, sinceTime: null, session: null, clockSkewMs: null, lastAckTime: null };
    return { state: "disabled", ...nothing, cloudUrl: null };
  }
  const { state, reason, sinceMs, session, clockSkewMs, lastAckMs = null } = link;
  return { state, reason, sinceTime: sinceMs, session, clockSkewMs, lastAckTime: lastAckMs, cloudUrl };
}

function syncStatus({ state, reasons, sinceMs, lastInSyncMs, nextAttemptMs }: SyncSummary): EdgeStatus["sync"] {
  return {
    state,
    reasons: reasons.map(({ code, detail }) => {
      const { action, cause } = SYNC_STATES[code];
      return { code, text: `${cause} ${action}`, detail };
    }),
    sinceTime: Math.round(sinceMs),
    lastInSyncTime: lastInSyncMs === null ? null : Math.round(lastInSyncMs),
    nextAttemptTime: nextAttemptMs === null ? null : Math.round(nextAttemptMs),
  };
}

function laneStatuses(outbox: OutboxState, sentSeq: LinkState["sentSeq"] | undefined): EdgeStatus["lanes"] {
  const laneStatus = (lane: UplinkLane): z.output<typeof laneStatusSchema> => {
    const { nextSeq, ackedSeq, backlogItems, backlogBytes, oldestUnsentMs } = outbox.lanes[lane];
    return {
      nextSeq,
      // Nothing was sent in this session yet: what is acknowledged was sent in an earlier one.
      sentSeq: Math.max(sentSeq?.[lane] ?? 0, ackedSeq),
      ackedSeq,
      backlogItems,
      backlogBytes,
      oldestUnsentTime: oldestUnsentMs,
      parkedItems: outbox.parked[lane],
    };
  };
  return { config: laneStatus("config"), telemetry: laneStatus("telemetry") };
}

function ruleStatus(nodes: readonly RuleNodeState[]): EdgeStatus["rules"] {
  const sum = (count: (node: RuleNodeState) => number): number => nodes.reduce((total, node) => total + count(node), 0);
  const shown = nodes.toSorted((one, other) => other.failures - one.failures).slice(0, RULE_NODES_MAX);
  return {
    messages: sum(({ messages }) => messages),
    failures: sum(({ failures }) => failures),
    pausedNodes: sum(({ paused }) => (paused === null ? 0 : 1)),
    nodes: shown.map(({ chainId, failures, lastFailure, messages, name, nodeId, paused }) => ({
      ruleChainId: chainId,
      ruleNodeId: nodeId,
      name,
      messages,
      failures,
      lastFailure,
      paused,
    })),
  };
}

/** States that need nobody, and those that database and disk tell of by themselves. */
const EXPECTED: ReadonlySet<SyncState> = new Set<SyncState>([
  "IN_SYNC",
  "SENDING",
  "NOT_CONFIGURED",
  "DATABASE_DOWN",
  "QUOTA",
]);

function findProblems({ database, disk, rules, sync }: EdgeStatus): readonly string[] {
  const problems: string[] = [];
  if (database !== null && database.state !== "ready") problems.push(ERROR_CODES.DATABASE_UNAVAILABLE);
  for (const { code, text } of sync?.reasons ?? []) {
    if (!EXPECTED.has(code)) problems.push(`${code}: ${text}`);
  }
  if (disk?.isFull === true) problems.push(ERROR_CODES.DISK_FULL);
  else if (disk !== null && disk.freeBytes < FREE_BYTES_MIN)
    problems.push(`Only ${Math.floor(disk.freeBytes / 1e6)} MB are free on the disk`);
  const paused = rules?.pausedNodes ?? 0;
  if (paused > 0) problems.push(`${paused} nodes of rule chains took too long again and again, and are paused`);
  const removed = (disk?.removed.thinned ?? 0) + (disk?.removed.dropped ?? 0);
  if (removed > 0)
    problems.push(`${removed} records were removed unsent because the disk quota was reached; see the list of gaps`);
  return problems;
}

/** Texts of errors may name hosts and files; what the manual says of their code does not. */
function withoutNames(status: EdgeStatus): EdgeStatus {
  const anonymous = (reason: Reason | null): Reason | null =>
    reason === null ? null : { code: reason.code, text: adviceFor(reason.code) };
  const { link, database, rules, sync } = status;
  return {
    ...status,
    rules: rules === null ? null : { ...rules, nodes: [] },
    thinned: [],
    sync: sync === null ? null : { ...sync, reasons: sync.reasons.map((reason) => ({ ...reason, detail: null })) },
    link: link === null ? null : { ...link, reason: anonymous(link.reason), cloudUrl: null },
    database: database === null ? null : { ...database, reason: anonymous(database.reason) },
  };
}

function adviceFor(code: string | undefined): string {
  return code !== undefined && Object.hasOwn(ERROR_CODES, code)
    ? ERROR_CODES[code as ErrorCode]
    : "The reason is in the log";
}
